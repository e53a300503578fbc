//! Bytes: contents are cut into chunks, chunks gather in packs, packs lie in the store.
//!
//! [`Store`] writes a content once and reads it back by range, checking every
//! chunk against its blake3. It knows nothing of assets and versions. The
//! surprise: a chunk is safe before its pack is in the store. It is appended to
//! the open pack in the spool first, and [`Store::sync`] makes that durable.

mod abandoned;
mod admission;
mod azure;
mod backend;
mod bucket;
mod bucket_rules;
mod cache;
mod check;
mod chunker;
mod cipher;
mod codec;
mod commands;
mod config;
mod directory;
mod disk_cache;
mod doomed;
mod error;
mod fetch;
mod findings;
mod finish;
mod founding;
mod home;
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
mod opening;
mod orphans;
mod pack;
mod presence;
mod profile;
mod progress;
mod read_ahead;
mod reader;
mod readers;
mod reclaim;
mod reconcile;
mod records;
mod recover;
mod refusal;
mod repair;
mod rewrite;
mod sample;
mod secret;
mod spool_pack;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod upkeep;
mod whole;
mod wire;
mod writer;

use std::io::Read;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;

pub use bucket_rules::harms;
pub use chunker::{Tail, chunks_max};
pub use cipher::{Cipher, MasterKey, Purpose, SEAL_BYTES};
pub use commands::command_that_removes;
pub use config::StoreConfig;
pub use disk_cache::DiskCacheUse;
pub use error::{Result, StoreError, Writer};
pub use findings::{CheckDepth, Damage, Findings};
pub use finish::{AtBound, Attempts};
pub use journal::{Gap, Replayed, note_replayed, replay};
pub use key_document::{KEY_NAME, KeyDocument, VaultKey};
pub use key_object::key_document_at;
pub use lease::LEASE_NAME;
pub use membership::allow;
pub use migrate::{Copied, Migrated, Migration, Watch};
pub use orphans::Orphan;
pub use progress::Unstored;
pub use reader::ContentReader;
pub use reclaim::Repacked;
pub use reconcile::{Listing, Reconciled, list_packs, reconcile, versions_in_packs};
pub use records::RecordFlaw;
pub use repair::Repair;
pub use sample::{Sampled, Share, ShareError};
pub use secret::{Secret, create_key_file};

use crate::catalog::{CatalogError, CatalogGuard, SharedCatalog, take_turn};
use crate::model::{ChunkHash, Clock, ContentId, Deadline};

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
    admission: admission::Admission,
    /// Exchanged when the store moves.
    backend: RwLock<Arc<backend::Backend>>,
    coding: codec::Coding,
    open_packs: open_pack::OpenPacks,
    waiting: finish::Waiting,
    in_flight: in_flight::InFlight,
    presence: presence::Presence,
    cache: cache::ChunkCache,
    disk_cache: disk_cache::DiskCache,
    doomed: doomed::Doomed,
    sources: fetch::Sources,
    read_ahead: read_ahead::ReadAhead,
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

impl Store {
    /// The bytes that were acknowledged by the catalog but did not reach the disk
    /// before the power failed, as [`open`](Self::open) found them. Writing the same
    /// content again, or a [`repair`](Self::repair), makes their versions whole.
    pub fn recovered_damage(&self) -> &[Damage] {
        &self.recovered_damage
    }

    /// Reads a content to its end and makes it known to the catalog. When it
    /// returns, every chunk is in a pack file or an open pack: safe from kill -9,
    /// and from power loss after [`sync`](Self::sync) and a commit.
    ///
    /// # Errors
    /// [`StoreError::Source`] when `reader` fails, [`StoreError::Full`] when there is
    /// no space left, [`StoreError::SpoolAtBound`] where that is refused. What was stored
    /// until then is used by the next attempt.
    pub fn write(
        &self,
        reader: &mut (dyn Read + Send),
        tail: Tail,
        at_bound: AtBound,
    ) -> Result<Written> {
        writer::write(&self.shared, reader, tail, at_bound)
    }

    /// Does the same for many small contents at once. `None` for one that has to go through
    /// [`write`](Self::write): it is long, or stored already, or just now.
    ///
    /// # Errors
    /// As [`write`](Self::write): none of them may be taken as stored then.
    pub fn write_small(
        &self,
        contents: &[&[u8]],
        at_bound: AtBound,
    ) -> Result<Vec<Option<Written>>> {
        writer::write_small(&self.shared, contents, at_bound)
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
        self.flush_until(Deadline::NEVER)
    }

    /// The same, for who does not wait for ever. Who comes later waits for the same packs:
    /// a put serves them all.
    ///
    /// # Errors
    /// As [`flush`](Self::flush), or [`StoreError::OnTheWay`] after the deadline.
    pub fn flush_until(&self, deadline: Deadline) -> Result<()> {
        let waiting = &self.shared.waiting;
        self.shared.open_packs.end_growing(waiting)?;
        waiting.wait_for_all(deadline)?;
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

    /// Publishes all that the catalog knows by now, and removes what was published before:
    /// nothing in the journal speaks any more of what is gone.
    ///
    /// # Errors
    /// As [`publish`](Self::publish).
    pub fn publish_anew(&self) -> Result<()> {
        journal::publish_anew(&self.shared)
    }

    /// The same, for who does not wait for ever. What is begun goes on.
    ///
    /// # Errors
    /// As [`publish`](Self::publish), or [`StoreError::JournalOnTheWay`] after the deadline.
    pub fn publish_until(&self, deadline: Deadline) -> Result<()> {
        if deadline == Deadline::NEVER {
            return self.publish();
        }
        let (told, hears) = mpsc::channel();
        let shared = self.shared.clone();
        std::thread::Builder::new()
            .name("keepfs-publish".into())
            .spawn(move || told.send(journal::publish(&shared)))
            .map_err(|error| StoreError::Io(format!("starting a thread: {error}")))?;
        loop {
            match hears.recv_timeout(deadline.left_at_most(Duration::from_secs(1))) {
                Ok(published) => return published,
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(StoreError::Io("the journal's thread failed".into()));
                }
                Err(RecvTimeoutError::Timeout) if deadline.has_passed() => {
                    return Err(StoreError::JournalOnTheWay);
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    /// Readers of contents that will be read at once: the bytes of several come into memory
    /// in as few requests as can be. What cannot be brought, its reader reports. More than
    /// the cache holds is of no use.
    ///
    /// # Errors
    /// When the catalog fails.
    pub fn readers(&self, contents: &[ContentId]) -> Result<Vec<ContentReader>> {
        let readers = ContentReader::open_all(&self.shared, contents)?;
        if readers.len() > 1 {
            let chunks = readers.iter().flat_map(ContentReader::chunks);
            fetch::bring(&self.shared, &chunks.copied().collect::<Vec<_>>());
        }
        Ok(readers)
    }

    /// A reader of one content.
    ///
    /// # Errors
    /// When the catalog fails.
    pub fn reader(&self, content: ContentId) -> Result<ContentReader> {
        ContentReader::open(&self.shared, content)
    }
}
