//! The chunks that running writes are busy with or rely on.
//!
//! A *claim* makes one write the only one to store a chunk; a *pin* keeps
//! [`reclaim`](super::Store::reclaim) from removing a chunk between the moment a
//! write found it and the moment a content refers to it. The surprise: nobody
//! who holds a claim waits for another one, so claims cannot deadlock.

use std::collections::{HashMap, HashSet};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::catalog::ChunkRecord;
use crate::model::ChunkHash;

#[derive(Debug, Default)]
struct State {
    claimed: HashSet<ChunkHash>,
    pins: HashMap<ChunkHash, usize>,
}

/// What all running writes hold.
#[derive(Debug, Default)]
pub(super) struct InFlight {
    state: Mutex<State>,
    changed: Condvar,
}

impl InFlight {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The pins of one write, none yet.
    pub(super) fn begin(&self) -> Pins<'_> {
        Pins {
            in_flight: self,
            hashes: Mutex::default(),
        }
    }

    /// True when a running write relies on one of these chunks.
    pub(super) fn pins_any(&self, chunks: &[ChunkRecord]) -> bool {
        let state = self.state();
        !state.pins.is_empty() && chunks.iter().any(|c| state.pins.contains_key(&c.hash))
    }

    /// Waits until some write ends, or a moment.
    pub(super) fn wait(&self) {
        let state = self.state();
        // Every claim that ends wakes this up too; the caller looks again anyway.
        let _ = self.changed.wait_timeout(state, Duration::from_millis(100));
    }
}

/// The chunks that one write relies on, until it is dropped.
#[derive(Debug)]
pub(super) struct Pins<'a> {
    in_flight: &'a InFlight,
    hashes: Mutex<Vec<ChunkHash>>,
}

impl Pins<'_> {
    /// Pins a chunk, unless another thread stores it at the moment.
    pub(super) fn try_claim(&self, hash: ChunkHash) -> Option<Claim<'_>> {
        let mut state = self.in_flight.state();
        if !state.claimed.insert(hash) {
            return None;
        }
        *state.pins.entry(hash).or_default() += 1;
        drop(state);
        let hashes = self.hashes.lock();
        hashes.unwrap_or_else(PoisonError::into_inner).push(hash);
        Some(Claim {
            in_flight: self.in_flight,
            hash,
        })
    }

    /// Pins a chunk, and waits until no other thread stores it.
    pub(super) fn claim(&self, hash: ChunkHash) -> Claim<'_> {
        self.hashes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(hash);
        let mut state = self.in_flight.state();
        *state.pins.entry(hash).or_default() += 1;
        while !state.claimed.insert(hash) {
            state = self
                .in_flight
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        Claim {
            in_flight: self.in_flight,
            hash,
        }
    }
}

impl Drop for Pins<'_> {
    fn drop(&mut self) {
        let hashes = self.hashes.get_mut();
        let hashes = hashes.unwrap_or_else(PoisonError::into_inner);
        let mut state = self.in_flight.state();
        for hash in hashes {
            if let Some(count) = state.pins.get_mut(hash) {
                *count -= 1;
                if *count == 0 {
                    state.pins.remove(hash);
                }
            }
        }
        drop(state);
        self.in_flight.changed.notify_all();
    }
}

/// The right to store one chunk, until it is dropped.
#[derive(Debug)]
pub(super) struct Claim<'a> {
    in_flight: &'a InFlight,
    hash: ChunkHash,
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.in_flight.state().claimed.remove(&self.hash);
        self.in_flight.changed.notify_all();
    }
}
