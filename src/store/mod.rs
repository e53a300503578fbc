//! Bytes: contents are cut into chunks, chunks gather in packs, packs lie in the store.
//!
//! [`Store`] writes a content once and reads it back by range, checking every
//! chunk against its blake3. It knows nothing of assets and versions. The
//! surprise: a chunk is safe before its pack is in the store. It is appended to
//! the open pack in the spool first, and [`Store::sync`] makes that durable.

mod error;

use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;

pub use error::{Result, StoreError};

use crate::catalog::SharedCatalog;
use crate::model::{ChunkHash, Clock, ContentId, PackId, VersionSeq};

/// Where and how a store keeps its packs.
#[derive(Debug, Clone)]
pub struct StoreConfig {
    /// `file:///absolute/path`.
    pub url: String,
    /// Directory of the open packs.
    pub spool_dir: PathBuf,
    /// A pack is closed and put into the store at this size.
    pub pack_bytes: u64,
    /// Bytes of plain chunks kept in memory for readers.
    pub cache_bytes_max: u64,
    /// zstd level.
    pub zstd_level: i32,
    /// Threads that hash and compress.
    pub threads: usize,
}

/// What [`Store::write`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// The content; an older equal one where there is one.
    pub content: ContentId,
    /// blake3 of all bytes.
    pub blake3: ChunkHash,
    /// All bytes.
    pub size: u64,
    /// Bytes that were new to the vault, before compression.
    pub new_bytes: u64,
}

/// The content store of one vault.
#[derive(Debug)]
pub struct Store {}

/// How deep [`Store::check`] looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckDepth {
    /// Every pack is there with its size, and its table agrees with the catalog.
    Listing,
    /// Every chunk is read and hashed.
    ReadData,
}

/// Damage that [`Store::check`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The pack.
    pub pack: PackId,
    /// What is wrong with it, in one line.
    pub detail: String,
    /// The versions that cannot be read whole.
    pub versions: Vec<VersionSeq>,
}

impl Store {
    /// Opens the store and takes up the open packs that an earlier run left.
    pub fn open(
        _config: &StoreConfig,
        _catalog: SharedCatalog,
        _clock: Arc<dyn Clock>,
    ) -> Result<Self> {
        todo!()
    }

    /// Reads a content to its end and makes it known to the catalog. When it
    /// returns, every chunk is in a pack file or an open pack: safe from kill -9,
    /// and from power loss after [`sync`](Self::sync) and a commit.
    pub fn write(&self, _reader: &mut (dyn Read + Send)) -> Result<Written> {
        todo!()
    }

    /// Makes the open packs durable.
    pub fn sync(&self) -> Result<()> {
        todo!()
    }

    /// Closes the open packs and puts them into the store.
    pub fn flush(&self) -> Result<()> {
        todo!()
    }

    /// A reader of one content.
    pub fn reader(&self, _content: ContentId) -> Result<ContentReader> {
        todo!()
    }

    /// Compares the store with the catalog. `progress` gets (bytes done, bytes in all).
    pub fn check(
        &self,
        _depth: CheckDepth,
        _progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Vec<Damage>> {
        todo!()
    }

    /// Rewrites every pack that holds chunks which nothing references, so that
    /// their bytes are gone when it returns. Returns the bytes that were freed.
    pub fn reclaim(&self) -> Result<u64> {
        todo!()
    }

    /// Merges small packs. Returns how many are gone.
    pub fn merge_small_packs(&self) -> Result<u64> {
        todo!()
    }
}

/// Reads one content by range.
#[derive(Debug)]
pub struct ContentReader {}

impl ContentReader {
    /// Bytes of the content.
    pub fn size(&self) -> u64 {
        todo!()
    }

    /// Fills `buffer` from `offset` on; fewer bytes only at the end.
    pub fn read_at(&self, _offset: u64, _buffer: &mut [u8]) -> Result<usize> {
        todo!()
    }
}
