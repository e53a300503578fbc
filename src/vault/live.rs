//! The live tree as the rules see it: files reached by public_id from one root descriptor.
//!
//! Names resolve inside the kernel with `openat2(RESOLVE_BENEATH)`, symlinks
//! refused, so no race and no `..` can lead out of the tree.

use std::fs::File;
use std::io;
use std::num::NonZeroU64;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Advice, AtFlags, FileType, Mode, OFlags, ResolveFlags, Stat, fadvise};
use rustix::io::Errno;

use crate::model::{Attributes, FileFacts, InodeKey, Name, PublicId, Timestamp, Xattrs};

/// Of each file that will be read soon; behind it the kernel reads ahead by itself.
const READ_AHEAD_BYTES: u64 = 256 * 1024;

/// A handle on the root of the live tree.
#[derive(Debug)]
pub struct LiveTree {
    root: OwnedFd,
}

impl LiveTree {
    /// Opens the root directory.
    ///
    /// # Errors
    /// As `open(2)`.
    pub fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        Ok(Self {
            root: rustix::fs::open(path, flags, Mode::empty())?,
        })
    }

    /// Opens a file or directory for reading.
    ///
    /// # Errors
    /// As `openat2(2)`; `ELOOP` where a component is a symlink.
    pub fn open_file(&self, id: &PublicId) -> io::Result<File> {
        // O_NONBLOCK: a FIFO that took the name must not hang us.
        self.open_with(id, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOATIME)
            .or_else(|error| match error.raw_os_error() {
                // O_NOATIME is for the owner and root only.
                Some(libc::EPERM) => self.open_with(id, OFlags::RDONLY | OFlags::NONBLOCK),
                _ => Err(error),
            })
            .map(File::from)
    }

    /// Opens a file for reading as somebody could who is neither an owner nor of a group:
    /// everybody may read it and go through each directory on the way. `None`: they may not.
    ///
    /// # Errors
    /// As `openat(2)`.
    pub fn open_file_for_everybody(&self, id: &PublicId) -> io::Result<Option<File>> {
        let Some((parent, name)) = id.split() else {
            return Err(Errno::ISDIR.into());
        };
        let may = |file: BorrowedFd<'_>, right: Mode| {
            let stat = rustix::fs::fstat(file)?;
            Ok::<_, io::Error>(Mode::from_raw_mode(stat.st_mode).contains(right))
        };
        // Step by step: what was looked at is what the next step goes on from.
        let mut at = rustix::io::fcntl_dupfd_cloexec(&self.root, 0)?;
        for next in parent.components().map(Some).chain([None]) {
            if !may(at.as_fd(), Mode::XOTH)? {
                return Ok(None);
            }
            if let Some(next) = next {
                let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
                at = open_beneath(at.as_fd(), next, flags)?;
            }
        }
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = open_beneath(at.as_fd(), name.as_bytes(), flags)?;
        Ok(may(file.as_fd(), Mode::ROTH)?.then(|| File::from(file)))
    }

    /// A descriptor that only names a file: for links and `fstat`, whatever its mode.
    ///
    /// # Errors
    /// As `openat2(2)`.
    pub fn open_path(&self, id: &PublicId) -> io::Result<OwnedFd> {
        self.open_with(id, OFlags::PATH)
    }

    /// Opens a directory so that names in it can be resolved.
    ///
    /// # Errors
    /// As `openat2(2)`.
    pub fn open_directory(&self, id: &PublicId) -> io::Result<OwnedFd> {
        self.open_with(id, OFlags::RDONLY | OFlags::DIRECTORY)
    }

    fn open_with(&self, id: &PublicId, flags: OFlags) -> io::Result<OwnedFd> {
        let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        if id.is_root() {
            return Ok(rustix::fs::openat(&self.root, ".", flags, Mode::empty())?);
        }
        let mut at: Option<OwnedFd> = None;
        let mut rest = id.as_bytes();
        // A path argument holds less than a path: long ones go in pieces.
        while rest.len() > PATH_ARGUMENT_BYTES_MAX {
            let piece = match rest[..PATH_ARGUMENT_BYTES_MAX]
                .iter()
                .rposition(|b| *b == b'/')
            {
                Some(slash) => slash,
                None => return Err(Errno::NAMETOOLONG.into()),
            };
            let directory = at.as_ref().map_or(self.root.as_fd(), |fd| fd.as_fd());
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            at = Some(open_beneath(directory, &rest[..piece], flags)?);
            rest = &rest[piece + 1..];
        }
        let directory = at.as_ref().map_or(self.root.as_fd(), |fd| fd.as_fd());
        open_beneath(directory, rest, flags)
    }

    /// What is at `id`, not following a symlink. `None`: nothing.
    ///
    /// # Errors
    /// Any answer of the filesystem but "not there".
    pub fn find(&self, id: &PublicId) -> io::Result<Option<Found>> {
        self.finder().find(id)
    }

    /// The same for many names, most of them beside each other. For as long as no directory
    /// is renamed: it keeps the last one open.
    pub(super) fn finder(&self) -> Finder<'_> {
        Finder {
            live: self,
            last: None,
        }
    }

    /// The root's own descriptor.
    pub fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }
}

