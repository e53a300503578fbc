//! Chunks that must be in no cache any more: no row names them.
//!
//! The surprise: to forget them once is not enough while their pack is still there, for who
//! has one open may read it again. So they are remembered until their pack is gone, and
//! forgotten again then.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Shared;
use super::error::Result;
use crate::model::ChunkHash;

/// Those whose pack may still be there, or that the cache on disk did not let go.
#[derive(Debug, Default)]
pub(super) struct Doomed(Mutex<HashSet<ChunkHash>>);

impl Doomed {
    fn chunks(&self) -> MutexGuard<'_, HashSet<ChunkHash>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    /// Empties the caches of chunks whose packs are about to go. Where these stay,
    /// [`forget_doomed`](Self::forget_doomed) makes up for that.
    ///
    /// # Errors
    /// When the cache on disk keeps one.
    pub(super) fn doom(&self, chunks: &HashSet<ChunkHash>) -> Result<()> {
        self.doomed.chunks().extend(chunks);
        for chunk in chunks {
            self.cache.forget(chunk);
        }
        self.disk_cache.forget(chunks)
    }

    /// Empties the caches of chunks whose packs are gone.
    ///
    /// # Errors
    /// As [`doom`](Self::doom): they are tried again with all that are doomed.
    pub(super) fn forget_chunks(&self, chunks: &HashSet<ChunkHash>) -> Result<()> {
        self.doom(chunks)?;
        self.doomed.chunks().retain(|chunk| !chunks.contains(chunk));
        Ok(())
    }

    /// No pack is there any more that should have gone.
    ///
    /// # Errors
    /// As [`doom`](Self::doom).
    pub(super) fn forget_doomed(&self) -> Result<()> {
        let doomed = self.doomed.chunks().clone();
        self.forget_chunks(&doomed)
    }
}
