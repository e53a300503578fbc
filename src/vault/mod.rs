//! The rules: what a close, a rename, a delete and a restore mean.
//!
//! [`Vault`] holds the catalog, the store, the live tree's root and the pins. It
//! knows no FUSE, no SQL and no network. The surprise: an operation that changes
//! the live tree is handed in as a closure and runs inside the catalog's
//! savepoint, so the tree and the catalog change together or not at all.

mod error;

use std::io;
use std::os::fd::BorrowedFd;

pub use error::{Result, VaultError};

use crate::model::{FileFacts, InodeKey, Override, PublicId, VersionId};

/// One open vault.
#[derive(Debug)]
pub struct Vault {}

/// What a writer is about to do to an inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteIntent {
    /// Anything: overwrite, truncate, punch holes.
    Change,
    /// Only add behind the present end (`O_WRONLY|O_APPEND` without `O_TRUNC`).
    Append,
}

/// What is at one end of a rename.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Party {
    /// No file of that name.
    Nothing,
    /// A regular file.
    File(FileFacts),
    /// A directory.
    Directory,
    /// A symlink, FIFO, socket or device: never an asset.
    Special,
}

/// How a rename treats its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RenameMode {
    /// Plain rename(2).
    Replace,
    /// `RENAME_NOREPLACE`.
    NoReplace,
    /// `RENAME_EXCHANGE`.
    Exchange,
}

impl Vault {
    /// Call before a writable open or a truncation of a regular file that exists:
    /// makes sealed bytes in that inode safe from it.
    ///
    /// # Errors
    /// When the bytes could not be made safe; the open must then fail with it.
    pub fn before_write(
        &self,
        _inode: InodeKey,
        _file: BorrowedFd<'_>,
        _intent: WriteIntent,
    ) -> Result<()> {
        todo!()
    }

    /// The last writable description of an inode is closed: seals its content if
    /// it changed. `file` is open for reading or writing; `name` is a name it has
    /// now (`None`: it was unlinked). Returns the version, `None` when none was due.
    pub fn closed(
        &self,
        _name: Option<&PublicId>,
        _file: BorrowedFd<'_>,
    ) -> Result<Option<VersionId>> {
        todo!()
    }

    /// Unlinks a regular file: `unlink` is called once, inside the transaction.
    pub fn remove(
        &self,
        _id: &PublicId,
        _facts: &FileFacts,
        _file: BorrowedFd<'_>,
        _unlink: &mut dyn FnMut() -> io::Result<()>,
    ) -> Result<()> {
        todo!()
    }

    /// Renames: `rename` is called once, inside the transaction, unless the rules refuse.
    /// `target_file` is an `O_PATH` or readable descriptor of a regular target that goes away.
    pub fn rename(
        &self,
        _from: &PublicId,
        _source: Party,
        _to: &PublicId,
        _target: Party,
        _target_file: Option<BorrowedFd<'_>>,
        _mode: RenameMode,
        _rename: &mut dyn FnMut() -> io::Result<()>,
    ) -> Result<()> {
        todo!()
    }

    /// link(2) of a regular file onto a new name.
    pub fn link(
        &self,
        _from: Option<&PublicId>,
        _to: &PublicId,
        _facts: &FileFacts,
        _link: &mut dyn FnMut() -> io::Result<()>,
    ) -> Result<()> {
        todo!()
    }

    /// A directory's mode or owner was changed through the mount.
    pub fn directory_changed(&self, _id: &PublicId, _directory: BorrowedFd<'_>) -> Result<()> {
        todo!()
    }

    /// `user.keepfs.backup` was set on or removed from a file or directory.
    /// `file` is open for reading where `id` is a regular file.
    pub fn override_changed(
        &self,
        _id: &PublicId,
        _value: Option<Override>,
        _file: Option<BorrowedFd<'_>>,
    ) -> Result<()> {
        todo!()
    }

    /// fsync was answered by the filesystem below: whatever the catalog needs to
    /// find those bytes is made durable too. `inode`: the file, `None` for a directory.
    pub fn synced(&self, _inode: Option<InodeKey>) -> Result<()> {
        todo!()
    }

    /// Extra names that the spool gave this inode; `st_nlink` must not show them.
    pub fn spool_links(&self, _inode: InodeKey) -> u64 {
        todo!()
    }

    /// `mv .deleted/x x`: brings a deleted asset back to its own place, where `create`
    /// must not find a file. Anything but its own place is refused.
    pub fn undelete(&self, _id: &PublicId) -> Result<()> {
        todo!()
    }

    /// The status document as JSON, for the root's `user.keepfs.status`.
    pub fn status_json(&self) -> Result<String> {
        todo!()
    }

    /// Whether and why a live path is backed up, as JSON, for `user.keepfs.policy`.
    pub fn policy_json(&self, _id: &PublicId, _file: Option<BorrowedFd<'_>>) -> Result<String> {
        todo!()
    }
}
