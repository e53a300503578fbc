//! Plain, verified chunks in memory, shared by all readers, bounded by bytes.
//!
//! Does no I/O: who misses brings the fetch. The surprise: it also sees to it
//! that no chunk is fetched twice at once; who asks for one that is on its way
//! waits for it.

use std::collections::HashSet;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use lru::LruCache;

use super::error::Result;
use crate::model::ChunkHash;

struct State {
    chunks: LruCache<ChunkHash, Arc<Vec<u8>>>,
    bytes: u64,
    on_their_way: HashSet<ChunkHash>,
}

/// The chunks in memory.
pub(super) struct ChunkCache {
    state: Mutex<State>,
    arrived: Condvar,
    bytes_max: u64,
}

impl std::fmt::Debug for ChunkCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ChunkCache({} bytes at most)", self.bytes_max)
    }
}

impl ChunkCache {
    /// A cache of so many plain bytes.
    pub(super) fn new(bytes_max: u64) -> Self {
        Self {
            state: Mutex::new(State {
                chunks: LruCache::unbounded(),
                bytes: 0,
                on_their_way: HashSet::new(),
            }),
            arrived: Condvar::new(),
            bytes_max,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True when nobody needs to fetch the chunk now.
    pub(super) fn has_or_awaits(&self, chunk: &ChunkHash) -> bool {
        let state = self.state();
        state.chunks.contains(chunk) || state.on_their_way.contains(chunk)
    }

    /// The chunk, where it is here.
    pub(super) fn get(&self, chunk: &ChunkHash) -> Option<Arc<Vec<u8>>> {
        self.state().chunks.get(chunk).cloned()
    }

    /// The chunk; `fetch` is called when it is neither here nor on its way.
    pub(super) fn get_or_fetch(
        &self,
        chunk: ChunkHash,
        fetch: impl FnOnce() -> Result<Vec<u8>>,
    ) -> Result<Arc<Vec<u8>>> {
        let mut state = self.state();
        loop {
            if let Some(plain) = state.chunks.get(&chunk) {
                return Ok(plain.clone());
            }
            // Where the other one's fetch fails, this one tries for itself.
            if state.on_their_way.insert(chunk) {
                break;
            }
            state = self
                .arrived
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        drop(state);
        let _announced = Announced { cache: self, chunk };
        let plain = Arc::new(fetch()?);
        self.put(chunk, plain.clone());
        Ok(plain)
    }

    fn put(&self, chunk: ChunkHash, plain: Arc<Vec<u8>>) {
        let mut state = self.state();
        state.bytes += plain.len() as u64;
        if let Some(old) = state.chunks.put(chunk, plain) {
            state.bytes -= old.len() as u64;
        }
        while state.bytes > self.bytes_max
            && let Some((_, old)) = state.chunks.pop_lru()
        {
            state.bytes -= old.len() as u64;
        }
    }

    /// Drops a chunk whose content must not be kept anywhere.
    pub(super) fn forget(&self, chunk: &ChunkHash) {
        let mut state = self.state();
        if let Some(old) = state.chunks.pop(chunk) {
            state.bytes -= old.len() as u64;
        }
    }
}

/// Takes the announcement back, however the fetch ends.
struct Announced<'a> {
    cache: &'a ChunkCache,
    chunk: ChunkHash,
}

impl Drop for Announced<'_> {
    fn drop(&mut self) {
        self.cache.state().on_their_way.remove(&self.chunk);
        self.cache.arrived.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(byte: u8) -> ChunkHash {
        ChunkHash([byte; 32])
    }

    #[test]
    fn the_cache_keeps_what_was_used_last_within_its_bytes() {
        let cache = ChunkCache::new(250);
        for byte in [1, 2, 1, 3] {
            cache
                .get_or_fetch(name(byte), || Ok(vec![byte; 100]))
                .unwrap();
        }
        assert!(cache.has_or_awaits(&name(1)));
        assert!(!cache.has_or_awaits(&name(2)));
        assert!(cache.has_or_awaits(&name(3)));
        assert_eq!(cache.state().bytes, 200);
        cache.forget(&name(1));
        assert_eq!(cache.state().bytes, 100);
    }

    #[test]
    fn several_who_want_a_chunk_fetch_it_once() {
        let cache = ChunkCache::new(1000);
        let fetches = Mutex::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let plain = cache.get_or_fetch(name(1), || {
                        *fetches.lock().unwrap() += 1;
                        std::thread::sleep(std::time::Duration::from_millis(20));
                        Ok(vec![1; 10])
                    });
                    assert_eq!(*plain.unwrap(), [1; 10]);
                });
            }
        });
        assert_eq!(*fetches.lock().unwrap(), 1);
    }
}
