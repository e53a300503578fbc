//! The live tree, one file per family of operations.
//!
//! Operations take numbers and names and return values; what the kernel's
//! protocol looks like is the shell's business. Names resolve through directory
//! descriptors, and what was opened is checked against the node it stands for.

mod create;
mod data;
pub(crate) mod directory;
mod flush;
mod labels;
mod lookup;
mod open;
mod remove;
mod rename;
mod setattr;
mod xattr;

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{
    Arc, Mutex, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, Weak,
};
use std::time::Duration;

use fuser::{BackingId, FileAttr, FileType, FopenFlags, INodeNo, Notifier};
use rustix::fs::{Mode, OFlags, openat};
use rustix::io::Errno;

pub(crate) use create::NewFile;
pub(crate) use data::{Durable, Privilege};
pub(crate) use setattr::{Changes, NewTime};

use super::attr::Stat;
use super::barrier::Barrier;
use super::descriptors::{Descriptors, Directory};
use super::errno::{Error, Result};
use super::handles::Handles;
use super::node::Node;
use super::nodes::{Nodes, ROOT_ID, is_regular};
use super::options::{MountOptions, Permit};
use crate::model::{HistoryName, PublicId};
use crate::vault::Vault;

/// Descriptors of files without names; see [`Live::keep`].
const MOST_KEPT: usize = 128;

/// Asks the kernel to serve a lower file itself.
pub(crate) type Register<'a> = &'a dyn Fn(BorrowedFd<'_>) -> std::io::Result<BackingId>;

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Caller {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

impl Caller {
    fn is_root(self) -> bool {
        self.uid == 0
    }
}

/// What the kernel is told of a name.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) attr: FileAttr,
    pub(crate) generation: u64,
}

/// What the kernel is told of an opened file.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) handle: u64,
    pub(crate) flags: FopenFlags,
    pub(crate) backing: Option<Arc<BackingId>>,
}

/// The live tree of one mount.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) vault: Arc<Vault>,
    pub(crate) nodes: Nodes,
    pub(crate) handles: Arc<Handles>,
    pub(crate) barrier: Arc<Barrier>,
    pub(crate) options: MountOptions,
    pub(crate) notifier: OnceLock<Notifier>,
    /// The kernel serves lower files itself; set once, by the protocol's first message.
    pub(crate) passthrough: OnceLock<()>,
    descriptors: Descriptors,
    runs_as_root: bool,
    /// Held for reading while a name is handed to the vault, for writing while names change.
    names: RwLock<()>,
    kept: Mutex<VecDeque<Weak<Node>>>,
}

/// A descriptor good for everything but reading and writing.
#[derive(Debug)]
enum Anchor {
    Directory(Arc<Directory>),
    Open(Arc<OwnedFd>),
    Path(OwnedFd),
}

impl AsFd for Anchor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Anchor::Directory(directory) => directory.as_fd(),
            Anchor::Open(file) => file.as_fd(),
            Anchor::Path(file) => file.as_fd(),
        }
    }
}

impl Live {
    /// `root` is an `O_PATH` descriptor of the live directory.
    pub(crate) fn new(
        vault: Arc<Vault>,
        root: OwnedFd,
        handles: Arc<Handles>,
        barrier: Arc<Barrier>,
        options: MountOptions,
    ) -> Result<Self> {
        Ok(Self {
            vault,
            nodes: Nodes::new(&Stat::of(&root)?),
            handles,
            barrier,
            options,
            notifier: OnceLock::new(),
            passthrough: OnceLock::new(),
            descriptors: Descriptors::new(root),
            runs_as_root: rustix::process::geteuid().is_root(),
            names: RwLock::new(()),
            kept: Mutex::default(),
        })
    }

    fn directory(&self, id: u64) -> Result<Arc<Directory>> {
        self.descriptors.get(&self.nodes, id)
    }

    fn names_stay(&self) -> RwLockReadGuard<'_, ()> {
        self.names.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn names_change(&self) -> RwLockWriteGuard<'_, ()> {
        self.names.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens the very file that the node stands for: by one of its names, or by a
    /// descriptor that somebody still has.
    fn open_node(&self, node: &Node, flags: OFlags) -> Result<OwnedFd> {
        match node.open().and_then(|open| open.descriptor()) {
            Some(file) => reopen(file.as_fd(), flags | OFlags::CLOEXEC),
            None => self.open_closed_node(node, flags),
        }
    }

    /// The same, of a file that nobody has open.
    fn open_closed_node(&self, node: &Node, flags: OFlags) -> Result<OwnedFd> {
        let flags = flags | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        if let Some(file) = self.open_by_name(node, flags)? {
            return Ok(file);
        }
        // A rename that is under way has done its work below, but not yet here.
        let _names = self.names_stay();
        if let Some(file) = self.open_by_name(node, flags)? {
            return Ok(file);
        }
        match node.kept() {
            Some(file) => reopen(file.as_fd(), flags),
            None => Err(Error::Stale),
        }
    }

