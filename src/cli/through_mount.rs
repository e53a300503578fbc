//! Reading through the mount: any user, with that user's rights, and no socket.

use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use crate::model::{HISTORY_NAMES, HistoryName, PublicId};

/// The most that an attribute can hold.
const ATTRIBUTE_BYTES_MAX: usize = 64 << 10;

/// An attribute that keepfs answers itself. `None`: there is none.
pub fn attribute(path: &Path, name: &str) -> io::Result<Option<Vec<u8>>> {
    let mut value = Vec::with_capacity(ATTRIBUTE_BYTES_MAX);
    let name = format!("user.keepfs.{name}");
    match rustix::fs::lgetxattr(path, name, rustix::buffer::spare_capacity(&mut value)) {
        Ok(_) => Ok(Some(value)),
        Err(Errno::NODATA | Errno::NOTSUP) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

/// An attribute as text. `None`: there is none, or it cannot be read.
pub fn text(path: &Path, name: &str) -> Option<String> {
    let value = attribute(path, name).ok()??;
    String::from_utf8(value).ok()
}

/// The vault directory behind a mount, as far as this user may know.
pub fn vault_of(mountpoint: &Path) -> io::Result<Option<PathBuf>> {
    let value = attribute(mountpoint, "vault")?;
    Ok(value.map(|bytes| PathBuf::from(std::ffi::OsString::from_vec(bytes))))
}

/// The id of the version that a file in history shows.
pub fn version_id(path: &Path) -> Option<String> {
    text(path, "version_id")
}

/// Where the mount shows a history of a path.
pub fn history_path(mountpoint: &Path, history: HistoryName, id: &PublicId) -> PathBuf {
    let name = HISTORY_NAMES
        .iter()
        .find(|(known, _)| *known == history)
        .map_or("", |(_, name)| name);
    let top = mountpoint.join(name);
    match id.is_root() {
        true => top,
        false => top.join(id.as_os_str()),
    }
}

/// Names in a directory, sorted by their bytes.
pub fn names(directory: &Path) -> io::Result<Vec<std::ffi::OsString>> {
    let mut names = fs::read_dir(directory)?
        .map(|entry| entry.map(|entry| entry.file_name()))
        .collect::<io::Result<Vec<_>>>()?;
    names.sort_by(|a, b| a.as_bytes().cmp(b.as_bytes()));
    Ok(names)
}
