//! Compares the store with the catalog, and on request every chunk with its name.
//!
//! Changes nothing; what it finds damaged is remembered, so that no new content
//! relies on it. The surprise: packs move while it looks, so whatever seems
//! wrong is looked at once more with fresh rows before it counts.

use std::collections::{HashMap, HashSet};

use super::backend::{Backend, PackSource};
use super::error::{Result, StoreError};
use super::pack::{
    HEADER_BYTES, PACK_BYTES_MAX, RECORD_HEADER_BYTES, TRAILER_BYTES, TableSpan, has_clean_reserve,
    has_header, record_header,
};
use super::spool_pack::end_of;
use super::{CheckDepth, Damage, Findings, Shared, fetch, orphans, recover, sample};
use crate::catalog::{ChunkRecord, PackRecord, PackState};
use crate::model::{ChunkHash, PackId};

/// Reads the table of a pack of `pack_bytes`.
pub(super) fn read_table(
    backend: &Backend,
    source: &PackSource,
    id: PackId,
    pack_bytes: u64,
) -> Result<Vec<ChunkRecord>> {
    let damaged = |detail: String| StoreError::PackDamaged { pack: id, detail };
    if pack_bytes > PACK_BYTES_MAX {
        return Err(damaged(format!("no pack is as long as {pack_bytes} bytes")));
    }
    let mut trailer = [0; TRAILER_BYTES as usize];
    let trailer_at = pack_bytes
        .checked_sub(TRAILER_BYTES)
        .ok_or_else(|| damaged("it is too short for a pack".into()))?;
    backend.read(source, id, trailer_at, &mut trailer)?;
    let span = TableSpan::from_trailer(&trailer, pack_bytes).map_err(damaged)?;
    let mut table = vec![0; span.bytes as usize];
    backend.read(source, id, span.offset, &mut table)?;
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
    /// Not looked at; the pack's table is damaged, so it may be any.
    Perhaps,
    Chunks(Vec<ChunkHash>),
}

/// Looks at every pack that the catalog knows.
pub(super) fn check(
    shared: &Shared,
    depth: CheckDepth,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Findings> {
    // Put before a kill, and the bucket was away at the start: not lost.
    recover::adopt_marked(shared)?;
    let packs = shared.catalog()?.packs()?;
    let listing: HashMap<PackId, u64> = shared.backend().list(packs.len())?;
    let sample = match depth {
        CheckDepth::Sample(share) => Some(sample::choose(shared, share, &packs)?),
        CheckDepth::Listing | CheckDepth::ReadData => None,
    };
    let bytes_in_all: u64 = packs.iter().map(|pack| pack.bytes).sum();
    let mut bytes_done = 0;
    let mut damages = Vec::new();
    progress(0, bytes_in_all);
    for pack in &packs {
        let listed = listing.get(&pack.id).copied();
        let depth = match &sample {
            None => depth,
            Some(sample) if sample.has(pack.id) => CheckDepth::ReadData,
            Some(_) => CheckDepth::Listing,
        };
        let mut flaw = check_pack(shared, pack, listed, depth)?;
        if flaw.is_some() {
            flaw = look_again(shared, pack.id, depth)?;
        }
        match flaw {
            None if pack.state == PackState::Stored => shared.presence.pack_is_there(pack.id),
            None => {}
            Some(flaw) => damages.push(damage_of(shared, pack.id, flaw)?),
        }
        bytes_done += pack.bytes;
        progress(bytes_done, bytes_in_all);
    }
    Ok(Findings {
        damages,
        orphans: orphans::find(shared, &listing)?,
        sampled: sample.map(|sample| sample.finish(shared)).transpose()?,
    })
}

/// What is wrong with a pack, every byte of it read. `None`: nothing, or it is gone.
pub(super) fn damage(shared: &Shared, pack: PackId) -> Result<Option<Damage>> {
    look_again(shared, pack, CheckDepth::ReadData)?
        .map(|flaw| damage_of(shared, pack, flaw))
        .transpose()
}

/// Checks a pack with fresh rows and through a fresh descriptor.
fn look_again(shared: &Shared, id: PackId, depth: CheckDepth) -> Result<Option<Flaw>> {
    let fresh = shared.catalog()?.packs()?;
    let Some(fresh) = fresh.iter().find(|fresh| fresh.id == id) else {
        return Ok(None);
    };
    shared.sources.forget(id);
    let listed = shared.backend().pack_bytes(id)?;
    check_pack(shared, fresh, listed, depth)
}

fn damage_of(shared: &Shared, pack: PackId, flaw: Flaw) -> Result<Damage> {
    let Flaw { detail, hurt } = flaw;
    log::error!("pack {pack}: {detail}");
    let mut catalog = shared.catalog()?;
    let versions = match hurt {
        Hurt::All | Hurt::Perhaps => catalog.versions_in_pack(pack)?,
        Hurt::Chunks(chunks) => catalog.versions_with_chunks(&chunks)?,
    };
    Ok(Damage {
        pack,
        detail,
        versions,
    })
}

/// True when a pack is there with its size and its table; its chunks are not read.
pub(super) fn is_sound(shared: &Shared, pack: &PackRecord) -> Result<bool> {
    let listed = shared.backend().pack_bytes(pack.id)?;
    Ok(check_pack(shared, pack, listed, CheckDepth::Listing)?.is_none())
}

/// What a look at the pack of a chunk showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    /// It is there, and its table, which is put last, says that the chunk is in it.
    There,
    /// It is missing or damaged, or the chunk is not in it.
    Gone,
    /// This machine could not read it: a bad place on its disk, or something that passes.
    Unreadable,
}

