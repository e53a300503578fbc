//! Brings a chunk from wherever it is, verified.
//!
//! Knows packs in the spool and in the store, the cache on disk, and that packs move
//! under a reader: whatever fails is tried once more where the catalog has the chunk
//! now. Chunks that are wanted soon come several at once, in one request where their
//! pack is in a bucket: see [`bring`].

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lru::LruCache;

use super::Shared;
use super::backend::PackSource;
use super::disk_cache::Epoch;
use super::error::{Result, StoreError};
use super::pack::{self, RECORD_HEADER_BYTES};
use super::spool_pack::end_of;
use crate::catalog::ChunkRecord;
use crate::model::PackId;

/// Packs that are held open for readers. The compiler sees that it is not zero.
const SOURCES_MAX: NonZeroUsize = NonZeroUsize::new(64).unwrap();
/// One request brings at most so much of a pack.
const RUN_BYTES_MAX: u64 = 8 << 20;
/// Bytes between two chunks that are fetched along with them: cheaper than a request.
const GAP_BYTES_MAX: u64 = 256 << 10;

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
    if let Some(plain) = from_disk_cache(shared, chunk) {
        return Ok(plain);
    }
    let first = match fetch_once(shared, chunk) {
        Ok(plain) => return Ok(plain),
        Err(error) => error,
    };
    // A healthy pack may have been read through a descriptor of a damaged one that
    // was replaced meanwhile; and chunks move when packs are rewritten.
    shared.sources.forget(chunk.pack);
    let now = shared.catalog()?.chunk(&chunk.hash)?.unwrap_or(*chunk);
    if let Ok(plain) = fetch_once(shared, &now) {
        return Ok(plain);
    }
    match &first {
        StoreError::ChunkDamaged { .. } => shared.presence.chunk_is_damaged(chunk.hash),
        // Cut short counts as missing: nothing new may rely on it.
        StoreError::PackMissing { .. } | StoreError::PackDamaged { .. } => {
            shared.presence.pack_is_missing(now.pack);
        }
        _ => {}
    }
    Err(first)
}

fn fetch_once(shared: &Shared, chunk: &ChunkRecord) -> Result<Vec<u8>> {
    let epoch = shared.disk_cache.epoch();
    let stored = stored_bytes(shared, chunk)?;
    open(shared, chunk, stored, epoch)
}

/// The plain bytes of what was fetched from a pack; the disk cache gets to know them.
fn open(shared: &Shared, chunk: &ChunkRecord, stored: Vec<u8>, epoch: Epoch) -> Result<Vec<u8>> {
    let is_kept = shared.disk_cache.is_on() && shared.open_packs.readable(chunk.pack).is_none();
    let copy = is_kept.then(|| stored.clone());
    let plain = shared
        .coding
        .decode(chunk, stored)
        .ok_or(StoreError::ChunkDamaged {
            chunk: chunk.hash,
            pack: chunk.pack,
        })?;
    if let Some(copy) = copy {
        shared.disk_cache.put(chunk.hash, copy, epoch);
    }
    Ok(plain)
}

/// The plain bytes of a chunk, verified, where the disk cache has it and its pack is not
/// on this disk anyway.
pub(super) fn from_disk_cache(shared: &Shared, chunk: &ChunkRecord) -> Option<Vec<u8>> {
    if !pack::is_sane(chunk) || shared.open_packs.readable(chunk.pack).is_some() {
        return None;
    }
    let stored = shared.disk_cache.get(chunk)?;
    let plain = shared.coding.decode(chunk, stored);
    if plain.is_none() {
        log::warn!(
            "chunk {} was damaged in the cache on disk, and goes",
            chunk.hash
        );
        shared.disk_cache.remove_entry(&chunk.hash);
    }
    plain
}

/// A chunk from memory or from its pack.
pub(super) fn chunk(shared: &Shared, chunk: &ChunkRecord) -> Result<Arc<Vec<u8>>> {
    shared
        .cache
        .get_or_fetch(chunk.hash, || fetch(shared, chunk))
}

/// Groups chunks by what one request can bring: near each other in one pack. Where the
/// packs are on this machine, each is a group of its own, so that threads share the work.
pub(super) fn runs(shared: &Shared, chunks: &[ChunkRecord]) -> Vec<Vec<ChunkRecord>> {
    if !shared.backend().is_remote() {
        return chunks.iter().map(|chunk| vec![*chunk]).collect();
    }
    let mut sorted = chunks.to_vec();
    sorted.retain(pack::is_sane);
    sorted.sort_unstable_by_key(|chunk| (chunk.pack, chunk.offset));
    sorted.dedup_by_key(|chunk| chunk.hash);
    let mut runs: Vec<Vec<ChunkRecord>> = Vec::new();
    for chunk in sorted {
        let goes_on = runs
            .last()
            .and_then(|run| Some((run.first()?, run.last()?)));
        let goes_on = goes_on.is_some_and(|(first, last)| {
            first.pack == chunk.pack
                && chunk.offset.saturating_sub(end_of(last)) <= GAP_BYTES_MAX
                && end_of(&chunk) - first.offset <= RUN_BYTES_MAX
        });
        match runs.last_mut().filter(|_| goes_on) {
            Some(run) => run.push(chunk),
            None => runs.push(vec![chunk]),
        }
    }
    runs
}

/// Brings a group of chunks into memory, as far as they are not there. Failures are
/// nobody's: who really needs a chunk meets the same error, and reports it.
pub(super) fn bring(shared: &Shared, group: &[ChunkRecord]) {
    let announced = shared.cache.announce(group.iter().map(|chunk| chunk.hash));
    let mut wanted = group.to_vec();
    wanted.retain(|chunk| announced.has(&chunk.hash));
    if let [chunk] = wanted[..] {
        if let Ok(plain) = fetch(shared, &chunk) {
            announced.arrived(chunk.hash, plain);
        }
        return;
    }
    wanted.retain(|chunk| match from_disk_cache(shared, chunk) {
        Some(plain) => {
            announced.arrived(chunk.hash, plain);
            false
        }
        None => true,
    });
    for run in runs(shared, &wanted) {
        let (Some(first), Some(last)) = (run.first(), run.last()) else {
            continue;
        };
        let epoch = shared.disk_cache.epoch();
        let mut bytes = vec![0; (end_of(last) - first.offset) as usize];
        if read(shared, first.pack, first.offset, &mut bytes).is_err() {
            continue;
        }
        for chunk in &run {
            let start = (chunk.offset - first.offset) as usize;
            let stored = bytes.get(start..start + chunk.stored_bytes as usize);
            let Some(stored) = stored else { continue };
            if let Ok(plain) = open(shared, chunk, stored.to_vec(), epoch) {
                announced.arrived(chunk.hash, plain);
            }
        }
    }
}
