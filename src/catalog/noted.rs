//! Labels, and whole directories at a glance: for a search, for a live tree made anew.
//!
//! No rule reads this. Part of [`Catalog`](super::Catalog), apart because it answers
//! another kind of question.

use super::{LiveFile, Result, Standing};
use crate::model::{AssetId, Labels, Name, NodeId, Timestamp, VersionId};

/// An asset as a search sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// Its name.
    pub name: Name,
    /// Its node.
    pub node: NodeId,
    /// Its public id for life.
    pub asset_id: AssetId,
    /// Live or deleted.
    pub standing: Standing,
    /// Its latest version. `None`: it has none.
    pub latest: Option<LatestVersion>,
}

/// The part of a version that a search looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LatestVersion {
    /// Its id.
    pub id: VersionId,
    /// Bytes.
    pub size: u64,
    /// When it was kept.
    pub kept_at: Timestamp,
}

/// Labels and sightings.
///
/// # Errors
/// As [`Catalog`](super::Catalog).
pub trait Noted {
    /// Notes tags and context of an asset, in the place of what was noted before. They
    /// stay with it when it is deleted, and go when it is forgotten.
    fn set_labels(&mut self, asset: NodeId, labels: &Labels) -> Result<()>;
    /// What is noted about an asset. There need not be such an asset.
    fn labels(&mut self, asset: NodeId) -> Result<Labels>;
    /// Up to `limit` assets about which something is noted, after `after`, lowest first.
    fn labelled(&mut self, after: NodeId, limit: usize) -> Result<Vec<(NodeId, Labels)>>;
    /// Up to `limit` assets directly in a directory, by name, from the name `from` on.
    fn sightings(&mut self, directory: NodeId, from: &[u8], limit: usize) -> Result<Vec<Sighting>>;
    /// The live assets directly in a directory that have a version, by name.
    fn live_files(&mut self, directory: NodeId) -> Result<Vec<LiveFile>>;
}
