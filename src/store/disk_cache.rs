//! Chunks on this machine's disk that were fetched from a bucket, bounded by bytes.
//!
//! An entry is the stored bytes of one chunk, as they lie in the pack: no less protected
//! than the store. Nobody trusts it: whoever reads one checks it as if it came from the
//! pack. So nothing is flushed, and a kill leaves at worst entries that fail their check.
//! The surprise: the files are the truth, and the list in memory only says which go first.

use std::collections::{HashSet, VecDeque};
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use lru::LruCache;

use super::Shared;
use super::error::{Result, StoreError};
use crate::catalog::ChunkRecord;
use crate::model::ChunkHash;

/// Below the cache's directory, so that it can be removed whole.
const CHUNKS: &str = "chunks";
/// What waits to be written is in memory; beyond this it is not kept.
const QUEUE_BYTES_MAX: u64 = 32 << 20;
/// So many entries at most: the list of them is in memory.
const ENTRIES_MAX: usize = 1 << 18;
/// What a file takes more than its bytes, roughly: small entries count as what they cost.
const ENTRY_BYTES: u64 = 4 << 10;

#[derive(Debug)]
struct State {
    queue: VecDeque<(ChunkHash, Vec<u8>)>,
    queue_bytes: u64,
    writing: Option<ChunkHash>,
    entries: LruCache<ChunkHash, u64>,
    bytes: u64,
    /// Counts the times that chunks were forgotten.
    epoch: Epoch,
    /// The disk takes nothing any more.
    is_full: bool,
    is_stopping: bool,
}

/// A moment between two deletions: bytes fetched before one must not be kept after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Epoch(u64);

/// How a disk cache is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskCacheUse {
    /// Bytes on the disk.
    pub bytes: u64,
    /// Bytes that it may take.
    pub bytes_max: u64,
    /// Chunks that were found there in this run.
    pub hits: u64,
    /// Chunks that were not, and came from the store.
    pub misses: u64,
}

/// The chunks on disk.
#[derive(Debug)]
pub(super) struct DiskCache {
    /// `None`: nothing is kept.
    top: Option<PathBuf>,
    bytes_max: u64,
    state: Mutex<State>,
    changed: Condvar,
    hits: AtomicU64,
    misses: AtomicU64,
}

