//! One `statx` of the lower tree, as the kernel, the node table and the vault want it.

use std::os::fd::AsFd;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fuser::{FileAttr, FileType, INodeNo};
use rustix::fs::{AtFlags, Statx, StatxFlags, StatxTimestamp, makedev, statx};
use rustix::path::Arg;

use crate::model::{Attributes, FileFacts, InodeKey, Timestamp};

pub(crate) const SET_UID: u32 = 0o4000;
pub(crate) const SET_GID: u32 = 0o2000;
const GROUP_EXECUTE: u32 = 0o0010;

/// What a file of the lower tree is at one moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stat(Statx);

impl Stat {
    /// Of a name; a symlink is not followed.
    pub(crate) fn at(dir: impl AsFd, name: impl Arg) -> rustix::io::Result<Self> {
        let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
        statx(dir, name, flags, Self::WANTED).map(Self)
    }

    /// Of a descriptor, `O_PATH` or not.
    pub(crate) fn of(file: impl AsFd) -> rustix::io::Result<Self> {
        statx(file, c"", AtFlags::EMPTY_PATH, Self::WANTED).map(Self)
    }

    const WANTED: StatxFlags = StatxFlags::BASIC_STATS.union(StatxFlags::BTIME);

    pub(crate) fn key(&self) -> InodeKey {
        InodeKey {
            dev: makedev(self.0.stx_dev_major, self.0.stx_dev_minor),
            ino: self.0.stx_ino,
        }
    }

    pub(crate) fn kind(&self) -> FileType {
        match u32::from(self.0.stx_mode) & libc::S_IFMT {
            libc::S_IFDIR => FileType::Directory,
            libc::S_IFLNK => FileType::Symlink,
            libc::S_IFIFO => FileType::NamedPipe,
            libc::S_IFSOCK => FileType::Socket,
            libc::S_IFCHR => FileType::CharDevice,
            libc::S_IFBLK => FileType::BlockDevice,
            _ => FileType::RegularFile,
        }
    }

    /// The low twelve bits of the mode.
    pub(crate) fn mode(&self) -> u32 {
        u32::from(self.0.stx_mode) & 0o7777
    }

    pub(crate) fn uid(&self) -> u32 {
        self.0.stx_uid
    }

    pub(crate) fn gid(&self) -> u32 {
        self.0.stx_gid
    }

    pub(crate) fn nlink(&self) -> u64 {
        u64::from(self.0.stx_nlink)
    }

    pub(crate) fn size(&self) -> u64 {
        self.0.stx_size
    }

    pub(crate) fn mtime(&self) -> Timestamp {
        timestamp(self.0.stx_mtime)
    }

    /// When the inode came to be: together with its number it tells a reused
    /// inode from the old one. Zero where the filesystem does not know.
    pub(crate) fn birth(&self) -> i64 {
        if self.0.stx_mask & StatxFlags::BTIME.bits() == 0 {
            return 0;
        }
        timestamp(self.0.stx_btime).nanos()
    }

    /// For the kernel, under the number `id` and with the links that people made.
    pub(crate) fn file_attr(&self, id: u64, nlink: u64) -> FileAttr {
        FileAttr {
            ino: INodeNo(id),
            size: self.0.stx_size,
            blocks: self.0.stx_blocks,
            atime: system_time(self.0.stx_atime),
            mtime: system_time(self.0.stx_mtime),
            ctime: system_time(self.0.stx_ctime),
            crtime: UNIX_EPOCH,
            kind: self.kind(),
            perm: self.mode() as u16,
            nlink: u32::try_from(nlink).unwrap_or(u32::MAX),
            uid: self.uid(),
            gid: self.gid(),
            // The low 32 bits of a dev_t are the kernel's wire format of a device number.
            rdev: makedev(self.0.stx_rdev_major, self.0.stx_rdev_minor) as u32,
            blksize: self.0.stx_blksize,
            flags: 0,
        }
    }

    /// For the vault.
    pub(crate) fn facts(&self) -> FileFacts {
        FileFacts {
            inode: self.key(),
            nlink: self.nlink(),
            size: self.size(),
            attributes: Attributes {
                mode: self.mode(),
                uid: self.uid(),
                gid: self.gid(),
                mtime: self.mtime(),
            },
            ctime: timestamp(self.0.stx_ctime),
        }
    }

    /// The mode without what a write by anyone but root takes away. `None`: nothing to take.
    pub(crate) fn without_set_ids(&self) -> Option<u32> {
        let mut mode = self.mode() & !SET_UID;
        // Set-gid without group execution once meant mandatory locking and stays.
        if mode & GROUP_EXECUTE != 0 {
            mode &= !SET_GID;
        }
        (mode != self.mode()).then_some(mode)
    }

    /// True when a write by an ordinary user changes the mode.
    pub(crate) fn has_set_ids(&self) -> bool {
        self.without_set_ids().is_some()
    }
}

fn timestamp(time: StatxTimestamp) -> Timestamp {
    Timestamp::from_parts(time.tv_sec, time.tv_nsec)
}

fn system_time(time: StatxTimestamp) -> SystemTime {
    let nanos = Duration::from_nanos(time.tv_nsec.into());
    let seconds = Duration::from_secs(time.tv_sec.unsigned_abs());
    if time.tv_sec >= 0 {
        UNIX_EPOCH + seconds + nanos
    } else {
        UNIX_EPOCH - seconds + nanos
    }
}
