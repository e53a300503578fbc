//! Rewrites packs: without their dead chunks, or several small ones into one.
//!
//! The order is the promise: new object durable, rows moved and on disk, then
//! the old objects go. The surprise: which chunks are dead is asked twice,
//! before the copy and with the move; a write may have taken a dead chunk back
//! to life in between, and then the copy is thrown away and made again.

mod copy;

use std::collections::HashSet;

use copy::Copy;

use super::error::{Result, StoreError};
use super::{Shared, admission};
use crate::catalog::{Catalog, ChunkRecord, Durability, PackRecord, PackState, PackUse, Undo};
use crate::model::failpoint::reach;
use crate::model::{ChunkHash, PackId};

/// So many packs are rewritten at once: the catalog is not locked for long.
const GROUP_PACKS_MAX: usize = 64;
/// How often a copy is made again because a chunk came back to life.
const TRIES_MAX: usize = 10;

/// What becomes of dead chunks that a reader has open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OpenDead {
    /// Their packs are left alone until it has closed.
    Spare,
    /// They go like all others.
    Remove,
}

/// What a rewrite came to.
#[derive(Debug, Default)]
pub(super) struct Done {
    /// Bytes that the store is smaller by.
    pub bytes_freed: u64,
    /// Packs that it has less.
    pub packs_gone: u64,
}

/// Rewrites packs in groups of about a full pack. A pack that cannot be read is
/// left as it is, and `first_error` says why. Nothing is done without the lease.
pub(super) fn rewrite(
    shared: &Shared,
    packs: &[PackUse],
    open_dead: OpenDead,
    first_error: &mut Option<StoreError>,
) -> Result<Done> {
    let mut done = Done::default();
    let mut rest = packs;
    if !rest.is_empty() {
        // Asked again before each deletion: who lost it long ago need not begin.
        admission::require(shared)?;
    }
    while !rest.is_empty() {
        let mut live_bytes = 0;
        let fitting = rest
            .iter()
            .take(GROUP_PACKS_MAX)
            .take_while(|usage| {
                live_bytes += usage.live_bytes;
                live_bytes <= shared.config.pack_bytes
            })
            .count();
        let (group, tail) = rest.split_at(fitting.max(1));
        rest = tail;
        let group = group.iter().map(|usage| usage.pack).collect();
        rewrite_group(shared, group, open_dead, first_error, &mut done)?;
    }
    Ok(done)
}

fn rewrite_group(
    shared: &Shared,
    mut group: Vec<PackRecord>,
    open_dead: OpenDead,
    first_error: &mut Option<StoreError>,
    done: &mut Done,
) -> Result<()> {
    for _ in 0..TRIES_MAX {
        let live = wait_and_find_live(shared, &mut group, open_dead)?;
        if group.is_empty() {
            return Ok(());
        }
        let mut copy = Copy::default();
        let unreadable = live.iter().find_map(|chunk| {
            copy.add(shared, chunk, open_dead)
                .err()
                .map(|error| (chunk.pack, error))
        });
        if let Some((pack, error)) = unreadable {
            log::error!("pack {pack} is not rewritten: {error}");
            let waits = matches!(error, StoreError::ChunkDamaged { .. });
            if !(waits && open_dead == OpenDead::Spare) {
                first_error.get_or_insert(error);
            }
            group.retain(|one| one.id != pack);
            if group.is_empty() {
                return Ok(());
            }
            continue;
        }
        if replace(shared, &group, &live, copy, open_dead, done)? == Replaced::Yes {
            return Ok(());
        }
    }
    first_error.get_or_insert(StoreError::Io(
        "packs are in use by running writes: try again later".into(),
    ));
    Ok(())
}

/// The chunks that stay, once no running write relies on any chunk of these packs.
/// Packs to be spared leave the group.
fn wait_and_find_live(
    shared: &Shared,
    group: &mut Vec<PackRecord>,
    open_dead: OpenDead,
) -> Result<Vec<ChunkRecord>> {
    loop {
        let mut catalog = shared.catalog()?;
        if is_pinned(shared, &mut **catalog, group)? {
            drop(catalog);
            shared.in_flight.wait();
            continue;
        }
        let all = chunks_of(&mut **catalog, group)?;
        catalog.savepoint(Undo::Often)?;
        let live = remove_dead(&mut **catalog, group);
        catalog.rollback()?;
        let live = live?;
        let spared = match open_dead {
            OpenDead::Spare => packs_being_read(shared, &all, &live),
            OpenDead::Remove => HashSet::new(),
        };
        if spared.is_empty() {
            return Ok(live);
        }
        log::info!("{} packs wait for readers before a rewrite", spared.len());
        group.retain(|pack| !spared.contains(&pack.id));
    }
}

/// The packs with dead chunks that a reader has open.
fn packs_being_read(shared: &Shared, all: &[ChunkRecord], live: &[ChunkRecord]) -> HashSet<PackId> {
    let live: HashSet<ChunkHash> = live.iter().map(|chunk| chunk.hash).collect();
    let dead = all.iter().filter(|chunk| !live.contains(&chunk.hash));
    let open = shared
        .readers
        .open_among(dead.clone().map(|chunk| chunk.hash).collect());
    dead.filter(|chunk| open.contains(&chunk.hash))
        .map(|chunk| chunk.pack)
        .collect()
}

fn chunks_of(catalog: &mut dyn Catalog, group: &[PackRecord]) -> Result<Vec<ChunkRecord>> {
    let mut chunks = Vec::new();
    for pack in group {
        chunks.extend(catalog.pack_chunks(pack.id)?);
    }
    Ok(chunks)
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
    for pack in group {
        catalog.remove_dead_chunks(pack.id)?;
    }
    chunks_of(catalog, group)
}

