//! What the rules refuse, and what can go wrong under them.

use std::io;
use std::path::PathBuf;

use crate::catalog::CatalogError;
use crate::config::ConfigError;
use crate::model::{IdError, PathError, PublicId, Timestamp};
use crate::store::StoreError;

/// A vault's result.
pub type Result<T> = std::result::Result<T, VaultError>;

/// A situation the caller can tell apart.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// A rename or link onto the name of a deleted asset.
    #[error(
        "{path}: the name belongs to a deleted asset; restore it (keepfs restore), or cp onto it to continue its history"
    )]
    NameReserved {
        /// The name.
        path: PublicId,
    },
    /// `mv` out of `.deleted` to a place that is not the asset's own.
    #[error(
        "{path}: a deleted asset can only be moved back to its own place; use cp for any other"
    )]
    NotItsPlace {
        /// The asset.
        path: PublicId,
    },
    /// No such asset or version.
    #[error("{path}: {what} not found; keepfs versions and keepfs deleted list what there is")]
    NotFound {
        /// Where it was looked for.
        path: PublicId,
        /// What was looked for.
        what: String,
    },
    /// A version id prefix that fits several versions.
    #[error(
        "{path}: version id '{prefix}' is ambiguous: it fits {count} versions; give more digits"
    )]
    AmbiguousVersion {
        /// The asset.
        path: PublicId,
        /// As typed.
        prefix: String,
        /// How many fit.
        count: usize,
    },
    /// A restore onto a file that somebody has open for writing.
    #[error("{path}: a program has it open for writing; close it first, or give --to")]
    BeingWritten {
        /// The file.
        path: PublicId,
    },
    /// Something is already at the place.
    #[error(
        "{path}: already exists; give --overwrite to make its present content an older version"
    )]
    AlreadyExists {
        /// The place.
        path: PublicId,
    },
    /// Not what the operation needs (a directory where a file is needed, or the reverse).
    #[error("{path}: {problem}")]
    WrongKind {
        /// The path.
        path: PublicId,
        /// What is there.
        problem: &'static str,
    },
    /// A prune by a clock that is behind what was recorded.
    #[error(
        "nothing is pruned: the clock says {now}, but the newest version was kept at {newest}; set the clock right, or give --trust-clock if it is"
    )]
    ClockBehind {
        /// What the clock says.
        now: Timestamp,
        /// When the newest version was kept.
        newest: Timestamp,
    },
    /// A prune by a clock that may have jumped ahead.
    #[error(
        "nothing is pruned: the clock says {now}, but no version was kept from {since} to {until}, so it may have jumped ahead; set it right, or give --trust-clock if it is"
    )]
    ClockAhead {
        /// What the clock says.
        now: Timestamp,
        /// When the silence began.
        since: Timestamp,
        /// When it ended.
        until: Timestamp,
    },
    /// A prune by a clock that the bucket's contradicts.
    #[error(
        "nothing is pruned: the clock says {now}, but that of the bucket {there}; set the wrong one right, or give --trust-clock if it is not this one"
    )]
    ClocksDisagree {
        /// What the clock says.
        now: Timestamp,
        /// What the bucket's says.
        there: Timestamp,
    },
    /// A prune for the size budget of a store that does not let go what is dropped.
    #[error(
        "nothing is pruned: the store keeps packs that hold nothing any more, so dropping more versions makes it no smaller: {0}"
    )]
    NotRemoved(#[source] StoreError),
    /// A text that is no id.
    #[error(transparent)]
    BadId(#[from] IdError),
    /// A text that is no path.
    #[error(transparent)]
    BadPath(#[from] PathError),
    /// The vault directory or its settings cannot be used.
    #[error("{path}: {problem}")]
    BadVault {
        /// The file or directory.
        path: PathBuf,
        /// What is wrong and what to do.
        problem: String,
    },
    /// The settings file.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Another process has the vault.
    #[error(
        "{path}: the vault is in use by process {pid}; unmount it, or talk to it through its mount"
    )]
    InUse {
        /// The vault.
        path: PathBuf,
        /// Who, as written in the lock file.
        pid: String,
    },
    /// The store takes nothing at the moment; what is sealed waits.
    #[error("sealed versions wait, none is lost: {reason}")]
    StoreBlocked {
        /// What the store said.
        reason: String,
    },
    /// Versions are deleted from history, and what is stored at the moment may share bytes
    /// with them.
    #[error(
        "deleted from history for good, but files that are being stored at this moment may share \
         bytes with it: these go when that has ended, and keepfs.log says so"
    )]
    BytesShared,
    /// Sealed versions whose bytes cannot be read for the moment.
    #[error("{versions} sealed versions cannot be read at the moment, and wait: {reason}")]
    Unreadable {
        /// How many.
        versions: usize,
        /// Why, for the first of them.
        reason: String,
    },
    /// Somebody waited for the store as long as he wanted to.
    #[error("not in the store yet: {versions} sealed versions wait, none is lost")]
    NotInTime {
        /// How many.
        versions: usize,
    },
    /// The filesystem below answered with an error.
    #[error("{context}: {error}")]
    Io {
        /// What was being done.
        context: String,
        /// The answer.
        error: io::Error,
    },
    /// The catalog failed.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl VaultError {
    /// Wraps what the filesystem below answered.
    pub fn io(context: impl Into<String>, error: impl Into<io::Error>) -> Self {
        VaultError::Io {
            context: context.into(),
            error: error.into(),
        }
    }
}
