//! The trait, method by method, each handed to the file of its theme. No SQL here.

use super::SqliteCatalog;
use crate::catalog::journal::{ChangeMark, JournalPosition, Unpublished};
use crate::catalog::{
    AssetRecord, Catalog, Child, ChunkRecord, Claim, ContentExtent, ContentUse, DirectoryRecord,
    Durability, NodeKind, PackRecord, PackUse, Result, SpaceQuery, SpaceReport, Standing, Totals,
    Undo,
};
use crate::model::{
    AssetId, Attributes, ChunkHash, ContentId, FileFacts, Hold, InodeKey, Location, Name, NodeId,
    Origin, Override, PackId, PublicId, Timestamp, Version, VersionId, VersionSeq,
};

impl Catalog for SqliteCatalog {
    fn savepoint(&mut self, undo: Undo) -> Result<()> {
        self.savepoint_begin(undo);
        Ok(())
    }

    fn release(&mut self) -> Result<()> {
        self.savepoint_release()
    }

    fn rollback(&mut self) -> Result<()> {
        self.savepoint_rollback()
    }

    fn commit(&mut self, durability: Durability) -> Result<()> {
        self.commit_all(durability)
    }

    fn has_uncommitted(&self) -> bool {
        !self.redo.is_empty()
    }

    fn setting(&mut self, key: &str) -> Result<Option<String>> {
        self.read_setting(key)
    }

    fn set_setting(&mut self, key: &str, value: Option<&str>) -> Result<()> {
        self.write_setting(key, value)
    }

    fn directory_at(&mut self, parent: NodeId, name: &Name) -> Result<Option<NodeId>> {
        Ok(self
            .find(parent, name, NodeKind::Directory)?
            .map(|(node, _)| node))
    }

    fn asset_at(&mut self, parent: NodeId, name: &Name) -> Result<Option<Claim>> {
        self.find_claim(parent, name)
    }

    fn create_directory(
        &mut self,
        parent: NodeId,
        name: &Name,
        attributes: Attributes,
        now: Timestamp,
    ) -> Result<NodeId> {
        self.add_directory(parent, name, attributes, now)
    }

    fn create_asset(
        &mut self,
        parent: NodeId,
        name: &Name,
        asset_id: AssetId,
        file: Option<&FileFacts>,
        now: Timestamp,
    ) -> Result<NodeId> {
        self.add_asset(parent, name, asset_id, file, now)
    }

    fn delete_asset(&mut self, asset: NodeId, now: Timestamp) -> Result<()> {
        self.change_standing(asset, Standing::Deleted, now)
    }

    fn revive_asset(&mut self, asset: NodeId, now: Timestamp) -> Result<()> {
        self.change_standing(asset, Standing::Live, now)
    }

    fn move_asset(
        &mut self,
        asset: NodeId,
        parent: NodeId,
        name: &Name,
        now: Timestamp,
    ) -> Result<()> {
        self.relocate_asset(asset, parent, name, now)
    }

    fn swap_assets(&mut self, a: NodeId, b: NodeId, now: Timestamp) -> Result<()> {
        self.exchange_assets(a, b, now)
    }

    fn move_directory(
        &mut self,
        directory: NodeId,
        parent: NodeId,
        name: &Name,
        now: Timestamp,
    ) -> Result<()> {
        self.relocate_directory(directory, parent, name, now)
    }

    fn swap_directories(&mut self, a: NodeId, b: NodeId, now: Timestamp) -> Result<()> {
        self.exchange_directories(a, b, now)
    }

    fn forget_asset(&mut self, asset: NodeId, now: Timestamp) -> Result<()> {
        self.drop_asset(asset, now)
    }

    fn forget_directory(&mut self, directory: NodeId, now: Timestamp) -> Result<()> {
        self.drop_directory(directory, now)
    }

    fn children(
        &mut self,
        directory: NodeId,
        after: Option<&(Name, NodeKind)>,
        limit: usize,
    ) -> Result<Vec<Child>> {
        self.list(directory, after, limit)
    }

