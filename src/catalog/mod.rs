//! Facts: names, assets, versions, contents, chunks and packs, and since when.
//!
//! [`Catalog`] is the trait, [`sqlite`] the real one, [`memory`] its twin for
//! tests of the rules above; both pass the same `contract`. No rule lives here:
//! what may be renamed or deleted is decided in `vault`. The surprise: a
//! catalog always has a transaction open, and readers see what is not yet
//! committed; [`Catalog::commit`] says when it must be on disk.

mod atomic;
#[cfg(test)]
mod contract;
mod error;
pub mod facts;
pub mod journal;
pub mod memory;
mod noted;
mod shared;
pub mod space;
pub mod sqlite;

pub use atomic::{Undo, atomically, attempt};
pub use error::{CatalogError, Result};
pub use facts::{
    AssetRecord, Child, ChunkRecord, ChunkUse, Claim, Codec, ContentExtent, ContentUse,
    DirectoryRecord, LiveFile, NodeKind, PackRecord, PackState, PackUse, Standing, Totals,
};

pub use journal::{ChangeMark, Extent, JournalPosition, Unpublished};
pub use noted::{LatestVersion, Noted, Sighting};
pub use shared::{CatalogGuard, SharedCatalog, take_turn};
pub use space::{AgeSpace, Space, SpaceQuery, SpaceReport, SpaceRow, SpaceRows};
pub use sqlite::{CatalogBuilder, Changes, Group};

use crate::model::{
    AssetId, Attributes, ChunkHash, ContentId, FileFacts, Hold, InodeKey, Location, Name, NodeId,
    Origin, Override, PackId, PublicId, ROOT, Timestamp, Version, VersionId, VersionSeq,
};

/// How much a commit must survive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Durability {
    /// The end of this process, kill -9 included. No disk flush.
    Process,
    /// Power loss. Returns after the disk said so.
    Power,
}

/// The facts of one vault.
///
/// A node is a directory or an asset. An asset *claims* a name: as a live file,
/// or as a deleted asset whose name is reserved. A name has at most one asset
/// claim and at most one directory. Each change of a claim ends one interval of
/// the temporal entry table and begins another, so that the tree of any instant
/// can be read back.
///
/// Timestamps given as `now` never run backwards within a catalog: an
/// implementation takes the later of `now` and what it recorded last.
///
/// # Errors
/// Every method fails with [`CatalogError`]; after an error the changes since
/// the last savepoint may be partial, and the caller rolls back.
pub trait Catalog: Noted + Send {
    // --- transactions -----------------------------------------------------

    /// Begins a nested unit: what follows is kept by [`release`](Self::release)
    /// or undone by [`rollback`](Self::rollback). Savepoints nest.
    fn savepoint(&mut self, undo: Undo) -> Result<()>;
    /// Keeps what was done since the innermost savepoint.
    fn release(&mut self) -> Result<()>;
    /// Undoes what was done since the innermost savepoint, and ends it.
    fn rollback(&mut self) -> Result<()>;
    /// Commits all that is released. No savepoint may be open. After an error
    /// (disk full) nothing is lost from view and a later commit tries again,
    /// where the database allows it.
    fn commit(&mut self, durability: Durability) -> Result<()>;
    /// True when a kill would lose something: changes since the last commit.
    fn has_uncommitted(&self) -> bool;

    // --- settings ---------------------------------------------------------

    /// A setting by its key.
    fn setting(&mut self, key: &str) -> Result<Option<String>>;
    /// Sets or, with `None`, removes a setting.
    fn set_setting(&mut self, key: &str, value: Option<&str>) -> Result<()>;

    // --- the namespace ----------------------------------------------------

