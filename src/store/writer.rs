//! A stream of bytes becomes a content: cut, hashed, deduplicated, appended.
//!
//! Small contents take a straight path in the calling thread; the long ones are in `long`.
//! The surprise: a chunk and the content that it is alone become known in one step, so
//! that the many small files of a first backup ask the catalog as little as possible.

mod known;
mod long;
mod small;

use std::io::Read;
use std::sync::{Mutex, PoisonError};

use super::chunker::{CHUNK_BYTES_MIN, Tail, read_full};
use super::codec::{Coding, Encoder, hash};
use super::error::{Result, StoreError};
use super::finish::AtBound;
use super::in_flight::Pins;
use super::presence::{Verdict, is_there};
use super::spool_pack::Encoded;
use super::{Shared, Written, abandoned};
use crate::catalog::{Catalog, ChunkRecord, PackRecord, PackState, atomically};
use crate::model::{ChunkHash, ContentId};

/// Buffers for long contents that are kept for the next one.
const LONG_BUFFERS_MAX: usize = 2;

/// What one thread needs to store chunks, kept for the next write.
pub(super) struct Scratch {
    encoder: Encoder,
    head: Vec<u8>,
    long: Vec<u8>,
}

/// Scratch that nobody uses now.
#[derive(Default)]
pub(super) struct ScratchPool(Mutex<Vec<Scratch>>);

impl std::fmt::Debug for ScratchPool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ScratchPool")
    }
}

impl ScratchPool {
    fn take(&self, coding: &Coding, zstd_level: i32) -> Result<Scratch> {
        let pooled = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        pooled.map_or_else(
            || {
                Ok(Scratch {
                    encoder: coding.encoder(zstd_level)?,
                    head: vec![0; CHUNK_BYTES_MIN + 1],
                    long: Vec::new(),
                })
            },
            Ok,
        )
    }

    fn give_back(&self, mut scratch: Scratch) {
        let mut pool = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if pool.iter().filter(|s| s.long.capacity() > 0).count() >= LONG_BUFFERS_MAX {
            scratch.long = Vec::new();
        }
        pool.push(scratch);
    }
}

/// Reads a content to its end and makes it known.
pub(super) fn write(
    shared: &Shared,
    reader: &mut (dyn Read + Send),
    tail: Tail,
    at_bound: AtBound,
) -> Result<Written> {
    let mut scratch = shared
        .scratch
        .take(&shared.coding, shared.config.zstd_level)?;
    let outcome = write_with(shared, reader, &mut scratch, tail, at_bound);
    shared.scratch.give_back(scratch);
    outcome
}

/// Stores many small contents at once; `None` for each that is not so simple.
pub(super) fn write_small(
    shared: &Shared,
    contents: &[&[u8]],
    at_bound: AtBound,
) -> Result<Vec<Option<Written>>> {
    small::write(shared, contents, at_bound)
}

fn write_with(
    shared: &Shared,
    reader: &mut (dyn Read + Send),
    scratch: &mut Scratch,
    tail: Tail,
    at_bound: AtBound,
) -> Result<Written> {
    let filled = read_full(reader, &mut scratch.head).map_err(StoreError::Source)?;
    if filled > CHUNK_BYTES_MIN {
        return long::write(shared, reader, scratch, tail, at_bound);
    }
    let plain = &scratch.head[..filled];
    let blake3 = hash(plain);
    let size = filled as u64;
    let (is_new, content) = if plain.is_empty() {
        let mut catalog = shared.catalog()?;
        (false, content(&mut **catalog, &blake3, 0, &[])?)
    } else {
        let pins = shared.in_flight.begin();
        store_chunk(
            shared,
            at_bound,
            &pins,
            plain,
            &mut scratch.encoder,
            |catalog, chunk| small_content(catalog, &blake3, size, &chunk),
        )?
    };
    Ok(Written {
        content,
        blake3,
        size,
        new_bytes: if is_new { size } else { 0 },
    })
}

fn content(
    catalog: &mut dyn Catalog,
    blake3: &ChunkHash,
    size: u64,
    chunks: &[ChunkHash],
) -> Result<ContentId> {
    match catalog.content_by_hash(blake3, size)? {
        Some(content) => Ok(content),
        None => Ok(catalog.add_content(blake3, size, chunks)?),
    }
}

