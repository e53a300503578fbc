//! What can go wrong with the catalog.

use std::path::PathBuf;

/// A catalog's result.
pub type Result<T> = std::result::Result<T, CatalogError>;

/// A situation the caller can tell apart.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// Written by a later keepfs.
    #[error(
        "{path}: catalog format {found} is newer than this keepfs knows ({known}): upgrade keepfs"
    )]
    NewerFormat {
        /// The catalog file.
        path: PathBuf,
        /// The format on disk.
        found: i64,
        /// The newest format of this program.
        known: i64,
    },
    /// The database is damaged.
    #[error(
        "{path}: the catalog is damaged ({detail}): restore catalog.db from a copy; the live tree and the packs are untouched"
    )]
    Corrupt {
        /// The catalog file.
        path: PathBuf,
        /// What the database said.
        detail: String,
    },
    /// The disk or a quota is full.
    #[error("no space left for the catalog: free some space on its disk")]
    Full,
    /// Another process holds the database.
    #[error("{path}: the catalog is locked by another process")]
    Locked {
        /// The catalog file.
        path: PathBuf,
    },
    /// A claim, directory or row that must not exist does, or the reverse. A
    /// broken rule above, or damage.
    #[error("catalog invariant: {0}")]
    Invariant(String),
    /// Anything else the database or the filesystem said.
    #[error("catalog: {0}")]
    Database(String),
}
