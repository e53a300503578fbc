//! The trait in memory, method by method.

use super::MemoryCatalog;
use crate::catalog::{
    AssetRecord, Catalog, Child, ChunkRecord, Claim, ContentUse, DirectoryRecord, Durability,
    NodeKind, PackRecord, PackUse, Result, SpaceQuery, SpaceReport, Standing, Totals, Undo,
};
use crate::model::{
    AssetId, Attributes, ChunkHash, ContentId, FileFacts, Hold, InodeKey, Location, Name, NodeId,
    Origin, Override, PackId, PublicId, Timestamp, Version, VersionId, VersionSeq,
};

impl Catalog for MemoryCatalog {
    fn savepoint(&mut self, _undo: Undo) -> Result<()> {
        self.savepoints.push(self.facts.clone());
        Ok(())
    }

    fn release(&mut self) -> Result<()> {
        self.end_savepoint().map(|_| ())
    }

    fn rollback(&mut self) -> Result<()> {
        self.facts = self.end_savepoint()?;
        Ok(())
    }

    fn commit(&mut self, _durability: Durability) -> Result<()> {
        self.commit_all()
    }

    fn has_uncommitted(&self) -> bool {
        self.facts.changed
    }

    fn setting(&mut self, key: &str) -> Result<Option<String>> {
        Ok(self.facts.settings.get(key).cloned())
    }

    fn set_setting(&mut self, key: &str, value: Option<&str>) -> Result<()> {
        self.change().set_setting(key, value);
        Ok(())
    }

    fn directory_at(&mut self, parent: NodeId, name: &Name) -> Result<Option<NodeId>> {
        let found = self.facts.find(parent, name, NodeKind::Directory);
        Ok(found.map(|entry| entry.node))
    }

    fn asset_at(&mut self, parent: NodeId, name: &Name) -> Result<Option<Claim>> {
        let found = self.facts.find(parent, name, NodeKind::Asset);
        Ok(found.map(|entry| Claim {
            asset: entry.node,
            standing: entry.standing,
        }))
    }

    fn create_directory(
        &mut self,
        parent: NodeId,
        name: &Name,
        attributes: Attributes,
        now: Timestamp,
    ) -> Result<NodeId> {
        self.change()
            .create_directory(parent, name, attributes, now)
    }

    fn create_asset(
        &mut self,
        parent: NodeId,
        name: &Name,
        asset_id: AssetId,
        file: Option<&FileFacts>,
        now: Timestamp,
    ) -> Result<NodeId> {
        self.change()
            .create_asset(parent, name, asset_id, file, now)
    }

    fn delete_asset(&mut self, asset: NodeId, now: Timestamp) -> Result<()> {
        self.change().change_standing(asset, Standing::Deleted, now)
    }

    fn revive_asset(&mut self, asset: NodeId, now: Timestamp) -> Result<()> {
        self.change().change_standing(asset, Standing::Live, now)
    }

    fn move_asset(
        &mut self,
        asset: NodeId,
        parent: NodeId,
        name: &Name,
        now: Timestamp,
    ) -> Result<()> {
        self.change()
            .relocate(asset, NodeKind::Asset, parent, name, now)
    }

    fn swap_assets(&mut self, a: NodeId, b: NodeId, now: Timestamp) -> Result<()> {
        self.change().exchange(a, b, NodeKind::Asset, now)
    }

    fn move_directory(
        &mut self,
        directory: NodeId,
        parent: NodeId,
        name: &Name,
        now: Timestamp,
    ) -> Result<()> {
        self.change()
            .relocate(directory, NodeKind::Directory, parent, name, now)
    }

    fn swap_directories(&mut self, a: NodeId, b: NodeId, now: Timestamp) -> Result<()> {
        self.change().exchange(a, b, NodeKind::Directory, now)
    }

    fn forget_asset(&mut self, asset: NodeId, now: Timestamp) -> Result<()> {
        self.change().forget_asset(asset, now)
    }

    fn forget_directory(&mut self, directory: NodeId, now: Timestamp) -> Result<()> {
        self.change().forget_directory(directory, now)
    }

    fn children(
        &mut self,
        directory: NodeId,
        after: Option<&(Name, NodeKind)>,
        limit: usize,
    ) -> Result<Vec<Child>> {
        Ok(self.facts.children(directory, after, limit))
    }

