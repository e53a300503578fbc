//! A stream of bytes becomes a content: cut, hashed, deduplicated, appended.
//!
//! Small contents take a straight path in the calling thread; long ones are cut
//! here and hashed and compressed on worker threads. The surprise: the chunks of
//! a long content land in the pack in whatever order they are ready; only the
//! content's list has an order.

use std::io::Read;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;

use super::chunker::{CHUNK_BYTES_MIN, Chunker, Tail, read_full};
use super::codec::{Coding, Encoder, hash};
use super::error::{Result, StoreError};
use super::finish::AtBound;
use super::in_flight::Pins;
use super::open_pack::Encoded;
use super::presence::{Verdict, is_there};
use super::{Shared, Written, abandoned};
use crate::catalog::{Catalog, PackRecord, PackState, atomically};
use crate::model::{ChunkHash, ContentId};

/// So many chunks are stored by the caller before threads are started: a photo
/// is done before they would be.
const CHUNKS_INLINE: usize = 4;
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

fn write_with(
    shared: &Shared,
    reader: &mut (dyn Read + Send),
    scratch: &mut Scratch,
    tail: Tail,
    at_bound: AtBound,
) -> Result<Written> {
    let filled = read_full(reader, &mut scratch.head).map_err(StoreError::Source)?;
    if filled > CHUNK_BYTES_MIN {
        return write_long(shared, reader, scratch, tail, at_bound);
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
            |catalog, chunk| content(catalog, &blake3, size, &[chunk]),
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

/// What a long content has come to so far.
#[derive(Default)]
struct Long {
    whole: blake3::Hasher,
    size: u64,
}

impl Long {
    fn add(&mut self, plain: &[u8]) {
        self.whole.update(plain);
        self.size += plain.len() as u64;
    }
}

fn write_long(
    shared: &Shared,
    reader: &mut (dyn Read + Send),
    scratch: &mut Scratch,
    tail: Tail,
    at_bound: AtBound,
) -> Result<Written> {
    let buffer = std::mem::take(&mut scratch.long);
    let mut chunker = shared.coding.chunker(&scratch.head, reader, buffer, tail);
    let pins = shared.in_flight.begin();
    let mut long = Long::default();
    let mut chunks = Vec::new();
    let mut new_bytes = 0;
    let mut has_more = true;
    while has_more && chunks.len() < CHUNKS_INLINE {
        match chunker.next().map_err(StoreError::Source)? {
            None => has_more = false,
            Some(plain) => {
                long.add(plain);
                let (is_new, chunk) = store_chunk(
                    shared,
                    at_bound,
                    &pins,
                    plain,
                    &mut scratch.encoder,
                    |_, chunk| Ok(chunk),
                )?;
                new_bytes += if is_new { plain.len() as u64 } else { 0 };
                chunks.push(chunk);
            }
        }
    }
    if has_more {
        new_bytes += write_on_threads(
            shared,
            at_bound,
            &pins,
            &mut chunker,
            &mut long,
            &mut chunks,
        )?;
    }
    scratch.long = chunker.into_buffer();
    let blake3 = ChunkHash(*long.whole.finalize().as_bytes());
    let content = content(&mut **shared.catalog()?, &blake3, long.size, &chunks)?;
    Ok(Written {
        content,
        blake3,
        size: long.size,
        new_bytes,
    })
}

/// Stores the rest of `chunker` on worker threads; returns the bytes that were new.
fn write_on_threads(
    shared: &Shared,
    at_bound: AtBound,
    pins: &Pins<'_>,
    chunker: &mut Chunker<'_>,
    long: &mut Long,
    chunks: &mut Vec<ChunkHash>,
) -> Result<u64> {
    let threads = shared.config.threads.max(1);
    let (jobs, inbox) = mpsc::sync_channel::<(usize, Vec<u8>)>(threads);
    let (used, spare) = mpsc::channel::<Vec<u8>>();
    let inbox = Mutex::new(inbox);
    let done: Mutex<Vec<(usize, ChunkHash)>> = Mutex::default();
    let failure: Mutex<Option<StoreError>> = Mutex::default();
    let has_failed = AtomicBool::new(false);
    let new_bytes = AtomicU64::new(0);
    let fail = |error| {
        has_failed.store(true, Ordering::Release);
        failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert(error);
    };
    let work = |used: mpsc::Sender<Vec<u8>>| {
        let mut encoder = match shared.coding.encoder(shared.config.zstd_level) {
            Ok(encoder) => Some(encoder),
            Err(error) => {
                fail(error);
                None
            }
        };
        loop {
            let job = inbox.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok((index, plain)) = job else { return };
            // After a failure jobs are only taken away, so that the sender never blocks.
            if let Some(encoder) = &mut encoder
                && !has_failed.load(Ordering::Acquire)
            {
                match store_chunk(shared, at_bound, pins, &plain, encoder, |_, chunk| {
                    Ok(chunk)
                }) {
                    Ok((is_new, chunk)) => {
                        if is_new {
                            new_bytes.fetch_add(plain.len() as u64, Ordering::Relaxed);
                        }
                        done.lock()
                            .unwrap_or_else(PoisonError::into_inner)
                            .push((index, chunk));
                    }
                    Err(error) => fail(error),
                }
            }
            let _ = used.send(plain);
        }
    };
    thread::scope(|scope| {
        for _ in 0..threads {
            let used = used.clone();
            scope.spawn(|| work(used));
        }
        let mut index = 0;
        while !has_failed.load(Ordering::Acquire) {
            let plain = match chunker.next() {
                Ok(Some(plain)) => plain,
                Ok(None) => break,
                Err(error) => {
                    fail(StoreError::Source(error));
                    break;
                }
            };
            let mut copy = spare.try_recv().unwrap_or_default();
            copy.clear();
            copy.extend_from_slice(plain);
            if jobs.send((index, copy)).is_err() {
                break;
            }
            index += 1;
            long.add(plain);
        }
        drop(jobs);
    });
    if let Some(error) = failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
        return Err(error);
    }
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_unstable_by_key(|(index, _)| *index);
    chunks.extend(done.into_iter().map(|(_, chunk)| chunk));
    Ok(new_bytes.into_inner())
}

/// Makes sure that a chunk is stored, then does `then` under the same lock of the
/// catalog as the chunk was found or recorded. Returns true when it was new.
fn store_chunk<T>(
    shared: &Shared,
    at_bound: AtBound,
    pins: &Pins<'_>,
    plain: &[u8],
    encoder: &mut Encoder,
    then: impl FnOnce(&mut dyn Catalog, ChunkHash) -> Result<T>,
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
            return Ok((false, then(&mut **catalog, hash)?));
        }
        known
    };
    if let Some(chunk) = &known
        && is_there(shared, chunk)?
    {
        return Ok((false, then(&mut **shared.catalog()?, hash)?));
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
                catalog.put_chunks(std::slice::from_ref(row))?;
                if let Some(old) = &known {
                    abandoned::note(catalog, old.pack)?;
                }
                shared.presence.pack_is_there(row.pack);
                then(catalog, hash)
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

/// Stores a chunk though the catalog knows one of that name, whose bytes are gone or
/// lie in a pack that shall go.
pub(super) fn store_anew(shared: &Shared, plain: &[u8], encoder: &mut Encoder) -> Result<()> {
    shared.presence.chunk_is_damaged(shared.coding.name(plain));
    let pins = shared.in_flight.begin();
    store_chunk(shared, AtBound::Wait, &pins, plain, encoder, |_, _| Ok(())).map(|_| ())
}
