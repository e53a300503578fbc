//! Compares the store with the catalog, and on request every chunk with its name.
//!
//! Changes nothing; what it finds damaged is remembered, so that no new content
//! relies on it. The surprise: packs move while it looks, so whatever seems
//! wrong is looked at once more with fresh rows before it counts.

use std::collections::{HashMap, HashSet};

use super::backend::PackSource;
use super::codec::decode;
use super::error::{Result, StoreError};
use super::open_pack::end_of;
use super::pack::{TRAILER_BYTES, TableSpan};
use super::{CheckDepth, Damage, Shared, fetch};
use crate::catalog::{ChunkRecord, PackRecord, PackState};
use crate::model::{ChunkHash, PackId};

/// Reads the table of a pack of `pack_bytes`.
pub(super) fn read_table(
    shared: &Shared,
    source: &PackSource,
    id: PackId,
    pack_bytes: u64,
) -> Result<Vec<ChunkRecord>> {
    let damaged = |detail: String| StoreError::PackDamaged { pack: id, detail };
    let mut trailer = [0; TRAILER_BYTES as usize];
    let trailer_at = pack_bytes
        .checked_sub(TRAILER_BYTES)
        .ok_or_else(|| damaged("it is too short for a pack".into()))?;
    shared.backend.read(source, id, trailer_at, &mut trailer)?;
    let span = TableSpan::from_trailer(&trailer, pack_bytes).map_err(damaged)?;
    let mut table = vec![0; span.bytes as usize];
    shared.backend.read(source, id, span.offset, &mut table)?;
    span.entries(&table, id).map_err(damaged)
}

/// What is wrong with a pack.
struct Flaw {
    /// In one line.
    detail: String,
    hurt: Hurt,
}

/// The chunks that cannot be read.
enum Hurt {
    All,
    Chunks(Vec<ChunkHash>),
}

/// Looks at every pack that the catalog knows.
pub(super) fn check(
    shared: &Shared,
    depth: CheckDepth,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Vec<Damage>> {
    let packs = shared.catalog()?.packs()?;
    let listing: HashMap<PackId, u64> = shared.backend.list()?.into_iter().collect();
    let bytes_in_all: u64 = packs.iter().map(|pack| pack.bytes).sum();
    let mut bytes_done = 0;
    let mut damages = Vec::new();
    progress(0, bytes_in_all);
    for pack in &packs {
        let listed = listing.get(&pack.id).copied();
        let mut flaw = check_pack(shared, pack, listed, depth)?;
        if flaw.is_some() {
            let fresh = shared.catalog()?.packs()?;
            flaw = match fresh.iter().find(|fresh| fresh.id == pack.id) {
                Some(fresh) => {
                    shared.sources.forget(pack.id);
                    let listed = shared.backend.pack_bytes(pack.id)?;
                    check_pack(shared, fresh, listed, depth)?
                }
                None => None,
            };
        }
        match flaw {
            None if pack.state == PackState::Stored => shared.presence.pack_is_there(pack.id),
            None => {}
            Some(Flaw { detail, hurt }) => {
                log::error!("pack {}: {detail}", pack.id);
                let mut catalog = shared.catalog()?;
                let versions = match hurt {
                    Hurt::All => catalog.versions_in_pack(pack.id)?,
                    Hurt::Chunks(chunks) => catalog.versions_with_chunks(&chunks)?,
                };
                damages.push(Damage {
                    pack: pack.id,
                    detail,
                    versions,
                });
            }
        }
        bytes_done += pack.bytes;
        progress(bytes_done, bytes_in_all);
    }
    Ok(damages)
}

/// `listed`: the size of the pack's object.
fn check_pack(
    shared: &Shared,
    pack: &PackRecord,
    listed: Option<u64>,
    depth: CheckDepth,
) -> Result<Option<Flaw>> {
    let chunks = shared.catalog()?.pack_chunks(pack.id)?;
    if chunks.is_empty() {
        // Rewritten, and about to be removed.
        return Ok(None);
    }
    let flaw = match pack.state {
        PackState::Open => flaw_of_open(shared, pack.id, &chunks),
        PackState::Stored => {
            let flaw = flaw_of_stored(shared, pack, listed, &chunks)?;
            if flaw.is_some() {
                shared.presence.pack_is_missing(pack.id);
            }
            flaw
        }
    };
    match (flaw, depth) {
        (None, CheckDepth::ReadData) => Ok(flaw_of_chunks(shared, &chunks)),
        (flaw, _) => Ok(flaw.map(|detail| Flaw {
            detail,
            hurt: Hurt::All,
        })),
    }
}

fn flaw_of_open(shared: &Shared, id: PackId, chunks: &[ChunkRecord]) -> Option<String> {
    let Some(spool) = shared.open_packs.readable(id) else {
        return Some("its bytes were lost before they reached the store".into());
    };
    let end = chunks.iter().map(end_of).max().unwrap_or(0);
    (spool.written_bytes() < end).then(|| "its file in the spool is cut short".into())
}

fn flaw_of_stored(
    shared: &Shared,
    pack: &PackRecord,
    listed: Option<u64>,
    chunks: &[ChunkRecord],
) -> Result<Option<String>> {
    let Some(bytes) = listed else {
        return Ok(Some("missing from the store".into()));
    };
    if bytes != pack.bytes {
        return Ok(Some(format!("{bytes} bytes instead of {}", pack.bytes)));
    }
    let source = shared.backend.source(pack.id);
    match source.and_then(|source| read_table(shared, &source, pack.id, bytes)) {
        Ok(entries) => {
            let entries: HashSet<_> = entries
                .iter()
                .map(|e| (e.hash, e.offset, e.stored_bytes, e.plain_bytes, e.codec))
                .collect();
            let strangers = chunks
                .iter()
                .filter(|c| {
                    !entries.contains(&(c.hash, c.offset, c.stored_bytes, c.plain_bytes, c.codec))
                })
                .count();
            Ok((strangers > 0)
                .then(|| format!("its table lacks {strangers} of the {} chunks", chunks.len())))
        }
        Err(StoreError::PackDamaged { detail, .. }) => Ok(Some(detail)),
        Err(StoreError::PackMissing { .. }) => Ok(Some("missing from the store".into())),
        Err(error) => Err(error),
    }
}

fn flaw_of_chunks(shared: &Shared, chunks: &[ChunkRecord]) -> Option<Flaw> {
    let mut damaged = Vec::new();
    let mut unreadable = None;
    for chunk in chunks {
        match fetch::stored_bytes(shared, chunk).map(|stored| decode(chunk, stored)) {
            Ok(Some(_)) => {
                shared.presence.chunk_is_whole(chunk.hash);
                continue;
            }
            Ok(None) => {}
            Err(error @ StoreError::PackMissing { .. }) => {
                return Some(Flaw {
                    detail: format!("cannot be read: {error}"),
                    hurt: Hurt::All,
                });
            }
            // As a rule a bad place on the disk; the rest may be readable.
            Err(error) => unreadable = unreadable.or(Some(error)),
        }
        shared.presence.chunk_is_damaged(chunk.hash);
        damaged.push(chunk.hash);
    }
    let first = damaged.first()?;
    let (bad, all) = (damaged.len(), chunks.len());
    let detail = match unreadable {
        None => format!("{bad} of {all} chunks do not match their blake3, the first is {first}"),
        Some(error) => format!("{bad} of {all} chunks are damaged or cannot be read: {error}"),
    };
    Some(Flaw {
        detail,
        hurt: Hurt::Chunks(damaged),
    })
}
