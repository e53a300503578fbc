//! Uploads: a file that comes from elsewhere, has no name while it grows, and takes its
//! place whole.
//!
//! What its arrival means is what a close in the mount means. The surprise: on filesystems
//! without `O_TMPFILE` it has a name after all, where a kill leaves nothing in the way.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags, XattrFlags};
use rustix::io::Errno;

use crate::catalog::CatalogGuard;
use crate::model::{
    Attributes, FileFacts, Labels, Origin, Override, PublicId, Timestamp, VersionId, Xattrs,
    failpoint,
};

use super::live::{self, Found, facts_of};
use super::names::{BACKUP_XATTR, FETCHED_XATTR};
use super::pins::Promised;
use super::restore::{Clobber, give_to};
use super::seal::{Revival, Seal};
use super::staging::Note;
use super::{Result, Vault, VaultError};

/// Mode of a file that nobody had before.
const NEW_FILE_MODE: u32 = 0o644;

/// A content on its way in. Dropped, it leaves nothing behind.
#[derive(Debug)]
pub struct Incoming {
    file: File,
    /// Its name, where it needs one.
    named: Option<(OwnedFd, String)>,
    /// Dropped last: until then the name may be there.
    _note: Option<Note>,
}

/// Where an incoming file goes, and what is said of it.
#[derive(Debug, Clone)]
pub struct Placement<'a> {
    /// Its place.
    pub id: &'a PublicId,
    /// What to do with a live file there.
    pub clobber: Clobber,
    /// Whether it is backed up, whatever the vault says. `None`: as the file before it, else
    /// as the vault says.
    pub backup: Option<Override>,
    /// The address that it was fetched from.
    pub fetched_from: Option<&'a str>,
    /// Tags and context. `None`: as they were.
    pub labels: Option<&'a Labels>,
}

/// A file that took its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placed {
    /// The version it made. `None`: it is not backed up, or the same as the version before.
    pub version: Option<VersionId>,
    /// The file.
    pub facts: FileFacts,
    /// Whether another live file was there.
    pub replaced: bool,
}

