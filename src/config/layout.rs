//! Where the parts of a vault may lie relative to each other and to the mountpoint.
//!
//! The surprise: paths are compared after their existing part is resolved, so that a
//! symlink or a `..` does not hide that one directory is inside another.

use std::fs;
use std::path::{Component, Path, PathBuf};

use super::{Config, ConfigError};
use crate::model::HISTORY_NAMES;

pub(super) fn validate(config: &Config, mountpoint: Option<&Path>) -> Result<(), ConfigError> {
    check_live_directory(&config.live_dir)?;

    let live = resolved(&config.live_dir);
    let vault = resolved(&config.vault_dir);
    if vault.starts_with(&live) {
        return Err(ConfigError::VaultInsideLive { vault, live });
    }
    let store = config.store.directory().map(resolved);
    if let Some(store) = &store
        && store.starts_with(&live)
    {
        return Err(ConfigError::StoreInsideLive {
            store: store.clone(),
            live,
        });
    }
    let own = [
        ("spool", resolved(&config.spool_dir)),
        ("cache", resolved(&config.cache_dir)),
    ];
    if let Some((part, path)) = own.iter().find(|(_, path)| path.starts_with(&live)) {
        return Err(ConfigError::SpoolInsideLive {
            part,
            path: path.clone(),
            live,
        });
    }
    let parts: Vec<(&'static str, PathBuf)> = store
        .iter()
        .map(|path| ("store", path.clone()))
        .chain(own)
        .collect();
    if let Some((part, path)) = parts.iter().find(|(_, path)| live.starts_with(path)) {
        return Err(ConfigError::LiveInsidePart {
            live,
            part,
            path: path.clone(),
        });
    }
    match mountpoint {
        Some(mountpoint) => check_mountpoint(resolved(mountpoint), live, vault, store, &parts),
        None => Ok(()),
    }
}

fn check_live_directory(live: &Path) -> Result<(), ConfigError> {
    // A dangling symlink is there and is no directory; a missing one is made by `init`.
    if live.symlink_metadata().is_ok() && !live.is_dir() {
        return Err(ConfigError::LiveNotDirectory {
            live: live.to_owned(),
        });
    }
    match HISTORY_NAMES
        .iter()
        .find(|(_, name)| live.join(name).symlink_metadata().is_ok())
    {
        Some((_, name)) => Err(ConfigError::HistoryNameTaken {
            live: live.to_owned(),
            name,
        }),
        None => Ok(()),
    }
}

fn check_mountpoint(
    mountpoint: PathBuf,
    live: PathBuf,
    vault: PathBuf,
    store: Option<PathBuf>,
    parts: &[(&'static str, PathBuf)],
) -> Result<(), ConfigError> {
    if mountpoint.starts_with(&live) {
        return Err(ConfigError::MountInsideLive { mountpoint, live });
    }
    if vault.starts_with(&mountpoint) {
        return Err(ConfigError::VaultInsideMount { vault, mountpoint });
    }
    if live.starts_with(&mountpoint) {
        return Err(ConfigError::LiveInsideMount { live, mountpoint });
    }
    if let Some(store) = store
        && store.starts_with(&mountpoint)
    {
        return Err(ConfigError::StoreInsideMount { store, mountpoint });
    }
    match parts.iter().find(|(_, path)| mountpoint.starts_with(path)) {
        Some((part, _)) => Err(ConfigError::MountInsidePart { mountpoint, part }),
        None => Ok(()),
    }
}

/// Symlinks of the existing part resolved, `.` and `..` gone, the rest as written.
fn resolved(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut resolved = PathBuf::new();
    for component in absolute.components() {
        match component {
            Component::ParentDir => drop(resolved.pop()),
            component => resolved.push(component),
        }
        if let Ok(real) = fs::canonicalize(&resolved) {
            resolved = real;
        }
    }
    resolved
}

#[cfg(test)]
#[path = "layout_tests.rs"]
mod tests;
