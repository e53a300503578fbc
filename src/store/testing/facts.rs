//! A catalog that knows contents, chunks and packs only.
//!
//! In it a version is a content of the same number. The surprise: the power can
//! fail, see [`Facts::lose_uncommitted`].

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};

use crate::catalog::{
    AssetRecord, Catalog, CatalogError, Child, ChunkRecord, Claim, DirectoryRecord, Durability,
    NodeKind, PackRecord, PackState, PackUse, Result, SharedCatalog, Totals,
};
use crate::model::{
    AssetId, Attributes, ChunkHash, ContentId, FileFacts, InodeKey, Location, Name, NodeId, Origin,
    Override, PackId, PublicId, Timestamp, Version, VersionId, VersionSeq,
};

#[derive(Debug, Default, Clone)]
struct State {
    contents: BTreeMap<i64, (ChunkHash, u64, Vec<ChunkHash>)>,
    contents_ever: i64,
    chunks: HashMap<ChunkHash, (ChunkRecord, u64)>,
    packs: BTreeMap<PackId, PackRecord>,
    settings: HashMap<String, String>,
}

#[derive(Debug, Default)]
struct Ledger {
    now: State,
    committed: State,
    savepoints: Vec<State>,
    failing: Option<Failing>,
    /// The failure has begun.
    fails: bool,
}

/// How commits fail, see [`Facts::fail_from_the_next_new_pack_on`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failing {
    /// Nothing is committed.
    Full,
    /// All is committed, but the disk did not say so.
    Flush,
}

/// The facts that a store needs.
#[derive(Debug, Default, Clone)]
pub(crate) struct Facts(Arc<Mutex<Ledger>>);

impl Facts {
    pub(crate) fn shared(&self) -> SharedCatalog {
        Arc::new(Mutex::new(Box::new(self.clone())))
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.0.lock().unwrap()
    }

    pub(crate) fn lose_uncommitted(&self) {
        let mut ledger = self.ledger();
        ledger.now = ledger.committed.clone();
    }

    pub(crate) fn commit_now(&self) {
        let mut ledger = self.ledger();
        ledger.committed = ledger.now.clone();
    }

    /// Commits work until one has a pack that the last one had not; that one fails,
    /// and so does every other.
    pub(crate) fn fail_from_the_next_new_pack_on(&self, failing: Failing) {
        self.ledger().failing = Some(failing);
    }

    pub(crate) fn commit_again(&self) {
        let mut ledger = self.ledger();
        (ledger.failing, ledger.fails) = (None, false);
    }

    pub(crate) fn all_packs(&self) -> Vec<PackRecord> {
        self.ledger().now.packs.values().copied().collect()
    }

    pub(crate) fn chunk_count(&self) -> usize {
        self.ledger().now.chunks.len()
    }

    /// Everything that must hold between writes.
    pub(crate) fn assert_consistent(&self) {
        let state = self.ledger().now.clone();
        for (record, _) in state.chunks.values() {
            assert!(state.packs.contains_key(&record.pack), "{record:?}");
        }
        for (_, _, chunks) in state.contents.values() {
            for chunk in chunks {
                assert!(state.chunks[chunk].1 > 0);
            }
        }
    }
}

