//! One version: an immutable content and how it came to be.

use super::attributes::{Attributes, FileFacts, Xattrs};
use super::clock::Timestamp;
use super::ids::{ChunkHash, ContentId, NodeId, VersionId, VersionSeq};

/// A kept content of an asset, as the catalog knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// Its row.
    pub seq: VersionSeq,
    /// The asset whose history it belongs to.
    pub asset: NodeId,
    /// Its public name.
    pub id: VersionId,
    /// Bytes of the content.
    pub size: u64,
    /// Mode, owner and mtime of the file when it was sealed.
    pub attributes: Attributes,
    /// The file's `user.` attributes when it was sealed.
    pub xattrs: Xattrs,
    /// When it was kept.
    pub kept_at: Timestamp,
    /// What made it.
    pub origin: Origin,
    /// The version whose content this one brought back. `None`: no restore.
    pub restored_from: Option<VersionId>,
    /// How far its bytes have come.
    pub state: VersionState,
}

/// Whether a version is kept on purpose: what `keepfs pin` sets, and no rule overrides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Hold {
    /// It is.
    On,
    /// Only rules speak for it.
    Off,
}

/// What made a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Origin {
    /// A file was written and closed.
    Write,
    /// The first backup of a file that was already there.
    Backup,
    /// Found by a scan: after an unclean stop, or changed behind the mount's back.
    Recovered,
    /// An older version or a deleted asset was brought back.
    Restore,
    /// The file was open for a long time.
    Checkpoint,
    /// A hard link gave the content a second name.
    Link,
}

impl Origin {
    /// Each origin with the word that people see and the catalog stores.
    pub const ALL: [(Origin, &'static str); 6] = [
        (Origin::Write, "write"),
        (Origin::Backup, "backup"),
        (Origin::Recovered, "recovered"),
        (Origin::Restore, "restore"),
        (Origin::Checkpoint, "checkpoint"),
        (Origin::Link, "link"),
    ];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(origin, _)| *origin == self)
            .map_or("write", |(_, word)| word)
    }

    /// The origin with that word. `None`: a newer keepfs wrote it.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .find(|(_, w)| *w == word)
            .map(|(origin, _)| *origin)
    }
}

/// How far a version's bytes have come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VersionState {
    /// Counted, but its bytes are still outside the store.
    Sealed {
        /// The file that held the bytes when it was sealed.
        file: FileFacts,
        /// Where the bytes are.
        location: Location,
    },
    /// Chunked; every chunk is in a pack.
    Stored {
        /// The chunk list.
        content: ContentId,
        /// blake3 of the whole content.
        blake3: ChunkHash,
    },
}

/// Where the bytes of a sealed version are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Location {
    /// In the live file itself, which is pinned.
    Live,
    /// In the spool, as a hard link to the inode that held them.
    SpoolLink,
    /// In the spool, as a copy of their own.
    SpoolCopy,
}
