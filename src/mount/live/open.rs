//! Opening and closing files, and how the kernel reads and writes what is open.
//!
//! One inode is served one way at a time: by the kernel itself (passthrough), or
//! by requests. The kernel opens the lower file again for each of its handles with
//! the flags of that handle, so one backing serves readers and writers alike.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, MutexGuard};

use fuser::FopenFlags;
use rustix::fs::{Mode, OFlags, fchmod, ftruncate};
use rustix::io::Errno;

use super::{Caller, Live, Opened, Register};
use crate::mount::attr::Stat;
use crate::mount::errno::{Error, Result};
use crate::mount::handles::{Access, Handle, OpenFile};
use crate::mount::node::Node;
use crate::mount::open_inode::{OpenInode, Shared, Transport};
use crate::vault::WriteIntent;

/// `__FMODE_EXEC` of the kernel: execve(2) opens its file with it.
const FOR_EXECUTION: i32 = 0x20;

impl Access {
    /// Of the flags of open(2). Truncating is writing, whatever the mode.
    pub(super) fn of(flags: i32) -> Self {
        let reads_only = flags & libc::O_ACCMODE == libc::O_RDONLY;
        match (reads_only, flags & libc::O_TRUNC != 0) {
            (true, false) if flags & FOR_EXECUTION != 0 => Access::Execute,
            (true, false) => Access::Read,
            (_, true) | (false, _) => Access::Write,
        }
    }
}

/// The open side of a node, locked; let go of again if nothing came of it.
pub(super) struct Opening<'a> {
    node: &'a Arc<Node>,
    inode: &'a Arc<OpenInode>,
    pub(super) shared: MutexGuard<'a, Shared>,
}

impl Drop for Opening<'_> {
    fn drop(&mut self) {
        if self.shared.handles == 0 {
            self.shared.abandoned = true;
            self.node.detach(self.inode);
        }
    }
}

