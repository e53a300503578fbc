//! From settings, environment and people to the key of an encrypted vault.
//!
//! The one place that knows where a secret may come from, and in which order. What it looks
//! like is the store's. The surprise: `key.json` in the vault decides what is needed; the
//! store's copy is only compared with it.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use zeroize::Zeroizing;

use super::error::DaemonError;
use super::lock::{Purpose, VaultLock};
use super::opened::Opened;
use crate::config::{Config, SecretPlace};
use crate::store::{KeyDocument, Secret, StoreError, VaultKey};
use crate::vault::VaultError;

/// Asks a person for a passphrase, by a prompt. `None`: nobody is there.
pub type Ask<'a> = &'a mut dyn FnMut(&str) -> Option<Zeroizing<String>>;

const KEY_FILE: &str = "KEEPFS_KEY_FILE";
const PASSPHRASE_FILE: &str = "KEEPFS_PASSPHRASE_FILE";
/// Holds the secret itself: a daemon's process must not inherit it.
pub(super) const PASSPHRASE: &str = "KEEPFS_PASSPHRASE";

/// Opens the key of a vault: with `given`, else with what environment, settings or `ask`
/// have. `None`: the vault is not encrypted.
///
/// # Errors
/// When there is no secret or the wrong one, or `key.json` does not fit the settings.
pub fn unlock(
    config: &Config,
    given: Option<&Secret>,
    ask: Ask<'_>,
) -> Result<Option<VaultKey>, DaemonError> {
    let Some(place) = &config.encryption else {
        if config.key_path.exists() {
            return Err(disagrees(
                config,
                "has a key.json, so its store is encrypted, but keepfs.toml has no [encryption]: \
                 put it back",
            ));
        }
        return match given {
            None => Ok(None),
            Some(secret) => Err(disagrees(
                config,
                &format!(
                    "is not encrypted, so no {} belongs to it: leave it out",
                    secret.kind()
                ),
            )),
        };
    };
    let name = config.key_path.display().to_string();
    let bytes = match fs::read(&config.key_path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(disagrees(
                config,
                "has [encryption] in keepfs.toml, but no key.json: copy it from the store, where \
                 it lies beside the packs",
            ));
        }
        Err(error) => return Err(DaemonError::io(name, error)),
    };
    let document = KeyDocument::parse(&bytes, &name).map_err(VaultError::from)?;
    let secret = match given {
        Some(secret) => secret.clone(),
        None => find(config, place, &document, ask).map_err(VaultError::from)?,
    };
    let key = document.unlock(&secret, &name).map_err(VaultError::from)?;
    Ok(Some(key))
}

/// Opens a key document of which there are no settings: with `given`, else with what
/// environment or `ask` have.
///
/// # Errors
/// When there is no secret or the wrong one.
pub(super) fn unlock_document(
    document: &KeyDocument,
    place: &str,
    given: Option<&Secret>,
    ask: Ask<'_>,
) -> Result<VaultKey, DaemonError> {
    let missing = |problem: &str| StoreError::BadSecret {
        from: place.into(),
        problem: problem.into(),
    };
    let secret = if let Some(secret) = given {
        Ok(secret.clone())
    } else if document.is_by_passphrase() {
        match passphrase_in_environment().map_err(VaultError::from)? {
            Some(secret) => Ok(secret),
            None => match ask(&format!("Passphrase of {place}: ")) {
                Some(text) => Secret::passphrase(text, "what was typed"),
                None => Err(missing(
                    "it is encrypted with a passphrase, and there is no terminal to ask on: give \
                     --passphrase-file, or --recovery-key",
                )),
            },
        }
    } else {
        match file_in(KEY_FILE) {
            Some(file) => Secret::from_key_file(&file),
            None => Err(missing(
                "it is encrypted with a key file: give --key-file, or --recovery-key",
            )),
        }
    };
    let secret = secret.map_err(VaultError::from)?;
    let key = document.unlock(&secret, place).map_err(VaultError::from)?;
    Ok(key)
}

