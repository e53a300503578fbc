//! What a catalog and its journal in the store have to say to each other.
//!
//! The journal tells an empty machine what the catalog knew. The catalog takes note of
//! the rows that changed, and of how far the journal has got; `store` writes it. The
//! surprise: settings that are of this machine alone are never published.

use super::sqlite::Changes;
use crate::model::Fence;

/// Settings with this at the front of their key concern this machine alone.
pub const LOCAL_PREFIX: &str = "local.";
/// The same, under keys from before there was a prefix.
const LOCAL_KEYS: [&str; 2] = ["clean_stop", "store_joined"];

/// How far a catalog's changes go: all up to here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChangeMark(pub i64);

/// Which rows are read to be published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// Those that changed since the last time.
    Changed,
    /// All.
    Everything,
}

/// How far the journal in the store is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct JournalPosition {
    /// Whose journal it is that the rest is about. `None`: nothing was ever published.
    pub fence: Option<Fence>,
    /// The number of its next object.
    pub number: u64,
    /// The group of the objects before that one.
    pub group: u64,
    /// The format of the catalog at its last snapshot.
    pub format: u32,
    /// Bytes of that snapshot.
    pub snapshot_bytes: u64,
    /// Bytes of the changes since.
    pub change_bytes: u64,
}

/// What is to be published, and where.
#[derive(Debug)]
pub struct Unpublished {
    /// The catalog as it was when this was asked for.
    pub changes: Changes,
    /// How far the journal was then.
    pub position: JournalPosition,
}

/// Whether a setting is for whoever rebuilds the vault, too.
pub fn is_published(key: &str) -> bool {
    !key.starts_with(LOCAL_PREFIX) && !LOCAL_KEYS.contains(&key)
}
