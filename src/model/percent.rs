//! Names as text that any bytes fit in: what is not plain is `%` and two hex digits.
//!
//! Reading is strict, unlike the crate's: a `%` that begins no byte is a mistake of
//! whoever wrote it, not a name.

use std::fmt::Display;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

/// RFC 3986, section 2.3: what is not reserved, and the slash, stay as they are.
const PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The bytes of a path, for a URL.
pub fn encode_path(path: &[u8]) -> impl Display {
    percent_encode(path, PATH)
}

/// The bytes that a text stands for. `None`: a `%` without two hex digits behind it.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let mut digit = || char::from(rest.next()?).to_digit(16);
            let (high, low) = (digit()?, digit()?);
            bytes.push((high * 16 + low) as u8);
        } else {
            bytes.push(byte);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_bytes_come_back() {
        let every: Vec<u8> = (0..=255).collect();
        let text = encode_path(&every).to_string();
        assert_eq!(decode(&text), Some(every));
    }

    #[test]
    fn a_percent_sign_needs_two_digits() {
        for bad in ["%", "%4", "%zz", "a%2", "%+1", "%%41"] {
            assert_eq!(decode(bad), None, "{bad}");
        }
        assert_eq!(decode("%41%e9"), Some(b"A\xe9".to_vec()));
    }
}