fn find(
    config: &Config,
    place: &SecretPlace,
    document: &KeyDocument,
    ask: Ask<'_>,
) -> Result<Secret, StoreError> {
    let missing = |problem: &str| StoreError::BadSecret {
        from: format!("the vault {}", config.name),
        problem: problem.into(),
    };
    if document.is_by_passphrase() {
        if let Some(secret) = passphrase_in_environment()? {
            Ok(secret)
        } else if let SecretPlace::PassphraseFile(file) = place {
            Secret::from_passphrase_file(file)
        } else {
            let prompt = format!("Passphrase of the vault {}: ", config.name);
            match ask(&prompt) {
                Some(text) => Secret::passphrase(text, "what was typed"),
                None => Err(missing(
                    "its passphrase is needed, and there is no terminal to ask on: set \
                     passphrase_file under [encryption] in keepfs.toml, or KEEPFS_PASSPHRASE_FILE",
                )),
            }
        }
    } else if let Some(file) = file_in(KEY_FILE) {
        Secret::from_key_file(&file)
    } else if let SecretPlace::KeyFile(file) = place {
        Secret::from_key_file(file)
    } else {
        Err(missing(
            "its key file is needed: set key_file under [encryption] in keepfs.toml, or \
             KEEPFS_KEY_FILE",
        ))
    }
}

fn file_in(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable).map(PathBuf::from)
}

/// A new passphrase out of the environment. `None`: it has none.
///
/// # Errors
/// [`StoreError::BadSecret`].
pub fn passphrase_in_environment() -> Result<Option<Secret>, StoreError> {
    if let Some(file) = file_in(PASSPHRASE_FILE) {
        return Secret::from_passphrase_file(&file).map(Some);
    }
    match std::env::var(PASSPHRASE) {
        Ok(text) => Secret::passphrase(Zeroizing::new(text), PASSPHRASE).map(Some),
        Err(_) => Ok(None),
    }
}

/// Has the vault opened by another secret from now on, also in its store. Nothing else is
/// encrypted anew.
///
/// # Errors
/// [`VaultError::InUse`] while it is mounted, and when `key.json` cannot be written. What
/// keeps the store's copy from being replaced, `note` hears.
pub fn rewrap(
    config: &Config,
    key: &VaultKey,
    secret: &Secret,
    note: &mut dyn FnMut(&str),
) -> Result<(), DaemonError> {
    let key = key.wrapped_by(secret).map_err(VaultError::from)?;
    let lock = VaultLock::take(&config.lock_path, &config.vault_dir, Purpose::Command, note)?;
    write_document(config, &key)?;
    drop(lock);
    // The store's copy is brought into line whenever the vault is opened.
    let opened = Opened::open(config.clone(), Some(key), Purpose::Command, note);
    if let Err(error) = opened.and_then(Opened::close) {
        note(&format!(
            "the copy of key.json in the store stays the old one until the vault is next opened: \
             {error}"
        ));
    }
    Ok(())
}

/// Writes `key.json` into the vault: whole or not at all, power loss included.
pub(super) fn write_document(config: &Config, key: &VaultKey) -> Result<(), DaemonError> {
    let temporary = config.key_path.with_extension("json.new");
    fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&temporary)
        .and_then(|mut file| {
            file.write_all(&key.document().to_bytes())?;
            file.sync_all()?;
            fs::rename(&temporary, &config.key_path)?;
            fs::File::open(&config.vault_dir)?.sync_all()
        })
        .map_err(|error| DaemonError::io(config.key_path.display().to_string(), error))
}

fn disagrees(config: &Config, problem: &str) -> DaemonError {
    let error = StoreError::KeyDisagrees {
        place: config.vault_dir.display().to_string(),
        problem: problem.into(),
    };
    VaultError::from(error).into()
}
