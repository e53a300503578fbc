//! Listing directories, plain and with attributes.
//!
//! An open directory reads ahead one buffer of names. The offset of an entry is the
//! lower filesystem's own cookie, so paging is as stable as it is there.

use std::collections::VecDeque;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};

use fuser::{FileType, FopenFlags};
use rustix::fs::{Mode, OFlags, RawDir, SeekFrom, openat, seek};
use rustix::io::Errno;

use super::{Entry, Live, Opened};
use crate::model::{HISTORY_NAMES, HistoryName};
use crate::mount::attr::Stat;
use crate::mount::errno::Result;
use crate::mount::handles::Handle;
use crate::mount::nodes::ROOT_ID;
use crate::mount::options::HistoryListing;

const BUFFER: usize = 32 * 1024;

/// Above every cookie of the filesystems below, and still a positive offset.
const HISTORY_COOKIES: u64 = 0x7fff_ffff_ffff_ff00;

/// A directory that the kernel has open.
#[derive(Debug)]
pub(crate) struct OpenDirectory {
    id: u64,
    pub(super) file: OwnedFd,
    ahead: Mutex<Ahead>,
}

/// Names that were read and not yet handed out; `offset` is where they begin.
#[derive(Debug, Default)]
struct Ahead {
    offset: u64,
    items: VecDeque<Item>,
}

/// One name in a listing.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    /// The name.
    pub(crate) name: Box<[u8]>,
    /// The number to show.
    pub(crate) id: u64,
    /// What it is.
    pub(crate) kind: FileType,
    /// Where the listing goes on after it.
    pub(crate) next: u64,
}

/// Whether the reply had room for an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Room {
    /// It is in, and more may follow.
    Left,
    /// It is not in.
    Full,
}

/// How much a listing tells of each name.
pub(crate) enum Fill<'a> {
    /// The name, number and type.
    Names(&'a mut dyn FnMut(&Item) -> Room),
    /// The attributes too; the kernel then knows the file as if it had looked it up.
    Entries(&'a mut dyn FnMut(&Item, Option<&Entry>) -> Room),
}

impl Live {
    /// opendir(3).
    pub(crate) fn opendir(&self, id: u64) -> Result<Opened> {
        let directory = self.directory(id)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let file = openat(&*directory, c".", flags, Mode::empty())?;
        let handle = self.handles.add(Handle::Directory(Arc::new(OpenDirectory {
            id,
            file,
            ahead: Mutex::default(),
        })));
        Ok(Opened {
            handle,
            // The kernel checks its copy against the directory's mtime.
            flags: FopenFlags::FOPEN_CACHE_DIR | FopenFlags::FOPEN_KEEP_CACHE,
            backing: None,
        })
    }

    /// The names from `offset` on, as many as there is room for.
    pub(crate) fn readdir(&self, handle: u64, offset: u64, mut fill: Fill<'_>) -> Result<()> {
        let directory = self.handles.directory(handle)?;
        let mut ahead = directory
            .ahead
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if offset < HISTORY_COOKIES {
            if offset != ahead.offset {
                ahead.items.clear();
                ahead.offset = offset;
                seek(&directory.file, SeekFrom::Start(offset))?;
            } else if ahead.items.is_empty() {
                seek(&directory.file, SeekFrom::Start(offset))?;
            }
            loop {
                while let Some(item) = ahead.items.pop_front() {
                    let next = item.next;
                    if self.fill_one(&directory, &item, &mut fill)? == Room::Full {
                        ahead.items.push_front(item);
                        return Ok(());
                    }
                    ahead.offset = next;
                }
                if !self.read_ahead(&directory, &mut ahead.items)? {
                    break;
                }
            }
        }
        if directory.id == ROOT_ID && self.options.history == HistoryListing::Visible {
            self.fill_history(offset, &mut fill);
        }
        Ok(())
    }

    /// False at the end.
    fn read_ahead(&self, directory: &OpenDirectory, items: &mut VecDeque<Item>) -> Result<bool> {
        let mut buffer = [const { MaybeUninit::uninit() }; BUFFER];
        let mut raw = RawDir::new(&directory.file, &mut buffer);
        let mut more = false;
        while let Some(entry) = raw.next() {
            let entry = entry?;
            more = true;
            let name = entry.file_name().to_bytes();
            if directory.id != ROOT_ID || HistoryName::from_root_name(name).is_none() {
                items.push_back(Item {
                    name: name.into(),
                    id: self.nodes.shown_id(entry.ino()),
                    kind: kind_of(&entry, directory)?,
                    next: entry.next_entry_cookie(),
                });
            }
            if raw.is_buffer_empty() {
                break;
            }
        }
        Ok(more)
    }

    fn fill_one(
        &self,
        directory: &OpenDirectory,
        item: &Item,
        fill: &mut Fill<'_>,
    ) -> Result<Room> {
        match fill {
            Fill::Names(add) => Ok(add(item)),
            Fill::Entries(add) if matches!(&*item.name, b"." | b"..") => Ok(add(item, None)),
            Fill::Entries(add) => {
                let stat = match Stat::at(&directory.file, &*item.name) {
                    Ok(stat) => stat,
                    // It went away since the names were read.
                    Err(Errno::NOENT) => return Ok(Room::Left),
                    Err(errno) => return Err(errno.into()),
                };
                let node = self.nodes.learn(&stat, directory.id, &item.name);
                let room = add(item, Some(&self.entry(&node, &stat)));
                if room == Room::Full {
                    self.nodes.forget(node.id, 1);
                }
                Ok(room)
            }
        }
    }

    fn fill_history(&self, offset: u64, fill: &mut Fill<'_>) {
        let listed = HISTORY_NAMES
            .iter()
            .filter(|(history, _)| *history != HistoryName::At);
        for (index, (history, name)) in listed.enumerate() {
            let item = Item {
                name: name.as_bytes().into(),
                id: crate::mount::history::root_id(*history),
                kind: FileType::Directory,
                next: HISTORY_COOKIES + index as u64,
            };
            if item.next <= offset {
                continue;
            }
            let room = match fill {
                Fill::Names(add) => add(&item),
                Fill::Entries(add) => add(&item, None),
            };
            if room == Room::Full {
                return;
            }
        }
    }
}

fn kind_of(entry: &rustix::fs::RawDirEntry<'_>, directory: &OpenDirectory) -> Result<FileType> {
    use rustix::fs::FileType as Lower;
    Ok(match entry.file_type() {
        Lower::RegularFile => FileType::RegularFile,
        Lower::Directory => FileType::Directory,
        Lower::Symlink => FileType::Symlink,
        Lower::Fifo => FileType::NamedPipe,
        Lower::Socket => FileType::Socket,
        Lower::CharacterDevice => FileType::CharDevice,
        Lower::BlockDevice => FileType::BlockDevice,
        Lower::Unknown => match Stat::at(&directory.file, entry.file_name()) {
            Ok(stat) => stat.kind(),
            Err(Errno::NOENT) => FileType::RegularFile,
            Err(errno) => return Err(errno.into()),
        },
    })
}
