//! Directory descriptors: a bounded, least-recently-used set of `O_PATH` ones.
//!
//! A directory that fell out is opened again through its parents, one name at a
//! time, and each step must arrive at the inode that the node stands for. There
//! is no joined path to race with.

use std::num::NonZeroUsize;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lru::LruCache;
use rustix::fs::{Mode, OFlags, openat};
use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};

use super::attr::Stat;
use super::errno::{Error, Result};
use super::nodes::{Nodes, ROOT_ID};

const MOST: u64 = 4096;
const LEAST: u64 = 16;

/// An open directory, good for the `*at` calls.
#[derive(Debug)]
pub(crate) struct Directory {
    file: OwnedFd,
    default_acl: AtomicU8,
}

/// Whether new files in a directory take their mode from its default ACL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Masking {
    /// The caller's umask applies.
    Umask,
    /// The ACL applies instead.
    DefaultAcl,
}

impl AsFd for Directory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Directory {
    fn new(file: OwnedFd) -> Self {
        Self {
            file,
            default_acl: AtomicU8::new(0),
        }
    }

    /// Asked once per descriptor; [`Descriptors::drop_one`] makes it ask again.
    pub(crate) fn masking(&self) -> Masking {
        match self.default_acl.load(Ordering::Relaxed) {
            1 => Masking::Umask,
            2 => Masking::DefaultAcl,
            _ => {
                let path = super::proc_path(&self.file);
                let found = rustix::fs::getxattr(
                    path.as_str(),
                    "system.posix_acl_default",
                    &mut [0u8; 0][..],
                );
                let masking = match found {
                    Ok(_) | Err(Errno::RANGE) => Masking::DefaultAcl,
                    Err(_) => Masking::Umask,
                };
                let mark = if masking == Masking::Umask { 1 } else { 2 };
                self.default_acl.store(mark, Ordering::Relaxed);
                masking
            }
        }
    }
}

/// The open directories of one mount.
#[derive(Debug)]
pub(crate) struct Descriptors {
    root: Arc<Directory>,
    cache: Mutex<LruCache<u64, Arc<Directory>>>,
}

impl Descriptors {
    /// `root` is an `O_PATH` descriptor of the live tree.
    pub(crate) fn new(root: OwnedFd) -> Self {
        let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        let size = (limit / 2).clamp(LEAST, MOST) as usize;
        Self::with_capacity(root, size)
    }

    fn with_capacity(root: OwnedFd, size: usize) -> Self {
        let size = NonZeroUsize::new(size).unwrap_or(NonZeroUsize::MIN);
        Self {
            root: Arc::new(Directory::new(root)),
            cache: Mutex::new(LruCache::new(size)),
        }
    }

    fn cache(&self) -> MutexGuard<'_, LruCache<u64, Arc<Directory>>> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The root of the live tree.
    pub(crate) fn root(&self) -> &Arc<Directory> {
        &self.root
    }

    /// The directory with this number, opened if need be.
    pub(crate) fn get(&self, nodes: &Nodes, id: u64) -> Result<Arc<Directory>> {
        let mut missing = Vec::new();
        let mut at = id;
        let mut directory = loop {
            if let Some(found) = self.cached(at) {
                break found;
            }
            let node = nodes.get(at)?;
            let Some(link) = node.link() else {
                // Removed, and still somebody's working directory.
                let kept = node.kept().ok_or(Error::Os(Errno::NOENT))?;
                break Arc::new(Directory::new(kept.try_clone().map_err(os_error)?));
            };
            at = link.parent;
            missing.push((node, link.name));
            if missing.len() > 1 << 20 {
                return Err(Error::Stale);
            }
        };
        for (node, name) in missing.into_iter().rev() {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let opened = openat(&*directory, &*name, flags, Mode::empty());
            let file = match opened {
                Ok(file) => file,
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Err(Error::Stale),
                Err(errno) => return Err(errno.into()),
            };
            if !node.is(&Stat::of(&file)?) {
                return Err(Error::Stale);
            }
            directory = Arc::new(Directory::new(file));
            self.cache().put(node.id, directory.clone());
        }
        Ok(directory)
    }

    fn cached(&self, id: u64) -> Option<Arc<Directory>> {
        if id == ROOT_ID {
            return Some(self.root.clone());
        }
        self.cache().get(&id).cloned()
    }

    /// Takes a directory out: it is removed, or its ACL changed.
    pub(crate) fn drop_one(&self, id: u64) -> Option<Arc<Directory>> {
        if id == ROOT_ID {
            self.root.default_acl.store(0, Ordering::Relaxed);
            return None;
        }
        self.cache().pop(&id)
    }
}

fn os_error(error: std::io::Error) -> Error {
    Error::Os(Errno::from_io_error(&error).unwrap_or(Errno::IO))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{CWD, open};
    use std::fs;

    fn path_descriptor(path: &std::path::Path) -> OwnedFd {
        open(path, OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).unwrap()
    }

    #[test]
    fn a_directory_that_fell_out_is_opened_again_through_its_parents() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("a/b/c")).unwrap();
        let nodes = Nodes::new(&Stat::at(CWD, dir.path()).unwrap());
        let mut id = ROOT_ID;
        for (path, name) in [("a", "a"), ("a/b", "b"), ("a/b/c", "c")] {
            let stat = Stat::at(CWD, dir.path().join(path)).unwrap();
            id = nodes.learn(&stat, id, name.as_bytes()).id;
        }
        let descriptors = Descriptors::with_capacity(path_descriptor(dir.path()), 1);
        for _ in 0..2 {
            let c = descriptors.get(&nodes, id).unwrap();
            assert_eq!(Stat::of(&*c).unwrap().key().ino, id);
        }
        assert_eq!(descriptors.cache().len(), 1);
    }

    #[test]
    fn a_directory_replaced_behind_our_back_is_stale_and_never_the_wrong_one() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("a")).unwrap();
        let nodes = Nodes::new(&Stat::at(CWD, dir.path()).unwrap());
        let stat = Stat::at(CWD, dir.path().join("a")).unwrap();
        let id = nodes.learn(&stat, ROOT_ID, b"a").id;
        fs::rename(dir.path().join("a"), dir.path().join("old")).unwrap();
        fs::create_dir(dir.path().join("a")).unwrap();
        let descriptors = Descriptors::with_capacity(path_descriptor(dir.path()), 8);
        assert!(matches!(descriptors.get(&nodes, id), Err(Error::Stale)));
    }
}
