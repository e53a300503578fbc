//! One node per file of the live tree that the kernel knows.
//!
//! A node is found by its FUSE number, which is the lower inode number wherever
//! that is possible. It knows its names by parent number, not by reference: the
//! kernel keeps the parents of whatever it knows, and nothing here recurses. A
//! node holds no descriptor unless its file is open.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fuser::FileType;

use super::attr::Stat;
use super::errno::{Error, Result};
use super::node::{Link, Node};
use crate::model::{InodeKey, Name, PublicId};

/// The number of the mount root, fixed by the protocol.
pub(crate) const ROOT_ID: u64 = 1;

/// Numbers from here on are made up, for files whose own number cannot be used.
const SYNTHETIC: u64 = 1 << 62;

/// Deeper than any directory can be made with paths of any length.
const DEEPEST: usize = 1 << 20;

/// Whether a file went away with one of its names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It has other names.
    Lives,
    /// That was the last name people gave it. Its number can come back as another file.
    Gone,
}

/// All nodes of one mount.
#[derive(Debug)]
pub(crate) struct Nodes {
    root: InodeKey,
    table: Mutex<Table>,
}

#[derive(Debug)]
struct Table {
    by_id: HashMap<u64, Arc<Node>>,
    made_up: HashMap<InodeKey, u64>,
    next: u64,
}

