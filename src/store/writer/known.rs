//! A content that was known before, and cut into other chunks then.
//!
//! Its list stays as it was, so the chunks of the new list do not vouch for it. What the
//! old list lacks is cut out of the new chunks and stored anew. The surprise: nothing but
//! the tail of a content is ever cut in two ways, so that this is a few chunks at most.

use std::collections::HashSet;
use std::sync::Arc;

use super::store_plain;
use crate::catalog::ChunkRecord;
use crate::model::{ChunkHash, ContentId};
use crate::store::codec::Encoder;
use crate::store::error::{Result, StoreError};
use crate::store::finish::AtBound;
use crate::store::presence::is_there;
use crate::store::{Shared, fetch};

/// Makes sure that every chunk in a content's list is there. `written`: the chunks with
/// all its bytes that the caller has just stored or found, and holds.
pub(super) fn complete(
    shared: &Shared,
    at_bound: AtBound,
    content: ContentId,
    written: &[ChunkHash],
    encoder: &mut Encoder,
) -> Result<()> {
    let listed = shared.catalog()?.content_chunks(content)?;
    let vouched: HashSet<&ChunkHash> = written.iter().collect();
    let mut source = None;
    let mut start = 0;
    for chunk in &listed {
        let end = start + u64::from(chunk.plain_bytes);
        if !vouched.contains(&chunk.hash) && !is_there(shared, chunk)? {
            let source = match &mut source {
                Some(source) => source,
                None => source.insert(Source::of(shared, written)?),
            };
            let plain = source.read(shared, start, end)?;
            let pins = shared.in_flight.begin();
            store_plain(shared, at_bound, &pins, &plain, encoder)?;
        }
        start = end;
    }
    Ok(())
}

/// A content as chunks that are there, with the place where each begins.
struct Source(Vec<(u64, ChunkRecord)>);

impl Source {
    fn of(shared: &Shared, chunks: &[ChunkHash]) -> Result<Self> {
        let mut catalog = shared.catalog()?;
        let mut placed = Vec::with_capacity(chunks.len());
        let mut start = 0;
        for hash in chunks {
            let chunk = catalog.chunk(hash)?.ok_or_else(|| {
                StoreError::Io(format!("chunk {hash} went while it was relied on"))
            })?;
            placed.push((start, chunk));
            start += u64::from(chunk.plain_bytes);
        }
        Ok(Self(placed))
    }

    fn read(&self, shared: &Shared, start: u64, end: u64) -> Result<Vec<u8>> {
        let mut plain = Vec::with_capacity((end - start) as usize);
        for (at, chunk) in &self.0 {
            let from = start.max(*at);
            let to = end.min(at + u64::from(chunk.plain_bytes));
            if from < to {
                let bytes: Arc<Vec<u8>> = fetch::chunk(shared, chunk)?;
                plain.extend_from_slice(&bytes[(from - at) as usize..(to - at) as usize]);
            }
        }
        Ok(plain)
    }
}
