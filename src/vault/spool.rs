//! The spool: sealed bytes that had to leave the live file before they were ingested.
//!
//! One file a version, named by its row. The presence of the file is the truth:
//! after a crash a sealed version whose spool file exists has its bytes there,
//! whatever the catalog's row says.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Mutex;

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

use crate::model::{InodeKey, Location, Name, VersionSeq, failpoint};

use super::live::facts_of;

/// The spool directory of a vault.
#[derive(Debug)]
pub struct Spool {
    directory: OwnedFd,
    /// Names that the spool gave to inodes which may also have names in the live tree.
    links: Mutex<HashMap<InodeKey, u64>>,
    /// The versions that have a file here, so that most look-ups need no look.
    present: Mutex<HashSet<VersionSeq>>,
}

impl Spool {
    /// Opens the directory, making it if missing, and clears half-made copies away.
    ///
    /// # Errors
    /// As `mkdir(2)`, `open(2)`.
    pub fn open(path: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(path)?;
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        let directory = rustix::fs::open(path, flags, Mode::empty())?;
        let spool = Self {
            directory,
            links: Mutex::default(),
            present: Mutex::default(),
        };
        for entry in rustix::fs::Dir::read_from(&spool.directory)? {
            let entry = entry?;
            if entry.file_name().to_bytes().ends_with(b".part") {
                rustix::fs::unlinkat(&spool.directory, entry.file_name(), AtFlags::empty())?;
            }
        }
        Ok(spool)
    }

    /// The directory itself. What has a name in it that ends in `.part` is half done, and
    /// gone after the next start.
    pub fn directory(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }

