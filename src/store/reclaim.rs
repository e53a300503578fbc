//! Rewrites packs: without their dead chunks, or several small ones into one.
//!
//! The order is the promise: new object durable, rows moved and on disk, then
//! the old objects go. The surprise: which chunks are dead is asked twice,
//! before the copy and with the move; a write may have taken a dead chunk back
//! to life in between, and then the copy is thrown away and made again.

use std::collections::HashSet;

use super::codec::decode;
use super::error::{Result, StoreError};
use super::pack::{self, HEADER_BYTES, RECORD_HEADER_BYTES};
use super::{Shared, abandoned, fetch};
use crate::catalog::{
    Catalog, ChunkRecord, Durability, PackRecord, PackState, PackUse, atomically,
};
use crate::model::failpoint::reach;
use crate::model::{ChunkHash, PackId};

/// So many small packs make a merge worth its while.
const SMALL_PACKS_MIN: usize = 16;
/// A pack is small below this part of the full size.
const SMALL_PART: u64 = 8;
/// How often a copy is made again because a chunk came back to life.
const TRIES_MAX: usize = 10;

/// Removes the bytes of all dead chunks. Returns the bytes that were freed.
pub(super) fn reclaim(shared: &Shared) -> Result<u64> {
    let (wasteful, mut first_error) = {
        let mut catalog = shared.catalog()?;
        // An earlier move may still wait for its commit. Before that is on disk, a pack
        // that looks empty may be the one that a crash brings back into use.
        catalog.commit(Durability::Power)?;
        let noted = abandoned::noted(&mut **catalog)?;
        let wasteful: Vec<PackUse> = catalog
            .pack_use()?
            .into_iter()
            .filter(|usage| usage.pack.state == PackState::Stored)
            .filter(|usage| {
                usage.dead_bytes > 0 || usage.live_bytes == 0 || noted.contains(&usage.pack.id)
            })
            .collect();
        (wasteful, None)
    };
    let freed = rewrite(shared, &wasteful, &mut first_error)?.bytes_freed;
    remove_lost(shared)?;
    match first_error {
        Some(error) => Err(error),
        None => {
            abandoned::clear(&mut **shared.catalog()?)?;
            Ok(freed)
        }
    }
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
    let done = rewrite(shared, &small, &mut first_error)?;
    first_error.map_or(Ok(done.packs_gone), Err)
}

/// Rewrites packs whose chunks can all be read.
pub(super) fn rewrite_packs(shared: &Shared, packs: &HashSet<PackId>) -> Result<()> {
    let mut usage = shared.catalog()?.pack_use()?;
    usage.retain(|usage| packs.contains(&usage.pack.id));
    let mut first_error = None;
    rewrite(shared, &usage, &mut first_error)?;
    remove_lost(shared)?;
    first_error.map_or(Ok(()), Err)
}

#[derive(Debug, Default)]
struct Done {
    bytes_freed: u64,
    packs_gone: u64,
}

/// Rewrites packs in groups of about a full pack. A pack that cannot be read is
/// left as it is, and `first_error` says why.
fn rewrite(
    shared: &Shared,
    packs: &[PackUse],
    first_error: &mut Option<StoreError>,
) -> Result<Done> {
    let mut done = Done::default();
    let mut rest = packs;
    while !rest.is_empty() {
        let mut live_bytes = 0;
        let fitting = rest
            .iter()
            .take_while(|usage| {
                live_bytes += usage.live_bytes;
                live_bytes <= shared.config.pack_bytes
            })
            .count();
        let (group, tail) = rest.split_at(fitting.max(1));
        rest = tail;
        let group = group.iter().map(|usage| usage.pack).collect();
        rewrite_group(shared, group, first_error, &mut done)?;
    }
    Ok(done)
}

fn rewrite_group(
    shared: &Shared,
    mut group: Vec<PackRecord>,
    first_error: &mut Option<StoreError>,
    done: &mut Done,
) -> Result<()> {
    for _ in 0..TRIES_MAX {
        let live = wait_and_find_live(shared, &group)?;
        let mut copy = Copy::default();
        let unreadable = live.iter().find_map(|chunk| {
            copy.add(shared, chunk)
                .err()
                .map(|error| (chunk.pack, error))
        });
        if let Some((pack, error)) = unreadable {
            log::error!("pack {pack} is not rewritten: {error}");
            first_error.get_or_insert(error);
            group.retain(|one| one.id != pack);
            if group.is_empty() {
                return Ok(());
            }
            continue;
        }
        if let Some(dead) = replace(shared, &group, &live, copy, done)? {
            for chunk in &dead {
                shared.cache.forget(chunk);
            }
            return Ok(());
        }
    }
    first_error.get_or_insert(StoreError::Io(
        "packs are in use by running writes: try again later".into(),
    ));
    Ok(())
}