/// Looks whether the pack of a chunk is there and has it.
pub(super) fn look_for_chunk(shared: &Shared, chunk: &ChunkRecord) -> Result<Seen> {
    let backend = shared.backend();
    let table = backend.pack_bytes(chunk.pack).and_then(|bytes| {
        let missing = StoreError::PackMissing { pack: chunk.pack };
        let source = backend.source(chunk.pack)?;
        read_table(&backend, &source, chunk.pack, bytes.ok_or(missing)?)
    });
    match table {
        Ok(entries) => match flaw_of_table(&entries, std::slice::from_ref(chunk)) {
            None => Ok(Seen::There),
            Some(_) => Ok(Seen::Gone),
        },
        Err(StoreError::PackMissing { .. } | StoreError::PackDamaged { .. }) => Ok(Seen::Gone),
        Err(error) if error.is_no_answer() => Err(error),
        Err(error) => {
            log::warn!("pack {}: {error}", chunk.pack);
            Ok(Seen::Unreadable)
        }
    }
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
    let is_lost = matches!(
        flaw,
        Some(Flaw {
            hurt: Hurt::All,
            ..
        })
    );
    if is_lost || depth != CheckDepth::ReadData {
        return Ok(flaw);
    }
    let mut details: Vec<String> = flaw.into_iter().map(|flaw| flaw.detail).collect();
    details.extend(flaw_of_frame(shared, pack)?.map(String::from));
    let mut hurt = Hurt::Chunks(Vec::new());
    if let Some(flaw) = flaw_of_chunks(shared, &chunks)? {
        details.push(flaw.detail);
        hurt = flaw.hurt;
    }
    Ok((!details.is_empty()).then(|| Flaw {
        detail: details.join("; "),
        hurt,
    }))
}

fn flaw_of_open(shared: &Shared, id: PackId, chunks: &[ChunkRecord]) -> Option<Flaw> {
    let Some(spool) = shared.open_packs.readable(id) else {
        return Some(lost(recover::LOST));
    };
    let end = chunks.iter().map(end_of).max().unwrap_or(0);
    (spool.written_bytes() < end).then(|| lost("its file in the spool is cut short"))
}

fn lost(detail: impl Into<String>) -> Flaw {
    Flaw {
        detail: detail.into(),
        hurt: Hurt::All,
    }
}