    /// Gives the file a name in the spool; falls back to a copy where it cannot be linked.
    ///
    /// # Errors
    /// As [`copy`](Self::copy).
    pub fn link(&self, seq: VersionSeq, file: BorrowedFd<'_>) -> io::Result<Location> {
        let name = file_name(seq);
        let facts = facts_of(file)?;
        self.discard(seq)?;
        let source = format!("/proc/self/fd/{}", file.as_raw_fd());
        // The count and the name change together: ingest may let go of it at any moment.
        let mut links = self.links();
        let linked = rustix::fs::linkat(
            rustix::fs::CWD,
            source,
            &self.directory,
            &name,
            AtFlags::SYMLINK_FOLLOW,
        );
        match linked {
            Ok(()) => {
                *links.entry(facts.inode).or_default() += 1;
                self.present().insert(seq);
                Ok(Location::SpoolLink)
            }
            // Another filesystem, no names left to link from, too many links, or a
            // filesystem without links: the bytes themselves then.
            Err(
                Errno::XDEV
                | Errno::NOENT
                | Errno::MLINK
                | Errno::PERM
                | Errno::ACCESS
                | Errno::NOTSUP,
            ) => {
                drop(links);
                let readable = reopen_for_reading(file)?;
                self.copy(seq, readable.as_fd(), facts.size)?;
                Ok(Location::SpoolCopy)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Copies the first `size` bytes of a readable file into the spool: by
    /// reference where the filesystem can, inside the kernel otherwise.
    ///
    /// # Errors
    /// `ENOSPC` among others; no half copy stays.
    pub fn copy(&self, seq: VersionSeq, file: BorrowedFd<'_>, size: u64) -> io::Result<()> {
        let part = format!("{}.part", seq.0);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC;
        let copy = rustix::fs::openat(&self.directory, &part, flags, Mode::RUSR | Mode::WUSR)?;
        let copied = copy_bytes(file, copy.as_fd(), size);
        if let Err(error) = copied {
            let _ = rustix::fs::unlinkat(&self.directory, &part, AtFlags::empty());
            return Err(error);
        }
        failpoint::reach("preserve.copied");
        let name = file_name(seq);
        let mut links = self.links();
        self.forget_link(&mut links, &name)?;
        rustix::fs::renameat(&self.directory, &part, &self.directory, &name)?;
        self.present().insert(seq);
        Ok(())
    }

    /// Makes the spool's file of a version, and its name, survive power loss.
    ///
    /// # Errors
    /// As `fsync(2)`.
    pub fn sync(&self, seq: VersionSeq) -> io::Result<()> {
        if let Some(file) = self.open_file(seq)? {
            rustix::fs::fsync(&file)?;
        }
        rustix::fs::fsync(&self.directory)?;
        Ok(())
    }

    /// Opens the bytes of a version. `None`: not in the spool.
    ///
    /// # Errors
    /// As `open(2)`.
    pub fn open_file(&self, seq: VersionSeq) -> io::Result<Option<File>> {
        if !self.present().contains(&seq) {
            return Ok(None);
        }
        self.open_present(seq)
    }

    fn open_present(&self, seq: VersionSeq) -> io::Result<Option<File>> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        match rustix::fs::openat(&self.directory, file_name(seq), flags, Mode::empty()) {
            Ok(file) => Ok(Some(File::from(file))),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Lets the bytes of a version go.
    ///
    /// # Errors
    /// As `unlink(2)`; a file that is not there is fine.
    pub fn discard(&self, seq: VersionSeq) -> io::Result<()> {
        let mut links = self.links();
        if !self.present().remove(&seq) {
            return Ok(());
        }
        let name = file_name(seq);
        self.forget_link(&mut links, &name)?;
        match rustix::fs::unlinkat(&self.directory, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Gives the bytes of a version a free name elsewhere, as the same file where that can be.
    ///
    /// # Errors
    /// As `linkat(2)`; for a copy as [`copy`](Self::copy), and none of it stays.
    pub fn put_elsewhere(
        &self,
        seq: VersionSeq,
        directory: BorrowedFd<'_>,
        name: &Name,
    ) -> io::Result<()> {
        let (name, source) = (name.as_os_str(), file_name(seq));
        let flags = AtFlags::empty();
        match rustix::fs::linkat(&self.directory, &source, directory, name, flags) {
            Err(Errno::XDEV | Errno::PERM | Errno::NOTSUP | Errno::MLINK) => {}
            linked => return Ok(linked?),
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let Some(file) = self.open_present(seq)? else {
            return Err(Errno::NOENT.into());
        };
        let size = facts_of(file.as_fd())?.size;
        let copy = rustix::fs::openat(directory, name, flags, Mode::RUSR | Mode::WUSR)?;
        // On the disk before the spool lets go of what may be the only one.
        copy_bytes(file.as_fd(), copy.as_fd(), size)
            .and_then(|()| Ok(rustix::fs::fsync(&copy)?))
            .and_then(|()| Ok(rustix::fs::fsync(directory)?))
            .inspect_err(|_| {
                let _ = rustix::fs::unlinkat(directory, name, AtFlags::empty());
            })
    }

    /// How many of an inode's names are the spool's.
    pub fn links_of(&self, inode: InodeKey) -> u64 {
        self.links().get(&inode).copied().unwrap_or(0)
    }

    /// The rows that have a file here, and counts links anew; for the start.
    ///
    /// # Errors
    /// As `getdents(2)`.
    pub fn recover(&self) -> io::Result<Vec<VersionSeq>> {
        let mut found = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.directory)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let Some(seq) = name.parse().ok().map(VersionSeq) else {
                continue;
            };
            found.push(seq);
            self.present().insert(seq);
            if let Some(file) = self.open_present(seq)? {
                let facts = facts_of(file.as_fd())?;
                if facts.nlink > 1 {
                    *self.links().entry(facts.inode).or_default() += 1;
                }
            }
        }
        Ok(found)
    }

    fn forget_link(&self, links: &mut HashMap<InodeKey, u64>, name: &str) -> io::Result<()> {
        let stat = match rustix::fs::statat(&self.directory, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let inode = InodeKey {
            dev: stat.st_dev,
            ino: stat.st_ino,
        };
        if let Some(count) = links.get_mut(&inode) {
            *count -= 1;
            if *count == 0 {
                links.remove(&inode);
            }
        }
        Ok(())
    }

    fn present(&self) -> std::sync::MutexGuard<'_, HashSet<VersionSeq>> {
        self.present
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn links(&self) -> std::sync::MutexGuard<'_, HashMap<InodeKey, u64>> {
        self.links
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

fn file_name(seq: VersionSeq) -> String {
    seq.0.to_string()
}

/// A descriptor that can be read, of a file that may be open only as `O_PATH` or for writing.
///
/// # Errors
/// As `open(2)`.
pub fn reopen_for_reading(file: BorrowedFd<'_>) -> io::Result<File> {
    File::open(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

fn copy_bytes(from: BorrowedFd<'_>, to: BorrowedFd<'_>, size: u64) -> io::Result<()> {
    if rustix::fs::ioctl_ficlone(to, from).is_ok() {
        return Ok(());
    }
    let mut offset = 0u64;
    while offset < size {
        let rest = usize::try_from(size - offset)
            .unwrap_or(usize::MAX)
            .min(1 << 30);
        let mut from_offset = offset;
        let mut to_offset = offset;
        match rustix::fs::copy_file_range(
            from,
            Some(&mut from_offset),
            to,
            Some(&mut to_offset),
            rest,
        ) {
            Ok(0) => break,
            Ok(count) => offset += count as u64,
            Err(Errno::XDEV | Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) if offset == 0 => {
                return copy_by_reading(from, to, size);
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn copy_by_reading(from: BorrowedFd<'_>, to: BorrowedFd<'_>, size: u64) -> io::Result<()> {
    let mut buffer = vec![0u8; 1 << 20];
    let mut offset = 0u64;
    while offset < size {
        let want = buffer
            .len()
            .min(usize::try_from(size - offset).unwrap_or(usize::MAX));
        let count = rustix::io::pread(from, &mut buffer[..want], offset)?;
        if count == 0 {
            break;
        }
        let mut written = 0;
        while written < count {
            written += rustix::io::pwrite(to, &buffer[written..count], offset + written as u64)?;
        }
        offset += count as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_get_a_name_elsewhere_on_this_filesystem_and_on_another() {
        let directory = tempfile::tempdir().unwrap();
        let other = tempfile::tempdir_in("/dev/shm").unwrap();
        let spool = Spool::open(&directory.path().join("spool")).unwrap();
        let source = directory.path().join("source");
        std::fs::write(&source, "the only copy").unwrap();
        let seq = VersionSeq(7);
        let file = File::open(&source).unwrap();
        spool.copy(seq, file.as_fd(), 13).unwrap();
        let name = Name::new(b"there").unwrap();
        for place in [directory.path(), other.path()] {
            let to = File::open(place).unwrap();
            spool.put_elsewhere(seq, to.as_fd(), &name).unwrap();
            let found = std::fs::read(place.join("there")).unwrap();
            assert_eq!(found, b"the only copy");
            let again = spool.put_elsewhere(seq, to.as_fd(), &name).unwrap_err();
            assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);
        }
        assert!(spool.open_file(seq).unwrap().is_some());
    }
}
