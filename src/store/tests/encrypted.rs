//! A store with a key: what can be read of it without, what it refuses, and that it keeps
//! every promise of the others.
//!
//! The surprise: the modules below are those of the plain store, run a second time with
//! this file's [`Bench`].

use std::fs;
use std::ops::{Deref, DerefMut};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use super::damage::writable;
use crate::catalog::{Catalog, ChunkRecord, Codec, SharedCatalog};
use crate::model::{ChunkHash, ManualClock, VersionSeq};
use crate::store::cipher::SEAL_BYTES;
use crate::store::testing::{self, noise, text, vault_key};
use crate::store::{
    AtBound, CheckDepth, KEY_NAME, KeyDocument, Secret, Store, StoreError, Tail, VaultKey,
    key_document_at, pack,
};

#[allow(clippy::duplicate_mod)]
#[path = "crash.rs"]
mod crash;
#[allow(clippy::duplicate_mod)]
#[path = "journal.rs"]
mod journal;
#[allow(clippy::duplicate_mod)]
#[path = "migrate.rs"]
mod migrate;
#[allow(clippy::duplicate_mod)]
#[path = "removal.rs"]
mod removal;
#[allow(clippy::duplicate_mod)]
#[path = "repair.rs"]
mod repair;
#[allow(clippy::duplicate_mod)]
#[path = "uncommitted.rs"]
mod uncommitted;

/// The bench of the plain store, with a key.
struct Bench(testing::Bench);

impl Bench {
    fn new() -> Self {
        Self::with_pack_bytes(16 << 20)
    }

    fn with_pack_bytes(pack_bytes: u64) -> Self {
        Self(testing::Bench::with(pack_bytes, Some(vault_key())))
    }
}

impl Deref for Bench {
    type Target = testing::Bench;

    fn deref(&self) -> &testing::Bench {
        &self.0
    }
}

impl DerefMut for Bench {
    fn deref_mut(&mut self) -> &mut testing::Bench {
        &mut self.0
    }
}

fn refusal(bench: &testing::Bench, key: Option<VaultKey>) -> String {
    let mut config = bench.config.clone();
    config.key = key;
    let clock = Arc::new(ManualClock::at_seconds(1_700_000_000));
    let error = Store::open(&config, bench.facts.shared(), clock).unwrap_err();
    assert!(matches!(error, StoreError::KeyDisagrees { .. }), "{error}");
    error.to_string()
}

#[test]
fn neither_contents_nor_their_hashes_can_be_found_in_store_or_spool() {
    let bench = Bench::new();
    let secret = [
        &b"the secret plan of the whole company, "[..],
        &noise(5000, 1),
    ]
    .concat();
    let contents = [secret, text(3 << 20, 2), noise(1 << 20, 3)];
    for content in &contents {
        bench.write(content);
    }
    for _ in ["spool", "store"] {
        for content in &contents {
            assert!(!bench.holds(&content[..32]));
            let hash = blake3::hash(content);
            assert!(!bench.holds(hash.as_bytes()));
            assert!(!bench.holds(hash.to_hex().as_bytes()));
        }
        bench.store().flush().unwrap();
    }
}

#[test]
fn equal_contents_are_stored_once_and_any_range_reads_back() {
    let bench = Bench::with_pack_bytes(2 << 20);
    let source = [text(4 << 20, 1), noise(5 << 20, 2)].concat();
    let first = bench
        .store()
        .write(&mut &source[..], Tail::Whole, AtBound::Wait)
        .unwrap();
    let again = bench
        .store()
        .write(&mut &source[..], Tail::Whole, AtBound::Wait)
        .unwrap();
    assert_eq!((again.content, again.new_bytes), (first.content, 0));
    bench.store().flush().unwrap();
    let reader = bench.store().reader(first.content).unwrap();
    let mut buffer = vec![0; 1_000_000];
    for offset in [0, 1, 3_333_333, 8_000_000, 8_900_000] {
        let read = reader.read_at(offset, &mut buffer).unwrap();
        assert!(buffer[..read] == source[offset as usize..][..read]);
    }
}

