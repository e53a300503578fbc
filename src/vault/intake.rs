//! Intake: the first versions of many files that were there before, as a first backup finds them.
//!
//! Threads read and store the files and note what they read; when that is durable, whatever
//! is still the same file gets its version, many in one turn at the catalog. Nothing is
//! sealed, pinned or queued on the way. The surprise: only the plain case is dealt with here.
//! What is large, changed lately, being written, or does not go into the store at the moment
//! is kept the ordinary way, by a seal.

mod queue;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::catalog::{Catalog, atomically};
use crate::model::{FileFacts, Origin, PublicId, VersionState, Xattrs, failpoint};
use crate::store::{AtBound, StoreError, Tail, Written};

use super::file_reads::{FileReads, UnderWay};
use super::live::{Finder, Found, facts_of, is_absent, user_xattrs};
use super::seal::CLOCK_TICK;
use super::workers::lower_priority;
use super::{Result, Vault, VaultError, lock};
use queue::{FoundFiles, WhenEmpty};

/// A larger file is sealed, so that it is stored as it is now whatever happens meanwhile: to
/// read it twice would be too much.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Files and bytes that wait for a common flush.
const UNRECORDED_FILES_MAX: usize = 2000;
const UNRECORDED_BYTES_MAX: u64 = 64 << 20;
/// How long they wait at most, while others still come.
const UNRECORDED_AGE_MAX: Duration = Duration::from_secs(2);
/// Versions in one turn at the catalog: whoever works in the mount waits for it.
const TURN_VERSIONS: usize = 32;

/// A file that no asset claims yet.
#[derive(Debug)]
pub(super) struct NewFile {
    pub id: PublicId,
    /// As the walk saw it.
    pub facts: FileFacts,
}

/// What came of the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct TakenIn {
    pub versions: u64,
    /// Each is in the log.
    pub unreadable: u64,
}

/// Takes in the files of one walk.
pub(super) struct Intake<'a> {
    vault: &'a Vault,
    found: FoundFiles,
    unrecorded: Mutex<Batch>,
    taken: Mutex<TakenIn>,
}

/// A file that is being read.
struct Opened {
    id: PublicId,
    file: Arc<File>,
    facts: FileFacts,
    xattrs: Xattrs,
}

/// A file whose bytes are in the store, and how it was when they were read.
struct Unrecorded {
    id: PublicId,
    facts: FileFacts,
    xattrs: Xattrs,
    written: Written,
}

#[derive(Default)]
struct Batch {
    files: Vec<Unrecorded>,
    bytes: u64,
    /// When the first of them was added.
    since: Option<Instant>,
}

impl Batch {
    fn is_full(&self) -> bool {
        let is_old = |since: &Instant| since.elapsed() >= UNRECORDED_AGE_MAX;
        self.files.len() >= UNRECORDED_FILES_MAX
            || self.bytes >= UNRECORDED_BYTES_MAX
            || self.since.as_ref().is_some_and(is_old)
    }
}

impl<'a> Intake<'a> {
    /// Takes in what `walk` adds. Returns when all of it has its versions.
    ///
    /// # Errors
    /// What `walk` failed with; when the catalog fails, or the system gives no thread.
    pub(super) fn run(vault: &'a Vault, walk: impl FnOnce(&Self) -> Result<()>) -> Result<TakenIn> {
        let mark = vault.mark_intake()?;
        let intake = Self {
            vault,
            found: FoundFiles::default(),
            unrecorded: Mutex::default(),
            taken: Mutex::default(),
        };
        thread::scope(|scope| {
            // However the walk ends, the readers must not wait for more.
            let found = intake.found.ends_on_drop();
            let started = (0..vault.config.ingest_threads.max(1)).try_for_each(|number| {
                let reader = intake.found.reader();
                let intake = &intake;
                let thread = thread::Builder::new().name(format!("keepfs-intake-{number}"));
                let started = thread.spawn_scoped(scope, move || {
                    let _reader = reader;
                    lower_priority();
                    intake.read_all();
                });
                let started = started.map(|_| ());
                started.map_err(|error| VaultError::io("starting a thread", error))
            });
            let walked = started.and_then(|()| walk(&intake));
            drop(found);
            walked
        })?;
        intake.found.check()?;
        intake.record_batch()?;
        mark.succeed();
        Ok(*lock(&intake.taken))
    }

