//! Which rows were changed since the journal in the store last heard of them.
//!
//! SQLite names each row that a statement changes; a commit writes the names of its
//! rows into `unpublished`, so that a kill forgets none. The surprise: these are names
//! only. What a row holds is read when it is published, once for all its changes; so a
//! row that a rollback put back may be among them, which costs nothing but its bytes.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;

use super::varint::{put, put_step, take, take_step};

/// The tables that are published. The place in the list is the code in the journal's
/// format: add at the end only.
const TABLES: [&str; 12] = [
    "setting",
    "state",
    "entry",
    "directory",
    "asset",
    "version",
    "sealed",
    "hold",
    "content",
    "chunk",
    "pack",
    "label",
];

/// A table that is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Table(u8);

impl Table {
    /// Has no row ids: it is published whole, but for what is of this machine alone.
    pub(super) const SETTING: Self = Self(0);
    /// One row, which every commit may change: it goes with whatever is published.
    pub(super) const STATE: Self = Self(1);
    /// Each row is a version.
    pub(super) const VERSION: Self = Self(5);

    pub(super) fn of_code(code: u8) -> Option<Self> {
        (usize::from(code) < TABLES.len()).then_some(Self(code))
    }

    pub(super) fn code(self) -> u8 {
        self.0
    }

    pub(super) fn name(self) -> &'static str {
        TABLES[usize::from(self.0)]
    }

    /// All whose rows have numbers, but for the one that goes with everything.
    pub(super) fn numbered() -> impl Iterator<Item = Self> {
        (2..TABLES.len() as u8).map(Self)
    }

    fn named(name: &str) -> Option<Self> {
        Self::numbered().find(|table| table.name() == name)
    }
}

/// Rows by their table, in order.
pub(super) type Rows = BTreeMap<Table, BTreeSet<i64>>;

/// The rows that were changed since the last commit.
#[derive(Debug, Default, Clone)]
pub(super) struct ChangedRows(Arc<Mutex<HashSet<(Table, i64)>>>);

impl ChangedRows {
    /// Takes note of every change through this connection from now on.
    pub(super) fn watch(connection: &mut Connection) -> rusqlite::Result<Self> {
        let rows = Self::default();
        let noted = rows.clone();
        connection.update_hook(Some(move |_, _: &str, table: &str, row| {
            if let Some(table) = Table::named(table) {
                noted.set().insert((table, row));
            }
        }))?;
        Ok(rows)
    }

    /// A setting that is published was changed.
    pub(super) fn note_setting(&self) {
        self.set().insert((Table::SETTING, 0));
    }

    /// Writes the rows down in the open transaction. They are noted until
    /// [`committed`](Self::committed).
    pub(super) fn write(&self, connection: &Connection) -> rusqlite::Result<()> {
        let mut rows = Rows::new();
        for &(table, row) in self.set().iter() {
            rows.entry(table).or_default().insert(row);
        }
        if rows.is_empty() {
            return Ok(());
        }
        connection
            .prepare_cached("INSERT INTO unpublished (rows) VALUES (?1)")?
            .execute([pack(&rows)])
            .map(|_| ())
    }

    /// True when nothing was changed since the last commit.
    pub(super) fn is_empty(&self) -> bool {
        self.set().is_empty()
    }

    /// Whether that row was changed since the last commit.
    pub(super) fn has(&self, table: Table, row: i64) -> bool {
        self.set().contains(&(table, row))
    }

    pub(super) fn committed(&self) {
        self.set().clear();
    }

    fn set(&self) -> MutexGuard<'_, HashSet<(Table, i64)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Rows as bytes: for each table its code, how many, and their numbers as differences.
fn pack(rows: &Rows) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (table, rows) in rows {
        bytes.push(table.code());
        put(&mut bytes, rows.len() as u64);
        let mut last = 0;
        for row in rows {
            put_step(&mut bytes, &mut last, *row);
        }
    }
    bytes
}

/// Adds the rows that [`pack`] made bytes of. `None`: they are damaged.
pub(super) fn unpack_into(rows: &mut Rows, mut bytes: &[u8]) -> Option<()> {
    while let Some((code, rest)) = bytes.split_first() {
        bytes = rest;
        let rows = rows.entry(Table::of_code(*code)?).or_default();
        let count = take(&mut bytes)?;
        let mut last = 0;
        for _ in 0..count {
            rows.insert(take_step(&mut bytes, &mut last)?);
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_table_of_versions_is_the_one_of_that_name() {
        assert_eq!(Table::named("version"), Some(Table::VERSION));
    }

    proptest! {
        #[test]
        fn rows_read_back_as_they_were_written(
            rows in proptest::collection::btree_map(
                0..TABLES.len() as u8,
                proptest::collection::btree_set(any::<i64>(), 1..20),
                0..5,
            )
        ) {
            let rows: Rows = rows.into_iter().map(|(code, rows)| (Table(code), rows)).collect();
            let mut again = Rows::new();
            prop_assert_eq!(unpack_into(&mut again, &pack(&rows)), Some(()));
            prop_assert_eq!(again, rows);
        }

        #[test]
        fn damaged_bytes_are_refused_or_read_as_something_else(bytes: Vec<u8>) {
            let _ = unpack_into(&mut Rows::new(), &bytes);
        }
    }
}
