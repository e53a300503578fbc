//! What waits for ingest, what is under way, and what was read and waits to be durable.
//!
//! The work itself is `ingest`, the threads that do it are `workers`.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

use crate::model::{PublicId, VersionSeq};
use crate::store::{Tail, Written};

use super::{VaultError, lock};

/// How long ingest waits after it failed.
pub(super) const RETRY_WAIT: Duration = Duration::from_secs(5);

/// How long it waits for a store that does not answer.
const ANSWER_WAIT: Duration = Duration::from_secs(30);

/// So many versions a walk may be ahead of ingest.
const AHEAD_MAX: usize = 1024;
/// How often the walk looks whether it may go on.
const PACE: Duration = Duration::from_millis(5);

/// Of so many versions it is remembered where they were sealed; the catalog knows of all.
const REMEMBERED_MAX: usize = 1 << 16;

/// What waits for ingest and what is under way.
#[derive(Debug, Default)]
pub(super) struct Ingest {
    pub(super) queue: Mutex<Queue>,
    pub(super) changed: Condvar,
    /// The queue became idle, or blocked.
    pub(super) settled: Condvar,
}

/// The queue's state.
#[derive(Debug, Default)]
pub(super) struct Queue {
    pub(super) waiting: VecDeque<VersionSeq>,
    /// Taken by a worker that has not begun with it, or has not told its end.
    pub(super) taken: HashSet<VersionSeq>,
    /// Where they were sealed. What an earlier run sealed is not here.
    pub(super) sealed_at: HashMap<VersionSeq, SealedAt>,
    pub(super) active: HashSet<VersionSeq>,
    pub(super) written: Vec<(VersionSeq, Written)>,
    pub(super) written_bytes: u64,
    /// When the oldest of `written` was added.
    pub(super) written_since: Option<Instant>,
    /// Somebody waits for everything to be durable.
    pub(super) draining: u32,
    /// Versions that could not be read for the moment.
    pub(super) postponed: Vec<Postponed>,
    /// Threads that take from `waiting`.
    pub(super) workers: usize,
    pub(super) stopping: bool,
    /// Why the store takes nothing at the moment.
    pub(super) blocked: Option<String>,
    /// What the store last left unanswered, as the log has it.
    pub(super) unanswered: Option<String>,
    /// Why packs stay in the spool.
    pub(super) unflushed: Option<String>,
}

/// A version that is tried again later.
#[derive(Debug)]
pub(super) struct Postponed {
    pub(super) seq: VersionSeq,
    pub(super) retry_at: Instant,
    /// What was wrong at the last try.
    pub(super) reason: String,
    pub(super) lacks: Lacking,
}

/// What a version waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lacking {
    /// Its bytes cannot be read.
    Bytes,
    /// The store does not say whether it has chunks of it.
    Answer,
}

impl Postponed {
    pub(super) fn of(seq: VersionSeq, error: &VaultError) -> Self {
        Self {
            seq,
            retry_at: Instant::now() + RETRY_WAIT,
            reason: error.to_string(),
            lacks: Lacking::Bytes,
        }
    }

    /// A store that does not answer will not do so in a moment.
    pub(super) fn unanswered(seq: VersionSeq, reason: String) -> Self {
        Self {
            seq,
            retry_at: Instant::now() + ANSWER_WAIT,
            reason,
            lacks: Lacking::Answer,
        }
    }
}

/// What is known at the seal, and would else cost ingest more than half of its queries.
#[derive(Debug)]
pub(super) struct SealedAt {
    /// Its file had this name. Whoever reads looks whether it still has.
    pub(super) id: PublicId,
    pub(super) tail: Tail,
}

impl Ingest {
    pub(super) fn enqueue(&self, seq: VersionSeq, sealed_at: Option<SealedAt>) {
        let mut queue = lock(&self.queue);
        queue.waiting.push_back(seq);
        if queue.sealed_at.len() < REMEMBERED_MAX {
            queue.sealed_at.extend(sealed_at.map(|at| (seq, at)));
        }
        drop(queue);
        self.changed.notify_all();
    }

    /// Returns when the queue has changed, or after a while.
    pub(super) fn wait_for_change(&self, at_most: Duration) {
        let queue = lock(&self.queue);
        // Woken for whatever reason: the caller looks.
        let _ = self.changed.wait_timeout(queue, at_most);
    }

    /// Returns when a walk over files that were there before may go on: so far ahead
    /// of ingest that what it reads ahead is of use, and not further.
    pub(super) fn keep_pace(&self) {
        let mut queue = lock(&self.queue);
        while queue.waiting.len() > AHEAD_MAX
            && queue.workers > 0
            && !queue.stopping
            && queue.blocked.is_none()
        {
            // Not woken for each version: that would cost more than it brings.
            queue = self
                .settled
                .wait_timeout(queue, PACE)
                .unwrap_or_else(|poisoned| poisoned.into_inner())
                .0;
        }
    }
}

impl Queue {
    pub(super) fn is_idle(&self) -> bool {
        self.waiting.is_empty()
            && self.taken.is_empty()
            && self.active.is_empty()
            && self.written.is_empty()
    }
}
