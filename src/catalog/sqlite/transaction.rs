//! Savepoints, commits, and what happens when a commit fails.
//!
//! The transaction begins at the first write after a commit; savepoints that see
//! no write cost nothing. SQLite rolls everything back when a commit fails on a
//! full disk: every change is therefore kept in `redo` until it is committed, and
//! done again after such a failure, and the next commit tries again. Where even that fails,
//! nothing is read until it went through: it would be the state of before.
//! The surprise: SQLite does not hear of savepoints that are seldom undone, because it
//! would copy each page that is changed in one. To undo one, all is rolled back, and
//! what came before it is done again.

use rusqlite::Connection;
use rusqlite::types::Value;

use super::{SqliteCatalog, invariant};
use crate::catalog::sqlite::state::State;
use crate::catalog::{CatalogError, Durability, Result, Undo};

/// One statement that was executed, to execute it again.
#[derive(Debug)]
pub(super) struct Change {
    sql: &'static str,
    values: Vec<Value>,
}

/// A savepoint: how far things were.
#[derive(Debug)]
pub(super) struct Mark {
    redo: usize,
    state: State,
    undo: Undo,
}

/// The values of a statement.
macro_rules! values {
    ($($value:expr),* $(,)?) => { vec![$(rusqlite::types::Value::from($value)),*] };
}
pub(super) use values;

impl SqliteCatalog {
    /// Executes a changing statement; returns how many rows it changed. Without RETURNING,
    /// and with VALUES rather than SELECT: SQLite copies each page before it changes it for a
    /// statement that it may have to undo in part.
    pub(super) fn write(&mut self, sql: &'static str, values: Vec<Value>) -> Result<usize> {
        self.begin()?;
        let change = Change { sql, values };
        match change.execute(&self.connection) {
            Ok(rows) => {
                self.redo.push(change);
                Ok(rows)
            }
            Err(error) => {
                let error = self.fail(error);
                self.redo_if_rolled_back()?;
                Err(error)
            }
        }
    }

    /// Executes an INSERT; returns its row.
    pub(super) fn insert(&mut self, sql: &'static str, values: Vec<Value>) -> Result<i64> {
        self.write(sql, values)?;
        Ok(self.connection.last_insert_rowid())
    }

    pub(super) fn savepoint_begin(&mut self, undo: Undo) {
        self.marks.push(Mark {
            redo: self.redo.len(),
            state: self.state,
            undo,
        });
    }

    pub(super) fn savepoint_release(&mut self) -> Result<()> {
        let Some(mark) = self.marks.pop() else {
            return invariant("release without a savepoint");
        };
        if self.marks_set > self.marks.len() {
            self.marks_set = self.marks.len();
            if mark.undo == Undo::Often {
                self.command("RELEASE mark")?;
            }
        }
        Ok(())
    }

    pub(super) fn savepoint_rollback(&mut self) -> Result<()> {
        let Some(mark) = self.marks.pop() else {
            return invariant("rollback without a savepoint");
        };
        let has_changes = self.redo.len() > mark.redo;
        self.redo.truncate(mark.redo);
        self.state = mark.state;
        if self.connection.is_autocommit() {
            return self.redo_if_rolled_back();
        }
        if self.marks_set > self.marks.len() {
            self.marks_set = self.marks.len();
            match mark.undo {
                Undo::Often => {
                    self.command("ROLLBACK TO mark")?;
                    self.command("RELEASE mark")?;
                }
                Undo::Seldom if has_changes => {
                    self.command("ROLLBACK")?;
                    self.begin_again()?;
                }
                Undo::Seldom => {}
            }
        }
        Ok(())
    }

    pub(super) fn commit_all(&mut self, durability: Durability) -> Result<()> {
        if !self.marks.is_empty() {
            return invariant("commit with a savepoint open");
        }
        self.commit_to_log()?;
        if durability == Durability::Power && self.unflushed {
            self.flush_log()?;
            self.unflushed = false;
        }
        Ok(())
    }

