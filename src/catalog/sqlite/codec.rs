//! The two values that are packed into a BLOB: chunk lists and xattrs.
//!
//! A chunk list is the rows of its chunks as differences, zigzag-coded, seven bits
//! a byte: chunks that arrived together take a byte each. xattrs are length and
//! bytes of name and value in turn. Decoding damaged bytes gives `None`, never panics.

use crate::model::Xattrs;

/// Rows of chunks, in order.
pub(super) fn pack_chunks(rows: &[i64]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(rows.len() + 8);
    let mut last = 0i64;
    for row in rows {
        let step = row.wrapping_sub(last);
        put(&mut bytes, ((step << 1) ^ (step >> 63)).cast_unsigned());
        last = *row;
    }
    bytes
}

/// The reverse of [`pack_chunks`].
pub(super) fn unpack_chunks(mut bytes: &[u8]) -> Option<Vec<i64>> {
    let mut rows = Vec::with_capacity(bytes.len());
    let mut last = 0i64;
    while !bytes.is_empty() {
        let coded = take(&mut bytes)?;
        let step = (coded >> 1).cast_signed() ^ -((coded & 1).cast_signed());
        last = last.wrapping_add(step);
        rows.push(last);
    }
    Some(rows)
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
        xattrs.push((take_part(&mut bytes)?, take_part(&mut bytes)?));
    }
    Some(xattrs)
}

fn take_part(bytes: &mut &[u8]) -> Option<Vec<u8>> {
    let length = usize::try_from(take(bytes)?).ok()?;
    let (part, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(part.to_vec())
}

fn put(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

fn take(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Some(value);
        }
    }
    None
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
