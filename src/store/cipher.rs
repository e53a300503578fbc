//! Seals and opens bytes under the keys of one vault: the one place that names the AEAD.
//!
//! XChaCha20-Poly1305 with random nonces, a key of its own for each purpose, all derived
//! from the vault's master key. Nothing here knows packs or where a key comes from. The
//! surprise: the nonce stands at the end, so that sealing and opening move no bytes.

use std::fmt;

use chacha20poly1305::aead::AeadInOut;
use chacha20poly1305::{KeyInit, Tag, XChaCha20Poly1305, XNonce};
use zeroize::{Zeroize, Zeroizing};

use super::error::{Result, StoreError};
use crate::model::ChunkHash;

const TAG_BYTES: usize = 16;
const NONCE_BYTES: usize = 24;
/// What sealing adds to the length.
pub const SEAL_BYTES: usize = TAG_BYTES + NONCE_BYTES;
/// Bytes of a key.
pub(super) const KEY_BYTES: usize = 32;

// Part of the format: other words give other keys.
const CHUNK_NAMES: &str = "keepfs 2026 v1 names of chunks";
const CHUNK_BORDERS: &str = "keepfs 2026 v1 borders of chunks";
const KEY_ID: &str = "keepfs 2026 v1 public id of a master key";

/// What is sealed; bytes sealed for one purpose open for no other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// The stored bytes of a chunk.
    Chunk,
    /// What the catalog sends to the store.
    Journal,
}

impl Purpose {
    const ALL: [Purpose; 2] = [Purpose::Chunk, Purpose::Journal];

    fn derivation(self) -> &'static str {
        match self {
            Purpose::Chunk => "keepfs 2026 v1 contents of chunks",
            Purpose::Journal => "keepfs 2026 v1 journal of the catalog",
        }
    }
}

/// Bytes that are overwritten when they are dropped.
pub(super) type KeyBytes = Zeroizing<[u8; KEY_BYTES]>;

/// What all keys of a vault are derived from.
#[derive(Clone)]
pub struct MasterKey(KeyBytes);

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey")
    }
}

impl MasterKey {
    /// A new one.
    pub(super) fn random() -> Result<Self> {
        random_key().map(Self)
    }

    pub(super) fn from_bytes(bytes: KeyBytes) -> Self {
        Self(bytes)
    }

    pub(super) fn bytes(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }

    /// What tells it from others in public: it says nothing of the key.
    pub(super) fn id(&self) -> [u8; 16] {
        let mut id = [0; 16];
        id.copy_from_slice(&derive(KEY_ID, &*self.0)[..16]);
        id
    }
}

/// A key that nobody has.
pub(super) fn random_key() -> Result<KeyBytes> {
    let mut key = KeyBytes::default();
    fill_randomly(&mut *key)?;
    Ok(key)
}

/// Fills `bytes` from the system's source of randomness.
pub(super) fn fill_randomly(bytes: &mut [u8]) -> Result<()> {
    getrandom::fill(bytes)
        .map_err(|error| StoreError::Io(format!("the system gives no random bytes: {error}")))
}

/// A key for one use of `secret`, which is random itself.
pub(super) fn derive(context: &str, secret: &[u8]) -> KeyBytes {
    Zeroizing::new(blake3::derive_key(context, secret))
}

/// The keys of one vault.
pub struct Cipher {
    chunk_names: KeyBytes,
    border_seed: u64,
    sealers: [Sealer; Purpose::ALL.len()],
}

impl fmt::Debug for Cipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cipher")
    }
}

impl Drop for Cipher {
    fn drop(&mut self) {
        // The others overwrite themselves.
        self.border_seed.zeroize();
    }
}

impl Cipher {
    /// The keys that follow from `master`.
    pub(super) fn new(master: &MasterKey) -> Self {
        let key = |context| derive(context, master.bytes());
        let borders = key(CHUNK_BORDERS);
        let mut seed = [0; 8];
        seed.copy_from_slice(&borders[..8]);
        Self {
            chunk_names: key(CHUNK_NAMES),
            border_seed: u64::from_le_bytes(seed),
            sealers: Purpose::ALL.map(|purpose| Sealer::new(&key(purpose.derivation()))),
        }
    }

    /// The name of a chunk: who has not the key cannot tell whether it is that of some
    /// content he knows.
    pub(super) fn chunk_name(&self, plain: &[u8]) -> ChunkHash {
        ChunkHash(*blake3::keyed_hash(&self.chunk_names, plain).as_bytes())
    }

    /// What chunk borders depend on beside the content.
    pub(super) fn border_seed(&self) -> u64 {
        self.border_seed
    }

    fn sealer(&self, purpose: Purpose) -> &Sealer {
        match purpose {
            Purpose::Chunk => &self.sealers[0],
            Purpose::Journal => &self.sealers[1],
        }
    }

