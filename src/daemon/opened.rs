//! One vault, opened under its lock: SQLite, the machine's clock, the rules.

use std::path::Path;
use std::sync::Arc;

use super::error::DaemonError;
use super::key::{Ask, unlock};
use super::lock::{Purpose, VaultLock};
use super::rebuild::UNFINISHED;
use crate::catalog::Durability;
use crate::catalog::sqlite::SqliteCatalog;
use crate::config::{Config, FILE_NAME};
use crate::model::{SystemClock, WriteClaim};
use crate::store::VaultKey;
use crate::vault::{Vault, VaultError, Workers};

/// Present while nothing runs and nothing was lost.
const CLEAN_STOP: &str = "clean_stop";

/// The text of the settings file.
pub(super) const SETTINGS: &str = "config";
/// What people call the vault, wherever its directory is.
pub(super) const VAULT_NAME: &str = "vault_name";

/// An open vault and its lock.
#[derive(Debug)]
pub struct Opened {
    vault: Arc<Vault>,
    lock: VaultLock,
}

impl Opened {
    /// Opens the vault for one command, where no daemon has it. `note` hears when that
    /// takes a while.
    ///
    /// # Errors
    /// [`VaultError::InUse`], or what settings, key, catalog and store say.
    pub fn for_command(
        vault_dir: &Path,
        claim: WriteClaim,
        note: &mut dyn FnMut(&str),
    ) -> Result<Self, DaemonError> {
        Self::for_command_asking(vault_dir, claim, &mut |_| None, note)
    }

    /// The same; `ask` is asked for a passphrase that no file has.
    ///
    /// # Errors
    /// As [`for_command`](Self::for_command).
    pub fn for_command_asking(
        vault_dir: &Path,
        claim: WriteClaim,
        ask: Ask<'_>,
        note: &mut dyn FnMut(&str),
    ) -> Result<Self, DaemonError> {
        let mut config = Config::load(vault_dir)?;
        config.validate_layout(None)?;
        config.write_claim = claim;
        let key = unlock(&config, None, ask)?;
        Self::open(config, key, Purpose::Command, note)
    }

    pub(super) fn open(
        config: Config,
        key: Option<VaultKey>,
        purpose: Purpose,
        note: &mut dyn FnMut(&str),
    ) -> Result<Self, DaemonError> {
        let lock = VaultLock::take(&config.lock_path, &config.vault_dir, purpose, note)?;
        if purpose != Purpose::Rebuild && config.vault_dir.join(UNFINISHED).exists() {
            return Err(DaemonError::Unfinished {
                path: config.vault_dir,
            });
        }
        if !config.catalog_path.exists() && has_packs(&config) {
            return Err(DaemonError::CatalogMissing {
                path: config.catalog_path,
            });
        }
        let catalog = SqliteCatalog::open(&config.catalog_path).map_err(VaultError::from)?;
        let vault = Vault::open(config, Box::new(catalog), Arc::new(SystemClock), key)?;
        remember_settings(&vault)?;
        Ok(Self {
            vault: Arc::new(vault),
            lock,
        })
    }

    /// The vault.
    pub fn vault(&self) -> &Arc<Vault> {
        &self.vault
    }

    /// Starts the threads that ingest and commit.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start_workers(&self) -> Result<Workers, DaemonError> {
        Workers::start(self.vault.clone())
            .map_err(|error| DaemonError::io("starting the vault's threads", error))
    }

    /// Makes everything durable and lets the vault go.
    ///
    /// # Errors
    /// When the catalog's disk says no.
    pub fn close(self) -> Result<(), DaemonError> {
        Ok(self.vault.commit(Durability::Power)?)
    }

    pub(super) fn lock_mut(&mut self) -> &mut VaultLock {
        &mut self.lock
    }
}

/// Takes the text of `keepfs.toml`, and what the vault is called, into the catalog, and so into the journal: who rebuilds
/// the vault elsewhere gets its settings. There are no secrets in it.
fn remember_settings(vault: &Vault) -> Result<(), DaemonError> {
    let path = vault.config().vault_dir.join(FILE_NAME);
    let text = std::fs::read_to_string(&path)
        .map_err(|error| DaemonError::io(path.display().to_string(), error))?;
    let mut catalog = vault.catalog();
    for (key, value) in [(SETTINGS, &text), (VAULT_NAME, &vault.config().name)] {
        if catalog.setting(key).map_err(VaultError::from)?.as_ref() != Some(value) {
            catalog
                .set_setting(key, Some(value))
                .map_err(VaultError::from)?;
        }
    }
    Ok(())
}

/// Nobody has the vault, and nothing was lost.
pub(super) fn mark_clean(vault: &Vault) -> Result<(), VaultError> {
    vault.catalog().set_setting(CLEAN_STOP, Some("yes"))?;
    vault.commit(Durability::Power)
}

/// From now on a kill is an unclean stop. Returns whether the last one was clean.
pub(super) fn mark_dirty(vault: &Vault) -> Result<LastStop, VaultError> {
    let was = vault.catalog().setting(CLEAN_STOP)?;
    vault.catalog().set_setting(CLEAN_STOP, None)?;
    vault.commit(Durability::Power)?;
    Ok(match was {
        Some(_) => LastStop::Clean,
        None => LastStop::Unclean,
    })
}

/// How the vault was left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LastStop {
    Clean,
    Unclean,
}

fn has_packs(config: &Config) -> bool {
    let in_store = config.store.directory().is_some_and(holds_a_file);
    in_store || holds_a_file(&config.spool_dir)
}

/// A file at any depth: stores spread packs over directories.
fn holds_a_file(directory: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(directory) else {
        return false;
    };
    entries.flatten().any(|entry| match entry.file_type() {
        Ok(kind) if kind.is_dir() => holds_a_file(&entry.path()),
        Ok(_) => true,
        Err(_) => false,
    })
}
