//! `commit = remote`: a version of a file that may still be open, for a close or fsync
//! that waits for the store.
//!
//! Nobody can tell whether a close is the last one of its descriptor. So the content is
//! sealed at each, as at the last one, and no byte is copied. What turns out to be half a
//! content is taken back: while it waits, if the file has changed when its bytes were
//! read; later, when the version that was closed last has come into the store.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};

use crate::catalog::{Catalog, atomically};
use crate::model::{FileFacts, InodeKey, Origin, PublicId, Version, VersionSeq, VersionState};

use super::lookup::UploadProgress;
use super::pins::Promised;
use super::seal::{CLOCK_TICK, Revival, Seal};
use super::{Result, Vault, VaultError, live, lock};

/// Versions of files that were not closed for good when they were made.
#[derive(Debug, Default)]
pub(super) struct Provisional {
    open: HashMap<InodeKey, Vec<VersionSeq>>,
    /// Each with the one that takes its place once it is in the store.
    superseded: HashMap<VersionSeq, VersionSeq>,
}

impl Provisional {
    fn has(&self, seq: VersionSeq) -> bool {
        self.open.values().flatten().any(|own| *own == seq)
    }
}

impl Vault {
    /// Makes a version of the present content of a file, if it changed and is kept, though
    /// it may be open still. Called while nobody can open the file. Returns the versions
    /// to wait for; `None`: everything is in the store already, or not kept.
    ///
    /// # Errors
    /// When the file cannot be looked at or the catalog fails.
    pub fn commit_open(
        &self,
        id: &PublicId,
        file: BorrowedFd<'_>,
    ) -> Result<Option<HashSet<VersionSeq>>> {
        let io = |error| VaultError::io(id.to_string(), error);
        let facts = self.facts_after_a_tick(file).map_err(io)?;
        let xattrs = live::user_xattrs(file).map_err(io)?;
        let mut guard = self.catalog();
        let catalog = guard.as_mut();
        if !self.keeps(catalog, id, &xattrs)? {
            return Ok(None);
        }
        let seal = Seal {
            id,
            file,
            facts,
            xattrs,
            origin: Origin::Write,
            promised: Promised::Durable,
            revival: Revival::Version,
        };
        let sealed = self.seal_kept(catalog, &seal)?;
        let Some(asset) = self.asset_at(catalog, id)? else {
            return Ok(None);
        };
        let latest = catalog.latest_versions(asset.node(), 8)?;
        if sealed.is_some()
            && let Some(version) = latest.first()
        {
            // Before the catalog is let go of: ingest asks whether it is provisional.
            self.note_provisional(catalog, facts.inode, version.seq)?;
        }
        drop(guard);
        let is_sealed = |version: &&Version| matches!(version.state, VersionState::Sealed { .. });
        let waits: HashSet<_> = latest.iter().filter(is_sealed).map(|one| one.seq).collect();
        match latest.first() {
            Some(version) if waits.is_empty() => {
                let progress = self.progress_of(version)?;
                Ok((progress != UploadProgress::Uploaded).then_some(waits))
            }
            _ => Ok(Some(waits)),
        }
    }

    /// A change within one tick of the filesystem's clock would be unseen later.
    fn facts_after_a_tick(&self, file: BorrowedFd<'_>) -> std::io::Result<FileFacts> {
        let facts = live::facts_of(file)?;
        let age = self.clock.now().since(facts.ctime);
        if age > CLOCK_TICK {
            return Ok(facts);
        }
        std::thread::sleep(CLOCK_TICK * 2 - age);
        live::facts_of(file)
    }

    fn note_provisional(
        &self,
        catalog: &mut dyn Catalog,
        inode: InodeKey,
        seq: VersionSeq,
    ) -> Result<()> {
        let mut provisional = lock(&self.provisional);
        let older = provisional.open.entry(inode).or_default();
        older.push(seq);
        let older = older.clone();
        Self::supersede(&mut provisional, catalog, &older, seq)
    }

    fn supersede(
        provisional: &mut Provisional,
        catalog: &mut dyn Catalog,
        older: &[VersionSeq],
        by: VersionSeq,
    ) -> Result<()> {
        for old in older.iter().filter(|old| **old != by) {
            let successor = provisional.superseded.get(old).copied();
            // One that was taken back itself takes nobody's place.
            let has_one = match successor {
                Some(successor) => catalog.version(successor)?.is_some(),
                None => false,
            };
            if !has_one {
                provisional.superseded.insert(*old, by);
            }
        }
        Ok(())
    }