/// See [`LiveTree::finder`].
pub(super) struct Finder<'a> {
    live: &'a LiveTree,
    last: Option<(PublicId, OwnedFd)>,
}

impl Finder<'_> {
    /// # Errors
    /// As [`LiveTree::find`].
    pub fn find(&mut self, id: &PublicId) -> io::Result<Option<Found>> {
        let Some((parent, name)) = id.split() else {
            let root = rustix::fs::fstat(&self.live.root)?;
            return Ok(Some(Found::from_stat(&root)));
        };
        let directory = match self.last.take() {
            Some((last, directory)) if last == parent => directory,
            _ => match self
                .live
                .open_with(&parent, OFlags::PATH | OFlags::DIRECTORY)
            {
                Ok(directory) => directory,
                Err(error) if is_absent(&error) => return Ok(None),
                Err(error) => return Err(error),
            },
        };
        let found = find_in(directory.as_fd(), &name);
        self.last = Some((parent, directory));
        found
    }
}

/// What has a name in an open directory; see [`LiveTree::find`].
pub(super) fn find_in(directory: BorrowedFd<'_>, name: &Name) -> io::Result<Option<Found>> {
    match rustix::fs::statat(directory, name.as_os_str(), AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(Found::from_stat(&stat))),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Bytes of a path in one call, with room for its end.
const PATH_ARGUMENT_BYTES_MAX: usize = 4000;

fn open_beneath(directory: BorrowedFd<'_>, path: &[u8], flags: OFlags) -> io::Result<OwnedFd> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    loop {
        match rustix::fs::openat2(directory, path, flags, Mode::empty(), resolve) {
            // A rename elsewhere raced with the walk; the kernel asks to try again.
            Err(Errno::AGAIN) => {}
            result => return Ok(result?),
        }
    }
}

/// One thing in the live tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// A regular file.
    File(FileFacts),
    /// A directory.
    Directory(Attributes),
    /// Anything else: never an asset.
    Special,
}

impl Found {
    fn from_stat(stat: &Stat) -> Self {
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Found::File(facts_of_stat(stat)),
            FileType::Directory => Found::Directory(attributes_of_stat(stat)),
            _ => Found::Special,
        }
    }
}

/// One name in a directory of the live tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveEntry {
    /// The name.
    pub name: Name,
    /// What it is.
    pub found: Found,
}

