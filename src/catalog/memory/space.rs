//! The space that versions take, in memory: each row by a look at everything.

use std::collections::BTreeSet;

use super::{Facts, NodeKind};
use crate::catalog::Standing;
use crate::catalog::space::{
    AgeSpace, Space, SpaceQuery, SpaceReport, SpaceRow, SpaceRows, age_of, sort,
};
use crate::model::{ChunkHash, ContentId, NodeId, Version, VersionState};

impl Facts {
    pub(super) fn space(&self, query: &SpaceQuery) -> SpaceReport {
        let named: Vec<NodeId> = query.asset.into_iter().collect();
        let mut all = named.clone();
        all.extend(
            query
                .directory
                .iter()
                .flat_map(|top| self.assets_below(*top)),
        );
        let mut rows = match query.rows {
            SpaceRows::Directories { depth } => {
                let mut rows = self.asset_rows(&named);
                rows.extend(self.directory_rows(query.directory, depth));
                rows
            }
            SpaceRows::Assets { depth } => {
                let mut rows = self.asset_rows(&named);
                rows.extend(self.directory_rows(query.directory, depth));
                rows.extend(self.asset_rows(&self.assets_down_to(query.directory, depth)));
                rows
            }
            SpaceRows::Heaviest(count) => {
                let mut rows: Vec<_> = all.iter().zip(self.asset_rows(&all)).collect();
                rows.retain(|(_, row)| row.space.stored_bytes > 0);
                rows.sort_by_key(|(node, row)| (u64::MAX - row.space.stored_bytes, **node));
                rows.truncate(count);
                rows.into_iter().map(|(_, row)| row).collect()
            }
        };
        sort(&mut rows, query.rows);
        SpaceReport {
            rows,
            total: self.space_of(&all),
            ages: self.ages(&all, query),
        }
    }

    fn children_of(&self, directory: NodeId, kind: NodeKind) -> Vec<NodeId> {
        self.below(directory)
            .filter(|entry| entry.kind == kind)
            .map(|entry| entry.node)
            .collect()
    }

    fn assets_below(&self, directory: NodeId) -> Vec<NodeId> {
        self.assets_down_to(Some(directory), u32::MAX)
    }

    fn assets_down_to(&self, directory: Option<NodeId>, depth: u32) -> Vec<NodeId> {
        let (Some(directory), 1..) = (directory, depth) else {
            return Vec::new();
        };
        let mut assets = self.children_of(directory, NodeKind::Asset);
        for below in self.children_of(directory, NodeKind::Directory) {
            assets.extend(self.assets_down_to(Some(below), depth - 1));
        }
        assets
    }

    fn directory_rows(&self, top: Option<NodeId>, depth: u32) -> Vec<SpaceRow> {
        let (Some(top), 1..) = (top, depth) else {
            return Vec::new();
        };
        let mut rows = Vec::new();
        for node in self.children_of(top, NodeKind::Directory) {
            let assets = self.assets_below(node);
            if !assets.is_empty() {
                rows.push(SpaceRow {
                    path: self.path_of(node).unwrap_or_default(),
                    asset: None,
                    space: self.space_of(&assets),
                });
                rows.extend(self.directory_rows(Some(node), depth - 1));
            }
        }
        rows
    }

    fn asset_rows(&self, assets: &[NodeId]) -> Vec<SpaceRow> {
        assets
            .iter()
            .map(|node| SpaceRow {
                path: self.path_of(*node).unwrap_or_default(),
                asset: Some(self.standing(*node)),
                space: self.space_of(&[*node]),
            })
            .collect()
    }

    fn standing(&self, asset: NodeId) -> Standing {
        self.asset(asset)
            .map_or(Standing::Deleted, |record| record.standing)
    }

    fn versions_of_all(&self, assets: &[NodeId]) -> impl Iterator<Item = &Version> {
        self.versions
            .values()
            .filter(|version| assets.contains(&version.asset))
    }

    fn chunks_of(&self, assets: &[NodeId]) -> BTreeSet<ChunkHash> {
        self.versions_of_all(assets)
            .filter_map(content_of)
            .flat_map(|content| self.contents[&content].chunks.iter().copied())
            .collect()
    }

    fn stored_bytes(&self, assets: &[NodeId]) -> u64 {
        let chunks = self.chunks_of(assets);
        let bytes = |hash| u64::from(self.chunks[hash].stored_bytes);
        chunks.iter().map(bytes).sum()
    }

    fn space_of(&self, assets: &[NodeId]) -> Space {
        let standing = |wanted| move |node: &&NodeId| self.standing(**node) == wanted;
        let live: Vec<NodeId> = assets
            .iter()
            .filter(standing(Standing::Live))
            .copied()
            .collect();
        let versions: Vec<&Version> = self.versions_of_all(assets).collect();
        let stored_bytes = self.stored_bytes(assets);
        Space {
            assets: assets.len() as u64,
            assets_deleted: (assets.len() - live.len()) as u64,
            versions: versions.len() as u64,
            versions_sealed: versions.iter().filter(|v| content_of(v).is_none()).count() as u64,
            logical_bytes: versions.iter().map(|version| version.size).sum(),
            unique_bytes: self
                .chunks_of(assets)
                .iter()
                .filter(|hash| self.is_only_in(assets, hash))
                .map(|hash| u64::from(self.chunks[hash].plain_bytes))
                .sum(),
            stored_bytes,
            deleted_bytes: stored_bytes - self.stored_bytes(&live),
        }
    }

    fn is_only_in(&self, assets: &[NodeId], chunk: &ChunkHash) -> bool {
        let mut listing = self
            .contents
            .iter()
            .filter(|(_, c)| c.chunks.contains(chunk));
        listing.all(|(content, _)| {
            let mut users = self
                .versions
                .values()
                .filter(|version| content_of(version) == Some(*content))
                .peekable();
            users.peek().is_some() && users.all(|version| assets.contains(&version.asset))
        })
    }

    fn ages(&self, assets: &[NodeId], query: &SpaceQuery) -> Vec<AgeSpace> {
        let mut ages = vec![AgeSpace::default(); query.age_limits.len() + 1];
        for version in self.versions_of_all(assets) {
            let age = &mut ages[age_of(version.kept_at, &query.age_limits)];
            age.versions += 1;
            age.logical_bytes += version.size;
        }
        for hash in self.chunks_of(assets) {
            let needs = |version: &&Version| {
                content_of(version).is_some_and(|id| self.contents[&id].chunks.contains(&hash))
            };
            let first = self
                .versions_of_all(assets)
                .filter(needs)
                .map(|v| v.kept_at)
                .min();
            if let Some(first) = first {
                ages[age_of(first, &query.age_limits)].stored_bytes +=
                    u64::from(self.chunks[&hash].stored_bytes);
            }
        }
        ages
    }
}

fn content_of(version: &Version) -> Option<ContentId> {
    match version.state {
        VersionState::Stored { content, .. } => Some(content),
        VersionState::Sealed { .. } => None,
    }
}
