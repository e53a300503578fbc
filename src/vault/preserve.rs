//! Preservation: before an inode changes or its name goes, sealed bytes are made safe.
//!
//! A hard link where the name goes away, a reflink or a copy where the bytes
//! change. An append needs neither: the sealed bytes are the file's first ones.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};

use crate::catalog::{CatalogError, CatalogGuard, Durability};
use crate::model::{InodeKey, Location, PublicId, Version, VersionSeq, VersionState, failpoint};

use super::live::facts_of;
use super::pins::{Held, Promised, SpoolName};
use super::seal::WriteIntent;
use super::spool::reopen_for_reading;
use super::{Result, Vault, VaultError, lock};

impl Vault {
    /// A file was created and is open for writing: nobody else seals it before its
    /// [`closed`](Self::closed).
    pub fn created(&self, inode: InodeKey) {
        *lock(&self.writers).entry(inode).or_default() += 1;
    }

    /// Call before a writable open or a truncation of a regular file that exists:
    /// makes sealed bytes in that inode safe from it. Each call announces a writer;
    /// [`closed`](Self::closed) ends them all.
    ///
    /// # Errors
    /// When the bytes could not be made safe; the open must then fail with it.
    pub fn before_write(
        &self,
        inode: InodeKey,
        file: BorrowedFd<'_>,
        intent: WriteIntent,
    ) -> Result<()> {
        *lock(&self.writers).entry(inode).or_default() += 1;
        if intent == WriteIntent::Append || !self.pins.is_pinned(inode) {
            return Ok(());
        }
        let preserved = self.preserve_by_copy(inode, file);
        if preserved.is_err() {
            self.write_abandoned(inode);
        }
        preserved
    }

    /// A writer that was announced did not come to be: the open or truncation failed.
    pub fn write_abandoned(&self, inode: InodeKey) {
        let mut writers = lock(&self.writers);
        if let Some(count) = writers.get_mut(&inode) {
            *count -= 1;
            if *count == 0 {
                writers.remove(&inode);
            }
        }
    }

    /// A file with the bytes of a sealed version that no writer can reach. `None`: its
    /// bytes are nowhere.
    pub(crate) fn detach_sealed(&self, version: &Version) -> Result<Option<File>> {
        let Some((file, from_spool)) = self.open_sealed(version)? else {
            return Ok(None);
        };
        if from_spool {
            return Ok(Some(file));
        }
        let facts =
            facts_of(file.as_fd()).map_err(|error| VaultError::io("a sealed file", error))?;
        self.preserve_by_copy(facts.inode, file.as_fd())?;
        self.spool
            .open_file(version.seq)
            .map_err(|error| VaultError::io("opening a spool file", error))
    }

    fn preserve_by_copy(&self, inode: InodeKey, file: BorrowedFd<'_>) -> Result<()> {
        let Some(preserving) = self.pins.begin(inode) else {
            return Ok(());
        };
        let held = preserving.held.clone();
        self.make_findable(&held)?;
        let readable = reopen_for_reading(file)
            .map_err(|error| VaultError::io("opening a sealed file", error))?;
        let mut done: Vec<VersionSeq> = Vec::with_capacity(held.len());
        for version in &held {
            match self.spool.copy(version.seq, readable.as_fd(), version.size) {
                Ok(()) => done.push(version.seq),
                // No room for a copy: put the bytes into the store right now instead.
                Err(error) if error.raw_os_error() == Some(libc::ENOSPC) => {
                    self.ingest_from(version.seq, readable.as_fd())?;
                }
                Err(error) => {
                    return Err(VaultError::io("copying sealed bytes to the spool", error));
                }
            }
        }
        self.record_moved(&held, &done, Location::SpoolCopy)?;
        preserving.done(&done);
        failpoint::reach("preserve.recorded");
        Ok(())
    }

