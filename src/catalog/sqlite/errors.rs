//! The one table that turns what SQLite says into a [`CatalogError`].
//!
//! The surprise: on a full disk SQLite sometimes reports that the shared memory
//! file beside the database could not grow, not that the disk is full.

use std::path::Path;

use rusqlite::{Error, ErrorCode, ffi};

use crate::catalog::CatalogError;

/// The error in our words.
pub(super) fn failure(path: &Path, error: Error) -> CatalogError {
    let (code, extended) = match &error {
        Error::SqliteFailure(inner, _) => (inner.code, inner.extended_code),
        Error::SqlInputError { error: inner, .. } => (inner.code, inner.extended_code),
        // A column of a type that we never write.
        Error::FromSqlConversionFailure(..)
        | Error::IntegralValueOutOfRange(..)
        | Error::InvalidColumnType(..) => {
            return corrupt(path, &error);
        }
        _ => return CatalogError::Database(error.to_string()),
    };
    match code {
        ErrorCode::DiskFull => CatalogError::Full,
        ErrorCode::SystemIoFailure if extended == ffi::SQLITE_IOERR_SHMSIZE => CatalogError::Full,
        ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => corrupt(path, &error),
        ErrorCode::DatabaseBusy
        | ErrorCode::DatabaseLocked
        | ErrorCode::FileLockingProtocolFailed => CatalogError::Locked { path: path.into() },
        ErrorCode::ConstraintViolation => CatalogError::Invariant(error.to_string()),
        _ => CatalogError::Database(format!("{}: {error}", path.display())),
    }
}

fn corrupt(path: &Path, error: &Error) -> CatalogError {
    CatalogError::Corrupt {
        path: path.into(),
        detail: error.to_string(),
    }
}
