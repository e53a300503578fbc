//! What is to be published: the catalog at one moment, read beside those who write.
//!
//! A [`Changes`] sees what was committed when it was opened, for as long as it is open,
//! through a connection of its own: nobody waits for it. The surprise: it gives rows as
//! they are, whatever happened to them, so it does no harm to be given one twice.

use std::ops::Range;
use std::path::{Path, PathBuf};

use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags};

use super::batch::{self, BYTES_GOAL, Block, bytes_of};
use super::changed_rows::{Rows, Table, unpack_into};
use super::errors::failure;
use super::{connect, migrations};
use crate::catalog::journal::{ChangeMark, Extent, is_published};
use crate::catalog::{CatalogError, Result};

/// Below every change.
const NOTHING: ChangeMark = ChangeMark(0);

/// More than there are statements here.
const STATEMENTS_KEPT: usize = 32;

/// The catalog as it was at one moment.
#[derive(Debug)]
pub struct Changes {
    connection: Connection,
    path: PathBuf,
    mark: ChangeMark,
}

impl Changes {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
        let wrap = |error| failure(path, error);
        connection
            .prepare("BEGIN")
            .and_then(|mut begin| begin.raw_execute())
            .map_err(wrap)?;
        // The first read is the moment.
        let mark = connection
            .query_row("SELECT coalesce(max(id), 0) FROM unpublished", [], |row| {
                row.get(0)
            })
            .map_err(wrap)?;
        Ok(Self {
            connection,
            path: path.into(),
            mark: ChangeMark(mark),
        })
    }

    /// How far these changes go.
    pub fn mark(&self) -> ChangeMark {
        self.mark
    }

    /// True when nothing changed since the last time.
    pub fn is_empty(&self) -> bool {
        self.mark == NOTHING
    }

    /// The format that the rows are in.
    pub fn format(&self) -> u32 {
        migrations::KNOWN as u32
    }

    /// Hands over the rows in batches, for [`CatalogBuilder::apply`](super::CatalogBuilder).
    /// All batches together are the change; one alone may make no sense.
    ///
    /// # Errors
    /// When the catalog cannot be read, and whatever `take` fails with.
    pub fn read<E: From<CatalogError>>(
        &self,
        extent: Extent,
        take: &mut dyn FnMut(Vec<u8>) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        let mut open = OpenBatch {
            take,
            batch: Vec::new(),
            block: Block::default(),
            bytes: 0,
        };
        match extent {
            Extent::Changed => {
                let mut changed = self.changed()?;
                for (table, rows) in &mut changed {
                    self.read_rows(*table, rows, &mut open)?;
                }
            }
            Extent::Everything => {
                self.read_settings(&mut open)?;
                for table in Table::numbered() {
                    self.read_table(table, &mut open)?;
                }
            }
        }
        self.read_table(Table::STATE, &mut open)?;
        open.end()
    }

    /// The numbers of the rows that were changed.
    fn changed(&self) -> Result<Rows> {
        let mut changed = Rows::new();
        let mut statement = self.prepare("SELECT rows FROM unpublished ORDER BY id".into())?;
        let mut found = statement.query([]).map_err(|error| self.fail(error))?;
        while let Some(row) = found.next().map_err(|error| self.fail(error))? {
            let bytes: Vec<u8> = row.get(0).map_err(|error| self.fail(error))?;
            unpack_into(&mut changed, &bytes).ok_or_else(|| CatalogError::Corrupt {
                path: self.path.clone(),
                detail: "what is not published yet cannot be read".into(),
            })?;
        }
        Ok(changed)
    }

    fn read_rows<E: From<CatalogError>>(
        &self,
        table: Table,
        rows: &std::collections::BTreeSet<i64>,
        open: &mut OpenBatch<'_, E>,
    ) -> std::result::Result<(), E> {
        if table == Table::SETTING {
            return self.read_settings(open);
        }
        let sql = format!(
            "SELECT rowid, * FROM {} WHERE rowid BETWEEN ?1 AND ?2 ORDER BY rowid",
            table.name()
        );
        let mut statement = self.prepare(sql)?;
        let columns = statement.column_count();
        let rows: Vec<i64> = rows.iter().copied().collect();
        // What many files change lies side by side: one statement for each such run.
        for run in rows.chunk_by(|row, next| row.checked_add(1) == Some(*next)) {
            let (Some(first), Some(last)) = (run.first(), run.last()) else {
                continue;
            };
            let mut numbers = run.iter().copied();
            let mut found = statement
                .query([first, last])
                .map_err(|error| self.fail(error))?;
            while let Some(row) = found.next().map_err(|error| self.fail(error))? {
                let at: i64 = row.get(0).map_err(|error| self.fail(error))?;
                for gone in numbers.by_ref().take_while(|number| *number != at) {
                    open.push_gone(table, gone)?;
                }
                let (row, bytes) = values(row, 1..columns).map_err(|error| self.fail(error))?;
                open.push(table, row, bytes)?;
            }
            for gone in numbers {
                open.push_gone(table, gone)?;
            }
        }
        open.end_block(table);
        Ok(())
    }

    fn read_table<E: From<CatalogError>>(
        &self,
        table: Table,
        open: &mut OpenBatch<'_, E>,
    ) -> std::result::Result<(), E> {
        let mut statement = self.prepare(format!("SELECT * FROM {}", table.name()))?;
        let columns = statement.column_count();
        let mut found = statement.query([]).map_err(|error| self.fail(error))?;
        while let Some(row) = found.next().map_err(|error| self.fail(error))? {
            let (row, bytes) = values(row, 0..columns).map_err(|error| self.fail(error))?;
            open.push(table, row, bytes)?;
        }
        open.end_block(table);
        Ok(())
    }

    fn read_settings<E: From<CatalogError>>(
        &self,
        open: &mut OpenBatch<'_, E>,
    ) -> std::result::Result<(), E> {
        let mut statement = self.prepare("SELECT key, value FROM setting".into())?;
        let mut found = statement.query([]).map_err(|error| self.fail(error))?;
        while let Some(row) = found.next().map_err(|error| self.fail(error))? {
            let key: String = row.get(0).map_err(|error| self.fail(error))?;
            let value: String = row.get(1).map_err(|error| self.fail(error))?;
            if is_published(&key) {
                open.block
                    .rows
                    .push(vec![Value::Text(key), Value::Text(value)]);
            }
        }
        open.end_block(Table::SETTING);
        Ok(())
    }

    fn prepare(&self, sql: String) -> Result<rusqlite::CachedStatement<'_>> {
        self.connection
            .prepare_cached(&sql)
            .map_err(|error| self.fail(error))
    }

    fn fail(&self, error: rusqlite::Error) -> CatalogError {
        failure(&self.path, error)
    }
}

