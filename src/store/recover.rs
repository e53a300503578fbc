//! What [`Store::open`](super::Store::open) does with the packs an earlier run left open.
//!
//! The catalog's rows are the authority, the spool file is the evidence. Rows
//! may be ahead of the file (power failed) or behind it (the process was
//! killed). The surprise: rows whose bytes are gone are moved to a pack that
//! never existed; it stays `Open` without a file, which is how every later
//! open knows them as lost until the content is written again.

use std::collections::{HashMap, HashSet};

use super::codec::Coding;
use super::error::{Result, StoreError};
use super::membership::Answer;
use super::open_pack::Growing;
use super::pack::{self, HEADER_BYTES, RECORD_HEADER_BYTES};
use super::spool_pack::end_of;
use super::{Damage, Shared, check, fetch};
use crate::catalog::{ChunkRecord, Codec, PackRecord, PackState, atomically};
use crate::model::{ChunkHash, PackId, VersionSeq, WriteClaim};

/// What is wrong with a pack whose rows are ahead of its file.
pub(super) const LOST: &str = "its bytes were lost before they reached the store";

/// Takes up what an earlier run left; returns what was lost.
///
/// A bucket that is away is not asked: packs that were being put go on in the spool, and
/// are put again under the same name.
pub(super) fn recover(
    shared: &Shared,
    packs: &[PackRecord],
    answer: Answer,
) -> Result<Vec<Damage>> {
    let spool: HashSet<PackId> = shared.open_packs.names()?.into_iter().collect();
    let known: HashMap<PackId, PackState> = packs.iter().map(|p| (p.id, p.state)).collect();
    for &pack in &spool {
        let is_looked_at = shared.config.write_claim == WriteClaim::ReadOnly;
        if !is_looked_at {
            shared.backend().clear_leftovers(pack)?;
        }
        match known.get(&pack) {
            Some(PackState::Open) => {}
            Some(PackState::Stored) => shared.open_packs.remove(pack)?,
            // Its rows were never committed, so nothing refers to its bytes: the lease is ours
            // only where the journal says no more than the catalog. A catalog without any
            // pack is no witness, though: it may just have been replaced.
            None if answer == Answer::None => {
                log::warn!("spool: pack {pack} stays until a start that finds the bucket");
            }
            None if is_looked_at => {}
            // A newer catalog may have known it, and the journal says what for.
            None if shared.lease.left_something_behind() => {
                shared.open_packs.set_aside(pack)?;
            }
            None if !known.is_empty() => {
                log::info!("pack {pack} is removed: no row ever spoke of it");
                shared.backend().delete(pack)?;
                shared.open_packs.remove(pack)?;
            }
            None => log::warn!("spool: pack {pack} is not known to the catalog; left alone"),
        }
    }
    let mut lost = Vec::new();
    let mut alive = Vec::new();
    for pack in packs.iter().filter(|pack| pack.state == PackState::Open) {
        let chunks = shared.catalog()?.pack_chunks(pack.id)?;
        if answer == Answer::None && shared.open_packs.is_mark(pack.id) {
            // It was put, and the kill took only its row: not lost, but away.
            continue;
        }
        if answer == Answer::Welcome && adopt_object(shared, pack.id, &chunks)? {
            continue;
        }
        let (growing, lost_pack) = take_up(shared, pack.id, chunks, answer)?;
        alive.extend(growing);
        lost.extend(lost_pack);
    }
    resume(shared, alive);
    let mut damages = Vec::new();
    for pack in lost {
        shared.presence.pack_is_missing(pack);
        damages.push(Damage {
            pack,
            detail: LOST.into(),
            versions: shared.catalog()?.versions_in_pack(pack)?,
        });
    }
    let versions: HashSet<VersionSeq> = damages
        .iter()
        .flat_map(|damage| damage.versions.iter().copied())
        .collect();
    if !versions.is_empty() {
        log::error!(
            "the last bytes of {} versions did not reach the disk before the power failed",
            versions.len()
        );
    }
    Ok(damages)
}

/// Takes up packs whose bucket was away at the start, now that it answers.
pub(super) fn adopt_marked(shared: &Shared) -> Result<()> {
    let packs = shared.catalog()?.packs()?;
    for pack in packs {
        if pack.state == PackState::Open
            && shared.open_packs.readable(pack.id).is_none()
            && shared.open_packs.is_mark(pack.id)
        {
            let chunks = shared.catalog()?.pack_chunks(pack.id)?;
            adopt_object(shared, pack.id, &chunks)?;
        }
    }
    Ok(())
}

