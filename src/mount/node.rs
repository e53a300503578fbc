//! One file of the live tree, as long as the kernel knows it.
//!
//! Millions of these must fit in memory: no paths, no descriptors, one lock.

use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fuser::FileType;

use super::attr::Stat;
use super::nodes::Fate;
use super::open_inode::OpenInode;
use crate::model::InodeKey;

/// A name in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Link {
    /// The directory's number.
    pub(crate) parent: u64,
    /// The name in it.
    pub(crate) name: Box<[u8]>,
}

impl Link {
    pub(crate) fn new(parent: u64, name: &[u8]) -> Self {
        Self {
            parent,
            name: name.into(),
        }
    }

    fn is(&self, parent: u64, name: &[u8]) -> bool {
        self.parent == parent && *self.name == *name
    }
}

/// One file, directory or special file.
#[derive(Debug)]
pub(crate) struct Node {
    /// Its number towards the kernel.
    pub(crate) id: u64,
    /// Which file of those that had the number.
    pub(crate) generation: u64,
    /// The lower file.
    pub(crate) key: InodeKey,
    /// What it is; never changes.
    pub(crate) kind: FileType,
    birth: i64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    lookups: u64,
    fate: Fate,
    first: Option<Link>,
    further: Vec<Link>,
    open: Option<Arc<OpenInode>>,
    kept: Option<Arc<OwnedFd>>,
}

impl Node {
    pub(crate) fn new(id: u64, generation: u64, stat: &Stat, lookups: u64) -> Self {
        Self {
            id,
            generation,
            key: stat.key(),
            kind: stat.kind(),
            birth: stat.birth(),
            state: Mutex::new(State {
                lookups,
                fate: Fate::Lives,
                first: None,
                further: Vec::new(),
                open: None,
                kept: None,
            }),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True when `stat` is of this very file, not of a later one with its number.
    pub(crate) fn is(&self, stat: &Stat) -> bool {
        if self.key != stat.key() || self.kind != stat.kind() {
            return false;
        }
        let state = self.state();
        // An open descriptor keeps the number from being given out again.
        state.open.is_some()
            || state.kept.is_some()
            || (state.fate == Fate::Lives && self.birth == stat.birth())
    }

    /// Counts a lookup and remembers the name it was by. A kept descriptor stays: the
    /// lookup can have looked just before the name went.
    pub(crate) fn looked_up(&self, stat: &Stat, link: Link) {
        let mut state = self.state();
        state.lookups += 1;
        state.fate = Fate::Lives;
        if self.kind == FileType::Directory || stat.nlink() <= 1 {
            state.further = Vec::new();
            state.first = Some(link);
        } else {
            state.add(link);
        }
    }

    pub(crate) fn lookups(&self) -> u64 {
        self.state().lookups
    }

    /// Gives lookups back; returns how many remain.
    pub(crate) fn forget(&self, count: u64) -> u64 {
        let mut state = self.state();
        state.lookups = state.lookups.saturating_sub(count);
        state.lookups
    }

    /// One of its names. `None`: none is known.
    pub(crate) fn link(&self) -> Option<Link> {
        self.state().first.clone()
    }

    /// All names that are known.
    pub(crate) fn links(&self) -> Vec<Link> {
        let state = self.state();
        state.first.iter().chain(&state.further).cloned().collect()
    }

    /// It has one more name.
    pub(crate) fn linked(&self, parent: u64, name: &[u8]) {
        self.state().add(Link::new(parent, name));
    }

    /// It lost a name.
    pub(crate) fn unlinked(&self, parent: u64, name: &[u8], fate: Fate) {
        let mut state = self.state();
        state.remove(parent, name);
        state.fate = fate;
        if fate == Fate::Gone {
            state.first = None;
            state.further = Vec::new();
        }
    }

    /// One of its names was replaced.
    pub(crate) fn moved(&self, from: (u64, &[u8]), to: Link) {
        let mut state = self.state();
        state.remove(from.0, from.1);
        // The newest name first: it is the one most likely to hold.
        let old = state.first.replace(to);
        state.further.extend(old);
    }

    /// The open side of it, where a handle exists.
    pub(crate) fn open(&self) -> Option<Arc<OpenInode>> {
        self.state().open.clone()
    }

    /// The open side of it, made when there is none.
    pub(crate) fn open_or_new(&self) -> Arc<OpenInode> {
        self.state().open.get_or_insert_default().clone()
    }

    /// The last handle is gone.
    pub(crate) fn detach(&self, open: &Arc<OpenInode>) {
        let mut state = self.state();
        if state
            .open
            .as_ref()
            .is_some_and(|own| Arc::ptr_eq(own, open))
        {
            state.open = None;
        }
    }

    /// A descriptor for who looked the file up and opens it after its last name
    /// is gone. It goes when the kernel forgets the file.
    pub(crate) fn keep(&self, file: Arc<OwnedFd>) {
        self.state().kept = Some(file);
    }

    /// See [`keep`](Self::keep).
    pub(crate) fn kept(&self) -> Option<Arc<OwnedFd>> {
        self.state().kept.clone()
    }

    /// Lets go of the kept descriptor.
    pub(crate) fn let_go(&self) {
        self.state().kept = None;
    }
}

impl State {
    fn add(&mut self, link: Link) {
        let known = self.first.iter().chain(&self.further);
        if known.into_iter().any(|own| *own == link) {
            return;
        }
        match &self.first {
            None => self.first = Some(link),
            Some(_) => self.further.push(link),
        }
    }

    fn remove(&mut self, parent: u64, name: &[u8]) {
        self.further.retain(|link| !link.is(parent, name));
        if self
            .first
            .as_ref()
            .is_some_and(|link| link.is(parent, name))
        {
            self.first = if self.further.is_empty() {
                None
            } else {
                Some(self.further.swap_remove(0))
            };
        }
    }
}
