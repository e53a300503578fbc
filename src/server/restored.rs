//! What a restore is asked for and what it answers, as lines of the control socket.

use serde::{Deserialize, Serialize};

use super::protocol::Switch;
use super::wire_path::WirePath;

/// What to bring back, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoreRequest {
    /// Files, or directories with everything that is deleted below.
    pub sources: Vec<RestoreSource>,
    /// Another place: a file's new path, or a directory to restore into.
    pub to: Option<WirePath>,
    /// `to` is a directory even where it does not exist yet.
    pub into_directory: Switch,
    /// Only say what would be done.
    pub dry_run: Switch,
    /// A live file in the way becomes an older version.
    pub overwrite: Switch,
}

/// One thing to bring back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoreSource {
    /// A file or a directory.
    pub path: WirePath,
    /// A version id prefix. `None`: the latest.
    pub version: Option<String>,
}

/// One file that was brought back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoredRow {
    /// The asset it came from.
    pub path: WirePath,
    /// Where it is now.
    pub to: WirePath,
    /// The version it came from.
    pub restored_from: String,
    /// The version it made. `None`: only rehearsed.
    pub version_id: Option<String>,
    /// Bytes.
    pub size: u64,
}