/// Everything in a directory, unsorted, `.` and `..` left out.
///
/// # Errors
/// As `getdents(2)`. A name that vanishes meanwhile is left out.
pub fn list_directory(directory: BorrowedFd<'_>) -> io::Result<Vec<LiveEntry>> {
    let mut entries = Vec::new();
    for entry in rustix::fs::Dir::read_from(directory)? {
        let entry = entry?;
        let bytes = entry.file_name().to_bytes();
        let Ok(name) = Name::new(bytes) else { continue };
        match rustix::fs::statat(directory, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => entries.push(LiveEntry {
                name,
                found: Found::from_stat(&stat),
            }),
            Err(Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(entries)
}

/// Has the kernel fetch the beginning of a file of `size` bytes that will be read soon: many
/// small reads at once, where the reader would wait for one after the other.
pub(super) fn read_ahead(file: BorrowedFd<'_>, size: u64) {
    let bytes = NonZeroU64::new(size.min(READ_AHEAD_BYTES));
    if bytes.is_some()
        && let Err(error) = fadvise(file, 0, bytes, Advice::WillNeed)
    {
        log::debug!("no reading ahead: {error}");
    }
}

/// What `fstat` says of an open regular file.
///
/// # Errors
/// As `fstat(2)`.
pub fn facts_of(file: BorrowedFd<'_>) -> io::Result<FileFacts> {
    Ok(facts_of_stat(&rustix::fs::fstat(file)?))
}

/// What `fstat` says of an open directory.
///
/// # Errors
/// As `fstat(2)`.
pub fn attributes_of(directory: BorrowedFd<'_>) -> io::Result<Attributes> {
    Ok(attributes_of_stat(&rustix::fs::fstat(directory)?))
}

/// The `user.` attributes of an open file, without keepfs's own, sorted by name.
///
/// # Errors
/// As `flistxattr(2)`; a filesystem without attributes has none.
pub fn user_xattrs(file: BorrowedFd<'_>) -> io::Result<Xattrs> {
    let mut names = vec![0u8; 512];
    let length = loop {
        match rustix::fs::flistxattr(file, &mut names) {
            Ok(length) => break length,
            Err(Errno::RANGE) => names.resize(names.len() * 4, 0),
            Err(Errno::NOTSUP) => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        }
    };
    let mut xattrs = Vec::new();
    for name in names[..length].split(|byte| *byte == 0) {
        if name.starts_with(b"user.")
            && let Some(value) = xattr(file, name)?
        {
            xattrs.push((name.to_vec(), value));
        }
    }
    xattrs.sort();
    Ok(xattrs)
}

/// One extended attribute. `None`: not set.
///
/// # Errors
/// As `fgetxattr(2)`.
pub fn xattr(file: BorrowedFd<'_>, name: &[u8]) -> io::Result<Option<Vec<u8>>> {
    let mut value = vec![0u8; 256];
    loop {
        match rustix::fs::fgetxattr(file, name, &mut value) {
            Ok(length) => {
                value.truncate(length);
                return Ok(Some(value));
            }
            Err(Errno::RANGE) => value.resize(64 * 1024, 0),
            Err(Errno::NODATA | Errno::NOTSUP) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
    }
}

/// True for the answers that mean "no file of that name".
pub fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::ENOENT | libc::ENOTDIR | libc::ELOOP | libc::ENXIO)
    )
}

fn facts_of_stat(stat: &Stat) -> FileFacts {
    FileFacts {
        inode: InodeKey {
            dev: stat.st_dev,
            ino: stat.st_ino,
        },
        nlink: stat.st_nlink,
        size: stat.st_size as u64,
        attributes: attributes_of_stat(stat),
        ctime: Timestamp::from_parts(stat.st_ctime, stat.st_ctime_nsec as u32),
    }
}

fn attributes_of_stat(stat: &Stat) -> Attributes {
    Attributes {
        mode: stat.st_mode & 0o7777,
        uid: stat.st_uid,
        gid: stat.st_gid,
        mtime: Timestamp::from_parts(stat.st_mtime, stat.st_mtime_nsec as u32),
    }
}
