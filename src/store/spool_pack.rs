//! One pack file in the spool, and where the records in it lie.
//!
//! Who may append, and when it goes to the store, is `open_pack`'s.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering};

use super::pack::RECORD_HEADER_BYTES;
use crate::catalog::{ChunkRecord, Codec};
use crate::model::{ChunkHash, PackId};

/// A pack file in the spool.
#[derive(Debug)]
pub(super) struct SpoolPack {
    pub(super) id: PackId,
    pub(super) file: File,
    pub(super) written_bytes: AtomicU64,
    /// Appends so far, and those of them that are durable.
    pub(super) appends: AtomicU64,
    pub(super) appends_synced: AtomicU64,
}

impl SpoolPack {
    /// A file that ends with a whole record, or with the header.
    pub(super) fn new(id: PackId, file: File, written_bytes: u64) -> Self {
        Self {
            id,
            file,
            written_bytes: AtomicU64::new(written_bytes),
            appends: AtomicU64::new(1),
            appends_synced: AtomicU64::new(0),
        }
    }

    /// Reads exactly `buffer.len()` bytes.
    pub(super) fn read(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(buffer, offset)
    }

    /// Bytes of whole records.
    pub(super) fn written_bytes(&self) -> u64 {
        self.written_bytes.load(Ordering::Acquire)
    }

    /// Writes what ends a pack behind its records and makes the file durable.
    pub(super) fn end_with(&self, table: &[u8]) -> io::Result<()> {
        let end = self.written_bytes();
        self.file.write_all_at(table, end)?;
        self.file.set_len(end + table.len() as u64)?;
        self.file.sync_data()
    }
}

/// A chunk that is ready to be appended.
#[derive(Debug, Clone, Copy)]
pub(super) struct Encoded<'a> {
    pub(super) hash: ChunkHash,
    pub(super) plain_bytes: u32,
    pub(super) codec: Codec,
    pub(super) stored: &'a [u8],
}

/// The rows of chunks that stand one behind the other from `start` on.
pub(super) fn rows_from(pack: PackId, start: u64, chunks: &[Encoded<'_>]) -> Vec<ChunkRecord> {
    let mut end = start;
    let rows = chunks.iter().map(|chunk| {
        let row = ChunkRecord {
            hash: chunk.hash,
            pack,
            offset: end + RECORD_HEADER_BYTES,
            stored_bytes: chunk.stored.len() as u32,
            plain_bytes: chunk.plain_bytes,
            codec: chunk.codec,
        };
        end = end_of(&row);
        row
    });
    rows.collect()
}

/// The first byte behind a chunk.
pub(super) fn end_of(chunk: &ChunkRecord) -> u64 {
    chunk.offset.saturating_add(chunk.stored_bytes.into())
}
