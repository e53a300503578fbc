//! Brings in the background what readers will probably want next.
//!
//! The surprise: read-ahead is a wish. A reader that catches up with it fetches by
//! itself instead of waiting in the queue.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::Shared;
use super::fetch;
use crate::catalog::ChunkRecord;

/// Wishes that are kept; older ones are forgotten.
const WISHES_MAX: usize = 64;

#[derive(Debug, Default)]
struct Wishes {
    /// Groups of chunks that come together.
    queue: VecDeque<Vec<ChunkRecord>>,
    is_stopping: bool,
}

/// The chunks that readers will probably want next.
#[derive(Debug, Default)]
pub(super) struct ReadAhead {
    wishes: Mutex<Wishes>,
    changed: Condvar,
}

impl ReadAhead {
    fn wishes(&self) -> MutexGuard<'_, Wishes> {
        self.wishes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wishes for chunks, in the order of their use.
    pub(super) fn wish(&self, shared: &Shared, chunks: &[ChunkRecord]) {
        let groups = fetch::runs(shared, chunks);
        let mut wishes = self.wishes();
        wishes.queue.extend(groups);
        let excess = wishes.queue.len().saturating_sub(WISHES_MAX);
        wishes.queue.drain(..excess);
        drop(wishes);
        self.changed.notify_all();
    }

    /// Ends every [`run`](Self::run).
    pub(super) fn stop(&self) {
        self.wishes().is_stopping = true;
        self.changed.notify_all();
    }

    /// Brings chunks until [`stop`](Self::stop).
    pub(super) fn run(&self, shared: &Shared) {
        let mut wishes = self.wishes();
        while !wishes.is_stopping {
            let Some(wish) = wishes.queue.pop_front() else {
                let woken = self.changed.wait(wishes);
                wishes = woken.unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            drop(wishes);
            fetch::bring(shared, &wish);
            wishes = self.wishes();
        }
    }
}
