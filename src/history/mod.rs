//! The read-only trees `.versions` and `.deleted` as plain values. No FUSE.
//!
//! A [`Place`] is a point in a tree; [`History`] answers what it is, what is in
//! it and what its bytes are. There is no way from here to a mutating verb.

mod content;
mod listing;
mod stat;
#[cfg(test)]
mod tests;
mod xattrs;

pub use content::Content;

use crate::model::{
    Attributes, ContentId, Name, NodeId, PublicId, Timestamp, Version, VersionSeq, VersionState,
};
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

/// A directory, or a regular file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A directory.
    Directory,
    /// A regular file.
    File,
}

impl Place {
    /// What kind of file it is.
    pub fn kind(self) -> Kind {
        match self {
            Place::VersionsDirectory(_) | Place::Asset(_) | Place::DeletedDirectory(_) => {
                Kind::Directory
            }
            Place::Version(_) | Place::DeletedFile(_) => Kind::File,
        }
    }
}

/// What `stat` shows of a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// Which place.
    pub place: Place,
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
}

/// The read side of a vault.
#[derive(Debug, Clone, Copy)]
pub struct History<'a> {
    vault: &'a Vault,
}

impl<'a> History<'a> {
    /// The history of a vault.
    pub fn new(vault: &'a Vault) -> Self {
        Self { vault }
    }

    /// The path of the live file or directory whose history a place shows. `None`:
    /// it is gone (purged).
    ///
    /// # Errors
    /// When the catalog fails.
    pub fn public_id(&self, place: Place) -> Result<Option<PublicId>> {
        let mut catalog = self.vault.catalog();
        let node = match place {
            Place::VersionsDirectory(node) | Place::DeletedDirectory(node) | Place::Asset(node) => {
                node
            }
            Place::Version(seq) | Place::DeletedFile(seq) => match catalog.version(seq)? {
                Some(version) => version.asset,
                None => return Ok(None),
            },
        };
        Ok(catalog.path_of(node)?)
    }

    /// Opens a version's content. One whose bytes are still outside the store is
    /// ingested first, so that no writer can change what the reader sees.
    ///
    /// # Errors
    /// [`crate::vault::VaultError::NotFound`] when it is gone, or the store's failure.
    pub fn open(&self, place: Place) -> Result<Content> {
        let seq = match place {
            Place::Version(seq) | Place::DeletedFile(seq) => seq,
            _ => return Err(self.not_found(place, "a file")),
        };
        let version = self.vault.catalog().version(seq)?;
        let version = version.ok_or_else(|| self.not_found(place, "the version"))?;
        if let VersionState::Stored { content, .. } = version.state {
            return self.open_stored(place, seq, content);
        }
        let ingested = self.vault.ingest_now(seq);
        // Asked again, also after a failure: on a full disk only the commit may have
        // failed, and then the row says stored.
        let now = self.vault.catalog().version(seq)?;
        match now.map(|now| now.state) {
            Some(VersionState::Stored { content, .. }) => self.open_stored(place, seq, content),
            Some(_) => {
                if let Err(error) = ingested {
                    log::warn!(
                        "reading version {} from outside the store: {error}",
                        version.id
                    );
                }
                self.open_outside(place, &version)
            }
            None => Err(self.not_found(place, "the version")),
        }
    }

    /// A version that was pruned since it was found is not there, rather than damaged.
    fn open_stored(&self, place: Place, seq: VersionSeq, content: ContentId) -> Result<Content> {
        let opened = Content::stored(self.vault, content);
        if opened.is_err() && self.vault.catalog().version(seq)?.is_none() {
            return Err(self.not_found(place, "the version"));
        }
        opened
    }

    fn open_outside(&self, place: Place, version: &Version) -> Result<Content> {
        match self.vault.detach_sealed(version)? {
            Some(file) => Ok(Content::file(file, version.size)),
            None => Err(self.not_found(place, "the version's bytes")),
        }
    }

    fn not_found(&self, place: Place, what: &str) -> crate::vault::VaultError {
        crate::vault::VaultError::NotFound {
            path: self.public_id(place).ok().flatten().unwrap_or_default(),
            what: what.into(),
        }
    }
}

/// A name that can be looked up; `None` for what no directory entry can have.
fn name(bytes: &[u8]) -> Option<Name> {
    Name::new(bytes).ok()
}
