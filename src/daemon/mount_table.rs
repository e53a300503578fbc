//! The kernel's mount table, as far as keepfs needs it.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

const TABLE: &str = "/proc/self/mountinfo";
const FILESYSTEM: &[u8] = b"fuse.keepfs";

/// A mounted vault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeepfsMount {
    /// Where.
    pub mountpoint: PathBuf,
    /// What it says it shows: the vault directory, unless `fsname=` said otherwise.
    pub source: PathBuf,
}

/// All mounted vaults that this process can see, in the order they were mounted.
///
/// # Errors
/// When the table cannot be read.
pub fn keepfs_mounts() -> io::Result<Vec<KeepfsMount>> {
    Ok(entries(&std::fs::read(TABLE)?)
        .filter(|entry| entry.filesystem == FILESYSTEM && entry.root == b"/")
        .map(|entry| KeepfsMount {
            mountpoint: path(entry.mountpoint),
            source: path(entry.source),
        })
        .collect())
}

/// What the topmost mount on exactly this path is. `None`: it is no mountpoint.
pub(super) fn filesystem_on(mountpoint: &Path) -> io::Result<Option<String>> {
    Ok(entries(&std::fs::read(TABLE)?)
        .filter(|entry| path(entry.mountpoint) == mountpoint)
        .last()
        .map(|entry| String::from_utf8_lossy(entry.filesystem).into_owned()))
}

struct Entry<'a> {
    root: &'a [u8],
    mountpoint: &'a [u8],
    filesystem: &'a [u8],
    source: &'a [u8],
}

/// Lines of `proc_pid_mountinfo(5)`; one that is not understood is left out.
fn entries(table: &[u8]) -> impl Iterator<Item = Entry<'_>> {
    table.split(|byte| *byte == b'\n').filter_map(|line| {
        let fields: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
        let dash = fields.iter().position(|field| *field == b"-")?;
        Some(Entry {
            root: fields.get(3)?,
            mountpoint: fields.get(4)?,
            filesystem: fields.get(dash + 1)?,
            source: fields.get(dash + 2)?,
        })
    })
}

/// Undoes the kernel's octal escapes of space, tab, newline and backslash.
fn path(field: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, after)) = rest.split_first() {
        let octal = after
            .get(..3)
            .filter(|_| *first == b'\\')
            .and_then(|digits| {
                let text = std::str::from_utf8(digits).ok()?;
                u8::from_str_radix(text, 8).ok()
            });
        match octal {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[3..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    OsString::from_vec(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_read_with_its_escapes_and_optional_fields() {
        let table =
            b"36 35 98:0 / /mnt/a\\040b rw,noatime master:1 shared:2 - fuse.keepfs /srv/v rw\n\
                      37 35 98:1 / / rw - ext4 /dev/root rw\nbroken\n";
        let found: Vec<Entry<'_>> = entries(table).collect();
        assert_eq!(found.len(), 2);
        assert_eq!(path(found[0].mountpoint), Path::new("/mnt/a b"));
        assert_eq!(found[0].filesystem, FILESYSTEM);
        assert_eq!(path(found[0].source), Path::new("/srv/v"));
        assert_eq!(found[1].filesystem, b"ext4");
    }

    #[test]
    fn the_root_is_a_mountpoint_and_a_fresh_directory_is_none() {
        let dir = tempfile::tempdir().unwrap();
        assert!(filesystem_on(Path::new("/")).unwrap().is_some());
        assert_eq!(filesystem_on(dir.path()).unwrap(), None);
    }
}