    /// Hands over new files; waits while the readers are far behind.
    ///
    /// # Errors
    /// What a reader failed with: nothing more is taken in.
    pub(super) fn add(&self, files: impl IntoIterator<Item = NewFile>) -> Result<()> {
        self.found.add(files)
    }

    /// Bytes of files that were handed over and nobody reads yet.
    pub(super) fn bytes_waiting(&self) -> u64 {
        self.found.bytes()
    }

    /// Reads files until the walk has ended.
    fn read_all(&self) {
        let mut reads = FileReads::new();
        let mut before: Option<(Vec<Opened>, UnderWay)> = None;
        loop {
            let next = self.found.next(match before {
                Some(_) => WhenEmpty::GoOn,
                None => WhenEmpty::Wait,
            });
            if before.is_none() && next.is_empty() {
                return;
            }
            // They are on their way while those before are stored.
            let following = match next.is_empty() {
                true => None,
                false => Some(self.begin(&mut reads, next)),
            };
            if let Some((files, asked)) = std::mem::replace(&mut before, following)
                && let Err(error) = self.store(files, reads.finish(asked))
            {
                return self.found.fail(error);
            }
        }
    }

    /// Opens files and asks for their bytes.
    fn begin(&self, reads: &mut FileReads, files: Vec<NewFile>) -> (Vec<Opened>, UnderWay) {
        let mut opened = Vec::with_capacity(files.len());
        for file in files {
            match self.open(&file) {
                Ok(Some(plain)) => opened.push(plain),
                Ok(None) => self.keep_by_seal(&file.id),
                Err(error) => self.note(&file.id, error),
            }
        }
        let asked = opened
            .iter()
            .map(|open| (open.file.clone(), open.facts.size));
        let asked = reads.begin(asked);
        (opened, asked)
    }

    /// `None`: this is not the plain case.
    fn open(&self, new: &NewFile) -> Result<Option<Opened>> {
        let io = |error| VaultError::io(new.id.to_string(), error);
        let file = self.vault.live.open_file(&new.id).map_err(io)?;
        let facts = facts_of(file.as_fd()).map_err(io)?;
        let age = self.vault.clock.now().since(facts.ctime);
        let is_plain = facts.inode == new.facts.inode && facts.size <= FILE_BYTES_MAX;
        if !is_plain || age <= CLOCK_TICK || self.vault.is_being_written(facts.inode) {
            return Ok(None);
        }
        let xattrs = user_xattrs(file.as_fd()).map_err(io)?;
        if !self.vault.keeps_unlocked(&new.id, &xattrs)? {
            return Ok(None);
        }
        Ok(Some(Opened {
            id: new.id.clone(),
            file: Arc::new(file),
            facts,
            xattrs,
        }))
    }

    /// # Errors
    /// When the catalog fails; what concerns a file only is dealt with.
    fn store(&self, files: Vec<Opened>, read: Vec<io::Result<Vec<u8>>>) -> Result<()> {
        let mut whole = Vec::with_capacity(files.len());
        for (file, read) in files.into_iter().zip(read) {
            match read {
                Ok(bytes) if bytes.len() as u64 == file.facts.size => whole.push((file, bytes)),
                Ok(_) => self.keep_by_seal(&file.id),
                Err(error) => {
                    let error = VaultError::io(file.id.to_string(), error);
                    self.note(&file.id, error);
                }
            }
        }
        let contents: Vec<&[u8]> = whole.iter().map(|(_, bytes)| bytes.as_slice()).collect();
        let stored = self.vault.store.write_small(&contents, AtBound::Refuse);
        let stored = unless_catalog(stored)?.unwrap_or_else(|| vec![None; contents.len()]);
        failpoint::reach("intake.written");
        for ((file, bytes), written) in whole.into_iter().zip(stored) {
            let written = match written {
                Some(written) => Some(written),
                None => self.store_alone(&bytes)?,
            };
            match written {
                Some(written) => self.add_unrecorded(file, written)?,
                None => self.keep_by_seal(&file.id),
            }
        }
        Ok(())
    }

    fn store_alone(&self, mut bytes: &[u8]) -> Result<Option<Written>> {
        let store = &self.vault.store;
        unless_catalog(store.write(&mut bytes, Tail::Whole, AtBound::Refuse))
    }