/// How moving the rows to another pack ended.
enum Moved {
    /// Nothing changed: the catalog has moved on, or it failed.
    Aborted(Option<StoreError>),
    /// The rows are where they belong, and on disk. With the chunks that are gone.
    Durably(HashSet<ChunkHash>),
    /// Everybody sees the rows moved, but a crash may take that back: until a later
    /// commit succeeds, the bytes are needed in both places. With the chunks whose rows
    /// are gone.
    Uncommitted(StoreError, HashSet<ChunkHash>),
}

/// Whether the copy is in the place of the packs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Replaced {
    Yes,
    /// The catalog has moved on, and nothing was changed.
    No,
}

/// Puts the copy in the place of the packs.
fn replace(
    shared: &Shared,
    group: &[PackRecord],
    live: &[ChunkRecord],
    mut copy: Copy,
    open_dead: OpenDead,
    done: &mut Done,
) -> Result<Replaced> {
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
        if let Err(error) = shared.backend().put(sign.id, bytes) {
            discard(shared, sign.id);
            return Err(error);
        }
        made = Some(record);
    }
    reach("store.reclaim.after-put");
    let chunks = Chunks {
        live,
        moved: &copy.chunks,
        open_dead,
    };
    let dead = match move_rows(shared, group, &chunks, made.as_ref()) {
        Moved::Durably(dead) => dead,
        Moved::Aborted(error) => {
            if let Some(made) = made {
                discard(shared, made.id);
            }
            return error.map_or(Ok(Replaced::No), Err);
        }
        Moved::Uncommitted(error, dead) => {
            log::error!("the rewritten packs are kept, and so is what replaces them: {error}");
            if let Some(made) = made {
                shared.presence.pack_is_there(made.id);
                shared.waiting.keep_mark(made.id);
            }
            if let Err(error) = shared.doom(&dead) {
                log::warn!("{error}");
            }
            return Err(error);
        }
    };
    // Before anything can fail: what no row names any more, no later rewrite would find.
    let doomed = shared.doom(&dead);
    reach("store.reclaim.after-commit");
    if let Some(made) = made {
        shared.presence.pack_is_there(made.id);
        shared.open_packs.remove(made.id)?;
    }
    // It may have been ours when this began: to read and to copy takes its time.
    shared.lease.require(&shared.backend())?;
    let bytes_before: u64 = group.iter().map(|pack| pack.bytes).sum();
    for pack in group {
        shared.backend().delete(pack.id)?;
        shared.sources.forget(pack.id);
        reach("store.reclaim.after-delete");
        shared.catalog()?.remove_pack(pack.id)?;
        shared.presence.forget_pack(pack.id);
    }
    let bytes_after = made.map_or(0, |made| made.bytes);
    done.bytes_freed += bytes_before.saturating_sub(bytes_after);
    done.packs_gone += group.len() as u64 - u64::from(made.is_some());
    doomed?;
    shared.forget_chunks(&dead)?;
    Ok(Replaced::Yes)
}

/// What becomes of the chunks of a group.
struct Chunks<'a> {
    /// Those that were found to stay.
    live: &'a [ChunkRecord],
    /// The same in the pack that was made of them.
    moved: &'a [ChunkRecord],
    open_dead: OpenDead,
}

/// Removes the dead rows, moves the live ones, and has that on disk.
fn move_rows(
    shared: &Shared,
    group: &[PackRecord],
    chunks: &Chunks<'_>,
    made: Option<&PackRecord>,
) -> Moved {
    let begun = shared.catalog().and_then(|mut catalog| {
        catalog.savepoint(Undo::Often)?;
        Ok(catalog)
    });
    let mut catalog = match begun {
        Ok(catalog) => catalog,
        Err(error) => return Moved::Aborted(Some(error)),
    };
    let dead = match move_visibly(shared, &mut **catalog, group, chunks, made) {
        Ok(Some(dead)) => dead,
        other => {
            return match catalog.rollback() {
                Ok(()) => Moved::Aborted(other.err()),
                // Nobody knows what a later commit would write.
                Err(error) => Moved::Uncommitted(error.into(), HashSet::new()),
            };
        }
    };
    let released = catalog.release();
    match released.and_then(|()| catalog.commit(Durability::Power)) {
        Ok(()) => Moved::Durably(dead),
        Err(error) => Moved::Uncommitted(error.into(), dead),
    }
}

/// Moves the rows, to be rolled back unless it returns the chunks that are gone.
fn move_visibly(
    shared: &Shared,
    catalog: &mut dyn Catalog,
    group: &[PackRecord],
    chunks: &Chunks<'_>,
    made: Option<&PackRecord>,
) -> Result<Option<HashSet<ChunkHash>>> {
    if is_pinned(shared, catalog, group)? {
        return Ok(None);
    }
    let all = chunks_of(catalog, group)?;
    let mut dead: HashSet<ChunkHash> = all.iter().map(|chunk| chunk.hash).collect();
    for chunk in chunks.live {
        dead.remove(&chunk.hash);
    }
    let is_spared =
        chunks.open_dead == OpenDead::Spare && !shared.readers.open_among(dead.clone()).is_empty();
    if is_spared || remove_dead(catalog, group)? != chunks.live {
        return Ok(None);
    }
    if let Some(made) = made {
        catalog.add_pack(made)?;
        catalog.put_chunks(chunks.moved)?;
    }
    Ok(Some(dead))
}

fn discard(shared: &Shared, pack: PackId) {
    let removed = shared.backend().delete(pack);
    if let Err(error) = removed.and_then(|()| shared.open_packs.remove(pack)) {
        log::warn!("a pack that is not needed stays in the store: {error}");
    }
}
