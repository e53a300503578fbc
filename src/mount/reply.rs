//! Results and errors as fuser's replies, and fuser's arguments as plain values.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fuser::{
    Errno, FileAttr, FileHandle, FileType, Generation, INodeNo, ReplyCreate, ReplyData,
    ReplyDirectory, ReplyDirectoryPlus, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyStatfs, ReplyWrite,
    ReplyXattr, Request, TimeOrNow,
};

use super::errno::{Error, Result};
use super::history::{Past, PastEntry, is_history};
use super::live::directory::{Fill, Item, Room};
use super::live::{Caller, Durable, Entry, Live, NewFile, NewTime, Opened};
use super::remote_commits::RemoteCommits;
use super::tree::Tree;
use crate::model::VersionSeq;

pub(super) fn caller(req: &Request) -> Caller {
    Caller {
        uid: req.uid(),
        gid: req.gid(),
    }
}

pub(super) fn new_file(req: &Request, mode: u32, umask: u32) -> NewFile {
    NewFile {
        mode,
        umask,
        caller: caller(req),
    }
}

pub(super) fn errno(operation: &'static str, error: &Error) -> Errno {
    let errno = error.errno();
    match error.explanation() {
        Some(text) => log::warn!("{operation} refused: {text}"),
        None => log::debug!("{operation}: {errno:?}"),
    }
    Errno::from_i32(errno.raw_os_error())
}

/// Attributes of no file: number 0 makes the kernel remember that a name is free.
pub(super) const NOTHING: FileAttr = FileAttr {
    ino: INodeNo(0),
    size: 0,
    blocks: 0,
    atime: UNIX_EPOCH,
    mtime: UNIX_EPOCH,
    ctime: UNIX_EPOCH,
    crtime: UNIX_EPOCH,
    kind: FileType::RegularFile,
    perm: 0,
    nlink: 0,
    uid: 0,
    gid: 0,
    rdev: 0,
    blksize: 0,
    flags: 0,
};

fn generation(entry: &Entry) -> Generation {
    Generation(entry.generation)
}

pub(super) fn time(time: Option<TimeOrNow>) -> Option<NewTime> {
    Some(match time? {
        TimeOrNow::Now => NewTime::Now,
        TimeOrNow::SpecificTime(time) => specific(time),
    })
}

/// Times before 1970 arrive from fuser with their nanoseconds counted backwards.
fn specific(time: SystemTime) -> NewTime {
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => NewTime::At {
            seconds: after.as_secs() as i64,
            nanos: after.subsec_nanos(),
        },
        Err(before) => NewTime::At {
            seconds: -(before.duration().as_secs() as i64),
            nanos: before.duration().subsec_nanos(),
        },
    }
}

pub(super) fn durable(datasync: bool) -> Durable {
    if datasync {
        Durable::Data
    } else {
        Durable::Everything
    }
}

pub(super) fn done(operation: &'static str, result: Result<()>, reply: ReplyEmpty) {
    match result {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(errno(operation, &error)),
    }
}

/// Answers an fsync that went through here, when what it waits for is in the store, too.
pub(super) fn synced(
    operation: &'static str,
    local: Result<()>,
    remote: Option<&RemoteCommits>,
    versions: impl FnOnce() -> Result<Option<HashSet<VersionSeq>>>,
    reply: ReplyEmpty,
) {
    match (remote, local) {
        (Some(remote), Ok(())) => awaited(operation, remote, versions(), reply),
        (_, local) => done(operation, local, reply),
    }
}

pub(super) fn statistics(result: Result<rustix::fs::StatVfs>, reply: ReplyStatfs) {
    match result {
        Ok(s) => reply.statfs(
            s.f_blocks,
            s.f_bfree,
            s.f_bavail,
            s.f_files,
            s.f_ffree,
            s.f_bsize as u32,
            s.f_namemax as u32,
            s.f_frsize as u32,
        ),
        Err(error) => reply.error(errno("statfs", &error)),
    }
}

/// Answers when the versions are in the store; at once where there are none.
pub(super) fn awaited(
    operation: &'static str,
    remote: &RemoteCommits,
    versions: Result<Option<HashSet<VersionSeq>>>,
    reply: ReplyEmpty,
) {
    match versions {
        Ok(None) => reply.ok(),
        Ok(Some(versions)) => {
            remote.wait(versions, move |result| done(operation, result, reply));
        }
        Err(error) => reply.error(errno(operation, &error)),
    }
}

pub(super) fn data(operation: &'static str, result: Result<Vec<u8>>, reply: ReplyData) {
    match result {
        Ok(bytes) => reply.data(&bytes),
        Err(error) => reply.error(errno(operation, &error)),
    }
}

pub(super) fn written(operation: &'static str, result: Result<u32>, reply: ReplyWrite) {
    match result {
        Ok(count) => reply.written(count),
        Err(error) => reply.error(errno(operation, &error)),
    }
}