impl DiskCache {
    /// The cache in a directory. With zero bytes nothing is kept, and what an earlier run
    /// kept is removed.
    ///
    /// # Errors
    /// When that cannot be removed: it may hold what was deleted for good since.
    pub(super) fn open(directory: &Path, bytes_max: u64) -> Result<Self> {
        let top = directory.join(CHUNKS);
        if bytes_max == 0 && top.exists() {
            fs::remove_dir_all(&top).map_err(|error| failed(&top, &error))?;
        }
        Ok(Self {
            top: (bytes_max > 0).then_some(top),
            bytes_max,
            state: Mutex::new(State {
                queue: VecDeque::new(),
                queue_bytes: 0,
                writing: None,
                entries: LruCache::unbounded(),
                bytes: 0,
                epoch: Epoch::default(),
                is_full: false,
                is_stopping: false,
            }),
            changed: Condvar::new(),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True when anything is kept.
    pub(super) fn is_on(&self) -> bool {
        self.top.is_some()
    }

    /// How it is doing. `None`: it keeps nothing.
    pub(super) fn usage(&self) -> Option<DiskCacheUse> {
        self.is_on().then(|| DiskCacheUse {
            bytes: self.state().bytes,
            bytes_max: self.bytes_max,
            hits: self.hits.load(Ordering::Relaxed),
            misses: self.misses.load(Ordering::Relaxed),
        })
    }

    /// Now; asked before bytes are fetched that [`put`](Self::put) shall keep.
    pub(super) fn epoch(&self) -> Epoch {
        self.state().epoch
    }

    fn path(&self, chunk: &ChunkHash) -> Option<PathBuf> {
        let name = chunk.to_string();
        Some(self.top.as_ref()?.join(&name[..2]).join(name))
    }

    /// The stored bytes of a chunk, not verified. `None`: they are not here.
    pub(super) fn get(&self, chunk: &ChunkRecord) -> Option<Vec<u8>> {
        let found = self.read(chunk);
        if found.is_none() && self.is_on() {
            self.misses.fetch_add(1, Ordering::Relaxed);
        }
        found
    }

    fn read(&self, chunk: &ChunkRecord) -> Option<Vec<u8>> {
        let path = self.path(&chunk.hash)?;
        let mut file = File::open(path).ok()?;
        let stored_bytes = u64::from(chunk.stored_bytes);
        if file.metadata().ok()?.len() != stored_bytes {
            self.remove_entry(&chunk.hash);
            return None;
        }
        let mut stored = Vec::with_capacity(chunk.stored_bytes as usize);
        file.by_ref()
            .take(stored_bytes)
            .read_to_end(&mut stored)
            .ok()?;
        // The next run finds by it which entries were used last.
        let _ = file.set_modified(SystemTime::now());
        self.state().entries.promote(&chunk.hash);
        self.hits.fetch_add(1, Ordering::Relaxed);
        Some(stored)
    }

    /// Drops an entry that failed its check; it may be fetched and kept again.
    pub(super) fn remove_entry(&self, chunk: &ChunkHash) {
        let mut state = self.state();
        if let Some(bytes) = state.entries.pop(chunk) {
            state.bytes -= bytes;
        }
        if let Some(path) = self.path(chunk) {
            let _ = fs::remove_file(path);
        }
    }

    /// Keeps the stored bytes of a chunk, which were fetched after `epoch` and verified.
    /// Returns at once: they are written later, or not at all where too much waits.
    pub(super) fn put(&self, chunk: ChunkHash, stored: Vec<u8>, epoch: Epoch) {
        let mut state = self.state();
        let bytes = stored.len() as u64;
        if !self.is_on()
            || state.is_full
            || state.epoch != epoch
            || state.queue_bytes + bytes > QUEUE_BYTES_MAX
            || state.entries.contains(&chunk)
        {
            return;
        }
        state.queue_bytes += bytes;
        state.queue.push_back((chunk, stored));
        drop(state);
        self.changed.notify_all();
    }

    /// Removes chunks whose content must not be kept anywhere; gone when it returns.
    ///
    /// # Errors
    /// When an entry is there and cannot be removed.
    pub(super) fn forget(&self, chunks: &HashSet<ChunkHash>) -> Result<()> {
        if !self.is_on() {
            return Ok(());
        }
        let mut state = self.state();
        state.epoch.0 += 1;
        state.queue.retain(|(chunk, _)| !chunks.contains(chunk));
        state.queue_bytes = state
            .queue
            .iter()
            .map(|(_, bytes)| bytes.len() as u64)
            .sum();
        while state.writing.is_some_and(|chunk| chunks.contains(&chunk)) {
            let woken = self.changed.wait(state);
            state = woken.unwrap_or_else(PoisonError::into_inner);
        }
        for chunk in chunks {
            if let Some(bytes) = state.entries.pop(chunk) {
                state.bytes -= bytes;
            }
            // Also where the list does not have it: it may not be complete yet.
            let Some(path) = self.path(chunk) else {
                continue;
            };
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(failed(&path, &error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Ends [`run`](Self::run).
    pub(super) fn stop(&self) {
        self.state().is_stopping = true;
        self.changed.notify_all();
    }

    /// Takes up what earlier runs kept, then writes what is put, until [`stop`](Self::stop).
    pub(super) fn run(&self, shared: &Shared) {
        let Some(top) = &self.top else { return };
        if let Err(error) = self.take_up(shared, top) {
            self.give_up(&error);
        }
        let mut state = self.state();
        while !state.is_stopping {
            let Some((chunk, stored)) = state.queue.pop_front() else {
                let woken = self.changed.wait(state);
                state = woken.unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let bytes = stored.len() as u64;
            state.queue_bytes -= bytes;
            self.make_room(&mut state, bytes + ENTRY_BYTES);
            state.writing = Some(chunk);
            drop(state);
            let written = self.write(&chunk, &stored);
            state = self.state();
            state.writing = None;
            match written {
                Ok(()) => state.add(chunk, bytes),
                Err(error) => {
                    state.is_full = true;
                    drop(state);
                    self.give_up(&error);
                    state = self.state();
                }
            }
            self.changed.notify_all();
        }
    }

    fn give_up(&self, error: &io::Error) {
        let mut state = self.state();
        state.is_full = true;
        state.queue.clear();
        state.queue_bytes = 0;
        log::warn!("nothing more is kept in the cache on disk until the next start: {error}");
    }

    fn write(&self, chunk: &ChunkHash, stored: &[u8]) -> io::Result<()> {
        let path = self.path(chunk).ok_or(io::ErrorKind::NotFound)?;
        if let Some(fan) = path.parent() {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(fan)?;
        }
        let unfinished = path.with_extension("new");
        let written = fs::write(&unfinished, stored).and_then(|()| fs::rename(&unfinished, path));
        if written.is_err() {
            let _ = fs::remove_file(unfinished);
        }
        written
    }

    /// Removes the entries that were not used for longest until so many bytes fit.
    fn make_room(&self, state: &mut State, bytes: u64) {
        while state.bytes + bytes > self.bytes_max || state.entries.len() >= ENTRIES_MAX {
            let Some((chunk, old)) = state.entries.pop_lru() else {
                return;
            };
            state.bytes -= old;
            if let Some(path) = self.path(&chunk) {
                let _ = fs::remove_file(path);
            }
        }
    }

    /// Lists the entries by their last use. Those of chunks that the catalog does not know
    /// go: a kill may have come between the end of their rows and theirs.
    fn take_up(&self, shared: &Shared, top: &Path) -> io::Result<()> {
        let mut found: Vec<(SystemTime, ChunkHash, u64)> = Vec::new();
        let fans = match fs::read_dir(top) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            fans => fans?,
        };
        for fan in fans {
            for entry in fs::read_dir(fan?.path())? {
                let entry = entry?;
                let name = entry.file_name();
                let chunk = name
                    .to_str()
                    .and_then(|name| name.parse::<ChunkHash>().ok());
                let is_known = |chunk: &ChunkHash| match shared.catalog() {
                    Ok(mut catalog) => !matches!(catalog.chunk(chunk), Ok(None)),
                    Err(_) => true,
                };
                let known = chunk.filter(is_known).filter(|_| found.len() < ENTRIES_MAX);
                let Some(chunk) = known else {
                    fs::remove_file(entry.path())?;
                    continue;
                };
                let Ok(facts) = entry.metadata() else {
                    continue; // forgotten meanwhile
                };
                found.push((facts.modified()?, chunk, facts.len()));
                if self.state().is_stopping {
                    return Ok(());
                }
            }
        }
        found.sort_unstable_by_key(|(used, _, _)| *used);
        let mut state = self.state();
        for (_, chunk, bytes) in found {
            state.add(chunk, bytes);
        }
        self.make_room(&mut state, 0);
        Ok(())
    }
}

impl State {
    fn add(&mut self, chunk: ChunkHash, bytes: u64) {
        let bytes = bytes + ENTRY_BYTES;
        self.bytes += bytes;
        if let Some(old) = self.entries.put(chunk, bytes) {
            self.bytes -= old;
        }
    }
}

fn failed(path: &Path, error: &io::Error) -> StoreError {
    StoreError::Io(format!(
        "removing from the cache {}: {error}",
        path.display()
    ))
}