    /// Seals `plain`. `context` is not in the result, and the same is needed to open it:
    /// what the bytes are, and where they belong.
    ///
    /// # Errors
    /// When the system has no random bytes.
    pub fn seal(&self, purpose: Purpose, context: &[u8], plain: &[u8]) -> Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(plain.len() + SEAL_BYTES);
        bytes.extend_from_slice(plain);
        self.seal_in_place(purpose, context, &mut bytes)?;
        Ok(bytes)
    }

    /// Makes plain `bytes` sealed ones.
    ///
    /// # Errors
    /// When the system has no random bytes; then `bytes` must not be stored.
    pub fn seal_in_place(
        &self,
        purpose: Purpose,
        context: &[u8],
        bytes: &mut Vec<u8>,
    ) -> Result<()> {
        self.sealer(purpose).seal(context, bytes)
    }

    /// The plain bytes. `None`: they were not sealed with this key for this purpose and
    /// context, or changed since.
    pub fn open(&self, purpose: Purpose, context: &[u8], sealed: Vec<u8>) -> Option<Vec<u8>> {
        self.sealer(purpose).open(context, sealed)
    }
}

/// Seals under one key.
pub(super) struct Sealer(XChaCha20Poly1305);

impl Sealer {
    pub(super) fn new(key: &KeyBytes) -> Self {
        Self(XChaCha20Poly1305::new((&**key).into()))
    }

    pub(super) fn seal(&self, context: &[u8], bytes: &mut Vec<u8>) -> Result<()> {
        let mut nonce = [0; NONCE_BYTES];
        fill_randomly(&mut nonce)?;
        bytes.reserve(SEAL_BYTES);
        let tag = self
            .0
            .encrypt_inout_detached(&XNonce::from(nonce), context, bytes.as_mut_slice().into())
            .map_err(|_| StoreError::Io("sealing: too many bytes at once".into()))?;
        bytes.extend_from_slice(&tag);
        bytes.extend_from_slice(&nonce);
        Ok(())
    }

    pub(super) fn open(&self, context: &[u8], mut sealed: Vec<u8>) -> Option<Vec<u8>> {
        let nonce_at = sealed.len().checked_sub(NONCE_BYTES)?;
        let tag_at = nonce_at.checked_sub(TAG_BYTES)?;
        let nonce: [u8; NONCE_BYTES] = sealed[nonce_at..].try_into().ok()?;
        let tag: [u8; TAG_BYTES] = sealed[tag_at..nonce_at].try_into().ok()?;
        sealed.truncate(tag_at);
        let opened = self.0.decrypt_inout_detached(
            &XNonce::from(nonce),
            context,
            sealed.as_mut_slice().into(),
            &Tag::from(tag),
        );
        opened.ok().map(|()| sealed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cipher(byte: u8) -> Cipher {
        Cipher::new(&MasterKey(Zeroizing::new([byte; KEY_BYTES])))
    }

    #[test]
    fn what_is_sealed_opens_with_the_same_key_purpose_and_context_only() {
        let plain = b"the secret plan".to_vec();
        let sealed = cipher(1).seal(Purpose::Chunk, b"here", &plain).unwrap();
        assert_eq!(sealed.len(), plain.len() + SEAL_BYTES);
        let open =
            |by: u8, purpose, context: &[u8]| cipher(by).open(purpose, context, sealed.clone());
        assert_eq!(open(1, Purpose::Chunk, b"here"), Some(plain));
        assert_eq!(open(2, Purpose::Chunk, b"here"), None);
        assert_eq!(open(1, Purpose::Journal, b"here"), None);
        assert_eq!(open(1, Purpose::Chunk, b"there"), None);
    }

    #[test]
    fn any_flipped_bit_and_any_cut_is_noticed() {
        let sealed = cipher(1).seal(Purpose::Journal, b"", b"plain").unwrap();
        for bit in 0..sealed.len() * 8 {
            let mut changed = sealed.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(
                cipher(1).open(Purpose::Journal, b"", changed),
                None,
                "bit {bit}"
            );
        }
        for kept in 0..sealed.len() {
            let cut = sealed[..kept].to_vec();
            assert_eq!(
                cipher(1).open(Purpose::Journal, b"", cut),
                None,
                "{kept} bytes"
            );
        }
    }

    #[test]
    fn equal_bytes_are_sealed_differently_each_time() {
        let cipher = cipher(1);
        let seal = || cipher.seal(Purpose::Chunk, b"", &[0; 100]).unwrap();
        assert_ne!(seal(), seal());
    }

    #[test]
    fn names_and_borders_depend_on_the_key() {
        let (one, other) = (cipher(1), cipher(2));
        assert_eq!(one.chunk_name(b"x"), cipher(1).chunk_name(b"x"));
        assert_ne!(one.chunk_name(b"x"), other.chunk_name(b"x"));
        assert_ne!(one.chunk_name(b"x").0, *blake3::hash(b"x").as_bytes());
        assert_ne!(one.border_seed(), other.border_seed());
    }

    #[test]
    fn the_keys_of_a_master_key_are_the_same_in_every_version_of_keepfs() {
        // Sealed bytes of a released version must open for ever.
        let cipher = cipher(7);
        let mut hasher = blake3::Hasher::new();
        hasher.update(&cipher.chunk_name(b"x").0);
        hasher.update(&cipher.border_seed().to_le_bytes());
        for purpose in Purpose::ALL {
            hasher.update(&*derive(purpose.derivation(), &[7; KEY_BYTES]));
        }
        assert_eq!(hasher.finalize().to_hex()[..16], *"1e581b6d64510908");
    }
}
