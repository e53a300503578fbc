//! The thin place: fuser's calls to operations, their results to replies.
//!
//! No decision is made here but whose number it is, the live tree's or history's.
//! Every call first tells the barrier that this worker is inside a handler.

use std::ffi::OsStr;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use fuser::{
    AccessFlags, BsdFileFlags, CopyFileRangeFlags, Errno, FileHandle, Filesystem, Generation,
    INodeNo, KernelConfig, LockOwner, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData,
    ReplyDirectory, ReplyDirectoryPlus, ReplyEmpty, ReplyEntry, ReplyLseek, ReplyOpen, ReplyStatfs,
    ReplyWrite, ReplyXattr, Request, TimeOrNow, WriteFlags,
};

use super::barrier::Turn;
use super::history::is_history;
use super::live::{Changes, Live, Privilege};
use super::reply::{
    self, NOTHING, awaited, caller, data, done, durable, errno, live_entry, new_file, opened,
    past_entry, sized, synced, time, written,
};
use super::tree::Tree;

/// What fuser calls.
#[derive(Debug)]
pub(crate) struct Shell(pub(crate) Arc<Tree>);

// One parameter a line would make this table four times as long as it needs to be.
#[rustfmt::skip]
impl Filesystem for Shell {
    fn init(&mut self, _req: &Request, config: &mut KernelConfig) -> std::io::Result<()> {
        super::negotiate::negotiate(&self.0.live, config);
        Ok(())
    }

    fn lookup(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let _inside = self.0.barrier.enter(Turn::Other);
        let name = name.as_bytes();
        if is_history(parent.0) {
            return past_entry(self.0.past.lookup(parent.0, name), reply);
        }
        if let Some(history) = Live::history_name(parent.0, name) {
            return past_entry(self.0.past.root(history), reply);
        }
        match self.0.live.lookup(parent.0, name) {
            Ok(Some(entry)) => live_entry(&self.0.live, "lookup", Ok(entry), reply),
            Ok(None) => reply.entry(&self.0.live.entry_timeout(), &NOTHING, Generation(0)),
            Err(error) => reply.error(errno("lookup", &error)),
        }
    }

    fn forget(&self, _req: &Request, ino: INodeNo, nlookup: u64) {
        let _inside = self.0.barrier.enter(Turn::Other);
        if !is_history(ino.0) {
            self.0.live.forget(ino.0, nlookup);
        }
    }

    fn getattr(&self, _req: &Request, ino: INodeNo, fh: Option<FileHandle>, reply: ReplyAttr) {
        let _inside = self.0.barrier.enter(Turn::Other);
        let result = if is_history(ino.0) {
            let entry = self.0.past.getattr(ino.0);
            entry.map(|entry| (entry.attr_timeout, entry.attr))
        } else {
            let attr = self.0.live.getattr(ino.0, fh.map(|fh| fh.0));
            attr.map(|attr| (self.0.live.attr_timeout(), attr))
        };
        match result {
            Ok((timeout, attr)) => reply.attr(&timeout, &attr),
            Err(error) => reply.error(errno("getattr", &error)),
        }
    }

    fn setattr(
        &self, req: &Request, ino: INodeNo, mode: Option<u32>, uid: Option<u32>, gid: Option<u32>,
        size: Option<u64>, atime: Option<TimeOrNow>, mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>, _fh: Option<FileHandle>, _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>, _bkuptime: Option<SystemTime>, _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let _inside = self.0.barrier.enter(Turn::Other);
        let changes = Changes {
            size,
            mode,
            uid,
            gid,
            atime: time(atime),
            mtime: time(mtime),
        };
        let live = self.0.in_live(ino);
        match live.and_then(|live| live.setattr(ino.0, changes, caller(req))) {
            Ok(attr) => reply.attr(&self.0.live.attr_timeout(), &attr),
            Err(error) => reply.error(errno("setattr", &error)),
        }
    }

