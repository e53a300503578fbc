//! Which chunks that the catalog knows are really there, as far as is known.
//!
//! New content must never rely on a chunk that is not there. Looking at every
//! chunk would read the whole store, so a stored pack is looked up once in a
//! run, and damage that anybody stumbles on is remembered. The surprise: writing
//! the same content again heals it, because its chunk is stored anew.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::check::Seen;
use super::error::{Result, StoreError};
use super::{Shared, check};
use crate::catalog::ChunkRecord;
use crate::model::{ChunkHash, ContentId, PackId};

#[derive(Debug, Default)]
struct State {
    there: HashSet<PackId>,
    missing: HashSet<PackId>,
    damaged: HashSet<ChunkHash>,
    /// What a bucket that does not answer let somebody wait for in vain, and until when
    /// nobody else tries.
    silence: Option<(Instant, StoreError)>,
}

/// So long nobody asks again: each question takes about as long before it is given up.
const SILENCE: Duration = Duration::from_secs(30);

/// What is known of a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Its pack was seen, and no damage in it.
    There,
    /// Its pack is missing, or its bytes are damaged.
    Gone,
    /// Nobody looked at its pack yet.
    Unknown,
}

/// True when no chunk of a content is in a pack of the spool, or in one that is gone.
pub(super) fn is_uploaded(shared: &Shared, content: ContentId) -> Result<bool> {
    if shared.open_packs.unstored().packs == 0 && !shared.presence.misses_any() {
        return Ok(true);
    }
    let chunks = shared.catalog()?.content_chunks(content)?;
    let is_in_store = |chunk: &ChunkRecord| {
        shared.open_packs.readable(chunk.pack).is_none() && !shared.presence.is_missing(chunk.pack)
    };
    Ok(chunks.iter().all(is_in_store))
}

/// Looks whether the pack of a chunk is there with its table, once in a run.
///
/// # Errors
/// [`StoreError::PackUnknown`] when the bucket does not answer: it is too early to store the
/// chunk anew. Until that is in the store, the good bytes there are the only ones.
pub(super) fn is_there(shared: &Shared, chunk: &ChunkRecord) -> Result<bool> {
    match shared.presence.of(chunk) {
        Verdict::There => return Ok(true),
        Verdict::Gone => return Ok(false),
        Verdict::Unknown => {}
    }
    let unknown = |pack, error| StoreError::PackUnknown {
        pack,
        error: Box::new(error),
    };
    if let Some(silence) = shared.presence.silence() {
        return Err(unknown(chunk.pack, silence));
    }
    let look = |chunk: &ChunkRecord| match check::look_for_chunk(shared, chunk) {
        Err(error) if error.is_no_answer() => {
            shared.presence.note_silence(&error);
            Err(unknown(chunk.pack, error))
        }
        looked => looked,
    };
    // The pack may have been rewritten since the chunk was looked up; the name of
    // the chunk decides, not that of the pack.
    match look(chunk)? {
        Seen::There => {
            shared.presence.pack_is_there(chunk.pack);
            return Ok(true);
        }
        // Nothing is known of its other chunks.
        Seen::Unreadable => return Ok(false),
        Seen::Gone => {}
    }
    let now = shared.catalog()?.chunk(&chunk.hash)?;
    match now {
        Some(now) if now.pack != chunk.pack => Ok(look(&now)? == Seen::There),
        _ => {
            log::error!(
                "pack {} is missing or cannot be relied on: its chunks are stored anew where they \
                 occur",
                chunk.pack
            );
            shared.presence.pack_is_missing(chunk.pack);
            Ok(false)
        }
    }
}

/// What was seen of packs and chunks in this run.
#[derive(Debug, Default)]
pub(super) struct Presence(Mutex<State>);

impl Presence {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a chunk can be relied on.
    pub(super) fn of(&self, chunk: &ChunkRecord) -> Verdict {
        let state = self.state();
        if state.missing.contains(&chunk.pack) || state.damaged.contains(&chunk.hash) {
            Verdict::Gone
        } else if state.there.contains(&chunk.pack) {
            Verdict::There
        } else {
            Verdict::Unknown
        }
    }

    /// The pack was seen whole.
    pub(super) fn pack_is_there(&self, pack: PackId) {
        let mut state = self.state();
        state.missing.remove(&pack);
        state.there.insert(pack);
    }

    /// The pack is not there, or not whole.
    pub(super) fn pack_is_missing(&self, pack: PackId) {
        let mut state = self.state();
        state.there.remove(&pack);
        state.missing.insert(pack);
    }

    /// True when the pack is known not to be there.
    pub(super) fn is_missing(&self, pack: PackId) -> bool {
        self.state().missing.contains(&pack)
    }

    /// True when any pack is known not to be there.
    fn misses_any(&self) -> bool {
        !self.state().missing.is_empty()
    }

    fn silence(&self) -> Option<StoreError> {
        let state = self.state();
        let (until, error) = state.silence.as_ref()?;
        error.no_answer().filter(|_| Instant::now() < *until)
    }

    fn note_silence(&self, error: &StoreError) {
        if let Some(error) = error.no_answer() {
            self.state().silence = Some((Instant::now() + SILENCE, error));
        }
    }

    /// The pack was removed on purpose.
    pub(super) fn forget_pack(&self, pack: PackId) {
        let mut state = self.state();
        state.there.remove(&pack);
        state.missing.remove(&pack);
    }

    /// The chunk's bytes do not match its name.
    pub(super) fn chunk_is_damaged(&self, chunk: ChunkHash) {
        self.state().damaged.insert(chunk);
    }

    /// The chunk was stored anew, or read back whole.
    pub(super) fn chunk_is_whole(&self, chunk: ChunkHash) {
        self.state().damaged.remove(&chunk);
    }
}