impl Catalog for Facts {
    fn savepoint(&mut self) -> Result<()> {
        let mut ledger = self.ledger();
        let now = ledger.now.clone();
        ledger.savepoints.push(now);
        Ok(())
    }
    fn release(&mut self) -> Result<()> {
        self.ledger().savepoints.pop().unwrap();
        Ok(())
    }
    fn rollback(&mut self) -> Result<()> {
        let mut ledger = self.ledger();
        ledger.now = ledger.savepoints.pop().unwrap();
        Ok(())
    }
    fn commit(&mut self, _: Durability) -> Result<()> {
        let mut ledger = self.ledger();
        assert!(ledger.savepoints.is_empty());
        let Ledger { now, committed, .. } = &*ledger;
        let has_new_pack = now.packs.keys().any(|id| !committed.packs.contains_key(id));
        ledger.fails |= ledger.failing.is_some() && has_new_pack;
        let failing = ledger.failing.filter(|_| ledger.fails);
        if failing != Some(Failing::Full) {
            ledger.committed = ledger.now.clone();
        }
        match failing {
            None => Ok(()),
            Some(_) => Err(CatalogError::Full),
        }
    }
    fn has_uncommitted(&self) -> bool {
        true
    }
    fn setting(&mut self, key: &str) -> Result<Option<String>> {
        Ok(self.ledger().now.settings.get(key).cloned())
    }
    fn set_setting(&mut self, key: &str, value: Option<&str>) -> Result<()> {
        let settings = &mut self.ledger().now.settings;
        match value {
            Some(value) => settings.insert(key.into(), value.into()),
            None => settings.remove(key),
        };
        Ok(())
    }
    fn remove_version(&mut self, seq: VersionSeq) -> Result<()> {
        let state = &mut self.ledger().now;
        let (_, _, chunks) = state.contents.remove(&seq.0).unwrap();
        for chunk in chunks {
            state.chunks.get_mut(&chunk).unwrap().1 -= 1;
        }
        Ok(())
    }
    fn content_by_hash(&mut self, blake3: &ChunkHash, size: u64) -> Result<Option<ContentId>> {
        let ledger = self.ledger();
        let found = ledger
            .now
            .contents
            .iter()
            .find(|(_, c)| (&c.0, c.1) == (blake3, size));
        Ok(found.map(|(id, _)| ContentId(*id)))
    }
    fn add_content(
        &mut self,
        blake3: &ChunkHash,
        size: u64,
        chunks: &[ChunkHash],
    ) -> Result<ContentId> {
        let state = &mut self.ledger().now;
        for chunk in chunks {
            let Some((_, refs)) = state.chunks.get_mut(chunk) else {
                return Err(CatalogError::Invariant(format!("no chunk {chunk}")));
            };
            *refs += 1;
        }
        state.contents_ever += 1;
        let id = state.contents_ever;
        state.contents.insert(id, (*blake3, size, chunks.to_vec()));
        Ok(ContentId(id))
    }
    fn content_chunks(&mut self, content: ContentId) -> Result<Vec<ChunkRecord>> {
        let state = &self.ledger().now;
        let chunks = &state.contents[&content.0].2;
        Ok(chunks.iter().map(|chunk| state.chunks[chunk].0).collect())
    }
    fn chunk(&mut self, hash: &ChunkHash) -> Result<Option<ChunkRecord>> {
        Ok(self.ledger().now.chunks.get(hash).map(|(chunk, _)| *chunk))
    }
    fn add_pack(&mut self, pack: &PackRecord) -> Result<()> {
        let old = self.ledger().now.packs.insert(pack.id, *pack);
        assert_eq!(old, None);
        Ok(())
    }
    fn set_pack(&mut self, pack: &PackRecord) -> Result<()> {
        self.ledger().now.packs.insert(pack.id, *pack).unwrap();
        Ok(())
    }
    fn put_chunks(&mut self, chunks: &[ChunkRecord]) -> Result<()> {
        let state = &mut self.ledger().now;
        for chunk in chunks {
            assert!(state.packs.contains_key(&chunk.pack));
            state.chunks.entry(chunk.hash).or_insert((*chunk, 0)).0 = *chunk;
        }
        Ok(())
    }
    fn packs(&mut self) -> Result<Vec<PackRecord>> {
        Ok(self.all_packs())
    }
    fn pack_chunks(&mut self, pack: PackId) -> Result<Vec<ChunkRecord>> {
        let ledger = self.ledger();
        let chunks = ledger.now.chunks.values().map(|(chunk, _)| *chunk);
        let mut chunks: Vec<_> = chunks.filter(|chunk| chunk.pack == pack).collect();
        chunks.sort_by_key(|chunk| chunk.offset);
        Ok(chunks)
    }
    fn pack_use(&mut self) -> Result<Vec<PackUse>> {
        let state = &self.ledger().now;
        let stored = state
            .packs
            .values()
            .filter(|p| p.state == PackState::Stored);
        Ok(stored
            .map(|pack| {
                let sum = |is_live: bool| {
                    let all = state.chunks.values();
                    let mine = all.filter(|(c, refs)| c.pack == pack.id && (*refs > 0) == is_live);
                    mine.map(|(c, _)| u64::from(c.stored_bytes)).sum()
                };
                PackUse {
                    pack: *pack,
                    live_bytes: sum(true),
                    dead_bytes: sum(false),
                }
            })
            .collect())
    }
    fn versions_in_pack(&mut self, pack: PackId) -> Result<Vec<VersionSeq>> {
        let state = &self.ledger().now;
        let needs = |chunks: &[ChunkHash]| chunks.iter().any(|c| state.chunks[c].0.pack == pack);
        let found = state.contents.iter().filter(|(_, c)| needs(&c.2));
        Ok(found.map(|(id, _)| VersionSeq(*id)).collect())
    }
    fn remove_dead_chunks(&mut self, pack: PackId) -> Result<u64> {
        let chunks = &mut self.ledger().now.chunks;
        let before = chunks.len();
        chunks.retain(|_, (chunk, refs)| chunk.pack != pack || *refs > 0);
        Ok((before - chunks.len()) as u64)
    }
    fn remove_pack(&mut self, pack: PackId) -> Result<()> {
        assert_eq!(self.pack_chunks(pack)?, []);
        self.ledger().now.packs.remove(&pack);
        Ok(())
    }

    // The names and versions that a store never asks for.

