//! The byte format of a pack: header, records, table, trailer.
//!
//! Only bytes here, no files; `docs/storage-format.md` is the same in words. The
//! surprise: every record repeats what the table says of it, so that a pack
//! which was never finished can be read from its front, record by record.

use super::cipher::SEAL_BYTES;
use crate::catalog::{ChunkRecord, Codec};
use crate::model::{ChunkHash, PackId};

/// The format that this program writes.
const FORMAT: u32 = 1;
const HEADER_MAGIC: [u8; 8] = *b"KEEPPACK";
const TRAILER_MAGIC: [u8; 8] = *b"KEEPTAIL";
const RECORD_MARK: [u8; 4] = *b"CHNK";

/// Bytes before the first record.
pub(super) const HEADER_BYTES: u64 = 32;
/// Bytes before the stored bytes of a chunk.
pub(super) const RECORD_HEADER_BYTES: u64 = 48;
const ENTRY_BYTES: u64 = 56;
/// Bytes at the very end.
pub(super) const TRAILER_BYTES: u64 = 64;

/// No chunk, plain or stored, is longer; a longer one is damage, and is refused
/// before memory is reserved for it.
pub(super) const CHUNK_BYTES_MAX: u32 = 16 << 20;
/// No table is longer, for the same reason: a million chunks in one pack.
const TABLE_BYTES_MAX: u64 = 64 << 20;
/// No pack is longer, whatever size a store claims for it: four times the largest
/// `pack_bytes`. So sums of sizes stay numbers.
pub(super) const PACK_BYTES_MAX: u64 = 4 << 30;

/// What is wrong with the bytes of a pack, in a few words.
pub(super) type Flaw = String;

/// The first bytes of a pack.
pub(super) fn header(pack: PackId) -> [u8; HEADER_BYTES as usize] {
    let mut bytes = [0; HEADER_BYTES as usize];
    bytes[..8].copy_from_slice(&HEADER_MAGIC);
    bytes[8..12].copy_from_slice(&FORMAT.to_le_bytes());
    bytes[12..16].copy_from_slice(&(HEADER_BYTES as u32).to_le_bytes());
    bytes[16..].copy_from_slice(&pack.0);
    bytes
}

/// The bytes that stand before the stored bytes of a chunk.
pub(super) fn record_header(chunk: &ChunkRecord) -> [u8; RECORD_HEADER_BYTES as usize] {
    let mut bytes = [0; RECORD_HEADER_BYTES as usize];
    bytes[..4].copy_from_slice(&RECORD_MARK);
    bytes[4..8].copy_from_slice(&chunk.stored_bytes.to_le_bytes());
    bytes[8..12].copy_from_slice(&chunk.plain_bytes.to_le_bytes());
    bytes[12] = chunk.codec.number();
    bytes[16..].copy_from_slice(&chunk.hash.0);
    bytes
}

/// The table and the trailer, for a pack whose records end at `table_offset`.
pub(super) fn table_and_trailer(chunks: &[ChunkRecord], table_offset: u64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(chunks.len() * ENTRY_BYTES as usize + 64);
    for chunk in chunks {
        bytes.extend_from_slice(&chunk.hash.0);
        bytes.extend_from_slice(&chunk.offset.to_le_bytes());
        bytes.extend_from_slice(&chunk.stored_bytes.to_le_bytes());
        bytes.extend_from_slice(&chunk.plain_bytes.to_le_bytes());
        bytes.extend_from_slice(&[chunk.codec.number(), 0, 0, 0, 0, 0, 0, 0]);
    }
    let table_bytes = bytes.len() as u64;
    let hash = blake3::hash(&bytes);
    bytes.extend_from_slice(&table_offset.to_le_bytes());
    bytes.extend_from_slice(&table_bytes.to_le_bytes());
    bytes.extend_from_slice(hash.as_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&FORMAT.to_le_bytes());
    bytes.extend_from_slice(&TRAILER_MAGIC);
    bytes
}

