//! The two values that are packed into a BLOB: chunk lists and xattrs.
//!
//! A chunk list is the rows of its chunks as differences: chunks that arrived together
//! take a byte each. xattrs are length and bytes of name and value in turn. Numbers are
//! coded as in `varint`. Decoding damaged bytes gives `None`, never panics.

use super::varint::{put, put_step, take_part, take_step};
use crate::model::Xattrs;

/// Rows of chunks, in order.
pub(super) fn pack_chunks(rows: &[i64]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(rows.len() + 8);
    let mut last = 0;
    for row in rows {
        put_step(&mut bytes, &mut last, *row);
    }
    bytes
}

/// The reverse of [`pack_chunks`].
pub(super) fn unpack_chunks(bytes: &[u8]) -> Option<Vec<i64>> {
    let mut rows = Vec::with_capacity(bytes.len());
    each_chunk(bytes, |row| rows.push(row))?;
    Some(rows)
}

/// Shows each row of a chunk list, in order. `None`: the list is damaged from there on.
pub(super) fn each_chunk(mut bytes: &[u8], mut show: impl FnMut(i64)) -> Option<()> {
    let mut last = 0;
    while !bytes.is_empty() {
        show(take_step(&mut bytes, &mut last)?);
    }
    Some(())
}

/// xattrs as bytes; `None` for none, which is nearly always.
pub(super) fn pack_xattrs(xattrs: &Xattrs) -> Option<Vec<u8>> {
    if xattrs.is_empty() {
        return None;
    }
    let mut bytes = Vec::new();
    for part in xattrs.iter().flat_map(|(name, value)| [name, value]) {
        put(&mut bytes, part.len() as u64);
        bytes.extend_from_slice(part);
    }
    Some(bytes)
}

/// The reverse of [`pack_xattrs`].
pub(super) fn unpack_xattrs(mut bytes: &[u8]) -> Option<Xattrs> {
    let mut xattrs = Xattrs::new();
    while !bytes.is_empty() {
        let (name, value) = (take_part(&mut bytes)?, take_part(&mut bytes)?);
        xattrs.push((name.to_vec(), value.to_vec()));
    }
    Some(xattrs)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn chunk_lists_read_back_what_was_packed(rows: Vec<i64>) {
            prop_assert_eq!(unpack_chunks(&pack_chunks(&rows)), Some(rows));
        }

        #[test]
        fn xattrs_read_back_what_was_packed(xattrs: Vec<(Vec<u8>, Vec<u8>)>) {
            let packed = pack_xattrs(&xattrs).unwrap_or_default();
            prop_assert_eq!(unpack_xattrs(&packed), Some(xattrs));
        }

        #[test]
        fn damaged_bytes_are_refused_or_read_as_something_else(bytes: Vec<u8>) {
            let _ = (unpack_chunks(&bytes), unpack_xattrs(&bytes));
        }
    }

    #[test]
    fn a_run_of_neighbours_takes_a_byte_each() {
        let rows: Vec<i64> = (1_000_000..1_001_000).collect();
        assert!(pack_chunks(&rows).len() < 1_010);
    }
}
