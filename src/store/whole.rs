//! Is a pack what was written? Asked of all its bytes in memory.
//!
//! The same questions as `check` asks of a pack where it lies, without a request for each
//! chunk.

use super::check::flaw_of_table;
use super::codec::Coding;
use super::pack::{
    Flaw, RECORD_HEADER_BYTES, TRAILER_BYTES, TableSpan, has_clean_reserve, has_header, is_sane,
    record_header,
};
use super::spool_pack::end_of;
use crate::catalog::ChunkRecord;
use crate::model::PackId;

/// What is wrong with the bytes of a pack that holds these chunks, as the catalog says.
/// `None`: nothing.
pub(super) fn flaw(
    coding: &Coding,
    pack: PackId,
    chunks: &[ChunkRecord],
    bytes: &[u8],
) -> Option<Flaw> {
    if !has_header(bytes, pack) {
        return Some("its header is damaged".into());
    }
    let Some((_, trailer)) = bytes.split_last_chunk::<{ TRAILER_BYTES as usize }>() else {
        return Some("it is too short for a pack".into());
    };
    if !has_clean_reserve(trailer) {
        return Some("its trailer is damaged".into());
    }
    let entries = TableSpan::from_trailer(trailer, bytes.len() as u64).and_then(|span| {
        let table = span.offset as usize..(span.offset + span.bytes) as usize;
        span.entries(&bytes[table], pack)
    });
    match entries {
        Ok(entries) => flaw_of_table(&entries, chunks).or_else(|| {
            let damaged = chunks.iter().find(|chunk| !is_whole(coding, chunk, bytes));
            damaged.map(|chunk| format!("chunk {} does not match its blake3", chunk.hash))
        }),
        Err(flaw) => Some(flaw),
    }
}

fn is_whole(coding: &Coding, chunk: &ChunkRecord, bytes: &[u8]) -> bool {
    let record = chunk
        .offset
        .checked_sub(RECORD_HEADER_BYTES)
        .filter(|_| is_sane(chunk))
        .and_then(|start| bytes.get(start as usize..end_of(chunk) as usize));
    record.is_some_and(|record| {
        let (header, stored) = record.split_at(RECORD_HEADER_BYTES as usize);
        header == record_header(chunk) && coding.decode(chunk, stored.to_vec()).is_some()
    })
}
