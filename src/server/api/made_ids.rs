//! The ids that were made for files that are not backed up, so that they can be found by
//! them again. They are forgotten when there are too many, and with the server.

use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};

use lru::LruCache;

use crate::model::{AssetId, PublicId};

/// The compiler sees that it is not zero.
const REMEMBERED_MAX: NonZeroUsize = NonZeroUsize::new(100_000).unwrap();

/// Ids and the paths that they were made of.
#[derive(Debug)]
pub(super) struct MadeIds(Mutex<LruCache<AssetId, PublicId>>);

impl Default for MadeIds {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(REMEMBERED_MAX)))
    }
}

impl MadeIds {
    pub(super) fn note(&self, asset_id: AssetId, id: &PublicId) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.put(asset_id, id.clone());
    }

    pub(super) fn path_of(&self, asset_id: AssetId) -> Option<PublicId> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&asset_id).cloned()
    }
}