    /// Locks the catalog at a moment when the names of these inodes may go away:
    /// what is sealed in them has a name in the spool. Seals take the same lock, so
    /// none slips in between.
    pub(super) fn lock_preserved(
        &self,
        names: &[(InodeKey, &PublicId)],
    ) -> Result<CatalogGuard<'_>> {
        loop {
            for (inode, id) in names {
                if self.pins.needs_spool_name(*inode) {
                    self.preserve_by_link(*inode, id)?;
                }
            }
            let catalog = self.catalog();
            if !names
                .iter()
                .any(|(inode, _)| self.pins.needs_spool_name(*inode))
            {
                return Ok(catalog);
            }
        }
    }

    /// The same for files that are replaced or removed by their names: where another one
    /// took a name before the lock was ours, its bytes are made safe, too.
    pub(super) fn lock_preserved_at(
        &self,
        names: &[(InodeKey, &PublicId)],
    ) -> Result<CatalogGuard<'_>> {
        let mut names = names.to_vec();
        loop {
            let guard = self.lock_preserved(&names)?;
            let mut is_as_it_was = true;
            for (inode, id) in &mut names {
                if let Some(now) = self.file_at(id)?
                    && now.inode != *inode
                {
                    (*inode, is_as_it_was) = (now.inode, false);
                }
            }
            if is_as_it_was {
                return Ok(guard);
            }
        }
    }

    fn preserve_by_link(&self, inode: InodeKey, id: &PublicId) -> Result<()> {
        let Some(preserving) = self.pins.begin(inode) else {
            return Ok(());
        };
        let held = preserving.held.clone();
        self.make_findable(&held)?;
        let file = self
            .live
            .open_path(id)
            .map_err(|error| VaultError::io(id.to_string(), error))?;
        for version in held.iter().filter(|held| held.named == SpoolName::No) {
            let location = self
                .spool
                .link(version.seq, file.as_fd())
                .map_err(|error| VaultError::io("linking sealed bytes into the spool", error))?;
            failpoint::reach("preserve.linked");
            self.record_moved(&held, &[version.seq], location)?;
            match location {
                Location::SpoolCopy => preserving.done(&[version.seq]),
                _ => preserving.named(version.seq),
            }
        }
        Ok(())
    }

    /// The rows of sealed versions must survive what their bytes survive, or nobody
    /// would look for the bytes in the spool.
    fn make_findable(&self, held: &[Held]) -> Result<()> {
        let durability = durability(held);
        if held
            .iter()
            .all(|held| self.commits.cover(held.before, durability))
        {
            return Ok(());
        }
        match self.commit(durability) {
            // A full disk must not keep anyone from deleting files. Where nothing was
            // promised the catalog goes on in memory and commits when there is room.
            Err(VaultError::Catalog(CatalogError::Full)) if durability == Durability::Process => {
                self.note_unrecorded(held)
            }
            other => other,
        }
    }

    fn record_moved(&self, held: &[Held], seqs: &[VersionSeq], location: Location) -> Result<()> {
        let durability = durability(held);
        if durability == Durability::Power {
            for seq in seqs {
                self.spool
                    .sync(*seq)
                    .map_err(|error| VaultError::io("syncing the spool", error))?;
            }
        }
        let mut catalog = self.catalog();
        let mut stored = Vec::new();
        for seq in seqs {
            match catalog.version(*seq)?.map(|version| version.state) {
                Some(VersionState::Sealed { .. }) => catalog.set_location(*seq, location)?,
                // Ingest was faster: the bytes are in a pack.
                _ => stored.push(*seq),
            }
        }
        // Not committed here: after a crash the file in the spool speaks for itself.
        drop(catalog);
        for seq in stored {
            self.spool
                .discard(seq)
                .map_err(|error| VaultError::io("clearing the spool", error))?;
        }
        Ok(())
    }
}

fn durability(held: &[Held]) -> Durability {
    match held.iter().any(|held| held.promised == Promised::Durable) {
        true => Durability::Power,
        false => Durability::Process,
    }
}
