//! The kernel's mount table, as far as keepfs needs it.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

const TABLE: &str = "/proc/self/mountinfo";

/// With the set-uid helper the subtype is in the table; mounted by root directly it is not.
const FILESYSTEM: &str = "fuse.keepfs";
const BARE_FILESYSTEM: &str = "fuse";

/// The attribute by which the root of a mount names its vault.
const VAULT_ATTRIBUTE: &str = "user.keepfs.vault";

/// The mounted vault that a path lies in: the mountpoint. The path is resolved. `None`:
/// it lies in another filesystem.
///
/// # Errors
/// When the table cannot be read.
pub fn keepfs_mount_of(path: &Path) -> io::Result<Option<PathBuf>> {
    let table = std::fs::read(TABLE)?;
    let innermost = entries(&table)
        .map(|entry| (unescaped(entry.mountpoint), entry))
        .filter(|(mountpoint, _)| path.starts_with(mountpoint))
        // Of several on one place the last is on top, as with max_by_key.
        .max_by_key(|(mountpoint, _)| mountpoint.as_os_str().len());
    Ok(innermost
        .filter(|(mountpoint, entry)| entry.root == b"/" && is_keepfs(mountpoint, entry))
        .map(|(mountpoint, _)| mountpoint))
}

/// What is mounted on a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum MountedOn {
    /// A vault.
    Keepfs,
    /// This filesystem.
    Other(String),
}

/// The topmost mount on exactly this path. `None`: it is no mountpoint.
pub(super) fn mounted_on(mountpoint: &Path) -> io::Result<Option<MountedOn>> {
    let table = std::fs::read(TABLE)?;
    let top = entries(&table)
        .filter(|entry| unescaped(entry.mountpoint) == mountpoint)
        .last();
    Ok(top.map(|entry| match is_keepfs(mountpoint, &entry) {
        true => MountedOn::Keepfs,
        false => MountedOn::Other(String::from_utf8_lossy(entry.filesystem).into_owned()),
    }))
}

fn is_keepfs(mountpoint: &Path, entry: &Entry<'_>) -> bool {
    if entry.filesystem == FILESYSTEM.as_bytes() {
        return true;
    }
    let mut value = Vec::with_capacity(4096);
    entry.filesystem == BARE_FILESYSTEM.as_bytes()
        && rustix::fs::getxattr(
            mountpoint,
            VAULT_ATTRIBUTE,
            rustix::buffer::spare_capacity(&mut value),
        )
        .is_ok()
}

struct Entry<'a> {
    root: &'a [u8],
    mountpoint: &'a [u8],
    filesystem: &'a [u8],
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
        })
    })
}

/// Undoes the kernel's octal escapes of space, tab, newline and backslash.
fn unescaped(field: &[u8]) -> PathBuf {
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
        assert_eq!(unescaped(found[0].mountpoint), Path::new("/mnt/a b"));
        assert_eq!(found[0].filesystem, FILESYSTEM.as_bytes());
        assert_eq!(found[1].filesystem, b"ext4");
    }

    #[test]
    fn the_root_is_a_mountpoint_and_a_fresh_directory_is_none() {
        let dir = tempfile::tempdir().unwrap();
        assert!(mounted_on(Path::new("/")).unwrap().is_some());
        assert_eq!(mounted_on(dir.path()).unwrap(), None);
        assert_eq!(keepfs_mount_of(dir.path()).unwrap(), None);
    }
}
