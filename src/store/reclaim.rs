//! Which packs are rewritten: those with bytes that must go, that waste too much, or
//! that are small. How it is done is `rewrite`.

use std::collections::HashSet;

use super::error::{Result, StoreError};
use super::rewrite::{OpenDead, rewrite};
use super::{Shared, abandoned};
use crate::catalog::{Durability, PackState, PackUse, atomically};
use crate::model::PackId;

/// So many small packs make a merge worth its while.
const SMALL_PACKS_MIN: usize = 16;
/// A pack is small below this part of the full size.
const SMALL_PART: u64 = 8;

/// Removes the bytes of all dead chunks. Returns the bytes that were freed.
pub(super) fn reclaim(shared: &Shared) -> Result<u64> {
    rewrite_where(shared, |usage, is_noted| {
        usage.dead_bytes > 0 || usage.live_bytes == 0 || is_noted
    })
}

/// Removes what was lost, or stored anew elsewhere; space that is only wasted may wait.
pub(super) fn tidy(shared: &Shared) -> Result<()> {
    rewrite_where(shared, |usage, is_noted| usage.live_bytes == 0 || is_noted).map(|_| ())
}

/// `is_meant` hears whether a pack is noted as abandoned.
fn rewrite_where(shared: &Shared, is_meant: impl Fn(&PackUse, bool) -> bool) -> Result<u64> {
    let (noted, meant): (HashSet<PackId>, Vec<PackUse>) = {
        let mut catalog = shared.catalog()?;
        // An earlier move may still wait for its commit. Before that is on disk, a pack
        // that looks empty may be the one that a crash brings back into use.
        catalog.commit(Durability::Power)?;
        let noted = abandoned::noted(&mut **catalog)?;
        let meant = catalog
            .pack_use()?
            .into_iter()
            .filter(|usage| usage.pack.state == PackState::Stored)
            .filter(|usage| is_meant(usage, noted.contains(&usage.pack.id)))
            .collect();
        (noted, meant)
    };
    let mut first_error = None;
    let freed = rewrite(shared, &meant, OpenDead::Remove, &mut first_error)?.bytes_freed;
    remove_lost(shared)?;
    match first_error {
        Some(error) => Err(error),
        None => {
            shared.forget_doomed()?;
            abandoned::clear(&mut **shared.catalog()?, &noted)?;
            Ok(freed)
        }
    }
}

/// What [`Store::repack`](super::Store::repack) came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Repacked {
    /// Bytes that the store is smaller by.
    pub freed_bytes: u64,
    /// Bytes that nothing references, in packs that were not worth a rewrite or are
    /// being read.
    pub dead_bytes: u64,
}

/// Rewrites the packs of which too little is referenced. Those with nothing alive go
/// first: that needs no room, and makes some on a full disk.
pub(super) fn repack(shared: &Shared, live_percent_min: u8) -> Result<Repacked> {
    let is_wasteful = |usage: &PackUse| {
        let (live, dead) = (u128::from(usage.live_bytes), u128::from(usage.dead_bytes));
        // One without any chunk is there still because the store did not let it go.
        live == 0 || dead > 0 && live * 100 < (live + dead) * u128::from(live_percent_min)
    };
    let mut wasteful: Vec<PackUse> = {
        let mut catalog = shared.catalog()?;
        // As in `rewrite_where`.
        catalog.commit(Durability::Power)?;
        let packs = catalog.pack_use()?.into_iter();
        packs.filter(is_wasteful).collect()
    };
    wasteful.retain(|usage| !shared.presence.is_missing(usage.pack.id));
    wasteful.sort_by_key(|usage| usage.live_bytes);
    let (empty, others) =
        wasteful.split_at(wasteful.partition_point(|usage| usage.live_bytes == 0));
    let mut first_error = None;
    let mut freed_bytes = 0;
    for packs in [empty, others] {
        freed_bytes += rewrite(shared, packs, OpenDead::Spare, &mut first_error)?.bytes_freed;
    }
    if let Some(error) = first_error {
        return Err(error);
    }
    shared.forget_doomed()?;
    let left = shared.catalog()?.pack_use()?;
    Ok(Repacked {
        freed_bytes,
        dead_bytes: left.iter().map(|usage| usage.dead_bytes).sum(),
    })
}

/// Merges small packs, when there are enough of them. Returns how many are gone.
pub(super) fn merge_small_packs(shared: &Shared) -> Result<u64> {
    let small: Vec<PackUse> = shared
        .catalog()?
        .pack_use()?
        .into_iter()
        .filter(|usage| {
            usage.pack.state == PackState::Stored
                && usage.pack.bytes < shared.config.pack_bytes / SMALL_PART
                && !shared.presence.is_missing(usage.pack.id)
        })
        .collect();
    if small.len() < SMALL_PACKS_MIN {
        return Ok(0);
    }
    let mut first_error = None;
    let done = rewrite(shared, &small, OpenDead::Spare, &mut first_error)?;
    first_error.map_or(Ok(done.packs_gone), Err)
}

/// Rewrites packs whose chunks can all be read.
pub(super) fn rewrite_packs(shared: &Shared, packs: &HashSet<PackId>) -> Result<()> {
    let mut usage = shared.catalog()?.pack_use()?;
    usage.retain(|usage| packs.contains(&usage.pack.id));
    let mut first_error = None;
    rewrite(shared, &usage, OpenDead::Remove, &mut first_error)?;
    remove_lost(shared)?;
    first_error.map_or(Ok(()), Err)
}

/// Forgets the dead among the chunks whose bytes were lost, and packs that never were.
fn remove_lost(shared: &Shared) -> Result<()> {
    let mut gone = HashSet::new();
    let mut catalog = shared.catalog()?;
    for pack in catalog.packs()? {
        let is_lost = pack.state == PackState::Open
            && shared.presence.is_missing(pack.id)
            && shared.open_packs.readable(pack.id).is_none();
        if !is_lost || shared.in_flight.pins_any(&catalog.pack_chunks(pack.id)?) {
            continue;
        }
        gone.extend(catalog.pack_chunks(pack.id)?.iter().map(|chunk| chunk.hash));
        let left = atomically(&mut **catalog, |catalog| {
            catalog.remove_dead_chunks(pack.id)?;
            let left = catalog.pack_chunks(pack.id)?;
            if left.is_empty() {
                catalog.remove_pack(pack.id)?;
            }
            Ok::<_, StoreError>(left)
        })?;
        for chunk in left {
            gone.remove(&chunk.hash);
        }
    }
    drop(catalog);
    shared.forget_chunks(&gone)
}