impl Live {
    /// Runs `work` with the open side of a node locked.
    pub(super) fn opening<T>(
        &self,
        node: &Arc<Node>,
        work: impl FnOnce(&mut Opening<'_>) -> Result<T>,
    ) -> Result<T> {
        loop {
            let inode = node.open_or_new();
            let shared = inode.lock();
            if shared.abandoned {
                continue;
            }
            let mut opening = Opening {
                node,
                inode: &inode,
                shared,
            };
            return work(&mut opening);
        }
    }

    /// open(2) of a file that exists.
    pub(crate) fn open(
        &self,
        id: u64,
        flags: i32,
        caller: Caller,
        register: Register<'_>,
    ) -> Result<Opened> {
        let node = self.nodes.get(id)?;
        if Access::of(flags) == Access::Write && flags & libc::O_ACCMODE == libc::O_RDONLY {
            self.check_not_running(&node)?;
        }
        if Access::of(flags) == Access::Write && node.open().is_some_and(|open| open.writers() > 0)
        {
            // A close that is on its way is a version before this writer begins.
            self.barrier.fence();
        }
        self.opening(&node, |opening| {
            self.open_locked(opening, flags, caller, register)
        })
    }

    /// The kernel keeps writers away from a running program, but asks for a truncation
    /// by a read-only open before it looks.
    fn check_not_running(&self, node: &Node) -> Result<()> {
        let runs = || node.open().is_some_and(|open| open.programs() > 0);
        if runs() {
            // The program may have ended with its close on the way.
            self.barrier.fence();
        }
        if runs() {
            return Err(Errno::TXTBSY.into());
        }
        Ok(())
    }

    fn open_locked(
        &self,
        opening: &mut Opening<'_>,
        flags: i32,
        caller: Caller,
        register: Register<'_>,
    ) -> Result<Opened> {
        let access = Access::of(flags);
        let file = self.descriptor(opening, access)?;
        let mut set_ids = false;
        if access == Access::Write {
            let stat = Stat::of(&file)?;
            set_ids = stat.has_set_ids();
            let truncates = flags & libc::O_TRUNC != 0;
            self.vault
                .before_write(opening.node.key, file.as_fd(), intent(flags))?;
            if truncates {
                let emptied = ftruncate(&file, 0).map_err(Error::from).and_then(|()| {
                    if !caller.is_root() {
                        self.drop_set_ids(opening.node.id, &file)?;
                        set_ids = false;
                    }
                    Ok(())
                });
                if let Err(error) = emptied {
                    self.vault.write_abandoned(opening.node.key);
                    return Err(error);
                }
            }
        }
        Ok(self.hand_out(opening, access, set_ids, &file, register))
    }

    /// A descriptor for this access, shared by all handles of the inode.
    pub(super) fn descriptor(
        &self,
        opening: &mut Opening<'_>,
        access: Access,
    ) -> Result<Arc<OwnedFd>> {
        let shared = &mut opening.shared;
        match access {
            Access::Read | Access::Execute => {
                if let Some(file) = shared.any() {
                    return Ok(file);
                }
                let file = Arc::new(self.open_unlocked(opening, OFlags::RDONLY)?);
                opening.shared.reader = Some(file.clone());
                Ok(file)
            }
            Access::Write => {
                if let Some(file) = &shared.writer {
                    return Ok(file.clone());
                }
                let opened = match self.open_unlocked(opening, OFlags::RDWR) {
                    Err(Error::Os(Errno::ACCESS)) => self.open_unlocked(opening, OFlags::WRONLY),
                    other => other,
                };
                let file = Arc::new(opened?);
                opening.shared.writer = Some(file.clone());
                Ok(file)
            }
        }
    }

    /// As [`open_node`](Self::open_node), while the lock on the open side is held.
    fn open_unlocked(&self, opening: &Opening<'_>, flags: OFlags) -> Result<OwnedFd> {
        match opening.shared.any() {
            Some(file) => super::reopen(file.as_fd(), flags | OFlags::CLOEXEC),
            None => self.open_closed_node(opening.node, flags),
        }
    }

    /// Counts a handle and settles how the kernel reads and writes through it.
    pub(super) fn hand_out(
        &self,
        opening: &mut Opening<'_>,
        access: Access,
        set_ids: bool,
        file: &Arc<OwnedFd>,
        register: Register<'_>,
    ) -> Opened {
        let writes_set_ids = set_ids && access == Access::Write;
        if matches!(opening.shared.transport, Transport::Undecided) {
            opening.shared.transport = self.transport(writes_set_ids, file, register);
        }
        // No writeback cache, hence nothing to flush; the last close is RELEASE.
        let mut flags = match self.commits_remotely() && access == Access::Write {
            true => FopenFlags::empty(),
            false => FopenFlags::FOPEN_NOFLUSH,
        };
        let backing = match &opening.shared.transport {
            Transport::Passthrough(backing) => {
                if writes_set_ids {
                    // Writes must come here to take the set-id bits away.
                    flags |= FopenFlags::FOPEN_DIRECT_IO;
                }
                Some(backing.clone())
            }
            Transport::Daemon | Transport::Undecided => None,
        };
        opening.shared.handles += 1;
        match access {
            Access::Write => {
                opening.inode.add_writer();
                self.handles.add_writer();
            }
            Access::Execute => opening.inode.add_program(),
            Access::Read => {}
        }
        let handle = self.handles.add(Handle::File(Arc::new(OpenFile {
            node: opening.node.clone(),
            inode: opening.inode.clone(),
            access,
            empty_since: self.empty_since(access, file),
        })));
        Opened {
            handle,
            flags,
            backing,
        }
    }

    fn transport(
        &self,
        writes_set_ids: bool,
        file: &Arc<OwnedFd>,
        register: Register<'_>,
    ) -> Transport {
        if self.passthrough.get().is_none() || writes_set_ids {
            return Transport::Daemon;
        }
        match register(file.as_fd()) {
            Ok(backing) => Transport::Passthrough(Arc::new(backing)),
            Err(error) => {
                log::debug!("no passthrough for this file: {error}");
                Transport::Daemon
            }
        }
    }

    /// The kernel closed a handle: seals the file if it was the last that could write.
    pub(crate) fn release(&self, number: u64) {
        let Some(Handle::File(handle)) = self.handles.remove(number) else {
            return;
        };
        let mut shared = handle.inode.lock();
        match handle.access {
            Access::Write => {
                if handle.inode.writers() == 1 {
                    self.sealed(&handle.node, &mut shared);
                }
                handle.inode.remove_writer();
                self.handles.remove_writer();
            }
            Access::Execute => handle.inode.remove_program(),
            Access::Read => {}
        }
        shared.handles -= 1;
        if shared.handles == 0 {
            shared.abandoned = true;
            handle.node.detach(&handle.inode);
            let closed = (
                std::mem::take(&mut shared.transport),
                shared.reader.take(),
                shared.writer.take(),
            );
            drop(shared);
            drop(closed);
        }
    }

    fn sealed(&self, node: &Arc<Node>, shared: &mut Shared) {
        let Some(file) = shared.any() else {
            return;
        };
        {
            let _names = self.names_stay();
            self.tell_closed(node, &file);
        }
        // Writes through a mapping change size and mtime without the kernel's notice.
        if matches!(shared.transport, Transport::Passthrough(_))
            && let Ok(stat) = Stat::of(&file)
            && shared.told != Some((stat.size(), stat.mtime()))
        {
            self.expire_attributes(node.id);
        }
    }

    /// Tells the vault of a last close. Nobody waits for the answer, so it is logged.
    pub(super) fn tell_closed(&self, node: &Node, file: &OwnedFd) {
        let name = match self.nodes.path(node) {
            Ok(name) => name,
            Err(error) => {
                log::error!("a closed file was not sealed: its name is lost ({error:?})");
                return;
            }
        };
        if let Err(error) = self.vault.closed(name.as_ref(), file.as_fd()) {
            let name = name.map_or_else(|| "(unlinked)".into(), |name| name.to_string());
            log::error!("{name}: its new content was not sealed: {error}");
        }
    }

    /// A version of what a file holds while it is open for writing.
    pub(crate) fn checkpoint(&self, node: &Node, file: BorrowedFd<'_>) {
        let _names = self.names_stay();
        let Ok(Some(name)) = self.nodes.path(node) else {
            return;
        };
        if let Err(error) = self.vault.checkpoint(&name, file) {
            log::error!("{name}: no checkpoint of it: {error}");
        }
    }

    /// What a write by an ordinary user takes away.
    pub(super) fn drop_set_ids(&self, id: u64, file: &OwnedFd) -> Result<()> {
        if let Some(mode) = Stat::of(file)?.without_set_ids() {
            fchmod(file, Mode::from_raw_mode(mode))?;
            self.expire_attributes(id);
        }
        Ok(())
    }
}

fn intent(flags: i32) -> WriteIntent {
    let appends = flags & libc::O_APPEND != 0 && flags & libc::O_ACCMODE == libc::O_WRONLY;
    if appends && flags & libc::O_TRUNC == 0 {
        WriteIntent::Append
    } else {
        WriteIntent::Change
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn truncating_counts_as_writing_and_only_a_plain_append_as_appending() {
        assert_eq!(Access::of(libc::O_RDONLY), Access::Read);
        assert_eq!(Access::of(libc::O_RDONLY | libc::O_TRUNC), Access::Write);
        assert_eq!(Access::of(libc::O_RDWR), Access::Write);
        assert_eq!(Access::of(FOR_EXECUTION), Access::Execute);
        let append = libc::O_WRONLY | libc::O_APPEND;
        assert_eq!(intent(append), WriteIntent::Append);
        assert_eq!(intent(append | libc::O_TRUNC), WriteIntent::Change);
        assert_eq!(intent(libc::O_RDWR | libc::O_APPEND), WriteIntent::Change);
        assert_eq!(intent(libc::O_WRONLY), WriteIntent::Change);
    }
}