/// The content that is one chunk.
fn small_content(
    catalog: &mut dyn Catalog,
    blake3: &ChunkHash,
    size: u64,
    chunk: &Stored<'_>,
) -> Result<ContentId> {
    if let Stored::New(row) = chunk
        && catalog.content_by_hash(blake3, size)?.is_none()
        && let Some(content) = catalog.add_content_with_chunk(blake3, size, row)?
    {
        return Ok(content);
    }
    let hash = chunk.record(catalog)?;
    content(catalog, blake3, size, &[hash])
}

/// A chunk whose bytes are where they belong.
enum Stored<'a> {
    /// The catalog knows where.
    Known(ChunkHash),
    /// The catalog knows another place, where it is no more.
    Moved(&'a ChunkRecord),
    /// The catalog knows none of that name.
    New(&'a ChunkRecord),
}

impl Stored<'_> {
    /// Has the catalog know where it is.
    fn record(&self, catalog: &mut dyn Catalog) -> Result<ChunkHash> {
        match self {
            Self::Known(hash) => Ok(*hash),
            Self::Moved(row) | Self::New(row) => {
                catalog.put_chunks(std::slice::from_ref(row))?;
                Ok(row.hash)
            }
        }
    }
}

/// Makes sure that a chunk is stored, then has `record` do what the catalog is to know,
/// under the lock under which the chunk was found. Returns true when it was new.
fn store_chunk<T>(
    shared: &Shared,
    at_bound: AtBound,
    pins: &Pins<'_>,
    plain: &[u8],
    encoder: &mut Encoder,
    record: impl FnOnce(&mut dyn Catalog, Stored<'_>) -> Result<T>,
) -> Result<(bool, T)> {
    // Before the claim: who must not wait must not wait for who does.
    shared
        .waiting
        .wait_for_room(shared.config.spool_bytes_max, at_bound)?;
    let hash = shared.coding.name(plain);
    let _claim = pins.claim(hash);
    let known = {
        let mut catalog = shared.catalog()?;
        let known = catalog.chunk(&hash)?;
        if let Some(chunk) = &known
            && shared.presence.of(chunk) == Verdict::There
        {
            return Ok((false, record(&mut **catalog, Stored::Known(hash))?));
        }
        known
    };
    if let Some(chunk) = &known
        && is_there(shared, chunk)?
    {
        let mut catalog = shared.catalog()?;
        return Ok((false, record(&mut **catalog, Stored::Known(hash))?));
    }
    let (codec, stored) = encoder.encode(&hash, plain)?;
    let encoded = Encoded {
        hash,
        plain_bytes: plain.len() as u32,
        codec,
        stored,
    };
    let value = shared.open_packs.append(
        encoded,
        shared.config.pack_bytes,
        &shared.waiting,
        &*shared.clock,
        |row, is_first| {
            let mut catalog = shared.catalog()?;
            atomically(&mut **catalog, |catalog| {
                if is_first {
                    catalog.add_pack(&PackRecord {
                        id: row.pack,
                        state: PackState::Open,
                        bytes: 0,
                    })?;
                }
                let value = match &known {
                    Some(old) => {
                        let value = record(catalog, Stored::Moved(row))?;
                        abandoned::note(catalog, old.pack)?;
                        value
                    }
                    None => record(catalog, Stored::New(row))?,
                };
                shared.presence.pack_is_there(row.pack);
                Ok(value)
            })
        },
    );
    if let Err(StoreError::Full { .. }) = &value
        && shared.backend().is_remote()
    {
        // The growing pack may be what fills the disk: put, it makes room.
        shared.open_packs.end_growing(&shared.waiting)?;
    }
    let value = value?;
    if known.is_some() {
        shared.presence.chunk_is_whole(hash);
    }
    Ok((true, value))
}

/// The same for a chunk that is one of several, or of no content at all.
fn store_plain(
    shared: &Shared,
    at_bound: AtBound,
    pins: &Pins<'_>,
    plain: &[u8],
    encoder: &mut Encoder,
) -> Result<(bool, ChunkHash)> {
    store_chunk(shared, at_bound, pins, plain, encoder, |catalog, chunk| {
        chunk.record(catalog)
    })
}

/// Stores a chunk though the catalog knows one of that name, whose bytes are gone or
/// lie in a pack that shall go.
pub(super) fn store_anew(shared: &Shared, plain: &[u8], encoder: &mut Encoder) -> Result<()> {
    shared.presence.chunk_is_damaged(shared.coding.name(plain));
    let pins = shared.in_flight.begin();
    store_plain(shared, AtBound::Wait, &pins, plain, encoder).map(|_| ())
}
