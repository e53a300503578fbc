//! Packs that lie in the store and that the catalog does not know.
//!
//! No damage: no version needs them. The surprise is in the order of the questions.
//! A rewritten pack is put first and known afterwards, and until then a file of its
//! name lies in the spool; so the spool is asked before the catalog.

use std::collections::{HashMap, HashSet};

use super::Shared;
use super::error::Result;
use crate::model::PackId;

/// So many are asked for: a request each. Of more the listing is believed.
const ASKED_MAX: usize = 1000;

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
    let is_unknown = |pack: &PackId| !on_their_way.contains(pack) && !known.contains(pack);
    let unknown = listing.iter().filter(|(pack, _)| is_unknown(pack));
    let mut orphans: Vec<_> = unknown
        .map(|(&pack, &bytes)| Orphan { pack, bytes })
        .collect();
    orphans.sort_unstable_by_key(|orphan| orphan.pack);
    let rest = orphans.split_off(orphans.len().min(ASKED_MAX));
    let mut there = Vec::new();
    for orphan in orphans {
        // One that was known when it was listed may have been removed since.
        if shared.backend().pack_bytes(orphan.pack)?.is_some() {
            there.push(orphan);
        }
    }
    there.extend(rest);
    Ok(there)
}
