//! The one row of counts, kept in memory and written at each commit.
//!
//! A count over ten million rows takes seconds; here every change adds to a sum.
//! A savepoint keeps a copy, so that a rollback takes the sums back with the rows.

use rusqlite::{Connection, Row};

use crate::model::Timestamp;

/// The columns of the `state` table, u64 sums as the integers that SQLite holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct State {
    pub clock: i64,
    pub next_node: i64,
    pub assets_live: i64,
    pub assets_deleted: i64,
    pub versions: i64,
    pub versions_sealed: i64,
    pub sealed_bytes: i64,
    pub logical_bytes: i64,
    pub unique_bytes: i64,
    pub pack_bytes: i64,
    pub packs: i64,
}

impl State {
    pub fn load(connection: &Connection) -> rusqlite::Result<Self> {
        connection
            .prepare_cached(
                "SELECT clock, next_node, assets_live, assets_deleted, versions, versions_sealed,
                        sealed_bytes, logical_bytes, unique_bytes, pack_bytes, packs
                 FROM state WHERE one = 1",
            )?
            .query_row([], Self::read)
    }

    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            clock: row.get(0)?,
            next_node: row.get(1)?,
            assets_live: row.get(2)?,
            assets_deleted: row.get(3)?,
            versions: row.get(4)?,
            versions_sealed: row.get(5)?,
            sealed_bytes: row.get(6)?,
            logical_bytes: row.get(7)?,
            unique_bytes: row.get(8)?,
            pack_bytes: row.get(9)?,
            packs: row.get(10)?,
        })
    }

    pub fn store(&self, connection: &Connection) -> rusqlite::Result<()> {
        connection
            .prepare_cached(
                "UPDATE state SET clock = ?1, next_node = ?2, assets_live = ?3, assets_deleted = ?4,
                        versions = ?5, versions_sealed = ?6, sealed_bytes = ?7, logical_bytes = ?8,
                        unique_bytes = ?9, pack_bytes = ?10, packs = ?11
                 WHERE one = 1",
            )?
            .execute([
                self.clock,
                self.next_node,
                self.assets_live,
                self.assets_deleted,
                self.versions,
                self.versions_sealed,
                self.sealed_bytes,
                self.logical_bytes,
                self.unique_bytes,
                self.pack_bytes,
                self.packs,
            ])?;
        Ok(())
    }

    /// The later of `now` and what was recorded last. The very last instant is
    /// not given out: in the entry table it means "still so".
    pub fn tick(&mut self, now: Timestamp) -> i64 {
        self.clock = self.clock.max(now.nanos().min(i64::MAX - 1));
        self.clock
    }

    pub fn draw_node(&mut self) -> i64 {
        let node = self.next_node;
        self.next_node += 1;
        node
    }
}
