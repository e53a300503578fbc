//! Where and how a store keeps its packs: plain values, validated by whoever made them.

use std::path::PathBuf;

use super::VaultKey;
use crate::model::{StorePlace, WriteClaim};

/// Where and how a store keeps its packs.
#[derive(Debug, Clone)]
pub struct StoreConfig {
    /// Where packs go. A directory is absolute, a bucket has a prefix.
    pub place: StorePlace,
    /// The vault directory: a copy of it is another writer.
    pub vault_dir: PathBuf,
    /// What is done where another one writes to the store.
    pub write_claim: WriteClaim,
    /// Directory of the open packs.
    pub spool_dir: PathBuf,
    /// A pack is closed and put into the store at this size.
    pub pack_bytes: u64,
    /// Bytes of full packs that may wait in the spool; then writers wait.
    pub spool_bytes_max: u64,
    /// What the vault is called in a bucket.
    pub vault_name: String,
    /// Bytes of plain chunks kept in memory for readers.
    pub cache_bytes_max: u64,
    /// Directory of chunks that were fetched from a bucket.
    pub cache_dir: PathBuf,
    /// Bytes that they may take there. 0: none are kept.
    pub disk_cache_bytes_max: u64,
    /// zstd level.
    pub zstd_level: i32,
    /// Threads that hash and compress.
    pub threads: usize,
    /// What everything in the store is sealed with. `None`: the vault is not encrypted.
    pub key: Option<VaultKey>,
}
