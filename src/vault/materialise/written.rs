//! Which files of the live tree a rebuild wrote itself, over all its attempts.
//!
//! A file of records in the vault, one for each file before it takes its name: inode, mtime
//! and path. What was changed, moved or made by somebody else since fits none of them. The
//! surprise: nothing is synced. A record that a power failure took makes a file of ours look
//! like somebody's, which is left alone, and never the reverse.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::model::{FileFacts, PublicId};

/// What tells a file from another one that took its name, or from itself with other bytes.
type Mark = (u64, i64);

/// The records of earlier attempts, and those to come.
#[derive(Debug)]
pub(super) struct Written {
    earlier: HashMap<PublicId, Vec<Mark>>,
    records: File,
}

impl Written {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let text = match fs::read(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
            read => read?,
        };
        let mut earlier: HashMap<PublicId, Vec<Mark>> = HashMap::new();
        // One that was torn is none.
        for (path, mark) in text.split(|byte| *byte == 0).filter_map(parse) {
            earlier.entry(path).or_default().push(mark);
        }
        let mut options = OpenOptions::new();
        let options = options.create(true).append(true).mode(0o600);
        let mut records = options.open(path)?;
        if text.last().is_some_and(|byte| *byte != 0) {
            records.write_all(&[0])?;
        }
        Ok(Self { earlier, records })
    }

    /// True when an earlier attempt wrote anything.
    pub(super) fn has_earlier(&self) -> bool {
        !self.earlier.is_empty()
    }

    /// Notes a file that is about to be at `path`.
    pub(super) fn note(&self, path: &PublicId, facts: &FileFacts) -> io::Result<()> {
        let (inode, mtime) = mark_of(facts);
        let mut record = format!("{inode} {mtime} ").into_bytes();
        record.extend_from_slice(path.as_bytes());
        record.push(0);
        // In one call: several threads write, and a kill tears none.
        (&self.records).write_all(&record)
    }

    /// The paths that earlier attempts wrote to.
    pub(super) fn paths(&self) -> impl Iterator<Item = &PublicId> {
        self.earlier.keys()
    }

    /// True for the file that an earlier attempt wrote there.
    pub(super) fn is_own(&self, path: &PublicId, facts: &FileFacts) -> bool {
        let marks = self.earlier.get(path);
        marks.is_some_and(|marks| marks.contains(&mark_of(facts)))
    }
}

fn mark_of(facts: &FileFacts) -> Mark {
    (facts.inode.ino, facts.attributes.mtime.nanos())
}

fn parse(record: &[u8]) -> Option<(PublicId, Mark)> {
    let mut parts = record.splitn(3, |byte| *byte == b' ');
    let mut number = || std::str::from_utf8(parts.next()?).ok();
    let (inode, mtime) = (number()?.parse().ok()?, number()?.parse().ok()?);
    let path = PublicId::new(parts.next()?).ok()?;
    Some((path, (inode, mtime)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Attributes, InodeKey, Timestamp};

    fn facts(ino: u64, nanos: i64) -> FileFacts {
        FileFacts {
            inode: InodeKey { dev: 1, ino },
            nlink: 1,
            size: 3,
            attributes: Attributes {
                mode: 0o644,
                uid: 0,
                gid: 0,
                mtime: Timestamp::from_nanos(nanos),
            },
            ctime: Timestamp::from_nanos(nanos),
        }
    }

    #[test]
    fn a_file_is_known_again_by_its_inode_and_its_time_whatever_was_torn() {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().join("written");
        let path = PublicId::new(b"a b/\xff\nc").unwrap();
        let first = Written::open(&place).unwrap();
        first.note(&path, &facts(7, -5)).unwrap();
        assert!(!first.is_own(&path, &facts(7, -5)), "not an earlier one");
        let mut text = fs::read(&place).unwrap();
        text.extend_from_slice(b"8 6 torn");
        fs::write(&place, text).unwrap();
        let second = Written::open(&place).unwrap();
        second.note(&path, &facts(9, 5)).unwrap();
        let third = Written::open(&place).unwrap();
        for (facts, expected) in [
            (facts(7, -5), true),
            (facts(9, 5), true),
            (facts(9, -5), false),
            (facts(8, 5), false),
        ] {
            assert_eq!(third.is_own(&path, &facts), expected, "{facts:?}");
        }
        assert!(!third.is_own(&PublicId::new(b"a b").unwrap(), &facts(7, -5)));
    }
}
