//! Plain bytes of a chunk to its name and its stored bytes, and back.
//!
//! Knows zstd, blake3 and the vault's key, not packs. The surprise: a long chunk is
//! judged by its first part. Where that does not shrink, the rest is not even tried:
//! photos and video cost no compression time.

use std::cell::RefCell;
use std::io::Read;
use std::sync::Arc;

use super::chunker::{Chunker, Tail};
use super::cipher::{Cipher, Purpose};
use super::error::{Result, StoreError};
use super::pack;
use crate::catalog::{ChunkRecord, Codec};
use crate::model::ChunkHash;

const SAMPLE_BYTES: usize = 64 << 10;
/// Below this no frame gets smaller.
const COMPRESS_BYTES_MIN: usize = 64;
/// The sample must shrink by one part in this many.
const SAVING_PARTS: usize = 20;

/// How the chunks of one store are cut, named and stored: with a key or without. A chunk
/// of the other kind is damage, whoever put it there.
#[derive(Debug, Clone)]
pub(super) struct Coding(Option<Arc<Cipher>>);

impl Coding {
    /// `None`: the vault is not encrypted.
    pub(super) fn new(cipher: Option<Arc<Cipher>>) -> Self {
        Self(cipher)
    }

    /// What else is sealed with. `None`: the vault is not encrypted.
    pub(super) fn cipher(&self) -> Option<&Cipher> {
        self.0.as_deref()
    }

    /// The name of a chunk.
    pub(super) fn name(&self, plain: &[u8]) -> ChunkHash {
        match &self.0 {
            None => hash(plain),
            Some(cipher) => cipher.chunk_name(plain),
        }
    }

    /// Cuts `head` and what `reader` still gives; see [`Chunker::new`].
    pub(super) fn chunker<'a>(
        &self,
        head: &[u8],
        reader: &'a mut (dyn Read + Send),
        buffer: Vec<u8>,
        tail: Tail,
    ) -> Chunker<'a> {
        let seed = self.0.as_ref().map_or(0, |cipher| cipher.border_seed());
        Chunker::new(head, reader, buffer, tail, seed)
    }

    /// An encoder for that zstd level.
    pub(super) fn encoder(&self, zstd_level: i32) -> Result<Encoder> {
        Encoder::new(zstd_level, self.0.clone())
    }

    /// The plain bytes, if `stored` are those of `chunk`: sealed by this vault or not at
    /// all, right length, right name. Memory is bounded by what the record says, never by
    /// what the bytes say.
    pub(super) fn decode(&self, chunk: &ChunkRecord, stored: Vec<u8>) -> Option<Vec<u8>> {
        if !pack::is_sane(chunk) {
            return None;
        }
        let bytes = match (&self.0, chunk.codec) {
            (None, Codec::Plain | Codec::Zstd) => stored,
            (Some(cipher), Codec::Sealed | Codec::SealedZstd) => {
                let context = context(&chunk.hash, chunk.plain_bytes, chunk.codec);
                cipher.open(Purpose::Chunk, &context, stored)?
            }
            (None, _) | (Some(_), _) => return None,
        };
        let plain = match chunk.codec {
            Codec::Plain | Codec::Sealed => bytes,
            Codec::Zstd | Codec::SealedZstd => decompress(&bytes, chunk.plain_bytes as usize)?,
        };
        let is_it = plain.len() == chunk.plain_bytes as usize && self.name(&plain) == chunk.hash;
        is_it.then_some(plain)
    }
}

/// The blake3 of plain bytes.
pub(super) fn hash(plain: &[u8]) -> ChunkHash {
    ChunkHash(*blake3::hash(plain).as_bytes())
}

/// What sealed bytes are bound to: one chunk cannot stand in for another.
fn context(name: &ChunkHash, plain_bytes: u32, codec: Codec) -> Vec<u8> {
    [&name.0[..], &plain_bytes.to_le_bytes(), &[codec.number()]].concat()
}

/// Compresses chunks, one after the other, into one reused buffer.
pub(super) struct Encoder {
    compressor: zstd::bulk::Compressor<'static>,
    sampler: zstd::bulk::Compressor<'static>,
    stored: Vec<u8>,
    cipher: Option<Arc<Cipher>>,
}

impl Encoder {
    fn new(level: i32, cipher: Option<Arc<Cipher>>) -> Result<Self> {
        let failed = |error: std::io::Error| StoreError::Io(format!("zstd: {error}"));
        Ok(Self {
            compressor: zstd::bulk::Compressor::new(level).map_err(failed)?,
            sampler: zstd::bulk::Compressor::new(1).map_err(failed)?,
            stored: Vec::new(),
            cipher,
        })
    }

    /// The bytes to store of the chunk with that name: without a key `plain` itself where
    /// compression does not pay.
    pub(super) fn encode<'a>(
        &'a mut self,
        name: &ChunkHash,
        plain: &'a [u8],
    ) -> Result<(Codec, &'a [u8])> {
        let is_smaller = self.compress(plain);
        let Some(cipher) = &self.cipher else {
            return Ok(match is_smaller {
                true => (Codec::Zstd, &self.stored),
                false => (Codec::Plain, plain),
            });
        };
        let codec = match is_smaller {
            true => Codec::SealedZstd,
            false => {
                self.stored.clear();
                self.stored.extend_from_slice(plain);
                Codec::Sealed
            }
        };
        let context = context(name, plain.len() as u32, codec);
        cipher.seal_in_place(Purpose::Chunk, &context, &mut self.stored)?;
        Ok((codec, &self.stored))
    }

    /// True when `stored` holds fewer bytes than `plain` now, which stand for it.
    fn compress(&mut self, plain: &[u8]) -> bool {
        if plain.len() < COMPRESS_BYTES_MIN {
            return false;
        }
        if plain.len() > SAMPLE_BYTES * 2 {
            let sample = &plain[..SAMPLE_BYTES];
            let shrunk = compress(&mut self.sampler, sample, &mut self.stored);
            if shrunk.is_none_or(|bytes| bytes > SAMPLE_BYTES - SAMPLE_BYTES / SAVING_PARTS) {
                return false;
            }
        }
        let shrunk = compress(&mut self.compressor, plain, &mut self.stored);
        shrunk.is_some_and(|bytes| bytes < plain.len())
    }
}

