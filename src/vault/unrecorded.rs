//! Sealed bytes whose version a full disk keeps out of the catalog.
//!
//! Deleting goes on while the catalog cannot be committed: it is what makes room. Should the
//! daemon end before there is some, nobody would know whose bytes the spool has. So each has
//! a note beside it that says where its file was: a symbolic link, which needs no room for
//! content. The surprise: at the next start the file is there again, as if it had not been
//! deleted. Of all that can be done with the only copy, that loses nothing.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Mutex;

use rustix::fs::AtFlags;
use rustix::io::Errno;

use crate::catalog::Catalog;
use crate::model::{Name, PublicId, VersionSeq};

use super::pins::Held;
use super::{Result, Vault, VaultError, lock};

const NOTE_END: &str = ".unrecorded";
/// Of a file that could not be put back; nobody touches it.
const LEFT_END: &str = ".left";

/// The notes that there are in this run.
#[derive(Debug, Default)]
pub(super) struct Unrecorded(Mutex<BTreeSet<VersionSeq>>);

/// A file of the spool that no row speaks of, and where it was.
pub(super) struct Lost {
    seq: VersionSeq,
    id: PublicId,
}

impl Vault {
    /// Notes where sealed versions are whose rows could not be committed.
    ///
    /// # Errors
    /// When the catalog fails, or the spool takes no note.
    pub(super) fn note_unrecorded(&self, held: &[Held]) -> Result<()> {
        let mut catalog = self.catalog();
        let mut noted = lock(&self.unrecorded.0);
        for Held { seq, .. } in held {
            let Some(version) = catalog.version(*seq)? else {
                continue;
            };
            let Some(id) = catalog.path_of(version.asset)? else {
                continue;
            };
            if !noted.contains(seq) {
                write_note(self.spool.directory(), *seq, &id)
                    .map_err(|error| VaultError::io(id.to_string(), error))?;
                noted.insert(*seq);
            }
        }
        Ok(())
    }

    /// Everything was committed: no note is true any more.
    pub(super) fn forget_unrecorded(&self) {
        let noted = std::mem::take(&mut *lock(&self.unrecorded.0));
        for seq in noted {
            remove_note(self.spool.directory(), seq);
        }
    }

    /// Clears files of the spool that no sealed version needs. Returns those that are of a
    /// version that was never recorded; for the start.
    ///
    /// # Errors
    /// When the catalog or the spool fails.
    pub(super) fn clear_orphans(
        &self,
        catalog: &mut dyn Catalog,
        orphans: impl Iterator<Item = VersionSeq>,
    ) -> Result<Vec<Lost>> {
        let io = |error| VaultError::io("clearing the spool", error);
        let mut lost = Vec::new();
        for seq in orphans {
            let note = read_note(self.spool.directory(), seq).map_err(io)?;
            match note {
                Some(id) if catalog.version(seq)?.is_none() => lost.push(Lost { seq, id }),
                _ => self.spool.discard(seq).map_err(io)?,
            }
        }
        Ok(lost)
    }

    /// Gives files of the spool their place in the live tree, beside it where another file
    /// took it. What has no room there stays in the spool, under a name that no version gets.
    ///
    /// # Errors
    /// When the spool fails.
    pub(super) fn put_back(&self, mut lost: Vec<Lost>) -> Result<()> {
        let io = |error| VaultError::io("clearing the spool", error);
        // The last version of a file first: it is what was deleted.
        lost.sort_by_key(|lost| Reverse(lost.seq));
        let spool = self.spool.directory();
        for Lost { seq, id } in lost {
            match self.put_beside(seq, &id) {
                Ok(place) => log::warn!(
                    "{id}: deleted while the disk was full, before that could be recorded: \
                     it is there again, as {place}"
                ),
                Err(error) => {
                    let left = format!("{}-{}{LEFT_END}", seq.0, self.clock.now().nanos());
                    rustix::fs::renameat(spool, seq.0.to_string(), spool, &left)
                        .map_err(|error| io(error.into()))?;
                    log::error!(
                        "{id}: deleted while the disk was full, and not put back: {error}: its \
                         bytes are in {}",
                        self.config.spool_dir.join(left).display()
                    );
                }
            }
            self.spool.discard(seq).map_err(io)?;
        }
        self.sweep_notes().map_err(io)
    }

    fn put_beside(&self, seq: VersionSeq, id: &PublicId) -> Result<PublicId> {
        let failed = |error| VaultError::io(id.to_string(), error);
        let Some((parent, name)) = id.split() else {
            return Err(failed(Errno::ISDIR.into()));
        };
        let directory = self.make_live_directory(&parent)?;
        let put = |name: &Name| self.spool.put_elsewhere(seq, directory.as_fd(), name);
        match put(&name) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            other => return other.map(|()| id.clone()).map_err(failed),
        }
        let beside = [
            name.as_bytes(),
            b".recovered-",
            seq.0.to_string().as_bytes(),
        ]
        .concat();
        let beside = Name::new(&beside)?;
        put(&beside).map_err(failed)?;
        Ok(parent.join(&beside))
    }

    /// Removes the notes of earlier runs.
    fn sweep_notes(&self) -> io::Result<()> {
        let spool = self.spool.directory();
        for entry in rustix::fs::Dir::read_from(spool)? {
            let entry = entry?;
            if entry.file_name().to_bytes().ends_with(NOTE_END.as_bytes()) {
                rustix::fs::unlinkat(spool, entry.file_name(), AtFlags::empty())?;
            }
        }
        Ok(())
    }
}

fn note_name(seq: VersionSeq) -> String {
    format!("{}{NOTE_END}", seq.0)
}

fn write_note(spool: BorrowedFd<'_>, seq: VersionSeq, id: &PublicId) -> io::Result<()> {
    Ok(rustix::fs::symlinkat(id.as_bytes(), spool, note_name(seq))?)
}

/// `None`: there is none, or it says nothing that can be a path.
fn read_note(spool: BorrowedFd<'_>, seq: VersionSeq) -> io::Result<Option<PublicId>> {
    match rustix::fs::readlinkat(spool, note_name(seq), Vec::new()) {
        Ok(path) => Ok(PublicId::new(path.as_bytes()).ok()),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn remove_note(spool: BorrowedFd<'_>, seq: VersionSeq) {
    if let Err(error) = rustix::fs::unlinkat(spool, note_name(seq), AtFlags::empty()) {
        log::warn!("a note in the spool stays: {}: {error}", note_name(seq));
    }
}
