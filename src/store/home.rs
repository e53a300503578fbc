//! Is the directory of a store still the one that was opened?
//!
//! A disk that is unplugged or unmounted leaves its mountpoint behind, an empty directory of
//! the same name: nothing that is looked for there is missing, and nothing may be put there.
//! The surprise: the same disk comes back as another device now and then, so a directory
//! that is not the one that was opened is ours again when `vault.json` in it says so.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::SystemTime;

use super::error::{Result, StoreError};
use super::membership::{self, IDENTITY};

/// What tells a directory from another one of its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Traits {
    device: u64,
    inode: u64,
    /// The root of a new filesystem has the same inode number as that of the last one.
    made: Option<SystemTime>,
}

impl Traits {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            made: metadata.created().ok(),
        }
    }
}

/// The directory of a store.
#[derive(Debug)]
pub(super) struct Home {
    root: PathBuf,
    /// What it was when it was last known to be ours.
    seen: Mutex<Traits>,
    /// The id of the vault that it was seen to belong to.
    owner: OnceLock<String>,
}

impl Home {
    /// The directory that is there now.
    pub(super) fn open(root: &Path) -> std::io::Result<Self> {
        let root = fs::canonicalize(root)?;
        let seen = Traits::of(&fs::metadata(&root)?);
        Ok(Self {
            root,
            seen: Mutex::new(seen),
            owner: OnceLock::new(),
        })
    }

    /// Where it is, without symlinks.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// The directory that is there now is that vault's own.
    pub(super) fn belongs_to(&self, vault_id: &str) {
        let _ = self.owner.set(vault_id.into());
    }

    /// Makes sure that the directory is there.
    ///
    /// # Errors
    /// [`StoreError::DirectoryAway`].
    pub(super) fn ensure(&self) -> Result<()> {
        let away = || StoreError::DirectoryAway {
            directory: self.root.clone(),
        };
        let now = Traits::of(&fs::metadata(&self.root).map_err(|_| away())?);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if now == *seen {
            return Ok(());
        }
        let is_ours = match self.owner.get() {
            Some(id) => fs::read(self.root.join(IDENTITY))
                .is_ok_and(|found| membership::is_identity_of(&found, id)),
            // Nothing was written yet. Some filesystems number a directory anew at the
            // first write.
            None => now.device == seen.device,
        };
        if !is_ours {
            return Err(away());
        }
        *seen = now;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_away(home: &Home) -> bool {
        matches!(home.ensure(), Err(StoreError::DirectoryAway { .. }))
    }

    #[test]
    fn another_directory_of_the_same_name_is_not_the_one_that_was_opened() {
        let directory = tempfile::tempdir().unwrap();
        let (root, away) = (directory.path().join("a"), directory.path().join("b"));
        fs::create_dir(&root).unwrap();
        let home = Home::open(&root).unwrap();
        home.belongs_to("ours");
        fs::rename(&root, &away).unwrap();
        assert!(is_away(&home));
        fs::create_dir(&root).unwrap();
        assert!(is_away(&home));
        fs::write(root.join(IDENTITY), "no JSON").unwrap();
        assert!(is_away(&home));
        fs::remove_dir_all(&root).unwrap();
        fs::rename(&away, &root).unwrap();
        home.ensure().unwrap();
    }

    #[test]
    fn a_disk_that_comes_back_as_another_device_is_known_by_what_is_on_it() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("a");
        fs::create_dir(&root).unwrap();
        let home = Home::open(&root).unwrap();
        home.belongs_to("ours");
        fs::rename(&root, directory.path().join("b")).unwrap();
        fs::create_dir(&root).unwrap();
        let signed = |id: &str| format!(r#"{{"format":1,"vault":"v","id":"{id}"}}"#);
        fs::write(root.join(IDENTITY), signed("another")).unwrap();
        assert!(is_away(&home));
        fs::write(root.join(IDENTITY), signed("ours")).unwrap();
        home.ensure().unwrap();
        // And stays known.
        fs::remove_file(root.join(IDENTITY)).unwrap();
        home.ensure().unwrap();
    }
}
