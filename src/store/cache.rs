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
    /// How often chunks had to be forgotten.
    forgets: u64,
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
                forgets: 0,
            }),
            arrived: Condvar::new(),
            bytes_max,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True when nobody needs to fetch the chunk now.
    #[cfg(test)]
    fn has_or_awaits(&self, chunk: &ChunkHash) -> bool {
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
        let announced = Announced {
            cache: self,
            chunks: Mutex::new(HashSet::from([chunk])),
            forgets: state.forgets,
        };
        drop(state);
        Ok(announced.arrived(chunk, fetch()?))
    }

    /// Announces those of the chunks that are neither here nor on their way: until what
    /// it returns is dropped, nobody else fetches them.
    pub(super) fn announce(&self, chunks: impl Iterator<Item = ChunkHash>) -> Announced<'_> {
        let mut state = self.state();
        let absent: HashSet<ChunkHash> = chunks
            .filter(|chunk| !state.chunks.contains(chunk) && state.on_their_way.insert(*chunk))
            .collect();
        Announced {
            cache: self,
            chunks: Mutex::new(absent),
            forgets: state.forgets,
        }
    }

    fn put(&self, chunk: ChunkHash, plain: Arc<Vec<u8>>, forgets: u64) {
        let mut state = self.state();
        if state.forgets != forgets {
            // It may be just what had to go while it was being fetched.
            return;
        }
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
        state.forgets += 1;
        if let Some(old) = state.chunks.pop(chunk) {
            state.bytes -= old.len() as u64;
        }
    }
}

/// Chunks that somebody is fetching. Takes the announcement back, however that ends.
pub(super) struct Announced<'a> {
    cache: &'a ChunkCache,
    chunks: Mutex<HashSet<ChunkHash>>,
    forgets: u64,
}

impl Announced<'_> {
    fn chunks(&self) -> MutexGuard<'_, HashSet<ChunkHash>> {
        self.chunks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True when the chunk is one of them.
    pub(super) fn has(&self, chunk: &ChunkHash) -> bool {
        self.chunks().contains(chunk)
    }

    /// One of them is here, verified.
    pub(super) fn arrived(&self, chunk: ChunkHash, plain: Vec<u8>) -> Arc<Vec<u8>> {
        let plain = Arc::new(plain);
        self.cache.put(chunk, plain.clone(), self.forgets);
        self.chunks().remove(&chunk);
        self.cache.state().on_their_way.remove(&chunk);
        self.cache.arrived.notify_all();
        plain
    }
}

impl Drop for Announced<'_> {
    fn drop(&mut self) {
        let mut state = self.cache.state();
        for chunk in self.chunks().drain() {
            state.on_their_way.remove(&chunk);
        }
        drop(state);
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
    fn what_had_to_be_forgotten_while_it_was_fetched_is_not_kept() {
        let cache = ChunkCache::new(1000);
        let announced = cache.announce([name(1), name(2)].into_iter());
        cache.forget(&name(1));
        announced.arrived(name(1), vec![1; 10]);
        assert!(cache.get(&name(1)).is_none());
        assert!(cache.has_or_awaits(&name(2)));
        drop(announced);
        assert!(!cache.has_or_awaits(&name(2)));
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
