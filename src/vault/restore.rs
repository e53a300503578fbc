//! Bringing content back: a restore is a new version that names what it came from.
//!
//! The content is written to a temporary name beside its place, synced, and then
//! takes the place and its row in one transaction.

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, Gid, Mode, OFlags, RenameFlags, Timespec, Timestamps, Uid};

use crate::catalog::{Standing, attempt};
use crate::model::{
    Name, Origin, PublicId, Timestamp, Version, VersionId, VersionIdPrefix, VersionState, failpoint,
};
use crate::store::ContentReader;

use super::live::{Found, facts_of};
use super::lookup::Chosen;
use super::{Result, Vault, VaultError, live};

/// What to do when a live file is at the place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clobber {
    /// Refuse.
    Refuse,
    /// Make its present content an older version.
    Overwrite,
}

/// One content to bring back.
#[derive(Debug, Clone)]
pub struct Restore {
    /// The asset, live or deleted.
    pub id: PublicId,
    /// Which version. `None`: the latest.
    pub version: Option<VersionIdPrefix>,
    /// Where to. `None`: its own place.
    pub to: Option<PublicId>,
    /// What to do with a live file there.
    pub clobber: Clobber,
}

/// Set-user-ID and set-group-ID.
pub(super) const SET_IDS: u32 = 0o6000;

/// There where the catalog came out of a store that strangers may have written to: then no
/// restore makes a file that runs as its owner.
pub(super) const UNTRUSTED_MODES_SETTING: &str = "local.untrusted_modes";

/// When a restored file must be on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Durable {
    /// Before it takes its place.
    Now,
    /// When all are there: whoever writes them sees to it.
    Later,
}

/// What a restore did, or would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// The asset it came from.
    pub id: PublicId,
    /// Where it is now.
    pub to: PublicId,
    /// The version it came from.
    pub from: VersionId,
    /// The version it made. `None`: nothing was done (a rehearsal).
    pub version: Option<VersionId>,
    /// Bytes.
    pub size: u64,
}

impl Vault {
    /// `mv .deleted/x x`: brings a deleted asset back to its own place.
    ///
    /// # Errors
    /// As [`restore`](Self::restore); [`VaultError::NotFound`] when it is not deleted.
    pub fn undelete(&self, id: &PublicId) -> Result<()> {
        let request = Restore {
            id: id.clone(),
            version: None,
            to: None,
            clobber: Clobber::Refuse,
        };
        if self.choose_version(id, None)?.standing == Standing::Live {
            return Err(VaultError::NotFound {
                path: id.clone(),
                what: "a deleted asset".into(),
            });
        }
        self.restore(&request).map(|_| ())
    }

    /// What [`restore`](Self::restore) would do: all its checks, no change.
    ///
    /// # Errors
    /// As [`restore`](Self::restore).
    pub fn rehearse_restore(&self, request: &Restore) -> Result<Restored> {
        let chosen = self.choose_version(&request.id, request.version.as_ref())?;
        let to = request.to.as_ref().unwrap_or(&request.id);
        self.check_place(to, request.clobber)?;
        Ok(Restored {
            id: request.id.clone(),
            to: to.clone(),
            from: chosen.version.id,
            version: None,
            size: chosen.version.size,
        })
    }

    /// Brings a content back.
    ///
    /// # Errors
    /// [`VaultError::NotFound`] and its kin for what is not there,
    /// [`VaultError::AlreadyExists`] where a live file is in the way, and whatever
    /// reading the content or writing the file failed with; the live tree is as it
    /// was then.
    pub fn restore(&self, request: &Restore) -> Result<Restored> {
        let mut done = self.rehearse_restore(request)?;
        let mut chosen = self.choose_version(&request.id, request.version.as_ref())?;
        if let VersionState::Sealed { .. } = chosen.version.state {
            self.ingest_now(chosen.version.seq)?;
            chosen = self.choose_version(&request.id, request.version.as_ref())?;
        }
        let (parent, name) = done.to.split().ok_or_else(|| VaultError::WrongKind {
            path: done.to.clone(),
            problem: "the mount root is a directory",
        })?;
        let directory = self.make_live_directory(&parent)?;
        let temporary = temporary_name("restore", self.clock.random());
        let _note = self.note_temporary(&parent, &temporary)?;
        let written = self.stored_reader(&chosen.version).and_then(|reader| {
            self.write_temporary(
                &directory,
                &temporary,
                &chosen.version,
                &reader,
                Durable::Now,
            )
        });
        let version = written.and_then(|_| {
            failpoint::reach("restore.written");
            self.take_place(
                &done.to,
                &directory,
                &temporary,
                &name,
                &chosen,
                request.clobber,
            )
        });
        if version.is_err() {
            let _ = rustix::fs::unlinkat(&directory, &temporary, AtFlags::empty());
        }
        done.version = Some(version?);
        rustix::fs::fsync(&directory)
            .map_err(|error| VaultError::io(done.to.to_string(), error))?;
        Ok(done)
    }

