//! Bytes: contents are cut into chunks, chunks gather in packs, packs lie in the store.
//!
//! [`Store`] writes a content once and reads it back by range, checking every
//! chunk against its blake3. It knows nothing of assets and versions. The
//! surprise: a chunk is safe before its pack is in the store. It is appended to
//! the open pack in the spool first, and [`Store::sync`] makes that durable.

mod backend;
mod cache;
mod check;
mod chunker;
mod codec;
mod error;
mod fetch;
mod finish;
mod in_flight;
mod open_pack;
mod pack;
mod presence;
mod reader;
mod readers;
mod reclaim;
mod recover;
mod rewrite;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod url;
mod writer;

use std::io::Read;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

pub use error::{Result, StoreError};
pub use reader::ContentReader;
pub use reclaim::Repacked;
pub use url::file_url;

use crate::catalog::{CatalogError, CatalogGuard, SharedCatalog, take_turn};
use crate::model::{ChunkHash, Clock, ContentId, PackId, VersionSeq};

/// Where and how a store keeps its packs.
#[derive(Debug, Clone)]
pub struct StoreConfig {
    /// `file:///absolute/path`.
    pub url: String,
    /// Directory of the open packs.
    pub spool_dir: PathBuf,
    /// A pack is closed and put into the store at this size.
    pub pack_bytes: u64,
    /// Bytes of plain chunks kept in memory for readers.
    pub cache_bytes_max: u64,
    /// zstd level.
    pub zstd_level: i32,
    /// Threads that hash and compress.
    pub threads: usize,
}

/// What [`Store::write`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// The content; an older equal one where there is one.
    pub content: ContentId,
    /// blake3 of all bytes.
    pub blake3: ChunkHash,
    /// All bytes.
    pub size: u64,
    /// Bytes that were new to the vault, before compression.
    pub new_bytes: u64,
}

/// The content store of one vault.
///
/// Its methods block, and none but [`sync`](Self::sync) may be called with the
/// catalog locked or from a thread of an async runtime. Readers outlive it.
#[derive(Debug)]
pub struct Store {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    recovered_damage: Vec<VersionSeq>,
}

/// What the threads and readers of a store have in common.
struct Shared {
    config: StoreConfig,
    catalog: SharedCatalog,
    clock: Arc<dyn Clock>,
    backend: backend::Backend,
    open_packs: open_pack::OpenPacks,
    waiting: finish::Waiting,
    in_flight: in_flight::InFlight,
    presence: presence::Presence,
    cache: cache::ChunkCache,
    sources: fetch::Sources,
    read_ahead: fetch::ReadAhead,
    readers: readers::Readers,
    scratch: writer::ScratchPool,
    /// Held by whoever rewrites packs.
    maintenance: Mutex<()>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the store at {}", self.config.url)
    }
}

impl Shared {
    /// The catalog, locked: for a moment, never while compressing or waiting.
    fn catalog(&self) -> Result<CatalogGuard<'_>> {
        take_turn(&self.catalog).map_err(|_| {
            let detail = "a thread failed in the middle of a change".into();
            StoreError::Catalog(CatalogError::Invariant(detail))
        })
    }
}

/// How deep [`Store::check`] looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckDepth {
    /// Every pack is there with its size, and its table agrees with the catalog.
    Listing,
    /// Every chunk is read and hashed, and what stands around the chunks is compared
    /// with what was written.
    ReadData,
}

/// Damage that [`Store::check`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The pack.
    pub pack: PackId,
    /// What is wrong with it, in one line.
    pub detail: String,
    /// The versions that cannot be read whole; none when only bytes are damaged that
    /// the catalog has too.
    pub versions: Vec<VersionSeq>,
}

impl Store {
    /// Opens the store and takes up the open packs that an earlier run left.
    ///
    /// # Errors
    /// When the URL is none that can be opened, or spool or catalog fail. Lost
    /// bytes are no error: see [`recovered_damage`](Self::recovered_damage).
    pub fn open(
        config: &StoreConfig,
        catalog: SharedCatalog,
        clock: Arc<dyn Clock>,
    ) -> Result<Self> {
        let packs = catalog
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .packs()?;
        let shared = Arc::new(Shared {
            backend: backend::Backend::open(&config.url, packs.is_empty())?,
            open_packs: open_pack::OpenPacks::open(&config.spool_dir)?,
            cache: cache::ChunkCache::new(config.cache_bytes_max),
            config: config.clone(),
            catalog,
            clock,
            waiting: finish::Waiting::default(),
            in_flight: in_flight::InFlight::default(),
            presence: presence::Presence::default(),
            sources: fetch::Sources::default(),
            read_ahead: fetch::ReadAhead::default(),
            readers: readers::Readers::default(),
            scratch: writer::ScratchPool::default(),
            maintenance: Mutex::default(),
        });
        let recovered_damage = recover::recover(&shared, &packs)?;
        let mut store = Self {
            shared,
            threads: Vec::new(),
            recovered_damage,
        };
        for _ in 0..finish::THREADS {
            store.start("keepfs-packs", finish::run)?;
        }
        for _ in 0..config.threads.max(1) {
            store.start("keepfs-ahead", |shared| shared.read_ahead.run(shared))?;
        }
        Ok(store)
    }

