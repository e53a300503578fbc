//! What a file is besides its bytes.

use super::clock::Timestamp;

/// The extended attributes of the `user.` namespace, name and value, sorted by name.
pub type Xattrs = Vec<(Vec<u8>, Vec<u8>)>;

/// A file of the filesystem below, whatever its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InodeKey {
    /// `st_dev`.
    pub dev: u64,
    /// `st_ino`.
    pub ino: u64,
}

/// What history shows of a file or directory: permission bits with the
/// set-id and sticky bits (no file type), owner, and modification time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Attributes {
    /// The low twelve bits of `st_mode`.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Last modification of the content.
    pub mtime: Timestamp,
}

/// What one `stat` of a live regular file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileFacts {
    /// Which file.
    pub inode: InodeKey,
    /// Names it has.
    pub nlink: u64,
    /// Bytes.
    pub size: u64,
    /// Mode, owner, mtime.
    pub attributes: Attributes,
    /// Last change of anything: the one time that no program can set.
    pub ctime: Timestamp,
}

/// The value of the `user.keepfs.backup` attribute, and of the vault's own switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Override {
    /// Back up.
    On,
    /// Do not back up.
    Off,
}

impl Override {
    /// `on` or `off`.
    pub fn as_str(self) -> &'static str {
        match self {
            Override::On => "on",
            Override::Off => "off",
        }
    }

    /// Reads `on` or `off`. `None`: anything else.
    pub fn from_word(word: &[u8]) -> Option<Self> {
        match word {
            b"on" => Some(Override::On),
            b"off" => Some(Override::Off),
            _ => None,
        }
    }
}
