//! What can go wrong before and around a mount.

use std::io;
use std::path::PathBuf;

use crate::config::ConfigError;
use crate::mount::MountError;
use crate::server::{ErrorCode, Failure};
use crate::vault::VaultError;

/// A situation the caller can tell apart.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The settings or the layout.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The vault.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The kernel's side.
    #[error(transparent)]
    Mount(#[from] MountError),
    /// The mountpoint cannot be used.
    #[error("{path}: {problem}", path = .path.display())]
    Mountpoint {
        /// Where to mount.
        path: PathBuf,
        /// What is wrong and what to do.
        problem: String,
    },
    /// The directory is not empty and no vault.
    #[error(
        "{path} is not empty and holds no keepfs.toml: name a vault, or a directory that is empty or not there yet",
        path = .path.display()
    )]
    NotAVault {
        /// The directory.
        path: PathBuf,
    },
    /// A vault cannot be rebuilt among other things.
    #[error(
        "{path} is not empty: name a directory that is empty or not there yet",
        path = .path.display()
    )]
    NotEmpty {
        /// The directory.
        path: PathBuf,
    },
    /// Files would be written among others.
    #[error(
        "the live tree {path} is not empty: give --live-dir another place, move away what is there, or leave --live out; the first mount then takes up what differs",
        path = .path.display()
    )]
    LiveNotEmpty {
        /// The live tree.
        path: PathBuf,
    },
    /// Settings that came out of a store name a live tree outside of the vault.
    #[error(
        "the settings in the store put the live tree into {path}, outside of the vault: if that is where it shall be, give --live-dir {path}, else --live-dir with another place",
        path = .path.display()
    )]
    LiveElsewhere {
        /// Where they put it.
        path: PathBuf,
    },
    /// A secret was given for a store that has no key document.
    #[error(
        "{place} is not encrypted, or has lost its key.json: put that back, or leave the secret out if the vault never was encrypted"
    )]
    NotEncrypted {
        /// The store.
        place: String,
    },
    /// Another rebuild is at work in the same directory.
    #[error(
        "{path} is being rebuilt by another process: wait for its end",
        path = .path.display()
    )]
    BeingRebuilt {
        /// The vault.
        path: PathBuf,
    },
    /// A rebuild did not come to its end.
    #[error(
        "{path} was not rebuilt to its end: run the same keepfs rebuild again",
        path = .path.display()
    )]
    Unfinished {
        /// The vault.
        path: PathBuf,
    },
    /// The catalog is gone, the packs are not.
    #[error(
        "{path} is missing, but the store holds packs: put it back from a copy, or have keepfs rebuild make a new vault out of the store; starting without it would hide all history",
        path = .path.display()
    )]
    CatalogMissing {
        /// Where it should be.
        path: PathBuf,
    },
    /// The system said no.
    #[error("{context}: {error}")]
    Io {
        /// What was being done.
        context: String,
        /// The answer.
        error: io::Error,
    },
    /// The background process said why, or ended without a word.
    #[error(transparent)]
    Background(Failure),
}

impl DaemonError {
    /// Wraps what the system answered.
    pub(super) fn io(context: impl Into<String>, error: impl Into<io::Error>) -> Self {
        DaemonError::Io {
            context: context.into(),
            error: error.into(),
        }
    }
}

impl From<DaemonError> for Failure {
    fn from(error: DaemonError) -> Self {
        let message = error.to_string();
        match error {
            DaemonError::Config(error) => error.into(),
            DaemonError::Vault(error) => error.into(),
            DaemonError::Background(failure) => failure,
            DaemonError::Mountpoint { .. } => Failure::new(ErrorCode::Refused, message),
            DaemonError::NotAVault { .. } => Failure::new(ErrorCode::BadInput, message),
            DaemonError::NotEmpty { .. }
            | DaemonError::LiveNotEmpty { .. }
            | DaemonError::LiveElsewhere { .. }
            | DaemonError::NotEncrypted { .. }
            | DaemonError::BeingRebuilt { .. }
            | DaemonError::Unfinished { .. } => Failure::new(ErrorCode::Refused, message),
            DaemonError::CatalogMissing { .. } => Failure::new(ErrorCode::Damaged, message),
            DaemonError::Mount(_) | DaemonError::Io { .. } => {
                Failure::new(ErrorCode::Failed, message)
            }
        }
    }
}
