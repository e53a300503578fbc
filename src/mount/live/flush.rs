//! What a close or an fsync waits for, with `commit = remote`.
//!
//! The surprise: every close of a copied descriptor comes here, not only the last one.

use std::collections::HashSet;
use std::os::fd::{AsFd, OwnedFd};

use super::Live;
use crate::config::CommitMode;
use crate::model::{Timestamp, VersionSeq};
use crate::mount::attr::Stat;
use crate::mount::errno::Result;
use crate::mount::handles::Access;

impl Live {
    pub(super) fn commits_remotely(&self) -> bool {
        self.vault.config().commit == CommitMode::Remote
    }

    /// Since when a file that was just opened for writing is empty. `None`: it is not.
    pub(super) fn empty_since(&self, access: Access, file: &OwnedFd) -> Option<Timestamp> {
        let asked = self.commits_remotely() && access == Access::Write;
        let stat = Stat::of(file).ok().filter(|_| asked)?;
        (stat.size() == 0).then(|| stat.mtime())
    }

    /// close(2) of one of the descriptors, or an fsync: seals what a writer has changed.
    /// Returns the versions that must come into the store before it is answered; `None`:
    /// there is nothing to wait for.
    pub(crate) fn flush(&self, number: u64) -> Result<Option<HashSet<VersionSeq>>> {
        let handle = self.handles.file(number)?;
        if handle.access != Access::Write {
            return Ok(None);
        }
        // Nobody may open it meanwhile: whoever does must see that its bytes are pinned.
        let shared = handle.inode.lock();
        let Some(file) = shared.any() else {
            return Ok(None);
        };
        let stat = Stat::of(&file)?;
        if stat.size() == 0 && handle.empty_since == Some(stat.mtime()) {
            // A shell opens, copies the descriptor and closes it before anybody writes.
            return Ok(None);
        }
        let _names = self.names_stay();
        let Some(name) = self.nodes.path(&handle.node)? else {
            return Ok(None);
        };
        Ok(self.vault.commit_open(&name, file.as_fd())?)
    }

    /// What an fsync of a directory waits for: whatever is sealed in it and below.
    pub(crate) fn sealed_in(&self, id: u64) -> Result<Option<HashSet<VersionSeq>>> {
        let node = self.nodes.get(id)?;
        let Some(name) = self.nodes.path(&node)? else {
            return Ok(None);
        };
        Ok(Some(self.vault.sealed_below(&name)?))
    }
}