    fn children_at(
        &mut self,
        directory: NodeId,
        at: Timestamp,
    ) -> Result<Vec<(Name, NodeId, NodeKind)>> {
        self.list_at(directory, at)
    }

    fn directory(&mut self, node: NodeId) -> Result<Option<DirectoryRecord>> {
        self.directory_record(node)
    }

    fn asset(&mut self, node: NodeId) -> Result<Option<AssetRecord>> {
        self.asset_record(node)
    }

    fn asset_by_id(&mut self, asset_id: AssetId) -> Result<Option<NodeId>> {
        self.find_asset_id(asset_id)
    }

    fn assets_without_versions(&mut self) -> Result<Vec<NodeId>> {
        self.find_without_versions()
    }

    fn assets_on_inode(&mut self, inode: InodeKey) -> Result<Vec<NodeId>> {
        self.find_on_inode(inode)
    }

    fn set_directory_attributes(&mut self, node: NodeId, attributes: Attributes) -> Result<()> {
        self.write_attributes(node, attributes)
    }

    fn set_directory_override(&mut self, node: NodeId, value: Option<Override>) -> Result<()> {
        self.write_override(node, value)
    }

    fn set_asset_file(&mut self, asset: NodeId, file: Option<&FileFacts>) -> Result<()> {
        self.record_file(asset, file)
    }

    fn rebase_device(&mut self, old_dev: u64, new_dev: u64) -> Result<()> {
        self.change_device(old_dev, new_dev)
    }

    fn path_of(&mut self, node: NodeId) -> Result<Option<PublicId>> {
        self.path(node)
    }

    fn add_version(&mut self, version: &Version) -> Result<VersionSeq> {
        self.insert_version(version)
    }

    fn version(&mut self, seq: VersionSeq) -> Result<Option<Version>> {
        self.find_version(seq)
    }

    fn version_by_id(&mut self, asset: NodeId, id: VersionId) -> Result<Option<Version>> {
        self.find_version_id(asset, id)
    }

    fn version_ids(&mut self, asset: NodeId) -> Result<Vec<(VersionId, VersionSeq)>> {
        self.ids_of(asset)
    }

    fn versions(&mut self, asset: NodeId) -> Result<Vec<Version>> {
        self.versions_of(asset)
    }

    fn latest_versions(&mut self, asset: NodeId, count: usize) -> Result<Vec<Version>> {
        self.latest_of(asset, count)
    }

    fn version_before(&mut self, asset: NodeId, id: VersionId) -> Result<Option<Version>> {
        self.find_before(asset, id)
    }

    fn sealed_versions(&mut self, after: VersionSeq, limit: usize) -> Result<Vec<Version>> {
        self.sealed_after(after, limit)
    }

    fn sealed_on_inode(&mut self, inode: InodeKey) -> Result<Vec<Version>> {
        self.sealed_in(inode)
    }

    fn set_location(&mut self, seq: VersionSeq, location: Location) -> Result<()> {
        self.write_location(seq, location)
    }

    fn set_stored(&mut self, seq: VersionSeq, content: ContentId, blake3: ChunkHash) -> Result<()> {
        self.write_stored(seq, content, blake3)
    }

    fn set_origin(
        &mut self,
        seq: VersionSeq,
        origin: Origin,
        restored_from: Option<VersionId>,
    ) -> Result<()> {
        self.write_origin(seq, origin, restored_from)
    }

    fn move_version(&mut self, seq: VersionSeq, to: NodeId, id: VersionId) -> Result<()> {
        self.change_asset(seq, to, id)
    }

    fn version_with_content(
        &mut self,
        asset: NodeId,
        content: ContentId,
        below: VersionId,
    ) -> Result<Option<VersionId>> {
        self.find_by_content(asset, content, below)
    }

    fn remove_version(&mut self, seq: VersionSeq) -> Result<()> {
        self.drop_version(seq)
    }

    fn last_version_id(&mut self) -> Result<Option<VersionId>> {
        self.greatest_id()
    }

    fn version_id_from(&mut self, id: VersionId) -> Result<Option<VersionId>> {
        self.least_id_from(id)
    }