    pub(super) fn check_place(&self, to: &PublicId, clobber: Clobber) -> Result<()> {
        let found = self
            .live
            .find(to)
            .map_err(|error| VaultError::io(to.to_string(), error))?;
        match found {
            None => Ok(()),
            Some(Found::File(_)) if clobber == Clobber::Overwrite => Ok(()),
            Some(Found::File(_)) => Err(VaultError::AlreadyExists { path: to.clone() }),
            Some(_) => Err(VaultError::WrongKind {
                path: to.clone(),
                problem: "not a regular file is in the way; move it, or give --to",
            }),
        }
    }

    /// Opens a live directory; makes missing ones as they were when last seen.
    pub(super) fn make_live_directory(&self, id: &PublicId) -> Result<OwnedFd> {
        // However deep somebody nests: no call for each level on the stack.
        let mut missing = Vec::new();
        let mut at = id.clone();
        let mut directory = loop {
            match self.live.open_directory(&at) {
                Ok(directory) => break directory,
                Err(error) if live::is_absent(&error) && !at.is_root() => {}
                Err(error) => return Err(VaultError::io(at.to_string(), error)),
            }
            let Some((parent, name)) = at.split() else {
                return Err(VaultError::NotFound {
                    path: at,
                    what: "the live tree".into(),
                });
            };
            missing.push((std::mem::replace(&mut at, parent), name));
        };
        for (id, name) in missing.iter().rev() {
            directory = self.make_live_child(&directory, id, name)?;
        }
        Ok(directory)
    }

    fn make_live_child(&self, parent: &OwnedFd, id: &PublicId, name: &Name) -> Result<OwnedFd> {
        let recorded = {
            let mut catalog = self.catalog();
            let catalog = catalog.as_mut();
            match self.directory_node(catalog, id)? {
                Some(node) => catalog.directory(node)?.map(|record| record.attributes),
                None => None,
            }
        };
        let io = |error: rustix::io::Errno| VaultError::io(id.to_string(), error);
        let mode = recorded.map_or(0o755, |attributes| attributes.mode | 0o700);
        match rustix::fs::mkdirat(parent, name.as_os_str(), Mode::from_raw_mode(mode)) {
            // Somebody else restores into it, too.
            Ok(()) | Err(rustix::io::Errno::EXIST) => {}
            Err(error) => return Err(io(error)),
        }
        let directory = self
            .live
            .open_directory(id)
            .map_err(|error| VaultError::io(id.to_string(), error))?;
        if let Some(attributes) = recorded {
            give_to(directory.as_fd(), attributes.uid, attributes.gid).map_err(io)?;
            rustix::fs::fchmod(&directory, Mode::from_raw_mode(mode)).map_err(io)?;
        }
        Ok(directory)
    }

    fn stored_reader(&self, version: &Version) -> Result<ContentReader> {
        match version.state {
            VersionState::Stored { content, .. } => Ok(self.store.reader(content)?),
            VersionState::Sealed { .. } => Err(not_stored()),
        }
    }

    pub(super) fn write_temporary(
        &self,
        directory: &OwnedFd,
        name: &str,
        version: &Version,
        reader: &ContentReader,
        durable: Durable,
    ) -> Result<File> {
        let io = |error| VaultError::io("writing the restored file", error);
        let errno = |error: rustix::io::Errno| VaultError::io("writing the restored file", error);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let file =
            rustix::fs::openat(directory, name, flags, Mode::RUSR | Mode::WUSR).map_err(errno)?;
        let mut file = File::from(file);
        let mut buffer = vec![0u8; reader.size().clamp(1, 1 << 20) as usize];
        let mut offset = 0;
        while offset < reader.size() {
            let count = reader.read_at(offset, &mut buffer)?;
            file.write_all(&buffer[..count]).map_err(io)?;
            offset += count as u64;
        }
        let mut attributes = version.attributes;
        if attributes.mode & SET_IDS != 0 && self.setting(UNTRUSTED_MODES_SETTING)?.is_some() {
            attributes.mode &= !SET_IDS;
        }
        give_to(file.as_fd(), attributes.uid, attributes.gid).map_err(errno)?;
        rustix::fs::fchmod(&file, Mode::from_raw_mode(attributes.mode)).map_err(errno)?;
        // None but these was ever kept; what else a catalog has, a stranger put there.
        let own = version.xattrs.iter();
        for (key, value) in own.filter(|(key, _)| key.starts_with(b"user.")) {
            let flags = rustix::fs::XattrFlags::empty();
            match rustix::fs::fsetxattr(&file, key.as_slice(), value, flags) {
                Ok(()) | Err(rustix::io::Errno::NOTSUP) => {}
                Err(error) => return Err(errno(error)),
            }
        }
        let mtime = timespec(attributes.mtime);
        let times = Timestamps {
            last_access: mtime,
            last_modification: mtime,
        };
        rustix::fs::futimens(&file, &times).map_err(errno)?;
        if durable == Durable::Now {
            file.sync_all().map_err(io)?;
        }
        Ok(file)
    }

