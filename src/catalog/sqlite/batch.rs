//! Rows as the journal has them: a batch of bytes, column by column.
//!
//! A batch is blocks, each of one table: rows that are gone, then rows as they are now.
//! A column is the kinds of its values, then its integers as differences, then the
//! lengths and the bytes of its blobs and texts: like beside like, for the compressor.
//! Reading takes any bytes; what is not a batch is `None`.

use rusqlite::types::Value;

use super::changed_rows::Table;
use super::varint::{put, put_step, take, take_part, take_step};

const NULL: u8 = 0;
const INTEGER: u8 = 1;
const BLOB: u8 = 2;
const TEXT: u8 = 3;

/// Bytes in memory after which a batch is closed: a value counts as much as it takes there.
pub(super) const BYTES_GOAL: usize = 8 << 20;
/// More than the values of any batch: memory for them is reserved up to here only.
const VALUES_MAX: usize = 2 * BYTES_GOAL / size_of::<Value>();

/// Some rows of one table.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Block {
    /// Rows that are gone, by number.
    pub gone: Vec<i64>,
    /// Rows as they are, each with all its columns.
    pub rows: Vec<Vec<Value>>,
}

impl Block {
    fn is_empty(&self) -> bool {
        self.gone.is_empty() && self.rows.is_empty()
    }
}

/// Adds a block to a batch.
pub(super) fn write(batch: &mut Vec<u8>, table: Table, block: &Block) {
    // That there are no settings is to be said, too.
    if block.is_empty() && table != Table::SETTING {
        return;
    }
    batch.push(table.code());
    put(batch, block.gone.len() as u64);
    let mut last = 0;
    for row in &block.gone {
        put_step(batch, &mut last, *row);
    }
    put(batch, block.rows.len() as u64);
    let columns = block.rows.first().map_or(0, Vec::len);
    put(batch, columns as u64);
    for column in 0..columns {
        write_column(batch, block.rows.iter().map(|row| &row[column]));
    }
}

fn write_column<'a>(batch: &mut Vec<u8>, values: impl Iterator<Item = &'a Value>) {
    let (mut integers, mut lengths, mut bytes) = (Vec::new(), Vec::new(), Vec::new());
    let mut last = 0;
    for value in values {
        let (kind, part): (u8, &[u8]) = match value {
            // No table has a column of reals.
            Value::Null | Value::Real(_) => (NULL, &[]),
            Value::Integer(number) => {
                put_step(&mut integers, &mut last, *number);
                (INTEGER, &[])
            }
            Value::Blob(blob) => (BLOB, blob),
            Value::Text(text) => (TEXT, text.as_bytes()),
        };
        batch.push(kind);
        if kind >= BLOB {
            put(&mut lengths, part.len() as u64);
            bytes.extend_from_slice(part);
        }
    }
    for section in [integers, lengths, bytes] {
        put(batch, section.len() as u64);
        batch.extend_from_slice(&section);
    }
}

/// Takes the next block off a batch. `None`: there is no whole one.
pub(super) fn read(batch: &mut &[u8]) -> Option<(Table, Block)> {
    let (code, rest) = batch.split_first()?;
    *batch = rest;
    let table = Table::of_code(*code)?;
    let mut block = Block::default();
    let mut last = 0;
    for _ in 0..take(batch)? {
        block.gone.push(take_step(batch, &mut last)?);
    }
    let count = usize::try_from(take(batch)?).ok()?;
    let columns = usize::try_from(take(batch)?).ok()?;
    let values = count.checked_mul(columns)?;
    if values > VALUES_MAX || (count > 0) != (columns > 0) {
        return None;
    }
    block.rows = (0..count).map(|_| Vec::with_capacity(columns)).collect();
    for _ in 0..columns {
        read_column(batch, &mut block.rows)?;
    }
    Some((table, block))
}

fn read_column(batch: &mut &[u8], rows: &mut [Vec<Value>]) -> Option<()> {
    let (kinds, rest) = batch.split_at_checked(rows.len())?;
    *batch = rest;
    let mut integers = take_part(batch)?;
    let mut lengths = take_part(batch)?;
    let mut bytes = take_part(batch)?;
    let mut last = 0;
    for (row, kind) in rows.iter_mut().zip(kinds) {
        let mut part = || {
            let length = usize::try_from(take(&mut lengths)?).ok()?;
            let (part, rest) = bytes.split_at_checked(length)?;
            bytes = rest;
            Some(part.to_vec())
        };
        row.push(match *kind {
            NULL => Value::Null,
            INTEGER => Value::Integer(take_step(&mut integers, &mut last)?),
            BLOB => Value::Blob(part()?),
            TEXT => Value::Text(String::from_utf8(part()?).ok()?),
            _ => return None,
        });
    }
    Some(())
}

/// What a value takes in memory.
pub(super) fn bytes_of(value: &Value) -> usize {
    let bytes = match value {
        Value::Blob(blob) => blob.len(),
        Value::Text(text) => text.len(),
        _ => 0,
    };
    bytes + size_of::<Value>()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn value() -> impl Strategy<Value = Value> {
        prop_oneof![
            Just(Value::Null),
            any::<i64>().prop_map(Value::Integer),
            any::<Vec<u8>>().prop_map(Value::Blob),
            any::<String>().prop_map(Value::Text),
        ]
    }

    fn block() -> impl Strategy<Value = Block> {
        let rows = (1usize..5).prop_flat_map(|columns| {
            proptest::collection::vec(proptest::collection::vec(value(), columns), 0..8)
        });
        (any::<Vec<i64>>(), rows).prop_map(|(gone, rows)| Block { gone, rows })
    }

    proptest! {
        #[test]
        fn a_batch_reads_back_as_it_was_written(blocks in proptest::collection::vec(block(), 0..4)) {
            let mut batch = Vec::new();
            for block in &blocks {
                write(&mut batch, Table::STATE, block);
            }
            let mut rest = batch.as_slice();
            for block in blocks.into_iter().filter(|block| !block.is_empty()) {
                prop_assert_eq!(read(&mut rest), Some((Table::STATE, block)));
            }
            prop_assert!(rest.is_empty());
        }

        #[test]
        fn damaged_bytes_are_refused_or_read_as_something_else(bytes: Vec<u8>) {
            let mut rest = bytes.as_slice();
            while read(&mut rest).is_some() {}
        }
    }

    #[test]
    fn a_claim_of_many_rows_takes_no_memory() {
        let mut batch = vec![Table::STATE.code(), 0];
        put(&mut batch, u64::MAX);
        put(&mut batch, 1);
        assert_eq!(read(&mut batch.as_slice()), None);
    }
}
