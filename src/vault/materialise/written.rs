//! Which files of the live tree a rebuild wrote itself, over all its attempts.
//!
//! A file of records in the vault, one for each file before it is written: its path, and the
//! time that it will have. What was changed, moved or made by somebody else since fits none
//! of them. The surprise: nothing is synced. A record that a power failure took makes a file
//! of ours look like somebody's, which is left alone, and never the reverse.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::model::{FileFacts, PublicId, Timestamp};

/// The records of earlier attempts, and those to come.
#[derive(Debug)]
pub(super) struct Written {
    /// The times that files of these paths were given, in nanoseconds.
    earlier: HashMap<PublicId, Vec<i64>>,
    records: File,
}

impl Written {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let text = match fs::read(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
            read => read?,
        };
        let mut earlier: HashMap<PublicId, Vec<i64>> = HashMap::new();
        // One that was torn is none.
        for (path, mtime) in text.split(|byte| *byte == 0).filter_map(parse) {
            earlier.entry(path).or_default().push(mtime);
        }
        let mut options = OpenOptions::new();
        let options = options.create(true).append(true).mode(0o600);
        let mut records = options.open(path)?;
        if text.last().is_some_and(|byte| *byte != 0) {
            records.write_all(&[0])?;
        }
        Ok(Self { earlier, records })
    }

    /// Notes files that are about to be written, by path and mtime.
    pub(super) fn note<'a>(
        &self,
        files: impl Iterator<Item = (&'a PublicId, Timestamp)>,
    ) -> io::Result<()> {
        let mut records = Vec::new();
        for (path, mtime) in files {
            records.extend_from_slice(format!("{} ", mtime.nanos()).as_bytes());
            records.extend_from_slice(path.as_bytes());
            records.push(0);
        }
        // In one call: several threads write.
        (&self.records).write_all(&records)
    }

    /// The paths that earlier attempts wrote to.
    pub(super) fn paths(&self) -> impl Iterator<Item = &PublicId> {
        self.earlier.keys()
    }

    /// True for the file that an earlier attempt wrote there.
    pub(super) fn is_own(&self, path: &PublicId, facts: &FileFacts) -> bool {
        let mtimes = self.earlier.get(path);
        mtimes.is_some_and(|mtimes| mtimes.contains(&facts.attributes.mtime.nanos()))
    }
}

fn parse(record: &[u8]) -> Option<(PublicId, i64)> {
    let at = record.iter().position(|byte| *byte == b' ')?;
    let (mtime, path) = (&record[..at], &record[at + 1..]);
    let mtime = std::str::from_utf8(mtime).ok()?.parse().ok()?;
    Some((PublicId::new(path).ok()?, mtime))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Attributes, InodeKey};

    fn facts(nanos: i64) -> FileFacts {
        FileFacts {
            inode: InodeKey { dev: 1, ino: 2 },
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
    fn a_file_is_known_again_by_its_time_whatever_was_torn() {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().join("written");
        let path = PublicId::new(b"a b/\xff\nc").unwrap();
        let first = Written::open(&place).unwrap();
        let other = PublicId::new(b"a b").unwrap();
        let at = Timestamp::from_nanos;
        first
            .note([(&path, at(-5)), (&other, at(3))].into_iter())
            .unwrap();
        assert!(!first.is_own(&path, &facts(-5)), "not an earlier one");
        let mut text = fs::read(&place).unwrap();
        text.extend_from_slice(b"6 torn");
        fs::write(&place, text).unwrap();
        let second = Written::open(&place).unwrap();
        second.note([(&path, at(5))].into_iter()).unwrap();
        let third = Written::open(&place).unwrap();
        for (path, nanos, expected) in [
            (&path, -5, true),
            (&path, 5, true),
            (&path, 3, false),
            (&other, 3, true),
            (&other, -5, false),
        ] {
            assert_eq!(
                third.is_own(path, &facts(nanos)),
                expected,
                "{path} {nanos}"
            );
        }
    }
}