/// True when `bytes` begins as a pack of that name.
pub(super) fn has_header(bytes: &[u8], pack: PackId) -> bool {
    bytes.get(..HEADER_BYTES as usize) == Some(&header(pack)[..])
}

/// True when the bytes of a trailer that mean nothing are as they were written.
pub(super) fn has_clean_reserve(trailer: &[u8; TRAILER_BYTES as usize]) -> bool {
    trailer[48..52] == [0; 4]
}

/// The record at `offset` of a pack, when it is there to its last byte. Whether
/// its bytes match its name is not looked at.
pub(super) fn record_at(bytes: &[u8], offset: u64, pack: PackId) -> Option<ChunkRecord> {
    let start = usize::try_from(offset).ok()?;
    let data_start = start.checked_add(RECORD_HEADER_BYTES as usize)?;
    let head = bytes.get(start..data_start)?;
    if head[..4] != RECORD_MARK || head[13..16] != [0; 3] {
        return None;
    }
    let chunk = ChunkRecord {
        hash: ChunkHash(array(&head[16..])?),
        pack,
        offset: data_start as u64,
        stored_bytes: u32::from_le_bytes(array(&head[4..8])?),
        plain_bytes: u32::from_le_bytes(array(&head[8..12])?),
        codec: Codec::from_number(head[12])?,
    };
    let fits =
        is_sane(&chunk) && chunk.offset + u64::from(chunk.stored_bytes) <= bytes.len() as u64;
    fits.then_some(chunk)
}

/// Where a finished pack keeps its table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TableSpan {
    pub(super) offset: u64,
    pub(super) bytes: u64,
    hash: [u8; 32],
}

impl TableSpan {
    /// Reads the last [`TRAILER_BYTES`] of a pack of `pack_bytes`.
    pub(super) fn from_trailer(trailer: &[u8], pack_bytes: u64) -> Result<Self, Flaw> {
        let cut_short = || Flaw::from("it does not end as a pack does: cut short?");
        let trailer: [u8; TRAILER_BYTES as usize] = array(trailer).ok_or_else(cut_short)?;
        if trailer[56..] != TRAILER_MAGIC {
            return Err(cut_short());
        }
        let number = |at: usize| array(&trailer[at..at + 8]).map_or(0, u64::from_le_bytes);
        let format = array(&trailer[52..56]).map_or(0, u32::from_le_bytes);
        if format != FORMAT {
            return Err(format!(
                "it has format {format}, this keepfs knows {FORMAT}"
            ));
        }
        let span = Self {
            offset: number(0),
            bytes: number(8),
            hash: array(&trailer[16..48]).ok_or_else(cut_short)?,
        };
        let end = span
            .offset
            .checked_add(span.bytes)
            .and_then(|end| end.checked_add(TRAILER_BYTES));
        if span.offset < HEADER_BYTES
            || end != Some(pack_bytes)
            || span.bytes > TABLE_BYTES_MAX
            || !span.bytes.is_multiple_of(ENTRY_BYTES)
        {
            return Err("its trailer does not fit its size".into());
        }
        Ok(span)
    }

    /// Reads the table itself.
    pub(super) fn entries(&self, table: &[u8], pack: PackId) -> Result<Vec<ChunkRecord>, Flaw> {
        if table.len() as u64 != self.bytes || *blake3::hash(table).as_bytes() != self.hash {
            return Err("its table does not match its checksum".into());
        }
        table
            .chunks_exact(ENTRY_BYTES as usize)
            .map(|entry| {
                let number = |at: usize| array(&entry[at..at + 4]).map_or(0, u32::from_le_bytes);
                let chunk = ChunkRecord {
                    hash: ChunkHash(array(&entry[..32])?),
                    pack,
                    offset: u64::from_le_bytes(array(&entry[32..40])?),
                    stored_bytes: number(40),
                    plain_bytes: number(44),
                    codec: Codec::from_number(entry[48])?,
                };
                let end = chunk.offset.checked_add(chunk.stored_bytes.into())?;
                (is_sane(&chunk) && chunk.offset >= HEADER_BYTES && end <= self.offset)
                    .then_some(chunk)
            })
            .collect::<Option<_>>()
            .ok_or_else(|| "its table names bytes that it cannot hold".into())
    }
}