    fn set_hold(&mut self, seq: VersionSeq, hold: Hold) -> Result<()> {
        self.write_hold(seq, hold)
    }

    fn has_hold(&mut self, seq: VersionSeq) -> Result<bool> {
        self.find_hold(seq)
    }

    fn holds(&mut self, asset: NodeId) -> Result<Vec<VersionSeq>> {
        self.holds_of(asset)
    }

    fn content_by_hash(&mut self, blake3: &ChunkHash, size: u64) -> Result<Option<ContentId>> {
        self.find_content(blake3, size)
    }

    fn add_content(
        &mut self,
        blake3: &ChunkHash,
        size: u64,
        chunks: &[ChunkHash],
    ) -> Result<ContentId> {
        self.insert_content(blake3, size, chunks)
    }

    fn add_content_with_chunk(
        &mut self,
        blake3: &ChunkHash,
        size: u64,
        chunk: &ChunkRecord,
    ) -> Result<Option<ContentId>> {
        self.insert_content_with(blake3, size, chunk)
    }

    fn remove_content_if_unused(&mut self, content: ContentId) -> Result<()> {
        self.drop_content_if_unused(content)
    }

    fn remove_unused_contents(&mut self) -> Result<u64> {
        self.drop_unused_contents()
    }

    fn content_use(&mut self, content: ContentId) -> Result<ContentUse> {
        self.use_of(content)
    }

    fn content_chunks(&mut self, content: ContentId) -> Result<Vec<ChunkRecord>> {
        self.chunks_of(content)
    }

    fn content_extent(&mut self, content: ContentId) -> Result<ContentExtent> {
        self.extent_of(content)
    }

    fn chunk(&mut self, hash: &ChunkHash) -> Result<Option<ChunkRecord>> {
        self.find_chunk(hash)
    }

    fn add_pack(&mut self, pack: &PackRecord) -> Result<()> {
        self.insert_pack(pack)
    }

    fn set_pack(&mut self, pack: &PackRecord) -> Result<()> {
        self.update_pack(pack)
    }

    fn put_chunks(&mut self, chunks: &[ChunkRecord]) -> Result<()> {
        self.record_chunks(chunks)
    }

    fn packs(&mut self) -> Result<Vec<PackRecord>> {
        self.all_packs()
    }

    fn pack_chunks(&mut self, pack: PackId) -> Result<Vec<ChunkRecord>> {
        self.chunks_in(pack)
    }

    fn pack_use(&mut self) -> Result<Vec<PackUse>> {
        self.use_of_packs()
    }

    fn versions_in_pack(&mut self, pack: PackId) -> Result<Vec<VersionSeq>> {
        self.versions_needing(pack)
    }

    fn versions_with_chunks(&mut self, chunks: &[ChunkHash]) -> Result<Vec<VersionSeq>> {
        self.versions_listing(chunks)
    }

    fn remove_dead_chunks(&mut self, pack: PackId) -> Result<u64> {
        self.drop_dead_chunks(pack)
    }

    fn remove_pack(&mut self, pack: PackId) -> Result<()> {
        self.drop_pack(pack)
    }

    fn totals(&mut self) -> Result<Totals> {
        self.count_all()
    }

    fn space(&mut self, query: &SpaceQuery) -> Result<SpaceReport> {
        self.count_space(query)
    }

    fn reader(&mut self) -> Result<Box<dyn Catalog>> {
        Ok(Box::new(Self::open_read_only(&self.path)?))
    }

    fn unpublished(&mut self) -> Result<Option<Unpublished>> {
        self.open_unpublished().map(Some)
    }

    fn set_published(&mut self, up_to: ChangeMark, position: &JournalPosition) -> Result<()> {
        self.write_published(up_to, position)
    }

    fn has_unpublished(&mut self) -> Result<bool> {
        self.lacks_publishing()
    }

    fn is_version_published(&mut self, seq: VersionSeq) -> Result<bool> {
        self.is_published(seq)
    }

    fn check(&mut self) -> Result<Vec<String>> {
        self.look_for_damage()
    }
}
