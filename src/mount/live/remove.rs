//! Names that go: unlink and rmdir.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use fuser::FileType;
use rustix::fs::{AtFlags, Mode, OFlags, openat, unlinkat};
use rustix::io::Errno;

use super::Live;
use crate::mount::attr::Stat;
use crate::mount::descriptors::Directory;
use crate::mount::errno::{Error, Result};
use crate::mount::nodes::{Fate, is_regular};

impl Live {
    /// unlink(2).
    pub(crate) fn unlink(&self, parent: u64, name: &[u8]) -> Result<()> {
        self.check_free(parent, name)?;
        let directory = self.directory(parent)?;
        let before = Stat::at(&*directory, name)?;
        if before.kind() == FileType::Directory {
            return Err(Errno::ISDIR.into());
        }
        if !is_regular(before.kind()) {
            unlinkat(&*directory, name, AtFlags::empty())?;
            self.nodes
                .unlinked(&before, parent, name, fate(before.nlink()));
            return Ok(());
        }
        self.settle(&before);
        let (file, stat) = self.going(&directory, name)?;
        let links = self.visible_links(&stat);
        {
            let _names = self.names_change();
            let path = self.nodes.path_in(parent, name)?;
            self.hold(&stat, links, &file);
            self.vault.remove(&path, &stat.facts(), &mut || {
                Ok(unlinkat(&*directory, name, AtFlags::empty())?)
            })?;
            self.gone(&stat, parent, name, links, file);
        }
        Ok(())
    }

    /// A regular file whose name is about to go, opened before it does.
    pub(super) fn going(&self, directory: &Directory, name: &[u8]) -> Result<(Arc<OwnedFd>, Stat)> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match openat(directory, name, flags, Mode::empty()) {
            Err(Errno::ACCESS | Errno::PERM) => {
                let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                openat(directory, name, flags, Mode::empty())
            }
            other => other,
        };
        let file = file?;
        let stat = Stat::of(&file)?;
        if !is_regular(stat.kind()) {
            return Err(Error::Stale);
        }
        Ok((Arc::new(file), stat))
    }

    /// A name of a regular file went. Who looked it up just before can still open it.
    pub(super) fn gone(
        &self,
        stat: &Stat,
        parent: u64,
        name: &[u8],
        links: u64,
        file: Arc<OwnedFd>,
    ) {
        let Some(node) = self.nodes.find(stat) else {
            return;
        };
        let fate = fate(links);
        if fate == Fate::Gone && node.kept().is_none() {
            self.keep(&node, file);
        }
        node.unlinked(parent, name, fate);
    }

    /// Before a file's last name goes: whoever found it by that name a moment ago can
    /// still open it, however the two interleave.
    pub(super) fn hold(&self, stat: &Stat, links: u64, file: &Arc<OwnedFd>) {
        if fate(links) == Fate::Gone
            && let Some(node) = self.nodes.find(stat)
        {
            self.keep(&node, file.clone());
        }
    }

    /// rmdir(2).
    pub(crate) fn rmdir(&self, parent: u64, name: &[u8]) -> Result<()> {
        self.check_free(parent, name)?;
        let directory = self.directory(parent)?;
        let stat = Stat::at(&*directory, name)?;
        let known = self.nodes.find(&stat);
        // Opened while it has a name: it can be somebody's working directory.
        let opened = known.as_ref().and_then(|node| self.directory(node.id).ok());
        unlinkat(&*directory, name, AtFlags::REMOVEDIR)?;
        if let Some(node) = known {
            self.descriptors.drop_one(node.id);
            let _names = self.names_change();
            if let Some(file) = opened.and_then(|d| d.as_fd().try_clone_to_owned().ok()) {
                self.keep(&node, Arc::new(file));
            }
            node.unlinked(parent, name, Fate::Gone);
        }
        Ok(())
    }
}

pub(super) fn fate(links: u64) -> Fate {
    if links <= 1 { Fate::Gone } else { Fate::Lives }
}
