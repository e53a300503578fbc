//! `key.json`: the vault's master key, wrapped so that only a secret opens it.
//!
//! Only bytes and keys here; where copies of it lie is `key_object`. The surprise: a wrong
//! secret and a document that somebody changed on purpose cannot be told apart. The checksum
//! only finds bytes that rotted.

use std::fmt;
use std::sync::Arc;

use argon2::{Algorithm, Argon2, Params, Version};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use super::cipher::{Cipher, KEY_BYTES, KeyBytes, MasterKey, Sealer, derive, fill_randomly};
use super::error::{Result, StoreError};
use super::secret::{Secret, recovery_text};

/// Its name in a vault and in a store.
pub const KEY_NAME: &str = "key.json";
const FORMAT: u32 = 1;
const SALT_BYTES: usize = 16;
const FROM_KEY_FILE: &str = "keepfs 2026 v1 wrapping by a key file";
/// Of RFC 9106, for a machine with little memory to spare.
const ARGON2: Argon2Costs = Argon2Costs {
    memory_kib: 64 << 10,
    passes: 3,
    lanes: 4,
};
/// A document out of a bucket may ask for no more.
const ARGON2_MAX: Argon2Costs = Argon2Costs {
    memory_kib: 1 << 20,
    passes: 64,
    lanes: 64,
};

/// What it costs to try a passphrase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Argon2Costs {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

/// What the wrapping key is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Wrapping {
    Passphrase {
        kdf: String,
        #[serde(flatten)]
        costs: Argon2Costs,
        salt: String,
    },
    KeyFile,
}

/// A wrapped master key. It is no secret itself, but a weak passphrase can be guessed
/// from it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyDocument {
    format: u32,
    /// Tells master keys apart.
    key_id: String,
    by: Wrapping,
    /// The master key, sealed.
    wrapped: String,
    /// Of all the rest.
    blake3: String,
}

/// The key of an encrypted vault, opened.
#[derive(Clone)]
pub struct VaultKey {
    document: KeyDocument,
    master: MasterKey,
    cipher: Arc<Cipher>,
}

impl fmt::Debug for VaultKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VaultKey({})", self.document.key_id)
    }
}

impl VaultKey {
    /// A new key, to be opened by `secret`.
    ///
    /// # Errors
    /// When the system has no random bytes, or no memory for argon2.
    pub fn new(secret: &Secret) -> Result<Self> {
        Self::wrap(MasterKey::random()?, secret)
    }

    /// The same key, to be opened by another secret from now on.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn wrapped_by(&self, secret: &Secret) -> Result<Self> {
        Self::wrap(self.master.clone(), secret)
    }

    fn wrap(master: MasterKey, secret: &Secret) -> Result<Self> {
        let by = match secret {
            Secret::Passphrase(_) => {
                let mut salt = [0; SALT_BYTES];
                fill_randomly(&mut salt)?;
                Wrapping::Passphrase {
                    kdf: "argon2id".into(),
                    costs: ARGON2,
                    salt: to_hex(&salt),
                }
            }
            Secret::KeyFile(_) => Wrapping::KeyFile,
            Secret::Recovery(_) => {
                return Err(StoreError::BadSecret {
                    from: "the recovery key".into(),
                    problem: "opens a vault, but cannot be what it is opened with every day: give \
                              a key file or a passphrase"
                        .into(),
                });
            }
        };
        let mut document = KeyDocument {
            format: FORMAT,
            key_id: to_hex(&master.id()),
            by,
            wrapped: String::new(),
            blake3: String::new(),
        };
        let wrapping = document.wrapping_key(secret, KEY_NAME)?;
        let mut bytes = master.bytes().to_vec();
        // Sealed in place: no plain copy is left.
        Sealer::new(&wrapping).seal(&document.context(), &mut bytes)?;
        document.wrapped = to_hex(&bytes);
        document.blake3 = document.checksum();
        Ok(Self {
            cipher: Arc::new(Cipher::new(&master)),
            document,
            master,
        })
    }

    /// Its document.
    pub fn document(&self) -> &KeyDocument {
        &self.document
    }

    /// What it seals and opens with.
    pub fn cipher(&self) -> &Arc<Cipher> {
        &self.cipher
    }

    /// The recovery key: text for paper, which opens the vault without any secret.
    pub fn recovery_text(&self) -> Zeroizing<String> {
        recovery_text(&self.master)
    }
}