/// True when the lengths are such as this program writes.
pub(super) fn is_sane(chunk: &ChunkRecord) -> bool {
    (1..=CHUNK_BYTES_MAX).contains(&chunk.stored_bytes)
        && (1..=CHUNK_BYTES_MAX).contains(&chunk.plain_bytes)
        && match chunk.codec {
            Codec::Plain => chunk.stored_bytes == chunk.plain_bytes,
            Codec::Sealed => chunk.stored_bytes == chunk.plain_bytes + SEAL_BYTES as u32,
            Codec::Zstd | Codec::SealedZstd => true,
        }
}

fn array<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
    bytes.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PACK: PackId = PackId([7; 16]);

    fn chunk(offset: u64, stored_bytes: u32) -> ChunkRecord {
        ChunkRecord {
            hash: ChunkHash([stored_bytes as u8; 32]),
            pack: PACK,
            offset,
            stored_bytes,
            plain_bytes: stored_bytes * 2,
            codec: Codec::Zstd,
        }
    }

    #[test]
    fn a_table_reads_back_as_it_was_written() {
        let chunks = [chunk(80, 100), chunk(228, 7)];
        let bytes = table_and_trailer(&chunks, 235);
        let (table, trailer) = bytes.split_at(bytes.len() - TRAILER_BYTES as usize);
        let span = TableSpan::from_trailer(trailer, 235 + bytes.len() as u64).unwrap();
        assert_eq!(span.entries(table, PACK).unwrap(), chunks);
    }

    #[test]
    fn any_flipped_bit_of_table_or_trailer_is_noticed() {
        let chunks = [chunk(80, 100)];
        let bytes = table_and_trailer(&chunks, 180);
        let pack_bytes = 180 + bytes.len() as u64;
        for bit in 0..bytes.len() * 8 {
            // Four bytes of the trailer are reserved.
            if (56 + 48..56 + 52).contains(&(bit / 8)) {
                continue;
            }
            let mut bytes = bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let (table, trailer) = bytes.split_at(bytes.len() - TRAILER_BYTES as usize);
            let read = TableSpan::from_trailer(trailer, pack_bytes)
                .and_then(|span| span.entries(table, PACK));
            assert!(read.is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_table_that_names_bytes_outside_its_pack_is_refused() {
        for hostile in [
            chunk(u64::MAX - 3, 100),
            chunk(80, CHUNK_BYTES_MAX + 1),
            chunk(0, 10),
            chunk(179, 2),
            ChunkRecord {
                plain_bytes: u32::MAX,
                ..chunk(80, 100)
            },
        ] {
            let bytes = table_and_trailer(&[hostile], 180);
            let (table, trailer) = bytes.split_at(bytes.len() - TRAILER_BYTES as usize);
            let span = TableSpan::from_trailer(trailer, 180 + bytes.len() as u64).unwrap();
            assert!(span.entries(table, PACK).is_err(), "{hostile:?}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_no_table_and_no_record(bytes in proptest::collection::vec(any::<u8>(), 0..300), offset: u64, pack_bytes: u64) {
            prop_assert!(TableSpan::from_trailer(&bytes, pack_bytes).is_err());
            prop_assert_eq!(record_at(&bytes, offset, PACK), None);
        }

        #[test]
        fn a_trailer_with_arbitrary_numbers_never_spans_more_than_the_pack(numbers: [u64; 2], pack_bytes: u64) {
            let mut trailer = table_and_trailer(&[], HEADER_BYTES);
            trailer[..8].copy_from_slice(&numbers[0].to_le_bytes());
            trailer[8..16].copy_from_slice(&numbers[1].to_le_bytes());
            if let Ok(span) = TableSpan::from_trailer(&trailer, pack_bytes) {
                prop_assert!(span.bytes <= pack_bytes && span.bytes <= TABLE_BYTES_MAX);
            }
        }
    }
}
