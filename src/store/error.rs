//! What can go wrong with the store.

use crate::catalog::CatalogError;
use crate::model::{ChunkHash, PackId};

/// A store's result.
pub type Result<T> = std::result::Result<T, StoreError>;

/// A situation the caller can tell apart.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The URL is none that this keepfs can open.
    #[error("store '{url}': {reason}")]
    BadUrl {
        /// As configured.
        url: String,
        /// Why not.
        reason: String,
    },
    /// A pack that the catalog knows is not in the store.
    #[error(
        "pack {pack} is missing from the store: put it back from a copy of the store, then run keepfs check"
    )]
    PackMissing {
        /// The pack.
        pack: PackId,
    },
    /// A pack is there but is not what was written: cut short, or its table is damaged.
    #[error(
        "pack {pack} is damaged ({detail}): put it back from a copy of the store, then run keepfs check"
    )]
    PackDamaged {
        /// The pack.
        pack: PackId,
        /// What is wrong.
        detail: String,
    },
    /// A chunk's bytes do not match its name.
    #[error(
        "chunk {chunk} in pack {pack} is damaged: put the pack back from a copy of the store, then run keepfs check"
    )]
    ChunkDamaged {
        /// The chunk.
        chunk: ChunkHash,
        /// The pack it was read from.
        pack: PackId,
    },
    /// No space left in the store or the spool.
    #[error("no space left for {what}: free some space on its disk")]
    Full {
        /// `the store` or `the spool`.
        what: &'static str,
    },
    /// The content to be stored could not be read.
    #[error("reading the content: {0}")]
    Source(#[source] std::io::Error),
    /// Reading or writing pack files failed.
    #[error("store: {0}")]
    Io(String),
    /// The catalog failed.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
}
