//! Names to nodes, and what a node is: lookup, forget, getattr, readlink, statfs.

use std::os::fd::AsFd;

use fuser::FileAttr;
use rustix::fs::{StatVfs, fstatvfs, readlinkat};
use rustix::io::Errno;

use super::{Entry, Live};
use crate::model::HistoryName;
use crate::mount::attr::Stat;
use crate::mount::errno::Result;
use crate::mount::handles::Handle;
use crate::mount::nodes::ROOT_ID;

impl Live {
    /// The file of that name. `None`: there is none, which the kernel may remember.
    pub(crate) fn lookup(&self, parent: u64, name: &[u8]) -> Result<Option<Entry>> {
        let directory = self.directory(parent)?;
        match Stat::at(&*directory, name) {
            Ok(stat) => {
                let node = self.nodes.learn(&stat, parent, name);
                Ok(Some(self.entry(&node, &stat)))
            }
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    /// The kernel gives lookups back.
    pub(crate) fn forget(&self, id: u64, count: u64) {
        self.nodes.forget(id, count);
    }

    /// What a file is now; through its handle where one is given.
    pub(crate) fn getattr(&self, id: u64, handle: Option<u64>) -> Result<FileAttr> {
        if let Some(number) = handle
            && let Ok(Handle::File(file)) = self.handles.get(number)
        {
            let mut shared = file.inode.lock();
            if let Some(descriptor) = shared.any() {
                let stat = Stat::of(descriptor.as_fd())?;
                shared.told = Some((stat.size(), stat.mtime()));
                return Ok(self.attr(&file.node, &stat));
            }
        }
        let node = self.nodes.get(id)?;
        let stat = self.stat(&node)?;
        if let Some(open) = node.open() {
            open.lock().told = Some((stat.size(), stat.mtime()));
        }
        Ok(self.attr(&node, &stat))
    }

    /// Where a symlink points.
    pub(crate) fn readlink(&self, id: u64) -> Result<Vec<u8>> {
        let node = self.nodes.get(id)?;
        let link = self.anchor(&node)?;
        Ok(readlinkat(link, c"", Vec::new())?.into_bytes())
    }

    /// The filesystem below.
    pub(crate) fn statfs(&self) -> Result<StatVfs> {
        Ok(fstatvfs(self.descriptors.root().as_fd())?)
    }

    /// The history tree that a name stands for, if it is one.
    pub(crate) fn history_name(parent: u64, name: &[u8]) -> Option<HistoryName> {
        (parent == ROOT_ID)
            .then(|| HistoryName::from_root_name(name))
            .flatten()
    }
}
