//! What a store can do where its objects are files of this machine.
//!
//! Nothing here concerns a bucket: there each of these does nothing, or says that it
//! cannot. The surprise: a finished pack on the same filesystem is linked, not copied.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use object_store::local::LocalFileSystem;

use super::backend::{Backend, PACKS, is_full, object_path};
use super::error::{Result, StoreError};
use super::home::Home;
use crate::model::PackId;

/// Opens the directory. One that is not there is made when `is_new`.
pub(super) fn open(root: &Path, is_new: bool) -> Result<(LocalFileSystem, Home)> {
    let bad = |reason: String| StoreError::BadPlace {
        place: root.display().to_string(),
        reason,
    };
    if is_new {
        fs::create_dir_all(root).map_err(|error| bad(format!("cannot make it: {error}")))?;
    }
    let gone_or = |other: String| match root.exists() {
        true => bad(other),
        false => bad("there is no such directory: is its disk mounted?".into()),
    };
    let home = Home::open(root).map_err(|error| gone_or(error.to_string()))?;
    let objects = LocalFileSystem::new_with_prefix(home.root())
        .map_err(|error| gone_or(error.to_string()))?;
    Ok((objects.with_fsync(true), home))
}

/// Makes the directories that are missing between the root and an object, never the root
/// itself: its disk may have gone a moment ago.
fn make_parents(root: &Path, file: &Path) -> io::Result<()> {
    let below = file
        .parent()
        .and_then(|parent| parent.strip_prefix(root).ok());
    let mut directory = root.to_owned();
    for part in below.into_iter().flatten() {
        let parent = directory.clone();
        directory.push(part);
        if directory.is_dir() {
            continue;
        }
        match fs::create_dir(&directory) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => sync_directory(&parent)?,
        }
    }
    Ok(())
}

/// The names in it, as far as they are text.
pub(super) fn names(root: &Path) -> Result<Vec<String>> {
    let failed = |error: io::Error| StoreError::Io(format!("listing the store: {error}"));
    fs::read_dir(root)
        .map_err(failed)?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<io::Result<_>>()
        .map_err(failed)
}

impl Backend {
    /// Before an object is written: its directory is there, and nothing is made beyond the
    /// root. In a bucket there is nothing to make.
    pub(super) fn make_way_for(&self, key: &str) -> Result<()> {
        let Some(root) = self.root() else {
            return Ok(());
        };
        make_parents(root, &root.join(key)).map_err(|error| match is_full(&error) {
            true => StoreError::Full {
                what: "the store",
                directory: Some(root.into()),
            },
            false => StoreError::Io(format!("making a directory for {key}: {error}")),
        })
    }

    /// Makes a finished, durable pack file on the same filesystem the pack, without
    /// copying a byte: both names lead to it until the caller removes its own.
    /// False: it can only be [`put`](Self::put).
    pub(super) fn adopt(&self, pack: PackId, finished: &Path) -> Result<bool> {
        self.at_home(|| self.link(pack, finished))
    }

    fn link(&self, pack: PackId, finished: &Path) -> Result<bool> {
        let failed = |error: io::Error| match is_full(&error) {
            true => StoreError::Full {
                what: "the store",
                directory: self.root().map(Into::into),
            },
            false => StoreError::Io(format!("storing pack {pack}: {error}")),
        };
        let Some(file) = self.file(pack) else {
            return Ok(false);
        };
        let Some(fan) = file.parent() else {
            return Ok(false);
        };
        self.make_way_for(object_path(pack).as_ref())?;
        // Of an attempt that was interrupted; no row says that it is stored.
        match fs::remove_file(&file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        match fs::hard_link(finished, &file) {
            Ok(()) => {}
            Err(error) if is_full(&error) => return Err(failed(error)),
            Err(error) => {
                log::debug!("pack {pack} is copied into the store: {error}");
                return Ok(false);
            }
        }
        self.protect(pack)?;
        sync_directory(fan).map_err(failed)?;
        Ok(true)
    }

    /// Takes the write permission off a pack that is a file. What protects a bucket is
    /// its owner's to choose.
    pub(super) fn protect(&self, pack: PackId) -> Result<()> {
        let Some(file) = self.file(pack) else {
            return Ok(());
        };
        fs::set_permissions(file, Permissions::from_mode(0o400))
            .map_err(|error| StoreError::Io(format!("protecting pack {pack}: {error}")))
    }

    /// Removes what an interrupted [`put`](Self::put) of that pack left behind.
    pub(super) fn clear_leftovers(&self, pack: PackId) -> Result<()> {
        let Some(file) = self.file(pack) else {
            return Ok(());
        };
        let (Some(directory), Some(name)) = (file.parent(), file.file_name()) else {
            return Ok(());
        };
        let staged = [name.as_bytes(), b"#"].concat();
        remove_files(directory, |name| name.starts_with(&staged))
    }

    /// Removes what interrupted puts of any pack left behind. Nobody may be putting one.
    pub(super) fn clear_all_leftovers(&self) -> Result<()> {
        let Some(packs) = self.root().map(|root| root.join(PACKS)) else {
            return Ok(());
        };
        if !packs.exists() {
            return Ok(());
        }
        for fan in names(&packs)? {
            remove_files(&packs.join(fan), |name| name.contains(&b'#'))?;
        }
        Ok(())
    }

    /// The file of a pack. `None`: it is in a bucket.
    pub(super) fn file(&self, pack: PackId) -> Option<PathBuf> {
        Some(self.root()?.join(object_path(pack).as_ref()))
    }
}

/// Removes the files of such names from a directory that may not be there.
fn remove_files(directory: &Path, is_meant: impl Fn(&[u8]) -> bool) -> Result<()> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(StoreError::Io(format!("listing packs: {error}"))),
    };
    for entry in entries.flatten() {
        if is_meant(entry.file_name().as_bytes()) {
            fs::remove_file(entry.path())
                .map_err(|error| StoreError::Io(format!("cleaning the store: {error}")))?;
        }
    }
    Ok(())
}

fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::StorePlace;

    #[test]
    fn a_store_whose_directory_is_gone_is_not_made_anew() {
        let directory = tempfile::tempdir().unwrap();
        let place = StorePlace::Directory(directory.path().join("gone"));
        let error = Backend::open(&place, false).unwrap_err().to_string();
        assert!(error.contains("is its disk mounted"), "{error}");
        Backend::open(&place, true).unwrap();
    }

    #[test]
    fn leftovers_of_an_interrupted_put_are_cleaned_and_never_listed() {
        let directory = tempfile::tempdir().unwrap();
        let backend = Backend::open(&StorePlace::Directory(directory.path().into()), true).unwrap();
        let pack = PackId([3; 16]);
        backend.put(pack, b"bytes".to_vec()).unwrap();
        let leftover = PathBuf::from(format!("{}#1", backend.file(pack).unwrap().display()));
        fs::write(&leftover, b"half").unwrap();
        assert_eq!(backend.list(0).unwrap(), [(pack, 5)].into());
        backend.clear_leftovers(pack).unwrap();
        assert!(!leftover.exists());
        fs::write(&leftover, b"half").unwrap();
        backend.clear_all_leftovers().unwrap();
        assert!(!leftover.exists());
        assert_eq!(backend.pack_bytes(pack).unwrap(), Some(5));
        let mode = fs::metadata(backend.file(pack).unwrap())
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o400);
    }

    #[test]
    fn a_finished_file_is_adopted_without_a_copy_and_over_what_an_attempt_left() {
        use std::os::unix::fs::MetadataExt;
        let directory = tempfile::tempdir().unwrap();
        let store = directory.path().join("store");
        let backend = Backend::open(&StorePlace::Directory(store), true).unwrap();
        let finished = directory.path().join("finished");
        fs::write(&finished, b"bytes").unwrap();
        let pack = PackId([5; 16]);
        backend.put(pack, b"half".to_vec()).unwrap();
        for _ in 0..2 {
            assert!(backend.adopt(pack, &finished).unwrap());
        }
        let (one, other) = (
            fs::metadata(&finished),
            fs::metadata(backend.file(pack).unwrap()),
        );
        let (one, other) = (one.unwrap(), other.unwrap());
        assert_eq!((one.dev(), one.ino()), (other.dev(), other.ino()));
        assert_eq!(other.permissions().mode() & 0o777, 0o400);
    }

    #[test]
    fn a_file_on_another_filesystem_is_left_to_be_put() {
        let elsewhere = tempfile::tempdir_in("/dev/shm").unwrap();
        let finished = elsewhere.path().join("finished");
        fs::write(&finished, b"bytes").unwrap();
        let directory = tempfile::tempdir().unwrap();
        let backend = Backend::open(&StorePlace::Directory(directory.path().into()), true).unwrap();
        let pack = PackId([5; 16]);
        assert!(!backend.adopt(pack, &finished).unwrap());
        assert_eq!(backend.pack_bytes(pack).unwrap(), None);
    }
}
