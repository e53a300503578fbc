//! Paths in JSON: percent-encoded bytes, because a public_id need not be text.
//!
//! Only what JSON cannot carry or a reader could mistake is encoded: bytes that are
//! not UTF-8, control characters, and `%` itself.

use std::fmt::Write;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::model::{PublicId, percent};

/// A public_id on its way through the socket.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct WirePath(pub PublicId);

impl WirePath {
    /// The encoded form.
    pub fn encode(&self) -> String {
        encode(self.0.as_bytes())
    }

    /// Reads the encoded form.
    ///
    /// # Errors
    /// A sentence that names the text.
    pub fn decode(text: &str) -> Result<Self, String> {
        let bytes =
            percent::decode(text).ok_or_else(|| format!("'{text}': a '%' needs two hex digits"))?;
        PublicId::new(&bytes)
            .map(Self)
            .map_err(|error| error.to_string())
    }
}

impl From<PublicId> for WirePath {
    fn from(id: PublicId) -> Self {
        Self(id)
    }
}

impl Serialize for WirePath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.encode())
    }
}

impl<'de> Deserialize<'de> for WirePath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::decode(&text).map_err(serde::de::Error::custom)
    }
}

fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if c == '%' || c.is_control() {
                let mut buffer = [0u8; 4];
                escape(&mut text, c.encode_utf8(&mut buffer).as_bytes());
            } else {
                text.push(c);
            }
        }
        escape(&mut text, chunk.invalid());
    }
    text
}

fn escape(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(text, "%{byte:02X}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_comes_back_as_it_went() {
        for bytes in [
            &b""[..],
            b"photos/cat.jpg",
            b"100%/x%41",
            b"new\nline\ttab",
            b"\xff\xfe/latin-\xe9",
            "Grüße/日本".as_bytes(),
            b"\xc2\x85 control",
        ] {
            let path = WirePath(PublicId::new(bytes).unwrap());
            let json = serde_json::to_string(&path).unwrap();
            assert!(!json.contains('\n'), "{json}");
            assert_eq!(serde_json::from_str::<WirePath>(&json).unwrap(), path);
        }
    }

    #[test]
    fn plain_names_stay_readable() {
        let path = WirePath(PublicId::new("Grüße/a b\n\u{fffd}%".as_bytes()).unwrap());
        assert_eq!(path.encode(), "Grüße/a b%0A\u{fffd}%25");
    }

    #[test]
    fn what_is_no_path_is_refused_with_its_name() {
        for bad in ["a/../b", "/a", "%", "%4", "%zz", "a%00"] {
            assert!(WirePath::decode(bad).is_err(), "{bad}");
        }
        let error = WirePath::decode("a/../b").unwrap_err();
        assert!(error.contains("a/../b"), "{error}");
    }
}
