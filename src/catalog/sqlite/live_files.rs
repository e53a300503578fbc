//! The live assets of a directory with their latest versions, in one statement.
//!
//! For a live tree that is made anew: it needs all of this of every file.

use rusqlite::types::ValueRef;

use super::SqliteCatalog;
use super::listing::attributes_from;
use super::versions::{CONTENT_COLUMN, VERSION_COLUMNS, version_columns, version_from};
use crate::catalog::{ContentExtent, LiveFile, Result};
use crate::model::{ContentId, NodeId};

/// Asked of every directory: it may neither sort nor scan.
pub(super) const LIVE_FILES: &str = concat!(
    "SELECT ",
    version_columns!(),
    ", entry.name, asset.mode, asset.uid, asset.gid, asset.mtime, c.size, c.chunks
     FROM entry
     CROSS JOIN asset ON asset.node = entry.node
     CROSS JOIN version v ON v.asset = entry.node
       AND v.id = (SELECT max(id) FROM version WHERE asset = entry.node)
     LEFT JOIN content c ON c.id = v.content
     LEFT JOIN sealed s ON s.seq = v.seq
     WHERE entry.parent = ?1 AND entry.kind = 1 AND entry.claim = 1
       AND entry.until = 9223372036854775807
     ORDER BY entry.name"
);

impl SqliteCatalog {
    pub(super) fn find_live_files(&self, directory: NodeId) -> Result<Vec<LiveFile>> {
        let rows = self.many(LIVE_FILES, [directory.0], |row| {
            let name: Vec<u8> = row.get(VERSION_COLUMNS)?;
            let last_attributes = match row.get::<_, Option<i64>>(VERSION_COLUMNS + 1)? {
                Some(_) => Some(attributes_from(row, VERSION_COLUMNS + 1)?),
                None => None,
            };
            let bytes: Option<i64> = row.get(VERSION_COLUMNS + 5)?;
            // Here, and not when all rows are there: a stranger's lists are as long as he wants.
            let extent = match (row.get(CONTENT_COLUMN)?, row.get_ref(VERSION_COLUMNS + 6)?) {
                (Some(content), ValueRef::Blob(list)) => {
                    self.extent_of_list(ContentId(content), list)
                }
                _ => Ok(ContentExtent::default()),
            };
            let content_bytes = bytes.map(i64::cast_unsigned);
            Ok((
                version_from(row),
                name,
                last_attributes,
                content_bytes,
                extent,
            ))
        })?;
        rows.into_iter()
            .map(|(version, name, last_attributes, content_bytes, extent)| {
                Ok(LiveFile {
                    name: self.name(&name)?,
                    last_attributes,
                    version: self.readable(version)?,
                    content_bytes,
                    extent: extent?,
                })
            })
            .collect()
    }
}