    /// The temporary file becomes the asset's live file, and the row says so.
    fn take_place(
        &self,
        to: &PublicId,
        directory: &OwnedFd,
        temporary: &str,
        name: &Name,
        chosen: &Chosen,
        clobber: Clobber,
    ) -> Result<VersionId> {
        self.check_place(to, clobber)?;
        let (mut catalog, _) = self.lock_replaceable(to)?;
        let now = self.clock.now();
        attempt(catalog.as_mut(), |catalog| {
            let asset = match self.asset_at(catalog, to)? {
                None => self.create_asset(catalog, to, None, now)?,
                Some(asset) => {
                    if !asset.is_live() {
                        catalog.revive_asset(asset.node(), now)?;
                    }
                    asset.node()
                }
            };
            let flags = match clobber {
                Clobber::Refuse => RenameFlags::NOREPLACE,
                Clobber::Overwrite => RenameFlags::empty(),
            };
            rustix::fs::renameat_with(directory, temporary, directory, name.as_os_str(), flags)
                .map_err(|error| VaultError::io(to.to_string(), error))?;
            failpoint::reach("restore.renamed");
            let file = self
                .live
                .open_path(to)
                .map_err(|error| VaultError::io(to.to_string(), error))?;
            let facts =
                facts_of(file.as_fd()).map_err(|error| VaultError::io(to.to_string(), error))?;
            self.note_file(catalog, asset, &facts)?;
            let mut version = self.new_version(
                asset,
                facts,
                chosen.version.xattrs.clone(),
                Origin::Restore,
                chosen.version.state,
            );
            version.restored_from = Some(chosen.version.id);
            catalog.add_version(&version)?;
            Ok(version.id)
        })
    }

    /// The deleted assets at or below a path, as restores to their own places.
    ///
    /// # Errors
    /// When the catalog fails.
    pub fn deleted_below(&self, id: &PublicId) -> Result<Vec<PublicId>> {
        let mut found = Vec::new();
        self.for_each_asset(id, &mut |path, _, standing| {
            if standing == Standing::Deleted {
                found.push(path.clone());
            }
            Ok(())
        })?;
        Ok(found)
    }
}

/// Owner and group where we may set them; an ordinary user keeps what is its own.
pub(super) fn give_to(
    file: std::os::fd::BorrowedFd<'_>,
    uid: u32,
    gid: u32,
) -> std::result::Result<(), rustix::io::Errno> {
    let stat = rustix::fs::fstat(file)?;
    if (stat.st_uid, stat.st_gid) == (uid, gid) {
        return Ok(());
    }
    let owner = Some(Uid::from_raw(uid));
    match rustix::fs::fchown(file, owner, Some(Gid::from_raw(gid))) {
        Err(rustix::io::Errno::PERM) => Ok(()),
        result => result,
    }
}

/// A transient name, so that nothing takes it for an asset if we end here.
pub(super) fn temporary_name(purpose: &str, random: u128) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
    let suffix: String = (0..6)
        .map(|place| LETTERS[(random >> (place * 5)) as usize % LETTERS.len()] as char)
        .collect();
    // One digit and one capital at least, as the rule for such names wants it.
    let digit = (random >> 100) % 10;
    format!(".keepfs-{purpose}.R{digit}{}", &suffix[..4])
}

pub(super) fn timespec(time: Timestamp) -> Timespec {
    let (seconds, nanos) = time.parts();
    Timespec {
        tv_sec: seconds,
        tv_nsec: nanos.into(),
    }
}

/// Its bytes are not where they could be brought from.
pub(super) fn not_stored() -> VaultError {
    VaultError::StoreBlocked {
        reason: "the version is not stored yet".into(),
    }
}
