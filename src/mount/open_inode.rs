//! The open side of a file: what all its handles share.
//!
//! One lower descriptor per direction, one backing of the kernel's, one count of
//! writers. The lock is held while the vault is told of an opening or of the last
//! close, so that these two never overlap for one inode.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fuser::BackingId;

use crate::model::Timestamp;

/// How the kernel reads and writes an inode. All its handles do it the same way:
/// cached and passthrough opens of one inode do not mix.
#[derive(Debug, Default, Clone)]
pub(crate) enum Transport {
    /// Nothing is open yet.
    #[default]
    Undecided,
    /// Straight from the lower file.
    Passthrough(Arc<BackingId>),
    /// By requests to the daemon.
    Daemon,
}

/// What the handles of one inode share.
#[derive(Debug, Default)]
pub(crate) struct OpenInode {
    writers: AtomicU32,
    programs: AtomicU32,
    shared: Mutex<Shared>,
}

/// See [`OpenInode`].
#[derive(Debug, Default)]
pub(crate) struct Shared {
    /// Open for reading only.
    pub(crate) reader: Option<Arc<OwnedFd>>,
    /// Open for writing, and for reading where the mode allows.
    pub(crate) writer: Option<Arc<OwnedFd>>,
    /// How the kernel does its reads and writes.
    pub(crate) transport: Transport,
    /// Handles given out.
    pub(crate) handles: u32,
    /// The last handle went while somebody waited for the lock: start afresh.
    pub(crate) abandoned: bool,
    /// The size and mtime that the kernel was last told.
    pub(crate) told: Option<(u64, Timestamp)>,
}

impl OpenInode {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Handles that can write, including one whose last close is being worked on.
    pub(crate) fn writers(&self) -> u32 {
        self.writers.load(Ordering::SeqCst)
    }

    pub(crate) fn add_writer(&self) {
        self.writers.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn remove_writer(&self) {
        self.writers.fetch_sub(1, Ordering::SeqCst);
    }

    /// Programs that run from it.
    pub(crate) fn programs(&self) -> u32 {
        self.programs.load(Ordering::SeqCst)
    }

    pub(crate) fn add_program(&self) {
        self.programs.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn remove_program(&self) {
        self.programs.fetch_sub(1, Ordering::SeqCst);
    }

    /// A descriptor of the file, if the lock is free or soon will be.
    pub(crate) fn descriptor(&self) -> Option<Arc<OwnedFd>> {
        self.lock().any()
    }
}

impl Shared {
    /// A descriptor, writable where there is one.
    pub(crate) fn any(&self) -> Option<Arc<OwnedFd>> {
        self.writer.clone().or_else(|| self.reader.clone())
    }
}