impl Nodes {
    /// A table that knows the root only.
    pub(crate) fn new(root: &Stat) -> Self {
        let mut by_id = HashMap::new();
        by_id.insert(ROOT_ID, Arc::new(Node::new(ROOT_ID, 0, root, 1)));
        Self {
            root: root.key(),
            table: Mutex::new(Table {
                by_id,
                made_up: HashMap::new(),
                next: SYNTHETIC,
            }),
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // A panic elsewhere must not take the whole mount with it.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The node of a number that the kernel holds.
    pub(crate) fn get(&self, id: u64) -> Result<Arc<Node>> {
        self.table().by_id.get(&id).cloned().ok_or(Error::Stale)
    }

    /// The node of a lower file, if the kernel knows it.
    pub(crate) fn find(&self, stat: &Stat) -> Option<Arc<Node>> {
        let table = self.table();
        let id = self.known_id(&table, stat.key())?;
        table.by_id.get(&id).filter(|node| node.is(stat)).cloned()
    }

    /// The number under which `readdir` shows a file that nobody looked up.
    pub(crate) fn shown_id(&self, ino: u64) -> u64 {
        if ino == self.root.ino { ROOT_ID } else { ino }
    }

    /// The kernel is about to be told of this file under this name: counts the lookup.
    pub(crate) fn learn(&self, stat: &Stat, parent: u64, name: &[u8]) -> Arc<Node> {
        let mut table = self.table();
        let id = match self.known_id(&table, stat.key()) {
            Some(id) => id,
            None => {
                let id = table.next;
                table.next += 1;
                table.made_up.insert(stat.key(), id);
                id
            }
        };
        let mut lookups = 0;
        let mut generation = 0;
        if let Some(node) = table.by_id.get(&id) {
            if node.is(stat) {
                node.looked_up(stat, Link::new(parent, name));
                return node.clone();
            }
            // The kernel drops its old inode when it sees the new generation, and
            // forgets the lookups of both under the one number.
            lookups = node.lookups();
            generation = node.generation + 1;
        }
        let node = Arc::new(Node::new(id, generation, stat, lookups));
        node.looked_up(stat, Link::new(parent, name));
        table.by_id.insert(id, node.clone());
        node
    }

    /// The kernel gives back `count` lookups.
    pub(crate) fn forget(&self, id: u64, count: u64) {
        if id == ROOT_ID {
            return;
        }
        let mut table = self.table();
        let Some(node) = table.by_id.get(&id) else {
            return;
        };
        if node.forget(count) == 0 {
            let key = node.key;
            // Dropped after the lock: closing a kept descriptor can free a large file.
            let last = table.by_id.remove(&id);
            if id >= SYNTHETIC {
                table.made_up.remove(&key);
            }
            drop(table);
            drop(last);
        }
    }

    /// The path of a file from the mount root, by its first name. `None`: it has none any more.
    pub(crate) fn path(&self, node: &Node) -> Result<Option<PublicId>> {
        let mut names: Vec<Box<[u8]>> = Vec::new();
        let mut id = node.id;
        let mut link = node.link();
        while id != ROOT_ID {
            let Some(Link { parent, name }) = link else {
                return Ok(None);
            };
            names.push(name);
            if names.len() > DEEPEST {
                return Err(Error::Stale);
            }
            id = parent;
            link = match self.get(id) {
                Ok(parent) => parent.link(),
                Err(_) => return Ok(None),
            };
        }
        let mut path = Vec::new();
        for name in names.iter().rev() {
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(name);
        }
        Ok(Some(PublicId::new(&path)?))
    }

    /// The path of a name in a directory.
    pub(crate) fn path_in(&self, parent: u64, name: &[u8]) -> Result<PublicId> {
        let directory = self.get(parent)?;
        let path = self.path(&directory)?.ok_or(Error::Stale)?;
        Ok(path.join(&Name::new(name)?))
    }

    /// A name was taken from a file.
    pub(crate) fn unlinked(&self, stat: &Stat, parent: u64, name: &[u8], fate: Fate) {
        if let Some(node) = self.find(stat) {
            node.unlinked(parent, name, fate);
        }
    }

    /// A file has a new name instead of an old one.
    pub(crate) fn moved(&self, stat: &Stat, from: (u64, &[u8]), to: (u64, &[u8])) {
        if let Some(node) = self.find(stat) {
            node.moved(from, Link::new(to.0, to.1));
        }
    }

    fn known_id(&self, table: &Table, key: InodeKey) -> Option<u64> {
        if key == self.root {
            return Some(ROOT_ID);
        }
        if key.dev == self.root.dev && key.ino > ROOT_ID && key.ino < SYNTHETIC {
            return Some(key.ino);
        }
        table.made_up.get(&key).copied()
    }

    /// How many nodes the kernel holds.
    pub(crate) fn len(&self) -> usize {
        self.table().by_id.len()
    }
}

/// True for a kind whose content the vault looks after.
pub(crate) fn is_regular(kind: FileType) -> bool {
    kind == FileType::RegularFile
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::path::Path;

    use super::*;

    fn stat(path: &Path) -> Stat {
        Stat::at(rustix::fs::CWD, path).unwrap()
    }

    fn nodes() -> (tempfile::TempDir, Nodes) {
        let dir = tempfile::tempdir().unwrap();
        let nodes = Nodes::new(&stat(dir.path()));
        (dir, nodes)
    }

    #[test]
    fn numbers_are_the_lower_inode_numbers_and_the_root_is_one() {
        let (dir, nodes) = nodes();
        let file = dir.path().join("a");
        File::create(&file).unwrap();
        let a = stat(&file);
        assert_eq!(nodes.learn(&a, ROOT_ID, b"a").id, a.key().ino);
        assert_eq!(nodes.find(&stat(dir.path())).unwrap().id, ROOT_ID);
    }

    #[test]
    fn files_of_another_device_get_made_up_numbers_that_stay_theirs() {
        let (_dir, nodes) = nodes();
        let proc = stat(Path::new("/proc/version"));
        let node = nodes.learn(&proc, ROOT_ID, b"v");
        assert!(node.id >= SYNTHETIC);
        assert_eq!(nodes.learn(&proc, ROOT_ID, b"v").id, node.id);
        nodes.forget(node.id, 2);
        assert!(nodes.find(&proc).is_none());
    }

    #[test]
    fn a_node_goes_when_every_lookup_is_given_back_and_not_before() {
        let (dir, nodes) = nodes();
        let file = dir.path().join("a");
        File::create(&file).unwrap();
        let id = nodes.learn(&stat(&file), ROOT_ID, b"a").id;
        nodes.learn(&stat(&file), ROOT_ID, b"a");
        nodes.forget(id, 1);
        assert!(nodes.get(id).is_ok());
        nodes.forget(id, 1);
        assert!(nodes.get(id).is_err());
        nodes.forget(ROOT_ID, 10);
        assert!(nodes.get(ROOT_ID).is_ok());
    }

    #[test]
    fn a_hard_link_keeps_its_second_name_when_the_first_goes() {
        let (dir, nodes) = nodes();
        let (a, b) = (dir.path().join("a"), dir.path().join("b"));
        File::create(&a).unwrap();
        fs::hard_link(&a, &b).unwrap();
        let node = nodes.learn(&stat(&a), ROOT_ID, b"a");
        assert_eq!(nodes.learn(&stat(&b), ROOT_ID, b"b").id, node.id);
        nodes.unlinked(&stat(&a), ROOT_ID, b"a", Fate::Lives);
        assert_eq!(
            nodes.path(&node).unwrap(),
            Some(PublicId::new(b"b").unwrap())
        );
        nodes.unlinked(&stat(&b), ROOT_ID, b"b", Fate::Gone);
        assert_eq!(nodes.path(&node).unwrap(), None);
    }

    #[test]
    fn a_reused_number_is_a_new_generation_and_the_lookups_of_both_count() {
        let (dir, nodes) = nodes();
        let file = dir.path().join("a");
        File::create(&file).unwrap();
        let old = nodes.learn(&stat(&file), ROOT_ID, b"a");
        nodes.unlinked(&stat(&file), ROOT_ID, b"a", Fate::Gone);
        // The same inode stands in for one that was given out again.
        let new = nodes.learn(&stat(&file), ROOT_ID, b"b");
        assert_eq!(new.id, old.id);
        assert_eq!(new.generation, old.generation + 1);
        nodes.forget(old.id, 1);
        assert!(nodes.get(new.id).is_ok());
        nodes.forget(new.id, 1);
        assert!(nodes.get(new.id).is_err());
    }

    #[test]
    fn paths_follow_a_directory_that_moved() {
        let (dir, nodes) = nodes();
        fs::create_dir(dir.path().join("d")).unwrap();
        let file = dir.path().join("d/f");
        File::create(&file).unwrap();
        let d = nodes.learn(&stat(&dir.path().join("d")), ROOT_ID, b"d");
        let f = nodes.learn(&stat(&file), d.id, b"f");
        nodes.moved(
            &stat(&dir.path().join("d")),
            (ROOT_ID, b"d"),
            (ROOT_ID, b"e"),
        );
        assert_eq!(
            nodes.path(&f).unwrap(),
            Some(PublicId::new(b"e/f").unwrap())
        );
        assert_eq!(
            nodes.path_in(d.id, b"g").unwrap(),
            PublicId::new(b"e/g").unwrap()
        );
    }
}