    /// The directory of that name. Directories are known once something below
    /// them was backed up or an override was set on them; they stay known while
    /// anything below claims a name, whether or not they exist in the live tree.
    fn directory_at(&mut self, parent: NodeId, name: &Name) -> Result<Option<NodeId>>;
    /// The asset that claims that name, live or deleted.
    fn asset_at(&mut self, parent: NodeId, name: &Name) -> Result<Option<Claim>>;
    /// Makes a directory known. The name must not be a known directory already.
    fn create_directory(
        &mut self,
        parent: NodeId,
        name: &Name,
        attributes: Attributes,
        now: Timestamp,
    ) -> Result<NodeId>;
    /// Makes a live asset, of that file where it was seen. The name must not be claimed.
    fn create_asset(
        &mut self,
        parent: NodeId,
        name: &Name,
        asset_id: AssetId,
        file: Option<&FileFacts>,
        now: Timestamp,
    ) -> Result<NodeId>;
    /// Live to deleted, at the same name. Clears the asset's file, but for its
    /// last attributes.
    fn delete_asset(&mut self, asset: NodeId, now: Timestamp) -> Result<()>;
    /// Deleted to live, at the same name.
    fn revive_asset(&mut self, asset: NodeId, now: Timestamp) -> Result<()>;
    /// Moves an asset (live or deleted, keeping its standing) to a name that no
    /// asset claims.
    fn move_asset(
        &mut self,
        asset: NodeId,
        parent: NodeId,
        name: &Name,
        now: Timestamp,
    ) -> Result<()>;
    /// Two live assets change places.
    fn swap_assets(&mut self, a: NodeId, b: NodeId, now: Timestamp) -> Result<()>;
    /// Moves a directory, with everything below in O(1), to a name that is no
    /// known directory.
    fn move_directory(
        &mut self,
        directory: NodeId,
        parent: NodeId,
        name: &Name,
        now: Timestamp,
    ) -> Result<()>;
    /// Two directories change places.
    fn swap_directories(&mut self, a: NodeId, b: NodeId, now: Timestamp) -> Result<()>;
    /// Frees an asset's name. The asset must have no versions left. Its intervals
    /// in the past stay, its row goes.
    fn forget_asset(&mut self, asset: NodeId, now: Timestamp) -> Result<()>;
    /// Forgets a directory, and the known directories below it. Nothing below may
    /// claim a name, and none of them may have an override.
    fn forget_directory(&mut self, directory: NodeId, now: Timestamp) -> Result<()>;

    /// Up to `limit` children in the order of (name, kind), directories before
    /// assets of the same name, after `after`.
    fn children(
        &mut self,
        directory: NodeId,
        after: Option<&(Name, NodeKind)>,
        limit: usize,
    ) -> Result<Vec<Child>>;
    /// What was there at an instant: the live assets, and the known directories.
    /// `since <= at < until`.
    fn children_at(
        &mut self,
        directory: NodeId,
        at: Timestamp,
    ) -> Result<Vec<(Name, NodeId, NodeKind)>>;
    /// A directory's record.
    fn directory(&mut self, node: NodeId) -> Result<Option<DirectoryRecord>>;
    /// An asset's record.
    fn asset(&mut self, node: NodeId) -> Result<Option<AssetRecord>>;
    /// The asset with that public asset_id.
    fn asset_by_id(&mut self, asset_id: AssetId) -> Result<Option<NodeId>>;
    /// The assets that have no version, in any order. There are some while a scan has to
    /// look at a live file again.
    fn assets_without_versions(&mut self) -> Result<Vec<NodeId>> {
        let mut found = Vec::new();
        let mut waiting = vec![ROOT];
        while let Some(directory) = waiting.pop() {
            for child in self.children(directory, None, usize::MAX)? {
                match child {
                    Child::Directory { node, .. } => waiting.push(node),
                    Child::Asset { node, .. } => {
                        if self.latest_versions(node, 1)?.is_empty() {
                            found.push(node);
                        }
                    }
                }
            }
        }
        Ok(found)
    }
    /// The live assets whose file is that inode (several, when hard-linked).
    fn assets_on_inode(&mut self, inode: InodeKey) -> Result<Vec<NodeId>>;
    /// Records the mode, owner and mtime of a directory.
    fn set_directory_attributes(&mut self, node: NodeId, attributes: Attributes) -> Result<()>;
    /// Records a directory's backup override. `None`: it has none.
    fn set_directory_override(&mut self, node: NodeId, value: Option<Override>) -> Result<()>;
    /// Records the live file of an asset as last seen. `None`: not known; the last
    /// attributes stay.
    fn set_asset_file(&mut self, asset: NodeId, file: Option<&FileFacts>) -> Result<()>;

    /// The filesystem below has another device number, as after a reboot: every file
    /// that was seen on the old one, live or sealed, is on the new one.
    fn rebase_device(&mut self, old_dev: u64, new_dev: u64) -> Result<()>;