fn compress(
    compressor: &mut zstd::bulk::Compressor<'static>,
    plain: &[u8],
    stored: &mut Vec<u8>,
) -> Option<usize> {
    stored.clear();
    stored.reserve(zstd::zstd_safe::compress_bound(plain.len()));
    compressor.compress_to_buffer(plain, stored).ok()
}

fn decompress(frame: &[u8], plain_bytes: usize) -> Option<Vec<u8>> {
    thread_local! {
        static DECOMPRESSOR: RefCell<Option<zstd::bulk::Decompressor<'static>>> =
            const { RefCell::new(None) };
    }
    DECOMPRESSOR.with_borrow_mut(|slot| {
        if slot.is_none() {
            *slot = zstd::bulk::Decompressor::new().ok();
        }
        let mut plain = Vec::with_capacity(plain_bytes);
        slot.as_mut()?
            .decompress_to_buffer(frame, &mut plain)
            .ok()?;
        Some(plain)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::PackId;
    use crate::store::cipher::SEAL_BYTES;
    use crate::store::testing::{noise, text, vault_key};

    fn record(coding: &Coding, plain: &[u8], codec: Codec, stored: &[u8]) -> ChunkRecord {
        ChunkRecord {
            hash: coding.name(plain),
            pack: PackId([0; 16]),
            offset: 80,
            stored_bytes: stored.len() as u32,
            plain_bytes: plain.len() as u32,
            codec,
        }
    }

    fn encoded(coding: &Coding, plain: &[u8]) -> (ChunkRecord, Vec<u8>) {
        let mut encoder = coding.encoder(1).unwrap();
        let (codec, stored) = encoder.encode(&coding.name(plain), plain).unwrap();
        (record(coding, plain, codec, stored), stored.to_vec())
    }

    fn sealing() -> Coding {
        Coding::new(Some(vault_key().cipher().clone()))
    }

    #[test]
    fn text_is_compressed_and_noise_is_kept_as_it_is() {
        let coding = Coding::new(None);
        for bytes in [1, 63, 64, 1000, 200_000, 1 << 20] {
            let plain = noise(bytes, 1);
            let (chunk, stored) = encoded(&coding, &plain);
            assert_eq!((chunk.codec, &stored), (Codec::Plain, &plain));
            assert_eq!(coding.decode(&chunk, stored), Some(plain));
        }
        for bytes in [1000, 200_000, 1 << 20] {
            let plain = text(bytes, 1);
            let (chunk, stored) = encoded(&coding, &plain);
            assert_eq!(chunk.codec, Codec::Zstd);
            assert!(stored.len() < bytes * 3 / 4, "{} of {bytes}", stored.len());
            assert_eq!(coding.decode(&chunk, stored), Some(plain));
        }
    }

    #[test]
    fn with_a_key_the_same_is_sealed() {
        let coding = sealing();
        for bytes in [1, 64, 1000, 1 << 20] {
            let plain = noise(bytes, 1);
            let (chunk, stored) = encoded(&coding, &plain);
            assert_eq!(chunk.codec, Codec::Sealed);
            assert_eq!(stored.len(), bytes + SEAL_BYTES);
            assert_eq!(coding.decode(&chunk, stored), Some(plain));
        }
        let plain = text(200_000, 1);
        let (chunk, stored) = encoded(&coding, &plain);
        assert_eq!(chunk.codec, Codec::SealedZstd);
        assert!(stored.len() < 150_000);
        assert_eq!(coding.decode(&chunk, stored), Some(plain));
    }

    #[test]
    fn a_chunk_of_the_other_kind_and_one_under_anothers_name_are_refused() {
        let (open, sealing) = (Coding::new(None), sealing());
        let plain = noise(1000, 1);
        let (sealed, stored) = encoded(&sealing, &plain);
        assert_eq!(open.decode(&sealed, stored.clone()), None);
        // Plain bytes, under the name that the vault knows them by.
        let forged = record(&sealing, &plain, Codec::Plain, &plain);
        assert_eq!(sealing.decode(&forged, plain.clone()), None);
        let swapped = record(&sealing, &noise(1000, 2), Codec::Sealed, &stored);
        assert_eq!(sealing.decode(&swapped, stored.clone()), None);
        let relabelled = ChunkRecord {
            codec: Codec::SealedZstd,
            ..sealed
        };
        assert_eq!(sealing.decode(&relabelled, stored), None);
    }

    #[test]
    fn a_frame_that_unpacks_to_more_than_was_promised_is_refused() {
        let coding = Coding::new(None);
        let bomb = vec![0; 64 << 20];
        let frame = zstd::bulk::compress(&bomb, 1).unwrap();
        let chunk = ChunkRecord {
            plain_bytes: 1000,
            ..record(&coding, &bomb, Codec::Zstd, &frame)
        };
        assert_eq!(coding.decode(&chunk, frame.clone()), None);
        let chunk = ChunkRecord {
            plain_bytes: bomb.len() as u32,
            ..chunk
        };
        assert_eq!(coding.decode(&chunk, frame), None);
    }
}