    fn add_unrecorded(&self, file: Opened, written: Written) -> Result<()> {
        let is_full = {
            let mut batch = lock(&self.unrecorded);
            batch.since.get_or_insert_with(Instant::now);
            batch.bytes += written.size;
            batch.files.push(Unrecorded {
                id: file.id,
                facts: file.facts,
                xattrs: file.xattrs,
                written,
            });
            batch.is_full()
        };
        match is_full {
            true => self.record_batch(),
            false => Ok(()),
        }
    }

    /// Makes what was read durable, and then the versions.
    fn record_batch(&self) -> Result<()> {
        let batch = std::mem::take(&mut *lock(&self.unrecorded)).files;
        let mut others = Vec::new();
        match self.vault.store.sync() {
            Ok(()) => {
                failpoint::reach("intake.synced");
                for turn in batch.chunks(TURN_VERSIONS) {
                    let mut catalog = self.vault.catalog();
                    // No rename through the mount while the catalog is locked.
                    let mut live = self.vault.live.finder();
                    for file in turn {
                        match self.vault.record_first(catalog.as_mut(), &mut live, file)? {
                            true => lock(&self.taken).versions += 1,
                            false => others.push(file),
                        }
                    }
                }
                failpoint::reach("intake.recorded");
            }
            Err(error) => {
                log::debug!("files of a first backup are sealed: {error}");
                others.extend(&batch);
            }
        }
        for file in others {
            self.keep_by_seal(&file.id);
            self.vault.leave_over(file.written.content)?;
        }
        Ok(())
    }

    fn keep_by_seal(&self, id: &PublicId) {
        match self.vault.keep_found(id, Origin::Backup) {
            Ok(Some(_)) => {
                lock(&self.taken).versions += 1;
                self.vault.ingest.keep_pace();
            }
            Ok(None) => {}
            Err(error) => self.note(id, error),
        }
    }

    /// True for a file that somebody removed meanwhile. Where its directory is gone, too, the
    /// whole of it may be at another place, without versions.
    fn is_removed(&self, id: &PublicId, error: &VaultError) -> bool {
        let is_gone = matches!(error, VaultError::Io { error, .. } if is_absent(error));
        let parent = id.split().map(|(parent, _)| parent);
        is_gone && parent.is_some_and(|parent| self.vault.live.open_directory(&parent).is_ok())
    }

    fn note(&self, id: &PublicId, error: VaultError) {
        if matches!(error, VaultError::Catalog(_)) {
            return self.found.fail(error);
        }
        if self.is_removed(id, &error) {
            return;
        }
        log::warn!("{id}: not scanned: {error}");
        lock(&self.taken).unreadable += 1;
    }
}

/// `None`: the store does not take it at the moment. Whoever keeps the file by a seal finds
/// out why, and says so.
fn unless_catalog<T>(stored: std::result::Result<T, StoreError>) -> Result<Option<T>> {
    match stored {
        Ok(stored) => Ok(Some(stored)),
        Err(error @ StoreError::Catalog(_)) => Err(error.into()),
        Err(error) => {
            log::debug!("not stored at once: {error}");
            Ok(None)
        }
    }
}

impl Vault {
    /// The first version of a file whose bytes are durable. False: the file is another by
    /// now, or its asset is known, or the content is gone again, and nothing was done.
    fn record_first(
        &self,
        catalog: &mut dyn Catalog,
        live: &mut Finder<'_>,
        file: &Unrecorded,
    ) -> Result<bool> {
        let Unrecorded {
            id,
            facts,
            xattrs,
            written,
        } = file;
        // Under the lock that every close takes: a close that came before is seen in the
        // file, one that comes later makes the next version.
        let is_as_read = matches!(live.find(id), Ok(Some(Found::File(now))) if now == *facts);
        if !is_as_read
            || self.is_being_written(facts.inode)
            || !self.keeps(catalog, id, xattrs)?
            || self.asset_at(catalog, id)?.is_some()
            || catalog.content_by_hash(&written.blake3, written.size)? != Some(written.content)
        {
            return Ok(false);
        }
        atomically(catalog, |catalog| {
            let now = self.clock.now();
            let asset = self.create_asset(catalog, id, Some(facts), now)?;
            self.adopt_labels(catalog, asset, xattrs)?;
            let version = self.new_version(
                asset,
                *facts,
                xattrs.clone(),
                Origin::Backup,
                VersionState::Stored {
                    content: written.content,
                    blake3: written.blake3,
                },
            );
            catalog.add_version(&version)?;
            Ok(true)
        })
    }
}
