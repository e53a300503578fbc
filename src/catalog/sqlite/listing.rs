//! Reading the namespace: lists, records, paths, the tree of an instant; and the
//! live file of an asset, the one fact about an asset that is not its name.

use rusqlite::Row;
use rusqlite::types::Value;

use super::SqliteCatalog;
use super::namespace::{kind_number, require_one, standing_of};
use super::transaction::values;
use crate::catalog::{AssetRecord, Child, DirectoryRecord, NodeKind, Result, Standing};
use crate::model::{
    AssetId, Attributes, FileFacts, InodeKey, Name, NodeId, Override, PublicId, ROOT, Timestamp,
};

/// Deeper than anybody digs: a circle, not a tree.
const DEPTH_MAX: usize = 100_000;

impl SqliteCatalog {
    pub(super) fn list(
        &self,
        directory: NodeId,
        after: Option<&(Name, NodeKind)>,
        limit: usize,
    ) -> Result<Vec<Child>> {
        // The empty name sorts before every name.
        let (name, kind) = after.map_or((&[][..], 0), |(name, kind)| {
            (name.as_bytes(), kind_number(*kind))
        });
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = self.many(
            "SELECT entry.name, entry.kind, entry.node, entry.claim,
                    directory.assets, directory.deleted
             FROM entry LEFT JOIN directory ON entry.kind = 0 AND directory.node = entry.node
             WHERE entry.parent = ?1 AND (entry.name, entry.kind) > (?2, ?3)
               AND entry.until = 9223372036854775807
             ORDER BY entry.name, entry.kind LIMIT ?4",
            (directory.0, name, kind, limit),
            |row| {
                let node = NodeId(row.get(2)?);
                let child = if row.get::<_, i64>(1)? == 0 {
                    RawChild::Directory(
                        row.get::<_, Option<i64>>(4)?.unwrap_or(0) > 0,
                        row.get::<_, Option<i64>>(5)?.unwrap_or(0) > 0,
                    )
                } else {
                    RawChild::Asset(standing_of(row.get(3)?))
                };
                Ok((row.get::<_, Vec<u8>>(0)?, node, child))
            },
        )?;
        rows.into_iter()
            .map(|(name, node, child)| {
                let name = self.name(&name)?;
                Ok(match child {
                    RawChild::Directory(has_assets, has_deleted) => Child::Directory {
                        name,
                        node,
                        has_assets,
                        has_deleted,
                    },
                    RawChild::Asset(standing) => Child::Asset {
                        name,
                        node,
                        standing,
                    },
                })
            })
            .collect()
    }

    pub(super) fn list_at(
        &self,
        directory: NodeId,
        at: Timestamp,
    ) -> Result<Vec<(Name, NodeId, NodeKind)>> {
        // What still stands and what has ended lie in two indexes.
        let rows = self.many(
            "SELECT name, kind, node FROM entry
             WHERE parent = ?1 AND since <= ?2 AND until = 9223372036854775807 AND claim = 1
             UNION ALL
             SELECT name, kind, node FROM entry
             WHERE parent = ?1 AND since <= ?2 AND until > ?2 AND until < 9223372036854775807
               AND claim = 1
             ORDER BY 1, 2",
            (directory.0, at.nanos().min(i64::MAX - 1)),
            |row| {
                let kind = if row.get::<_, i64>(1)? == 0 {
                    NodeKind::Directory
                } else {
                    NodeKind::Asset
                };
                Ok((row.get::<_, Vec<u8>>(0)?, NodeId(row.get(2)?), kind))
            },
        )?;
        rows.into_iter()
            .map(|(name, node, kind)| Ok((self.name(&name)?, node, kind)))
            .collect()
    }

    pub(super) fn name(&self, bytes: &[u8]) -> Result<Name> {
        Name::new(bytes).map_err(|error| self.corrupt(error.to_string()))
    }

    pub(super) fn directory_record(&self, node: NodeId) -> Result<Option<DirectoryRecord>> {
        let Some((attributes, word, has_assets, has_deleted)) = self.one(
            "SELECT mode, uid, gid, mtime, backup, assets, deleted FROM directory WHERE node = ?1",
            [node.0],
            |row| {
                let word: Option<String> = row.get(4)?;
                let (assets, deleted): (i64, i64) = (row.get(5)?, row.get(6)?);
                Ok((attributes_from(row, 0)?, word, assets > 0, deleted > 0))
            },
        )?
        else {
            return Ok(None);
        };
        let backup = match word {
            None => None,
            Some(word) => match Override::from_word(word.as_bytes()) {
                Some(value) => Some(value),
                None => return Err(self.corrupt(format!("directory override '{word}'"))),
            },
        };
        let place = match self.entry(node.0)? {
            Some(entry) => Some((NodeId(entry.parent), self.name(&entry.name)?)),
            None => None,
        };
        Ok(Some(DirectoryRecord {
            node,
            place,
            attributes,
            backup,
            has_assets,
            has_deleted,
        }))
    }