    fn children_at(
        &mut self,
        directory: NodeId,
        at: Timestamp,
    ) -> Result<Vec<(Name, NodeId, NodeKind)>> {
        Ok(self.facts.children_at(directory, at))
    }

    fn directory(&mut self, node: NodeId) -> Result<Option<DirectoryRecord>> {
        Ok(self.facts.directory(node))
    }

    fn asset(&mut self, node: NodeId) -> Result<Option<AssetRecord>> {
        Ok(self.facts.asset(node))
    }

    fn asset_by_id(&mut self, asset_id: AssetId) -> Result<Option<NodeId>> {
        let found = self
            .facts
            .assets
            .iter()
            .find(|(_, asset)| asset.asset_id == asset_id);
        Ok(found.map(|(node, _)| *node))
    }

    fn assets_on_inode(&mut self, inode: InodeKey) -> Result<Vec<NodeId>> {
        Ok(self
            .facts
            .assets
            .iter()
            .filter(|(_, asset)| asset.file.is_some_and(|file| file.inode == inode))
            .map(|(node, _)| *node)
            .collect())
    }

    fn set_directory_attributes(&mut self, node: NodeId, attributes: Attributes) -> Result<()> {
        self.change().directory_mut(node)?.attributes = attributes;
        Ok(())
    }

    fn set_directory_override(&mut self, node: NodeId, value: Option<Override>) -> Result<()> {
        self.change().directory_mut(node)?.backup = value;
        Ok(())
    }

    fn set_asset_file(&mut self, asset: NodeId, file: Option<&FileFacts>) -> Result<()> {
        self.change().write_file(asset, file)
    }

    fn rebase_device(&mut self, old_dev: u64, new_dev: u64) -> Result<()> {
        self.change().rebase_device(old_dev, new_dev);
        Ok(())
    }

    fn path_of(&mut self, node: NodeId) -> Result<Option<PublicId>> {
        Ok(self.facts.path_of(node))
    }

    fn add_version(&mut self, version: &Version) -> Result<VersionSeq> {
        self.change().add_version(version)
    }

    fn version(&mut self, seq: VersionSeq) -> Result<Option<Version>> {
        Ok(self.facts.versions.get(&seq).cloned())
    }

    fn version_by_id(&mut self, asset: NodeId, id: VersionId) -> Result<Option<Version>> {
        Ok(self
            .facts
            .versions(asset)
            .into_iter()
            .find(|version| version.id == id))
    }

    fn version_ids(&mut self, asset: NodeId) -> Result<Vec<(VersionId, VersionSeq)>> {
        Ok(self
            .facts
            .versions(asset)
            .iter()
            .map(|version| (version.id, version.seq))
            .collect())
    }

    fn versions(&mut self, asset: NodeId) -> Result<Vec<Version>> {
        Ok(self.facts.versions(asset))
    }

    fn latest_versions(&mut self, asset: NodeId, count: usize) -> Result<Vec<Version>> {
        Ok(self
            .facts
            .versions(asset)
            .into_iter()
            .rev()
            .take(count)
            .collect())
    }

    fn version_before(&mut self, asset: NodeId, id: VersionId) -> Result<Option<Version>> {
        let mut versions = self.facts.versions(asset).into_iter();
        Ok(versions.rfind(|version| version.id < id))
    }

    fn sealed_versions(&mut self, after: VersionSeq, limit: usize) -> Result<Vec<Version>> {
        Ok(self
            .facts
            .sealed()
            .filter(|version| version.seq > after)
            .take(limit)
            .cloned()
            .collect())
    }

    fn sealed_on_inode(&mut self, inode: InodeKey) -> Result<Vec<Version>> {
        Ok(self.facts.sealed_on_inode(inode))
    }

    fn set_location(&mut self, seq: VersionSeq, location: Location) -> Result<()> {
        self.change().set_location(seq, location)
    }

    fn set_stored(&mut self, seq: VersionSeq, content: ContentId, blake3: ChunkHash) -> Result<()> {
        self.change().set_stored(seq, content, blake3)
    }

    fn set_origin(
        &mut self,
        seq: VersionSeq,
        origin: Origin,
        restored_from: Option<VersionId>,
    ) -> Result<()> {
        let version = self.change().version_mut(seq)?;
        version.origin = origin;
        version.restored_from = restored_from;
        Ok(())
    }