pub(super) fn sized(
    operation: &'static str,
    result: Result<Vec<u8>>,
    size: u32,
    reply: ReplyXattr,
) {
    let result = result.and_then(|value| match size {
        0 => Ok(Err(value.len() as u32)),
        size if value.len() > size as usize => Err(Error::SmallBuffer),
        _ => Ok(Ok(value)),
    });
    match result {
        Ok(Ok(value)) => reply.data(&value),
        Ok(Err(size)) => reply.size(size),
        Err(error) => reply.error(errno(operation, &error)),
    }
}

pub(super) fn opened(operation: &'static str, result: Result<Opened>, reply: ReplyOpen) {
    match result {
        Ok(opened) => {
            let handle = FileHandle(opened.handle);
            match &opened.backing {
                Some(backing) => reply.opened_passthrough(handle, opened.flags, backing),
                None => reply.opened(handle, opened.flags),
            }
        }
        Err(error) => reply.error(errno(operation, &error)),
    }
}

/// A live file under its name.
pub(super) fn live_entry(
    live: &Live,
    operation: &'static str,
    result: Result<Entry>,
    reply: ReplyEntry,
) {
    match result {
        Ok(entry) => reply.entry_with_ttls(
            &live.attr_timeout(),
            &live.entry_timeout(),
            &entry.attr,
            generation(&entry),
        ),
        Err(error) => reply.error(errno(operation, &error)),
    }
}

/// A live file under its name, and open.
pub(super) fn created(live: &Live, result: Result<(Entry, Opened)>, reply: ReplyCreate) {
    let (entry, opened) = match result {
        Ok(made) => made,
        Err(error) => return reply.error(errno("create", &error)),
    };
    let ttl = live.entry_timeout().min(live.attr_timeout());
    let (attr, generation) = (&entry.attr, generation(&entry));
    let (handle, flags) = (FileHandle(opened.handle), opened.flags);
    match &opened.backing {
        Some(backing) => {
            reply.created_passthrough(&ttl, attr, generation, handle, flags, backing);
        }
        None => reply.created(&ttl, attr, generation, handle, flags),
    }
}

/// A listing of names.
pub(super) fn names(tree: &Tree, id: u64, handle: u64, offset: u64, mut reply: ReplyDirectory) {
    let mut add = |item: &Item| {
        let name = OsStr::from_bytes(&item.name);
        room(reply.add(INodeNo(item.id), item.next, item.kind, name))
    };
    let result = if is_history(id) {
        tree.past.readdir(id, handle, offset, &mut add)
    } else {
        tree.live.readdir(handle, offset, Fill::Names(&mut add))
    };
    match result {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(errno("readdir", &error)),
    }
}

/// A listing with attributes.
pub(super) fn entries(
    tree: &Tree,
    id: u64,
    handle: u64,
    offset: u64,
    mut reply: ReplyDirectoryPlus,
) {
    let (live, past) = (&tree.live, &tree.past);
    let result = if is_history(id) {
        past.readdir(id, handle, offset, &mut |item| {
            bare_entry(&mut reply, past, item)
        })
    } else {
        let ttl = live.entry_timeout().min(live.attr_timeout());
        let mut add = |item: &Item, entry: Option<&Entry>| match entry {
            Some(entry) => {
                let name = OsStr::from_bytes(&item.name);
                let (attr, generation) = (&entry.attr, generation(entry));
                room(reply.add(attr.ino, item.next, name, &ttl, attr, generation))
            }
            None => bare_entry(&mut reply, past, item),
        };
        live.readdir(handle, offset, Fill::Entries(&mut add))
    };
    match result {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(errno("readdirplus", &error)),
    }
}

fn room(full: bool) -> Room {
    if full { Room::Full } else { Room::Left }
}

/// A history place, or one of the dots, in a listing with attributes.
fn bare_entry(reply: &mut ReplyDirectoryPlus, past: &Past, item: &Item) -> Room {
    let is_dot = matches!(&*item.name, b"." | b"..");
    let (ttl, attr) = if is_history(item.id) && !is_dot {
        match past.getattr(item.id) {
            Ok(entry) => (entry.entry_timeout.min(entry.attr_timeout), entry.attr),
            // Purged since the listing was taken.
            Err(_) => return Room::Left,
        }
    } else {
        let (ino, kind) = (INodeNo(item.id), item.kind);
        let attr = FileAttr {
            ino,
            kind,
            ..NOTHING
        };
        (Duration::ZERO, attr)
    };
    let name = OsStr::from_bytes(&item.name);
    room(reply.add(attr.ino, item.next, name, &ttl, &attr, Generation(0)))
}

pub(super) fn past_entry(result: Result<Option<PastEntry>>, reply: ReplyEntry) {
    match result {
        Ok(Some(entry)) => reply.entry_with_ttls(
            &entry.attr_timeout,
            &entry.entry_timeout,
            &entry.attr,
            Generation(0),
        ),
        Ok(None) => reply.error(Errno::ENOENT),
        Err(error) => reply.error(errno("lookup", &error)),
    }
}
