//! The history trees as the kernel sees them: read-only, numbered without a table.
//!
//! A number is the top bit, three bits of kind and the row; it stands for the same
//! content for good, so the kernel may cache what it read. Directories change, so
//! they are asked for each time, after the reader's barrier.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use fuser::{FileAttr, FileType, FopenFlags, INodeNo};

use super::barrier::Barrier;
use super::errno::{Error, Result};
use super::handles::{Handle, Handles};
use super::live::Opened;
use super::live::directory::{Item as Listed, Room};
use crate::history::{History, Item, Kind, Place, Stat};
use crate::model::{HistoryName, NodeId, PublicId, ROOT, VersionSeq};
use crate::vault::{Vault, VaultError};

const HISTORY: u64 = 1 << 63;
const KIND_SHIFT: u32 = 60;
const ROW: u64 = (1 << KIND_SHIFT) - 1;

/// What never changes may be believed for long; purging takes effect at the next open.
const LONG: Duration = Duration::from_secs(3600);

/// The number of a place.
pub(crate) fn id_of(place: Place) -> u64 {
    let (kind, row) = match place {
        Place::VersionsDirectory(NodeId(row)) => (0, row),
        Place::Asset(NodeId(row)) => (1, row),
        Place::Version(VersionSeq(row)) => (2, row),
        Place::DeletedDirectory(NodeId(row)) => (3, row),
        Place::DeletedFile(VersionSeq(row)) => (4, row),
    };
    HISTORY | kind << KIND_SHIFT | (row as u64 & ROW)
}

/// The place of a number. `None`: it is none of history's.
pub(crate) fn place_of(id: u64) -> Option<Place> {
    let row = (id & ROW) as i64;
    match (id & HISTORY != 0, (id & !HISTORY) >> KIND_SHIFT) {
        (true, 0) => Some(Place::VersionsDirectory(NodeId(row))),
        (true, 1) => Some(Place::Asset(NodeId(row))),
        (true, 2) => Some(Place::Version(VersionSeq(row))),
        (true, 3) => Some(Place::DeletedDirectory(NodeId(row))),
        (true, 4) => Some(Place::DeletedFile(VersionSeq(row))),
        _ => None,
    }
}

/// True for the numbers of history.
pub(crate) fn is_history(id: u64) -> bool {
    id & HISTORY != 0
}

/// The number of a history tree's top.
pub(crate) fn root_id(name: HistoryName) -> u64 {
    match name {
        HistoryName::Versions => id_of(Place::VersionsDirectory(ROOT)),
        HistoryName::Deleted => id_of(Place::DeletedDirectory(ROOT)),
        // Reserved; it shows nothing yet.
        HistoryName::At => 0,
    }
}

/// What the kernel is told of a name in history.
#[derive(Debug)]
pub(crate) struct PastEntry {
    pub(crate) attr: FileAttr,
    pub(crate) attr_timeout: Duration,
    pub(crate) entry_timeout: Duration,
}

/// The history of one mount.
#[derive(Debug)]
pub(crate) struct Past {
    pub(crate) vault: Arc<Vault>,
    pub(crate) handles: Arc<Handles>,
    pub(crate) barrier: Arc<Barrier>,
}

