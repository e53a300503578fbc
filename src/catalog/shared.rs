//! The catalog as several threads share it, and how they take turns.
//!
//! The surprise: who waits does not fall asleep at once.

use std::sync::{Arc, LockResult, Mutex, MutexGuard, TryLockError};

use super::Catalog;

/// The one catalog of a vault, shared by the rules and the store.
pub type SharedCatalog = Arc<Mutex<Box<dyn Catalog>>>;

/// A turn at the catalog.
pub type CatalogGuard<'a> = MutexGuard<'a, Box<dyn Catalog>>;

/// So often a waiter looks again before it sleeps: some 40 microseconds in all.
const LOOKS_MAX: u32 = 400;
const PAUSES_PER_LOOK: u32 = 8;

/// Waits for a turn. The catalog is held for some ten microseconds, thousands of times
/// a second; to be put to sleep and woken costs a waiter more than that, so it spins first.
///
/// # Errors
/// As [`Mutex::lock`]: when a thread panicked during its turn.
pub fn take_turn(shared: &Mutex<Box<dyn Catalog>>) -> LockResult<CatalogGuard<'_>> {
    for _ in 0..LOOKS_MAX {
        match shared.try_lock() {
            Ok(guard) => return Ok(guard),
            Err(TryLockError::Poisoned(poisoned)) => return Err(poisoned),
            Err(TryLockError::WouldBlock) => {}
        }
        for _ in 0..PAUSES_PER_LOOK {
            std::hint::spin_loop();
        }
    }
    shared.lock()
}
