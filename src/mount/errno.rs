//! What an operation can refuse, and the one table that turns it into an errno.
//!
//! The table is exhaustive on purpose: a new variant anywhere below does not
//! compile until somebody decides what a program shall see. Nothing else in
//! `mount` chooses an errno for an error of the layers below.

use std::io;

use rustix::io::Errno;

use crate::catalog::CatalogError;
use crate::model::PathError;
use crate::store::StoreError;
use crate::vault::VaultError;

/// Why an operation failed.
#[derive(Debug)]
pub(crate) enum Error {
    /// The filesystem below said so.
    Os(Errno),
    /// The rules, the catalog or the store said so.
    Vault(VaultError),
    /// A node that the lower tree no longer has at any name we know. The kernel
    /// retries with a fresh lookup.
    Stale,
    /// A handle that was never given out.
    BadHandle,
    /// Something would change in a history tree.
    HistoryIsReadOnly,
    /// A file would get one of the history names at the mount root.
    HistoryNameTaken,
    /// An attribute that keepfs answers itself cannot be set or removed.
    OwnAttribute,
    /// `user.keepfs.backup` takes `on` or `off`.
    BadOverride,
    /// `user.keepfs.tags` takes `a,b`, `user.keepfs.context` takes `k=v|k2=v2`.
    BadLabel,
    /// Tags and context are those of assets, which are regular files.
    LabelOfNoFile,
    /// An attribute that was to be new is there already.
    AttributeExists,
    /// No attribute of that name.
    NoAttribute,
    /// The caller's buffer is too small for the attribute.
    SmallBuffer,
    /// Flags that this filesystem does not know.
    BadFlags,
}

/// An operation's result.
pub(crate) type Result<T> = std::result::Result<T, Error>;

impl From<Errno> for Error {
    fn from(errno: Errno) -> Self {
        Error::Os(errno)
    }
}

impl From<VaultError> for Error {
    fn from(error: VaultError) -> Self {
        Error::Vault(error)
    }
}

impl From<PathError> for Error {
    fn from(error: PathError) -> Self {
        Error::Vault(VaultError::BadPath(error))
    }
}

impl Error {
    /// What the program that asked gets to see.
    pub(crate) fn errno(&self) -> Errno {
        match self {
            Error::Os(errno) => *errno,
            Error::Vault(error) => of_vault(error),
            Error::Stale => Errno::STALE,
            Error::BadHandle => Errno::BADF,
            Error::HistoryIsReadOnly => Errno::ROFS,
            Error::HistoryNameTaken | Error::OwnAttribute => Errno::PERM,
            Error::BadOverride | Error::BadLabel | Error::BadFlags => Errno::INVAL,
            Error::LabelOfNoFile => Errno::OPNOTSUPP,
            Error::AttributeExists => Errno::EXIST,
            Error::NoAttribute => Errno::NODATA,
            Error::SmallBuffer => Errno::RANGE,
        }
    }

    /// What a person needs to be told beyond the errno. `None`: the errno says it all.
    pub(crate) fn explanation(&self) -> Option<String> {
        match self {
            Error::Vault(VaultError::Io { .. }) => {
                (self.errno() == Errno::IO).then(|| self.vault_text())
            }
            Error::Vault(VaultError::NotFound { .. } | VaultError::BadPath(_)) => None,
            Error::Vault(_) => Some(self.vault_text()),
            Error::BadOverride => Some("user.keepfs.backup takes 'on' or 'off'".into()),
            Error::BadLabel => {
                Some("user.keepfs.tags takes a,b and user.keepfs.context k=v|k2=v2".into())
            }
            _ => None,
        }
    }

    fn vault_text(&self) -> String {
        match self {
            Error::Vault(error) => error.to_string(),
            _ => String::new(),
        }
    }
}

fn of_vault(error: &VaultError) -> Errno {
    match error {
        VaultError::NameReserved { .. } | VaultError::AlreadyExists { .. } => Errno::EXIST,
        VaultError::NotItsPlace { .. } => Errno::PERM,
        VaultError::NotFound { .. } => Errno::NOENT,
        VaultError::AmbiguousVersion { .. } | VaultError::WrongKind { .. } => Errno::INVAL,
        VaultError::BadId(_) => Errno::INVAL,
        VaultError::BadPath(error) => of_path(error),
        VaultError::BadVault { .. } | VaultError::Config(_) => Errno::IO,
        VaultError::InUse { .. } | VaultError::BeingWritten { .. } => Errno::BUSY,
        VaultError::ClockBehind { .. }
        | VaultError::ClockAhead { .. }
        | VaultError::ClocksDisagree { .. } => Errno::PERM,
        VaultError::StoreBlocked { .. } => Errno::NOSPC,
        VaultError::BytesShared => Errno::BUSY,
        VaultError::Unreadable { .. } => Errno::IO,
        VaultError::NotInTime { .. } => Errno::TIMEDOUT,
        VaultError::Io { error, .. } => of_io(error),
        VaultError::Catalog(error) => of_catalog(error),
        VaultError::NotRemoved(error) | VaultError::Store(error) => of_store(error),
    }
}

