//! The lines on the way to an answer: how far it is, and its parts, one by one.
//!
//! Rows that belong to one command alone are in the file of that command.

use serde::{Deserialize, Serialize};

use super::checked::{OrphanRow, RepairedRow};
use super::failure::Failure;
use super::found::FoundRow;
use super::restored::RestoredRow;
use super::retention::{PinRow, PruneRow};
use super::usage::UsageRow;
use super::wire_path::WirePath;

/// A line on the way to the answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// How far it is.
    Progress(Progress),
    /// A part of the answer.
    Item(Item),
}

/// How far a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Progress {
    /// Files and their bytes looked at so far.
    Scanned {
        /// Files.
        files: u64,
        /// Bytes.
        bytes: u64,
        /// Bytes of these that still wait for the store.
        #[serde(default)]
        bytes_waiting: u64,
        /// Bytes of all files, once they are counted.
        #[serde(default)]
        bytes_total: Option<u64>,
    },
    /// Versions that still wait for the store.
    Waiting {
        /// Versions.
        versions: u64,
    },
    /// Bytes checked.
    Checked {
        /// So far.
        bytes: u64,
        /// In all.
        bytes_total: u64,
    },
    /// Bytes of a rebuilt live tree that are there.
    Rebuilt {
        /// So far.
        bytes: u64,
        /// In all.
        bytes_total: u64,
    },
    /// Bytes of the store that are at its new place.
    Migrated {
        /// So far.
        bytes: u64,
        /// In all.
        bytes_total: u64,
    },
}

/// A part of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Item {
    /// A version of the asset that was asked for, oldest first.
    Version(VersionRow),
    /// A deleted asset.
    Deleted(DeletedRow),
    /// A directory or an asset, and the space it takes.
    Usage(UsageRow),
    /// A file that was brought back, or would be.
    Restored(RestoredRow),
    /// A version that a prune drops or keeps.
    Prune(PruneRow),
    /// A version that was pinned or unpinned.
    Pin(PinRow),
    /// A file that could not be brought back, or damage that a check found.
    Problem(ProblemRow),
    /// Damage that a check found and repaired.
    Repaired(RepairedRow),
    /// A pack in the store that the catalog does not know.
    Orphan(OrphanRow),
    /// An asset that a search found.
    Found(FoundRow),
}

/// One version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionRow {
    /// Its id.
    pub version_id: String,
    /// Bytes.
    pub size: u64,
    /// When it was kept, RFC 3339.
    pub kept_at: String,
    /// The file's modification time, RFC 3339.
    pub modified_at: String,
    /// What made it.
    pub origin: String,
    /// `sealed`, `stored` or `uploaded`.
    pub state: String,
    /// Permission bits, octal.
    pub mode: String,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// The version whose content it brought back.
    pub restored_from: Option<String>,
    /// blake3 of the content, once stored.
    pub blake3: Option<String>,
    /// Whether somebody pinned it.
    pub pinned: bool,
}

/// One deleted asset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeletedRow {
    /// Its public_id.
    pub path: WirePath,
    /// Bytes of its latest version.
    pub size: u64,
    /// When its latest version was kept, RFC 3339.
    pub kept_at: String,
    /// The file's modification time, RFC 3339.
    pub modified_at: String,
    /// Its latest version.
    pub version_id: String,
}

/// Something that went wrong with one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProblemRow {
    /// The asset, where one is concerned.
    pub path: Option<WirePath>,
    /// The version, where one is concerned.
    pub version_id: Option<String>,
    /// Its kind and its line.
    pub failure: Failure,
}
