//! The files that a walk found and nobody has read yet, between one walk and several readers.
//!
//! The surprise: it also carries the failure of a reader back to the walk.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::NewFile;
use crate::vault::{Result, VaultError, lock};

/// So many files the walk may be ahead of those who read.
const FOUND_MAX: usize = 1024;
/// Files and bytes that one reader asks the kernel for at once.
const BATCH_FILES_MAX: usize = 64;
const BATCH_BYTES_MAX: u64 = 4 << 20;

/// What was found and not taken.
#[derive(Default)]
pub(super) struct FoundFiles {
    state: Mutex<State>,
    /// Something was found, taken, or ended.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    files: VecDeque<NewFile>,
    has_ended: bool,
    readers: usize,
    failure: Option<VaultError>,
}

/// Whether who asks waits until there is something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WhenEmpty {
    Wait,
    GoOn,
}

/// One reader; the walk must not wait for one that is gone.
pub(super) struct Reader<'a>(&'a FoundFiles);

/// Nothing more will be found once this is gone.
pub(super) struct Ends<'a>(&'a FoundFiles);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        lock(&self.0.state).has_ended = true;
        self.0.changed.notify_all();
    }
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        lock(&self.0.state).readers -= 1;
        self.0.changed.notify_all();
    }
}

impl FoundFiles {
    /// One reader more, until it is dropped.
    pub(super) fn reader(&self) -> Reader<'_> {
        lock(&self.state).readers += 1;
        Reader(self)
    }

    /// Adds files; waits first while the readers are far behind.
    ///
    /// # Errors
    /// What a reader failed with.
    pub(super) fn add(&self, files: impl IntoIterator<Item = NewFile>) -> Result<()> {
        let mut state = lock(&self.state);
        while state.files.len() >= FOUND_MAX && state.readers > 0 && state.failure.is_none() {
            state = self.wait(state);
        }
        // With no reader left nobody would take them.
        if state.readers > 0 {
            state.files.extend(files);
        }
        drop(state);
        self.changed.notify_all();
        self.check()
    }

    /// A batch of files; empty: there are none at the moment, or, after a wait, none any more.
    pub(super) fn next(&self, when_empty: WhenEmpty) -> Vec<NewFile> {
        let mut state = lock(&self.state);
        while when_empty == WhenEmpty::Wait && state.files.is_empty() && !state.has_ended {
            state = self.wait(state);
        }
        let was_full = state.files.len() >= FOUND_MAX;
        let mut bytes = 0;
        let fitting = state.files.iter().take(BATCH_FILES_MAX).take_while(|file| {
            let has_room = bytes == 0 || bytes + file.facts.size <= BATCH_BYTES_MAX;
            bytes += file.facts.size;
            has_room
        });
        let count = fitting.count();
        let batch = state.files.drain(..count).collect();
        let has_room = state.files.len() < FOUND_MAX;
        drop(state);
        if was_full && has_room {
            self.changed.notify_all();
        }
        batch
    }

    /// Of the files that nobody has taken.
    pub(super) fn bytes(&self) -> u64 {
        let state = lock(&self.state);
        state.files.iter().map(|file| file.facts.size).sum()
    }

    /// The end, for when the result is dropped.
    pub(super) fn ends_on_drop(&self) -> Ends<'_> {
        Ends(self)
    }

    /// Nothing more is taken, and the walk hears why.
    pub(super) fn fail(&self, error: VaultError) {
        let mut state = lock(&self.state);
        state.failure.get_or_insert(error);
        state.files.clear();
        state.has_ended = true;
        drop(state);
        self.changed.notify_all();
    }

    /// # Errors
    /// What a reader failed with, once.
    pub(super) fn check(&self) -> Result<()> {
        lock(&self.state).failure.take().map_or(Ok(()), Err)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        let waited = self.changed.wait(state);
        waited.unwrap_or_else(PoisonError::into_inner)
    }
}
