//! Labels, and assets as a search sees them.

use super::namespace::standing_of;
use super::transaction::values;
use super::{SqliteCatalog, invariant};
use crate::catalog::{LatestVersion, LiveFile, Noted, Result, Sighting};
use crate::model::{AssetId, Context, Labels, NodeId, Tags, Timestamp, VersionId};

impl Noted for SqliteCatalog {
    fn set_labels(&mut self, asset: NodeId, labels: &Labels) -> Result<()> {
        let known = self.one("SELECT 1 FROM asset WHERE node = ?1", [asset.0], |_| Ok(()))?;
        if known.is_none() {
            return invariant(format!("no asset {}", asset.0));
        }
        if labels.is_empty() {
            return self.drop_labels(asset);
        }
        self.write(
            "INSERT INTO label (asset, tags, context) VALUES (?1, ?2, ?3)
             ON CONFLICT (asset) DO UPDATE SET tags = excluded.tags, context = excluded.context",
            values![asset.0, labels.tags.to_string(), labels.context.to_string()],
        )?;
        Ok(())
    }

    fn labels(&mut self, asset: NodeId) -> Result<Labels> {
        Ok(self.find_labels(asset)?.unwrap_or_default())
    }

    fn live_files(&mut self, directory: NodeId) -> Result<Vec<LiveFile>> {
        self.find_live_files(directory)
    }

    fn labelled(&mut self, after: NodeId, limit: usize) -> Result<Vec<(NodeId, Labels)>> {
        self.many(
            "SELECT asset, tags, context FROM label WHERE asset > ?1 ORDER BY asset LIMIT ?2",
            [after.0, i64::try_from(limit).unwrap_or(i64::MAX)],
            |row| {
                let labels = labels(&row.get::<_, String>(1)?, &row.get::<_, String>(2)?);
                Ok((NodeId(row.get(0)?), labels))
            },
        )
    }

    fn sightings(&mut self, directory: NodeId, from: &[u8], limit: usize) -> Result<Vec<Sighting>> {
        let rows = self.many(
            "SELECT entry.name, entry.node, entry.claim, asset.asset_id,
                    version.id, version.size, version.kept_at
             FROM entry JOIN asset ON asset.node = entry.node
             LEFT JOIN version ON version.asset = entry.node
               AND version.id = (SELECT max(id) FROM version WHERE asset = entry.node)
             WHERE entry.parent = ?1 AND entry.name >= ?2 AND entry.kind = 1
               AND entry.until = 9223372036854775807
             ORDER BY entry.name LIMIT ?3",
            (directory.0, from, i64::try_from(limit).unwrap_or(i64::MAX)),
            |row| {
                let latest = match row.get::<_, Option<[u8; 16]>>(4)? {
                    None => None,
                    Some(id) => Some(LatestVersion {
                        id: VersionId(id),
                        size: row.get::<_, i64>(5)?.cast_unsigned(),
                        kept_at: Timestamp::from_nanos(row.get(6)?),
                    }),
                };
                Ok((
                    row.get::<_, Vec<u8>>(0)?,
                    NodeId(row.get(1)?),
                    standing_of(row.get(2)?),
                    AssetId(row.get(3)?),
                    latest,
                ))
            },
        )?;
        let sightings = rows
            .into_iter()
            .map(|(name, node, standing, asset_id, latest)| {
                Ok(Sighting {
                    name: self.name(&name)?,
                    node,
                    asset_id,
                    standing,
                    latest,
                })
            });
        sightings.collect()
    }
}

impl SqliteCatalog {
    pub(super) fn drop_labels(&mut self, asset: NodeId) -> Result<()> {
        if self.find_labels(asset)?.is_some() {
            self.write("DELETE FROM label WHERE asset = ?1", values![asset.0])?;
        }
        Ok(())
    }

    fn find_labels(&self, asset: NodeId) -> Result<Option<Labels>> {
        self.one(
            "SELECT tags, context FROM label WHERE asset = ?1",
            [asset.0],
            |row| Ok(labels(&row.get::<_, String>(0)?, &row.get::<_, String>(1)?)),
        )
    }
}

/// Rows that came out of a store may hold anything: what is no label is none.
fn labels(tags: &str, context: &str) -> Labels {
    Labels {
        tags: Tags::parse(tags).unwrap_or_default(),
        context: Context::parse(context).unwrap_or_default(),
    }
}
