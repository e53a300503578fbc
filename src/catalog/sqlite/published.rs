//! How far the journal in the store is, as the catalog remembers it.
//!
//! What reads the rows that it lacks is `changes`. The surprise: which versions they are is
//! asked for each version that somebody looks at, so it is read once and kept.

use std::collections::HashSet;

use super::SqliteCatalog;
use super::changed_rows::{Rows, Table, unpack_into};
use super::changes::Changes;
use super::transaction::values;
use crate::catalog::Result;
use crate::catalog::journal::{ChangeMark, JournalPosition, Unpublished};
use crate::model::{Fence, VersionSeq};

/// The versions among the rows that were committed and are not published yet.
#[derive(Debug, Default)]
pub(super) struct UnpublishedVersions {
    /// Up to which commit they are known.
    known_up_to: i64,
    rows: HashSet<i64>,
}

impl SqliteCatalog {
    pub(super) fn open_unpublished(&self) -> Result<Unpublished> {
        Ok(Unpublished {
            position: self.journal_position()?,
            changes: Changes::open(&self.path)?,
        })
    }

    pub(super) fn write_published(
        &mut self,
        up_to: ChangeMark,
        position: &JournalPosition,
    ) -> Result<()> {
        // Commits are counted anew where none is left.
        self.unpublished_versions = UnpublishedVersions::default();
        self.write("DELETE FROM unpublished WHERE id <= ?1", values![up_to.0])?;
        let fence = position.fence.map_or(0, |fence| fence.0);
        self.write(
            "UPDATE journal SET fence = ?1, number = ?2, last_group = ?3, format = ?4,
                    snapshot_bytes = ?5, change_bytes = ?6 WHERE one = 1",
            values![
                fence.cast_signed(),
                position.number.cast_signed(),
                position.group.cast_signed(),
                i64::from(position.format),
                position.snapshot_bytes.cast_signed(),
                position.change_bytes.cast_signed(),
            ],
        )?;
        Ok(())
    }

    /// Whether any change is not published, committed or not, or the journal is to begin
    /// anew.
    pub(super) fn lacks_publishing(&self) -> Result<bool> {
        if !self.changed.is_empty() {
            return Ok(true);
        }
        let sql = "SELECT fence = 0 OR EXISTS (SELECT 1 FROM unpublished) FROM journal";
        let lacks = self.one(sql, [], |row| row.get(0))?;
        Ok(lacks.unwrap_or(true))
    }

    /// Whether the journal has a version as it is now.
    pub(super) fn is_published(&mut self, seq: VersionSeq) -> Result<bool> {
        if self.changed.has(Table::VERSION, seq.0) {
            return Ok(false);
        }
        let known_up_to = self.unpublished_versions.known_up_to;
        let new = self.many(
            "SELECT id, rows FROM unpublished WHERE id > ?1 ORDER BY id",
            [known_up_to],
            |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?)),
        )?;
        for (id, bytes) in new {
            let mut rows = Rows::new();
            unpack_into(&mut rows, &bytes)
                .ok_or_else(|| self.corrupt("what is not published yet cannot be read"))?;
            let versions = rows.remove(&Table::VERSION).unwrap_or_default();
            self.unpublished_versions.rows.extend(versions);
            self.unpublished_versions.known_up_to = id;
        }
        Ok(!self.unpublished_versions.rows.contains(&seq.0))
    }

    fn journal_position(&self) -> Result<JournalPosition> {
        let position = self.one(
            "SELECT fence, number, last_group, format, snapshot_bytes, change_bytes FROM journal",
            [],
            |row| {
                let unsigned = |column| row.get::<_, i64>(column).map(i64::cast_unsigned);
                let fence = unsigned(0)?;
                Ok(JournalPosition {
                    fence: (fence > 0).then_some(Fence(fence)),
                    number: unsigned(1)?,
                    group: unsigned(2)?,
                    format: row.get(3)?,
                    snapshot_bytes: unsigned(4)?,
                    change_bytes: unsigned(5)?,
                })
            },
        )?;
        position.ok_or_else(|| self.corrupt("the journal's position is gone"))
    }
}
