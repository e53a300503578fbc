//! Ingest: sealed bytes are read, chunked and stored, then their pins end.
//!
//! Any thread may ingest: the workers in the background, a reader of history
//! that needs an answer now. `record` makes what was read here durable. The
//! surprise: the bytes may move to the spool, or to another name, while they are read.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use crate::catalog::{Catalog, Standing, atomically};
use crate::model::{FileFacts, InodeKey, PublicId, Version, VersionSeq, VersionState, failpoint};
use crate::store::{AtBound, Tail, Written};

use super::ingest_queue::{Queue, SealedAt};
use super::live::Found;
use super::spool::reopen_for_reading;
use super::{Result, Vault, VaultError, live, lock};

/// Stored versions wait for a common flush up to this many bytes.
const BATCH_BYTES_MAX: u64 = 64 << 20;
/// Between two looks whether whoever reads a version still comes forward.
const LOOK: Duration = Duration::from_millis(100);

/// A version to be read.
struct Source {
    version: Version,
    /// Where its live file may be.
    names: Vec<PublicId>,
    tail: Tail,
}

impl Vault {
    /// Makes the bytes of one sealed version durable in the store before returning.
    ///
    /// # Errors
    /// When the bytes cannot be read or the store takes none.
    pub fn ingest_now(&self, seq: VersionSeq) -> Result<()> {
        self.ingest_one(seq, AtBound::Refuse)?;
        self.finish_batch()
    }

    /// Reads and stores one version and hands it to the batch; nothing to do when
    /// somebody else did, or it is gone.
    pub(super) fn ingest_one(&self, seq: VersionSeq, at_bound: AtBound) -> Result<()> {
        let sealed_at = {
            let mut queue = lock(&self.ingest.queue);
            while queue.active.contains(&seq) {
                // Whoever is at it may be waiting for the store.
                if at_bound == AtBound::Refuse
                    && let Some(error) = self.store.bound_reached()
                {
                    return Err(error.into());
                }
                queue = self
                    .ingest
                    .changed
                    .wait_timeout(queue, LOOK)
                    .unwrap_or_else(|poisoned| poisoned.into_inner())
                    .0;
            }
            if queue.written.iter().any(|(written, _)| *written == seq) {
                return Ok(());
            }
            queue.active.insert(seq);
            queue.sealed_at.remove(&seq)
        };
        let result = self.write_content(seq, sealed_at, at_bound);
        // Out of one set and into the other under one lock: nobody takes it up twice.
        let mut queue = lock(&self.ingest.queue);
        queue.active.remove(&seq);
        let result = result.map(|written| {
            if let Some(written) = written {
                queue.written_bytes += written.size;
                queue.written_since.get_or_insert_with(Instant::now);
                queue.written.push((seq, written));
            }
        });
        drop(queue);
        self.ingest.changed.notify_all();
        result
    }

    fn write_content(
        &self,
        seq: VersionSeq,
        mut sealed_at: Option<SealedAt>,
        at_bound: AtBound,
    ) -> Result<Option<Written>> {
        loop {
            let Some(Source {
                version,
                names,
                tail,
            }) = self.still_sealed(seq, sealed_at.as_ref())?
            else {
                return Ok(None);
            };
            let opened = self.open_sealed_at(&version, &names);
            if !matches!(opened, Ok(Some(_))) && sealed_at.take().is_some() {
                // Renamed since: the catalog knows where it is now.
                continue;
            }
            let Some((file, from_spool)) = opened? else {
                if self.bytes_are_gone(seq)? {
                    return Ok(None);
                }
                continue;
            };
            let mut bytes = (&file).take(version.size);
            let written = self.store.write(&mut bytes, tail, at_bound)?;
            failpoint::reach("ingest.written");
            if !from_spool && self.take_back_if_changed(&version, &file)? {
                self.leave_over(written.content)?;
                return Ok(None);
            }
            if !from_spool && self.in_spool(seq)? {
                // Whoever was about to change the file put the bytes there first; what
                // was read meanwhile may be a mixture.
                continue;
            }
            if written.size == version.size {
                return Ok(Some(written));
            }
            if self.bytes_are_gone(seq)? {
                return Ok(None);
            }
        }
    }

