//! What a check is asked for and what it answers, as lines of the control socket.
//!
//! The problems that it finds are rows of `protocol`, as those of other requests are.

use serde::{Deserialize, Serialize};

use super::protocol::Switch;
use super::wire_path::WirePath;

/// How deep to check, and what to do about damage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckRequest {
    /// Read and verify every byte.
    pub read_data: Switch,
    /// Read and verify this share of the bytes, like `1%`; not with `read_data`.
    #[serde(default)]
    pub sample: Option<String>,
    /// Store anew what is damaged, where its bytes can be found.
    #[serde(default)]
    pub repair: Switch,
}

/// Something that was damaged and is whole again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepairedRow {
    /// The asset, where one is concerned.
    pub path: Option<WirePath>,
    /// The version, where one is concerned.
    pub version_id: Option<String>,
    /// What it was, in one line.
    pub message: String,
}

/// A pack that no version needs, as far as the catalog knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrphanRow {
    /// Its id.
    pub pack: String,
    /// Bytes of its object.
    pub bytes: u64,
}

/// What a sampled check read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SampleRow {
    /// Packs that were read; the next sample goes on behind them.
    pub packs: u64,
    /// Packs in the store.
    pub packs_total: u64,
    /// Bytes that were read.
    pub bytes: u64,
    /// What the order of the packs was drawn from.
    pub seed: String,
}
