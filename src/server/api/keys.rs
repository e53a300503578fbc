//! API keys: who may call, in a file of the vault that only its owner can read.
//!
//! The surprise: an upload is signed with a hash of the secret itself, so the server must
//! have the secret of a key that may sign. A key that only logs in is kept as a hash.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

/// The file in the vault directory.
pub const KEYS_FILE_NAME: &str = "api-keys.json";

/// Secret bytes of a key.
const SECRET_BYTES: usize = 20;

/// What a key can be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyUse {
    /// Everything, signed uploads and downloads included.
    Signing,
    /// Calls with user name and password, and the page; its secret is kept as a hash.
    LogIn,
}

/// A key without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRow {
    /// Its public part.
    pub key: String,
    /// What its owner calls it.
    pub name: String,
    /// What it can be used for.
    pub usage: KeyUse,
    /// When it was made, RFC 3339.
    pub created_at: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Entry {
    #[serde(flatten)]
    row: KeyRow,
    /// Of a signing key.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
    /// blake3 of the secret of a log-in key, which is too long to be guessed.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret_blake3: Option<String>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Document {
    format: u32,
    keys: Vec<Entry>,
}

/// The keys of one vault; read anew when the file changes.
#[derive(Debug)]
pub struct Keys {
    path: PathBuf,
    read: Mutex<Option<(Stamp, Vec<Entry>)>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp(rustix::fs::Timespec, u64);

impl Keys {
    /// The keys in a vault directory.
    pub fn of(vault_dir: &Path) -> Self {
        Self {
            path: vault_dir.join(KEYS_FILE_NAME),
            read: Mutex::new(None),
        }
    }

    /// Makes a key; returns it and its secret, which is shown this once.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn create(&self, name: &str, usage: KeyUse, now: String) -> io::Result<(KeyRow, String)> {
        let mut entries = self.entries()?;
        let row = KeyRow {
            key: draw_key()?,
            name: name.to_owned(),
            usage,
            created_at: now,
        };
        let secret = draw_secret()?;
        let (kept, hashed) = match usage {
            KeyUse::Signing => (Some(secret.clone()), None),
            KeyUse::LogIn => (None, Some(hash(&secret))),
        };
        entries.push(Entry {
            row: row.clone(),
            secret: kept,
            secret_blake3: hashed,
        });
        self.write(entries)?;
        Ok((row, secret))
    }

    /// All keys, oldest first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn list(&self) -> io::Result<Vec<KeyRow>> {
        Ok(self.entries()?.into_iter().map(|entry| entry.row).collect())
    }

    /// Takes a key away, by its public part or its name. False: there is none.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn revoke(&self, key: &str) -> io::Result<bool> {
        let mut entries = self.entries()?;
        let before = entries.len();
        entries.retain(|entry| entry.row.key != key && entry.row.name != key);
        let is_gone = entries.len() < before;
        if is_gone {
            self.write(entries)?;
        }
        Ok(is_gone)
    }

    /// True for a key and its secret.
    pub(super) fn is_secret_of(&self, key: &str, secret: &str) -> bool {
        let entries = self.entries().unwrap_or_default();
        let Some(entry) = entries.iter().find(|entry| entry.row.key == key) else {
            // As long as for a key that is there.
            let _ = hash(secret);
            return false;
        };
        match (&entry.secret, &entry.secret_blake3) {
            (Some(known), _) => hash(known).as_bytes().ct_eq(hash(secret).as_bytes()).into(),
            (None, Some(known)) => known.as_bytes().ct_eq(hash(secret).as_bytes()).into(),
            (None, None) => false,
        }
    }

    /// The secret of a key that may sign.
    pub(super) fn signing_secret(&self, key: &str) -> Option<String> {
        let entries = self.entries().unwrap_or_default();
        let entry = entries.into_iter().find(|entry| entry.row.key == key)?;
        entry.secret
    }

    /// True while the key was not revoked.
    pub(super) fn has(&self, key: &str) -> bool {
        let entries = self.entries().unwrap_or_default();
        entries.iter().any(|entry| entry.row.key == key)
    }

    fn entries(&self) -> io::Result<Vec<Entry>> {
        let stamp = match rustix::fs::stat(&self.path) {
            Ok(stat) => {
                let changed = rustix::fs::Timespec {
                    tv_sec: stat.st_ctime,
                    tv_nsec: stat.st_ctime_nsec as _,
                };
                Stamp(changed, stat.st_ino)
            }
            Err(rustix::io::Errno::NOENT) => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        };
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((seen, entries)) = &*read
            && *seen == stamp
        {
            return Ok(entries.clone());
        }
        let text = fs::read(&self.path)?;
        let document: Document = serde_json::from_slice(&text).map_err(|error| {
            let path = self.path.display();
            io::Error::other(format!(
                "{path}: {error}; mend it, or remove it and make new keys"
            ))
        })?;
        *read = Some((stamp, document.keys.clone()));
        Ok(document.keys)
    }

    fn write(&self, keys: Vec<Entry>) -> io::Result<()> {
        let document = Document { format: 1, keys };
        let text = serde_json::to_vec_pretty(&document).map_err(io::Error::other)?;
        let new = self.path.with_extension("json.new");
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&new)?;
        file.write_all(&text)?;
        file.sync_all()?;
        fs::rename(&new, &self.path)?;
        *self.read.lock().unwrap_or_else(PoisonError::into_inner) = None;
        match self.path.parent() {
            Some(directory) => fs::File::open(directory)?.sync_all(),
            None => Ok(()),
        }
    }
}

