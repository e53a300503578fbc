//! Opening a store, and closing it: who is asked what, which threads run.
//!
//! A bucket may be away. A store that it has let in once opens all the same.

use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread;

use super::error::{Result, StoreError};
use super::membership::Answer;
use super::{
    Shared, Store, StoreConfig, admission, backend, cache, codec, disk_cache, doomed, fetch,
    finish, in_flight, journal, key_object, lease, membership, migrate, open_pack, presence,
    read_ahead, readers, recover, writer,
};
use crate::catalog::SharedCatalog;
use crate::model::{Clock, StorePlace, WriteClaim};

impl Store {
    /// Opens the store and takes up the open packs that an earlier run left.
    ///
    /// # Errors
    /// [`StoreError::LeaseHeld`] when another one writes to it, [`StoreError::CatalogIsOlder`]
    /// when the catalog is not the one that did. When the URL is none that can
    /// be opened, or spool or catalog fail. Lost bytes are no error: see
    /// [`recovered_damage`](Self::recovered_damage).
    pub fn open(
        config: &StoreConfig,
        catalog: SharedCatalog,
        clock: Arc<dyn Clock>,
    ) -> Result<Self> {
        let is_new = {
            let mut catalog = catalog.lock().unwrap_or_else(PoisonError::into_inner);
            let is_known = membership::has_joined(&mut **catalog, &config.place)?;
            catalog.packs()?.is_empty() && !is_known
        };
        let backend = backend::Backend::open(&config.place, is_new)?;
        let answer = match &config.place {
            StorePlace::Bucket(place) => {
                membership::join(place, config, &backend, &catalog, &*clock)?
            }
            StorePlace::Directory(_) => {
                membership::join_directory(config, &backend, &catalog, &*clock)?
            }
        };
        Self::start_over(config, catalog, clock, backend, answer)
    }

    pub(super) fn start_over(
        config: &StoreConfig,
        catalog: SharedCatalog,
        clock: Arc<dyn Clock>,
        backend: backend::Backend,
        answer: Answer,
    ) -> Result<Self> {
        let packs = catalog
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .packs()?;
        let key = config.key.as_ref();
        let copy = key_object::compare(config, answer, &backend, &catalog, &packs)?;
        let (lease, answer) = lease::Lease::open(config, &backend, &catalog, &clock, answer)?;
        key_object::bring(config, answer, copy, &backend, &lease, &catalog)?;
        let leave = match config.write_claim {
            WriteClaim::ReadOnly => Answer::None,
            WriteClaim::Keep | WriteClaim::TakeOver | WriteClaim::AcceptEmpty => answer,
        };
        migrate::take_up(&catalog, &backend, leave)?;
        let disk_cache_bytes_max = match backend.is_remote() {
            true => config.disk_cache_bytes_max,
            false => 0,
        };
        let shared = Arc::new(Shared {
            disk_cache: disk_cache::DiskCache::open(&config.cache_dir, disk_cache_bytes_max)?,
            doomed: doomed::Doomed::default(),
            admission: admission::Admission::after(answer),
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
            read_ahead: read_ahead::ReadAhead::default(),
            readers: readers::Readers::default(),
            scratch: writer::ScratchPool::default(),
            published: Mutex::default(),
            warnings: Mutex::default(),
            maintenance: Mutex::default(),
            migrations: migrate::Migrations::default(),
        });
        let recovered_damage = recover::recover(&shared, &packs, answer)?;
        journal::leave_behind(&shared)?;
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
        if store.shared.disk_cache.is_on() {
            store.start("keepfs-cache", |shared| shared.disk_cache.run(shared))?;
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
}

impl Drop for Store {
    fn drop(&mut self) {
        self.shared.waiting.stop();
        self.shared.read_ahead.stop();
        self.shared.disk_cache.stop();
        for thread in self.threads.drain(..) {
            // A thread that panicked has said so already.
            let _ = thread.join();
        }
        finish::remove_marks(&self.shared);
    }
}
