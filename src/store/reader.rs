//! Reads one content by range.
//!
//! Finds the chunks of a range and copies from them; where they come from is
//! `fetch`. The surprise: requests of the kernel arrive a little out of order,
//! so "forward" means near where the last one ended.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Shared;
use super::error::{Result, StoreError};
use super::fetch;
use super::readers::Ticket;
use crate::catalog::{Catalog, ChunkRecord};
use crate::model::ContentId;

/// A read this close to the end of the last one continues it.
const NEAR_BYTES: u64 = 4 << 20;
const WINDOW_MIN: usize = 2;
const WINDOW_MAX: usize = 8;
/// Behind a network the chunks of a window come in few requests.
const REMOTE_WINDOW_MIN: usize = 8;
const REMOTE_WINDOW_MAX: usize = 32;

/// Reads one content by range.
#[derive(Debug)]
pub struct ContentReader {
    shared: Arc<Shared>,
    chunks: Arc<[ChunkRecord]>,
    ticket: Ticket,
    /// Where each chunk begins.
    starts: Vec<u64>,
    size: u64,
    progress: Mutex<Progress>,
}

/// How a reader has been used lately.
#[derive(Debug, Default)]
struct Progress {
    /// Where the last read ended. `None`: nothing was read yet.
    last_end: Option<u64>,
    window: usize,
    /// Chunks before this one were wished for already.
    wished: usize,
    /// The chunk used last: small reads go on even without a cache.
    recent: Option<(usize, Arc<Vec<u8>>)>,
}

impl Drop for ContentReader {
    fn drop(&mut self) {
        self.shared.readers.leave(&self.ticket);
    }
}

impl ContentReader {
    pub(super) fn open(shared: &Arc<Shared>, content: ContentId) -> Result<Self> {
        Self::open_in(shared, &mut **shared.catalog()?, content)
    }

    /// Several, in their order.
    pub(super) fn open_all(shared: &Arc<Shared>, contents: &[ContentId]) -> Result<Vec<Self>> {
        let mut catalog = shared.catalog()?;
        contents
            .iter()
            .map(|content| Self::open_in(shared, &mut **catalog, *content))
            .collect()
    }

    fn open_in(
        shared: &Arc<Shared>,
        catalog: &mut dyn Catalog,
        content: ContentId,
    ) -> Result<Self> {
        let chunks: Arc<[ChunkRecord]> = catalog.content_chunks(content)?.into();
        // Under the same lock: no rewrite comes in between.
        let ticket = shared.readers.enter(chunks.clone());
        let mut size = 0_u64;
        let starts = chunks
            .iter()
            .map(|chunk| {
                let start = size;
                size += u64::from(chunk.plain_bytes);
                start
            })
            .collect();
        Ok(Self {
            shared: shared.clone(),
            chunks,
            ticket,
            starts,
            size,
            progress: Mutex::default(),
        })
    }

    /// The chunks of the content, in order.
    pub(super) fn chunks(&self) -> &[ChunkRecord] {
        &self.chunks
    }

    /// Bytes of the content.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Fills `buffer` from `offset` on; fewer bytes only at the end.
    ///
    /// # Errors
    /// When a chunk that the range needs is missing or damaged: then no byte of
    /// `buffer` can be relied on.
    pub fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        let Some(left) = self.size.checked_sub(offset).filter(|left| *left > 0) else {
            return Ok(0);
        };
        let wanted = buffer
            .len()
            .min(usize::try_from(left).unwrap_or(usize::MAX));
        let buffer = &mut buffer[..wanted];
        if buffer.is_empty() {
            return Ok(0);
        }
        self.look_ahead(offset, wanted as u64);
        let mut index = self.chunk_at(offset);
        let mut filled = 0;
        while filled < wanted {
            let plain = self.chunk(index)?;
            let from = (offset + filled as u64 - self.starts[index]) as usize;
            let bytes = (plain.len() - from).min(wanted - filled);
            buffer[filled..filled + bytes].copy_from_slice(&plain[from..from + bytes]);
            filled += bytes;
            index += 1;
        }
        Ok(wanted)
    }

    /// The chunk that holds the byte at `offset`, which lies in the content.
    fn chunk_at(&self, offset: u64) -> usize {
        self.starts.partition_point(|start| *start <= offset) - 1
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn chunk(&self, index: usize) -> Result<Arc<Vec<u8>>> {
        if let Some((recent, plain)) = &self.progress().recent
            && *recent == index
        {
            return Ok(plain.clone());
        }
        let plain = fetch::chunk(&self.shared, &self.chunks[index]).inspect_err(|error| {
            if let StoreError::ChunkDamaged { chunk, pack } = error {
                log::error!("chunk {chunk} in pack {pack} does not match its blake3");
            } else {
                let ChunkRecord { hash, pack, .. } = self.chunks[index];
                log::error!("chunk {hash} in pack {pack} cannot be read: {error}");
            }
        })?;
        self.progress().recent = Some((index, plain.clone()));
        Ok(plain)
    }

    fn look_ahead(&self, offset: u64, bytes: u64) {
        let end = offset + bytes;
        let next = self.chunk_at(end - 1) + 1;
        let mut progress = self.progress();
        let is_remote = self.shared.backend().is_remote();
        let goes_on = match progress.last_end {
            Some(last) => last.abs_diff(offset) <= NEAR_BYTES,
            // Who begins at the front mostly goes on, and requests are slow to answer.
            None => is_remote && offset == 0,
        };
        progress.last_end = Some(end);
        if !goes_on {
            progress.window = 0;
            progress.wished = next;
            return;
        }
        // Half the window is left when the next wishes go out, so that the threads
        // never run dry between two reads.
        if progress.wished > next + progress.window / 2 {
            return;
        }
        let (least, most) = match is_remote {
            true => (REMOTE_WINDOW_MIN, REMOTE_WINDOW_MAX),
            false => (WINDOW_MIN, WINDOW_MAX),
        };
        progress.window = (progress.window * 2).clamp(least, most);
        let from = progress.wished.max(next).min(self.chunks.len());
        let to = (next + progress.window).min(self.chunks.len());
        // More than the cache can hold would drive out what was just fetched.
        let mut room = self.shared.config.cache_bytes_max / 2;
        let fitting = self.chunks[from..to.max(from)]
            .iter()
            .take_while(|chunk| {
                let fits = u64::from(chunk.plain_bytes) <= room;
                room = room.saturating_sub(chunk.plain_bytes.into());
                fits
            })
            .count();
        progress.wished = from + fitting;
        drop(progress);
        if fitting > 0 {
            let wishes = &self.chunks[from..from + fitting];
            self.shared.read_ahead.wish(&self.shared, wishes);
        }
    }
}
