//! Names in memory: one list of intervals, searched from end to end.

use super::{Asset, Directory, Entry, Facts, invariant};
use crate::catalog::{AssetRecord, Child, DirectoryRecord, NodeKind, Result, Standing};
use crate::model::{
    AssetId, Attributes, FileFacts, Name, NodeId, PublicId, ROOT, Timestamp, VersionState,
};

impl Facts {
    fn tick(&mut self, now: Timestamp) -> Timestamp {
        self.clock = self.clock.max(now);
        self.clock
    }

    fn draw_node(&mut self) -> NodeId {
        self.last_node += 1;
        NodeId(self.last_node)
    }

    fn open(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|entry| entry.until.is_none())
    }

    pub(super) fn below(&self, directory: NodeId) -> impl Iterator<Item = &Entry> {
        self.open().filter(move |entry| entry.parent == directory)
    }

    pub(super) fn find(&self, parent: NodeId, name: &Name, kind: NodeKind) -> Option<&Entry> {
        self.below(parent)
            .find(|entry| entry.name == *name && entry.kind == kind)
    }

    pub(super) fn entry_of(&self, node: NodeId, kind: NodeKind) -> Result<Entry> {
        match self.open().find(|entry| entry.node == node) {
            Some(entry) if entry.kind == kind => Ok(entry.clone()),
            _ => invariant(format!("no {kind:?} with node {}", node.0)),
        }
    }

    fn require_free(&self, parent: NodeId, name: &Name, kind: NodeKind) -> Result<()> {
        if !self.directories.contains_key(&parent) {
            return invariant(format!("no directory with node {}", parent.0));
        }
        match self.find(parent, name, kind) {
            Some(_) => invariant(format!("{name} is taken in directory {}", parent.0)),
            None => Ok(()),
        }
    }

    fn end(&mut self, node: NodeId, now: Timestamp) {
        for entry in &mut self.entries {
            if entry.node == node && entry.until.is_none() {
                entry.until = Some(now);
            }
        }
    }

    /// Ends what a node had and gives it this instead.
    fn put(&mut self, entry: Entry, parent: NodeId, name: Name, now: Timestamp) {
        self.end(entry.node, now);
        self.entries.push(Entry {
            parent,
            name,
            since: now,
            until: None,
            ..entry
        });
    }

    fn new_entry(
        parent: NodeId,
        name: &Name,
        node: NodeId,
        kind: NodeKind,
        now: Timestamp,
    ) -> Entry {
        Entry {
            parent,
            name: name.clone(),
            node,
            kind,
            standing: Standing::Live,
            since: now,
            until: None,
        }
    }

    pub(super) fn create_directory(
        &mut self,
        parent: NodeId,
        name: &Name,
        attributes: Attributes,
        now: Timestamp,
    ) -> Result<NodeId> {
        self.require_free(parent, name, NodeKind::Directory)?;
        let (now, node) = (self.tick(now), self.draw_node());
        let directory = Directory {
            attributes,
            backup: None,
        };
        self.directories.insert(node, directory);
        self.entries.push(Self::new_entry(
            parent,
            name,
            node,
            NodeKind::Directory,
            now,
        ));
        Ok(node)
    }

    pub(super) fn create_asset(
        &mut self,
        parent: NodeId,
        name: &Name,
        asset_id: AssetId,
        file: Option<&FileFacts>,
        now: Timestamp,
    ) -> Result<NodeId> {
        self.require_free(parent, name, NodeKind::Asset)?;
        if self.assets.values().any(|asset| asset.asset_id == asset_id) {
            return invariant(format!("asset_id {asset_id} is taken"));
        }
        let (now, node) = (self.tick(now), self.draw_node());
        let asset = Asset {
            asset_id,
            file: file.copied(),
            last_attributes: file.map(|file| file.attributes),
        };
        self.assets.insert(node, asset);
        self.entries
            .push(Self::new_entry(parent, name, node, NodeKind::Asset, now));
        Ok(node)
    }

    pub(super) fn change_standing(
        &mut self,
        asset: NodeId,
        to: Standing,
        now: Timestamp,
    ) -> Result<()> {
        let mut entry = self.entry_of(asset, NodeKind::Asset)?;
        if entry.standing == to {
            return invariant(format!("asset {} is {to:?} already", asset.0));
        }
        let now = self.tick(now);
        entry.standing = to;
        let (parent, name) = (entry.parent, entry.name.clone());
        self.put(entry, parent, name, now);
        if to == Standing::Deleted {
            self.write_file(asset, None)?;
        }
        Ok(())
    }

    pub(super) fn relocate(
        &mut self,
        node: NodeId,
        kind: NodeKind,
        parent: NodeId,
        name: &Name,
        now: Timestamp,
    ) -> Result<()> {
        let entry = self.entry_of(node, kind)?;
        self.require_free(parent, name, kind)?;
        if self.is_within(parent, node) {
            return invariant("a directory cannot move into itself");
        }
        let now = self.tick(now);
        self.put(entry, parent, name.clone(), now);
        Ok(())
    }

    pub(super) fn exchange(
        &mut self,
        a: NodeId,
        b: NodeId,
        kind: NodeKind,
        now: Timestamp,
    ) -> Result<()> {
        let (at_a, at_b) = (self.entry_of(a, kind)?, self.entry_of(b, kind)?);
        if at_a.standing != Standing::Live || at_b.standing != Standing::Live {
            return invariant("only live assets change places");
        }
        if a == b {
            return Ok(());
        }
        if self.is_within(a, b) || self.is_within(b, a) {
            return invariant("a directory cannot change places with one inside it");
        }
        let now = self.tick(now);
        let (place_a, place_b) = (at_a.clone(), at_b.clone());
        self.put(at_a, place_b.parent, place_b.name, now);
        self.put(at_b, place_a.parent, place_a.name, now);
        Ok(())
    }

    fn is_within(&self, node: NodeId, directory: NodeId) -> bool {
        let mut at = node;
        while at != directory {
            match self.open().find(|entry| entry.node == at) {
                Some(entry) => at = entry.parent,
                None => return false,
            }
        }
        true
    }

    pub(super) fn forget_asset(&mut self, asset: NodeId, now: Timestamp) -> Result<()> {
        self.entry_of(asset, NodeKind::Asset)?;
        if self.versions.values().any(|version| version.asset == asset) {
            return invariant(format!("asset {} still has versions", asset.0));
        }
        let now = self.tick(now);
        self.end(asset, now);
        self.assets.remove(&asset);
        self.labels.remove(&asset);
        Ok(())
    }

    pub(super) fn forget_directory(&mut self, directory: NodeId, now: Timestamp) -> Result<()> {
        self.entry_of(directory, NodeKind::Directory)?;
        let (has_assets, _) = self.holds(directory);
        let gone: Vec<NodeId> = self
            .directories
            .keys()
            .copied()
            .filter(|node| self.is_within(*node, directory))
            .collect();
        let has_override = gone
            .iter()
            .any(|node| self.directories[node].backup.is_some());
        if has_assets || has_override {
            return invariant(format!(
                "directory {} holds assets or an override",
                directory.0
            ));
        }
        let now = self.tick(now);
        for node in gone {
            self.end(node, now);
            self.directories.remove(&node);
        }
        Ok(())
    }

    /// Whether assets, and whether deleted ones, are somewhere below.
    fn holds(&self, directory: NodeId) -> (bool, bool) {
        self.below(directory)
            .map(|entry| match entry.kind {
                NodeKind::Asset => (true, entry.standing == Standing::Deleted),
                NodeKind::Directory => self.holds(entry.node),
            })
            .fold((false, false), |all, one| (all.0 | one.0, all.1 | one.1))
    }

    pub(super) fn children(
        &self,
        directory: NodeId,
        after: Option<&(Name, NodeKind)>,
        limit: usize,
    ) -> Vec<Child> {
        let mut children: Vec<Child> = self
            .below(directory)
            .map(|entry| match entry.kind {
                NodeKind::Asset => Child::Asset {
                    name: entry.name.clone(),
                    node: entry.node,
                    standing: entry.standing,
                },
                NodeKind::Directory => {
                    let (has_assets, has_deleted) = self.holds(entry.node);
                    Child::Directory {
                        name: entry.name.clone(),
                        node: entry.node,
                        has_assets,
                        has_deleted,
                    }
                }
            })
            .filter(|child| after.is_none_or(|after| child.key() > *after))
            .collect();
        children.sort_by_key(Child::key);
        children.truncate(limit);
        children
    }

    pub(super) fn children_at(
        &self,
        directory: NodeId,
        at: Timestamp,
    ) -> Vec<(Name, NodeId, NodeKind)> {
        let mut children: Vec<_> = self
            .entries
            .iter()
            .filter(|entry| entry.parent == directory && entry.standing == Standing::Live)
            .filter(|entry| entry.since <= at && entry.until.is_none_or(|until| at < until))
            .map(|entry| (entry.name.clone(), entry.node, entry.kind))
            .collect();
        children.sort_by_key(|(name, _, kind)| (name.clone(), *kind));
        children
    }

    pub(super) fn directory(&self, node: NodeId) -> Option<DirectoryRecord> {
        let directory = self.directories.get(&node)?;
        let (has_assets, has_deleted) = self.holds(node);
        Some(DirectoryRecord {
            node,
            place: self
                .open()
                .find(|entry| entry.node == node)
                .map(|entry| (entry.parent, entry.name.clone())),
            attributes: directory.attributes,
            backup: directory.backup,
            has_assets,
            has_deleted,
        })
    }

    pub(super) fn asset(&self, node: NodeId) -> Option<AssetRecord> {
        let asset = self.assets.get(&node)?;
        let entry = self.entry_of(node, NodeKind::Asset).ok()?;
        Some(AssetRecord {
            node,
            asset_id: asset.asset_id,
            parent: entry.parent,
            name: entry.name,
            standing: entry.standing,
            since: entry.since,
            file: asset.file,
            last_attributes: asset.last_attributes,
        })
    }

    pub(super) fn directory_mut(&mut self, node: NodeId) -> Result<&mut Directory> {
        match self.directories.get_mut(&node) {
            Some(directory) => Ok(directory),
            None => invariant(format!("no directory with node {}", node.0)),
        }
    }

    pub(super) fn write_file(&mut self, asset: NodeId, file: Option<&FileFacts>) -> Result<()> {
        let entry = self.entry_of(asset, NodeKind::Asset)?;
        if file.is_some() && entry.standing == Standing::Deleted {
            return invariant(format!("deleted asset {} cannot have a file", asset.0));
        }
        if let Some(asset) = self.assets.get_mut(&asset) {
            asset.file = file.copied();
            asset.last_attributes = file.map(|file| file.attributes).or(asset.last_attributes);
        }
        Ok(())
    }

    pub(super) fn rebase_device(&mut self, old: u64, new: u64) {
        let live = self.assets.values_mut().filter_map(|a| a.file.as_mut());
        let sealed = self
            .versions
            .values_mut()
            .filter_map(|version| match &mut version.state {
                VersionState::Sealed { file, .. } => Some(file),
                VersionState::Stored { .. } => None,
            });
        for file in live.chain(sealed) {
            if file.inode.dev == old {
                file.inode.dev = new;
            }
        }
    }

    pub(super) fn path_of(&self, node: NodeId) -> Option<PublicId> {
        if node == ROOT {
            return Some(PublicId::root());
        }
        let entry = self.open().find(|entry| entry.node == node)?;
        Some(self.path_of(entry.parent)?.join(&entry.name))
    }
}