    /// The path of a node: where it is, or for a deleted asset where it was.
    fn path_of(&mut self, node: NodeId) -> Result<Option<PublicId>>;

    // --- versions ---------------------------------------------------------

    /// Adds a version; `version.seq` is ignored. Returns its row.
    fn add_version(&mut self, version: &Version) -> Result<VersionSeq>;
    /// A version by its row.
    fn version(&mut self, seq: VersionSeq) -> Result<Option<Version>>;
    /// An asset's version by its public id.
    fn version_by_id(&mut self, asset: NodeId, id: VersionId) -> Result<Option<Version>>;
    /// The ids of an asset's versions, oldest first.
    fn version_ids(&mut self, asset: NodeId) -> Result<Vec<(VersionId, VersionSeq)>>;
    /// An asset's versions, oldest first.
    fn versions(&mut self, asset: NodeId) -> Result<Vec<Version>>;
    /// The newest `count` versions, newest first.
    fn latest_versions(&mut self, asset: NodeId, count: usize) -> Result<Vec<Version>>;
    /// The newest version of an asset with an id below `id`.
    fn version_before(&mut self, asset: NodeId, id: VersionId) -> Result<Option<Version>>;
    /// Up to `limit` versions that are still sealed, oldest row first, after `after`.
    fn sealed_versions(&mut self, after: VersionSeq, limit: usize) -> Result<Vec<Version>>;
    /// The sealed versions whose bytes are in that inode: `Live` or `SpoolLink`.
    fn sealed_on_inode(&mut self, inode: InodeKey) -> Result<Vec<Version>>;
    /// The bytes of a sealed version moved.
    fn set_location(&mut self, seq: VersionSeq, location: Location) -> Result<()>;
    /// A sealed version's bytes are stored.
    fn set_stored(&mut self, seq: VersionSeq, content: ContentId, blake3: ChunkHash) -> Result<()>;
    /// Notes that a version brought back another one.
    fn set_origin(
        &mut self,
        seq: VersionSeq,
        origin: Origin,
        restored_from: Option<VersionId>,
    ) -> Result<()>;
    /// The version becomes part of another asset's history, under the id `id`
    /// (its own, or a newer one where the order there needs it).
    fn move_version(&mut self, seq: VersionSeq, to: NodeId, id: VersionId) -> Result<()>;
    /// The newest stored version of an asset with that content and an id below `below`.
    fn version_with_content(
        &mut self,
        asset: NodeId,
        content: ContentId,
        below: VersionId,
    ) -> Result<Option<VersionId>>;
    /// Removes a version. A content that no version uses goes with it, and its
    /// chunks count one reference less.
    fn remove_version(&mut self, seq: VersionSeq) -> Result<()>;
    /// The greatest version id in the vault.
    fn last_version_id(&mut self) -> Result<Option<VersionId>>;
    /// The smallest version id in the vault that is not below `id`.
    fn version_id_from(&mut self, id: VersionId) -> Result<Option<VersionId>>;
    /// Puts a hold on a version, which says that it is kept on purpose, or takes it
    /// off. The hold goes with the version.
    fn set_hold(&mut self, seq: VersionSeq, hold: Hold) -> Result<()>;
    /// Whether a version has a hold. There need not be such a version.
    fn has_hold(&mut self, seq: VersionSeq) -> Result<bool>;
    /// The versions of an asset that have a hold, as rows, lowest first.
    fn holds(&mut self, asset: NodeId) -> Result<Vec<VersionSeq>>;

    // --- contents, chunks, packs -------------------------------------------