    fn open_by_name(&self, node: &Node, flags: OFlags) -> Result<Option<OwnedFd>> {
        let flags = flags | OFlags::NOFOLLOW;
        for link in node.links() {
            let Ok(parent) = self.directory(link.parent) else {
                continue;
            };
            match openat(&*parent, &*link.name, flags, Mode::empty()) {
                Ok(file) if node.is(&Stat::of(&file)?) => return Ok(Some(file)),
                Ok(_) | Err(Errno::NOENT | Errno::LOOP | Errno::NOTDIR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(None)
    }

    /// Keeps a descriptor of a file without names, for who is about to open it, as
    /// long as the kernel knows the file; the oldest goes when there are many.
    fn keep(&self, node: &Arc<Node>, file: Arc<OwnedFd>) {
        node.keep(file);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push_back(Arc::downgrade(node));
        while kept.len() > MOST_KEPT {
            if let Some(oldest) = kept.pop_front().and_then(|node| node.upgrade()) {
                oldest.let_go();
            }
        }
    }

    /// A descriptor of the node's file for `stat`, `chmod` and the like.
    fn anchor(&self, node: &Node) -> Result<Anchor> {
        if node.kind == FileType::Directory {
            return self.directory(node.id).map(Anchor::Directory);
        }
        if let Some(file) = node.open().and_then(|open| open.descriptor()) {
            return Ok(Anchor::Open(file));
        }
        if let Some(file) = node.kept() {
            return Ok(Anchor::Open(file));
        }
        let flags = OFlags::PATH | OFlags::NOFOLLOW;
        self.open_node(node, flags).map(Anchor::Path)
    }

    /// What the node's file is now, with one system call where a name holds.
    fn stat(&self, node: &Node) -> Result<Stat> {
        let has_descriptor =
            node.kind == FileType::Directory || node.open().is_some() || node.kept().is_some();
        if !has_descriptor
            && let Some(link) = node.link()
            && let Ok(parent) = self.directory(link.parent)
            && let Ok(stat) = Stat::at(&*parent, &*link.name)
            && node.is(&stat)
        {
            return Ok(stat);
        }
        Ok(Stat::of(self.anchor(node)?)?)
    }

    /// Links that people made: the spool's own do not show.
    fn visible_links(&self, stat: &Stat) -> u64 {
        if !is_regular(stat.kind()) || stat.nlink() == 0 {
            return stat.nlink();
        }
        stat.nlink()
            .saturating_sub(self.vault.spool_links(stat.key()))
    }

    /// Attributes as the kernel sees them.
    fn attr(&self, node: &Node, stat: &Stat) -> FileAttr {
        let links = if stat.nlink() == 1 && node.link().is_some() {
            // The common case asks nobody: the one link is the one we know.
            1
        } else {
            self.visible_links(stat)
        };
        stat.file_attr(node.id, links)
    }

    fn entry(&self, node: &Node, stat: &Stat) -> Entry {
        Entry {
            attr: self.attr(node, stat),
            generation: node.generation,
        }
    }

    /// Waits for closes of this file that are on their way.
    fn settle(&self, stat: &Stat) {
        if is_regular(stat.kind())
            && let Some(node) = self.nodes.find(stat)
            && node.open().is_some_and(|open| open.writers() > 0)
        {
            self.barrier.fence();
        }
    }

    /// Refuses a name that history has at the mount root.
    fn check_free(&self, parent: u64, name: &[u8]) -> Result<()> {
        if parent == ROOT_ID && HistoryName::from_root_name(name).is_some() {
            log::warn!(
                "{}: this name shows history and cannot be used for a file at the mount root",
                String::from_utf8_lossy(name)
            );
            return Err(Error::HistoryNameTaken);
        }
        Ok(())
    }

    /// The kernel's copy of a file's attributes is out of date. Safe inside a
    /// handler: it takes no lock of the kernel's that an operation holds.
    fn expire_attributes(&self, id: u64) {
        if let Some(notifier) = self.notifier.get() {
            let _ = notifier.inval_inode(INodeNo(id), -1, 0);
        }
    }

    /// How long the kernel may believe attributes.
    pub(crate) fn attr_timeout(&self) -> Duration {
        self.options.attr_timeout
    }

    /// How long the kernel may believe a name.
    pub(crate) fn entry_timeout(&self) -> Duration {
        self.options.entry_timeout
    }

    /// True when the kernel shall serve lower files itself, if it can.
    pub(crate) fn wants_passthrough(&self) -> bool {
        self.runs_as_root && self.options.passthrough == Permit::Yes
    }

    /// How deep a stack of filesystems this one makes.
    pub(crate) fn stack_depth(&self) -> u32 {
        const OVERLAYFS: u64 = 0x794c_7630;
        match rustix::fs::fstatfs(self.descriptors.root().as_fd()) {
            Ok(below) if below.f_type as u64 == OVERLAYFS => 2,
            _ => 1,
        }
    }

    /// Where an undeleted asset would go.
    pub(crate) fn place(&self, parent: u64, name: &[u8]) -> Result<PublicId> {
        self.check_free(parent, name)?;
        self.nodes.path_in(parent, name)
    }

    /// The numbers of the directory and the file that a path leads to now, as far as
    /// the kernel knows them. `None`: it does not even know the directory.
    pub(crate) fn known_at(&self, path: &PublicId) -> Option<(Option<u64>, Option<u64>)> {
        let mut directory = self.descriptors.root().as_fd().try_clone_to_owned().ok()?;
        let mut parent = ROOT_ID;
        let Some((above, name)) = path.split() else {
            return Some((None, Some(ROOT_ID)));
        };
        for component in above.components() {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            directory = openat(&directory, component, flags, Mode::empty()).ok()?;
            parent = self.nodes.find(&Stat::of(&directory).ok()?)?.id;
        }
        let file = Stat::at(&directory, name.as_bytes()).ok();
        let file = file
            .and_then(|stat| self.nodes.find(&stat))
            .map(|node| node.id);
        Some((Some(parent), file))
    }
}

/// Opens the file behind a descriptor once more, with other flags.
fn reopen(file: BorrowedFd<'_>, flags: OFlags) -> Result<OwnedFd> {
    let flags = flags.difference(OFlags::NOFOLLOW);
    Ok(rustix::fs::open(
        super::proc_path(file).as_str(),
        flags,
        Mode::empty(),
    )?)
}
