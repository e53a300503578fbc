//! Names and public ids: bytes, not text.
//!
//! A [`PublicId`] is an asset's path relative to the mount root. It can hold
//! anything the kernel accepts in a path, newlines and non-UTF-8 included;
//! `Display` escapes what a terminal should not see.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;

/// Why bytes are not a path inside a vault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// `.` or `..` as a component.
    #[error("'{0}': '.' and '..' are not allowed in a public_id")]
    Dots(String),
    /// `//`, a leading or a trailing `/`.
    #[error("'{0}': empty path component")]
    EmptyComponent(String),
    /// A NUL byte.
    #[error("'{0}': NUL byte in a name")]
    Nul(String),
    /// A component of more than 255 bytes.
    #[error("'{0}': a name has more than 255 bytes")]
    NameTooLong(String),
}

/// One component of a path: 1 to 255 bytes without `/` and NUL, not `.` or `..`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Box<[u8]>);

impl Name {
    /// Checks and takes the bytes.
    ///
    /// # Errors
    /// [`PathError`] when the bytes cannot name a directory entry.
    pub fn new(bytes: &[u8]) -> Result<Self, PathError> {
        check_component(bytes, bytes)?;
        Ok(Self(bytes.into()))
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// As the operating system's string.
    pub fn as_os_str(&self) -> &OsStr {
        OsStr::from_bytes(&self.0)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&escaped(&self.0))
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Name({self})")
    }
}

/// The path of an asset or directory relative to the mount root; empty for the root itself.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct PublicId(Vec<u8>);

impl PublicId {
    /// The mount root.
    pub fn root() -> Self {
        Self::default()
    }

    /// Checks and takes a `/`-separated path. Empty bytes are the root.
    ///
    /// # Errors
    /// [`PathError`] for `..`, empty components, NUL and names over 255 bytes.
    pub fn new(bytes: &[u8]) -> Result<Self, PathError> {
        if !bytes.is_empty() {
            for component in bytes.split(|b| *b == b'/') {
                check_component(component, bytes)?;
            }
        }
        Ok(Self(bytes.to_vec()))
    }

    /// The bytes, `/`-separated.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// As the operating system's string.
    pub fn as_os_str(&self) -> &OsStr {
        OsStr::from_bytes(&self.0)
    }

    /// True for the mount root.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The components from the top down; none for the root.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.0.split(|b| *b == b'/').filter(|c| !c.is_empty())
    }

    /// The directory and the last name. `None` for the root.
    pub fn split(&self) -> Option<(PublicId, Name)> {
        let (parent, name) = match self.0.iter().rposition(|b| *b == b'/') {
            Some(slash) => (&self.0[..slash], &self.0[slash + 1..]),
            None => (&self.0[..0], &self.0[..]),
        };
        (!name.is_empty()).then(|| (PublicId(parent.to_vec()), Name(name.into())))
    }

    /// The last name. `None` for the root.
    pub fn name(&self) -> Option<&[u8]> {
        self.components().next_back()
    }

    /// This directory's child of that name.
    pub fn join(&self, name: &Name) -> PublicId {
        let mut bytes = Vec::with_capacity(self.0.len() + 1 + name.0.len());
        bytes.extend_from_slice(&self.0);
        if !bytes.is_empty() {
            bytes.push(b'/');
        }
        bytes.extend_from_slice(&name.0);
        PublicId(bytes)
    }

    /// True when `self` is `dir` or lies below it.
    pub fn is_within(&self, dir: &PublicId) -> bool {
        dir.is_root()
            || self.0 == dir.0
            || (self.0.starts_with(&dir.0) && self.0.get(dir.0.len()) == Some(&b'/'))
    }
}

impl fmt::Display for PublicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_root() {
            f.write_str("(the mount root)")
        } else {
            f.write_str(&escaped(&self.0))
        }
    }
}

impl fmt::Debug for PublicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicId({self})")
    }
}

fn check_component(component: &[u8], whole: &[u8]) -> Result<(), PathError> {
    match component {
        b"" => Err(PathError::EmptyComponent(escaped(whole))),
        b"." | b".." => Err(PathError::Dots(escaped(whole))),
        name if name.contains(&0) => Err(PathError::Nul(escaped(whole))),
        name if name.contains(&b'/') => Err(PathError::EmptyComponent(escaped(whole))),
        name if name.len() > 255 => Err(PathError::NameTooLong(escaped(whole))),
        _ => Ok(()),
    }
}

/// Control characters and bytes that are not UTF-8 as `\n`, `\x1b`, `\xff`.
fn escaped(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if c.is_control() {
                text.extend(c.escape_default());
            } else {
                text.push(c);
            }
        }
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_ids_refuse_what_is_no_path_inside_a_vault() {
        for bad in ["..", "a/../b", "a//b", "/a", "a/", ".", "a/./b", "a\0b"] {
            assert!(PublicId::new(bad.as_bytes()).is_err(), "{bad:?}");
        }
        assert!(PublicId::new(&[b'x'; 256]).is_err());
        assert!(PublicId::new(&[b'x'; 255]).is_ok());
    }

    #[test]
    fn public_ids_take_every_name_the_kernel_takes() {
        for good in [
            &b"a"[..],
            b"a/b",
            b"with\nnewline",
            b"\xff\xfe",
            b"...",
            b"a b/.c",
        ] {
            let id = PublicId::new(good).unwrap();
            assert_eq!(id.as_bytes(), good);
            let (dir, name) = id.split().unwrap();
            assert_eq!(dir.join(&name), id);
        }
        assert_eq!(PublicId::new(b"a\n\xff").unwrap().to_string(), "a\\n\\xff");
    }

    #[test]
    fn within_respects_component_borders() {
        let id = |text: &str| PublicId::new(text.as_bytes()).unwrap();
        assert!(id("a/b").is_within(&id("a")));
        assert!(id("a").is_within(&id("a")));
        assert!(!id("ab").is_within(&id("a")));
        assert!(id("a").is_within(&PublicId::root()));
    }
}
