//! What is asked of the space that versions take, and the answer.
//!
//! The surprise: rows do not add up. A chunk that two directories share counts in
//! both, and once in what holds them; it is unique to neither.

use crate::model::{NodeId, PublicId, Timestamp};

use super::{NodeKind, Standing};

/// Which part of the vault to count, and in which rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpaceQuery {
    /// All assets below this directory. `None`: no directory.
    pub directory: Option<NodeId>,
    /// This asset, which is not below `directory`. `None`: no such asset.
    pub asset: Option<NodeId>,
    /// What gets a row of its own.
    pub rows: SpaceRows,
    /// The instants at which one age ends and the next, older one begins, latest first.
    pub age_limits: Vec<Timestamp>,
}

/// What gets a row of its own. `asset` of the query always may have one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpaceRows {
    /// Directories down to so many levels below, in the order of their paths.
    Directories {
        /// 1: the directories directly in it.
        depth: u32,
    },
    /// Directories and assets down to so many levels below.
    Assets {
        /// 1: what is directly in it.
        depth: u32,
    },
    /// So many of the assets with the most stored bytes, the most first; none
    /// without any.
    Heaviest(usize),
}

/// How much the versions of some assets are, and how much they take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Space {
    /// Assets, live and deleted.
    pub assets: u64,
    /// Deleted assets.
    pub assets_deleted: u64,
    /// Their versions.
    pub versions: u64,
    /// Versions whose bytes are not in a pack yet: they count in `versions` and
    /// `logical_bytes` only.
    pub versions_sealed: u64,
    /// Sum of the sizes of all versions.
    pub logical_bytes: u64,
    /// Plain bytes of the chunks that no content but those of these versions lists.
    pub unique_bytes: u64,
    /// Stored bytes of the chunks of these versions, each chunk once.
    pub stored_bytes: u64,
    /// The part of `stored_bytes` that no live one of these assets needs.
    pub deleted_bytes: u64,
}

/// One directory with everything below, or one asset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpaceRow {
    /// Where it is, or for a deleted asset where it was.
    pub path: PublicId,
    /// Its standing. `None`: it is a directory.
    pub asset: Option<Standing>,
    /// What it takes.
    pub space: Space,
}

impl SpaceRow {
    /// Directory or asset.
    pub fn kind(&self) -> NodeKind {
        match self.asset {
            None => NodeKind::Directory,
            Some(_) => NodeKind::Asset,
        }
    }
}

/// What was kept during one age.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AgeSpace {
    /// Versions kept then.
    pub versions: u64,
    /// Sum of their sizes.
    pub logical_bytes: u64,
    /// Stored bytes of the chunks whose first of the counted versions is from then.
    pub stored_bytes: u64,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SpaceReport {
    /// The rows that were asked for; no directory without assets.
    pub rows: Vec<SpaceRow>,
    /// Everything that was asked for.
    pub total: Space,
    /// The ages from the latest to the oldest: one more than there were limits.
    pub ages: Vec<AgeSpace>,
}

/// The number of the age in which something was kept: 0 is the latest.
pub(super) fn age_of(kept_at: Timestamp, limits: &[Timestamp]) -> usize {
    limits.iter().filter(|limit| kept_at < **limit).count()
}

/// Puts rows into the order that was asked for.
pub(super) fn sort(rows: &mut [SpaceRow], wanted: SpaceRows) {
    rows.sort_by(|a, b| {
        let by_path = || a.path.components().cmp(b.path.components());
        match wanted {
            SpaceRows::Heaviest(_) => b
                .space
                .stored_bytes
                .cmp(&a.space.stored_bytes)
                .then_with(by_path),
            _ => by_path().then_with(|| a.kind().cmp(&b.kind())),
        }
    });
}
