//! New names: create, mkdir, mknod, symlink, link.
//!
//! They are made by the daemon and then given to the caller: switching credentials
//! on pooled threads would leak one caller's identity into another's request. The
//! kernel has checked the caller's permissions before.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{
    AtFlags, CWD, FileType as LowerType, Gid, Mode, OFlags, Uid, chownat, fchmod, fchown, linkat,
    mkdirat, mknodat, openat, symlinkat,
};
use rustix::io::Errno;

use super::{Caller, Entry, Live, Opened, Register};
use crate::mount::attr::{SET_GID, SET_UID, Stat};
use crate::mount::descriptors::{Directory, Masking};
use crate::mount::errno::{Error, Result};
use crate::mount::handles::Access;
use crate::mount::nodes::is_regular;

/// What a caller asks a new file to be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NewFile {
    pub(crate) mode: u32,
    pub(crate) umask: u32,
    pub(crate) caller: Caller,
}

impl NewFile {
    /// The permission bits: the umask counts unless the parent has a default ACL.
    fn permissions(self, parent: &Directory) -> Mode {
        let masked = match parent.masking() {
            Masking::Umask => self.mode & !self.umask,
            Masking::DefaultAcl => self.mode,
        };
        Mode::from_raw_mode(masked & 0o7777)
    }
}

impl Live {
    /// open(2) with `O_CREAT` of a name that was free when the kernel looked.
    pub(crate) fn create(
        &self,
        parent: u64,
        name: &[u8],
        new: NewFile,
        flags: i32,
        register: Register<'_>,
    ) -> Result<(Entry, Opened)> {
        self.check_free(parent, name)?;
        let directory = self.directory(parent)?;
        let mode = new.permissions(&directory);
        let how = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = match openat(&*directory, name, how, mode) {
            Ok(file) => Arc::new(file),
            Err(Errno::EXIST) if flags & libc::O_EXCL == 0 => {
                return self.open_existing(parent, name, flags, new.caller, register);
            }
            Err(errno) => return Err(errno.into()),
        };
        let stat = self.give_file(&directory, &file, mode, new.caller)?;
        let node = self.nodes.learn(&stat, parent, name);
        self.vault.created(node.key);
        self.opening(&node, |opening| {
            opening.shared.writer = Some(file.clone());
            opening.shared.told = Some((stat.size(), stat.mtime()));
            // A create counts as a writable open, whatever the flags: an empty file is content too.
            let opened = self.hand_out(opening, Access::Write, stat.has_set_ids(), &file, register);
            Ok((self.entry(&node, &stat), opened))
        })
    }

    fn open_existing(
        &self,
        parent: u64,
        name: &[u8],
        flags: i32,
        caller: Caller,
        register: Register<'_>,
    ) -> Result<(Entry, Opened)> {
        let entry = self.lookup(parent, name)?.ok_or(Error::Stale)?;
        let id = entry.attr.ino.0;
        match self.open(id, flags, caller, register) {
            Ok(opened) => Ok((entry, opened)),
            Err(error) => {
                self.forget(id, 1);
                Err(error)
            }
        }
    }

    fn give_file(
        &self,
        parent: &Directory,
        file: &OwnedFd,
        mode: Mode,
        caller: Caller,
    ) -> Result<Stat> {
        let stat = Stat::of(file)?;
        let Some((uid, gid)) = self.owner(parent, &stat, caller)? else {
            return Ok(stat);
        };
        fchown(file, Some(uid), gid)?;
        if mode.as_raw_mode() & (SET_UID | SET_GID) != 0 {
            // The change of owner took the set-id bits away.
            fchmod(file, Mode::from_raw_mode(stat.mode()))?;
        }
        Ok(Stat::of(file)?)
    }

    /// Whom a new file is to be given to. `None`: it is theirs already. The group
    /// stays where a set-gid directory gave it its own.
    fn owner(
        &self,
        parent: &Directory,
        stat: &Stat,
        caller: Caller,
    ) -> Result<Option<(Uid, Option<Gid>)>> {
        if !self.runs_as_root || (stat.uid() == caller.uid && stat.gid() == caller.gid) {
            return Ok(None);
        }
        let inherits = stat.gid() != caller.gid && Stat::of(parent)?.mode() & SET_GID != 0;
        let group = (!inherits).then(|| Gid::from_raw(caller.gid));
        Ok(Some((Uid::from_raw(caller.uid), group)))
    }