fn flaw_of_stored(
    shared: &Shared,
    pack: &PackRecord,
    listed: Option<u64>,
    chunks: &[ChunkRecord],
) -> Result<Option<Flaw>> {
    let Some(bytes) = listed else {
        return Ok(Some(lost("missing from the store")));
    };
    if bytes != pack.bytes {
        let detail = format!("{bytes} bytes instead of {}", pack.bytes);
        return Ok(Some(lost(detail)));
    }
    let backend = shared.backend();
    let source = backend.source(pack.id);
    let detail = match source.and_then(|source| read_table(&backend, &source, pack.id, bytes)) {
        Ok(entries) => flaw_of_table(&entries, chunks),
        Err(StoreError::PackDamaged { detail, .. }) => Some(detail),
        Err(StoreError::PackMissing { .. }) => return Ok(Some(lost("missing from the store"))),
        Err(error) if error.is_no_answer() => return Err(error),
        // As a rule a bad place on the disk.
        Err(error) => Some(format!("its table cannot be read: {error}")),
    };
    Ok(detail.map(|detail| Flaw {
        detail,
        hurt: Hurt::Perhaps,
    }))
}

/// What the table of a pack lacks of the chunks that the catalog has in it.
pub(super) fn flaw_of_table(entries: &[ChunkRecord], chunks: &[ChunkRecord]) -> Option<String> {
    let place = |c: &ChunkRecord| (c.hash, c.offset, c.stored_bytes, c.plain_bytes, c.codec);
    let entries: HashSet<_> = entries.iter().map(place).collect();
    let strangers = chunks.iter().filter(|c| !entries.contains(&place(c)));
    let strangers = strangers.count();
    (strangers > 0).then(|| format!("its table lacks {strangers} of the {} chunks", chunks.len()))
}

/// Damage in bytes that no reader needs while there is a catalog.
fn flaw_of_frame(shared: &Shared, pack: &PackRecord) -> Result<Option<&'static str>> {
    let mut header = [0; HEADER_BYTES as usize];
    let read = fetch::read(shared, pack.id, 0, &mut header);
    if !is_answered(read)? || !has_header(&header, pack.id) {
        return Ok(Some("its header is damaged"));
    }
    // A trailer that cannot be read was noticed with its table.
    let mut trailer = [0; TRAILER_BYTES as usize];
    let Some(trailer_at) = pack.bytes.checked_sub(TRAILER_BYTES) else {
        return Ok(None);
    };
    let read = is_answered(fetch::read(shared, pack.id, trailer_at, &mut trailer))?;
    let is_flawed = pack.state == PackState::Stored && read && !has_clean_reserve(&trailer);
    Ok(is_flawed.then_some("its trailer is damaged"))
}

/// Whether a read went well. That nobody answered is no damage.
fn is_answered(read: Result<()>) -> Result<bool> {
    match read {
        Err(error) if error.is_no_answer() => Err(error),
        read => Ok(read.is_ok()),
    }
}

fn flaw_of_chunks(shared: &Shared, chunks: &[ChunkRecord]) -> Result<Option<Flaw>> {
    let mut damaged = Vec::new();
    let mut wrong_headers = 0;
    let mut unreadable = None;
    for chunk in chunks {
        match fetch::record_bytes(shared, chunk) {
            Ok(mut header) => {
                let stored = header.split_off(RECORD_HEADER_BYTES as usize);
                wrong_headers += usize::from(header != record_header(chunk));
                if shared.coding.decode(chunk, stored).is_some() {
                    shared.presence.chunk_is_whole(chunk.hash);
                    continue;
                }
            }
            Err(error @ StoreError::PackMissing { .. }) => {
                return Ok(Some(lost(format!("cannot be read: {error}"))));
            }
            Err(error) if error.is_no_answer() => return Err(error),
            // As a rule a bad place on the disk; the rest may be readable.
            Err(error) => unreadable = unreadable.or(Some(error)),
        }
        shared.presence.chunk_is_damaged(chunk.hash);
        damaged.push(chunk.hash);
    }
    let all = chunks.len();
    let mut details = Vec::new();
    if wrong_headers > 0 {
        details.push(format!(
            "{wrong_headers} of {all} records are not headed as its table says"
        ));
    }
    if let Some(first) = damaged.first() {
        let bad = damaged.len();
        details.push(match unreadable {
            None => {
                format!("{bad} of {all} chunks do not match their blake3, the first is {first}")
            }
            Some(error) => format!("{bad} of {all} chunks are damaged or cannot be read: {error}"),
        });
    }
    Ok((!details.is_empty()).then(|| Flaw {
        detail: details.join("; "),
        hurt: Hurt::Chunks(damaged),
    }))
}
