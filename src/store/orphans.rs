//! Packs that lie in the store and that the catalog does not know.
//!
//! No damage: no version needs them. The surprise is in the order of the questions.
//! A rewritten pack is put first and known afterwards, and until then a file of its
//! name lies in the spool; so the spool is asked before the catalog.

use std::collections::{HashMap, HashSet};

use super::Shared;
use super::error::Result;
use crate::model::PackId;

/// A pack that the catalog does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Orphan {
    /// Its name.
    pub pack: PackId,
    /// Bytes of its object.
    pub bytes: u64,
}

/// The orphans in a `listing` of the store that was made before, by name.
pub(super) fn find(shared: &Shared, listing: &HashMap<PackId, u64>) -> Result<Vec<Orphan>> {
    let on_their_way: HashSet<PackId> = shared.open_packs.names()?.into_iter().collect();
    let packs = shared.catalog()?.packs()?;
    let known: HashSet<PackId> = packs.iter().map(|pack| pack.id).collect();
    let mut orphans = Vec::new();
    for (&pack, &bytes) in listing {
        // One that was known when it was listed may have been removed since.
        if !on_their_way.contains(&pack)
            && !known.contains(&pack)
            && shared.backend().pack_bytes(pack)?.is_some()
        {
            orphans.push(Orphan { pack, bytes });
        }
    }
    orphans.sort_unstable_by_key(|orphan| orphan.pack);
    Ok(orphans)
}
