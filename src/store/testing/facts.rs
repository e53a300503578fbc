//! The catalog in memory as the tests of the store need it: shared, with a power
//! supply and a disk that fail.
//!
//! Each content gets a version of the same number, so that tests can remove it. The
//! surprise: the power can fail, see [`Facts::lose_uncommitted`].

use std::sync::{Arc, Mutex, MutexGuard};

use crate::catalog::memory::MemoryCatalog;
use crate::catalog::{
    AssetRecord, Catalog, CatalogError, Child, ChunkRecord, Claim, ContentUse, DirectoryRecord,
    Durability, LiveFile, NodeKind, Noted, PackRecord, PackUse, Result, SharedCatalog, Sighting,
    SpaceQuery, SpaceReport, Totals, Undo,
};
use crate::model::{
    AssetId, Attributes, ChunkHash, ContentId, FileFacts, Hold, InodeKey, Labels, Location, Name,
    NodeId, Origin, Override, PackId, PublicId, ROOT, Timestamp, Version, VersionId, VersionSeq,
    VersionState,
};

#[derive(Debug, Default)]
struct Ledger {
    now: MemoryCatalog,
    committed: MemoryCatalog,
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

/// A catalog that outlives its store.
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
        self.ledger().now.packs().unwrap()
    }

    pub(crate) fn chunk_count(&self) -> usize {
        let now = &mut self.ledger().now;
        let packs = now.packs().unwrap();
        let chunks = packs.iter().map(|pack| now.pack_chunks(pack.id).unwrap());
        chunks.map(|chunks| chunks.len()).sum()
    }

    /// Everything that must hold between writes.
    pub(crate) fn assert_consistent(&self) {
        let now = &mut self.ledger().now;
        let packs = now.packs().unwrap();
        let Some(asset) = now.asset_by_id(ASSET).unwrap() else {
            return;
        };
        for version in now.versions(asset).unwrap() {
            let VersionState::Stored { content, .. } = version.state else {
                panic!("{version:?}");
            };
            for chunk in now.content_chunks(content).unwrap() {
                assert!(packs.iter().any(|pack| pack.id == chunk.pack), "{chunk:?}");
            }
        }
    }
}

impl Ledger {
    fn has_new_pack(&mut self) -> Result<bool> {
        let committed = self.committed.packs()?;
        let is_new = |pack: &PackRecord| committed.iter().all(|known| known.id != pack.id);
        Ok(self.now.packs()?.iter().any(is_new))
    }
}

/// The one asset that all versions belong to.
const ASSET: AssetId = AssetId([1; 16]);

fn version_of(asset: NodeId, content: ContentId, blake3: ChunkHash, size: u64) -> Version {
    Version {
        seq: VersionSeq(0),
        asset,
        id: VersionId(u128::from(content.0.cast_unsigned()).to_be_bytes()),
        size,
        attributes: Attributes {
            mode: 0o600,
            uid: 0,
            gid: 0,
            mtime: Timestamp::from_nanos(0),
        },
        xattrs: Vec::new(),
        kept_at: Timestamp::from_nanos(0),
        origin: Origin::Write,
        restored_from: None,
        state: VersionState::Stored { content, blake3 },
    }
}

macro_rules! as_in_memory {
    ($(fn $name:ident($($value:ident: $type:ty),*) -> $returned:ty;)*) => {
        $(fn $name(&mut self, $($value: $type),*) -> Result<$returned> {
            self.ledger().now.$name($($value),*)
        })*
    };
}

impl Noted for Facts {
    as_in_memory! {
        fn set_labels(asset: NodeId, labels: &Labels) -> ();
        fn labels(asset: NodeId) -> Labels;
        fn labelled(after: NodeId, limit: usize) -> Vec<(NodeId, Labels)>;
        fn sightings(directory: NodeId, from: &[u8], limit: usize) -> Vec<Sighting>;
        fn live_files(directory: NodeId) -> Vec<LiveFile>;
    }
}

impl Catalog for Facts {
    fn commit(&mut self, durability: Durability) -> Result<()> {
        let mut ledger = self.ledger();
        ledger.now.commit(durability)?;
        ledger.fails |= ledger.failing.is_some() && ledger.has_new_pack()?;
        let failing = ledger.failing.filter(|_| ledger.fails);
        if failing != Some(Failing::Full) {
            ledger.committed = ledger.now.clone();
        }
        failing.map_or(Ok(()), |_| Err(CatalogError::Full))
    }

    fn has_uncommitted(&self) -> bool {
        true
    }

    fn add_content(
        &mut self,
        blake3: &ChunkHash,
        size: u64,
        chunks: &[ChunkHash],
    ) -> Result<ContentId> {
        let now = &mut self.ledger().now;
        let content = now.add_content(blake3, size, chunks)?;
        let asset = match now.asset_by_id(ASSET)? {
            Some(asset) => asset,
            None => {
                let name = Name::new(b"contents").unwrap();
                now.create_asset(ROOT, &name, ASSET, None, Timestamp::from_nanos(0))?
            }
        };
        let seq = now.add_version(&version_of(asset, content, *blake3, size))?;
        assert_eq!(seq.0, content.0);
        Ok(content)
    }

