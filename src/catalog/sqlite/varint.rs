//! Integers as few bytes: seven bits a byte, the lowest first, the top bit set in all
//! bytes but the last; signed ones zigzag-coded, so that small ones stay short.
//!
//! Reading damaged bytes gives `None`, never panics.

pub(super) fn put(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

pub(super) fn take(bytes: &mut &[u8]) -> Option<u64> {
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

/// A number as its difference to the one before it.
pub(super) fn put_step(bytes: &mut Vec<u8>, last: &mut i64, value: i64) {
    let step = value.wrapping_sub(*last);
    put(bytes, ((step << 1) ^ (step >> 63)).cast_unsigned());
    *last = value;
}

/// The reverse of [`put_step`].
pub(super) fn take_step(bytes: &mut &[u8], last: &mut i64) -> Option<i64> {
    let coded = take(bytes)?;
    let step = (coded >> 1).cast_signed() ^ -((coded & 1).cast_signed());
    *last = last.wrapping_add(step);
    Some(*last)
}

/// Bytes with their length before them.
pub(super) fn take_part<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(take(bytes)?).ok()?;
    let (part, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(part)
}
