//! What is asked of the kernel where there is a mount: renames, removals, and that closes
//! have come through.
//!
//! With a mount they are ordinary system calls on it, so that the kernel's own idea of the
//! tree changes along, and whoever has the file open sees what a `mv` would have done.
//! Without one, nobody else has names in hand, and the vault is asked directly.

use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags, ResolveFlags};
use rustix::io::Errno;

use super::MountDoor;
use super::error::{ApiError, Result, of_io};
use crate::model::{Name, PublicId};
use crate::vault::live::Found;
use crate::vault::{Clobber, Party, Rename, RenameMode, Vault, VaultError};

/// What the kernel has a say in.
pub(super) trait Names: Send + Sync + fmt::Debug {
    /// Moves a file. Directories on the way to the new name are made.
    ///
    /// # Errors
    /// `Bad` where the rules refuse it, `NotFound` where the file is not there.
    fn rename(&self, from: &PublicId, to: &PublicId, clobber: Clobber) -> Result<()>;
    /// Removes a file; its history stays.
    ///
    /// # Errors
    /// `NotFound` where it is not there.
    fn remove(&self, id: &PublicId) -> Result<()>;
    /// Returns when every file that was closed before the call has its version.
    fn settle(&self);
    /// Hears of a live name that the vault changed by itself.
    fn changed(&self, id: &PublicId);
}

/// Through the mount.
#[derive(Debug)]
pub(super) struct Mounted {
    pub mount: MountDoor,
}

/// Straight through the vault.
#[derive(Debug)]
pub(super) struct Direct {
    pub vault: Arc<Vault>,
}

impl Mounted {
    /// Opened for each operation: a descriptor that stays would keep the mount busy.
    fn directory(&self, id: &PublicId, making: Making) -> rustix::io::Result<OwnedFd> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let mut at = rustix::fs::open(&self.mount.mountpoint, flags, Mode::empty())?;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        for component in id.components() {
            let open =
                |at: &OwnedFd| rustix::fs::openat2(at, component, flags, Mode::empty(), resolve);
            at = match (open(&at), making) {
                (Err(Errno::NOENT), Making::Yes) => {
                    match rustix::fs::mkdirat(&at, component, Mode::from_raw_mode(0o755)) {
                        Ok(()) | Err(Errno::EXIST) => open(&at)?,
                        Err(error) => return Err(error),
                    }
                }
                (opened, _) => opened?,
            };
        }
        Ok(at)
    }
}

/// Whether directories on the way are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Making {
    Yes,
    No,
}

/// No asset can have this name.
const NOBODY: &str = ".versions/.keepfs-upload.settle";

impl Names for Mounted {
    fn rename(&self, from: &PublicId, to: &PublicId, clobber: Clobber) -> Result<()> {
        let ((from_directory, from_name), (to_directory, to_name)) = (parts(from)?, parts(to)?);
        let done = || {
            let source = self.directory(&from_directory, Making::No)?;
            let target = self.directory(&to_directory, Making::Yes)?;
            let flags = match clobber {
                Clobber::Refuse => RenameFlags::NOREPLACE,
                Clobber::Overwrite => RenameFlags::empty(),
            };
            let (from, to) = (from_name.as_os_str(), to_name.as_os_str());
            rustix::fs::renameat_with(&source, from, &target, to, flags)
        };
        done().map_err(|error| match error {
            Errno::NOENT => ApiError::not_found(&from.to_string()),
            Errno::EXIST => exists(to),
            error => of_io(&to.to_string(), &error.into()),
        })
    }

    fn remove(&self, id: &PublicId) -> Result<()> {
        let (directory, name) = parts(id)?;
        let removed = self
            .directory(&directory, Making::No)
            .and_then(|at| rustix::fs::unlinkat(&at, name.as_os_str(), AtFlags::empty()));
        removed.map_err(|error| match error {
            Errno::NOENT | Errno::NOTDIR => ApiError::not_found(&id.to_string()),
            error => of_io(&id.to_string(), &error.into()),
        })
    }

    /// `close()` returns before keepfs hears of it, but not before it heard of the opening.
    /// Whoever asks history through the kernel asks behind all closes, and is answered after
    /// them.
    fn settle(&self) {
        if !(self.mount.has_writers)() {
            return;
        }
        let asked = rustix::fs::stat(self.mount.mountpoint.join(NOBODY));
        if !matches!(asked, Err(Errno::NOENT)) {
            log::debug!("the mount answers strangely: {asked:?}");
        }
    }

    fn changed(&self, id: &PublicId) {
        (self.mount.changed)(id);
    }
}

impl Names for Direct {
    fn rename(&self, from: &PublicId, to: &PublicId, clobber: Clobber) -> Result<()> {
        let ((from_directory, from_name), (to_directory, to_name)) = (parts(from)?, parts(to)?);
        let io = |error: io::Error| VaultError::io(from.to_string(), error);
        let source = party(&self.vault, from)?;
        if source == Party::Nothing {
            return Err(ApiError::not_found(&from.to_string()));
        }
        let target = party(&self.vault, to)?;
        if target != Party::Nothing && clobber == Clobber::Refuse {
            return Err(exists(to));
        }
        let source_directory = self
            .vault
            .live()
            .open_directory(&from_directory)
            .map_err(io)?;
        let target_directory = self.vault.make_directory(&to_directory)?;
        let request = Rename {
            from,
            source,
            to,
            target,
            mode: match clobber {
                Clobber::Refuse => RenameMode::NoReplace,
                Clobber::Overwrite => RenameMode::Replace,
            },
        };
        let flags = match clobber {
            Clobber::Refuse => RenameFlags::NOREPLACE,
            Clobber::Overwrite => RenameFlags::empty(),
        };
        Ok(self.vault.rename(&request, &mut || {
            let (old, new) = (from_name.as_os_str(), to_name.as_os_str());
            let (from, to) = (&source_directory, &target_directory);
            Ok(rustix::fs::renameat_with(from, old, to, new, flags)?)
        })?)
    }

    fn remove(&self, id: &PublicId) -> Result<()> {
        let (directory, name) = parts(id)?;
        let Party::File(facts) = party(&self.vault, id)? else {
            return Err(ApiError::not_found(&id.to_string()));
        };
        let directory = self.vault.live().open_directory(&directory);
        let directory = directory.map_err(|error| VaultError::io(id.to_string(), error))?;
        Ok(self.vault.remove(id, &facts, &mut || {
            Ok(rustix::fs::unlinkat(
                &directory,
                name.as_os_str(),
                AtFlags::empty(),
            )?)
        })?)
    }

    /// What is closed here is sealed before the answer.
    fn settle(&self) {}

    /// No kernel has an idea of the tree.
    fn changed(&self, _: &PublicId) {}
}

fn party(vault: &Vault, id: &PublicId) -> Result<Party> {
    let found = vault.live().find(id);
    let found = found.map_err(|error| VaultError::io(id.to_string(), error))?;
    Ok(match found {
        None => Party::Nothing,
        Some(Found::File(facts)) => Party::File(facts),
        Some(Found::Directory(_)) => Party::Directory,
        Some(Found::Special) => Party::Special,
    })
}

fn parts(id: &PublicId) -> Result<(PublicId, Name)> {
    id.split()
        .ok_or_else(|| ApiError::bad("Missing required parameter - public_id"))
}

fn exists(to: &PublicId) -> ApiError {
    ApiError::Bad(format!(
        "to_public_id {to} already exists, or belongs to a deleted asset, whose name is reserved"
    ))
}
