//! Holds: which versions are kept on purpose.

use super::transaction::values;
use super::{SqliteCatalog, invariant};
use crate::catalog::Result;
use crate::model::{Hold, NodeId, VersionSeq};

impl SqliteCatalog {
    pub(super) fn write_hold(&mut self, seq: VersionSeq, hold: Hold) -> Result<()> {
        let known = self.one("SELECT 1 FROM version WHERE seq = ?1", [seq.0], |_| Ok(()))?;
        if known.is_none() {
            return invariant(format!("no version {}", seq.0));
        }
        match hold {
            Hold::On => self.write(
                "INSERT INTO hold (seq) VALUES (?1) ON CONFLICT (seq) DO NOTHING",
                values![seq.0],
            )?,
            Hold::Off => self.drop_hold(seq)?,
        };
        Ok(())
    }

    pub(super) fn drop_hold(&mut self, seq: VersionSeq) -> Result<usize> {
        self.write("DELETE FROM hold WHERE seq = ?1", values![seq.0])
    }

    pub(super) fn find_hold(&self, seq: VersionSeq) -> Result<bool> {
        let found = self.one("SELECT 1 FROM hold WHERE seq = ?1", [seq.0], |_| Ok(()))?;
        Ok(found.is_some())
    }

    pub(super) fn holds_of(&self, asset: NodeId) -> Result<Vec<VersionSeq>> {
        self.many(
            "SELECT seq FROM version WHERE asset = ?1 AND seq IN (SELECT seq FROM hold)
             ORDER BY seq",
            [asset.0],
            |row| Ok(VersionSeq(row.get(0)?)),
        )
    }
}