    /// True while a version may be of a content that is being written still.
    pub(super) fn is_provisional(&self, seq: VersionSeq) -> bool {
        lock(&self.provisional).has(seq)
    }

    /// True when the file that a provisional version was just read from is no longer as it
    /// was sealed. Then the version is gone: a later close makes the right one.
    pub(super) fn take_back_if_changed(&self, version: &Version, read: &File) -> Result<bool> {
        let VersionState::Sealed { file: sealed, .. } = version.state else {
            return Ok(false);
        };
        if !self.is_provisional(version.seq) {
            return Ok(false);
        }
        let now =
            live::facts_of(read.as_fd()).map_err(|error| VaultError::io("an open file", error))?;
        if now.size == sealed.size && now.attributes.mtime == sealed.attributes.mtime {
            return Ok(false);
        }
        self.take_back(version)?;
        Ok(true)
    }

    fn take_back(&self, version: &Version) -> Result<()> {
        let mut catalog = self.catalog();
        atomically(catalog.as_mut(), |catalog| {
            catalog.remove_version(version.seq)?;
            if catalog.asset(version.asset)?.is_some() {
                // A later look must not take the file for one that has its version.
                catalog.set_asset_file(version.asset, None)?;
            }
            Ok::<_, VaultError>(())
        })?;
        drop(catalog);
        self.end_pin(version);
        Ok(())
    }

    /// The last writer of an inode is about to seal it. What was made of half a content
    /// and is in no pack yet goes at once.
    pub(super) fn end_provisional(&self, facts: &FileFacts) -> Result<Vec<VersionSeq>> {
        let Some(older) = lock(&self.provisional).open.remove(&facts.inode) else {
            return Ok(Vec::new());
        };
        for seq in &older {
            let version = self.catalog().version(*seq)?;
            if let Some(version) = version
                && let VersionState::Sealed { file: sealed, .. } = version.state
                && (sealed.size, sealed.attributes.mtime) != (facts.size, facts.attributes.mtime)
            {
                self.take_back(&version)?;
            }
        }
        Ok(older)
    }

    /// The version of the last close stands in for those.
    pub(super) fn note_successor(&self, older: &[VersionSeq], id: &PublicId) -> Result<()> {
        let mut catalog = self.catalog();
        let catalog = catalog.as_mut();
        if let Some(asset) = self.asset_at(catalog, id)?
            && let Some(latest) = catalog.latest_versions(asset.node(), 1)?.first()
        {
            let mut provisional = lock(&self.provisional);
            Self::supersede(&mut provisional, catalog, older, latest.seq)?;
        }
        Ok(())
    }

    /// Drops the versions of half contents whose successors are in the store.
    pub(super) fn drop_superseded(&self) -> Result<()> {
        let pairs: Vec<_> = {
            let provisional = lock(&self.provisional);
            let pairs = provisional.superseded.iter();
            pairs.map(|(old, new)| (*old, *new)).collect()
        };
        for (old, new) in pairs {
            let (before, after) = {
                let mut catalog = self.catalog();
                (catalog.version(old)?, catalog.version(new)?)
            };
            if let (Some(before), Some(after)) = (&before, &after) {
                let VersionState::Stored { content, .. } = after.state else {
                    continue;
                };
                // Before it is published, so that the journal hears of both at once.
                if !self.store.is_uploaded(content)? {
                    continue;
                }
                self.drop_one(before, after)?;
            }
            lock(&self.provisional).superseded.remove(&old);
        }
        Ok(())
    }

    fn drop_one(&self, old: &Version, new: &Version) -> Result<()> {
        let mut catalog = self.catalog();
        let catalog = catalog.as_mut();
        if catalog.has_hold(old.seq)? {
            return Ok(());
        }
        atomically(catalog, |catalog| {
            catalog.remove_version(old.seq)?;
            // Without the half in between it may be the content of before, unchanged.
            let before = catalog.version_before(new.asset, new.id)?;
            let content = |version: &Version| match version.state {
                VersionState::Stored { content, .. } => Some(content),
                VersionState::Sealed { .. } => None,
            };
            let is_same = before.is_some_and(|before| content(&before) == content(new));
            if is_same && !catalog.has_hold(new.seq)? {
                catalog.remove_version(new.seq)?;
            }
            Ok(())
        })
    }
}
