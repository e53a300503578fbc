//! The one table that turns what SQLite says into a [`CatalogError`].
//!
//! The surprise: a quota that is used up, or a disk too full for the shared memory
//! file beside the database, is a plain I/O failure to SQLite. Only a write of our
//! own tells what it was.

use std::io::{ErrorKind, Write};
use std::path::Path;

use rusqlite::{Error, ErrorCode};

use crate::catalog::CatalogError;

/// The error in our words.
pub(super) fn failure(path: &Path, error: Error) -> CatalogError {
    let code = match &error {
        Error::SqliteFailure(inner, _) | Error::SqlInputError { error: inner, .. } => inner.code,
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
        ErrorCode::SystemIoFailure if !has_room_beside(path) => CatalogError::Full,
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

/// Whether the disk and the quota take another few pages.
fn has_room_beside(path: &Path) -> bool {
    let mut probe = path.as_os_str().to_owned();
    probe.push("-probe");
    let written =
        std::fs::File::create(&probe).and_then(|mut file| file.write_all(&[0; 64 * 1024]));
    let _ = std::fs::remove_file(&probe);
    !matches!(
        written.map_err(|error| error.kind()),
        Err(ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
    )
}
