//! Stored packs that hold bytes which no row tells of, noted until they are rewritten.
//!
//! A chunk that was stored anew elsewhere leaves its old bytes behind, and so does a
//! row that is forgotten; deleting for good must find them all the same.

use std::collections::HashSet;

use super::Shared;
use super::error::{Result, StoreError};
use crate::catalog::{Catalog, atomically};
use crate::model::{ChunkHash, PackId};

/// Ids with a space between.
const SETTING: &str = "store.abandoned";

/// Notes that a pack has such bytes: the next reclaim must rewrite it although no row
/// calls for it.
pub(super) fn note(catalog: &mut dyn Catalog, pack: PackId) -> Result<()> {
    let noted = catalog.setting(SETTING)?.unwrap_or_default();
    let id = pack.to_string();
    if !noted.split(' ').any(|one| one == id) {
        catalog.set_setting(SETTING, Some(format!("{noted} {id}").trim()))?;
    }
    Ok(())
}

/// The packs that were noted.
pub(super) fn noted(catalog: &mut dyn Catalog) -> Result<HashSet<PackId>> {
    let noted = catalog.setting(SETTING)?.unwrap_or_default();
    Ok(noted.split(' ').filter_map(|id| id.parse().ok()).collect())
}

/// These were rewritten; what was noted meanwhile stays noted.
pub(super) fn clear(catalog: &mut dyn Catalog, rewritten: &HashSet<PackId>) -> Result<()> {
    let mut left: Vec<_> = noted(catalog)?.difference(rewritten).copied().collect();
    left.sort_unstable();
    let left: Vec<_> = left.iter().map(PackId::to_string).collect();
    let left = Some(left.join(" ")).filter(|ids| !ids.is_empty());
    Ok(catalog.set_setting(SETTING, left.as_deref())?)
}

/// Forgets the chunks of a pack that nothing references, unless a running write may
/// take one of them back to life.
pub(super) fn forget_dead(shared: &Shared, pack: PackId) -> Result<()> {
    let mut catalog = shared.catalog()?;
    let before = catalog.pack_chunks(pack)?;
    if shared.in_flight.pins_any(&before) {
        return Ok(());
    }
    let mut gone: HashSet<ChunkHash> = before.iter().map(|chunk| chunk.hash).collect();
    atomically(&mut **catalog, |catalog| {
        if catalog.remove_dead_chunks(pack)? > 0 {
            note(catalog, pack)?;
        }
        for chunk in catalog.pack_chunks(pack)? {
            gone.remove(&chunk.hash);
        }
        Ok::<_, StoreError>(())
    })?;
    drop(catalog);
    shared.forget_chunks(&gone)
}
