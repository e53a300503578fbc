//! Bytes: contents are cut into chunks, chunks gather in packs, packs lie in the store.
//!
//! [`Store`] writes a content once and reads it back by range, checking every
//! chunk against its blake3. It knows nothing of assets and versions. The
//! surprise: a chunk is safe before its pack is in the store. It is appended to
//! the open pack in the spool first, and [`Store::sync`] makes that durable.

mod abandoned;
mod backend;
mod bucket;
mod bucket_rules;
mod cache;
mod check;
mod chunker;
mod cipher;
mod codec;
mod directory;
mod error;
mod fetch;
mod findings;
mod finish;
mod in_flight;
mod journal;
mod key_document;
mod key_object;
mod lease;
mod leniency;
mod marks;
mod membership;
mod migrate;
mod objects;
mod open_pack;
mod orphans;
mod pack;
mod presence;
mod profile;
mod reader;
mod readers;
mod reclaim;
mod recover;
mod repair;
mod rewrite;
mod sample;
mod secret;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod whole;
mod writer;

use std::collections::HashSet;
use std::io::Read;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread::{self, JoinHandle};

pub use bucket::command_that_removes;
pub use bucket_rules::harms;
pub use chunker::Tail;
pub use cipher::{Cipher, MasterKey, Purpose, SEAL_BYTES};
pub use error::{Result, StoreError, Writer};
pub use findings::{CheckDepth, Damage, Findings};
pub use journal::{Gap, Replayed, replay};
pub use key_document::{KEY_NAME, KeyDocument, VaultKey};
pub use key_object::key_document_at;
pub use lease::LEASE_NAME;
pub use membership::allow;
pub use migrate::{Copied, Migrated, Migration, Watch};
pub use orphans::Orphan;
pub use reader::ContentReader;
pub use reclaim::Repacked;
pub use repair::Repair;
pub use sample::{Sampled, Share, ShareError};
pub use secret::{Secret, create_key_file};

use crate::catalog::{CatalogError, CatalogGuard, SharedCatalog, take_turn};
use crate::model::{ChunkHash, Clock, ContentId, PackId, StorePlace, Timestamp, WriteClaim};

/// Where and how a store keeps its packs.
#[derive(Debug, Clone)]
pub struct StoreConfig {
    /// Where packs go. A directory is absolute, a bucket has a prefix.
    pub place: StorePlace,
    /// The vault directory: a copy of it is another writer.
    pub vault_dir: PathBuf,
    /// What is done where another one writes to the store.
    pub write_claim: WriteClaim,
    /// Directory of the open packs.
    pub spool_dir: PathBuf,
    /// A pack is closed and put into the store at this size.
    pub pack_bytes: u64,
    /// Bytes of full packs that may wait in the spool; then writers wait.
    pub spool_bytes_max: u64,
    /// What the vault is called in a bucket.
    pub vault_name: String,
    /// Bytes of plain chunks kept in memory for readers.
    pub cache_bytes_max: u64,
    /// zstd level.
    pub zstd_level: i32,
    /// Threads that hash and compress.
    pub threads: usize,
    /// What everything in the store is sealed with. `None`: the vault is not encrypted.
    pub key: Option<VaultKey>,
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
    recovered_damage: Vec<Damage>,
}

/// What the threads and readers of a store have in common.
struct Shared {
    config: StoreConfig,
    catalog: SharedCatalog,
    clock: Arc<dyn Clock>,
    lease: lease::Lease,
    /// Exchanged when the store moves.
    backend: RwLock<Arc<backend::Backend>>,
    coding: codec::Coding,
    open_packs: open_pack::OpenPacks,
    waiting: finish::Waiting,
    in_flight: in_flight::InFlight,
    presence: presence::Presence,
    cache: cache::ChunkCache,
    sources: fetch::Sources,
    read_ahead: fetch::ReadAhead,
    readers: readers::Readers,
    scratch: writer::ScratchPool,
    published: Mutex<journal::Published>,
    /// What harms a backup there.
    warnings: Mutex<Vec<String>>,
    /// Held by whoever rewrites packs.
    maintenance: Mutex<()>,
    migrations: migrate::Migrations,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the store at {}", self.backend().place)
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

/// Packs on their way to the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Unstored {
    /// Packs, the growing one included.
    pub packs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// When the oldest of them was begun.
    pub oldest: Option<Timestamp>,
}

impl Store {
    /// Opens the store and takes up the open packs that an earlier run left.
    ///
    /// # Errors
    /// [`StoreError::LeaseHeld`] when another one writes to it. When the URL is none that can be opened, or spool or catalog fail. Lost
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
        let backend = backend::Backend::open(&config.place, packs.is_empty())?;
        let answer = match &config.place {
            StorePlace::Bucket(place) => {
                membership::join(place, &config.vault_name, &backend, &catalog, &*clock)?
            }
            StorePlace::Directory(_) => membership::Answer::Welcome,
        };
        let key = config.key.as_ref();
        let copy = key_object::compare(config, answer, &backend, &catalog, &packs)?;
        let (lease, answer) = lease::Lease::open(config, &backend, &catalog, &clock, answer)?;
        key_object::bring(config, answer, copy, &backend, &lease, &catalog)?;
        migrate::take_up(&catalog, &backend, answer)?;
        let shared = Arc::new(Shared {
            lease,
            backend: RwLock::new(Arc::new(backend)),
            coding: codec::Coding::new(key.map(|key| key.cipher().clone())),
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
            published: Mutex::default(),
            warnings: Mutex::default(),
            maintenance: Mutex::default(),
            migrations: migrate::Migrations::default(),
        });
        let recovered_damage = recover::recover(&shared, &packs, answer)?;
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

    /// The bytes that were acknowledged by the catalog but did not reach the disk
    /// before the power failed, as [`open`](Self::open) found them. Writing the same
    /// content again, or a [`repair`](Self::repair), makes their versions whole.
    pub fn recovered_damage(&self) -> &[Damage] {
        &self.recovered_damage
    }

    /// What is in the spool and not in the store yet.
    pub fn unstored(&self) -> Unstored {
        self.shared.open_packs.unstored()
    }

    /// Reads a content to its end and makes it known to the catalog. When it
    /// returns, every chunk is in a pack file or an open pack: safe from kill -9,
    /// and from power loss after [`sync`](Self::sync) and a commit.
    ///
    /// # Errors
    /// [`StoreError::Source`] when `reader` fails, [`StoreError::Full`] when there is
    /// no space left. What was stored until then is used by the next attempt.
    pub fn write(&self, reader: &mut (dyn Read + Send), tail: Tail) -> Result<Written> {
        writer::write(&self.shared, reader, tail)
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
        waiting.wait_for_all()?;
        finish::remove_marks(&self.shared);
        Ok(())
    }

    /// Publishes what the catalog knows by now in the store's journal, see
    /// [`replay`]. At once when there is nothing new.
    ///
    /// # Errors
    /// When the store does not take it: the next call tries again.
    pub fn publish(&self) -> Result<()> {
        journal::publish(&self.shared)
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
    pub fn check(&self, depth: CheckDepth, progress: &mut dyn FnMut(u64, u64)) -> Result<Findings> {
        check::check(&self.shared, depth, progress)
    }

    /// Begins to repair packs that a check found damaged: what can still be read of
    /// them is stored anew at once.
    ///
    /// # Errors
    /// When there is no space for it, or the catalog fails.
    pub fn repair(&self, packs: &HashSet<PackId>) -> Result<Repair<'_>> {
        Repair::begin(self, packs)
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
        recover::adopt_marked(&self.shared)?;
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