    pub(super) fn asset_record(&self, node: NodeId) -> Result<Option<AssetRecord>> {
        let Some((asset_id, file, last_attributes)) = self.one(
            "SELECT asset_id, dev, ino, nlink, size, mode, uid, gid, mtime, ctime
             FROM asset WHERE node = ?1",
            [node.0],
            |row| {
                let file = match row.get::<_, Option<i64>>(1)? {
                    Some(_) => Some(file_from(row, 1)?),
                    None => None,
                };
                let last_attributes = match row.get::<_, Option<i64>>(5)? {
                    Some(_) => Some(attributes_from(row, 5)?),
                    None => None,
                };
                Ok((AssetId(row.get(0)?), file, last_attributes))
            },
        )?
        else {
            return Ok(None);
        };
        let entry = self.entry_of(node, NodeKind::Asset)?;
        Ok(Some(AssetRecord {
            node,
            asset_id,
            parent: NodeId(entry.parent),
            name: self.name(&entry.name)?,
            standing: entry.standing,
            since: Timestamp::from_nanos(entry.since),
            file,
            last_attributes,
        }))
    }

    pub(super) fn find_asset_id(&self, asset_id: AssetId) -> Result<Option<NodeId>> {
        self.one(
            "SELECT node FROM asset WHERE asset_id = ?1",
            [&asset_id.0[..]],
            |row| Ok(NodeId(row.get(0)?)),
        )
    }

    pub(super) fn find_without_versions(&self) -> Result<Vec<NodeId>> {
        self.many(
            "SELECT node FROM asset
             WHERE NOT EXISTS (SELECT 1 FROM version WHERE version.asset = asset.node)",
            [],
            |row| Ok(NodeId(row.get(0)?)),
        )
    }

    pub(super) fn find_on_inode(&self, inode: InodeKey) -> Result<Vec<NodeId>> {
        self.many(
            "SELECT node FROM asset WHERE dev = ?1 AND ino = ?2 ORDER BY node",
            [inode.dev.cast_signed(), inode.ino.cast_signed()],
            |row| Ok(NodeId(row.get(0)?)),
        )
    }

    /// A deleted asset can have none.
    pub(super) fn record_file(&mut self, asset: NodeId, file: Option<&FileFacts>) -> Result<()> {
        let what = if file.is_some() {
            "live asset"
        } else {
            "asset"
        };
        let rows = match file {
            Some(file) => {
                let mut values = values![asset.0];
                values.extend(file_values(file));
                self.write(
                    "UPDATE asset SET dev = ?2, ino = ?3, nlink = ?4, size = ?5, mode = ?6,
                            uid = ?7, gid = ?8, mtime = ?9, ctime = ?10
                     WHERE node = ?1 AND EXISTS (
                       SELECT 1 FROM entry
                       WHERE node = ?1 AND claim = 1 AND until = 9223372036854775807)",
                    values,
                )?
            }
            None => self.write(
                "UPDATE asset SET dev = NULL, ino = NULL, nlink = NULL, size = NULL, ctime = NULL
                 WHERE node = ?1",
                values![asset.0],
            )?,
        };
        require_one(rows, what, asset.0)
    }

    pub(super) fn change_device(&mut self, old: u64, new: u64) -> Result<()> {
        let (old, new) = (old.cast_signed(), new.cast_signed());
        self.write(
            "UPDATE asset SET dev = ?2 WHERE dev = ?1",
            values![old, new],
        )?;
        self.write(
            "UPDATE sealed SET dev = ?2 WHERE dev = ?1",
            values![old, new],
        )?;
        Ok(())
    }

    pub(super) fn path(&self, node: NodeId) -> Result<Option<PublicId>> {
        let (mut at, mut names) = (node, Vec::new());
        while at != ROOT {
            match self.entry(at.0)? {
                Some(entry) if names.len() < DEPTH_MAX => {
                    at = NodeId(entry.parent);
                    names.push(self.name(&entry.name)?);
                }
                Some(_) => return Err(self.corrupt("directories in a circle")),
                None if names.is_empty() => return Ok(None),
                None => return Err(self.corrupt(format!("no way up from node {}", node.0))),
            }
        }
        let path = names
            .iter()
            .rev()
            .fold(PublicId::root(), |path, name| path.join(name));
        Ok(Some(path))
    }
}

enum RawChild {
    Directory(bool, bool),
    Asset(Standing),
}

/// mode, uid, gid, mtime from four columns.
pub(super) fn attributes_from(row: &Row<'_>, first: usize) -> rusqlite::Result<Attributes> {
    Ok(Attributes {
        mode: row.get(first)?,
        uid: row.get(first + 1)?,
        gid: row.get(first + 2)?,
        mtime: Timestamp::from_nanos(row.get(first + 3)?),
    })
}

/// From dev to ctime.
pub(super) const FILE_COLUMNS: usize = 9;

/// The columns from dev to ctime.
pub(super) fn file_values(file: &FileFacts) -> Vec<Value> {
    values![
        file.inode.dev.cast_signed(),
        file.inode.ino.cast_signed(),
        file.nlink.cast_signed(),
        file.size.cast_signed(),
        file.attributes.mode,
        file.attributes.uid,
        file.attributes.gid,
        file.attributes.mtime.nanos(),
        file.ctime.nanos(),
    ]
}

/// The reverse of [`file_values`].
pub(super) fn file_from(row: &Row<'_>, first: usize) -> rusqlite::Result<FileFacts> {
    let number = |column: usize| row.get::<_, i64>(first + column).map(i64::cast_unsigned);
    Ok(FileFacts {
        inode: InodeKey {
            dev: number(0)?,
            ino: number(1)?,
        },
        nlink: number(2)?,
        size: number(3)?,
        attributes: attributes_from(row, first + 4)?,
        ctime: Timestamp::from_nanos(row.get(first + 8)?),
    })
}
