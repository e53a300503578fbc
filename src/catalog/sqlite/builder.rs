//! A catalog made anew out of what was published.
//!
//! The batches come from a store that strangers may have written to: whatever is in
//! them can end in an error, and in no statement but those below. Only when all are
//! applied does [`CatalogBuilder::finish`] look whether they make sense. The surprise:
//! until then there is no index, for hashes come in no order, and each would land on
//! another page of its index.

use std::path::{Path, PathBuf};

use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags, params_from_iter};

use super::batch::{self, Block};
use super::changed_rows::Table;
use super::errors::failure;
use super::{SqliteCatalog, connect, migrations};
use crate::catalog::journal::is_published;
use crate::catalog::{CatalogError, Result};

/// What became of a group of batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// All of it was there.
    Whole,
    /// The machine that wrote it did not come to its end.
    Unfinished,
}

/// A catalog that is not there yet.
#[derive(Debug)]
pub struct CatalogBuilder {
    connection: Connection,
    path: PathBuf,
    /// The statements that make the indexes.
    indexes: Vec<String>,
}

impl CatalogBuilder {
    /// Begins a catalog in a new file, in the format that the rows were published in.
    ///
    /// # Errors
    /// `NewerFormat`, and when the file cannot be made.
    pub fn create(path: &Path, format: u32) -> Result<Self> {
        let create = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
        let mut connection = connect(path, create)?;
        // The file is nobody's until it is finished.
        for (pragma, value) in [("synchronous", "OFF"), ("cache_size", "-65536")] {
            connection
                .pragma_update(None, pragma, value)
                .map_err(|error| failure(path, error))?;
        }
        migrations::create(&mut connection, path, format.into())?;
        let mut builder = Self {
            connection,
            path: path.into(),
            indexes: Vec::new(),
        };
        builder.execute("BEGIN", [])?;
        builder.indexes =
            take_indexes(&builder.connection).map_err(|error| failure(path, error))?;
        Ok(builder)
    }

    /// Does what a batch says. Batches are applied in the order they were published in.
    ///
    /// # Errors
    /// When it is no batch, or one of another format.
    pub fn apply(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            let (table, block) =
                batch::read(&mut bytes).ok_or_else(|| self.senseless("a batch is damaged"))?;
            self.apply_block(table, &block)?;
        }
        Ok(())
    }

    fn apply_block(&self, table: Table, block: &Block) -> Result<()> {
        let name = table.name();
        if table == Table::SETTING {
            self.execute("DELETE FROM setting", [])?;
        }
        for &gone in &block.gone {
            self.execute(
                &format!("DELETE FROM {name} WHERE rowid = ?1"),
                [Value::Integer(gone)],
            )?;
        }
        let Some(first) = block.rows.first() else {
            return Ok(());
        };
        let marks = vec!["?"; first.len()].join(", ");
        // A row that still has what another one took over is itself among the changes of the
        // group: after it, no two have the same.
        let sql = format!("INSERT OR REPLACE INTO {name} VALUES ({marks})");
        for row in &block.rows {
            if table == Table::SETTING
                && !matches!(row.first(), Some(Value::Text(key)) if is_published(key))
            {
                continue;
            }
            self.execute(&sql, row.iter().cloned())?;
        }
        Ok(())
    }

    /// Begins a group of batches that make sense only together. What was applied before
    /// stays.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn begin_group(&mut self) -> Result<()> {
        // No savepoint: in one, SQLite writes each page that a statement touches to a
        // temporary file, statement after statement.
        self.execute("COMMIT", [])?;
        self.execute("BEGIN", [])
    }

    /// Keeps the batches of a group, or takes them back.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn end_group(&mut self, group: Group) -> Result<()> {
        match group {
            Group::Whole => Ok(()),
            Group::Unfinished => {
                self.execute("ROLLBACK", [])?;
                self.execute("BEGIN", [])
            }
        }
    }

    /// Forgets what the live files looked like on the machine that published them, but for
    /// their last attributes: another filesystem gives the same numbers to other files.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn forget_files(&mut self) -> Result<()> {
        self.execute(
            "UPDATE asset SET dev = NULL, ino = NULL, nlink = NULL, size = NULL, ctime = NULL
             WHERE dev IS NOT NULL",
            [],
        )
    }

    /// Commits, brings the catalog to the newest format and looks for what makes no sense.
    ///
    /// # Errors
    /// When what was applied is no whole catalog.
    pub fn finish(self) -> Result<()> {
        for index in &self.indexes {
            let made = self.connection.execute(index, []);
            made.map_err(|error| match failure(&self.path, error) {
                CatalogError::Invariant(detail) => self.senseless(&detail),
                error => error,
            })?;
        }
        self.execute("COMMIT", [])?;
        let path = self.path.clone();
        drop(self.connection);
        // SQLite wrote each page a moment ago: that they are whole needs no look.
        let damages = SqliteCatalog::open(&path)?.look_for_nonsense()?;
        match damages.first() {
            None => Ok(()),
            Some(first) => Err(senseless(&path, first)),
        }
    }

    fn execute(&self, sql: &str, values: impl IntoIterator<Item = Value>) -> Result<()> {
        self.connection
            .prepare_cached(sql)
            .and_then(|mut statement| statement.execute(params_from_iter(values)))
            .map(|_| ())
            .map_err(|error| match failure(&self.path, error) {
                // A constraint, a count of columns: not what a catalog would have had.
                CatalogError::Database(detail) | CatalogError::Invariant(detail) => {
                    self.senseless(&detail)
                }
                error => error,
            })
    }

    fn senseless(&self, detail: &str) -> CatalogError {
        senseless(&self.path, detail)
    }
}

/// Removes all indexes; returns what makes them again.
fn take_indexes(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let indexes = connection
        .prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<Vec<(String, String)>>>()?;
    for (name, _) in &indexes {
        connection.execute(&format!("DROP INDEX {name}"), [])?;
    }
    Ok(indexes.into_iter().map(|(_, sql)| sql).collect())
}

fn senseless(path: &Path, detail: &str) -> CatalogError {
    CatalogError::Corrupt {
        path: path.into(),
        detail: format!("the store's journal describes no whole catalog: {detail}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_rows_of_which_there_can_be_one_are_no_catalog() {
        let contents = Table::numbered().find(|table| table.name() == "content");
        let row = |id| {
            vec![
                Value::Integer(id),
                Value::Blob(vec![1; 32]),
                Value::Integer(3),
                Value::Blob(Vec::new()),
            ]
        };
        let mut twice = Vec::new();
        let block = Block {
            gone: Vec::new(),
            rows: vec![row(1), row(2)],
        };
        batch::write(&mut twice, contents.unwrap(), &block);
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("catalog.db");
        let mut builder = CatalogBuilder::create(&path, migrations::KNOWN as u32).unwrap();
        builder.apply(&twice).unwrap();
        let refused = builder.finish().unwrap_err();
        assert!(
            matches!(&refused, CatalogError::Corrupt { detail, .. } if detail.contains("no whole catalog")),
            "{refused:?}"
        );
    }
}