impl Vault {
    /// Begins to take a file in.
    ///
    /// # Errors
    /// When the live tree takes no file.
    pub fn receive(&self) -> Result<Incoming> {
        let failed = |error: Errno| VaultError::io("taking an upload in", error);
        let root = self.live.root();
        let mode = Mode::RUSR | Mode::WUSR;
        let flags = OFlags::RDWR | OFlags::CLOEXEC;
        match rustix::fs::openat(root, ".", flags | OFlags::TMPFILE, mode) {
            Ok(file) => Ok(Incoming {
                file: file.into(),
                named: None,
                _note: None,
            }),
            Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::NOENT) => {
                let room = self.room_for(&PublicId::root(), root)?;
                let flags = flags | OFlags::CREATE | OFlags::EXCL;
                let file = rustix::fs::openat(room.directory, &room.name, flags, mode);
                let file = file.map_err(failed)?.into();
                let directory = room.directory.try_clone_to_owned();
                let directory = directory.map_err(|error| VaultError::io("the spool", error))?;
                Ok(Incoming {
                    file,
                    named: Some((directory, room.name)),
                    _note: room.note,
                })
            }
            Err(error) => Err(failed(error)),
        }
    }

    /// Gives an incoming file its place. It becomes a version where the rules say so.
    ///
    /// # Errors
    /// [`VaultError::AlreadyExists`] and [`VaultError::WrongKind`] for what is in the way,
    /// [`VaultError::BeingWritten`], and what the live tree or the catalog failed with.
    pub fn place(&self, mut incoming: Incoming, placement: &Placement<'_>) -> Result<Placed> {
        let id = placement.id;
        let errno = |error: Errno| VaultError::io(id.to_string(), error);
        let (parent, name) = id.split().ok_or_else(|| VaultError::WrongKind {
            path: id.clone(),
            problem: "the mount root is a directory",
        })?;
        self.check_place(id, placement.clobber)?;
        let before = self.file_at(id)?;
        let directory = self.make_live_directory(&parent)?;
        let owner = live::attributes_of(directory.as_fd())
            .map_err(|error| VaultError::io(parent.to_string(), error))?;
        self.describe(&incoming, placement, before.as_ref(), owner)?;
        let room = self.room_for(&parent, directory.as_fd())?;
        incoming.link(room.directory, &room.name).map_err(errno)?;
        failpoint::reach("upload.linked");
        let placed = self.take_name(&incoming, placement, |flags| {
            let (from, to) = (&room.name, name.as_os_str());
            rustix::fs::renameat_with(room.directory, from, &directory, to, flags)
        });
        if placed.is_err() {
            let _ = rustix::fs::unlinkat(room.directory, &room.name, AtFlags::empty());
        }
        let placed = placed?;
        if let Some(labels) = placement.labels {
            self.set_labels(id, labels)?;
        }
        Ok(placed)
    }

    /// Under one lock the file takes its name, and what that means is recorded.
    fn take_name(
        &self,
        incoming: &Incoming,
        placement: &Placement<'_>,
        rename: impl FnOnce(RenameFlags) -> rustix::io::Result<()>,
    ) -> Result<Placed> {
        let id = placement.id;
        let io = |error: io::Error| VaultError::io(id.to_string(), error);
        let xattrs = live::user_xattrs(incoming.file.as_fd()).map_err(io)?;
        let (mut guard, before) = self.lock_replaceable(id)?;
        let catalog = guard.as_mut();
        let is_kept = self.keeps(catalog, id, &xattrs)?;
        rename(match placement.clobber {
            Clobber::Refuse => RenameFlags::NOREPLACE,
            Clobber::Overwrite => RenameFlags::empty(),
        })
        .map_err(|error| match error {
            Errno::EXIST => VaultError::AlreadyExists { path: id.clone() },
            error => VaultError::io(id.to_string(), error),
        })?;
        failpoint::reach("upload.renamed");
        let facts = facts_of(incoming.file.as_fd()).map_err(io)?;
        let recorded = match is_kept {
            true => self.seal_kept(
                catalog,
                &Seal {
                    id,
                    file: incoming.file.as_fd(),
                    facts,
                    xattrs,
                    origin: Origin::Write,
                    promised: Promised::Nothing,
                    revival: Revival::Version,
                },
            ),
            false => self.note_unkept(catalog, id, &facts).map(|()| None),
        };
        Ok(Placed {
            // The file is there: a scan makes up for its row.
            version: recorded.inspect_err(|_| self.note_missed())?,
            facts,
            replaced: before.is_some(),
        })
    }

    /// Locks the catalog at a moment when the file at a path, if there is one, can be
    /// replaced: nobody writes it, and what is sealed in it has a name elsewhere.
    pub(super) fn lock_replaceable(
        &self,
        id: &PublicId,
    ) -> Result<(CatalogGuard<'_>, Option<FileFacts>)> {
        loop {
            let before = self.file_at(id)?;
            if before.is_some_and(|facts| self.is_being_written(facts.inode)) {
                return Err(VaultError::BeingWritten { path: id.clone() });
            }
            let going: Vec<_> = before.iter().map(|facts| (facts.inode, id)).collect();
            let guard = self.lock_preserved(&going)?;
            // Another one may have taken the place before the lock was ours; from here on
            // nobody can.
            let inode_of = |facts: Option<FileFacts>| facts.map(|facts| facts.inode);
            if inode_of(self.file_at(id)?) == inode_of(before) {
                return Ok((guard, before));
            }
        }
    }

    fn note_unkept(
        &self,
        catalog: &mut dyn crate::catalog::Catalog,
        id: &PublicId,
        facts: &FileFacts,
    ) -> Result<()> {
        match self.asset_at(catalog, id)? {
            Some(asset) if asset.is_live() => self.note_file(catalog, asset.node(), facts),
            _ => Ok(()),
        }
    }

    /// Mode, owner and attributes: those of the file before it, where there was one.
    fn describe(
        &self,
        incoming: &Incoming,
        placement: &Placement<'_>,
        before: Option<&FileFacts>,
        directory: Attributes,
    ) -> Result<()> {
        let errno = |error: Errno| VaultError::io(placement.id.to_string(), error);
        let file = incoming.file.as_fd();
        let attributes = before.map_or(
            Attributes {
                mode: NEW_FILE_MODE,
                uid: directory.uid,
                gid: directory.gid,
                mtime: Timestamp::default(),
            },
            |before| before.attributes,
        );
        give_to(file, attributes.uid, attributes.gid).map_err(errno)?;
        rustix::fs::fchmod(file, Mode::from_raw_mode(attributes.mode & 0o777)).map_err(errno)?;
        let mut backup = placement.backup;
        if backup.is_none() && before.is_some() {
            let xattrs = self.xattrs_at(placement.id);
            let kept = xattrs.iter().find(|(name, _)| name == BACKUP_XATTR);
            backup = kept.and_then(|(_, word)| Override::from_word(word));
        }
        let origin = placement.fetched_from.map(str::as_bytes);
        if placement.backup.is_some() && placement.backup == Some(self.rules_say(placement)?) {
            // It is so anyhow, as long as the rules are what they are.
            backup = None;
        }
        let values = [
            (
                BACKUP_XATTR,
                backup.map(|backup| backup.as_str().as_bytes()),
            ),
            (FETCHED_XATTR, origin),
        ];
        for (name, value) in values {
            let Some(value) = value else { continue };
            rustix::fs::fsetxattr(file, name, value, XattrFlags::empty()).map_err(errno)?;
        }
        Ok(())
    }

    /// What the rules say of an incoming file that says nothing for itself.
    fn rules_say(&self, placement: &Placement<'_>) -> Result<Override> {
        let origin = placement.fetched_from.map(|from| from.as_bytes().to_vec());
        let xattrs: Xattrs = origin
            .map(|origin| (FETCHED_XATTR.to_vec(), origin))
            .into_iter()
            .collect();
        let mut catalog = self.catalog();
        Ok(match self.keeps(catalog.as_mut(), placement.id, &xattrs)? {
            true => Override::On,
            false => Override::Off,
        })
    }

    /// The live file at a path. `None`: none.
    pub(super) fn file_at(&self, id: &PublicId) -> Result<Option<FileFacts>> {
        match self.live.find(id) {
            Ok(Some(Found::File(facts))) => Ok(Some(facts)),
            Ok(_) => Ok(None),
            Err(error) => Err(VaultError::io(id.to_string(), error)),
        }
    }
}

impl Incoming {
    /// The file, to read what has come.
    pub fn file(&self) -> &File {
        &self.file
    }

    fn link(&mut self, directory: BorrowedFd<'_>, name: &str) -> rustix::io::Result<()> {
        match self.named.take() {
            Some((root, old)) => {
                let moved = rustix::fs::renameat(&root, &old, directory, name);
                if moved.is_err() {
                    self.named = Some((root, old));
                }
                moved
            }
            None => {
                let path = format!("/proc/self/fd/{}", self.file.as_raw_fd());
                let follow = AtFlags::SYMLINK_FOLLOW;
                rustix::fs::linkat(rustix::fs::CWD, path, directory, name, follow)
            }
        }
    }
}

impl Write for Incoming {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        if let Some((root, name)) = self.named.take() {
            let _ = rustix::fs::unlinkat(&root, name, AtFlags::empty());
        }
    }
}