    /// The content with that hash and size.
    fn content_by_hash(&mut self, blake3: &ChunkHash, size: u64) -> Result<Option<ContentId>>;
    /// Adds a content made of known chunks, in order; each counts one reference more.
    fn add_content(
        &mut self,
        blake3: &ChunkHash,
        size: u64,
        chunks: &[ChunkHash],
    ) -> Result<ContentId>;
    /// Makes a chunk known, and adds the content that it is alone: most files are small. The
    /// content must not be known. `None`: the chunk is known, or its pack is not, and nothing
    /// was changed.
    fn add_content_with_chunk(
        &mut self,
        blake3: &ChunkHash,
        size: u64,
        chunk: &ChunkRecord,
    ) -> Result<Option<ContentId>> {
        let has_pack = self.packs()?.iter().any(|pack| pack.id == chunk.pack);
        if self.chunk(&chunk.hash)?.is_some() || !has_pack {
            return Ok(None);
        }
        self.put_chunks(std::slice::from_ref(chunk))?;
        self.add_content(blake3, size, &[chunk.hash]).map(Some)
    }
    /// Forgets a content that no version uses, if it is known; its chunks count one
    /// reference less.
    fn remove_content_if_unused(&mut self, content: ContentId) -> Result<()>;
    /// The same for all contents; returns how many went. For the start: nobody may be
    /// between `add_content` and `set_stored`.
    fn remove_unused_contents(&mut self) -> Result<u64>;
    /// Who else needs what a content needs.
    fn content_use(&mut self, content: ContentId) -> Result<ContentUse>;
    /// The chunks of a content, in order.
    fn content_chunks(&mut self, content: ContentId) -> Result<Vec<ChunkRecord>>;
    /// How long a content is by its chunks. In a catalog that a stranger wrote a list can
    /// be longer than memory: this holds it no other way than packed.
    fn content_extent(&mut self, content: ContentId) -> Result<ContentExtent> {
        let chunks = self.content_chunks(content)?;
        Ok(chunks
            .iter()
            .fold(ContentExtent::default(), ContentExtent::and))
    }
    /// Where a chunk is.
    fn chunk(&mut self, hash: &ChunkHash) -> Result<Option<ChunkRecord>>;
    /// Makes a pack known.
    fn add_pack(&mut self, pack: &PackRecord) -> Result<()>;
    /// Records a pack's state and size.
    fn set_pack(&mut self, pack: &PackRecord) -> Result<()>;
    /// Makes chunks known, or moves known ones into another pack (their
    /// references stay).
    fn put_chunks(&mut self, chunks: &[ChunkRecord]) -> Result<()>;
    /// All packs, oldest first.
    fn packs(&mut self) -> Result<Vec<PackRecord>>;
    /// All chunks of a pack, by offset.
    fn pack_chunks(&mut self, pack: PackId) -> Result<Vec<ChunkRecord>>;
    /// How much of each stored pack is still referenced.
    fn pack_use(&mut self) -> Result<Vec<PackUse>>;
    /// The stored versions that need a pack, as rows.
    fn versions_in_pack(&mut self, pack: PackId) -> Result<Vec<VersionSeq>>;
    /// The stored versions that need one of these chunks, as rows. Reads the chunk
    /// list of every content: for damage only.
    fn versions_with_chunks(&mut self, chunks: &[ChunkHash]) -> Result<Vec<VersionSeq>>;
    /// Forgets chunks of a pack that nothing references; returns how many.
    fn remove_dead_chunks(&mut self, pack: PackId) -> Result<u64>;
    /// Forgets a pack. No chunk may be left in it.
    fn remove_pack(&mut self, pack: PackId) -> Result<()>;

    // --- the whole ---------------------------------------------------------

    /// Counts and sums for `status`.
    fn totals(&mut self) -> Result<Totals>;
    /// How much space the versions of a part of the vault take. Reads every version
    /// there: of a catalog that others wait for, ask its [`reader`](Self::reader).
    fn space(&mut self, query: &SpaceQuery) -> Result<SpaceReport>;
    /// The same catalog to read from for longer, beside this one. It may miss what was
    /// not committed yet, and takes no changes.
    fn reader(&mut self) -> Result<Box<dyn Catalog>>;
    /// What was committed and is not published yet, and how far the journal in the store
    /// is. `None`: this catalog has no journal, it is in memory.
    fn unpublished(&mut self) -> Result<Option<Unpublished>> {
        Ok(None)
    }
    /// The changes up to here are in the journal, which is that far now.
    fn set_published(&mut self, _up_to: ChangeMark, _position: &JournalPosition) -> Result<()> {
        Ok(())
    }
    /// Whether there are changes, committed or not, that the journal does not have.
    fn has_unpublished(&mut self) -> Result<bool> {
        Ok(false)
    }
    /// Whether the journal has a version as it is now. There need not be such a version.
    fn is_version_published(&mut self, _seq: VersionSeq) -> Result<bool> {
        Ok(true)
    }
    /// Looks for damage. Empty: none found.
    fn check(&mut self) -> Result<Vec<String>>;
}
