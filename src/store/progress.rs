//! How far the bytes have come, and how the store is doing: what a status asks.

use super::disk_cache::DiskCacheUse;
use super::error::{Result, StoreError};
use super::{Store, finish, journal, presence};
use crate::model::{ContentId, Timestamp};

/// Packs on their way to the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Unstored {
    /// Packs, the growing one included.
    pub packs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// When the oldest of them was begun.
    pub oldest: Option<Timestamp>,
}

impl Store {
    /// What is in the spool and not in the store yet.
    pub fn unstored(&self) -> Unstored {
        self.shared.open_packs.unstored()
    }

    /// Why no new pack is begun: so much waits for the store. `None`: there is room.
    pub fn bound_reached(&self) -> Option<StoreError> {
        let bytes_max = self.shared.config.spool_bytes_max;
        let is_at_bound = self.shared.waiting.is_at_bound(bytes_max);
        is_at_bound.then_some(StoreError::SpoolAtBound { bytes_max })
    }

    /// How the attempts to put packs ended, since the start.
    pub fn put_attempts(&self) -> finish::Attempts {
        self.shared.waiting.attempts()
    }

    /// When a pack last went from the spool into the store, in whichever run. `None`:
    /// none did yet.
    ///
    /// # Errors
    /// When the catalog fails.
    pub fn last_put(&self) -> Result<Option<Timestamp>> {
        finish::last_put(&self.shared)
    }

    /// True when every byte of a content is in a pack that is in the store.
    ///
    /// # Errors
    /// When the catalog fails.
    pub fn is_uploaded(&self, content: ContentId) -> Result<bool> {
        presence::is_uploaded(&self.shared, content)
    }

    /// Since when the store's journal lacks something that the catalog knows. `None`: it
    /// lacks nothing. To be asked now and then, so that the moment is known.
    ///
    /// # Errors
    /// When the catalog fails.
    pub fn unpublished_since(&self) -> Result<Option<Timestamp>> {
        journal::since(&self.shared)
    }

    /// How the cache on disk is doing. `None`: there is none.
    pub fn disk_cache_use(&self) -> Option<DiskCacheUse> {
        self.shared.disk_cache.usage()
    }

    /// Requests in this run that read parts of packs over a network.
    pub fn read_requests(&self) -> u64 {
        self.shared.backend().reads()
    }
}