/// The pack was put, but its row says `Open`: when the object is whole, it counts.
fn adopt_object(shared: &Shared, id: PackId, chunks: &[ChunkRecord]) -> Result<bool> {
    let backend = shared.backend();
    let Some(bytes) = backend.pack_bytes(id)? else {
        return Ok(false);
    };
    let source = backend.source(id)?;
    let entries = match check::read_table(&backend, &source, id, bytes) {
        Ok(entries) => entries,
        Err(error @ (StoreError::PackDamaged { .. } | StoreError::PackMissing { .. })) => {
            log::warn!("the object of an open pack is not used: {error}");
            return Ok(false);
        }
        Err(error) => return Err(error),
    };
    let in_table: HashSet<_> = entries.iter().map(place_in_pack).collect();
    if !chunks.iter().all(|c| in_table.contains(&place_in_pack(c))) {
        return Ok(false);
    }
    let strangers = bytes_without_rows(shared, entries)?;
    backend.protect(id)?;
    let mut catalog = shared.catalog()?;
    atomically(&mut **catalog, |catalog| {
        for entry in &strangers {
            if catalog.chunk(&entry.hash)?.is_none() {
                catalog.put_chunks(std::slice::from_ref(entry))?;
            }
        }
        catalog.set_pack(&PackRecord {
            id,
            state: PackState::Stored,
            bytes,
        })
    })?;
    drop(catalog);
    shared.open_packs.remove(id)?;
    Ok(true)
}

/// Chunks of which a power failure took the rows: their bytes are in the object, and only
/// a row makes it possible to use them again or to remove them. Nobody else vouches for
/// them, so each is read: a bucket must not name chunks that it does not have, which new
/// content would rely on.
fn bytes_without_rows(shared: &Shared, entries: Vec<ChunkRecord>) -> Result<Vec<ChunkRecord>> {
    let mut found = Vec::new();
    for entry in entries {
        if shared.catalog()?.chunk(&entry.hash)?.is_some() {
            continue;
        }
        match fetch::verified(shared, &entry) {
            Ok(_) => found.push(entry),
            Err(error) if error.is_no_answer() => return Err(error),
            Err(error) => log::warn!("a chunk without a row is left alone: {error}"),
        }
    }
    Ok(found)
}

/// What must agree before one description of a chunk stands for another.
fn place_in_pack(chunk: &ChunkRecord) -> (ChunkHash, u64, u32, u32, Codec) {
    (
        chunk.hash,
        chunk.offset,
        chunk.stored_bytes,
        chunk.plain_bytes,
        chunk.codec,
    )
}

/// Compares rows and file of an open pack. Returns what can go on, and the pack
/// that the lost rows are in now.
fn take_up(
    shared: &Shared,
    id: PackId,
    chunks: Vec<ChunkRecord>,
    answer: Answer,
) -> Result<(Option<Growing>, Option<PackId>)> {
    let bytes = shared.open_packs.load(id)?.unwrap_or_default();
    if !bytes.is_empty() && !shared.backend().is_remote() && answer == Answer::Welcome {
        // An object that is of no use may be this very file: it must not grow there. Beside
        // a mark it is the only one, and stays even if it is damaged.
        shared.backend().delete(id)?;
    }
    let (whole, lost) = if pack::has_header(&bytes, id) {
        let is_whole = |chunk: &&ChunkRecord| is_whole(&shared.coding, &bytes, chunk);
        chunks.iter().partition(is_whole)
    } else {
        (Vec::new(), chunks.clone())
    };
    if whole.is_empty() {
        shared.open_packs.remove(id)?;
        if lost.is_empty() {
            shared.catalog()?.remove_pack(id)?;
            return Ok((None, None));
        }
        return Ok((None, Some(id)));
    }
    let lost_pack = if lost.is_empty() {
        None
    } else {
        Some(move_to_lost_pack(shared, &lost)?)
    };
    let growing = shared.open_packs.take_up(id, whole)?;
    shared.presence.pack_is_there(id);
    Ok((Some(growing), lost_pack))
}

fn is_whole(coding: &Coding, pack_bytes: &[u8], chunk: &ChunkRecord) -> bool {
    let record = chunk
        .offset
        .checked_sub(RECORD_HEADER_BYTES)
        .filter(|start| *start >= HEADER_BYTES)
        .and_then(|start| pack::record_at(pack_bytes, start, chunk.pack));
    record.as_ref() == Some(chunk)
        && pack_bytes
            .get(chunk.offset as usize..end_of(chunk) as usize)
            .is_some_and(|stored| coding.decode(chunk, stored.to_vec()).is_some())
}

fn move_to_lost_pack(shared: &Shared, lost: &[ChunkRecord]) -> Result<PackId> {
    let id = PackId::new(&*shared.clock);
    let moved: Vec<_> = lost
        .iter()
        .map(|chunk| ChunkRecord { pack: id, ..*chunk })
        .collect();
    let mut catalog = shared.catalog()?;
    atomically(&mut **catalog, |catalog| {
        catalog.add_pack(&PackRecord {
            id,
            state: PackState::Open,
            bytes: 0,
        })?;
        catalog.put_chunks(&moved)
    })?;
    Ok(id)
}

/// The pack with most room goes on growing; the others are stored as they are.
fn resume(shared: &Shared, mut alive: Vec<Growing>) {
    alive.sort_by_key(|growing| std::cmp::Reverse(growing.pack.written_bytes()));
    let last = alive.pop();
    for full in alive {
        shared.waiting.push(full);
    }
    match last {
        Some(last) if last.pack.written_bytes() < shared.config.pack_bytes => {
            shared.open_packs.grow_on(last);
        }
        Some(full) => shared.waiting.push(full),
        None => {}
    }
}
