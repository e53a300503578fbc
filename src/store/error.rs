//! What can go wrong with the store.

use std::path::{Path, PathBuf};

use crate::catalog::CatalogError;
use crate::model::{ChunkHash, Fence, PackId, ShellWord};

/// A store's result.
pub type Result<T> = std::result::Result<T, StoreError>;

/// Who has the lease of a store, where it is not this vault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {host} writes there since {since} (fence {fence})")]
pub struct Writer {
    /// The store.
    pub place: String,
    /// The name of its machine.
    pub host: String,
    /// Since when, as its clock said.
    pub since: String,
    /// The number of its lease.
    pub fence: Fence,
}

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
    /// The bucket is not there.
    #[error(
        "{place}: there is no bucket '{bucket}': make it with the cloud's own tool, or mend the name"
    )]
    NoBucket {
        /// The place.
        place: String,
        /// Its bucket.
        bucket: String,
    },
    /// The bucket's owner did not say that this vault may write to it.
    #[error(
        "{place}: nobody allowed the vault '{vault}' to write there: its owner runs `keepfs store allow {} --name {vault}`, or: {command}",
        ShellWord(.place)
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
    /// The prefix in the bucket is another vault's of the same name: maybe this one's, before
    /// it was lost.
    #[error(
        "{place} belongs to the vault '{vault}', which this one is not though it has its name: if that one was lost, `keepfs rebuild --store {} VAULT` brings it back; else give this vault a place of its own in keepfs.toml",
        ShellWord(.place)
    )]
    Namesake {
        /// The store.
        place: String,
        /// The name of both.
        vault: String,
    },
    /// Another machine, or another copy of the vault, has the lease.
    #[error(
        "{0}: if it will not write there any more, run `keepfs mount --take-over`; versions that only it has are not in this vault's catalog: rebuild from the store first if it wrote later than this one"
    )]
    LeaseHeld(Writer),
    /// The lease was this vault's, and is another's now.
    #[error(
        "{0}: it took the store over, and nothing of this vault is written or deleted there any more; what is sealed stays in the spool; `keepfs mount --take-over` takes it back"
    )]
    Fenced(Writer),
    /// The journal in the store was written on from a newer catalog than the one that is here.
    #[error(
        "{place}: the journal of writer {fence} there says more than this vault's catalog.db, which seems to be an older copy: nothing is written or deleted there; `keepfs rebuild --store {} --writer {fence} DIRECTORY` makes a vault of all that it says; `keepfs mount --take-over` goes on with this catalog and leaves that journal as it is",
        ShellWord(.place)
    )]
    CatalogIsOlder {
        /// The store.
        place: String,
        /// Whose journal it is.
        fence: Fence,
    },
    /// Neither the environment nor a file has credentials, and the machine has no role.
    #[error("{doing}: no credentials were found, and this machine has no role: {way_out}")]
    NoCredentials {
        /// What was tried.
        doing: String,
        /// Where to put them.
        way_out: &'static str,
    },
    /// The bucket knows these credentials not, or does not let them do that.
    #[error("{doing}: the bucket refuses the credentials or the request: {detail}")]
    Denied {
        /// What was tried.
        doing: String,
        /// What the bucket answered, without secrets, and the way out.
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
    /// The directory that was opened is not there, or another one is in its place.
    #[error(
        "{}: the store's directory is gone, or another one is in its place: is its disk mounted? nothing is put there until it is back",
        .directory.display()
    )]
    DirectoryAway {
        /// The directory.
        directory: PathBuf,
    },
    /// The catalog knows of packs or a lease there, and nothing of the vault is left.
    #[error(
        "{place} holds nothing of this vault, which has been there before: is its disk mounted? is it the right place? if what was there is lost for good, `keepfs mount --accept-empty` begins anew there"
    )]
    Emptied {
        /// The store.
        place: String,
    },
    /// The store was opened to look at it.
    #[error(
        "nothing is written to a store that is only looked at: what waits in the spool goes there when the vault is mounted"
    )]
    LookedAt,
    /// Whether the pack of a chunk that a new content has, too, is there: nobody answered.
    #[error("whether pack {pack} is there is not known: {error}")]
    PackUnknown {
        /// The pack.
        pack: PackId,
        /// What the bucket did instead.
        error: Box<StoreError>,
    },
    /// An object that is not what was written under its name.
    #[error("{key} in the store is not what keepfs wrote: {problem}")]
    Foreign {
        /// Its key below the store.
        key: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The store does not describe itself.
    #[error("{place} holds no journal of a vault: look for the right bucket and prefix")]
    NoJournal {
        /// The store.
        place: String,
    },
    /// An object of the journal is missing between others, or is not what was written.
    #[error(
        "the journal in the store has a gap: {key} {problem}; put it back from a copy of the store, or take what is before it with --accept-gap"
    )]
    JournalGap {
        /// The object's key below the store.
        key: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A secret that does not open the vault's key.
    #[error(
        "{place}: this {secret} does not open it: it is the wrong one, or the file was changed"
    )]
    WrongKey {
        /// The key document.
        place: String,
        /// What kind of secret.
        secret: &'static str,
    },
    /// A secret, or the file that should hold it, cannot be used.
    #[error("{from}: {problem}")]
    BadSecret {
        /// Where it is from.
        from: String,
        /// What is wrong and what to do.
        problem: String,
    },
    /// A key document that is not as it was written.
    #[error("{place}: {problem}")]
    KeyDamaged {
        /// The document.
        place: String,
        /// What is wrong and what to do.
        problem: String,
    },
    /// Store and vault do not have the same key.
    #[error("{place} {problem}")]
    KeyDisagrees {
        /// The store.
        place: String,
        /// In what they differ and what to do.
        problem: String,
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
    /// Somebody waited for packs as long as he wanted to; they are still being put.
    #[error("not in the store yet: {packs} packs are on their way, none is lost")]
    OnTheWay {
        /// How many.
        packs: usize,
    },
    /// Somebody waited for the journal as long as he wanted to; it is still being put.
    #[error("not in the store yet: its journal is on the way, nothing is lost")]
    JournalOnTheWay,
    /// No space left in the store or the spool.
    #[error("no space left for {what}{}: free some space on its disk", within(.directory.as_deref()))]
    Full {
        /// `the store` or `the spool`.
        what: &'static str,
        /// Where it is, as far as that is known.
        directory: Option<PathBuf>,
    },
    /// So many packs wait for the store that no more are begun.
    #[error(
        "the spool is at its bound of {} MiB (spool_bytes_max): sealed versions wait until the store takes packs", bytes_max >> 20
    )]
    SpoolAtBound {
        /// The bound.
        bytes_max: u64,
    },
    /// The place that the store shall move to is in use for something else.
    #[error(
        "{place} is not empty (there is '{found}') and holds no unfinished copy of this store: name an empty place"
    )]
    NotEmpty {
        /// The place.
        place: String,
        /// The first thing found in it.
        found: String,
    },
    /// A second migration.
    #[error("the store is being moved to {place} already: keepfs status says how far it is")]
    MigrationRuns {
        /// Where to.
        place: String,
    },
    /// Somebody stopped a migration.
    #[error("the move was stopped, the store is where it was: the same command goes on with it")]
    MigrationStopped,
    /// A migration failed before the switch.
    #[error(
        "moving the store to {place}: {error}; it is where it was, and the same command goes on with what is left to copy"
    )]
    NotCopied {
        /// Where to.
        place: String,
        /// What reading or writing failed with.
        error: Box<StoreError>,
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

fn within(directory: Option<&Path>) -> String {
    directory.map_or_else(String::new, |path| format!(" in {}", path.display()))
}

impl StoreError {
    /// The same, and where it was, if it is a store or spool that is full.
    pub(super) fn within(self, place: &Path) -> Self {
        match self {
            Self::Full {
                what,
                directory: None,
            } => Self::Full {
                what,
                directory: Some(place.into()),
            },
            other => other,
        }
    }

    /// True when the store could not be asked: that says nothing of what is in it.
    pub(super) fn is_no_answer(&self) -> bool {
        self.no_answer().is_some()
    }

    /// The same for whoever asks next. `None`: it was an answer.
    pub(super) fn no_answer(&self) -> Option<Self> {
        match self {
            Self::Unreachable { doing, detail } => Some(Self::Unreachable {
                doing: doing.clone(),
                detail: detail.clone(),
            }),
            Self::Denied { doing, detail } => Some(Self::Denied {
                doing: doing.clone(),
                detail: detail.clone(),
            }),
            Self::NoCredentials { doing, way_out } => Some(Self::NoCredentials {
                doing: doing.clone(),
                way_out,
            }),
            Self::DirectoryAway { directory } => Some(Self::DirectoryAway {
                directory: directory.clone(),
            }),
            _ => None,
        }
    }
}
