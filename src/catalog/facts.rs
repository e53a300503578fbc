//! The records that the catalog hands out.

use crate::model::{
    AssetId, Attributes, ChunkHash, FileFacts, Name, NodeId, Override, PackId, Timestamp, Version,
};

/// Whether a claimed name is a live file or a reserved one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Standing {
    /// The asset is a file of the live tree.
    Live,
    /// The asset was deleted; its name is reserved.
    Deleted,
}

/// Who claims a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// The asset.
    pub asset: NodeId,
    /// How it claims the name.
    pub standing: Standing,
}

/// What a node is. Directories sort before assets of the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NodeKind {
    /// A known directory.
    Directory,
    /// An asset.
    Asset,
}

/// One child of a known directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Child {
    /// A directory below which something claims a name, or that has an override.
    Directory {
        /// Its name.
        name: Name,
        /// Its node.
        node: NodeId,
        /// True when an asset claims a name somewhere below.
        has_assets: bool,
        /// True when a deleted asset is somewhere below.
        has_deleted: bool,
    },
    /// An asset.
    Asset {
        /// Its name.
        name: Name,
        /// Its node.
        node: NodeId,
        /// Live or deleted.
        standing: Standing,
    },
}

impl Child {
    /// The place in the listing order, for the next page.
    pub fn key(&self) -> (Name, NodeKind) {
        match self {
            Child::Directory { name, .. } => (name.clone(), NodeKind::Directory),
            Child::Asset { name, .. } => (name.clone(), NodeKind::Asset),
        }
    }
}

/// A known directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectoryRecord {
    /// Its node.
    pub node: NodeId,
    /// Its parent and name. `None` for the root.
    pub place: Option<(NodeId, Name)>,
    /// Mode, owner, mtime as last recorded.
    pub attributes: Attributes,
    /// The backup override set on it.
    pub backup: Option<Override>,
    /// True when an asset claims a name somewhere below.
    pub has_assets: bool,
    /// True when a deleted asset is somewhere below.
    pub has_deleted: bool,
}

/// An asset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssetRecord {
    /// Its node.
    pub node: NodeId,
    /// Its public id for life.
    pub asset_id: AssetId,
    /// The directory it is or was in.
    pub parent: NodeId,
    /// Its name there.
    pub name: Name,
    /// Live or deleted.
    pub standing: Standing,
    /// Since when it has this name and standing.
    pub since: Timestamp,
    /// The live file as last seen. `None`: deleted, or not seen yet.
    pub file: Option<FileFacts>,
    /// Mode, owner and mtime of the file seen last, also of one that is gone.
    pub last_attributes: Option<Attributes>,
}

/// How a chunk's bytes are written in its pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Codec {
    /// As they are.
    Plain,
    /// One zstd frame.
    Zstd,
    /// As they are, sealed with the vault's key.
    Sealed,
    /// One zstd frame, sealed with the vault's key.
    SealedZstd,
}

impl Codec {
    /// The number that stands for it, in catalogs and packs.
    pub fn number(self) -> u8 {
        match self {
            Codec::Plain => 0,
            Codec::Zstd => 1,
            Codec::Sealed => 2,
            Codec::SealedZstd => 3,
        }
    }

    /// True for what only the vault's key opens.
    pub fn is_sealed(self) -> bool {
        matches!(self, Codec::Sealed | Codec::SealedZstd)
    }

    /// The one with that number. `None`: this keepfs knows none.
    pub fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Codec::Plain),
            1 => Some(Codec::Zstd),
            2 => Some(Codec::Sealed),
            3 => Some(Codec::SealedZstd),
            _ => None,
        }
    }
}

/// Where a chunk is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkRecord {
    /// Its name.
    pub hash: ChunkHash,
    /// The pack that holds it.
    pub pack: PackId,
    /// Byte offset of its stored bytes in the pack.
    pub offset: u64,
    /// Stored bytes.
    pub stored_bytes: u32,
    /// Plain bytes.
    pub plain_bytes: u32,
    /// How it is stored.
    pub codec: Codec,
}

/// Where a pack is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PackState {
    /// Still growing in the spool.
    Open,
    /// Complete in the store.
    Stored,
}

/// A pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackRecord {
    /// Its name.
    pub id: PackId,
    /// Open or stored.
    pub state: PackState,
    /// Its size in bytes; for an open pack the part that is known to be valid.
    pub bytes: u64,
}

/// How much of a pack is still referenced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackUse {
    /// The pack.
    pub pack: PackRecord,
    /// Stored bytes of chunks that a content references.
    pub live_bytes: u64,
    /// Stored bytes of chunks that nothing references.
    pub dead_bytes: u64,
}

/// How much depends on a content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentUse {
    /// Stored versions that have it.
    pub versions: u64,
    /// Its chunks, each once, by hash.
    pub chunks: Vec<ChunkUse>,
}

/// How long a content is, by the chunks that it lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ContentExtent {
    /// How many there are, each as often as it is listed.
    pub chunks: u64,
    /// The sum of their plain bytes.
    pub plain_bytes: u64,
    /// Where the first one lies.
    pub begins_at: Option<(PackId, u64)>,
}

impl ContentExtent {
    /// With one chunk more, behind the others.
    pub fn and(mut self, chunk: &ChunkRecord) -> Self {
        self.chunks += 1;
        self.plain_bytes = self.plain_bytes.saturating_add(chunk.plain_bytes.into());
        self.begins_at = self.begins_at.or(Some((chunk.pack, chunk.offset)));
        self
    }
}

/// A live asset with all that its file is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveFile {
    /// Its name.
    pub name: Name,
    /// Mode, owner and mtime of the file when it was last seen. `None`: it never was.
    pub last_attributes: Option<Attributes>,
    /// Its latest version.
    pub version: Version,
    /// Bytes of the version's content by the content's own row. `None`: it is sealed.
    pub content_bytes: Option<u64>,
    /// What the content's chunks come to; of a sealed version nothing.
    pub extent: ContentExtent,
}

/// One chunk of a content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChunkUse {
    /// Its name.
    pub hash: ChunkHash,
    /// Stored bytes.
    pub stored_bytes: u32,
    /// How often this content lists it.
    pub listed: u64,
    /// How often contents list it in all.
    pub refs: u64,
}

/// Counts and sums over the vault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Live assets.
    pub assets_live: u64,
    /// Deleted assets with a reserved name.
    pub assets_deleted: u64,
    /// All versions.
    pub versions: u64,
    /// Versions whose bytes are not in a pack yet.
    pub versions_sealed: u64,
    /// Their bytes.
    pub sealed_bytes: u64,
    /// When the oldest of them was kept.
    pub oldest_sealed_at: Option<Timestamp>,
    /// Sum of the sizes of all versions.
    pub logical_bytes: u64,
    /// Plain bytes of all distinct chunks.
    pub unique_bytes: u64,
    /// Bytes of all packs; of an open one, the stored bytes of its chunks.
    pub pack_bytes: u64,
    /// Packs.
    pub packs: u64,
}