/// 15 digits, as the SDKs' own: they go into URLs without being escaped.
fn draw_key() -> io::Result<String> {
    let number = u64::from_le_bytes(random()?);
    Ok(format!("{:015}", number % 1_000_000_000_000_000))
}

/// Letters, digits, `-` and `_`.
fn draw_secret() -> io::Result<String> {
    Ok(BASE64_URL_SAFE_NO_PAD.encode(random::<SECRET_BYTES>()?))
}

/// Random bytes from the system: secrets are not for a test's clock to choose.
pub(super) fn random<const BYTES: usize>() -> io::Result<[u8; BYTES]> {
    let mut bytes = [0; BYTES];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(bytes)
}

fn hash(secret: &str) -> String {
    blake3::hash(secret.as_bytes()).to_hex().to_string()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_key_opens_with_its_secret_until_it_is_revoked() {
        let directory = tempfile::tempdir().unwrap();
        let keys = Keys::of(directory.path());
        assert_eq!(keys.list().unwrap(), []);
        let (row, secret) = keys.create("ci", KeyUse::Signing, "t".into()).unwrap();
        let other = Keys::of(directory.path());
        assert!(other.is_secret_of(&row.key, &secret));
        assert!(!other.is_secret_of(&row.key, "wrong") && !other.is_secret_of("1", &secret));
        assert_eq!(other.signing_secret(&row.key).unwrap(), secret);
        let mode = fs::metadata(&keys.path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(other.revoke("ci").unwrap() && !other.revoke("ci").unwrap());
        assert!(!keys.is_secret_of(&row.key, &secret) && !keys.has(&row.key));
    }

    #[test]
    fn the_secret_of_a_log_in_key_is_nowhere() {
        let directory = tempfile::tempdir().unwrap();
        let keys = Keys::of(directory.path());
        let (row, secret) = keys.create("page", KeyUse::LogIn, "t".into()).unwrap();
        assert!(keys.is_secret_of(&row.key, &secret));
        assert_eq!(keys.signing_secret(&row.key), None);
        let text = fs::read_to_string(&keys.path).unwrap();
        assert!(!text.contains(&secret));
    }

    #[test]
    fn a_damaged_file_is_named_and_lets_nobody_in() {
        let directory = tempfile::tempdir().unwrap();
        let keys = Keys::of(directory.path());
        fs::write(&keys.path, "{").unwrap();
        assert!(
            keys.list()
                .unwrap_err()
                .to_string()
                .contains(KEYS_FILE_NAME)
        );
        assert!(!keys.is_secret_of("1", ""));
    }
}
