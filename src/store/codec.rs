//! Plain bytes of a chunk to stored bytes and back.
//!
//! Knows zstd and blake3, not packs. The surprise: a long chunk is judged by its
//! first part. Where that does not shrink, the rest is not even tried: photos and
//! video cost no compression time.

use std::cell::RefCell;

use super::error::{Result, StoreError};
use super::pack;
use crate::catalog::{ChunkRecord, Codec};
use crate::model::ChunkHash;

const SAMPLE_BYTES: usize = 64 << 10;
/// Below this no frame gets smaller.
const COMPRESS_BYTES_MIN: usize = 64;
/// The sample must shrink by one part in this many.
const SAVING_PARTS: usize = 20;

/// The name of a chunk.
pub(super) fn hash(plain: &[u8]) -> ChunkHash {
    ChunkHash(*blake3::hash(plain).as_bytes())
}

/// Compresses chunks, one after the other, into one reused buffer.
pub(super) struct Encoder {
    compressor: zstd::bulk::Compressor<'static>,
    sampler: zstd::bulk::Compressor<'static>,
    stored: Vec<u8>,
}

impl Encoder {
    /// An encoder for that zstd level.
    pub(super) fn new(level: i32) -> Result<Self> {
        let failed = |error: std::io::Error| StoreError::Io(format!("zstd: {error}"));
        Ok(Self {
            compressor: zstd::bulk::Compressor::new(level).map_err(failed)?,
            sampler: zstd::bulk::Compressor::new(1).map_err(failed)?,
            stored: Vec::new(),
        })
    }

    /// The bytes to store: `plain` itself where compression does not pay.
    pub(super) fn encode<'a>(&'a mut self, plain: &'a [u8]) -> (Codec, &'a [u8]) {
        if plain.len() < COMPRESS_BYTES_MIN {
            return (Codec::Plain, plain);
        }
        if plain.len() > SAMPLE_BYTES * 2 {
            let sample = &plain[..SAMPLE_BYTES];
            let shrunk = compress(&mut self.sampler, sample, &mut self.stored);
            if shrunk.is_none_or(|bytes| bytes > SAMPLE_BYTES - SAMPLE_BYTES / SAVING_PARTS) {
                return (Codec::Plain, plain);
            }
        }
        match compress(&mut self.compressor, plain, &mut self.stored) {
            Some(bytes) if bytes < plain.len() => (Codec::Zstd, &self.stored),
            _ => (Codec::Plain, plain),
        }
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

/// The plain bytes, if `stored` are those of `chunk`: right length, right name.
/// Memory is bounded by what the record says, never by what the frame says.
pub(super) fn decode(chunk: &ChunkRecord, stored: Vec<u8>) -> Option<Vec<u8>> {
    thread_local! {
        static DECOMPRESSOR: RefCell<Option<zstd::bulk::Decompressor<'static>>> =
            const { RefCell::new(None) };
    }
    if !pack::is_sane(chunk) {
        return None;
    }
    let plain_bytes = chunk.plain_bytes as usize;
    let plain = match chunk.codec {
        Codec::Plain => stored,
        Codec::Zstd => DECOMPRESSOR.with_borrow_mut(|slot| {
            if slot.is_none() {
                *slot = zstd::bulk::Decompressor::new().ok();
            }
            let mut plain = Vec::with_capacity(plain_bytes);
            slot.as_mut()?
                .decompress_to_buffer(&stored, &mut plain)
                .ok()?;
            Some(plain)
        })?,
    };
    (plain.len() == plain_bytes && hash(&plain) == chunk.hash).then_some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::PackId;
    use crate::store::testing::{noise, text};

    fn record(plain: &[u8], codec: Codec, stored: &[u8]) -> ChunkRecord {
        ChunkRecord {
            hash: hash(plain),
            pack: PackId([0; 16]),
            offset: 80,
            stored_bytes: stored.len() as u32,
            plain_bytes: plain.len() as u32,
            codec,
        }
    }

    #[test]
    fn text_is_compressed_and_noise_is_kept_as_it_is() {
        let mut encoder = Encoder::new(1).unwrap();
        for bytes in [1, 63, 64, 1000, 200_000, 1 << 20] {
            let plain = noise(bytes, 1);
            let (codec, stored) = encoder.encode(&plain);
            assert_eq!((codec, stored), (Codec::Plain, &plain[..]));
            let chunk = record(&plain, codec, stored);
            assert_eq!(decode(&chunk, stored.to_vec()), Some(plain.clone()));
        }
        for bytes in [1000, 200_000, 1 << 20] {
            let plain = text(bytes, 1);
            let (codec, stored) = encoder.encode(&plain);
            assert_eq!(codec, Codec::Zstd);
            assert!(stored.len() < bytes * 3 / 4, "{} of {bytes}", stored.len());
            let chunk = record(&plain, codec, stored);
            assert_eq!(decode(&chunk, stored.to_vec()), Some(plain.clone()));
        }
    }

    #[test]
    fn a_frame_that_unpacks_to_more_than_was_promised_is_refused() {
        let bomb = vec![0; 64 << 20];
        let frame = zstd::bulk::compress(&bomb, 1).unwrap();
        let chunk = ChunkRecord {
            plain_bytes: 1000,
            hash: hash(&bomb),
            ..record(&bomb, Codec::Zstd, &frame)
        };
        assert_eq!(decode(&chunk, frame.clone()), None);
        let chunk = ChunkRecord {
            plain_bytes: bomb.len() as u32,
            ..chunk
        };
        assert_eq!(decode(&chunk, frame), None);
    }
}