    fn readlink(&self, _req: &Request, ino: INodeNo, reply: ReplyData) {
        let _inside = self.0.barrier.enter(Turn::Other);
        data("readlink", self.0.live.readlink(ino.0), reply);
    }

    fn mknod(
        &self, req: &Request, parent: INodeNo, name: &OsStr, mode: u32, umask: u32, rdev: u32,
        reply: ReplyEntry,
    ) {
        let _inside = self.0.barrier.enter(Turn::Other);
        let new = new_file(req, mode, umask);
        let live = self.0.in_live(parent);
        let result = live.and_then(|live| live.mknod(parent.0, name.as_bytes(), new, rdev));
        live_entry(&self.0.live, "mknod", result, reply);
    }

    fn mkdir(
        &self, req: &Request, parent: INodeNo, name: &OsStr, mode: u32, umask: u32,
        reply: ReplyEntry,
    ) {
        let _inside = self.0.barrier.enter(Turn::Other);
        let new = new_file(req, mode, umask);
        let live = self.0.in_live(parent);
        let result = live.and_then(|live| live.mkdir(parent.0, name.as_bytes(), new));
        live_entry(&self.0.live, "mkdir", result, reply);
    }

    fn unlink(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let _inside = self.0.barrier.enter(Turn::Other);
        let live = self.0.in_live(parent);
        let result = live.and_then(|live| live.unlink(parent.0, name.as_bytes()));
        done("unlink", result, reply);
    }

    fn rmdir(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let _inside = self.0.barrier.enter(Turn::Other);
        let live = self.0.in_live(parent);
        let result = live.and_then(|live| live.rmdir(parent.0, name.as_bytes()));
        done("rmdir", result, reply);
    }

    fn symlink(
        &self, req: &Request, parent: INodeNo, link_name: &OsStr, target: &Path, reply: ReplyEntry,
    ) {
        let _inside = self.0.barrier.enter(Turn::Other);
        let (name, caller) = (link_name.as_bytes(), caller(req));
        let live = self.0.in_live(parent);
        let result = live.and_then(|live| live.symlink(parent.0, name, target, caller));
        live_entry(&self.0.live, "symlink", result, reply);
    }

    fn rename(
        &self, _req: &Request, parent: INodeNo, name: &OsStr, newparent: INodeNo, newname: &OsStr,
        flags: RenameFlags, reply: ReplyEmpty,
    ) {
        let _inside = self.0.barrier.enter(Turn::Other);
        let (from, to) = (name.as_bytes(), newname.as_bytes());
        let result = self.0.in_live(newparent).and_then(|live| {
            if is_history(parent.0) {
                let target = live.place(newparent.0, to)?;
                self.0.past.undelete(parent.0, from, &target)
            } else {
                live.rename((parent.0, from), (newparent.0, to), flags)
            }
        });
        done("rename", result, reply);
    }

    fn link(
        &self, _req: &Request, ino: INodeNo, newparent: INodeNo, newname: &OsStr, reply: ReplyEntry,
    ) {
        let _inside = self.0.barrier.enter(Turn::Other);
        let live = self.0.in_live(ino).and_then(|_| self.0.in_live(newparent));
        let result = live.and_then(|live| live.link(ino.0, newparent.0, newname.as_bytes()));
        live_entry(&self.0.live, "link", result, reply);
    }

    fn open(&self, req: &Request, ino: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        let _inside = self.0.barrier.enter(Turn::Other);
        let result = if is_history(ino.0) {
            self.0.past.open(ino.0, flags.0)
        } else {
            let register = |file: BorrowedFd<'_>| reply.open_backing(file);
            self.0.live.open(ino.0, flags.0, caller(req), &register)
        };
        opened("open", result, reply);
    }

    fn create(
        &self, req: &Request, parent: INodeNo, name: &OsStr, mode: u32, umask: u32, flags: i32,
        reply: ReplyCreate,
    ) {
        let _inside = self.0.barrier.enter(Turn::Other);
        let new = new_file(req, mode, umask);
        let register = |file: BorrowedFd<'_>| reply.open_backing(file);
        let live = self.0.in_live(parent);
        let result =
            live.and_then(|live| live.create(parent.0, name.as_bytes(), new, flags, &register));
        reply::created(&self.0.live, result, reply);
    }