impl KeyDocument {
    /// Reads a document; `from` is named in errors.
    ///
    /// # Errors
    /// [`StoreError::KeyDamaged`], also for one of a newer format.
    pub fn parse(bytes: &[u8], from: &str) -> Result<Self> {
        #[derive(Deserialize)]
        struct Format {
            format: u32,
        }
        let damaged = |problem: &str| StoreError::KeyDamaged {
            place: from.into(),
            problem: problem.into(),
        };
        let rotten = || damaged("is not what keepfs wrote: put it back from the other copy");
        let Format { format } = serde_json::from_slice(bytes).map_err(|_| rotten())?;
        if format != FORMAT {
            return Err(damaged(&format!(
                "has format {format}, this keepfs knows {FORMAT}: update keepfs"
            )));
        }
        let document: Self = serde_json::from_slice(bytes).map_err(|_| rotten())?;
        if document.blake3 != document.checksum() {
            return Err(rotten());
        }
        Ok(document)
    }

    /// The bytes to write.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(self).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }

    /// True when a passphrase opens it; else a key file does.
    pub fn is_by_passphrase(&self) -> bool {
        matches!(self.by, Wrapping::Passphrase { .. })
    }

    /// What tells the wrapped key from others, in public.
    pub(super) fn key_id(&self) -> &str {
        &self.key_id
    }

    /// Opens the key; `from` names the document in errors.
    ///
    /// # Errors
    /// [`StoreError::WrongKey`].
    pub fn unlock(&self, secret: &Secret, from: &str) -> Result<VaultKey> {
        let wrong = || StoreError::WrongKey {
            place: from.into(),
            secret: secret.kind(),
        };
        let master = match secret {
            Secret::Recovery(master) => master.clone(),
            _ => {
                let wrapping = self.wrapping_key(secret, from)?;
                let wrapped = from_hex(&self.wrapped).ok_or_else(wrong)?;
                let opened = Sealer::new(&wrapping).open(&self.context(), wrapped);
                let opened = Zeroizing::new(opened.ok_or_else(wrong)?);
                let mut bytes = KeyBytes::default();
                if opened.len() != KEY_BYTES {
                    return Err(wrong());
                }
                bytes.copy_from_slice(&opened);
                MasterKey::from_bytes(bytes)
            }
        };
        if to_hex(&master.id()) != self.key_id {
            return Err(wrong());
        }
        Ok(VaultKey {
            document: self.clone(),
            cipher: Arc::new(Cipher::new(&master)),
            master,
        })
    }

    fn wrapping_key(&self, secret: &Secret, from: &str) -> Result<KeyBytes> {
        let other_kind = |wanted: &str| StoreError::BadSecret {
            from: from.into(),
            problem: format!("is opened by {wanted}, not by a {}", secret.kind()),
        };
        match (&self.by, secret) {
            (Wrapping::KeyFile, Secret::KeyFile(key)) => Ok(derive(FROM_KEY_FILE, &**key)),
            (Wrapping::Passphrase { kdf, costs, salt }, Secret::Passphrase(passphrase)) => {
                let salt = from_hex(salt).filter(|_| kdf == "argon2id");
                let params = costs.params().zip(salt);
                let (params, salt) = params.ok_or_else(|| StoreError::KeyDamaged {
                    place: from.into(),
                    problem: "asks for what no keepfs wrote: put it back from the other copy"
                        .into(),
                })?;
                stretch(passphrase, &salt, params)
            }
            (Wrapping::KeyFile, _) => Err(other_kind("a key file")),
            (Wrapping::Passphrase { .. }, _) => Err(other_kind("a passphrase")),
        }
    }

    /// What the wrapping is bound to.
    fn context(&self) -> Vec<u8> {
        serde_json::to_vec(&(self.format, &self.key_id, &self.by)).unwrap_or_default()
    }

    fn checksum(&self) -> String {
        let rest = Self {
            blake3: String::new(),
            ..self.clone()
        };
        let bytes = serde_json::to_vec(&rest).unwrap_or_default();
        blake3::hash(&bytes).to_hex().to_string()
    }
}

impl Argon2Costs {
    /// `None`: nobody can pay that.
    fn params(self) -> Option<Params> {
        let is_bearable = self.memory_kib <= ARGON2_MAX.memory_kib
            && self.passes <= ARGON2_MAX.passes
            && self.lanes <= ARGON2_MAX.lanes;
        let params = Params::new(self.memory_kib, self.passes, self.lanes, Some(KEY_BYTES));
        params.ok().filter(|_| is_bearable)
    }
}

fn stretch(passphrase: &str, salt: &[u8], params: Params) -> Result<KeyBytes> {
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let mut key = KeyBytes::default();
    argon2
        .hash_password_into(passphrase.as_bytes(), salt, &mut *key)
        .map_err(|error| StoreError::Io(format!("argon2: {error}")))?;
    Ok(key)
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text
        .chars()
        .map(|c| c.to_digit(16).map(|digit| digit as u8))
        .collect();
    let mut digits = digits.filter(|digits| digits.len().is_multiple_of(2))?;
    let bytes = digits
        .chunks(2)
        .map(|pair| pair[0] << 4 | pair[1])
        .collect();
    digits.zeroize();
    Some(bytes)
}