fn of_path(error: &PathError) -> Errno {
    match error {
        PathError::NameTooLong(_) => Errno::NAMETOOLONG,
        PathError::Dots(_) | PathError::EmptyComponent(_) | PathError::Nul(_) => Errno::INVAL,
    }
}

fn of_catalog(error: &CatalogError) -> Errno {
    match error {
        CatalogError::Full => Errno::NOSPC,
        CatalogError::NewerFormat { .. }
        | CatalogError::Corrupt { .. }
        | CatalogError::Locked { .. }
        | CatalogError::Invariant(_)
        | CatalogError::Database(_) => Errno::IO,
    }
}

fn of_store(error: &StoreError) -> Errno {
    match error {
        StoreError::Full { .. } | StoreError::SpoolAtBound { .. } => Errno::NOSPC,
        StoreError::OnTheWay { .. } | StoreError::JournalOnTheWay => Errno::TIMEDOUT,
        StoreError::Source(error) => of_io(error),
        StoreError::Catalog(error) => of_catalog(error),
        StoreError::BadPlace { .. }
        | StoreError::NotAllowed { .. }
        | StoreError::NoBucket { .. }
        | StoreError::OtherVault { .. }
        | StoreError::Namesake { .. }
        | StoreError::Foreign { .. }
        | StoreError::NoJournal { .. }
        | StoreError::JournalGap { .. }
        | StoreError::LeaseHeld(_)
        | StoreError::CatalogIsOlder { .. }
        | StoreError::Fenced(_)
        | StoreError::NoCredentials { .. }
        | StoreError::Denied { .. }
        | StoreError::Unreachable { .. }
        | StoreError::PackUnknown { .. }
        | StoreError::DirectoryAway { .. }
        | StoreError::LookedAt
        | StoreError::Emptied { .. }
        | StoreError::WrongKey { .. }
        | StoreError::BadSecret { .. }
        | StoreError::KeyDamaged { .. }
        | StoreError::KeyDisagrees { .. }
        | StoreError::PackMissing { .. }
        | StoreError::PackDamaged { .. }
        | StoreError::ChunkDamaged { .. }
        | StoreError::NotEmpty { .. }
        | StoreError::MigrationRuns { .. }
        | StoreError::MigrationStopped
        | StoreError::NotCopied { .. }
        | StoreError::Io(_) => Errno::IO,
    }
}

fn of_io(error: &io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ChunkHash, PackId, PublicId};

    #[test]
    fn every_refusal_has_the_errno_that_the_documentation_promises() {
        let path = PublicId::new(b"a").unwrap();
        let pack = PackId([0; 16]);
        let cases: Vec<(Error, Errno)> = vec![
            (
                VaultError::NameReserved { path: path.clone() }.into(),
                Errno::EXIST,
            ),
            (
                VaultError::NotItsPlace { path: path.clone() }.into(),
                Errno::PERM,
            ),
            (
                VaultError::NotFound {
                    path,
                    what: "version".into(),
                }
                .into(),
                Errno::NOENT,
            ),
            (
                VaultError::Store(StoreError::PackMissing { pack }).into(),
                Errno::IO,
            ),
            (
                VaultError::Store(StoreError::ChunkDamaged {
                    chunk: ChunkHash([0; 32]),
                    pack,
                })
                .into(),
                Errno::IO,
            ),
            (
                VaultError::Store(StoreError::Full {
                    what: "the spool",
                    directory: None,
                })
                .into(),
                Errno::NOSPC,
            ),
            (VaultError::Catalog(CatalogError::Full).into(), Errno::NOSPC),
            (
                VaultError::io("x", io::Error::from(Errno::DQUOT)).into(),
                Errno::DQUOT,
            ),
            (
                VaultError::io("x", io::Error::other("no code")).into(),
                Errno::IO,
            ),
            (Error::HistoryIsReadOnly, Errno::ROFS),
            (Error::HistoryNameTaken, Errno::PERM),
            (Error::LabelOfNoFile, Errno::OPNOTSUPP),
            (Error::AttributeExists, Errno::EXIST),
            (Error::Stale, Errno::STALE),
            (
                PathError::NameTooLong("x".into()).into(),
                Errno::NAMETOOLONG,
            ),
        ];
        for (error, errno) in cases {
            assert_eq!(error.errno(), errno, "{error:?}");
        }
    }

    #[test]
    fn a_reserved_name_is_explained_in_the_log_and_a_plain_errno_is_not() {
        let path = PublicId::new(b"a").unwrap();
        let refused = Error::from(VaultError::NameReserved { path });
        assert!(refused.explanation().is_some());
        assert!(Error::Os(Errno::NOENT).explanation().is_none());
        let full = VaultError::io("sealing", io::Error::from(Errno::NOSPC));
        assert!(Error::from(full).explanation().is_none());
    }
}
