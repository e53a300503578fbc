//! What is done to packs that lie in the store: checked, repaired, rewritten, merged.
//!
//! Whoever rewrites packs does so alone.

use std::collections::HashSet;
use std::sync::{MutexGuard, PoisonError};

use super::error::Result;
use super::{CheckDepth, Findings, LEASE_NAME, Repacked, Repair, Store, check, reclaim, recover};
use crate::model::{PackId, Timestamp};

impl Store {
    /// Compares the store with the catalog. `progress` gets (bytes done, bytes in all).
    ///
    /// # Errors
    /// When store or catalog cannot be read at all; damage is no error.
    pub fn check(&self, depth: CheckDepth, progress: &mut dyn FnMut(u64, u64)) -> Result<Findings> {
        check::check(&self.shared, depth, progress)
    }

    /// Begins to repair packs that a check found damaged: what can still be read of
    /// them is stored anew at once.
    ///
    /// # Errors
    /// When there is no space for it, or the catalog fails.
    pub fn repair(&self, packs: &HashSet<PackId>) -> Result<Repair<'_>> {
        Repair::begin(self, packs)
    }

    /// Rewrites every pack that holds chunks which nothing references, so that
    /// their bytes are gone when it returns. Returns the bytes that were freed.
    /// Waits for running writes that rely on one of these packs.
    ///
    /// # Errors
    /// When a pack could not be rewritten; the others were.
    pub fn reclaim(&self) -> Result<u64> {
        let _alone = self.alone();
        self.flush()?;
        recover::adopt_marked(&self.shared)?;
        reclaim::reclaim(&self.shared)
    }

    /// After a power failure: forgets what was lost and nothing needs, and rewrites packs
    /// with bytes that were stored anew elsewhere.
    ///
    /// # Errors
    /// When a pack could not be rewritten; the others were.
    pub fn tidy(&self) -> Result<()> {
        let _alone = self.alone();
        reclaim::tidy(&self.shared)
    }

    /// Rewrites every pack of which less than this share of the stored bytes is
    /// referenced, one group of about a full pack after the other. A pack with dead
    /// chunks that a reader has open is left to a later call.
    ///
    /// # Errors
    /// When a pack could not be rewritten; the others were.
    pub fn repack(&self, live_percent_min: u8) -> Result<Repacked> {
        let _alone = self.alone();
        if let Err(error) = self.flush() {
            // Full, perhaps: what is in the store already can still be rewritten.
            log::warn!("packs stay in the spool while others are rewritten: {error}");
        }
        reclaim::repack(&self.shared, live_percent_min)
    }

    /// Merges small packs. Returns how many are gone.
    ///
    /// # Errors
    /// When a pack could not be rewritten; the others were.
    pub fn merge_small_packs(&self) -> Result<u64> {
        let _alone = self.alone();
        reclaim::merge_small_packs(&self.shared)
    }

    /// What the bucket's clock says now. `None`: the store is a directory, whose clock is this
    /// machine's, or the bucket does not say.
    ///
    /// # Errors
    /// When the bucket gives no answer.
    pub fn time_there(&self) -> Result<Option<Timestamp>> {
        let backend = self.shared.backend();
        match backend.is_remote() {
            true => backend.time_by(LEASE_NAME),
            false => Ok(None),
        }
    }

    pub(super) fn alone(&self) -> MutexGuard<'_, ()> {
        let maintenance = self.shared.maintenance.lock();
        maintenance.unwrap_or_else(PoisonError::into_inner)
    }
}
