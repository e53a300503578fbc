//! Versions of files that stay open for writing.

use std::collections::HashMap;
use std::os::fd::AsFd;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::handles::{Access, Handle};
use super::tree::Tree;

/// Finds files that are open for writing for long. Usable from any thread, and
/// harmless after the mount ended.
#[derive(Debug)]
pub struct Checkpointer {
    tree: Weak<Tree>,
    since: HashMap<u64, Instant>,
}

impl Checkpointer {
    pub(super) fn new(tree: &Arc<Tree>) -> Self {
        Self {
            tree: Arc::downgrade(tree),
            since: HashMap::new(),
        }
    }

    /// Makes a version of each changed file that was open for writing for `interval`
    /// now, or since its last checkpoint. Call it several times an interval.
    pub fn run(&mut self, interval: Duration) {
        let Some(tree) = self.tree.upgrade() else {
            return;
        };
        let now = Instant::now();
        let mut open = HashMap::new();
        for number in tree.handles.numbers() {
            let Ok(Handle::File(file)) = tree.handles.get(number) else {
                continue;
            };
            if file.access != Access::Write || open.contains_key(&file.node.id) {
                continue;
            }
            let since = self.since.get(&file.node.id).copied().unwrap_or(now);
            let due = now.duration_since(since) >= interval;
            open.insert(file.node.id, if due { now } else { since });
            if due && let Some(descriptor) = file.inode.descriptor() {
                tree.live.checkpoint(&file.node, descriptor.as_fd());
            }
        }
        self.since = open;
    }
}
