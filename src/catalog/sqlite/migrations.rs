//! The format of the catalog file: numbered SQL files, run once each, in order.
//!
//! A released file is never edited; a change of the format is a new file at the
//! end of [`STEPS`]. `application_id` says that a database is a catalog at all,
//! `user_version` how many steps it has been through.

use std::path::Path;

use rusqlite::Connection;

use super::errors::failure;
use crate::catalog::{CatalogError, Result};

/// "kpfs": what `file(1)` and we know a catalog by.
const APPLICATION_ID: i64 = 0x6b70_6673;

const STEPS: [&str; 4] = [
    include_str!("migrations/0001_first.sql"),
    include_str!("migrations/0002_hold.sql"),
    include_str!("migrations/0003_journal.sql"),
    include_str!("migrations/0004_label.sql"),
];

/// The newest format of this program.
pub(super) const KNOWN: i64 = STEPS.len() as i64;

/// What a database file is to us.
enum Found {
    Empty,
    Format(i64),
}

/// Brings the file to the newest format.
pub(super) fn migrate(connection: &mut Connection, path: &Path) -> Result<()> {
    let from = match look(connection, path)? {
        Found::Empty => 0,
        Found::Format(format) => format,
    };
    if from == KNOWN {
        return Ok(());
    }
    log::info!("{}: catalog format {from} to {KNOWN}", path.display());
    step(connection, path, from, KNOWN)
}

/// Makes an empty file a catalog of a format that may be an older one.
pub(super) fn create(connection: &mut Connection, path: &Path, format: i64) -> Result<()> {
    match format {
        1..=KNOWN => step(connection, path, 0, format),
        ..1 => Err(corrupt(path, "there is no such format")),
        _ => Err(CatalogError::NewerFormat {
            path: path.into(),
            found: format,
            known: KNOWN,
        }),
    }
}

fn step(connection: &mut Connection, path: &Path, from: i64, to: i64) -> Result<()> {
    let wrap = |error| failure(path, error);
    let unit = connection
        .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)
        .map_err(wrap)?;
    for step in &STEPS[from as usize..to as usize] {
        unit.execute_batch(step).map_err(wrap)?;
    }
    unit.pragma_update(None, "application_id", APPLICATION_ID)
        .map_err(wrap)?;
    unit.pragma_update(None, "user_version", to).map_err(wrap)?;
    unit.commit().map_err(wrap)
}

/// Refuses a file that we would not migrate, and changes nothing.
pub(super) fn require_migratable(connection: &Connection, path: &Path) -> Result<()> {
    look(connection, path).map(|_| ())
}

/// Refuses a file that is not of the newest format, and changes nothing.
pub(super) fn require_newest(connection: &Connection, path: &Path) -> Result<()> {
    match look(connection, path)? {
        Found::Format(KNOWN) => Ok(()),
        Found::Format(format) => Err(CatalogError::Database(format!(
            "{}: format {format} is older than this keepfs ({KNOWN}): mount the vault once to bring it up to date",
            path.display()
        ))),
        Found::Empty => Err(corrupt(path, "the file is empty")),
    }
}

fn look(connection: &Connection, path: &Path) -> Result<Found> {
    let wrap = |error| failure(path, error);
    let number = |pragma| {
        connection
            .pragma_query_value(None, pragma, |row| row.get::<_, i64>(0))
            .map_err(wrap)
    };
    let (application, format) = (number("application_id")?, number("user_version")?);
    let tables: i64 = connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(wrap)?;
    match (application, format, tables) {
        (0, 0, 0) => Ok(Found::Empty),
        (APPLICATION_ID, format, _) if format > KNOWN => Err(CatalogError::NewerFormat {
            path: path.into(),
            found: format,
            known: KNOWN,
        }),
        (APPLICATION_ID, format @ 1.., 1..) => Ok(Found::Format(format)),
        _ => Err(corrupt(path, "it is a database, but not a keepfs catalog")),
    }
}

fn corrupt(path: &Path, detail: &str) -> CatalogError {
    CatalogError::Corrupt {
        path: path.into(),
        detail: detail.into(),
    }
}