    /// A version that is still sealed, with the names its live file may have: the one
    /// that it was sealed at, or `None` given, all that the catalog knows.
    fn still_sealed(
        &self,
        seq: VersionSeq,
        sealed_at: Option<&SealedAt>,
    ) -> Result<Option<Source>> {
        let mut catalog = self.catalog();
        let Some(version) = catalog.version(seq)? else {
            return Ok(None);
        };
        let VersionState::Sealed { file, .. } = version.state else {
            return Ok(None);
        };
        if let Some(SealedAt { id, tail }) = sealed_at {
            return Ok(Some(Source {
                version,
                names: vec![id.clone()],
                tail: *tail,
            }));
        }
        let names = names_of(catalog.as_mut(), &version, file.inode)?;
        let has_changed = catalog.version_before(version.asset, version.id)?.is_some();
        Ok(Some(Source {
            version,
            names,
            tail: match has_changed {
                true => Tail::Fine,
                false => Tail::Whole,
            },
        }))
    }

    /// Stores a version's bytes out of a given file, on the spot.
    pub(super) fn ingest_from(&self, seq: VersionSeq, file: BorrowedFd<'_>) -> Result<()> {
        let Some(version) = self.catalog().version(seq)? else {
            return Ok(());
        };
        let source = reopen_for_reading(file)
            .map_err(|error| VaultError::io("opening a sealed file", error))?;
        // Seen as under way, like every other ingest.
        let is_ours = lock(&self.ingest.queue).active.insert(seq);
        let mut bytes = source.take(version.size);
        let written = self.store.write(&mut bytes, Tail::Fine, AtBound::Refuse);
        {
            let mut queue = lock(&self.ingest.queue);
            if is_ours {
                queue.active.remove(&seq);
            }
            if let Ok(written) = &written {
                queue.written.push((seq, *written));
            }
        }
        self.ingest.changed.notify_all();
        written?;
        self.finish_batch()
    }

    /// Where a sealed version's bytes can be read, and whether that is the spool.
    /// `None`: its asset was renamed meanwhile, or the bytes are nowhere any more.
    pub(crate) fn open_sealed(&self, version: &Version) -> Result<Option<(File, bool)>> {
        let VersionState::Sealed { file: sealed, .. } = version.state else {
            return Ok(None);
        };
        let names = names_of(self.catalog().as_mut(), version, sealed.inode)?;
        self.open_sealed_at(version, &names)
    }

    fn open_sealed_at(
        &self,
        version: &Version,
        names: &[PublicId],
    ) -> Result<Option<(File, bool)>> {
        let VersionState::Sealed { file: sealed, .. } = version.state else {
            return Ok(None);
        };
        if let Some(file) = self.open_spooled(version.seq)? {
            return Ok(Some((file, true)));
        }
        for id in names {
            match self.live.open_file(id) {
                Ok(file) => {
                    let facts = live::facts_of(file.as_fd())
                        .map_err(|error| VaultError::io(id.to_string(), error))?;
                    if facts.inode == sealed.inode {
                        return Ok(Some((file, false)));
                    }
                }
                Err(error) if live::is_absent(&error) => {}
                Err(error) => return Err(VaultError::io(id.to_string(), error)),
            }
        }
        // Whoever took the name away put the bytes into the spool first.
        Ok(self.open_spooled(version.seq)?.map(|file| (file, true)))
    }

    fn open_spooled(&self, seq: VersionSeq) -> Result<Option<File>> {
        self.spool
            .open_file(seq)
            .map_err(|error| VaultError::io("opening a spool file", error))
    }

    pub(super) fn in_spool(&self, seq: VersionSeq) -> Result<bool> {
        Ok(self.open_spooled(seq)?.is_some())
    }

