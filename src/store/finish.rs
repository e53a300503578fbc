//! Takes full packs from the spool into the store, on threads of its own.
//!
//! The order is the promise: object durable, then the row says `Stored`, then
//! the spool file goes. The surprise: an empty file stays in its place until the
//! catalog has the row on disk; until then its name tells an open after a crash
//! that the object may be one that the catalog never heard of.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::error::{Result, StoreError, Writer};
use super::open_pack::{Growing, spool_error};
use super::{Shared, journal, pack};
use crate::catalog::{Durability, PackRecord, PackState};
use crate::model::PackId;
use crate::model::failpoint::reach;

/// While one waits for the disk to flush, another one reads and writes.
pub(super) const THREADS: usize = 2;
/// Names of stored packs that stay in the spool until the catalog is flushed for them.
const MARKS_MAX: usize = 64;
const STORING: &str = "storing a pack";
const RETRY_AFTER: Duration = Duration::from_secs(30);

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Growing>,
    /// Packs that a thread is at.
    in_hand: usize,
    /// How often an attempt failed, and why the last one did.
    failures: u64,
    last_failure: Option<Failure>,
    /// Somebody wants a failed attempt repeated now.
    is_poked: bool,
    is_stopping: bool,
    /// Stored packs whose spool file is empty but still there.
    marks: Vec<PackId>,
}

#[derive(Debug, Clone)]
enum Failure {
    Full(&'static str),
    Away(String),
    Denied(String),
    Fenced(Writer),
    Other(String),
}

impl State {
    fn left(&self) -> usize {
        self.waiting.len() + self.in_hand
    }

    fn has_room(&self, bytes_max: u64) -> bool {
        let waiting = self.waiting.iter().map(|full| full.pack.written_bytes());
        waiting.sum::<u64>() <= bytes_max
    }
}

impl Failure {
    fn of(error: &StoreError) -> Self {
        match error {
            StoreError::Full { what } => Failure::Full(what),
            StoreError::Unreachable { detail, .. } => Failure::Away(detail.clone()),
            StoreError::Denied { detail, .. } => Failure::Denied(detail.clone()),
            StoreError::Fenced(writer) => Failure::Fenced(writer.clone()),
            other => Failure::Other(other.to_string()),
        }
    }

    fn error(&self) -> StoreError {
        match self {
            Failure::Full(what) => StoreError::Full { what },
            Failure::Fenced(writer) => StoreError::Fenced(writer.clone()),
            Failure::Away(detail) => StoreError::Unreachable {
                doing: STORING.into(),
                detail: detail.clone(),
            },
            Failure::Denied(detail) => StoreError::Denied {
                doing: STORING.into(),
                detail: detail.clone(),
            },
            Failure::Other(detail) => StoreError::Io(format!("storing a pack: {detail}")),
        }
    }
}

/// The full packs that wait to be stored.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    state: Mutex<State>,
    changed: Condvar,
}

impl Waiting {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed
            .wait(state)
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a full pack.
    pub(super) fn push(&self, full: Growing) {
        let mut state = self.state();
        state.waiting.push_back(full);
        state.is_poked = true;
        self.changed.notify_all();
    }

    /// Returns when no pack waits, or with the error that keeps them.
    pub(super) fn wait_for_all(&self) -> Result<()> {
        self.wait_until(|state| state.left() == 0)
    }

    fn wait_until(&self, is_done: impl Fn(&State) -> bool) -> Result<()> {
        let mut state = self.state();
        let failures = state.failures;
        if !is_done(&state) {
            state.is_poked = true;
            self.changed.notify_all();
        }
        while !is_done(&state) && !state.is_stopping {
            if let Some(failure) = &state.last_failure
                && state.failures > failures
            {
                return Err(failure.error());
            }
            state = self.wait(state);
        }
        Ok(())
    }

    /// Returns when what waits is within the spool's bound, or with the error that
    /// keeps it there.
    pub(super) fn wait_for_room(&self, bytes_max: u64) -> Result<()> {
        self.wait_until(|state| state.has_room(bytes_max))
    }

    /// Keeps the spool file of a stored pack until the catalog is flushed for it.
    pub(super) fn keep_mark(&self, pack: PackId) {
        self.state().marks.push(pack);
    }

    /// Ends [`run`] after the pack it is at.
    pub(super) fn stop(&self) {
        self.state().is_stopping = true;
        self.changed.notify_all();
    }
}

/// Stores full packs until [`Waiting::stop`].
pub(super) fn run(shared: &Shared) {
    let waiting = &shared.waiting;
    let mut state = waiting.state();
    while !state.is_stopping {
        let must_wait = state.last_failure.is_some() && !state.is_poked;
        let next = if must_wait {
            None
        } else {
            state.waiting.pop_front()
        };
        let Some(full) = next else {
            let timed = waiting.changed.wait_timeout(state, RETRY_AFTER);
            let (woken, timeout) = timed.unwrap_or_else(PoisonError::into_inner);
            state = woken;
            state.is_poked |= timeout.timed_out();
            continue;
        };
        state.in_hand += 1;
        state.is_poked &= !state.waiting.is_empty();
        drop(state);
        let outcome = store(shared, &full);
        state = waiting.state();
        state.in_hand -= 1;
        match outcome {
            Ok(()) => {
                state.last_failure = None;
                state.marks.push(full.pack.id);
                drop(state);
                journal::keep_up(shared);
                state = waiting.state();
            }
            Err(error) => {
                log::error!("pack {} stays in the spool: {error}", full.pack.id);
                state.failures += 1;
                state.last_failure = Some(Failure::of(&error));
                state.is_poked = false;
                state.waiting.push_front(full);
            }
        }
        waiting.changed.notify_all();
        if state.marks.len() >= MARKS_MAX {
            drop(state);
            remove_marks(shared);
            state = waiting.state();
        }
    }
}

fn store(shared: &Shared, full: &Growing) -> Result<()> {
    shared.lease.permit_put(&shared.backend)?;
    let id = full.pack.id;
    let records_end = full.pack.written_bytes();
    let table = pack::table_and_trailer(&full.chunks, records_end);
    let record = PackRecord {
        id,
        state: PackState::Stored,
        bytes: records_end + table.len() as u64,
    };
    reach("store.before-put");
    full.pack.end_with(&table).map_err(spool_error)?;
    reach("store.ended");
    if !shared.backend.adopt(id, &shared.open_packs.path(id))? {
        let mut bytes = vec![0; record.bytes as usize];
        full.pack.read(0, &mut bytes).map_err(spool_error)?;
        shared.backend.put(id, bytes)?;
    }
    reach("store.after-put");
    shared.catalog()?.set_pack(&record)?;
    reach("store.after-stored-row");
    shared.open_packs.make_unreadable(id);
    // The space is a matter of convenience; the object is complete.
    let _ = shared.open_packs.leave_mark(id);
    Ok(())
}

/// Flushes the catalog and removes the spool files of packs that are stored.
/// A failure is logged and costs nothing but their names.
pub(super) fn remove_marks(shared: &Shared) {
    let marks = std::mem::take(&mut shared.waiting.state().marks);
    if marks.is_empty() {
        return;
    }
    let removed = shared
        .catalog()
        .and_then(|mut catalog| Ok(catalog.commit(Durability::Power)?))
        .and_then(|()| {
            marks
                .iter()
                .try_for_each(|&id| shared.open_packs.remove(id))
        });
    if let Err(error) = removed {
        log::warn!("spool files of stored packs are kept for now: {error}");
        shared.waiting.state().marks.extend(marks);
    }
}