    fn read(
        &self, _req: &Request, ino: INodeNo, fh: FileHandle, offset: u64, size: u32,
        _flags: OpenFlags, _lock_owner: Option<LockOwner>, reply: ReplyData,
    ) {
        let _inside = self.0.barrier.enter(Turn::Other);
        let result = if is_history(ino.0) {
            self.0.past.read(fh.0, offset, size)
        } else {
            self.0.live.read(fh.0, offset, size)
        };
        data("read", result, reply);
    }

    fn write(
        &self, _req: &Request, _ino: INodeNo, fh: FileHandle, offset: u64, data: &[u8],
        write_flags: WriteFlags, _flags: OpenFlags, _lock_owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let _inside = self.0.barrier.enter(Turn::Other);
        let privilege = if write_flags.contains(WriteFlags::FUSE_WRITE_KILL_SUIDGID) {
            Privilege::DropsSetIds
        } else {
            Privilege::KeepsSetIds
        };
        let result = self.0.live.write(fh.0, offset, data, privilege);
        written("write", result, reply);
    }

    fn flush(
        &self, _req: &Request, ino: INodeNo, fh: FileHandle, _lock_owner: LockOwner,
        reply: ReplyEmpty,
    ) {
        let _inside = self.0.barrier.enter(Turn::Other);
        match &self.0.remote {
            None => reply.error(Errno::ENOSYS), // once; the kernel does not ask again
            Some(_) if is_history(ino.0) => reply.ok(),
            Some(remote) => awaited("flush", remote, self.0.live.flush(fh.0), reply),
        }
    }

    fn release(
        &self, _req: &Request, _ino: INodeNo, fh: FileHandle, _flags: OpenFlags,
        _lock_owner: Option<LockOwner>, _flush: bool, reply: ReplyEmpty,
    ) {
        let _inside = self.0.barrier.enter(Turn::Release);
        self.0.live.release(fh.0);
        reply.ok();
    }

    fn fsync(
        &self, _req: &Request, ino: INodeNo, fh: FileHandle, datasync: bool, reply: ReplyEmpty,
    ) {
        let _inside = self.0.barrier.enter(Turn::Other);
        if is_history(ino.0) {
            return reply.ok();
        }
        let (live, remote) = (&self.0.live, self.0.remote.as_ref());
        let here = live.fsync(fh.0, durable(datasync));
        synced("fsync", here, remote, || live.flush(fh.0), reply);
    }

    fn opendir(&self, _req: &Request, ino: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        let _inside = self.0.barrier.enter(Turn::Other);
        let result = if is_history(ino.0) {
            self.0.past.opendir(ino.0)
        } else {
            self.0.live.opendir(ino.0)
        };
        opened("opendir", result, reply);
    }

    fn readdir(
        &self, _req: &Request, ino: INodeNo, fh: FileHandle, offset: u64, reply: ReplyDirectory,
    ) {
        let _inside = self.0.barrier.enter(Turn::Other);
        reply::names(&self.0, ino.0, fh.0, offset, reply);
    }

    fn readdirplus(
        &self, _req: &Request, ino: INodeNo, fh: FileHandle, offset: u64, reply: ReplyDirectoryPlus,
    ) {
        let _inside = self.0.barrier.enter(Turn::Other);
        reply::entries(&self.0, ino.0, fh.0, offset, reply);
    }

    fn releasedir(
        &self, _req: &Request, _ino: INodeNo, fh: FileHandle, _flags: OpenFlags, reply: ReplyEmpty,
    ) {
        let _inside = self.0.barrier.enter(Turn::Other);
        self.0.handles.remove(fh.0);
        reply.ok();
    }

