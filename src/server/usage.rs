//! How much space history takes: what is asked, and the answer as rows.

use serde::{Deserialize, Serialize};

use super::event::Item;
use super::execute::Door;
use super::failure::Failure;
use super::protocol::Reply;
use super::wire_path::WirePath;
use crate::catalog::{AgeSpace, Space, SpaceRow, SpaceRows, Standing};
use crate::vault::{Age, Vault};

/// What to count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageRequest {
    /// The asset, or the directory with everything below.
    pub path: WirePath,
    /// What gets a row of its own.
    pub list: UsageList,
}

/// What gets a row of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UsageList {
    /// Directories down to so many levels below the path.
    Directories {
        /// 0: none.
        depth: u32,
    },
    /// Directories and assets down to so many levels below the path.
    Assets {
        /// 0: none.
        depth: u32,
    },
    /// The assets with the most stored bytes.
    Top {
        /// So many of them.
        count: usize,
    },
}

/// What a row is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UsageKind {
    /// A directory with everything below.
    Directory,
    /// An asset that is a live file.
    Asset,
    /// A deleted asset.
    DeletedAsset,
}

/// A directory or an asset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageRow {
    /// Its public_id.
    pub path: WirePath,
    /// What it is.
    pub kind: UsageKind,
    /// What it takes.
    #[serde(flatten)]
    pub usage: UsageSums,
}

/// Counts and bytes; of what each is, [`Space`] says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageSums {
    /// Assets, live and deleted.
    pub assets: u64,
    /// Deleted assets.
    pub assets_deleted: u64,
    /// Versions.
    pub versions: u64,
    /// Versions whose bytes are not in a pack yet.
    pub versions_pending: u64,
    /// Sum of the sizes of the versions.
    pub logical_bytes: u64,
    /// Plain bytes of chunks that nothing else has.
    pub unique_bytes: u64,
    /// Bytes in packs.
    pub stored_bytes: u64,
    /// Bytes in packs that only deleted assets need.
    pub deleted_stored_bytes: u64,
}

/// What was kept during one age.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageAge {
    /// How long ago.
    pub kept: UsageAgeName,
    /// Versions.
    pub versions: u64,
    /// Sum of their sizes.
    pub logical_bytes: u64,
    /// Bytes in packs of chunks that were first needed then.
    pub stored_bytes: u64,
}

/// How long ago something was kept, each without those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UsageAgeName {
    /// Within 24 hours.
    LastDay,
    /// Within 7 days.
    LastWeek,
    /// Within 30 days.
    LastMonth,
    /// Within 365 days.
    LastYear,
    /// Before.
    Older,
}

/// The sums over everything that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageTotal {
    /// In all.
    #[serde(flatten)]
    pub usage: UsageSums,
    /// By age, the latest first.
    pub ages: Vec<UsageAge>,
}

pub(super) fn usage(
    vault: &Vault,
    request: &UsageRequest,
    door: &mut Door<'_>,
) -> Result<Reply, Failure> {
    let rows = match request.list {
        UsageList::Directories { depth } => SpaceRows::Directories { depth },
        UsageList::Assets { depth } => SpaceRows::Assets { depth },
        UsageList::Top { count } => SpaceRows::Heaviest(count),
    };
    let found = vault.usage(&request.path.0, rows)?;
    for row in found.rows {
        door.item(Item::Usage(usage_row(row)))?;
    }
    Ok(Reply::Usage(Box::new(UsageTotal {
        usage: sums(&found.total),
        ages: found.ages.into_iter().map(age_row).collect(),
    })))
}

fn usage_row(row: SpaceRow) -> UsageRow {
    UsageRow {
        path: WirePath(row.path),
        kind: match row.asset {
            None => UsageKind::Directory,
            Some(Standing::Live) => UsageKind::Asset,
            Some(Standing::Deleted) => UsageKind::DeletedAsset,
        },
        usage: sums(&row.space),
    }
}

fn sums(space: &Space) -> UsageSums {
    UsageSums {
        assets: space.assets,
        assets_deleted: space.assets_deleted,
        versions: space.versions,
        versions_pending: space.versions_sealed,
        logical_bytes: space.logical_bytes,
        unique_bytes: space.unique_bytes,
        stored_bytes: space.stored_bytes,
        deleted_stored_bytes: space.deleted_bytes,
    }
}

fn age_row((age, space): (Age, AgeSpace)) -> UsageAge {
    UsageAge {
        kept: match age {
            Age::Day => UsageAgeName::LastDay,
            Age::Week => UsageAgeName::LastWeek,
            Age::Month => UsageAgeName::LastMonth,
            Age::Year => UsageAgeName::LastYear,
            Age::Older => UsageAgeName::Older,
        },
        versions: space.versions,
        logical_bytes: space.logical_bytes,
        stored_bytes: space.stored_bytes,
    }
}
