//! The catalog in SQLite: one file, one connection, one open transaction.
//!
//! The trait is implemented in `facade`, theme by theme in the files beside it.
//! Every change goes through `SqliteCatalog::write` and its kin, never through the
//! connection directly. The surprise: SQLite gives up the whole transaction when a commit
//! finds the disk full, so what was written since the last commit is also kept in
//! memory and done again; see `transaction`.

mod batch;
mod builder;
mod changed_rows;
mod changes;
mod check;
mod checkpoint;
mod codec;
mod contents;
mod errors;
mod facade;
mod holds;
mod labels;
mod listing;
mod live_files;
mod migrations;
mod moves;
mod namespace;
mod packs;
mod published;
mod settings;
mod space;
mod state;
mod tally;
#[cfg(test)]
mod tests;
mod transaction;
mod varint;
mod versions;

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, Params, Row};

pub use self::builder::{CatalogBuilder, Group};
use self::changed_rows::ChangedRows;
pub use self::changes::Changes;
use self::checkpoint::Checkpoints;
use self::errors::failure;
use self::published::UnpublishedVersions;
use self::state::State;
use self::transaction::{Change, Mark};
use crate::catalog::{CatalogError, Result};

/// How long another process may hold the database before we say so.
const BUSY_PATIENCE: Duration = Duration::from_secs(2);

/// More than there are statements in this module.
const STATEMENTS_KEPT: usize = 128;

/// The catalog of one vault in a file.
pub struct SqliteCatalog {
    // First, so that it is closed first: the connection that closes last tidies up.
    checkpoints: Checkpoints,
    connection: Connection,
    path: PathBuf,
    read_only: bool,
    /// Counts as of now, and as the file has them.
    state: State,
    stored_state: State,
    /// What was written since the last commit, in order.
    redo: Vec<Change>,
    changed: ChangedRows,
    unpublished_versions: UnpublishedVersions,
    /// The open savepoints, outermost first; the first `marks_set` of them are known to SQLite.
    marks: Vec<Mark>,
    marks_set: usize,
    /// Committed changes may not have reached the disk.
    unflushed: bool,
}

impl SqliteCatalog {
    /// Opens the catalog, and makes it where there is none.
    ///
    /// # Errors
    /// `NewerFormat`, `Corrupt` when it is no catalog, `Locked`, `Full`.
    pub fn open(path: &Path) -> Result<Self> {
        let create = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
        let mut connection = connect(path, create)?;
        // First: a foreign file is not even switched to another journal mode.
        migrations::require_migratable(&connection, path)?;
        let wrap = |error| failure(path, error);
        // Whatever opening writes (a new file, a migration) survives power loss.
        connection
            .pragma_update(None, "synchronous", "FULL")
            .map_err(wrap)?;
        let mode: String = connection
            .query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))
            .map_err(wrap)?;
        if mode != "wal" {
            return Err(CatalogError::Database(format!(
                "{}: this filesystem cannot keep a write-ahead log, and without one \
                 commits would not survive power loss: put the vault on a local disk",
                path.display()
            )));
        }
        migrations::migrate(&mut connection, path)?;
        Self::start(connection, path, false)
    }

    /// Opens an existing catalog to look at it, also while a mount is writing to
    /// it. What the mount did not commit yet is not seen.
    ///
    /// # Errors
    /// As [`open`](Self::open), and when there is no such file.
    pub fn open_read_only(path: &Path) -> Result<Self> {
        let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        migrations::require_newest(&connection, path)?;
        Self::start(connection, path, true)
    }

    fn start(mut connection: Connection, path: &Path, read_only: bool) -> Result<Self> {
        let wrap = |error| failure(path, error);
        connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
        // Without this promise SQLite plans a query anew whenever other values are bound
        // to it, which costs more than the query.
        connection
            .set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)
            .map_err(wrap)?;
        for (pragma, value) in [
            // Off: dirty pages stay in memory until the commit, so that nothing but a
            // commit can find the disk full.
            ("cache_spill", "OFF"),
            ("cache_size", "-65536"),
            ("temp_store", "MEMORY"),
            ("foreign_keys", "OFF"),
            ("synchronous", "NORMAL"),
            // See `checkpoint`.
            ("wal_autocheckpoint", "0"),
            ("journal_size_limit", "134217728"),
        ] {
            connection
                .pragma_update_and_check(None, pragma, value, |_| Ok(()))
                .or_else(|error| match error {
                    rusqlite::Error::QueryReturnedNoRows => Ok(()),
                    error => Err(error),
                })
                .map_err(wrap)?;
        }
        // A first read through the tables that everything depends on: a file cut short
        // or overwritten is noticed now, not in the middle of somebody's save.
        let state = State::load(&connection).map_err(|error| match failure(path, error) {
            CatalogError::Database(detail) => CatalogError::Corrupt {
                path: path.into(),
                detail,
            },
            error => error,
        })?;
        let changed = match read_only {
            true => ChangedRows::default(),
            false => ChangedRows::watch(&mut connection).map_err(wrap)?,
        };
        Ok(Self {
            changed,
            unpublished_versions: UnpublishedVersions::default(),
            checkpoints: Checkpoints::of(path),
            connection,
            path: path.into(),
            read_only,
            state,
            stored_state: state,
            redo: Vec::new(),
            marks: Vec::new(),
            marks_set: 0,
            // An earlier process may have committed without a flush.
            unflushed: true,
        })
    }

    fn fail(&self, error: rusqlite::Error) -> CatalogError {
        failure(&self.path, error)
    }

    fn corrupt(&self, detail: impl Into<String>) -> CatalogError {
        CatalogError::Corrupt {
            path: self.path.clone(),
            detail: detail.into(),
        }
    }

    /// The first row of a query.
    fn one<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>> {
        self.require_all_changes()?;
        let mut statement = self
            .connection
            .prepare_cached(sql)
            .map_err(|error| self.fail(error))?;
        match statement.query_row(params, read) {
            Ok(value) => Ok(Some(value)),
            Err(rusqlite::Error::QueryReturnedNoRows) => Ok(None),
            Err(error) => Err(self.fail(error)),
        }
    }

    /// All rows of a query.
    fn many<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>> {
        self.require_all_changes()?;
        let mut statement = self
            .connection
            .prepare_cached(sql)
            .map_err(|error| self.fail(error))?;
        statement
            .query_map(params, read)
            .and_then(Iterator::collect)
            .map_err(|error| self.fail(error))
    }
}

impl fmt::Debug for SqliteCatalog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteCatalog")
            .field("path", &self.path)
            .field("uncommitted", &self.redo.len())
            .finish_non_exhaustive()
    }
}

fn connect(path: &Path, how: OpenFlags) -> Result<Connection> {
    let wrap = |error| failure(path, error);
    // No mutex in SQLite: the trait's `&mut self` is one.
    let connection =
        Connection::open_with_flags(path, how | OpenFlags::SQLITE_OPEN_NO_MUTEX).map_err(wrap)?;
    connection.busy_timeout(BUSY_PATIENCE).map_err(wrap)?;
    Ok(connection)
}

fn invariant<T>(detail: impl Into<String>) -> Result<T> {
    Err(CatalogError::Invariant(detail.into()))
}