    /// Into the write-ahead log: safe from the end of the process.
    fn commit_to_log(&mut self) -> Result<()> {
        if self.redo.is_empty() {
            if !self.connection.is_autocommit() {
                self.command("ROLLBACK")?;
            }
            return Ok(());
        }
        self.begin()?;
        let done = if self.state == self.stored_state {
            Ok(())
        } else {
            self.state.store(&self.connection)
        };
        let done = done
            .and_then(|()| self.changed.write(&self.connection))
            .and_then(|()| execute(&self.connection, "COMMIT"));
        if let Err(error) = done {
            let error = self.fail(error);
            if let Err(again) = self.redo_if_rolled_back() {
                log::error!("{}: after a failed commit: {again}", self.path.display());
            }
            return Err(error);
        }
        self.redo.clear();
        self.changed.committed();
        self.stored_state = self.state;
        self.unflushed = true;
        self.checkpoints.after_commit(&self.connection);
        Ok(())
    }

    /// Flushes the write-ahead log to the disk, with all that earlier commits wrote.
    ///
    /// SQLite flushes only at a commit under FULL, and FULL cannot be switched on
    /// inside a transaction: hence a commit of its own, of one small row.
    fn flush_log(&mut self) -> Result<()> {
        let flushed = execute(&self.connection, "PRAGMA synchronous = FULL").and_then(|()| {
            execute(
                &self.connection,
                "UPDATE state SET flushes = flushes + 1 WHERE one = 1",
            )
        });
        let normal = execute(&self.connection, "PRAGMA synchronous = NORMAL");
        flushed.and(normal).map_err(|error| self.fail(error))
    }

    /// Makes sure that the transaction is open, holds all of `redo`, and that SQLite
    /// knows every savepoint that it shall know.
    fn begin(&mut self) -> Result<()> {
        if self.read_only {
            return Err(CatalogError::Database(format!(
                "{}: opened for reading only",
                self.path.display()
            )));
        }
        if self.connection.is_autocommit() {
            self.begin_again()?;
        }
        self.set_marks_up_to(usize::MAX)
    }

    /// Fails while the changes since the last commit could not be done again: whoever read
    /// now would see the state of before, and decide by it. The next write tries again.
    pub(super) fn require_all_changes(&self) -> Result<()> {
        match self.redo.is_empty() || !self.connection.is_autocommit() {
            true => Ok(()),
            false => Err(CatalogError::Database(format!(
                "{}: the database gave up {} changes and did not take them again yet",
                self.path.display(),
                self.redo.len()
            ))),
        }
    }

    fn redo_if_rolled_back(&mut self) -> Result<()> {
        if !self.connection.is_autocommit() {
            return Ok(());
        }
        self.marks_set = 0;
        if !self.redo.is_empty() {
            log::warn!(
                "{}: the database gave up a transaction; doing its {} changes again",
                self.path.display(),
                self.redo.len()
            );
            self.begin_again()?;
        }
        Ok(())
    }

    fn begin_again(&mut self) -> Result<()> {
        self.marks_set = 0;
        self.command("BEGIN IMMEDIATE")?;
        for done in 0..self.redo.len() {
            self.set_marks_up_to(done)?;
            if let Err(error) = self.redo[done].execute(&self.connection) {
                // Half a transaction must not be committed: away with it, so that the next
                // attempt starts from the beginning.
                let error = self.fail(error);
                self.marks_set = 0;
                if !self.connection.is_autocommit() {
                    self.command("ROLLBACK")?;
                }
                return Err(error);
            }
        }
        Ok(())
    }

    /// Tells SQLite of the savepoints that began before change number `done`.
    fn set_marks_up_to(&mut self, done: usize) -> Result<()> {
        while self
            .marks
            .get(self.marks_set)
            .is_some_and(|mark| mark.redo <= done)
        {
            if self.marks[self.marks_set].undo == Undo::Often {
                self.command("SAVEPOINT mark")?;
            }
            self.marks_set += 1;
        }
        Ok(())
    }

    fn command(&self, sql: &str) -> Result<()> {
        execute(&self.connection, sql).map_err(|error| self.fail(error))
    }
}

impl Change {
    /// Returns how many rows it changed.
    fn execute(&self, connection: &Connection) -> rusqlite::Result<usize> {
        let mut statement = connection.prepare_cached(self.sql)?;
        statement.execute(rusqlite::params_from_iter(&self.values))
    }
}

fn execute(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.raw_execute().map(|_| ())
}
