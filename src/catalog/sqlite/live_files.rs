//! The live assets of a directory with their latest versions, in one statement.
//!
//! For a live tree that is made anew: it needs all of this of every file.

use super::SqliteCatalog;
use super::listing::attributes_from;
use super::versions::{VERSION_COLUMNS, version_columns, version_from};
use crate::catalog::{ContentExtent, LiveFile, Result};
use crate::model::{NodeId, VersionState};

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
            let version = version_from(row);
            let name: Vec<u8> = row.get(VERSION_COLUMNS)?;
            let last_attributes = match row.get::<_, Option<i64>>(VERSION_COLUMNS + 1)? {
                Some(_) => Some(attributes_from(row, VERSION_COLUMNS + 1)?),
                None => None,
            };
            let bytes: Option<i64> = row.get(VERSION_COLUMNS + 5)?;
            let chunks: Option<Vec<u8>> = row.get(VERSION_COLUMNS + 6)?;
            let content_bytes = bytes.map(i64::cast_unsigned);
            Ok((version, name, last_attributes, content_bytes, chunks))
        })?;
        rows.into_iter()
            .map(|(version, name, last_attributes, content_bytes, chunks)| {
                let version = self.readable(version)?;
                let extent = match (&version.state, chunks) {
                    (VersionState::Stored { content, .. }, Some(chunks)) => {
                        self.extent_of_list(*content, &chunks)?
                    }
                    _ => ContentExtent::default(),
                };
                Ok(LiveFile {
                    name: self.name(&name)?,
                    last_attributes,
                    version,
                    content_bytes,
                    extent,
                })
            })
            .collect()
    }
}
