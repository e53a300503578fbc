//! Names and who claims them: the entry table and the counts that follow from it.
//!
//! A claim is an open interval; to change it is to end that interval and begin
//! another. Each directory counts its direct claims and its child directories that
//! count any, so a change climbs the tree only as long as a count leaves or
//! reaches zero. Moves and endings are in `moves`, lists and records in `listing`.

use rusqlite::types::Value;

use super::listing::{FILE_COLUMNS, file_values};
use super::transaction::values;
use super::{SqliteCatalog, invariant};
use crate::catalog::{Claim, NodeKind, Result, Standing};
use crate::model::{AssetId, Attributes, FileFacts, Name, NodeId, Override, ROOT, Timestamp};

/// A node's present entry.
pub(super) struct Entry {
    row: i64,
    pub parent: i64,
    pub name: Vec<u8>,
    pub kind: NodeKind,
    pub standing: Standing,
    pub since: i64,
}

pub(super) fn kind_number(kind: NodeKind) -> i64 {
    match kind {
        NodeKind::Directory => 0,
        NodeKind::Asset => 1,
    }
}

fn claim_number(standing: Standing) -> i64 {
    match standing {
        Standing::Live => 1,
        Standing::Deleted => 0,
    }
}

pub(super) fn standing_of(claim: i64) -> Standing {
    if claim == 0 {
        Standing::Deleted
    } else {
        Standing::Live
    }
}

/// What an asset of that standing adds to its directory: (assets, deleted).
pub(super) fn weight(standing: Standing) -> (i64, i64) {
    (1, i64::from(standing == Standing::Deleted))
}

impl SqliteCatalog {
    pub(super) fn find(
        &self,
        parent: NodeId,
        name: &Name,
        kind: NodeKind,
    ) -> Result<Option<(NodeId, Standing)>> {
        self.one(
            "SELECT node, claim FROM entry
             WHERE parent = ?1 AND name = ?2 AND kind = ?3 AND until = 9223372036854775807",
            (parent.0, name.as_bytes(), kind_number(kind)),
            |row| Ok((NodeId(row.get(0)?), standing_of(row.get(1)?))),
        )
    }

    pub(super) fn find_claim(&self, parent: NodeId, name: &Name) -> Result<Option<Claim>> {
        Ok(self
            .find(parent, name, NodeKind::Asset)?
            .map(|(asset, standing)| Claim { asset, standing }))
    }

    /// The present entry of a node; the root has none.
    pub(super) fn entry(&self, node: i64) -> Result<Option<Entry>> {
        self.one(
            "SELECT id, parent, name, kind, claim, since FROM entry
             WHERE node = ?1 AND until = 9223372036854775807",
            [node],
            |row| {
                Ok(Entry {
                    row: row.get(0)?,
                    parent: row.get(1)?,
                    name: row.get(2)?,
                    kind: if row.get::<_, i64>(3)? == 0 {
                        NodeKind::Directory
                    } else {
                        NodeKind::Asset
                    },
                    standing: standing_of(row.get(4)?),
                    since: row.get(5)?,
                })
            },
        )
    }

    pub(super) fn entry_of(&self, node: NodeId, kind: NodeKind) -> Result<Entry> {
        match self.entry(node.0)? {
            Some(entry) if entry.kind == kind => Ok(entry),
            _ => invariant(format!("no {kind:?} with node {}", node.0)),
        }
    }

    pub(super) fn entry_standing(&self, asset: NodeId, standing: Standing) -> Result<Entry> {
        let entry = self.entry_of(asset, NodeKind::Asset)?;
        if entry.standing != standing {
            return invariant(format!("asset {} is not {standing:?}", asset.0));
        }
        Ok(entry)
    }

    pub(super) fn require_free(&self, parent: NodeId, name: &Name, kind: NodeKind) -> Result<()> {
        self.require_directory(parent)?;
        if self.find(parent, name, kind)?.is_some() {
            return invariant(format!("{name} is taken in directory {}", parent.0));
        }
        Ok(())
    }

    pub(super) fn require_directory(&self, node: NodeId) -> Result<()> {
        let known = self.one("SELECT 1 FROM directory WHERE node = ?1", [node.0], |_| {
            Ok(())
        })?;
        match known {
            Some(()) => Ok(()),
            None => invariant(format!("no directory with node {}", node.0)),
        }
    }

    pub(super) fn begin_entry(
        &mut self,
        node: i64,
        (parent, name): (i64, Vec<u8>),
        kind: NodeKind,
        standing: Standing,
        now: i64,
    ) -> Result<()> {
        self.write(
            "INSERT INTO entry (parent, name, node, kind, claim, since, until)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, 9223372036854775807)",
            values![
                parent,
                name,
                node,
                kind_number(kind),
                claim_number(standing),
                now
            ],
        )?;
        Ok(())
    }

    pub(super) fn end_entry(&mut self, entry: &Entry, now: i64) -> Result<()> {
        self.write(
            "UPDATE entry SET until = ?2 WHERE id = ?1",
            values![entry.row, now],
        )?;
        Ok(())
    }