#[test]
fn a_flipped_byte_anywhere_in_a_pack_is_damage_and_never_wrong_bytes() {
    let mut bench = Bench::new();
    bench.config.cache_bytes_max = 0;
    bench.reopen();
    let sources = [noise(100, 1), text(200, 2)];
    let contents = [bench.write(&sources[0]), bench.write(&sources[1])];
    bench.store().flush().unwrap();
    let path = bench.files("store")[0].clone();
    let file = writable(&path);
    let whole = fs::read(&path).unwrap();
    let first_sealed = 80..80 + 100 + SEAL_BYTES;
    for (at, byte) in whole.iter().enumerate() {
        file.write_all_at(&[byte ^ 1], at as u64).unwrap();
        let [damage] = &bench.damages(CheckDepth::ReadData)[..] else {
            panic!("byte {at}")
        };
        let is_first = first_sealed.contains(&at);
        let names_first = damage.versions.contains(&VersionSeq(contents[0].0));
        assert_eq!(names_first, is_first, "byte {at}: {damage:?}");
        for (content, source) in contents.iter().zip(&sources) {
            match bench.read(*content) {
                Ok(bytes) => assert_eq!(bytes, *source, "byte {at}"),
                Err(error) => assert!(matches!(error, StoreError::ChunkDamaged { .. }), "{error}"),
            }
        }
        file.write_all_at(&[*byte], at as u64).unwrap();
    }
    assert_eq!(bench.damages(CheckDepth::ReadData), []);
}

/// Writes other stored bytes, with head and table to match, in the place of the only chunk.
fn forge(bench: &Bench, stored: &[u8], codec: Codec) {
    let path = bench.files("store")[0].clone();
    let id = bench.facts.all_packs()[0].id;
    let mut catalog = bench.facts.clone();
    let [chunk] = catalog.pack_chunks(id).unwrap()[..] else {
        panic!()
    };
    let forged = ChunkRecord {
        stored_bytes: stored.len() as u32,
        codec,
        ..chunk
    };
    let end = forged.offset + u64::from(forged.stored_bytes);
    let bytes = [
        &pack::header(id)[..],
        &pack::record_header(&forged),
        stored,
        &pack::table_and_trailer(&[forged], end),
    ]
    .concat();
    drop(writable(&path));
    fs::write(&path, bytes).unwrap();
    // Even a catalog that believed the bucket would not help.
    catalog.put_chunks(&[forged]).unwrap();
}

#[test]
fn plain_bytes_in_the_place_of_sealed_ones_are_damage() {
    let plain = text(5000, 1);
    let frame = zstd::bulk::compress(&plain, 1).unwrap();
    for (stored, codec) in [(&plain, Codec::Plain), (&frame, Codec::Zstd)] {
        let mut bench = Bench::new();
        let content = bench.write(&plain);
        bench.store().flush().unwrap();
        forge(&bench, stored, codec);
        bench.reopen();
        let error = bench.read(content).unwrap_err();
        assert!(matches!(error, StoreError::ChunkDamaged { .. }), "{error}");
    }
}

#[test]
fn a_sealed_chunk_of_the_same_vault_cannot_stand_in_for_another() {
    let mut bench = Bench::new();
    let other = bench.write(&noise(5000, 2));
    bench.store().flush().unwrap();
    let bytes = fs::read(&bench.files("store")[0]).unwrap();
    let stored = &bytes[80..80 + 5000 + SEAL_BYTES];
    let mut victim = Bench::new();
    victim.config.key.clone_from(&bench.config.key);
    victim.facts = testing::Facts::default();
    fs::remove_dir_all(victim.directory.path().join("store")).unwrap();
    let content = {
        victim.reopen();
        victim.write(&noise(5000, 1))
    };
    victim.store().flush().unwrap();
    forge(&victim, stored, Codec::Sealed);
    victim.reopen();
    let error = victim.read(content).unwrap_err();
    assert!(matches!(error, StoreError::ChunkDamaged { .. }), "{error}");
    bench.reopen();
    assert_eq!(bench.read(other).unwrap(), noise(5000, 2));
}

#[test]
fn another_key_and_no_key_are_refused_and_nothing_is_changed() {
    let mut bench = Bench::new();
    let content = bench.write(&noise(5000, 1));
    bench.close();
    let before: Vec<_> = bench
        .files("spool")
        .iter()
        .map(fs::read)
        .map(Result::unwrap)
        .collect();
    let said = refusal(&bench, Some(vault_key()));
    assert!(said.contains("is not sealed with this key"), "{said}");
    let said = refusal(&bench, None);
    assert!(said.contains("put [encryption] back"), "{said}");
    let after: Vec<_> = bench
        .files("spool")
        .iter()
        .map(fs::read)
        .map(Result::unwrap)
        .collect();
    assert_eq!(before, after);
    bench.reopen();
    assert_eq!(bench.store().recovered_damage(), []);
    assert_eq!(bench.read(content).unwrap(), noise(5000, 1));
}