    fn fsyncdir(
        &self, _req: &Request, ino: INodeNo, fh: FileHandle, datasync: bool, reply: ReplyEmpty,
    ) {
        let _inside = self.0.barrier.enter(Turn::Other);
        if is_history(ino.0) {
            return reply.ok();
        }
        let (live, remote) = (&self.0.live, self.0.remote.as_ref());
        let here = live.fsyncdir(fh.0, durable(datasync));
        synced("fsyncdir", here, remote, || live.sealed_in(ino.0), reply);
    }

    fn statfs(&self, _req: &Request, _ino: INodeNo, reply: ReplyStatfs) {
        let _inside = self.0.barrier.enter(Turn::Other);
        reply::statistics(self.0.live.statfs(), reply);
    }

    fn setxattr(
        &self, req: &Request, ino: INodeNo, name: &OsStr, value: &[u8], flags: i32, _position: u32,
        reply: ReplyEmpty,
    ) {
        let _inside = self.0.barrier.enter(Turn::Other);
        let live = self.0.in_live(ino);
        let result = live.and_then(|live| live.setxattr(ino.0, name, value, flags, caller(req)));
        done("setxattr", result, reply);
    }

    fn getxattr(&self, _req: &Request, ino: INodeNo, name: &OsStr, size: u32, reply: ReplyXattr) {
        let _inside = self.0.barrier.enter(Turn::Other);
        let result = if is_history(ino.0) {
            self.0.past.xattr(ino.0, name.as_bytes())
        } else {
            self.0.live.getxattr(ino.0, name)
        };
        sized("getxattr", result, size, reply);
    }

    fn listxattr(&self, _req: &Request, ino: INodeNo, size: u32, reply: ReplyXattr) {
        let _inside = self.0.barrier.enter(Turn::Other);
        let result = if is_history(ino.0) {
            self.0.past.xattr_names(ino.0)
        } else {
            self.0.live.listxattr(ino.0)
        };
        sized("listxattr", result, size, reply);
    }

    fn removexattr(&self, _req: &Request, ino: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let _inside = self.0.barrier.enter(Turn::Other);
        let live = self.0.in_live(ino);
        let result = live.and_then(|live| live.removexattr(ino.0, name));
        done("removexattr", result, reply);
    }

    fn access(&self, _req: &Request, _ino: INodeNo, _mask: AccessFlags, reply: ReplyEmpty) {
        let _inside = self.0.barrier.enter(Turn::Other);
        reply.error(Errno::ENOSYS);
    }

    fn fallocate(
        &self, req: &Request, _ino: INodeNo, fh: FileHandle, offset: u64, length: u64, mode: i32,
        reply: ReplyEmpty,
    ) {
        let _inside = self.0.barrier.enter(Turn::Other);
        let result = self.0.live.fallocate(fh.0, mode, offset, length, caller(req));
        done("fallocate", result, reply);
    }

    fn lseek(
        &self, _req: &Request, ino: INodeNo, fh: FileHandle, offset: i64, whence: i32,
        reply: ReplyLseek,
    ) {
        let _inside = self.0.barrier.enter(Turn::Other);
        let result = if is_history(ino.0) {
            self.0.past.lseek(fh.0, offset, whence)
        } else {
            self.0.live.lseek(fh.0, offset, whence)
        };
        match result {
            Ok(offset) => reply.offset(offset),
            Err(error) => reply.error(errno("lseek", &error)),
        }
    }

    fn copy_file_range(
        &self, req: &Request, ino_in: INodeNo, fh_in: FileHandle, offset_in: u64, _ino_out: INodeNo,
        fh_out: FileHandle, offset_out: u64, len: u64, _flags: CopyFileRangeFlags,
        reply: ReplyWrite,
    ) {
        let _inside = self.0.barrier.enter(Turn::Other);
        if is_history(ino_in.0) {
            return reply.error(Errno::EXDEV); // the kernel reads and writes instead
        }
        let (from, to) = ((fh_in.0, offset_in), (fh_out.0, offset_out));
        let result = self.0.live.copy_file_range(from, to, len, caller(req));
        written("copy_file_range", result, reply);
    }
}