/// Some columns of a row, and what they take in memory.
fn values(row: &rusqlite::Row<'_>, columns: Range<usize>) -> rusqlite::Result<(Vec<Value>, usize)> {
    let mut values = Vec::with_capacity(columns.len());
    let mut bytes = 0;
    for column in columns {
        let value = row.get(column)?;
        bytes += bytes_of(&value);
        values.push(value);
    }
    Ok((values, bytes))
}

/// The batch that rows are gathered in.
struct OpenBatch<'a, E> {
    take: &'a mut dyn FnMut(Vec<u8>) -> std::result::Result<(), E>,
    batch: Vec<u8>,
    block: Block,
    /// Of the rows gathered since a batch was last handed over.
    bytes: usize,
}

impl<E> OpenBatch<'_, E> {
    fn push(&mut self, table: Table, row: Vec<Value>, bytes: usize) -> std::result::Result<(), E> {
        self.block.rows.push(row);
        self.count(table, bytes)
    }

    fn push_gone(&mut self, table: Table, number: i64) -> std::result::Result<(), E> {
        self.block.gone.push(number);
        self.count(table, size_of::<Value>())
    }

    fn count(&mut self, table: Table, bytes: usize) -> std::result::Result<(), E> {
        self.bytes += bytes;
        if self.bytes < BYTES_GOAL {
            return Ok(());
        }
        self.end_block(table);
        self.bytes = 0;
        (self.take)(std::mem::take(&mut self.batch))
    }

    fn end_block(&mut self, table: Table) {
        batch::write(&mut self.batch, table, &std::mem::take(&mut self.block));
    }

    fn end(self) -> std::result::Result<(), E> {
        match self.batch.is_empty() {
            true => Ok(()),
            false => (self.take)(self.batch),
        }
    }
}
