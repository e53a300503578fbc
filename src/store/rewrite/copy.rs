//! The pack that a rewrite makes of the chunks that stay.

use std::sync::Arc;

use super::OpenDead;
use crate::catalog::ChunkRecord;
use crate::model::PackId;
use crate::store::error::{Result, StoreError};
use crate::store::pack::{self, HEADER_BYTES, RECORD_HEADER_BYTES};
use crate::store::{Shared, fetch};

/// A pack in the making.
#[derive(Debug, Default)]
pub(super) struct Copy {
    bytes: Vec<u8>,
    /// Where its chunks are in it.
    pub(super) chunks: Vec<ChunkRecord>,
}

impl Copy {
    /// Adds a chunk that stays.
    pub(super) fn add(
        &mut self,
        shared: &Shared,
        chunk: &ChunkRecord,
        open_dead: OpenDead,
    ) -> Result<()> {
        let mut stored = fetch::stored_bytes(shared, chunk)?;
        if shared.coding.decode(chunk, stored.clone()).is_none() {
            // Perhaps read through a descriptor of a damaged pack that was put back since.
            shared.sources.forget(chunk.pack);
            stored = fetch::stored_bytes(shared, chunk)?;
        }
        if shared.coding.decode(chunk, stored.clone()).is_some() {
            self.push(chunk, &stored);
            return Ok(());
        }
        if let Some((row, stored)) = from_caches(shared, chunk)? {
            log::warn!(
                "chunk {} in pack {} is damaged; it is made whole out of a cache",
                chunk.hash,
                chunk.pack
            );
            self.push(&row, &stored);
            return Ok(());
        }
        if open_dead == OpenDead::Spare {
            // Space can wait: a copy of the pack, put back under its name, heals it.
            return Err(StoreError::ChunkDamaged {
                chunk: chunk.hash,
                pack: chunk.pack,
            });
        }
        // Its live versions are no worse off than before, and the dead bytes of
        // its pack must go all the same.
        log::error!(
            "chunk {} in pack {} is damaged; it is copied as it is",
            chunk.hash,
            chunk.pack
        );
        shared.presence.chunk_is_damaged(chunk.hash);
        self.push(chunk, &stored);
        Ok(())
    }

    /// Adds a record; only its place in the pack is not what `chunk` says.
    fn push(&mut self, chunk: &ChunkRecord, stored: &[u8]) {
        self.bytes
            .resize(self.bytes.len().max(HEADER_BYTES as usize), 0);
        let row = ChunkRecord {
            offset: self.bytes.len() as u64 + RECORD_HEADER_BYTES,
            ..*chunk
        };
        self.bytes.extend_from_slice(&pack::record_header(&row));
        self.bytes.extend_from_slice(stored);
        self.chunks.push(row);
    }

    /// The whole pack, under its name.
    pub(super) fn finish(&mut self, id: PackId) -> Vec<u8> {
        for chunk in &mut self.chunks {
            chunk.pack = id;
        }
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes[..HEADER_BYTES as usize].copy_from_slice(&pack::header(id));
        let table_at = bytes.len() as u64;
        bytes.extend_from_slice(&pack::table_and_trailer(&self.chunks, table_at));
        bytes
    }
}

/// A chunk as it would be stored anew, where readers left its bytes in memory or on disk.
fn from_caches(shared: &Shared, chunk: &ChunkRecord) -> Result<Option<(ChunkRecord, Vec<u8>)>> {
    let in_memory = shared.cache.get(&chunk.hash);
    let on_disk = || fetch::from_disk_cache(shared, chunk).map(Arc::new);
    let Some(plain) = in_memory.or_else(on_disk) else {
        return Ok(None);
    };
    let mut encoder = shared.coding.encoder(shared.config.zstd_level)?;
    let (codec, stored) = encoder.encode(&chunk.hash, &plain)?;
    let row = ChunkRecord {
        codec,
        stored_bytes: stored.len() as u32,
        ..*chunk
    };
    Ok(Some((row, stored.to_vec())))
}