    as_in_memory! {
        fn savepoint(undo: Undo) -> ();
        fn release() -> ();
        fn rollback() -> ();
        fn setting(key: &str) -> Option<String>;
        fn set_setting(key: &str, value: Option<&str>) -> ();
        fn directory_at(parent: NodeId, name: &Name) -> Option<NodeId>;
        fn asset_at(parent: NodeId, name: &Name) -> Option<Claim>;
        fn create_directory(parent: NodeId, name: &Name, attributes: Attributes, now: Timestamp) -> NodeId;
        fn create_asset(parent: NodeId, name: &Name, id: AssetId, file: Option<&FileFacts>, now: Timestamp) -> NodeId;
        fn delete_asset(asset: NodeId, now: Timestamp) -> ();
        fn revive_asset(asset: NodeId, now: Timestamp) -> ();
        fn move_asset(asset: NodeId, parent: NodeId, name: &Name, now: Timestamp) -> ();
        fn swap_assets(a: NodeId, b: NodeId, now: Timestamp) -> ();
        fn move_directory(directory: NodeId, parent: NodeId, name: &Name, now: Timestamp) -> ();
        fn swap_directories(a: NodeId, b: NodeId, now: Timestamp) -> ();
        fn forget_asset(asset: NodeId, now: Timestamp) -> ();
        fn forget_directory(directory: NodeId, now: Timestamp) -> ();
        fn children(directory: NodeId, after: Option<&(Name, NodeKind)>, limit: usize) -> Vec<Child>;
        fn children_at(directory: NodeId, at: Timestamp) -> Vec<(Name, NodeId, NodeKind)>;
        fn directory(node: NodeId) -> Option<DirectoryRecord>;
        fn asset(node: NodeId) -> Option<AssetRecord>;
        fn asset_by_id(id: AssetId) -> Option<NodeId>;
        fn assets_on_inode(inode: InodeKey) -> Vec<NodeId>;
        fn set_directory_attributes(node: NodeId, attributes: Attributes) -> ();
        fn set_directory_override(node: NodeId, value: Option<Override>) -> ();
        fn set_asset_file(asset: NodeId, file: Option<&FileFacts>) -> ();
        fn rebase_device(old_dev: u64, new_dev: u64) -> ();
        fn path_of(node: NodeId) -> Option<PublicId>;
        fn add_version(version: &Version) -> VersionSeq;
        fn version(seq: VersionSeq) -> Option<Version>;
        fn version_by_id(asset: NodeId, id: VersionId) -> Option<Version>;
        fn version_ids(asset: NodeId) -> Vec<(VersionId, VersionSeq)>;
        fn versions(asset: NodeId) -> Vec<Version>;
        fn latest_versions(asset: NodeId, count: usize) -> Vec<Version>;
        fn version_before(asset: NodeId, id: VersionId) -> Option<Version>;
        fn sealed_versions(after: VersionSeq, limit: usize) -> Vec<Version>;
        fn sealed_on_inode(inode: InodeKey) -> Vec<Version>;
        fn set_location(seq: VersionSeq, location: Location) -> ();
        fn set_stored(seq: VersionSeq, content: ContentId, blake3: ChunkHash) -> ();
        fn set_origin(seq: VersionSeq, origin: Origin, from: Option<VersionId>) -> ();
        fn move_version(seq: VersionSeq, to: NodeId, id: VersionId) -> ();
        fn version_with_content(asset: NodeId, content: ContentId, below: VersionId) -> Option<VersionId>;
        fn remove_version(seq: VersionSeq) -> ();
        fn last_version_id() -> Option<VersionId>;
        fn version_id_from(id: VersionId) -> Option<VersionId>;
        fn set_hold(seq: VersionSeq, hold: Hold) -> ();
        fn has_hold(seq: VersionSeq) -> bool;
        fn holds(asset: NodeId) -> Vec<VersionSeq>;
        fn content_by_hash(blake3: &ChunkHash, size: u64) -> Option<ContentId>;
        fn remove_content_if_unused(content: ContentId) -> ();
        fn remove_unused_contents() -> u64;
        fn content_use(content: ContentId) -> ContentUse;
        fn content_chunks(content: ContentId) -> Vec<ChunkRecord>;
        fn chunk(hash: &ChunkHash) -> Option<ChunkRecord>;
        fn add_pack(pack: &PackRecord) -> ();
        fn set_pack(pack: &PackRecord) -> ();
        fn put_chunks(chunks: &[ChunkRecord]) -> ();
        fn packs() -> Vec<PackRecord>;
        fn pack_chunks(pack: PackId) -> Vec<ChunkRecord>;
        fn pack_use() -> Vec<PackUse>;
        fn versions_in_pack(pack: PackId) -> Vec<VersionSeq>;
        fn versions_with_chunks(chunks: &[ChunkHash]) -> Vec<VersionSeq>;
        fn remove_dead_chunks(pack: PackId) -> u64;
        fn remove_pack(pack: PackId) -> ();
        fn totals() -> Totals;
        fn space(query: &SpaceQuery) -> SpaceReport;
        fn reader() -> Box<dyn Catalog>;
        fn check() -> Vec<String>;
    }
}
