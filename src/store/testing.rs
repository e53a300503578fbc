//! What the tests of the store share: sources of bytes, a store in a temporary
//! directory, in `facts` a catalog, and in `line` a bucket that fails.

mod facts;
mod line;

use std::path::PathBuf;
use std::sync::Arc;

pub(crate) use facts::{Facts, Failing};
pub(crate) use line::{Answered, Asked, Faults};
use object_store::memory::InMemory;

use super::backend::Backend;
use super::cipher::SEAL_BYTES;
use super::membership::Answer;
use super::{AtBound, CheckDepth, Damage, KEY_NAME, Secret, Store, StoreConfig, Tail, VaultKey};
use crate::model::{ContentId, ManualClock, StorePlace, WriteClaim};

/// Bytes that nothing can compress.
pub(crate) fn noise(bytes: usize, seed: u64) -> Vec<u8> {
    let mut noise = vec![0; bytes];
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes());
    hasher.finalize_xof().fill(&mut noise);
    noise
}

/// Bytes that shrink well.
pub(crate) fn text(bytes: usize, seed: u64) -> Vec<u8> {
    let words: Vec<String> = noise(4096, seed)
        .chunks(4)
        .map(|word| word.iter().map(|byte| format!("{byte:x}")).collect())
        .collect();
    let mut order = noise(bytes, seed + 1).into_iter();
    let mut text = Vec::with_capacity(bytes + 8);
    while text.len() < bytes {
        let pick = order.next().unwrap_or(0) as usize * 4 % words.len();
        text.extend_from_slice(words[pick].as_bytes());
        text.push(b' ');
    }
    text.truncate(bytes);
    text
}

/// A key that nobody else has.
pub(crate) fn vault_key() -> VaultKey {
    let key_file = zeroize::Zeroizing::new([9; 32]);
    VaultKey::new(&Secret::KeyFile(key_file)).unwrap()
}

/// A store with its directories; the catalog and they outlive it.
pub(crate) struct Bench {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) facts: Facts,
    pub(crate) config: StoreConfig,
    clock: Arc<ManualClock>,
    /// Where the packs are if not in the directory.
    pub(crate) objects: Option<Arc<InMemory>>,
    /// What becomes of requests to them.
    pub(crate) faults: Faults,
    store: Option<Store>,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with_pack_bytes(16 << 20)
    }

    pub(crate) fn with_pack_bytes(pack_bytes: u64) -> Self {
        Self::with(pack_bytes, None)
    }

    /// Its packs are in memory, and every read of them is a request.
    pub(crate) fn in_a_bucket() -> Self {
        Self::over(16 << 20, None, Some(Arc::default()))
    }

    /// A store that is encrypted, or not.
    pub(crate) fn with(pack_bytes: u64, key: Option<VaultKey>) -> Self {
        Self::over(pack_bytes, key, None)
    }

    fn over(pack_bytes: u64, key: Option<VaultKey>, objects: Option<Arc<InMemory>>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let config = StoreConfig {
            place: StorePlace::Directory(directory.path().join("store")),
            vault_dir: directory.path().into(),
            write_claim: WriteClaim::Keep,
            spool_dir: directory.path().join("spool"),
            pack_bytes,
            spool_bytes_max: 64 << 20,
            vault_name: "test".into(),
            cache_bytes_max: 64 << 20,
            cache_dir: directory.path().join("cache"),
            disk_cache_bytes_max: 64 << 20,
            zstd_level: 1,
            threads: 2,
            key,
        };
        let mut bench = Self {
            directory,
            facts: Facts::default(),
            config,
            clock: Arc::new(ManualClock::at_seconds(1_700_000_000)),
            objects,
            faults: Faults::default(),
            store: None,
        };
        bench.reopen();
        bench
    }

    /// Bytes that each record is longer by than its plain content and its head.
    pub(crate) fn seal_bytes(&self) -> u64 {
        self.config.key.as_ref().map_or(0, |_| SEAL_BYTES as u64)
    }

    /// What a pack shows of a content of one chunk, exactly when it holds it.
    pub(crate) fn trace_of(&self, content: &[u8]) -> Vec<u8> {
        match &self.config.key {
            None => content[..64].to_vec(),
            Some(key) => key.cipher().chunk_name(content).0.to_vec(),
        }
    }

    pub(crate) fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    /// Ends the store; what it did stays.
    pub(crate) fn close(&mut self) {
        self.store = None;
    }

    /// Ends the store if it runs, and opens it anew.
    pub(crate) fn reopen(&mut self) -> &Store {
        self.store = None;
        let (catalog, clock) = (self.facts.shared(), self.clock.clone());
        let store = match self.objects.clone() {
            None => Store::open(&self.config, catalog, clock),
            Some(objects) => {
                let faults = self.faults.clone();
                let backend = Backend::over(Arc::new(line::Line { objects, faults }));
                Store::start_over(&self.config, catalog, clock, backend, Answer::Welcome)
            }
        };
        self.store.insert(store.unwrap())
    }

    pub(crate) fn write(&self, bytes: &[u8]) -> ContentId {
        let written = self
            .store()
            .write(&mut { bytes }, Tail::Whole, AtBound::Wait)
            .unwrap();
        assert_eq!(written.size, bytes.len() as u64);
        assert_eq!(written.blake3.0, *blake3::hash(bytes).as_bytes());
        written.content
    }

    pub(crate) fn read(&self, content: ContentId) -> super::Result<Vec<u8>> {
        let reader = self.store().reader(content)?;
        let mut bytes = vec![0; reader.size() as usize];
        let read = reader.read_at(0, &mut bytes)?;
        assert_eq!(read, bytes.len());
        Ok(bytes)
    }

    /// What a check finds damaged. Nothing here may leave orphans behind.
    pub(crate) fn damages(&self, depth: CheckDepth) -> Vec<Damage> {
        let mut last = (0, 0);
        let found = self.store().check(depth, &mut |done, all| {
            assert!(last.0 <= done && done <= all);
            last = (done, all);
        });
        assert_eq!(last.0, last.1);
        let found = found.unwrap();
        assert_eq!(found.orphans, []);
        found.damages
    }

    /// The pack files under `store` or `spool`, by name.
    pub(crate) fn files(&self, part: &str) -> Vec<PathBuf> {
        let mut files = Vec::new();
        let top = match part {
            // Beside them lies what is no pack.
            "store" => "store/packs",
            part => part,
        };
        let mut directories = vec![self.directory.path().join(top)];
        while let Some(directory) = directories.pop() {
            let Ok(entries) = std::fs::read_dir(directory) else {
                continue;
            };
            for entry in entries {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    directories.push(path);
                } else {
                    files.push(path);
                }
            }
        }
        files.retain(|file| !file.ends_with(KEY_NAME));
        files.sort();
        files
    }

    /// True when any file of store, spool or cache holds these bytes.
    pub(crate) fn holds(&self, needle: &[u8]) -> bool {
        let files = [
            self.files("store"),
            self.files("spool"),
            self.files("cache"),
        ]
        .concat();
        files.iter().any(|file| {
            let bytes = std::fs::read(file).unwrap();
            bytes.windows(needle.len()).any(|window| window == needle)
        })
    }
}
