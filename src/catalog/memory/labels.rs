//! Labels in memory, and assets as a search sees them.

use std::ops::Bound;

use super::{MemoryCatalog, invariant};
use crate::catalog::{
    ContentExtent, LatestVersion, LiveFile, NodeKind, Noted, Result, Sighting, Standing,
};
use crate::model::{Labels, NodeId, VersionState};

impl Noted for MemoryCatalog {
    fn set_labels(&mut self, asset: NodeId, labels: &Labels) -> Result<()> {
        let facts = self.change();
        if !facts.assets.contains_key(&asset) {
            return invariant(format!("no asset {}", asset.0));
        }
        match labels.is_empty() {
            true => facts.labels.remove(&asset),
            false => facts.labels.insert(asset, labels.clone()),
        };
        Ok(())
    }

    fn labels(&mut self, asset: NodeId) -> Result<Labels> {
        Ok(self.facts.labels.get(&asset).cloned().unwrap_or_default())
    }

    fn labelled(&mut self, after: NodeId, limit: usize) -> Result<Vec<(NodeId, Labels)>> {
        let from = (Bound::Excluded(after), Bound::Unbounded);
        let labelled = self.facts.labels.range(from).take(limit);
        Ok(labelled
            .map(|(asset, labels)| (*asset, labels.clone()))
            .collect())
    }

    fn sightings(&mut self, directory: NodeId, from: &[u8], limit: usize) -> Result<Vec<Sighting>> {
        let facts = &self.facts;
        let mut found: Vec<Sighting> = facts
            .below(directory)
            .filter(|entry| entry.kind == NodeKind::Asset && entry.name.as_bytes() >= from)
            .map(|entry| {
                let own = facts.versions.values();
                let own = own.filter(|version| version.asset == entry.node);
                Sighting {
                    name: entry.name.clone(),
                    node: entry.node,
                    asset_id: facts.assets[&entry.node].asset_id,
                    standing: entry.standing,
                    latest: own
                        .max_by_key(|version| version.id)
                        .map(|version| LatestVersion {
                            id: version.id,
                            size: version.size,
                            kept_at: version.kept_at,
                        }),
                }
            })
            .collect();
        found.sort_by(|a, b| a.name.cmp(&b.name));
        found.truncate(limit);
        Ok(found)
    }

    fn live_files(&mut self, directory: NodeId) -> Result<Vec<LiveFile>> {
        let facts = &self.facts;
        let entries = facts
            .below(directory)
            .filter(|entry| entry.kind == NodeKind::Asset && entry.standing == Standing::Live);
        let mut found = Vec::new();
        for entry in entries {
            let own = facts.versions.values();
            let own = own.filter(|version| version.asset == entry.node);
            let Some(version) = own.max_by_key(|version| version.id) else {
                continue;
            };
            let (content_bytes, extent) = match version.state {
                VersionState::Sealed { .. } => (None, ContentExtent::default()),
                VersionState::Stored { content, .. } => (
                    facts.contents.get(&content).map(|content| content.size),
                    facts
                        .content_chunks(content)?
                        .iter()
                        .fold(ContentExtent::default(), ContentExtent::and),
                ),
            };
            found.push(LiveFile {
                name: entry.name.clone(),
                last_attributes: facts.assets[&entry.node].last_attributes,
                version: version.clone(),
                content_bytes,
                extent,
            });
        }
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }
}
