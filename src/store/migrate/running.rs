//! Which migration runs, how far it is, and whether it shall stop.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::model::StorePlace;
use crate::store::error::{Result, StoreError};

/// A move of the store that is not over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migration {
    /// Where to, as a URL.
    pub to: String,
    /// Bytes of packs that are there, and of all packs. `None`: it does not run now.
    pub copied: Option<(u64, u64)>,
}

/// One migration at work.
#[derive(Debug)]
pub(super) struct Running {
    to: String,
    bytes: AtomicU64,
    bytes_total: AtomicU64,
    is_stopping: AtomicBool,
}

impl Running {
    pub(super) fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::SeqCst)
    }

    pub(super) fn stop(&self) {
        self.is_stopping.store(true, Ordering::SeqCst);
    }

    /// A round begins with so many bytes there already.
    pub(super) fn begin_round(&self, bytes: u64, bytes_total: u64) {
        self.bytes_total.store(bytes_total, Ordering::SeqCst);
        self.bytes.store(bytes, Ordering::SeqCst);
    }

    pub(super) fn add(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::SeqCst);
    }

    /// Bytes that are there, and bytes in all.
    pub(super) fn copied(&self) -> (u64, u64) {
        (
            self.bytes.load(Ordering::SeqCst),
            self.bytes_total.load(Ordering::SeqCst),
        )
    }
}

#[derive(Debug, Default)]
struct State {
    running: Option<Arc<Running>>,
    is_closed: bool,
}

/// The migrations of a store: one at a time.
#[derive(Debug, Default)]
pub(in crate::store) struct Migrations(Mutex<State>);

/// The right to migrate, until it is dropped.
#[derive(Debug)]
pub(super) struct Ticket<'a> {
    migrations: &'a Migrations,
    running: Arc<Running>,
}

impl Migrations {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn begin(&self, to: &StorePlace) -> Result<Ticket<'_>> {
        let mut state = self.state();
        if state.is_closed {
            return Err(StoreError::MigrationStopped);
        }
        if let Some(running) = &state.running {
            return Err(StoreError::MigrationRuns {
                place: running.to.clone(),
            });
        }
        let running = Arc::new(Running {
            to: to.to_string(),
            bytes: AtomicU64::new(0),
            bytes_total: AtomicU64::new(0),
            is_stopping: AtomicBool::new(false),
        });
        state.running = Some(running.clone());
        Ok(Ticket {
            migrations: self,
            running,
        })
    }

    /// The one that runs.
    pub(super) fn running(&self) -> Option<Migration> {
        self.state().running.as_ref().map(|running| Migration {
            to: running.to.clone(),
            copied: Some(running.copied()),
        })
    }

    /// Stops the one that runs; none begins any more.
    pub(super) fn close(&self) {
        let mut state = self.state();
        state.is_closed = true;
        if let Some(running) = &state.running {
            running.stop();
        }
    }
}

impl Ticket<'_> {
    pub(super) fn running(&self) -> &Running {
        &self.running
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        self.migrations.state().running = None;
    }
}
