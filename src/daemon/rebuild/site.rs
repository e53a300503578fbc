//! The directory that a vault is rebuilt in: who may work there, what an attempt left, and
//! what goes when nothing came of it. What is put into it is made elsewhere. The surprise:
//! live files are written only into a tree that was empty when that began, and the mark
//! remembers that it was.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::LiveAsOf;
use crate::config::{Config, FILE_NAME};
use crate::daemon::create::make_private_directory;
use crate::daemon::error::DaemonError;

/// Present in a vault while it is being rebuilt. Says which live tree is ours, and of which
/// store it is made.
pub(in crate::daemon) const UNFINISHED: &str = "rebuild.unfinished";
/// Which of the live files it wrote.
const WRITTEN: &str = "rebuild.written";
const LIVE_IS_OURS: &str = "the live tree was empty\n";

/// The directory that a vault is rebuilt in.
pub(super) struct Site {
    directory: PathBuf,
    mark: PathBuf,
    /// Whether this made the directory.
    is_made: bool,
    /// The mark, locked: who else would rebuild here waits outside.
    locked: fs::File,
}

impl Site {
    pub(super) fn begin(directory: &Path) -> Result<Self, DaemonError> {
        let failed =
            |error: io::Error| DaemonError::io(format!("making {}", directory.display()), error);
        let is_made = make_private_directory(directory).map_err(failed)?.is_some();
        let mark = directory.join(UNFINISHED);
        if !mark.exists() {
            let mut entries = fs::read_dir(directory).map_err(failed)?;
            if entries.next().is_some() {
                return Err(DaemonError::NotEmpty {
                    path: directory.into(),
                });
            }
            fs::write(&mark, "").map_err(failed)?;
        }
        fs::set_permissions(directory, fs::Permissions::from_mode(0o700)).map_err(failed)?;
        let locked = fs::File::open(&mark).map_err(failed)?;
        locked.try_lock().map_err(|_| DaemonError::BeingRebuilt {
            path: directory.into(),
        })?;
        let site = Self {
            mark,
            directory: directory.into(),
            is_made,
            locked,
        };
        site.sync()?;
        site.remove_catalog();
        Ok(site)
    }

    /// What another attempt left of what is made anew.
    fn remove_catalog(&self) {
        for name in [
            "catalog.db",
            "catalog.db-journal",
            "catalog.db-wal",
            "catalog.db-shm",
            FILE_NAME,
            "key.json",
        ] {
            // One that cannot be removed cannot be made anew either, and is told then.
            let _ = fs::remove_file(self.directory.join(name));
        }
    }

    /// Nothing came of it: what was made goes, unless there are live files already.
    pub(super) fn give_up(&self) {
        self.remove_catalog();
        let is_alone = fs::read_dir(&self.directory).is_ok_and(|entries| entries.count() == 1);
        // With anything beside it, the same command must be able to go on.
        if is_alone && fs::read_to_string(&self.mark).is_ok_and(|text| text.is_empty()) {
            let _ = fs::remove_file(&self.mark);
        }
        if self.is_made {
            let _ = fs::remove_dir(&self.directory);
        }
    }

    /// Files are written only into a live tree that was empty when that began.
    pub(super) fn claim_live(&self, config: &Config, live: LiveAsOf) -> Result<(), DaemonError> {
        let directory = &config.live_dir;
        let failed =
            |error: io::Error| DaemonError::io(format!("making {}", directory.display()), error);
        fs::create_dir_all(directory).map_err(failed)?;
        let ours = format!("{LIVE_IS_OURS}{}\n{}\n", directory.display(), config.store);
        let is_ours = fs::read_to_string(&self.mark).is_ok_and(|text| text == ours);
        if live == LiveAsOf::Untouched || is_ours {
            return Ok(());
        }
        if fs::read_dir(directory).map_err(failed)?.next().is_some() {
            self.give_up();
            return Err(DaemonError::LiveNotEmpty {
                path: directory.clone(),
            });
        }
        // What was written into another one.
        self.forget_written()?;
        fs::write(&self.mark, ours).map_err(failed)?;
        self.sync()
    }

    fn forget_written(&self) -> Result<(), DaemonError> {
        let records = records_in(&self.directory);
        match fs::remove_file(&records) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(DaemonError::io(records.display().to_string(), error))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn finish(&self) -> Result<(), DaemonError> {
        self.forget_written()?;
        fs::remove_file(&self.mark)
            .map_err(|error| DaemonError::io(self.mark.display().to_string(), error))?;
        self.sync()
    }

    fn sync(&self) -> Result<(), DaemonError> {
        self.locked
            .sync_all()
            .and_then(|()| fs::File::open(&self.directory)?.sync_all())
            .map_err(|error| DaemonError::io(self.directory.display().to_string(), error))
    }
}

/// The file that says which of the live files a rebuild wrote.
pub(super) fn records_in(vault_dir: &Path) -> PathBuf {
    vault_dir.join(WRITTEN)
}
