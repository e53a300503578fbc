//! What the kernel holds open: a number for each file, directory and past content.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use super::errno::{Error, Result};
use super::live::directory::OpenDirectory;
use super::node::Node;
use super::open_inode::OpenInode;
use crate::history::{Content, Item};
use crate::model::Timestamp;

/// What a handle on a live file may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Read.
    Read,
    /// Read, as a program that runs.
    Execute,
    /// Write, and perhaps read. Counts for the last close.
    Write,
}

/// An open live file.
#[derive(Debug)]
pub(crate) struct OpenFile {
    pub(crate) node: Arc<Node>,
    pub(crate) inode: Arc<OpenInode>,
    pub(crate) access: Access,
    /// The mtime that it was opened with, where it was empty then and that matters.
    pub(crate) empty_since: Option<Timestamp>,
}

/// Anything open.
#[derive(Debug, Clone)]
pub(crate) enum Handle {
    /// A live file.
    File(Arc<OpenFile>),
    /// A live directory.
    Directory(Arc<OpenDirectory>),
    /// A version's content.
    Content(Arc<Content>),
    /// A history directory, as it was at opendir.
    Listing(Arc<Vec<Item>>),
}

/// Everything open in one mount.
#[derive(Debug, Default)]
pub(crate) struct Handles {
    next: AtomicU64,
    writers: AtomicU32,
    open: RwLock<HashMap<u64, Handle>>,
}

impl Handles {
    /// Gives a number out.
    pub(crate) fn add(&self, handle: Handle) -> u64 {
        let number = self.next.fetch_add(1, Ordering::Relaxed) + 1;
        let mut open = self.open.write().unwrap_or_else(PoisonError::into_inner);
        open.insert(number, handle);
        number
    }

    /// What a number stands for.
    pub(crate) fn get(&self, number: u64) -> Result<Handle> {
        let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
        open.get(&number).cloned().ok_or(Error::BadHandle)
    }

    /// Takes a number back.
    pub(crate) fn remove(&self, number: u64) -> Option<Handle> {
        let mut open = self.open.write().unwrap_or_else(PoisonError::into_inner);
        open.remove(&number)
    }

    /// All numbers that are out.
    pub(crate) fn numbers(&self) -> Vec<u64> {
        let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
        open.keys().copied().collect()
    }

    /// An open live file.
    pub(crate) fn file(&self, number: u64) -> Result<Arc<OpenFile>> {
        match self.get(number)? {
            Handle::File(file) => Ok(file),
            Handle::Directory(_) | Handle::Content(_) | Handle::Listing(_) => Err(Error::BadHandle),
        }
    }

    /// An open live directory.
    pub(crate) fn directory(&self, number: u64) -> Result<Arc<OpenDirectory>> {
        match self.get(number)? {
            Handle::Directory(directory) => Ok(directory),
            Handle::File(_) | Handle::Content(_) | Handle::Listing(_) => Err(Error::BadHandle),
        }
    }

    /// A writable handle was given out.
    pub(crate) fn add_writer(&self) {
        self.writers.fetch_add(1, Ordering::SeqCst);
    }

    /// A writable handle is gone, and what its close meant is done.
    pub(crate) fn remove_writer(&self) {
        self.writers.fetch_sub(1, Ordering::SeqCst);
    }

    /// True when some file is open for writing.
    pub(crate) fn any_writer(&self) -> bool {
        self.writers.load(Ordering::SeqCst) > 0
    }
}
