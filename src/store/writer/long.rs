//! Contents of several chunks: cut here, hashed and compressed on worker threads.
//!
//! The surprise: the chunks of a long content land in the pack in whatever order they are
//! ready; only the content's list has an order.

use std::io::Read;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;

use super::known::complete;
use super::{Scratch, store_plain};
use crate::model::{ChunkHash, ContentId};
use crate::store::chunker::{Chunker, Tail};
use crate::store::error::{Result, StoreError};
use crate::store::finish::AtBound;
use crate::store::in_flight::Pins;
use crate::store::{Shared, Written};

/// So many chunks are stored by the caller before threads are started: a photo
/// is done before they would be.
const CHUNKS_INLINE: usize = 4;

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

/// Cuts a content and stores its chunks: the first few here, the rest on threads.
pub(super) fn write(
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
                let (is_new, chunk) =
                    store_plain(shared, at_bound, &pins, plain, &mut scratch.encoder)?;
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
    let content = match known(shared, &blake3, long.size, &chunks)? {
        Known::No(content) => content,
        Known::Yes(content) => {
            complete(shared, at_bound, content, &chunks, &mut scratch.encoder)?;
            content
        }
    };
    Ok(Written {
        content,
        blake3,
        size: long.size,
        new_bytes,
    })
}

/// Whether a content was there before.
enum Known {
    Yes(ContentId),
    No(ContentId),
}

fn known(shared: &Shared, blake3: &ChunkHash, size: u64, chunks: &[ChunkHash]) -> Result<Known> {
    let mut catalog = shared.catalog()?;
    Ok(match catalog.content_by_hash(blake3, size)? {
        Some(content) => Known::Yes(content),
        None => Known::No(catalog.add_content(blake3, size, chunks)?),
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
                match store_plain(shared, at_bound, pins, &plain, encoder) {
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
