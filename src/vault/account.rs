//! What those who look at the vault from outside ask for: an asset by its id, a version to
//! read, folders, the switch.
//!
//! The switch is in the settings file, and changes there, too: the next mount agrees.

use std::collections::BTreeSet;
use std::os::fd::OwnedFd;
use std::sync::PoisonError;

use rustix::fs::XattrFlags;
use rustix::io::Errno;

use crate::catalog::{AssetRecord, Child, Durability};
use crate::config::Config;
use crate::model::{AssetId, HistoryName, Override, PublicId, Version, VersionSeq, VersionState};
use crate::policy::{Policy, PolicySettings};
use crate::store::ContentReader;

use super::live::{self, Found, list_directory};
use super::names::BACKUP_XATTR;
use super::rename_directory::all_children;
use super::{Result, Vault, VaultError};

/// Room on the live disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LiveSpace {
    /// Bytes that can still be written.
    pub free_bytes: u64,
    /// Bytes in all.
    pub total_bytes: u64,
}

impl Vault {
    /// The asset that claims a path, with its latest version. `None`: none does.
    ///
    /// # Errors
    /// When the catalog fails.
    pub fn known_asset(&self, id: &PublicId) -> Result<Option<(AssetRecord, Option<Version>)>> {
        let mut catalog = self.catalog();
        let catalog = catalog.as_mut();
        let Some(asset) = self.asset_at(catalog, id)? else {
            return Ok(None);
        };
        let latest = catalog.latest_versions(asset.node(), 1)?.pop();
        Ok(Some((asset.record, latest)))
    }

    /// Sum of the sizes of all versions of the asset at a path; 0 where there is none.
    ///
    /// # Errors
    /// When the catalog fails.
    pub fn history_bytes(&self, id: &PublicId) -> Result<u64> {
        let mut catalog = self.catalog();
        let catalog = catalog.as_mut();
        let Some(asset) = self.asset_at(catalog, id)? else {
            return Ok(0);
        };
        let versions = catalog.versions(asset.node())?;
        Ok(versions.iter().map(|version| version.size).sum())
    }

    /// Where the asset with that id is, or was. `None`: there is none.
    ///
    /// # Errors
    /// When the catalog fails.
    pub fn path_of_asset(&self, asset: AssetId) -> Result<Option<PublicId>> {
        let mut catalog = self.catalog();
        match catalog.asset_by_id(asset)? {
            Some(node) => Ok(catalog.path_of(node)?),
            None => Ok(None),
        }
    }

    /// Opens a directory of the live tree; makes it, and those above, where it is missing.
    ///
    /// # Errors
    /// What the live tree answered.
    pub fn make_directory(&self, id: &PublicId) -> Result<OwnedFd> {
        self.make_live_directory(id)
    }

    /// A reader of a version's content.
    ///
    /// # Errors
    /// [`VaultError::NotFound`], or what storing or reading it failed with.
    pub fn read_version(&self, seq: VersionSeq) -> Result<ContentReader> {
        for _ in 0..2 {
            let version = self.catalog().version(seq)?;
            match version.map(|version| version.state) {
                Some(VersionState::Stored { content, .. }) => {
                    return Ok(self.store.reader(content)?);
                }
                Some(VersionState::Sealed { .. }) => self.ingest_now(seq)?,
                None => break,
            }
        }
        Err(VaultError::NotFound {
            path: PublicId::root(),
            what: "a version".into(),
        })
    }

    /// What a live file says for itself.
    pub fn file_override(&self, id: &PublicId) -> Option<Override> {
        let xattrs = self.xattrs_at(id);
        let own = xattrs.iter().find(|(name, _)| name == BACKUP_XATTR);
        own.and_then(|(_, word)| Override::from_word(word))
    }

    /// Sets what a live file says for itself; with `On` its content is kept at once.
    ///
    /// # Errors
    /// What the file or the catalog failed with.
    pub fn set_file_override(&self, id: &PublicId, value: Option<Override>) -> Result<()> {
        let file = self.live.open_file(id);
        let file = file.map_err(|error| VaultError::io(id.to_string(), error))?;
        let done = match value {
            Some(value) => rustix::fs::fsetxattr(
                &file,
                BACKUP_XATTR,
                value.as_str().as_bytes(),
                XattrFlags::empty(),
            ),
            None => rustix::fs::fremovexattr(&file, BACKUP_XATTR),
        };
        match done {
            Ok(()) | Err(Errno::NODATA) => {}
            Err(error) => return Err(VaultError::io(id.to_string(), error)),
        }
        use std::os::fd::AsFd;
        self.override_changed(id, value, Some(file.as_fd()))
    }

