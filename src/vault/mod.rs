//! The rules: what a close, a rename, a delete and a restore mean.
//!
//! [`Vault`] holds the catalog, the store, the live tree's root and the pins. It
//! knows no FUSE, no SQL and no network. The surprise: an operation that changes
//! the live tree is handed in as a closure and runs inside the catalog's
//! savepoint, so the tree and the catalog change together or not at all.

mod account;
mod audit;
mod browse;
mod carry;
mod check;
mod checkpoint;
mod commit_remote;
mod commits;
mod drain;
mod error;
mod file_reads;
mod hold;
mod ingest;
mod ingest_queue;
mod intake;
mod labels;
mod leftovers;
mod link;
pub mod live;
mod lookup;
mod materialise;
mod migrate;
mod names;
mod overridden;
mod pins;
mod preserve;
mod prune;
mod purge;
mod rebuild;
mod record;
mod remove;
mod rename;
mod rename_directory;
mod repair;
mod restore;
mod scan;
mod seal;
mod settle;
mod spool;
mod staging;
mod status;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod unrecorded;
mod upload;
mod usage;
mod workers;

use std::collections::{HashMap, HashSet};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

pub use account::LiveSpace;
pub use browse::{Browsed, Case, Depth, Range, Standings};
pub use check::{CheckReport, Remedy};
pub use drain::DrainScope;
pub use error::{Result, VaultError};
pub use labels::{CONTEXT_XATTR, TAGS_XATTR};
pub use lookup::{Chosen, UploadProgress};
pub use materialise::{Materialised, Trust};
pub use migrate::{MigrationStatus, Moved};
pub use prune::{ClockTrust, Judged, Prune, PruneMode, Pruned};
pub use purge::Purged;
pub use rebuild::{Settled, settle_rebuilt};
pub use rename::{Party, Rename, RenameMode};
pub(crate) use rename_directory::all_children;
pub use restore::{Clobber, Restore, Restored};
pub use scan::{ScanProgress, ScanReport, Survey};
pub use seal::WriteIntent;
pub use status::{DiskCacheStatus, Status};
pub use upload::{Incoming, Placed, Placement};
pub use usage::{Age, Usage};
pub use workers::Workers;

use crate::catalog::{Catalog, CatalogGuard, Durability, SharedCatalog, take_turn};
use crate::config::Config;
use crate::model::{Clock, InodeKey, Location, NodeId, PublicId, VersionIds, VersionSeq};
use crate::policy::Policy;
use crate::store::{Store, StoreConfig, VaultKey};

use commits::{Commits, Epoch};
use ingest_queue::Ingest;
use live::LiveTree;
use pins::{Held, Pins, Promised, SpoolName};
use spool::Spool;

/// One open vault.
pub struct Vault {
    config: Config,
    clock: Arc<dyn Clock>,
    catalog: SharedCatalog,
    store: Store,
    policy: RwLock<Policy>,
    live: LiveTree,
    spool: Spool,
    pins: Pins,
    ids: Mutex<VersionIds>,
    ingest: Ingest,
    /// Known directories by path; emptied when a directory moves or goes.
    directories: Mutex<HashMap<PublicId, NodeId>>,
    /// Whether any directory has an override: most vaults have none, and then no
    /// close needs to look for one.
    has_overrides: AtomicBool,
    commits: Commits,
    /// Versions of files that may be open still: see `commit_remote`.
    provisional: Mutex<commit_remote::Provisional>,
    /// Inodes that are open for writing, with the number of announced writers.
    writers: Mutex<HashMap<InodeKey, u32>>,
    /// Inodes whose writer was told that its bytes are durable.
    promised: Mutex<HashSet<InodeKey>>,
    /// Names that hard links gave to inodes while they were open for writing.
    new_links: Mutex<HashMap<InodeKey, Vec<PublicId>>>,
    /// True until the scan after an unclean stop has passed.
    recovering: AtomicBool,
    /// A close could not be sealed: the next start must look for it.
    missed: AtomicBool,
    /// Sealed versions known to differ from the one before them, though of its size.
    distinct: Mutex<HashSet<VersionSeq>>,
    /// Contents that were stored for nobody; they go when ingest is idle.
    leftovers: Mutex<leftovers::Leftovers>,
    unrecorded: unrecorded::Unrecorded,
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vault")
            .field("vault_dir", &self.config.vault_dir)
            .finish_non_exhaustive()
    }
}