    /// mkdir(2).
    pub(crate) fn mkdir(&self, parent: u64, name: &[u8], new: NewFile) -> Result<Entry> {
        self.check_free(parent, name)?;
        let directory = self.directory(parent)?;
        mkdirat(&*directory, name, new.permissions(&directory))?;
        let entry = self.made(&directory, parent, name, new.caller)?;
        // The directory is there, whatever the catalog makes of it.
        if let Err(error) = self.tell_made(&directory, parent, name) {
            log::error!("a new directory is not known yet: {}", error.errno());
        }
        Ok(entry)
    }

    fn tell_made(&self, directory: &Directory, parent: u64, name: &[u8]) -> Result<()> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let made = openat(directory, name, flags, Mode::empty())?;
        let _names = self.names_stay();
        let path = self.nodes.path_in(parent, name)?;
        Ok(self.vault.directory_made(&path, made.as_fd())?)
    }

    /// symlink(2).
    pub(crate) fn symlink(
        &self,
        parent: u64,
        name: &[u8],
        target: &Path,
        caller: Caller,
    ) -> Result<Entry> {
        self.check_free(parent, name)?;
        let directory = self.directory(parent)?;
        symlinkat(target, &*directory, name)?;
        self.made(&directory, parent, name, caller)
    }

    /// mknod(2). A regular file made this way was opened, written nothing to, and closed.
    pub(crate) fn mknod(
        &self,
        parent: u64,
        name: &[u8],
        new: NewFile,
        device: u32,
    ) -> Result<Entry> {
        self.check_free(parent, name)?;
        let directory = self.directory(parent)?;
        let mode = new.permissions(&directory);
        let kind = LowerType::from_raw_mode(new.mode);
        mknodat(&*directory, name, kind, mode, device.into())?;
        let entry = self.made(&directory, parent, name, new.caller)?;
        let node = self.nodes.get(entry.attr.ino.0)?;
        if mode.as_raw_mode() & (SET_UID | SET_GID) != 0 {
            let path = super::super::proc_path(self.anchor(&node)?.as_fd());
            rustix::fs::chmod(path.as_str(), mode)?;
        }
        if is_regular(node.kind) {
            self.opening(&node, |opening| {
                let file = self.descriptor(opening, Access::Write)?;
                let _names = self.names_stay();
                self.tell_closed(&node, &file);
                Ok(())
            })?;
        }
        Ok(entry)
    }

    fn made(
        &self,
        directory: &Directory,
        parent: u64,
        name: &[u8],
        caller: Caller,
    ) -> Result<Entry> {
        let mut stat = Stat::at(directory, name)?;
        if let Some((uid, gid)) = self.owner(directory, &stat, caller)? {
            chownat(directory, name, Some(uid), gid, AtFlags::SYMLINK_NOFOLLOW)?;
            stat = Stat::at(directory, name)?;
        }
        let node = self.nodes.learn(&stat, parent, name);
        Ok(self.entry(&node, &stat))
    }

    /// link(2).
    pub(crate) fn link(&self, id: u64, parent: u64, name: &[u8]) -> Result<Entry> {
        self.check_free(parent, name)?;
        let node = self.nodes.get(id)?;
        let directory = self.directory(parent)?;
        if node.open().is_some_and(|open| open.writers() > 0) {
            self.barrier.fence();
        }
        let source = self.anchor(&node)?;
        let path = super::super::proc_path(source.as_fd());
        let link = || {
            linkat(
                CWD,
                path.as_str(),
                &*directory,
                name,
                AtFlags::SYMLINK_FOLLOW,
            )
        };
        if is_regular(node.kind) {
            let facts = Stat::of(&source)?.facts();
            let to = self.nodes.path_in(parent, name)?;
            let _names = self.names_change();
            let from = self.nodes.path(&node)?;
            self.vault
                .link(from.as_ref(), &to, &facts, &mut || Ok(link()?))?;
        } else {
            link()?;
        }
        let stat = Stat::at(&*directory, name)?;
        let node = self.nodes.learn(&stat, parent, name);
        node.linked(parent, name);
        Ok(self.entry(&node, &stat))
    }
}
