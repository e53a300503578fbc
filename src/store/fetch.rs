//! Brings a chunk from wherever it is, verified, and reads ahead in the background.
//!
//! Knows packs in the spool and in the store, and that packs move under a
//! reader: whatever fails is tried once more where the catalog has the chunk
//! now. The surprise: read-ahead is a wish. A reader that catches up with it
//! fetches by itself instead of waiting in the queue.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use lru::LruCache;

use super::Shared;
use super::backend::PackSource;
use super::error::{Result, StoreError};
use super::pack::{self, RECORD_HEADER_BYTES};
use crate::catalog::ChunkRecord;
use crate::model::PackId;

/// Packs that are held open for readers. The compiler sees that it is not zero.
const SOURCES_MAX: NonZeroUsize = NonZeroUsize::new(64).unwrap();
/// Wishes that are kept; older ones are forgotten.
const WISHES_MAX: usize = 64;

/// The packs that are held open.
pub(super) struct Sources(Mutex<LruCache<PackId, Arc<PackSource>>>);

impl Default for Sources {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(SOURCES_MAX)))
    }
}

impl std::fmt::Debug for Sources {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sources")
    }
}

impl Sources {
    fn sources(&self) -> MutexGuard<'_, LruCache<PackId, Arc<PackSource>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, shared: &Shared, pack: PackId) -> Result<Arc<PackSource>> {
        if let Some(source) = self.sources().get(&pack) {
            return Ok(source.clone());
        }
        let source = Arc::new(shared.backend().source(pack)?);
        self.sources().put(pack, source.clone());
        Ok(source)
    }

    /// Closes a pack, so that a removed one gives its space back.
    pub(super) fn forget(&self, pack: PackId) {
        self.sources().pop(&pack);
    }

    /// Closes all of them: the packs are elsewhere now.
    pub(super) fn forget_all(&self) {
        self.sources().clear();
    }
}

/// The bytes of a chunk as they are stored, not verified.
pub(super) fn stored_bytes(shared: &Shared, chunk: &ChunkRecord) -> Result<Vec<u8>> {
    bytes_with_lead(shared, chunk, 0)
}

/// The same with the header of its record before them.
pub(super) fn record_bytes(shared: &Shared, chunk: &ChunkRecord) -> Result<Vec<u8>> {
    bytes_with_lead(shared, chunk, RECORD_HEADER_BYTES)
}

fn bytes_with_lead(shared: &Shared, chunk: &ChunkRecord, lead: u64) -> Result<Vec<u8>> {
    let start = chunk.offset.checked_sub(lead);
    let Some(start) = start.filter(|_| pack::is_sane(chunk)) else {
        return Err(StoreError::PackDamaged {
            pack: chunk.pack,
            detail: format!(
                "the catalog has an impossible place for chunk {}",
                chunk.hash
            ),
        });
    };
    let mut bytes = vec![0; lead as usize + chunk.stored_bytes as usize];
    read(shared, chunk.pack, start, &mut bytes)?;
    Ok(bytes)
}

/// Reads bytes of a pack, wherever it is.
pub(super) fn read(shared: &Shared, pack: PackId, offset: u64, buffer: &mut [u8]) -> Result<()> {
    // A pack file that was emptied meanwhile is in the store by now.
    if let Some(spool) = shared.open_packs.readable(pack)
        && spool.read(offset, buffer).is_ok()
    {
        return Ok(());
    }
    let source = shared.sources.get(shared, pack)?;
    shared
        .backend()
        .read(&source, pack, offset, buffer)
        .inspect_err(|_| shared.sources.forget(pack))
}

/// The plain bytes of a chunk from where the catalog has it, verified. Tried once.
pub(super) fn verified(shared: &Shared, chunk: &ChunkRecord) -> Result<Vec<u8>> {
    let stored = stored_bytes(shared, chunk)?;
    let plain = shared.coding.decode(chunk, stored);
    plain.ok_or(StoreError::ChunkDamaged {
        chunk: chunk.hash,
        pack: chunk.pack,
    })
}

/// The plain bytes of a chunk, verified.
fn fetch(shared: &Shared, chunk: &ChunkRecord) -> Result<Vec<u8>> {
    let first = match verified(shared, chunk) {
        Ok(plain) => return Ok(plain),
        Err(error) => error,
    };
    // A healthy pack may have been read through a descriptor of a damaged one that
    // was replaced meanwhile; and chunks move when packs are rewritten.
    shared.sources.forget(chunk.pack);
    let now = shared.catalog()?.chunk(&chunk.hash)?.unwrap_or(*chunk);
    if let Ok(plain) = verified(shared, &now) {
        return Ok(plain);
    }
    match &first {
        StoreError::ChunkDamaged { .. } => shared.presence.chunk_is_damaged(chunk.hash),
        StoreError::PackMissing { .. } => shared.presence.pack_is_missing(now.pack),
        _ => {}
    }
    Err(first)
}

/// A chunk from memory or from its pack.
pub(super) fn chunk(shared: &Shared, chunk: &ChunkRecord) -> Result<Arc<Vec<u8>>> {
    shared
        .cache
        .get_or_fetch(chunk.hash, || fetch(shared, chunk))
}

#[derive(Debug, Default)]
struct Wishes {
    queue: VecDeque<ChunkRecord>,
    is_stopping: bool,
}

/// The chunks that readers will probably want next.
#[derive(Debug, Default)]
pub(super) struct ReadAhead {
    wishes: Mutex<Wishes>,
    changed: Condvar,
}

impl ReadAhead {
    fn wishes(&self) -> MutexGuard<'_, Wishes> {
        self.wishes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wishes for chunks, in the order of their use.
    pub(super) fn wish(&self, chunks: &[ChunkRecord]) {
        let mut wishes = self.wishes();
        wishes.queue.extend(chunks);
        let excess = wishes.queue.len().saturating_sub(WISHES_MAX);
        wishes.queue.drain(..excess);
        drop(wishes);
        self.changed.notify_all();
    }

    /// Ends every [`run`].
    pub(super) fn stop(&self) {
        self.wishes().is_stopping = true;
        self.changed.notify_all();
    }

    /// Brings chunks until [`stop`](Self::stop).
    pub(super) fn run(&self, shared: &Shared) {
        let mut wishes = self.wishes();
        while !wishes.is_stopping {
            let Some(wish) = wishes.queue.pop_front() else {
                let woken = self.changed.wait(wishes);
                wishes = woken.unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            drop(wishes);
            if !shared.cache.has_or_awaits(&wish.hash) {
                // Who really needs it meets the same error, and reports it.
                let _ = chunk(shared, &wish);
            }
            wishes = self.wishes();
        }
    }
}