/// `st_dev` of the live tree when the vault was last opened.
const DEVICE_SETTING: &str = "live_device";

impl Vault {
    /// Opens a vault over a catalog: takes up open packs, the spool and the versions
    /// that still wait for ingest. Starts no thread; see [`Workers`]. `key` is `None` for a
    /// vault that is not encrypted.
    ///
    /// # Errors
    /// When the live tree, the spool or the store cannot be opened.
    pub fn open(
        config: Config,
        catalog: Box<dyn Catalog>,
        clock: Arc<dyn Clock>,
        key: Option<VaultKey>,
    ) -> Result<Self> {
        let catalog: SharedCatalog = Arc::new(Mutex::new(catalog));
        let policy = Policy::new(&config.policy).map_err(|error| VaultError::BadVault {
            path: config.vault_dir.join("keepfs.toml"),
            problem: error.to_string(),
        })?;
        let live = LiveTree::open(&config.live_dir).map_err(|error| {
            VaultError::io(format!("live tree {}", config.live_dir.display()), error)
        })?;
        let spool = Spool::open(&config.spool_dir).map_err(|error| {
            VaultError::io(format!("spool {}", config.spool_dir.display()), error)
        })?;
        let store_config = StoreConfig {
            place: config.store.clone(),
            vault_dir: config.vault_dir.clone(),
            write_claim: config.write_claim,
            spool_dir: config.spool_dir.clone(),
            pack_bytes: config.pack_bytes,
            spool_bytes_max: config.spool_bytes_max,
            vault_name: config.name.clone(),
            cache_bytes_max: config.cache_bytes_max,
            cache_dir: config.cache_dir.clone(),
            disk_cache_bytes_max: config.disk_cache_bytes_max,
            zstd_level: config.zstd_level,
            threads: config.ingest_threads,
            key,
        };
        let store = Store::open(&store_config, catalog.clone(), clock.clone())?;
        let vault = Self {
            config,
            catalog,
            clock,
            store,
            policy: RwLock::new(policy),
            live,
            spool,
            pins: Pins::default(),
            ids: Mutex::new(VersionIds::after(None)),
            ingest: Ingest::default(),
            directories: Mutex::default(),
            has_overrides: AtomicBool::new(false),
            commits: Commits::default(),
            provisional: Mutex::default(),
            writers: Mutex::default(),
            promised: Mutex::default(),
            new_links: Mutex::default(),
            recovering: AtomicBool::new(false),
            missed: AtomicBool::new(false),
            distinct: Mutex::default(),
            leftovers: Mutex::default(),
            unrecorded: unrecorded::Unrecorded::default(),
        };
        vault.take_up()?;
        vault.sweep_temporary()?;
        Ok(vault)
    }

    /// The settings it was opened with.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Its content store.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Its live tree.
    pub fn live(&self) -> &LiveTree {
        &self.live
    }