impl Past {
    fn history(&self) -> History<'_> {
        History::new(&self.vault)
    }

    fn place(&self, id: u64) -> Result<Place> {
        place_of(id).ok_or(Error::Stale)
    }

    /// Every close that came before this question counts in the answer. An asset's
    /// first version is on its way before any catalog knows the asset, so it is not
    /// enough to wait for the inodes that history knows.
    fn settle(&self) {
        if self.handles.any_writer() {
            self.barrier.fence();
        }
    }

    /// A history name at the mount root.
    pub(crate) fn root(&self, name: HistoryName) -> Result<Option<PastEntry>> {
        let Some(place) = place_of(root_id(name)) else {
            return Ok(None);
        };
        Ok(self.history().stat(place)?.map(|stat| entry(&stat, None)))
    }

    /// A name below.
    pub(crate) fn lookup(&self, parent: u64, name: &[u8]) -> Result<Option<PastEntry>> {
        let parent = self.place(parent)?;
        self.settle();
        let found = self.history().lookup(parent, name)?;
        Ok(found.map(|stat| entry(&stat, Some(name))))
    }

    /// What a place is.
    pub(crate) fn getattr(&self, id: u64) -> Result<PastEntry> {
        let place = self.place(id)?;
        let stat = self.history().stat(place)?.ok_or(Error::Stale)?;
        Ok(entry(&stat, None))
    }

    /// Opens a version's content.
    pub(crate) fn open(&self, id: u64, flags: i32) -> Result<Opened> {
        let place = self.place(id)?;
        if flags & libc::O_ACCMODE != libc::O_RDONLY || flags & libc::O_TRUNC != 0 {
            return Err(Error::HistoryIsReadOnly);
        }
        let content = self.history().open(place)?;
        Ok(Opened {
            handle: self.handles.add(Handle::Content(Arc::new(content))),
            flags: FopenFlags::FOPEN_KEEP_CACHE | FopenFlags::FOPEN_NOFLUSH,
            backing: None,
        })
    }

    /// Bytes of an open version.
    pub(crate) fn read(&self, handle: u64, offset: u64, size: u32) -> Result<Vec<u8>> {
        let Handle::Content(content) = self.handles.get(handle)? else {
            return Err(Error::BadHandle);
        };
        let mut data = vec![0; size as usize];
        let count = content.read_at(offset, &mut data)?;
        data.truncate(count);
        Ok(data)
    }

    /// Takes a listing as it is now; paging goes through that.
    pub(crate) fn opendir(&self, id: u64) -> Result<Opened> {
        let place = self.place(id)?;
        self.settle();
        let listing = self.history().list(place)?;
        Ok(Opened {
            handle: self.handles.add(Handle::Listing(Arc::new(listing))),
            flags: FopenFlags::empty(),
            backing: None,
        })
    }

    /// The names from `offset` on, as many as there is room for.
    pub(crate) fn readdir(
        &self,
        id: u64,
        handle: u64,
        offset: u64,
        add: &mut dyn FnMut(&Listed) -> Room,
    ) -> Result<()> {
        let Handle::Listing(listing) = self.handles.get(handle)? else {
            return Err(Error::BadHandle);
        };
        let dots = [&b"."[..], b".."].into_iter().map(|name| Listed {
            name: name.into(),
            id,
            kind: FileType::Directory,
            next: 0,
        });
        let items = listing.iter().map(|item| Listed {
            name: item.name.as_slice().into(),
            id: id_of(item.place),
            kind: kind(item),
            next: 0,
        });
        let skip = usize::try_from(offset).unwrap_or(usize::MAX);
        for (index, mut item) in dots.chain(items).enumerate().skip(skip) {
            item.next = index as u64 + 1;
            if add(&item) == Room::Full {
                break;
            }
        }
        Ok(())
    }

    /// One extended attribute of a place.
    pub(crate) fn xattr(&self, id: u64, name: &[u8]) -> Result<Vec<u8>> {
        let found = self.history().xattr(self.place(id)?, name)?;
        found.ok_or(Error::NoAttribute)
    }

    /// The names of a place's attributes, each ended by NUL.
    pub(crate) fn xattr_names(&self, id: u64) -> Result<Vec<u8>> {
        let mut names = Vec::new();
        for (name, _) in self.history().xattrs(self.place(id)?)? {
            names.extend_from_slice(&name);
            names.push(0);
        }
        Ok(names)
    }

    /// A version has no holes: data all along, one hole at the end.
    pub(crate) fn lseek(&self, handle: u64, offset: i64, whence: i32) -> Result<i64> {
        let Handle::Content(content) = self.handles.get(handle)? else {
            return Err(Error::BadHandle);
        };
        let size = content.size() as i64;
        match whence {
            libc::SEEK_DATA | libc::SEEK_HOLE if !(0..size).contains(&offset) => {
                Err(Error::Os(rustix::io::Errno::NXIO))
            }
            libc::SEEK_DATA => Ok(offset),
            libc::SEEK_HOLE => Ok(size),
            _ => Err(Error::BadFlags),
        }
    }

    /// `mv .deleted/x x`: `target` is where it would go.
    pub(crate) fn undelete(&self, parent: u64, name: &[u8], target: &PublicId) -> Result<()> {
        let parent = self.place(parent)?;
        self.settle();
        let history = self.history();
        let refused = || VaultError::NotItsPlace {
            path: target.clone(),
        };
        let stat = history.lookup(parent, name)?.ok_or_else(refused)?;
        let Place::DeletedFile(_) = stat.place else {
            return Err(Error::HistoryIsReadOnly);
        };
        if history.public_id(stat.place)?.as_ref() != Some(target) {
            return Err(refused().into());
        }
        Ok(self.vault.undelete(target)?)
    }
}

fn kind(item: &Item) -> FileType {
    match item.place.kind() {
        Kind::Directory => FileType::Directory,
        Kind::File => FileType::RegularFile,
    }
}

/// `name` is what the kernel asked for: `latest` is another version tomorrow, a
/// version's own id is not.
fn entry(stat: &Stat, name: Option<&[u8]>) -> PastEntry {
    let is_own_name = name.is_some_and(|n| n.len() == 32 && n.iter().all(u8::is_ascii_hexdigit));
    let (attr_timeout, entry_timeout) = match stat.place {
        Place::Version(_) if is_own_name => (LONG, LONG),
        Place::Version(_) | Place::DeletedFile(_) => (LONG, Duration::ZERO),
        Place::VersionsDirectory(_) | Place::Asset(_) | Place::DeletedDirectory(_) => {
            (Duration::ZERO, Duration::ZERO)
        }
    };
    PastEntry {
        attr: file_attr(stat),
        attr_timeout,
        entry_timeout,
    }
}

fn file_attr(stat: &Stat) -> FileAttr {
    let mtime = stat.attributes.mtime.system_time();
    let (kind, nlink) = match stat.place.kind() {
        Kind::Directory => (FileType::Directory, 2),
        Kind::File => (FileType::RegularFile, 1),
    };
    FileAttr {
        ino: INodeNo(id_of(stat.place)),
        size: stat.size,
        blocks: stat.size.div_ceil(512),
        atime: mtime,
        mtime,
        ctime: stat.ctime.system_time(),
        crtime: UNIX_EPOCH,
        kind,
        perm: (stat.attributes.mode & 0o7777) as u16,
        nlink,
        uid: stat.attributes.uid,
        gid: stat.attributes.gid,
        rdev: 0,
        blksize: 4096,
        flags: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_and_numbers_go_back_and_forth() {
        for row in [1, 7, i64::from(u32::MAX), (1 << 59) + 5] {
            for place in [
                Place::VersionsDirectory(NodeId(row)),
                Place::Asset(NodeId(row)),
                Place::Version(VersionSeq(row)),
                Place::DeletedDirectory(NodeId(row)),
                Place::DeletedFile(VersionSeq(row)),
            ] {
                assert!(is_history(id_of(place)));
                assert_eq!(place_of(id_of(place)), Some(place));
            }
        }
    }

    #[test]
    fn live_numbers_are_no_places() {
        for id in [0, 1, 2, 1 << 62, (1 << 63) - 1] {
            assert_eq!(place_of(id), None);
            assert!(!is_history(id));
        }
        assert_eq!(place_of(u64::MAX), None);
    }
}
