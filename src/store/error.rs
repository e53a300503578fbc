//! What can go wrong with the store.

use crate::catalog::CatalogError;
use crate::model::{ChunkHash, PackId};

/// A store's result.
pub type Result<T> = std::result::Result<T, StoreError>;

/// A situation the caller can tell apart.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No store can be opened there.
    #[error("store {place}: {reason}")]
    BadPlace {
        /// As configured.
        place: String,
        /// Why not, and what to do.
        reason: String,
    },
    /// The bucket's owner did not say that this vault may write to it.
    #[error(
        "{place}: nobody allowed the vault '{vault}' to write there: its owner runs `keepfs store allow {place} --name {vault}`, or: {command}"
    )]
    NotAllowed {
        /// The store.
        place: String,
        /// The vault's name.
        vault: String,
        /// The cloud's own command that writes the marker.
        command: String,
    },
    /// The prefix in the bucket is another vault's.
    #[error(
        "{place} belongs to the vault '{owner}': give this vault a prefix of its own in keepfs.toml"
    )]
    OtherVault {
        /// The store.
        place: String,
        /// The vault that is there.
        owner: String,
    },
    /// The bucket knows these credentials not, or does not let them do that.
    #[error("{doing}: the bucket refuses the credentials or the request: {detail}")]
    Denied {
        /// What was tried.
        doing: String,
        /// What the bucket answered, without secrets.
        detail: String,
    },
    /// Nobody answers, or not in time, or not sensibly.
    #[error("{doing}: the bucket does not answer: {detail}")]
    Unreachable {
        /// What was tried.
        doing: String,
        /// What happened, without secrets.
        detail: String,
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

impl StoreError {
    /// True when the bucket could not be asked: that says nothing of what is in it.
    pub(super) fn is_no_answer(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Denied { .. })
    }
}