/// The chunks that stay, once no running write relies on any chunk of these packs.
fn wait_and_find_live(shared: &Shared, group: &[PackRecord]) -> Result<Vec<ChunkRecord>> {
    loop {
        let mut catalog = shared.catalog()?;
        if !is_pinned(shared, &mut **catalog, group)? {
            catalog.savepoint()?;
            let live = remove_dead(&mut **catalog, group);
            catalog.rollback()?;
            return live;
        }
        drop(catalog);
        shared.in_flight.wait();
    }
}

fn is_pinned(shared: &Shared, catalog: &mut dyn Catalog, group: &[PackRecord]) -> Result<bool> {
    for pack in group {
        if shared.in_flight.pins_any(&catalog.pack_chunks(pack.id)?) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn remove_dead(catalog: &mut dyn Catalog, group: &[PackRecord]) -> Result<Vec<ChunkRecord>> {
    let mut live = Vec::new();
    for pack in group {
        catalog.remove_dead_chunks(pack.id)?;
        live.extend(catalog.pack_chunks(pack.id)?);
    }
    Ok(live)
}

/// A pack in the making.
#[derive(Debug, Default)]
struct Copy {
    bytes: Vec<u8>,
    chunks: Vec<ChunkRecord>,
}

impl Copy {
    fn add(&mut self, shared: &Shared, chunk: &ChunkRecord) -> Result<()> {
        let stored = fetch::stored_bytes(shared, chunk)?;
        if decode(chunk, stored.clone()).is_none() {
            // Its live versions are no worse off than before, and the dead bytes of
            // its pack must go all the same.
            log::error!(
                "chunk {} in pack {} is damaged; it is copied as it is",
                chunk.hash,
                chunk.pack
            );
            shared.presence.chunk_is_damaged(chunk.hash);
        }
        self.bytes
            .resize(self.bytes.len().max(HEADER_BYTES as usize), 0);
        let row = ChunkRecord {
            offset: self.bytes.len() as u64 + RECORD_HEADER_BYTES,
            ..*chunk
        };
        self.bytes.extend_from_slice(&pack::record_header(&row));
        self.bytes.extend_from_slice(&stored);
        self.chunks.push(row);
        Ok(())
    }

    /// The whole pack, under its name.
    fn finish(&mut self, id: PackId) -> Vec<u8> {
        for chunk in &mut self.chunks {
            chunk.pack = id;
        }
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes[..HEADER_BYTES as usize].copy_from_slice(&pack::header(id));
        let table_at = bytes.len() as u64;
        bytes.extend_from_slice(&pack::table_and_trailer(&self.chunks, table_at));
        bytes
    }
}

/// How moving the rows to another pack ended.
enum Moved {
    /// Nothing changed: the catalog has moved on, or it failed.
    Aborted(Option<StoreError>),
    /// The rows are where they belong, and on disk. With the chunks that are gone.
    Durably(HashSet<ChunkHash>),
    /// Everybody sees the rows moved, but a crash may take that back: until a later
    /// commit succeeds, the bytes are needed in both places.
    Uncommitted(StoreError),
}

/// Puts the copy in the place of the packs. Returns the chunks that are gone;
/// `None`: the catalog has moved on, and nothing was changed.
fn replace(
    shared: &Shared,
    group: &[PackRecord],
    live: &[ChunkRecord],
    mut copy: Copy,
    done: &mut Done,
) -> Result<Option<HashSet<ChunkHash>>> {
    let mut made = None;
    if !copy.chunks.is_empty() {
        // The empty file in the spool is the sign by which an open after a crash
        // finds the object, should the catalog never hear of it.
        let sign = shared.open_packs.create(&*shared.clock)?;
        shared.open_packs.sync_directory()?;
        let bytes = copy.finish(sign.id);
        let record = PackRecord {
            id: sign.id,
            state: PackState::Stored,
            bytes: bytes.len() as u64,
        };
        if let Err(error) = shared.backend.put(sign.id, bytes) {
            discard(shared, sign.id);
            return Err(error);
        }
        made = Some(record);
    }
    reach("store.reclaim.after-put");
    let dead = match move_rows(shared, group, live, &copy.chunks, made.as_ref()) {
        Moved::Durably(dead) => dead,
        Moved::Aborted(error) => {
            if let Some(made) = made {
                discard(shared, made.id);
            }
            return error.map_or(Ok(None), Err);
        }
        Moved::Uncommitted(error) => {
            log::error!("the rewritten packs are kept, and so is what replaces them: {error}");
            if let Some(made) = made {
                shared.presence.pack_is_there(made.id);
                shared.waiting.keep_mark(made.id);
            }
            return Err(error);
        }
    };
    reach("store.reclaim.after-commit");
    if let Some(made) = made {
        shared.presence.pack_is_there(made.id);
        shared.open_packs.remove(made.id)?;
    }
    let bytes_before: u64 = group.iter().map(|pack| pack.bytes).sum();
    for pack in group {
        shared.backend.delete(pack.id)?;
        shared.sources.forget(pack.id);
        reach("store.reclaim.after-delete");
        shared.catalog()?.remove_pack(pack.id)?;
        shared.presence.forget_pack(pack.id);
    }
    let bytes_after = made.map_or(0, |made| made.bytes);
    done.bytes_freed += bytes_before.saturating_sub(bytes_after);
    done.packs_gone += group.len() as u64 - u64::from(made.is_some());
    Ok(Some(dead))
}

/// Removes the dead rows, moves the live ones, and has that on disk.
fn move_rows(
    shared: &Shared,
    group: &[PackRecord],
    live: &[ChunkRecord],
    moved: &[ChunkRecord],
    made: Option<&PackRecord>,
) -> Moved {
    let begun = shared.catalog().and_then(|mut catalog| {
        catalog.savepoint()?;
        Ok(catalog)
    });
    let mut catalog = match begun {
        Ok(catalog) => catalog,
        Err(error) => return Moved::Aborted(Some(error)),
    };
    let dead = match move_visibly(shared, &mut **catalog, group, live, moved, made) {
        Ok(Some(dead)) => dead,
        other => {
            return match catalog.rollback() {
                Ok(()) => Moved::Aborted(other.err()),
                // Nobody knows what a later commit would write.
                Err(error) => Moved::Uncommitted(error.into()),
            };
        }
    };
    let released = catalog.release();
    match released.and_then(|()| catalog.commit(Durability::Power)) {
        Ok(()) => Moved::Durably(dead),
        Err(error) => Moved::Uncommitted(error.into()),
    }
}

/// Moves the rows, to be rolled back unless it returns the chunks that are gone.
fn move_visibly(
    shared: &Shared,
    catalog: &mut dyn Catalog,
    group: &[PackRecord],
    live: &[ChunkRecord],
    moved: &[ChunkRecord],
    made: Option<&PackRecord>,
) -> Result<Option<HashSet<ChunkHash>>> {
    if is_pinned(shared, catalog, group)? {
        return Ok(None);
    }
    let mut dead = HashSet::new();
    for pack in group {
        dead.extend(catalog.pack_chunks(pack.id)?.iter().map(|chunk| chunk.hash));
    }
    for chunk in live {
        dead.remove(&chunk.hash);
    }
    if remove_dead(catalog, group)? != live {
        return Ok(None);
    }
    if let Some(made) = made {
        catalog.add_pack(made)?;
        catalog.put_chunks(moved)?;
    }
    Ok(Some(dead))
}

fn discard(shared: &Shared, pack: PackId) {
    let removed = shared.backend.delete(pack);
    if let Err(error) = removed.and_then(|()| shared.open_packs.remove(pack)) {
        log::warn!("a pack that is not needed stays in the store: {error}");
    }
}

/// Forgets the dead among the chunks whose bytes were lost, and packs that never were.
fn remove_lost(shared: &Shared) -> Result<()> {
    let mut catalog = shared.catalog()?;
    for pack in catalog.packs()? {
        let is_lost = pack.state == PackState::Open
            && shared.presence.is_missing(pack.id)
            && shared.open_packs.readable(pack.id).is_none();
        if !is_lost || shared.in_flight.pins_any(&catalog.pack_chunks(pack.id)?) {
            continue;
        }
        atomically(&mut **catalog, |catalog| {
            catalog.remove_dead_chunks(pack.id)?;
            if catalog.pack_chunks(pack.id)?.is_empty() {
                catalog.remove_pack(pack.id)?;
            }
            Ok::<_, StoreError>(())
        })?;
    }
    Ok(())
}
