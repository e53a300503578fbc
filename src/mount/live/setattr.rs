//! Changes of size, mode, owner and times.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use fuser::{FileAttr, FileType};
use rustix::fs::{
    AtFlags, Gid, Mode, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT, Uid, chmod, chownat,
    ftruncate, utimensat,
};

use super::{Anchor, Caller, Live};
use crate::mount::attr::Stat;
use crate::mount::errno::Result;
use crate::mount::handles::Access;
use crate::mount::node::Node;
use crate::vault::WriteIntent;

/// A time to be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NewTime {
    /// The clock of the filesystem below.
    Now,
    /// This time.
    At {
        /// Since the epoch.
        seconds: i64,
        /// Of the second.
        nanos: u32,
    },
}

/// What a setattr changes.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Changes {
    pub(crate) size: Option<u64>,
    pub(crate) mode: Option<u32>,
    pub(crate) uid: Option<u32>,
    pub(crate) gid: Option<u32>,
    pub(crate) atime: Option<NewTime>,
    pub(crate) mtime: Option<NewTime>,
}

impl Live {
    /// truncate, chmod, chown and utimensat, one or several at once.
    pub(crate) fn setattr(&self, id: u64, changes: Changes, caller: Caller) -> Result<FileAttr> {
        let node = self.nodes.get(id)?;
        if let Some(size) = changes.size {
            self.truncate(&node, size, caller)?;
        }
        let anchor = self.anchor(&node)?;
        let mtime_before = match node.kind {
            FileType::RegularFile => Some(Stat::of(&anchor)?.mtime()),
            _ => None,
        };
        if changes.uid.is_some() || changes.gid.is_some() {
            let uid = changes.uid.map(Uid::from_raw);
            let gid = changes.gid.map(Gid::from_raw);
            chownat(&anchor, c"", uid, gid, AtFlags::EMPTY_PATH)?;
        }
        if let Some(mode) = changes.mode {
            let path = super::super::proc_path(anchor.as_fd());
            chmod(path.as_str(), Mode::from_raw_mode(mode & 0o7777))?;
        }
        if changes.atime.is_some() || changes.mtime.is_some() {
            set_times(anchor.as_fd(), changes)?;
        }
        if node.kind == FileType::Directory && changes.changes_owner_or_mode() {
            self.tell_directory(&node, &anchor)?;
        }
        if let Some(mtime_before) = mtime_before
            && (changes.changes_owner_or_mode() || changes.mtime.is_some())
        {
            self.vault
                .attributes_changed(anchor.as_fd(), mtime_before)?;
        }
        let stat = Stat::of(&anchor)?;
        if let Some(open) = node.open() {
            open.lock().told = Some((stat.size(), stat.mtime()));
        }
        Ok(self.attr(&node, &stat))
    }

    /// A truncation by name is an opening, a change and a close of its own.
    fn truncate(&self, node: &Arc<Node>, size: u64, caller: Caller) -> Result<()> {
        self.opening(node, |opening| {
            let file = self.descriptor(opening, Access::Write)?;
            self.vault
                .before_write(node.key, file.as_fd(), WriteIntent::Change)?;
            if let Err(errno) = ftruncate(&file, size) {
                self.vault.write_abandoned(node.key);
                return Err(errno.into());
            }
            if !caller.is_root() {
                self.drop_set_ids(node.id, &file)?;
            }
            if node.open().is_none_or(|open| open.writers() == 0) {
                let _names = self.names_stay();
                self.tell_closed(node, &file);
                if opening.shared.handles > 0 {
                    opening.shared.writer = None;
                }
            }
            Ok(())
        })
    }

    fn tell_directory(&self, node: &Node, anchor: &Anchor) -> Result<()> {
        let _names = self.names_stay();
        if let Some(path) = self.nodes.path(node)? {
            self.vault.directory_changed(&path, anchor.as_fd())?;
        }
        Ok(())
    }
}

impl Changes {
    fn changes_owner_or_mode(&self) -> bool {
        self.mode.is_some() || self.uid.is_some() || self.gid.is_some()
    }
}

fn set_times(file: BorrowedFd<'_>, changes: Changes) -> rustix::io::Result<()> {
    let times = Timestamps {
        last_access: timespec(changes.atime),
        last_modification: timespec(changes.mtime),
    };
    utimensat(file, c"", &times, AtFlags::EMPTY_PATH)
}

fn timespec(time: Option<NewTime>) -> Timespec {
    let (tv_sec, tv_nsec) = match time {
        None => (0, UTIME_OMIT),
        Some(NewTime::Now) => (0, UTIME_NOW),
        Some(NewTime::At { seconds, nanos }) => (seconds, nanos.into()),
    };
    Timespec { tv_sec, tv_nsec }
}
