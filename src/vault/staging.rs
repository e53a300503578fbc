//! Where an upload has a name before it has its own, so that a kill in between leaves
//! nothing in a folder of the user's.
//!
//! It is the spool: what is half done there is cleared away at the next start. The
//! surprise: nothing can be renamed out of a spool on another filesystem than the live
//! tree. Such an upload is named in its folder, as a restore always is, and a note in the
//! spool says so first.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, Dir, Mode, OFlags, StatxFlags};
use rustix::io::Errno;

use crate::model::PublicId;

use super::restore::temporary_name;
use super::{Result, Vault, VaultError};

/// Ends the names of notes.
const NOTE: &str = ".note";
/// Begin the names that are taken away.
const TEMPORARY: [&[u8]; 2] = [b".keepfs-upload.", b".keepfs-restore."];
/// More than any path has.
const NOTE_BYTES_MAX: u64 = 64 << 10;

/// A directory, and a name in it that nobody has.
pub(super) struct Room<'v> {
    pub directory: BorrowedFd<'v>,
    pub name: String,
    /// Says where the room is; kept as long as something may be in it.
    pub note: Option<Note>,
}

/// A file in the spool. Dropped, it is gone.
#[derive(Debug)]
pub(super) struct Note {
    spool: OwnedFd,
    name: String,
}

impl Drop for Note {
    fn drop(&mut self) {
        let _ = rustix::fs::unlinkat(&self.spool, &self.name, AtFlags::empty());
    }
}

impl Vault {
    /// A room from where a file can be renamed into a live directory.
    pub(super) fn room_for<'v>(
        &'v self,
        id: &PublicId,
        directory: BorrowedFd<'v>,
    ) -> Result<Room<'v>> {
        let random = self.clock.random();
        let spool = self.spool.directory();
        if place_of(spool).is_some_and(|place| Some(place) == place_of(directory)) {
            return Ok(Room {
                directory: spool,
                name: format!("upload-{random:032x}.part"),
                note: None,
            });
        }
        let name = temporary_name("upload", random);
        let note = self.note_temporary(id, &name)?;
        Ok(Room {
            directory,
            name,
            note: Some(note),
        })
    }

    /// Notes a temporary name in a live directory, before there is a file of it.
    pub(super) fn note_temporary(&self, id: &PublicId, name: &str) -> Result<Note> {
        let failed = |error| VaultError::io("noting a temporary file", error);
        let spool = self.spool.directory();
        let note = Note {
            spool: spool.try_clone_to_owned().map_err(failed)?,
            name: format!("{:032x}{NOTE}", self.clock.random()),
        };
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let noted = rustix::fs::openat(spool, &note.name, flags, Mode::RUSR | Mode::WUSR);
        let path = [id.as_bytes(), b"/", name.as_bytes()].concat();
        noted
            .map_err(Into::into)
            .and_then(|file| File::from(file).write_all(&path))
            .map_err(failed)?;
        Ok(note)
    }

    /// Takes away what uploads and restores left in folders when the last process was killed.
    pub(super) fn sweep_temporary(&self) -> Result<()> {
        let failed = |error: Errno| VaultError::io("reading the spool", error);
        let spool = self.spool.directory();
        for entry in Dir::read_from(spool).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if !entry.file_name().to_bytes().ends_with(NOTE.as_bytes()) {
                continue;
            }
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let note = rustix::fs::openat(spool, entry.file_name(), flags, Mode::empty());
            let mut path = Vec::new();
            let read = File::from(note.map_err(failed)?)
                .take(NOTE_BYTES_MAX)
                .read_to_end(&mut path);
            read.map_err(|error| VaultError::io("reading the spool", error))?;
            self.sweep_noted(&path);
            rustix::fs::unlinkat(spool, entry.file_name(), AtFlags::empty()).map_err(failed)?;
        }
        Ok(())
    }

    /// A note that says anything else is of no use, and does no harm.
    fn sweep_noted(&self, path: &[u8]) {
        let path = path.strip_prefix(b"/").unwrap_or(path);
        let Some((parent, name)) = PublicId::new(path).ok().and_then(|id| id.split()) else {
            return;
        };
        let bytes = name.as_bytes();
        if !TEMPORARY.iter().any(|begin| bytes.starts_with(begin)) {
            return;
        }
        if let Ok(directory) = self.live.open_directory(&parent) {
            let _ = rustix::fs::unlinkat(&directory, name.as_os_str(), AtFlags::empty());
        }
    }
}

/// The filesystem of a directory, and where it is mounted: renames go no further.
fn place_of(directory: BorrowedFd<'_>) -> Option<(u32, u32, u64)> {
    let wanted = StatxFlags::BASIC_STATS | StatxFlags::MNT_ID;
    let stat = rustix::fs::statx(directory.as_fd(), c"", AtFlags::EMPTY_PATH, wanted).ok()?;
    Some((stat.stx_dev_major, stat.stx_dev_minor, stat.stx_mnt_id))
}