#[test]
fn a_store_that_is_not_encrypted_stays_so() {
    let mut bench = testing::Bench::new();
    bench.write(b"plain");
    bench.close();
    let said = refusal(&bench, Some(vault_key()));
    assert!(said.contains("packs that are not encrypted"), "{said}");
    assert!(!bench.directory.path().join("store").join(KEY_NAME).exists());
}

#[test]
fn a_catalog_that_was_rebuilt_without_its_settings_takes_the_key_that_its_chunks_have() {
    let mut bench = Bench::new();
    let content = bench.write(&noise(5000, 1));
    bench.close();
    let mut catalog = bench.facts.clone();
    catalog.set_setting("store_key", None).unwrap();
    bench.reopen();
    assert_eq!(bench.read(content).unwrap(), noise(5000, 1));
    assert!(catalog.setting("store_key").unwrap().is_some());
}

#[test]
fn a_key_document_in_the_store_must_be_the_vaults_own() {
    let mut bench = Bench::new();
    bench.close();
    let copy = bench.directory.path().join("store").join(KEY_NAME);
    let own = fs::read(&copy).unwrap();
    assert_eq!(
        own,
        bench.config.key.as_ref().unwrap().document().to_bytes()
    );

    fs::remove_file(&copy).unwrap();
    fs::write(&copy, vault_key().document().to_bytes()).unwrap();
    let key = bench.config.key.clone();
    let said = refusal(&bench, key.clone());
    assert!(said.contains("key.json of another vault"), "{said}");

    fs::remove_file(&copy).unwrap();
    let said = refusal(&bench, key);
    assert!(said.contains("has lost its key.json"), "{said}");

    fs::write(&copy, &own).unwrap();
    let mut catalog = bench.facts.clone();
    catalog.set_setting("store_key", None).unwrap();
    let said = refusal(&bench, None);
    assert!(said.contains("has a key.json"), "{said}");
    bench.reopen();
}

#[test]
fn a_changed_passphrase_reaches_the_store_and_a_lost_vault_is_opened_from_there() {
    let mut bench = Bench::new();
    let content = bench.write(&noise(5000, 1));
    let passphrase = |text: &str| Secret::passphrase(text.to_owned().into(), "a test").unwrap();
    let key = bench.config.key.take().unwrap();
    let recovery = key.recovery_text();
    let key = key.wrapped_by(&passphrase("correct horse")).unwrap();
    bench.config.key = Some(key);
    bench.reopen();
    let document = key_document_at(&bench.config.place).unwrap().unwrap();
    assert!(document.is_by_passphrase());
    let wrong = document.unlock(&passphrase("wrong horse"), KEY_NAME);
    assert!(
        matches!(wrong, Err(StoreError::WrongKey { .. })),
        "{wrong:?}"
    );
    let recovery = Secret::from_recovery_text(&recovery, "a test").unwrap();
    for secret in [passphrase("correct horse"), recovery] {
        bench.config.key = Some(document.unlock(&secret, KEY_NAME).unwrap());
        bench.reopen();
        assert_eq!(bench.read(content).unwrap(), noise(5000, 1));
    }
}

#[test]
fn any_changed_byte_of_a_key_document_is_told_and_opens_nothing() {
    let secret = Secret::KeyFile(zeroize::Zeroizing::new([9; 32]));
    let bytes = VaultKey::new(&secret).unwrap().document().to_bytes();
    for at in 0..bytes.len() - 1 {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        let opened = KeyDocument::parse(&changed, KEY_NAME)
            .and_then(|document| document.unlock(&secret, KEY_NAME));
        // What JSON does not mind, as another case of a space.
        if let Ok(opened) = opened {
            assert_eq!(opened.document().to_bytes(), bytes, "byte {at}");
        }
    }
    for hostile in ["", "{}", "[]", "{\"format\":1}", "null"] {
        let error = KeyDocument::parse(hostile.as_bytes(), KEY_NAME).unwrap_err();
        assert!(
            error.to_string().contains("is not what keepfs wrote"),
            "{error}"
        );
    }
    let error = KeyDocument::parse(b"{\"format\":2}", KEY_NAME).unwrap_err();
    assert!(error.to_string().contains("update keepfs"), "{error}");
}

#[test]
fn the_catalog_finds_contents_by_their_own_hash_and_chunks_by_their_keyed_one() {
    let bench = Bench::new();
    bench.write(b"small");
    let shared: SharedCatalog = bench.facts.shared();
    let mut catalog = shared.lock().unwrap();
    let plain = ChunkHash(*blake3::hash(b"small").as_bytes());
    assert!(catalog.content_by_hash(&plain, 5).unwrap().is_some());
    assert_eq!(catalog.chunk(&plain).unwrap(), None);
}
