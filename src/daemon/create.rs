//! New vaults: the settings file, the directories, and an empty catalog.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::error::DaemonError;
use super::key::write_document;
use super::lock::Purpose;
use super::mountpoint;
use super::opened::{Opened, mark_clean};
use crate::config::{Config, ConfigError, FILE_NAME, InitOptions};
use crate::store::{LEASE_NAME, VaultKey};

/// Whether a vault was there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Created {
    /// It was not.
    New,
    /// It was.
    Found,
}

/// Makes a new vault. What is refused leaves nothing behind.
///
/// # Errors
/// When the options or the layout are wrong, or the disk says no.
pub fn create(
    vault: &Path,
    options: &InitOptions,
    mountpoint: Option<&Path>,
) -> Result<Config, DaemonError> {
    make(vault, options, mountpoint, None)
}

/// Makes a new vault whose store is encrypted with `key`.
///
/// # Errors
/// As [`create`].
pub fn create_encrypted(
    vault: &Path,
    options: &InitOptions,
    key: &VaultKey,
) -> Result<Config, DaemonError> {
    make(vault, options, None, Some(key))
}

fn make(
    vault: &Path,
    options: &InitOptions,
    mountpoint: Option<&Path>,
    key: Option<&VaultKey>,
) -> Result<Config, DaemonError> {
    let made = make_private_directory(vault)
        .map_err(|error| DaemonError::io(format!("making {}", vault.display()), error))?;
    let created = Config::create(vault, options);
    let config = match created {
        Ok(config) => config,
        Err(error) => {
            remove_directory(made.as_deref());
            return Err(error.into());
        }
    };
    if let Err(error) = config.validate_layout(mountpoint) {
        let _ = fs::remove_file(vault.join(FILE_NAME));
        remove_directory(made.as_deref());
        return Err(error.into());
    }
    // Also one that was there, empty: the daemon's files have no owners of their own.
    let owner_only = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    fs::set_permissions(&config.vault_dir, owner_only)
        .map_err(|error| DaemonError::io(format!("{}", config.vault_dir.display()), error))?;
    for directory in [Some(&*config.live_dir), config.store.directory()]
        .into_iter()
        .flatten()
    {
        fs::create_dir_all(directory)
            .map_err(|error| DaemonError::io(format!("making {}", directory.display()), error))?;
    }
    match open_first(&config, key) {
        Ok(()) => Ok(config),
        Err(error) => {
            // A bucket that lets nobody in, say: as if it had not been tried. In a directory
            // that was there, only the settings are certainly of now: the catalog may be
            // that of a vault which has lost them.
            let _ = fs::remove_file(config.vault_dir.join(FILE_NAME));
            if key.is_some() {
                let _ = fs::remove_file(&config.key_path);
            }
            if made.is_some() {
                remove_own_files(&config);
            }
            remove_directory(made.as_deref());
            Err(error)
        }
    }
}

fn open_first(config: &Config, key: Option<&VaultKey>) -> Result<(), DaemonError> {
    if let Some(key) = key {
        write_document(config, key)?;
    }
    let opened = Opened::open(config.clone(), key.cloned(), Purpose::Command, &mut |_| {})?;
    // Nothing was stopped uncleanly: what is live already is for `keepfs backup` to take up.
    mark_clean(opened.vault())?;
    opened.close()
}

/// What a vault that was made a moment ago consists of.
fn remove_own_files(config: &Config) {
    let catalog = config.catalog_path.as_os_str();
    let beside_catalog = ["-wal", "-shm"].map(|suffix| {
        let mut name = catalog.to_owned();
        name.push(suffix);
        PathBuf::from(name)
    });
    let own = [config.catalog_path.clone(), config.lock_path.clone()];
    let store = config.store.directory();
    // Nobody else can write to a store in there.
    let in_vault = store.filter(|store| store.starts_with(&config.vault_dir));
    let lease = in_vault.map(|store| store.join(LEASE_NAME));
    for file in own.iter().chain(&beside_catalog).chain(&lease) {
        let _ = fs::remove_file(file);
    }
    let directories = [
        Some(&*config.live_dir),
        config.store.directory(),
        Some(&*config.spool_dir),
        Some(&*config.cache_dir),
    ];
    for directory in directories.into_iter().flatten() {
        remove_directory(Some(directory));
    }
}

/// The settings of a vault that is there, or of a new one with the defaults, to be
/// mounted there.
///
/// # Errors
/// As [`create`], and when a directory is neither empty nor a vault.
pub fn prepare(vault: &Path, at: &Path) -> Result<(Config, Created), DaemonError> {
    if vault.join(FILE_NAME).symlink_metadata().is_ok() {
        return Ok((Config::load(vault)?, Created::Found));
    }
    match fs::read_dir(vault) {
        Ok(mut entries) => {
            if entries.next().is_some() {
                return Err(DaemonError::NotAVault { path: vault.into() });
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => {
            return Err(ConfigError::Io {
                doing: "reading",
                path: vault.into(),
                error,
            }
            .into());
        }
    }
    mountpoint::check(at)?;
    let config = create(vault, &InitOptions::default(), Some(at))?;
    Ok((config, Created::New))
}

/// Packs and catalog are for the owner's eyes: live files may be private. Returns the
/// directory where this made it.
pub(super) fn make_private_directory(vault: &Path) -> io::Result<Option<PathBuf>> {
    if let Some(parent) = vault.parent() {
        fs::create_dir_all(parent)?;
    }
    match fs::DirBuilder::new().mode(0o700).create(vault) {
        Ok(()) => Ok(Some(vault.into())),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(None),
        Err(error) => Err(error),
    }
}

fn remove_directory(made: Option<&Path>) {
    if let Some(directory) = made {
        // Only an empty one goes.
        let _ = fs::remove_dir(directory);
    }
}
