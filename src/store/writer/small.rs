//! Many small contents at once: one look at the catalog, one write to the pack, one turn to
//! record them.
//!
//! The surprise: only what nobody has yet is stored here. A content that is known, that
//! another thread stores at the moment, or that occurs twice is left to the ordinary way.

use super::{Stored, small_content};
use crate::catalog::{ChunkRecord, PackRecord, PackState, atomically};
use crate::model::ChunkHash;
use crate::store::chunker::CHUNK_BYTES_MIN;
use crate::store::codec::hash;
use crate::store::error::Result;
use crate::store::finish::AtBound;
use crate::store::in_flight::{Claim, Pins};
use crate::store::spool_pack::Encoded;
use crate::store::{Shared, Written};

/// A content that is stored here.
struct New<'a> {
    /// Which of the contents it is.
    index: usize,
    plain: &'a [u8],
    name: ChunkHash,
    blake3: ChunkHash,
    _claim: Claim<'a>,
}

/// Stores new contents of one chunk each. `None`: it was left alone.
pub(super) fn write(
    shared: &Shared,
    contents: &[&[u8]],
    at_bound: AtBound,
) -> Result<Vec<Option<Written>>> {
    shared
        .waiting
        .wait_for_room(shared.config.spool_bytes_max, at_bound)?;
    let mut written = vec![None; contents.len()];
    let pins = shared.in_flight.begin();
    let new = claim_new(shared, &pins, contents)?;
    let mut scratch = shared
        .scratch
        .take(&shared.coding, shared.config.zstd_level)?;
    let mut encoded = Vec::with_capacity(new.len());
    for new in &new {
        let (codec, stored) = scratch.encoder.encode(&new.name, new.plain)?;
        encoded.push((codec, stored.to_vec()));
    }
    shared.scratch.give_back(scratch);
    let chunks: Vec<Encoded<'_>> = new
        .iter()
        .zip(&encoded)
        .map(|(new, (codec, stored))| Encoded {
            hash: new.name,
            plain_bytes: new.plain.len() as u32,
            codec: *codec,
            stored,
        })
        .collect();
    if chunks.is_empty() {
        return Ok(written);
    }
    let recorded = shared.open_packs.append_some(
        &chunks,
        shared.config.pack_bytes,
        &shared.waiting,
        &*shared.clock,
        |rows, is_first| record(shared, &new, rows, is_first),
    )?;
    for (new, recorded) in new.iter().zip(recorded) {
        written[new.index] = Some(recorded);
    }
    Ok(written)
}

/// Those that are one chunk which nobody has, each once.
fn claim_new<'a>(
    shared: &Shared,
    pins: &'a Pins<'_>,
    contents: &[&'a [u8]],
) -> Result<Vec<New<'a>>> {
    let mut new = Vec::with_capacity(contents.len());
    for (index, plain) in contents.iter().copied().enumerate() {
        if plain.is_empty() || plain.len() > CHUNK_BYTES_MIN {
            continue;
        }
        let name = shared.coding.name(plain);
        let blake3 = match shared.coding.cipher() {
            None => name,
            Some(_) => hash(plain),
        };
        new.extend(pins.try_claim(name).map(|claim| New {
            index,
            plain,
            name,
            blake3,
            _claim: claim,
        }));
    }
    let mut catalog = shared.catalog()?;
    let mut known = Vec::with_capacity(new.len());
    for one in &new {
        known.push(catalog.chunk(&one.name)?.is_some());
    }
    drop(catalog);
    let mut known = known.into_iter();
    new.retain(|_| known.next() == Some(false));
    Ok(new)
}

fn record(
    shared: &Shared,
    new: &[New<'_>],
    rows: &[ChunkRecord],
    is_first: bool,
) -> Result<Vec<Written>> {
    let mut catalog = shared.catalog()?;
    atomically(&mut **catalog, |catalog| {
        if let (Some(row), true) = (rows.first(), is_first) {
            catalog.add_pack(&PackRecord {
                id: row.pack,
                state: PackState::Open,
                bytes: 0,
            })?;
        }
        let mut written = Vec::with_capacity(new.len());
        for (new, row) in new.iter().zip(rows) {
            let size = new.plain.len() as u64;
            written.push(Written {
                content: small_content(catalog, &new.blake3, size, &Stored::New(row))?,
                blake3: new.blake3,
                size,
                new_bytes: size,
            });
        }
        if let Some(row) = rows.first() {
            shared.presence.pack_is_there(row.pack);
        }
        Ok(written)
    })
}
