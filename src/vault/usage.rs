//! How much space history takes, for `keepfs usage`.
//!
//! Counting reads every version of the part that is asked for, in a vault of a million
//! for seconds: it uses a catalog of its own, so that no close waits for it.

use std::time::Duration;

use crate::catalog::{AgeSpace, Catalog, Durability, Space, SpaceQuery, SpaceRow, SpaceRows};
use crate::model::{PublicId, Timestamp};

use super::{Result, Vault, VaultError};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How long ago something was kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Age {
    /// At most 24 hours.
    Day,
    /// Longer, but at most 7 days.
    Week,
    /// Longer, but at most 30 days.
    Month,
    /// Longer, but at most 365 days.
    Year,
    /// Longer still.
    Older,
}

impl Age {
    /// All of them, the latest first.
    pub const ALL: [Age; 5] = [Age::Day, Age::Week, Age::Month, Age::Year, Age::Older];

    /// The longest time ago. `None`: there is no longest.
    fn at_most(self) -> Option<Duration> {
        match self {
            Age::Day => Some(DAY),
            Age::Week => Some(7 * DAY),
            Age::Month => Some(30 * DAY),
            Age::Year => Some(365 * DAY),
            Age::Older => None,
        }
    }
}

/// How much space the history of a file, or of all files below a directory, takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage {
    /// The rows that were asked for.
    pub rows: Vec<SpaceRow>,
    /// Everything at and below the path, each chunk once.
    pub total: Space,
    /// The same by age, the latest first.
    pub ages: Vec<(Age, AgeSpace)>,
}

impl Vault {
    /// Counts what the versions at and below a path take, deleted assets included.
    ///
    /// # Errors
    /// [`VaultError::NotFound`] where nothing was kept, or the catalog's failure.
    pub fn usage(&self, id: &PublicId, rows: SpaceRows) -> Result<Usage> {
        let (query, mut reader) = {
            let mut catalog = self.catalog();
            let query = self.space_query(catalog.as_mut(), id, rows)?;
            // With a full disk, of all times, the answer must not fail: it is then of the
            // last commit.
            if let Err(error) = self.commit_locked(catalog.as_mut(), Durability::Process) {
                log::warn!("usage: counted without what is not committed: {error}");
            }
            (query, catalog.reader()?)
        };
        let report = reader.space(&query)?;
        Ok(Usage {
            rows: report.rows,
            total: report.total,
            ages: Age::ALL.into_iter().zip(report.ages).collect(),
        })
    }

    fn space_query(
        &self,
        catalog: &mut dyn Catalog,
        id: &PublicId,
        rows: SpaceRows,
    ) -> Result<SpaceQuery> {
        let asset = self.asset_at(catalog, id)?.map(|asset| asset.node());
        let directory = self.directory_node(catalog, id)?;
        if asset.is_none() && directory.is_none() {
            return Err(VaultError::NotFound {
                path: id.clone(),
                what: "a backed-up file, or a directory with any,".into(),
            });
        }
        let now = self.clock.now();
        let limits = Age::ALL.into_iter().filter_map(Age::at_most);
        Ok(SpaceQuery {
            directory,
            asset,
            rows,
            age_limits: limits.map(|age| before(now, age)).collect(),
        })
    }
}

fn before(now: Timestamp, age: Duration) -> Timestamp {
    let nanos = i64::try_from(age.as_nanos()).unwrap_or(i64::MAX);
    Timestamp::from_nanos(now.nanos().saturating_sub(nanos))
}