    fn directory_at(&mut self, _: NodeId, _: &Name) -> Result<Option<NodeId>> {
        unimplemented!()
    }
    fn asset_at(&mut self, _: NodeId, _: &Name) -> Result<Option<Claim>> {
        unimplemented!()
    }
    fn create_directory(
        &mut self,
        _: NodeId,
        _: &Name,
        _: Attributes,
        _: Timestamp,
    ) -> Result<NodeId> {
        unimplemented!()
    }
    fn create_asset(&mut self, _: NodeId, _: &Name, _: AssetId, _: Timestamp) -> Result<NodeId> {
        unimplemented!()
    }
    fn delete_asset(&mut self, _: NodeId, _: Timestamp) -> Result<()> {
        unimplemented!()
    }
    fn revive_asset(&mut self, _: NodeId, _: Timestamp) -> Result<()> {
        unimplemented!()
    }
    fn move_asset(&mut self, _: NodeId, _: NodeId, _: &Name, _: Timestamp) -> Result<()> {
        unimplemented!()
    }
    fn swap_assets(&mut self, _: NodeId, _: NodeId, _: Timestamp) -> Result<()> {
        unimplemented!()
    }
    fn move_directory(&mut self, _: NodeId, _: NodeId, _: &Name, _: Timestamp) -> Result<()> {
        unimplemented!()
    }
    fn swap_directories(&mut self, _: NodeId, _: NodeId, _: Timestamp) -> Result<()> {
        unimplemented!()
    }
    fn forget_asset(&mut self, _: NodeId, _: Timestamp) -> Result<()> {
        unimplemented!()
    }
    fn forget_directory(&mut self, _: NodeId, _: Timestamp) -> Result<()> {
        unimplemented!()
    }
    fn children(
        &mut self,
        _: NodeId,
        _: Option<&(Name, NodeKind)>,
        _: usize,
    ) -> Result<Vec<Child>> {
        unimplemented!()
    }
    fn children_at(&mut self, _: NodeId, _: Timestamp) -> Result<Vec<(Name, NodeId, NodeKind)>> {
        unimplemented!()
    }
    fn directory(&mut self, _: NodeId) -> Result<Option<DirectoryRecord>> {
        unimplemented!()
    }
    fn asset(&mut self, _: NodeId) -> Result<Option<AssetRecord>> {
        unimplemented!()
    }
    fn asset_by_id(&mut self, _: AssetId) -> Result<Option<NodeId>> {
        unimplemented!()
    }
    fn assets_on_inode(&mut self, _: InodeKey) -> Result<Vec<NodeId>> {
        unimplemented!()
    }
    fn set_directory_attributes(&mut self, _: NodeId, _: Attributes) -> Result<()> {
        unimplemented!()
    }
    fn set_directory_override(&mut self, _: NodeId, _: Option<Override>) -> Result<()> {
        unimplemented!()
    }
    fn set_asset_file(&mut self, _: NodeId, _: Option<&FileFacts>) -> Result<()> {
        unimplemented!()
    }
    fn path_of(&mut self, _: NodeId) -> Result<Option<PublicId>> {
        unimplemented!()
    }
    fn add_version(&mut self, _: &Version) -> Result<VersionSeq> {
        unimplemented!()
    }
    fn version(&mut self, _: VersionSeq) -> Result<Option<Version>> {
        unimplemented!()
    }
    fn version_by_id(&mut self, _: NodeId, _: VersionId) -> Result<Option<Version>> {
        unimplemented!()
    }
    fn version_ids(&mut self, _: NodeId) -> Result<Vec<(VersionId, VersionSeq)>> {
        unimplemented!()
    }
    fn versions(&mut self, _: NodeId) -> Result<Vec<Version>> {
        unimplemented!()
    }
    fn latest_versions(&mut self, _: NodeId, _: usize) -> Result<Vec<Version>> {
        unimplemented!()
    }
    fn sealed_versions(&mut self, _: VersionSeq, _: usize) -> Result<Vec<Version>> {
        unimplemented!()
    }
    fn sealed_on_inode(&mut self, _: InodeKey) -> Result<Vec<Version>> {
        unimplemented!()
    }
    fn set_location(&mut self, _: VersionSeq, _: Location) -> Result<()> {
        unimplemented!()
    }
    fn set_stored(&mut self, _: VersionSeq, _: ContentId, _: ChunkHash) -> Result<()> {
        unimplemented!()
    }
    fn set_origin(&mut self, _: VersionSeq, _: Origin, _: Option<VersionId>) -> Result<()> {
        unimplemented!()
    }
    fn remove_content_if_unused(&mut self, _: ContentId) -> Result<()> {
        unimplemented!()
    }
    fn remove_unused_contents(&mut self) -> Result<u64> {
        unimplemented!()
    }
    fn version_with_content(
        &mut self,
        _: NodeId,
        _: ContentId,
        _: crate::model::VersionId,
    ) -> Result<Option<crate::model::VersionId>> {
        unimplemented!()
    }
    fn move_version(&mut self, _: VersionSeq, _: NodeId, _: crate::model::VersionId) -> Result<()> {
        unimplemented!()
    }
    fn last_version_id(&mut self) -> Result<Option<VersionId>> {
        unimplemented!()
    }
    fn totals(&mut self) -> Result<Totals> {
        unimplemented!()
    }
    fn check(&mut self) -> Result<Vec<String>> {
        unimplemented!()
    }
}