    /// The clock it lives by.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// The catalog, for reading.
    pub(crate) fn catalog(&self) -> CatalogGuard<'_> {
        take_turn(&self.catalog).unwrap_or_else(PoisonError::into_inner)
    }

    fn policy(&self) -> RwLockReadGuard<'_, Policy> {
        self.policy.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Commits what waits, if anything does.
    ///
    /// # Errors
    /// When the catalog's disk is full or failing; nothing is lost from view.
    pub fn commit(&self, durability: Durability) -> Result<()> {
        let mut catalog = self.catalog();
        if durability == Durability::Power || catalog.has_uncommitted() {
            self.commit_locked(catalog.as_mut(), durability)?;
        }
        self.forget_unrecorded();
        Ok(())
    }

    fn commit_locked(&self, catalog: &mut dyn Catalog, durability: Durability) -> Result<()> {
        catalog.commit(durability)?;
        self.commits.done(durability);
        Ok(())
    }

    /// Fsync was answered by the filesystem below: whatever the catalog needs to
    /// find those bytes is made durable too. `inode`: the file, `None` for a directory.
    ///
    /// # Errors
    /// When the catalog cannot be made durable; the fsync must fail then.
    pub fn synced(&self, inode: Option<InodeKey>) -> Result<()> {
        if let Some(inode) = inode {
            if lock(&self.writers).contains_key(&inode) {
                lock(&self.promised).insert(inode);
            }
            self.pins.promise(inode);
        }
        self.commit(Durability::Power)
    }

    /// True when a close could not be sealed, so that only a scan can make up for it.
    pub fn has_missed(&self) -> bool {
        self.missed.load(Ordering::SeqCst)
    }

    pub(crate) fn note_missed(&self) {
        self.missed.store(true, Ordering::SeqCst);
    }

    fn is_recovering(&self) -> bool {
        self.recovering.load(Ordering::SeqCst)
    }

    /// Extra names that the spool gave this inode; `st_nlink` must not show them.
    pub fn spool_links(&self, inode: InodeKey) -> u64 {
        self.spool.links_of(inode)
    }

    /// Device numbers can change from one boot to the next; the files are the same.
    fn follow_device(&self, catalog: &mut dyn Catalog) -> Result<()> {
        let now = rustix::fs::fstat(self.live.root())
            .map_err(|error| VaultError::io("the live tree", error))?
            .st_dev;
        let before = catalog
            .setting(DEVICE_SETTING)?
            .and_then(|text| text.parse::<u64>().ok());
        if before == Some(now) {
            return Ok(());
        }
        if let Some(before) = before {
            catalog.rebase_device(before, now)?;
        }
        Ok(catalog.set_setting(DEVICE_SETTING, Some(&now.to_string()))?)
    }

    fn is_link_in_spool(&self, seq: VersionSeq, inode: InodeKey) -> Result<bool> {
        let io = |error| VaultError::io("reading the spool", error);
        let file = self.spool.open_file(seq).map_err(io)?;
        let facts = file.map(|file| live::facts_of(file.as_fd())).transpose();
        Ok(facts.map_err(io)?.is_some_and(|facts| facts.inode == inode))
    }

    /// Rebuilds in memory what the rows and the spool say of an earlier run.
    fn take_up(&self) -> Result<()> {
        let spooled: HashSet<VersionSeq> = self
            .spool
            .recover()
            .map_err(|error| VaultError::io("reading the spool", error))?
            .into_iter()
            .collect();
        let mut catalog = self.catalog();
        self.follow_device(catalog.as_mut())?;
        self.remove_earlier_leftovers(catalog.as_mut())?;
        *lock(&self.ids) = VersionIds::after(catalog.last_version_id()?);
        let overrides = catalog.setting(names::OVERRIDES_SETTING)?.is_some();
        self.has_overrides.store(overrides, Ordering::Relaxed);
        let mut needed = HashSet::new();
        let mut after = VersionSeq(0);
        loop {
            let page = catalog.sealed_versions(after, 1000)?;
            let Some(last) = page.last() else { break };
            after = last.seq;
            for version in &page {
                let crate::model::VersionState::Sealed { file, location } = version.state else {
                    continue;
                };
                needed.insert(version.seq);
                let in_spool = spooled.contains(&version.seq);
                // The row may be older than what was done in the spool: the file there says
                // what it is. Of a copy nothing is pinned, or the next writer's would replace it.
                let is_copy = in_spool && !self.is_link_in_spool(version.seq, file.inode)?;
                let found = match (in_spool, is_copy) {
                    (false, _) => location,
                    (true, false) => Location::SpoolLink,
                    (true, true) => Location::SpoolCopy,
                };
                if found != location {
                    catalog.set_location(version.seq, found)?;
                }
                if !is_copy {
                    self.pins.add(
                        file.inode,
                        Held {
                            seq: version.seq,
                            size: version.size,
                            promised: Promised::Durable,
                            before: Epoch::default(),
                            named: match in_spool {
                                true => SpoolName::Linked,
                                false => SpoolName::No,
                            },
                        },
                    );
                }
                self.ingest.enqueue(version.seq, None);
            }
        }
        let lost = self.clear_orphans(catalog.as_mut(), spooled.difference(&needed).copied())?;
        drop(catalog);
        self.put_back(lost)
    }
}

/// Locks; a panic elsewhere while holding the lock does not spread.
fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