    /// Adds to a directory's counts, and to those above it as far as it shows there.
    pub(super) fn count(&mut self, directory: i64, (assets, deleted): (i64, i64)) -> Result<()> {
        let (mut at, mut assets, mut deleted) = (directory, assets, deleted);
        while assets != 0 || deleted != 0 {
            let Some(before) = self.counts(at)? else {
                return invariant(format!("no directory with node {at}"));
            };
            let after = (before.0 + assets, before.1 + deleted);
            self.write(
                "UPDATE directory SET assets = ?2, deleted = ?3 WHERE node = ?1",
                values![at, after.0, after.1],
            )?;
            assets = i64::from(after.0 > 0) - i64::from(before.0 > 0);
            deleted = i64::from(after.1 > 0) - i64::from(before.1 > 0);
            if at == ROOT.0 {
                break;
            }
            if assets != 0 || deleted != 0 {
                at = self.entry_of(NodeId(at), NodeKind::Directory)?.parent;
            }
        }
        Ok(())
    }

    fn counts(&self, directory: i64) -> Result<Option<(i64, i64)>> {
        self.one(
            "SELECT assets, deleted FROM directory WHERE node = ?1",
            [directory],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
    }

    /// What a directory adds to its parent's counts.
    pub(super) fn directory_weight(&self, directory: NodeId) -> Result<(i64, i64)> {
        let (assets, deleted) = self.counts(directory.0)?.unwrap_or_default();
        Ok((i64::from(assets > 0), i64::from(deleted > 0)))
    }

    pub(super) fn add_directory(
        &mut self,
        parent: NodeId,
        name: &Name,
        attributes: Attributes,
        now: Timestamp,
    ) -> Result<NodeId> {
        self.require_free(parent, name, NodeKind::Directory)?;
        let (now, node) = (self.state.tick(now), self.state.draw_node());
        self.write(
            "INSERT INTO directory (node, mode, uid, gid, mtime, assets, deleted)
             VALUES (?1, ?2, ?3, ?4, ?5, 0, 0)",
            values![
                node,
                attributes.mode,
                attributes.uid,
                attributes.gid,
                attributes.mtime.nanos()
            ],
        )?;
        let place = (parent.0, name.as_bytes().to_vec());
        self.begin_entry(node, place, NodeKind::Directory, Standing::Live, now)?;
        Ok(NodeId(node))
    }

    pub(super) fn add_asset(
        &mut self,
        parent: NodeId,
        name: &Name,
        asset_id: AssetId,
        file: Option<&FileFacts>,
        now: Timestamp,
    ) -> Result<NodeId> {
        let (now, node) = (self.state.tick(now), self.state.draw_node());
        let mut values = values![node, asset_id.0.to_vec()];
        match file {
            Some(file) => values.extend(file_values(file)),
            None => values.resize(values.len() + FILE_COLUMNS, Value::Null),
        }
        self.write(
            "INSERT INTO asset (node, asset_id, dev, ino, nlink, size, mode, uid, gid, mtime,
                                ctime)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
            values,
        )?;
        // The index of names refuses one that is taken, the count a directory that is none.
        let place = (parent.0, name.as_bytes().to_vec());
        self.begin_entry(node, place, NodeKind::Asset, Standing::Live, now)?;
        self.count(parent.0, weight(Standing::Live))?;
        self.state.assets_live += 1;
        Ok(NodeId(node))
    }

    pub(super) fn change_standing(
        &mut self,
        asset: NodeId,
        to: Standing,
        now: Timestamp,
    ) -> Result<()> {
        let (from, step) = match to {
            Standing::Deleted => (Standing::Live, 1),
            Standing::Live => (Standing::Deleted, -1),
        };
        let entry = self.entry_standing(asset, from)?;
        let now = self.state.tick(now);
        self.end_entry(&entry, now)?;
        let parent = entry.parent;
        self.begin_entry(asset.0, (parent, entry.name), NodeKind::Asset, to, now)?;
        self.count(parent, (0, step))?;
        self.state.assets_deleted += step;
        self.state.assets_live -= step;
        if to == Standing::Deleted {
            self.record_file(asset, None)?;
        }
        Ok(())
    }

    pub(super) fn write_attributes(&mut self, node: NodeId, attributes: Attributes) -> Result<()> {
        let rows = self.write(
            "UPDATE directory SET mode = ?2, uid = ?3, gid = ?4, mtime = ?5 WHERE node = ?1",
            values![
                node.0,
                attributes.mode,
                attributes.uid,
                attributes.gid,
                attributes.mtime.nanos()
            ],
        )?;
        require_one(rows, "directory", node.0)
    }

    pub(super) fn write_override(&mut self, node: NodeId, value: Option<Override>) -> Result<()> {
        let word = value.map(|value| value.as_str().to_owned());
        let rows = self.write(
            "UPDATE directory SET backup = ?2 WHERE node = ?1",
            values![node.0, word],
        )?;
        require_one(rows, "directory", node.0)
    }
}

pub(super) fn require_one(rows: usize, what: &str, row: i64) -> Result<()> {
    match rows {
        1 => Ok(()),
        _ => invariant(format!("no {what} {row}")),
    }
}
