//! How far the journal in the store is, as the catalog remembers it.
//!
//! What reads the rows that it lacks is `changes`.

use super::SqliteCatalog;
use super::changes::Changes;
use super::transaction::values;
use crate::catalog::Result;
use crate::catalog::journal::{ChangeMark, JournalPosition, Unpublished};
use crate::model::Fence;

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
