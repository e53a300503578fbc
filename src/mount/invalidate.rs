//! Telling the kernel of changes that the daemon itself made to live files.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::sync::{Arc, Weak};

use fuser::{INodeNo, Notifier};

use super::tree::Tree;
use crate::model::PublicId;

/// A way to the kernel's caches of one mount, usable from any thread and harmless
/// after the mount ended.
#[derive(Debug, Clone)]
pub struct Invalidator {
    tree: Weak<Tree>,
    notifier: Notifier,
}

impl Invalidator {
    pub(super) fn new(tree: &Arc<Tree>, notifier: Notifier) -> Self {
        Self {
            tree: Arc::downgrade(tree),
            notifier,
        }
    }

    /// The kernel forgets what it knew of the live file or directory of this name.
    /// Best effort. Not to be called with a lock held that a vault operation needs:
    /// the kernel may be waiting for one in that directory.
    pub fn invalidate(&self, id: &PublicId) {
        let Some(tree) = self.tree.upgrade() else {
            return;
        };
        let Some((parent, file)) = tree.live.known_at(id) else {
            return;
        };
        if let (Some(parent), Some(name)) = (parent, id.name()) {
            let name = OsStr::from_bytes(name);
            let _ = self.notifier.inval_entry(INodeNo(parent), name);
            let _ = self.notifier.inval_inode(INodeNo(parent), 0, 0);
        }
        if let Some(file) = file {
            let _ = self.notifier.inval_inode(INodeNo(file), 0, 0);
        }
    }
}