    fn start(&mut self, name: &str, run: fn(&Shared)) -> Result<()> {
        let shared = self.shared.clone();
        let thread = thread::Builder::new()
            .name(name.into())
            .spawn(move || run(&shared))
            .map_err(|error| StoreError::Io(format!("starting a thread: {error}")))?;
        self.threads.push(thread);
        Ok(())
    }

    /// The versions whose bytes were acknowledged by the catalog but did not reach
    /// the disk before the power failed, as [`open`](Self::open) found them. Writing
    /// the same content again makes them whole.
    pub fn recovered_damage(&self) -> Vec<VersionSeq> {
        self.recovered_damage.clone()
    }

    /// Reads a content to its end and makes it known to the catalog. When it
    /// returns, every chunk is in a pack file or an open pack: safe from kill -9,
    /// and from power loss after [`sync`](Self::sync) and a commit.
    ///
    /// # Errors
    /// [`StoreError::Source`] when `reader` fails, [`StoreError::Full`] when there is
    /// no space left. What was stored until then is used by the next attempt.
    pub fn write(&self, reader: &mut (dyn Read + Send)) -> Result<Written> {
        writer::write(&self.shared, reader)
    }

    /// Makes the open packs durable. May be called with the catalog locked.
    ///
    /// # Errors
    /// When the disk of the spool says so.
    pub fn sync(&self) -> Result<()> {
        self.shared.open_packs.sync()
    }

    /// Closes the open packs and puts them into the store.
    ///
    /// # Errors
    /// When a pack could not be put; it stays readable in the spool.
    pub fn flush(&self) -> Result<()> {
        let waiting = &self.shared.waiting;
        self.shared.open_packs.end_growing(waiting)?;
        waiting.wait_for(0)?;
        finish::remove_marks(&self.shared);
        Ok(())
    }

    /// A reader of one content.
    ///
    /// # Errors
    /// When the catalog fails.
    pub fn reader(&self, content: ContentId) -> Result<ContentReader> {
        ContentReader::new(self.shared.clone(), content)
    }

    /// Compares the store with the catalog. `progress` gets (bytes done, bytes in all).
    ///
    /// # Errors
    /// When store or catalog cannot be read at all; damage is no error.
    pub fn check(
        &self,
        depth: CheckDepth,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Vec<Damage>> {
        check::check(&self.shared, depth, progress)
    }

    /// Rewrites every pack that holds chunks which nothing references, so that
    /// their bytes are gone when it returns. Returns the bytes that were freed.
    /// Waits for running writes that rely on one of these packs.
    ///
    /// # Errors
    /// When a pack could not be rewritten; the others were.
    pub fn reclaim(&self) -> Result<u64> {
        let _alone = self.alone();
        self.flush()?;
        reclaim::reclaim(&self.shared)
    }

    /// After a power failure: forgets what was lost and nothing needs, and rewrites packs
    /// with bytes that were stored anew elsewhere.
    ///
    /// # Errors
    /// When a pack could not be rewritten; the others were.
    pub fn tidy(&self) -> Result<()> {
        let _alone = self.alone();
        reclaim::tidy(&self.shared)
    }

    /// Rewrites every pack of which less than this share of the stored bytes is
    /// referenced, one group of about a full pack after the other. A pack with dead
    /// chunks that a reader has open is left to a later call.
    ///
    /// # Errors
    /// When a pack could not be rewritten; the others were.
    pub fn repack(&self, live_percent_min: u8) -> Result<Repacked> {
        let _alone = self.alone();
        if let Err(error) = self.flush() {
            // Full, perhaps: what is in the store already can still be rewritten.
            log::warn!("packs stay in the spool while others are rewritten: {error}");
        }
        reclaim::repack(&self.shared, live_percent_min)
    }

    /// Merges small packs. Returns how many are gone.
    ///
    /// # Errors
    /// When a pack could not be rewritten; the others were.
    pub fn merge_small_packs(&self) -> Result<u64> {
        let _alone = self.alone();
        reclaim::merge_small_packs(&self.shared)
    }

    fn alone(&self) -> MutexGuard<'_, ()> {
        let maintenance = self.shared.maintenance.lock();
        maintenance.unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.shared.waiting.stop();
        self.shared.read_ahead.stop();
        for thread in self.threads.drain(..) {
            // A thread that panicked has said so already.
            let _ = thread.join();
        }
        finish::remove_marks(&self.shared);
    }
}