    fn move_version(&mut self, seq: VersionSeq, to: NodeId, id: VersionId) -> Result<()> {
        self.change().move_version(seq, to, id)
    }

    fn version_with_content(
        &mut self,
        asset: NodeId,
        content: ContentId,
        below: VersionId,
    ) -> Result<Option<VersionId>> {
        Ok(self.facts.version_with_content(asset, content, below))
    }

    fn remove_version(&mut self, seq: VersionSeq) -> Result<()> {
        self.change().remove_version(seq)
    }

    fn last_version_id(&mut self) -> Result<Option<VersionId>> {
        Ok(self.facts.versions.values().map(|version| version.id).max())
    }

    fn version_id_from(&mut self, id: VersionId) -> Result<Option<VersionId>> {
        Ok(self.facts.version_id_from(id))
    }

    fn set_hold(&mut self, seq: VersionSeq, hold: Hold) -> Result<()> {
        self.change().set_hold(seq, hold)
    }

    fn has_hold(&mut self, seq: VersionSeq) -> Result<bool> {
        Ok(self.facts.holds.contains(&seq))
    }

    fn holds(&mut self, asset: NodeId) -> Result<Vec<VersionSeq>> {
        Ok(self.facts.holds_of(asset))
    }

    fn content_by_hash(&mut self, blake3: &ChunkHash, size: u64) -> Result<Option<ContentId>> {
        Ok(self.facts.content_by_hash(blake3, size))
    }

    fn add_content(
        &mut self,
        blake3: &ChunkHash,
        size: u64,
        chunks: &[ChunkHash],
    ) -> Result<ContentId> {
        self.change().add_content(blake3, size, chunks)
    }

    fn remove_content_if_unused(&mut self, content: ContentId) -> Result<()> {
        self.change().remove_content_if_unused(content);
        Ok(())
    }

    fn remove_unused_contents(&mut self) -> Result<u64> {
        Ok(self.change().remove_unused_contents())
    }

    fn content_use(&mut self, content: ContentId) -> Result<ContentUse> {
        self.facts.content_use(content)
    }

    fn content_chunks(&mut self, content: ContentId) -> Result<Vec<ChunkRecord>> {
        self.facts.content_chunks(content)
    }

    fn chunk(&mut self, hash: &ChunkHash) -> Result<Option<ChunkRecord>> {
        Ok(self.facts.chunks.get(hash).copied())
    }

    fn add_pack(&mut self, pack: &PackRecord) -> Result<()> {
        self.change().add_pack(pack)
    }

    fn set_pack(&mut self, pack: &PackRecord) -> Result<()> {
        self.change().set_pack(pack)
    }

    fn put_chunks(&mut self, chunks: &[ChunkRecord]) -> Result<()> {
        self.change().put_chunks(chunks)
    }

    fn packs(&mut self) -> Result<Vec<PackRecord>> {
        Ok(self.facts.packs.clone())
    }

    fn pack_chunks(&mut self, pack: PackId) -> Result<Vec<ChunkRecord>> {
        Ok(self.facts.pack_chunks(pack))
    }

    fn pack_use(&mut self) -> Result<Vec<PackUse>> {
        Ok(self.facts.pack_use())
    }

    fn versions_in_pack(&mut self, pack: PackId) -> Result<Vec<VersionSeq>> {
        let facts = &self.facts;
        Ok(facts.versions_with_any(|hash| facts.chunks[hash].pack == pack))
    }

    fn versions_with_chunks(&mut self, chunks: &[ChunkHash]) -> Result<Vec<VersionSeq>> {
        Ok(self.facts.versions_with_any(|hash| chunks.contains(hash)))
    }

    fn remove_dead_chunks(&mut self, pack: PackId) -> Result<u64> {
        Ok(self.change().remove_dead_chunks(pack))
    }

    fn remove_pack(&mut self, pack: PackId) -> Result<()> {
        self.change().remove_pack(pack)
    }

    fn totals(&mut self) -> Result<Totals> {
        Ok(self.facts.totals())
    }

    fn space(&mut self, query: &SpaceQuery) -> Result<SpaceReport> {
        Ok(self.facts.space(query))
    }

    fn reader(&mut self) -> Result<Box<dyn Catalog>> {
        Ok(Box::new(self.clone()))
    }

    fn check(&mut self) -> Result<Vec<String>> {
        Ok(Vec::new())
    }
}
