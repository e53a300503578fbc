//! The read-only trees `.versions` and `.deleted` as plain values. No FUSE.
//!
//! A [`Place`] is a point in a tree; [`History`] answers what it is, what is in
//! it and what its bytes are. There is no way from here to a mutating verb.

use crate::model::{Attributes, InodeKey, NodeId, Timestamp, VersionSeq};
use crate::vault::{Result, Vault};

/// A point in the history trees. Equal places are the same file for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Place {
    /// `.versions` or a directory below it.
    VersionsDirectory(NodeId),
    /// `.versions/<public_id>`: the directory of an asset's versions.
    Asset(NodeId),
    /// `.versions/<public_id>/<version_id>`.
    Version(VersionSeq),
    /// `.deleted` or a directory below it.
    DeletedDirectory(NodeId),
    /// `.deleted/<public_id>`: the latest content of a deleted asset.
    DeletedFile(VersionSeq),
}

/// What `stat` shows of a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// Which place.
    pub place: Place,
    /// A directory, or a regular file.
    pub is_directory: bool,
    /// Bytes; zero for directories.
    pub size: u64,
    /// Mode (no write bits), owner, mtime.
    pub attributes: Attributes,
    /// When it was kept.
    pub ctime: Timestamp,
}

/// One name in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// The name.
    pub name: Vec<u8>,
    /// What it names.
    pub place: Place,
    /// A directory, or a regular file.
    pub is_directory: bool,
}

/// The read side of a vault.
#[derive(Debug)]
pub struct History<'a> {
    _vault: &'a Vault,
}

/// An open version; reads by range, checked.
#[derive(Debug)]
pub struct Content {}

impl<'a> History<'a> {
    /// The history of a vault.
    pub fn new(vault: &'a Vault) -> Self {
        Self { _vault: vault }
    }

    /// Looks a name up. Resolves `latest`, `previous` and `<version_id>.<ext>` too,
    /// which [`list`](Self::list) does not show. `None`: no such name.
    pub fn lookup(&self, _parent: Place, _name: &[u8]) -> Result<Option<Stat>> {
        todo!()
    }

    /// What a place is. `None`: it is gone (purged).
    pub fn stat(&self, _place: Place) -> Result<Option<Stat>> {
        todo!()
    }

    /// The names in a directory.
    pub fn list(&self, _place: Place) -> Result<Vec<Item>> {
        todo!()
    }

    /// Opens a version's content.
    pub fn open(&self, _place: Place) -> Result<Content> {
        todo!()
    }

    /// The extended attributes of a place: the version's own and what the catalog
    /// knows (`user.keepfs.version_id`, …).
    pub fn xattrs(&self, _place: Place) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        todo!()
    }

    /// The public_id of the live file or directory whose history a place shows.
    /// The reader's barrier uses it with [`live_inodes`](Self::live_inodes).
    pub fn public_id(&self, _place: Place) -> Result<Option<crate::model::PublicId>> {
        todo!()
    }

    /// The inodes of live assets at or directly below a place.
    pub fn live_inodes(&self, _place: Place) -> Result<Vec<InodeKey>> {
        todo!()
    }
}

impl Content {
    /// Bytes.
    pub fn size(&self) -> u64 {
        todo!()
    }

    /// Fills `buffer` from `offset` on; fewer bytes only at the end.
    pub fn read_at(&self, _offset: u64, _buffer: &mut [u8]) -> Result<usize> {
        todo!()
    }
}
