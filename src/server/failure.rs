//! What a failed request says: a code for scripts, a line for people.
//!
//! The one table from the errors of the layers below to the codes. It is exhaustive
//! on purpose: a new variant does not compile until somebody decides its code.

use serde::{Deserialize, Serialize};

use crate::catalog::CatalogError;
use crate::config::ConfigError;
use crate::store::StoreError;
use crate::vault::VaultError;

/// The kinds of failure that a script can tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// Something failed that should not.
    Failed,
    /// The request or the settings make no sense.
    BadInput,
    /// No such file, version or vault.
    NotFound,
    /// A rule says no: the name is taken or reserved, the vault is in use.
    Refused,
    /// Catalog or packs are damaged.
    Damaged,
    /// Store, spool or catalog take nothing at the moment.
    Blocked,
}

/// A failed request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// Its kind.
    pub code: ErrorCode,
    /// One line that names the thing and the way out.
    pub message: String,
}

impl Failure {
    /// A failure in words of one's own.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }
}

impl From<VaultError> for Failure {
    fn from(error: VaultError) -> Self {
        Self::new(code_of_vault(&error), error.to_string())
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::new(code_of_store(&error), error.to_string())
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::new(code_of_config(&error), error.to_string())
    }
}

fn code_of_vault(error: &VaultError) -> ErrorCode {
    match error {
        VaultError::NameReserved { .. }
        | VaultError::NotItsPlace { .. }
        | VaultError::AlreadyExists { .. }
        | VaultError::BeingWritten { .. }
        | VaultError::WrongKind { .. }
        | VaultError::ClockBehind { .. }
        | VaultError::ClockAhead { .. }
        | VaultError::ClocksDisagree { .. }
        | VaultError::InUse { .. } => ErrorCode::Refused,
        VaultError::NotFound { .. } => ErrorCode::NotFound,
        VaultError::AmbiguousVersion { .. }
        | VaultError::BadId(_)
        | VaultError::BadPath(_)
        | VaultError::BadVault { .. } => ErrorCode::BadInput,
        VaultError::StoreBlocked { .. }
        | VaultError::BytesShared
        | VaultError::Unreadable { .. }
        | VaultError::NotInTime { .. } => ErrorCode::Blocked,
        VaultError::Config(error) => code_of_config(error),
        VaultError::Io { error, .. } => code_of_io(error),
        VaultError::Catalog(error) => code_of_catalog(error),
        VaultError::NotRemoved(error) | VaultError::Store(error) => code_of_store(error),
    }
}

/// The kind of a failure of the settings.
pub fn code_of_config(error: &ConfigError) -> ErrorCode {
    match error {
        ConfigError::NoVault { .. } => ErrorCode::NotFound,
        ConfigError::VaultExists { .. } => ErrorCode::Refused,
        ConfigError::Io { error, .. } => code_of_io(error),
        ConfigError::NotText { .. }
        | ConfigError::Syntax { .. }
        | ConfigError::NewerFormat { .. }
        | ConfigError::UnknownKey { .. }
        | ConfigError::BadValue { .. }
        | ConfigError::BadFlag { .. }
        | ConfigError::MountInsideLive { .. }
        | ConfigError::MountInsidePart { .. }
        | ConfigError::LiveInsideMount { .. }
        | ConfigError::VaultInsideMount { .. }
        | ConfigError::StoreInsideMount { .. }
        | ConfigError::StoreInsideLive { .. }
        | ConfigError::VaultInsideLive { .. }
        | ConfigError::SpoolInsideLive { .. }
        | ConfigError::LiveInsidePart { .. }
        | ConfigError::HistoryNameTaken { .. }
        | ConfigError::LiveNotDirectory { .. } => ErrorCode::BadInput,
    }
}

fn code_of_catalog(error: &CatalogError) -> ErrorCode {
    match error {
        CatalogError::NewerFormat { .. } => ErrorCode::BadInput,
        CatalogError::Corrupt { .. } => ErrorCode::Damaged,
        CatalogError::Full => ErrorCode::Blocked,
        CatalogError::Locked { .. } => ErrorCode::Refused,
        CatalogError::Invariant(_) | CatalogError::Database(_) => ErrorCode::Failed,
    }
}

/// The kind of a failure of the store.
pub fn code_of_store(error: &StoreError) -> ErrorCode {
    match error {
        StoreError::BadPlace { .. } | StoreError::BadSecret { .. } => ErrorCode::BadInput,
        StoreError::NotAllowed { .. }
        | StoreError::NoBucket { .. }
        | StoreError::OtherVault { .. }
        | StoreError::Namesake { .. }
        | StoreError::Emptied { .. }
        | StoreError::LeaseHeld(_)
        | StoreError::CatalogIsOlder { .. }
        | StoreError::NotEmpty { .. }
        | StoreError::MigrationRuns { .. }
        | StoreError::WrongKey { .. }
        | StoreError::KeyDisagrees { .. } => ErrorCode::Refused,
        StoreError::NotCopied { error, .. } => code_of_store(error),
        StoreError::Fenced(_)
        | StoreError::NoCredentials { .. }
        | StoreError::Denied { .. }
        | StoreError::Unreachable { .. }
        | StoreError::PackUnknown { .. }
        | StoreError::DirectoryAway { .. }
        | StoreError::LookedAt
        | StoreError::OnTheWay { .. }
        | StoreError::JournalOnTheWay => ErrorCode::Blocked,
        StoreError::NoJournal { .. } => ErrorCode::NotFound,
        StoreError::Foreign { .. }
        | StoreError::JournalGap { .. }
        | StoreError::KeyDamaged { .. }
        | StoreError::PackMissing { .. }
        | StoreError::PackDamaged { .. }
        | StoreError::ChunkDamaged { .. } => ErrorCode::Damaged,
        StoreError::Full { .. } | StoreError::SpoolAtBound { .. } => ErrorCode::Blocked,
        StoreError::Source(error) => code_of_io(error),
        StoreError::MigrationStopped | StoreError::Io(_) => ErrorCode::Failed,
        StoreError::Catalog(error) => code_of_catalog(error),
    }
}

fn code_of_io(error: &std::io::Error) -> ErrorCode {
    match error.kind() {
        std::io::ErrorKind::NotFound => ErrorCode::NotFound,
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => ErrorCode::Blocked,
        _ => ErrorCode::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::PublicId;

    #[test]
    fn each_kind_of_failure_has_the_code_that_the_manual_promises() {
        let path = PublicId::new(b"a").unwrap();
        let cases: [(VaultError, ErrorCode); 7] = [
            (
                VaultError::NameReserved { path: path.clone() },
                ErrorCode::Refused,
            ),
            (
                VaultError::NotFound {
                    path: path.clone(),
                    what: "version".into(),
                },
                ErrorCode::NotFound,
            ),
            (
                VaultError::AmbiguousVersion {
                    path,
                    prefix: "0193".into(),
                    count: 2,
                },
                ErrorCode::BadInput,
            ),
            (
                VaultError::StoreBlocked {
                    reason: "full".into(),
                },
                ErrorCode::Blocked,
            ),
            (CatalogError::Full.into(), ErrorCode::Blocked),
            (
                StoreError::Full {
                    what: "the store",
                    directory: None,
                }
                .into(),
                ErrorCode::Blocked,
            ),
            (
                VaultError::io("x", std::io::Error::other("y")),
                ErrorCode::Failed,
            ),
        ];
        for (error, code) in cases {
            assert_eq!(code_of_vault(&error), code, "{error}");
        }
    }
}