    /// The vault's switch.
    pub fn backup_switch(&self) -> Override {
        self.policy().backup_switch()
    }

    /// Sets the vault's switch, here and in the settings file.
    ///
    /// # Errors
    /// When the file cannot be changed; the switch is as it was then.
    pub fn set_backup_switch(&self, backup: Override) -> Result<()> {
        let settings = PolicySettings {
            backup,
            ..self.config.policy.clone()
        };
        let policy = Policy::new(&settings).map_err(|error| VaultError::BadVault {
            path: self.config.vault_dir.join(crate::config::FILE_NAME),
            problem: error.to_string(),
        })?;
        Config::switch_backup(&self.config.vault_dir, backup)?;
        *self.policy.write().unwrap_or_else(PoisonError::into_inner) = policy;
        Ok(())
    }

    /// The names of the folders directly in a folder, as text: those that are there, and
    /// those that deleted assets were in.
    ///
    /// # Errors
    /// When the catalog or the live tree fails.
    pub fn folders_in(&self, id: &PublicId) -> Result<Vec<String>> {
        let mut names = BTreeSet::new();
        let mut note = |name: &[u8]| {
            let is_history = id.is_root() && HistoryName::from_root_name(name).is_some();
            if let (Ok(name), false) = (str::from_utf8(name), is_history) {
                names.insert(name.to_owned());
            }
        };
        {
            let mut catalog = self.catalog();
            let catalog = catalog.as_mut();
            if let Some(node) = self.directory_node(catalog, id)? {
                for child in all_children(catalog, node)? {
                    if let Child::Directory {
                        name,
                        has_assets: true,
                        ..
                    } = child
                    {
                        note(name.as_bytes());
                    }
                }
            }
        }
        match self.live.open_directory(id) {
            Ok(directory) => {
                use std::os::fd::AsFd;
                let entries = list_directory(directory.as_fd());
                let entries = entries.map_err(|error| VaultError::io(id.to_string(), error))?;
                for entry in entries {
                    if matches!(entry.found, Found::Directory(_)) {
                        note(entry.name.as_bytes());
                    }
                }
            }
            Err(error) if live::is_absent(&error) => {}
            Err(error) => return Err(VaultError::io(id.to_string(), error)),
        }
        Ok(names.into_iter().collect())
    }

    /// Commits of the catalog since the start.
    pub fn commits_done(&self) -> u64 {
        self.commits.count()
    }

    /// Room on the live disk.
    ///
    /// # Errors
    /// As `fstatvfs(3)`.
    pub fn live_space(&self) -> Result<LiveSpace> {
        let stat = rustix::fs::fstatvfs(self.live.root())
            .map_err(|error| VaultError::io("the live tree", error))?;
        Ok(LiveSpace {
            free_bytes: stat.f_bavail.saturating_mul(stat.f_frsize),
            total_bytes: stat.f_blocks.saturating_mul(stat.f_frsize),
        })
    }

    /// The catalog came out of a store that strangers may have written to: from now on no
    /// restore makes a file that runs as its owner or group.
    ///
    /// # Errors
    /// When the catalog fails.
    pub fn distrust_modes(&self) -> Result<()> {
        self.set_setting(super::restore::UNTRUSTED_MODES_SETTING, "1")
    }

    /// Something that a door of the vault remembers in the catalog, on this machine only.
    ///
    /// # Errors
    /// When the catalog fails.
    pub fn setting(&self, key: &str) -> Result<Option<String>> {
        Ok(self.catalog().setting(key)?)
    }

    /// Remembers it.
    ///
    /// # Errors
    /// When the catalog fails.
    pub fn set_setting(&self, key: &str, value: &str) -> Result<()> {
        let mut catalog = self.catalog();
        catalog.set_setting(key, Some(value))?;
        self.commit_locked(catalog.as_mut(), Durability::Process)
    }
}