    /// Looks once more, while nobody can rename: true when the bytes of a sealed
    /// version are nowhere. Its file was changed or removed behind the mount's back
    /// before they were stored, and the version never existed as far as anyone can read.
    fn bytes_are_gone(&self, seq: VersionSeq) -> Result<bool> {
        let mut guard = self.catalog();
        let catalog = guard.as_mut();
        let Some(version) = catalog.version(seq)? else {
            return Ok(true);
        };
        let VersionState::Sealed { file: sealed, .. } = version.state else {
            return Ok(true);
        };
        let spooled = self.open_spooled(seq)?.map(|file| file.metadata());
        let spooled = spooled.transpose();
        let spooled = spooled.map_err(|error| VaultError::io("a spool file", error))?;
        match spooled {
            Some(facts) if facts.len() >= version.size => return Ok(false),
            // Made when the bytes were gone already; the live file holds others.
            Some(_) => {}
            None if self.is_in_live_tree(catalog, &version, &sealed)? => return Ok(false),
            None => {}
        }
        let path = catalog.path_of(version.asset)?.unwrap_or_default();
        if self.is_recovering() {
            // It may have been renamed in the moment before the crash: the scan finds it.
            return Err(VaultError::NotFound {
                path,
                what: format!(
                    "the file of version {}, until the scan has passed,",
                    version.id
                ),
            });
        }
        log::error!(
            "{path}: version {} is lost: its file was changed outside the mount before it was stored",
            version.id
        );
        let now = self.clock.now();
        atomically(catalog, |catalog| {
            catalog.remove_version(version.seq)?;
            if let Some(record) = catalog.asset(version.asset)? {
                if record.standing == Standing::Live {
                    // A later scan must not take the file for one that has its version.
                    catalog.set_asset_file(version.asset, None)?;
                } else if catalog.latest_versions(version.asset, 1)?.is_empty() {
                    self.forget_asset(catalog, version.asset, now)?;
                }
            }
            Ok::<_, VaultError>(())
        })?;
        drop(guard);
        self.end_pin(&version);
        Ok(true)
    }

    /// True when a live file is still the one that was sealed.
    fn is_in_live_tree(
        &self,
        catalog: &mut dyn Catalog,
        version: &Version,
        sealed: &FileFacts,
    ) -> Result<bool> {
        let mut assets = vec![version.asset];
        assets.extend(catalog.assets_on_inode(sealed.inode)?);
        for asset in assets {
            let Some(path) = catalog.path_of(asset)? else {
                continue;
            };
            match self.live.find(&path) {
                Ok(Some(Found::File(facts)))
                    if facts.inode == sealed.inode && facts.size >= version.size =>
                {
                    return Ok(true);
                }
                Ok(_) => {}
                Err(error) => return Err(VaultError::io(path.to_string(), error)),
            }
        }
        Ok(false)
    }

    /// True when the batch is big enough to be made durable.
    pub(super) fn batch_is_full(queue: &Queue) -> bool {
        queue.written_bytes >= BATCH_BYTES_MAX || queue.written.len() >= 2000
    }

    /// Returns when none of these is being read or recorded.
    pub(super) fn wait_for_ingest_of(&self, seqs: &[VersionSeq]) {
        let mut queue = lock(&self.ingest.queue);
        while seqs.iter().any(|seq| queue.active.contains(seq)) {
            queue = self
                .ingest
                .changed
                .wait(queue)
                .unwrap_or_else(|poisoned| poisoned.into_inner());
        }
    }
}

/// Where the live file of a sealed version may be: at its asset's name, or at that
/// of another asset with the same inode (a hard link, or the target of a move).
fn names_of(
    catalog: &mut dyn Catalog,
    version: &Version,
    inode: InodeKey,
) -> Result<Vec<PublicId>> {
    let mut names = Vec::new();
    names.extend(catalog.path_of(version.asset)?);
    for asset in catalog.assets_on_inode(inode)? {
        if asset != version.asset {
            names.extend(catalog.path_of(asset)?);
        }
    }
    Ok(names)
}
