//! Damaged packs are made whole from wherever their bytes still are, and a sample of
//! the packs is read in turn.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::Bench;
use crate::catalog::Catalog;
use crate::model::{ContentId, PackId, VersionSeq};
use crate::store::backend::Backend;
use crate::store::testing::noise;
use crate::store::tests::damage::writable;
use crate::store::{CheckDepth, Orphan, Sampled, Share, StoreError, Tail};

/// Repairs what a check finds, with these contents to search. Returns the lost chunks.
fn repair(bench: &Bench, depth: CheckDepth, contents: &[&[u8]]) -> usize {
    let damages = bench.damages(depth);
    let packs = damages.iter().map(|damage| damage.pack).collect();
    let mut repair = bench.store().repair(&packs).unwrap();
    for content in contents {
        repair.look_in(&mut { *content }, Tail::Whole).unwrap();
    }
    repair.finish().unwrap().len()
}

fn flip(file: &Path, at: u64) {
    let file = writable(file);
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 1], at).unwrap();
}

fn cut(file: &Path, bytes: u64) {
    writable(file).set_len(bytes).unwrap();
}

/// Three contents of 10,000 bytes in one pack, each a record of 10,048 behind 32 bytes.
fn three() -> (Bench, [ContentId; 3]) {
    let mut bench = Bench::new();
    let contents = [1, 2, 3].map(|seed| bench.write(&noise(10_000, seed)));
    bench.store().flush().unwrap();
    bench.reopen();
    (bench, contents)
}

fn assert_whole(bench: &mut Bench, contents: &[ContentId]) {
    for _ in 0..2 {
        assert_eq!(bench.damages(CheckDepth::ReadData), []);
        for (content, seed) in contents.iter().zip(1..) {
            assert_eq!(bench.read(*content).unwrap(), noise(10_000, seed));
        }
        bench.facts.assert_consistent();
        bench.reopen();
    }
}

#[test]
fn a_flipped_bit_a_cut_pack_and_a_missing_one_are_repaired_from_the_same_content() {
    let damages: [fn(&Path); 3] = [
        |file| flip(file, 15_000),
        |file| cut(file, 15_000),
        |file| fs::remove_file(file).unwrap(),
    ];
    for damage in damages {
        let (mut bench, contents) = three();
        let file = bench.files("store")[0].clone();
        damage(&file);
        let sources = [1, 2, 3].map(|seed| noise(10_000, seed));
        let sources: Vec<&[u8]> = sources.iter().map(|source| &source[..]).collect();
        assert_eq!(repair(&bench, CheckDepth::ReadData, &sources), 0);
        assert!(!file.exists(), "the damaged pack is gone");
        assert_whole(&mut bench, &contents);
    }
}

#[test]
fn a_chunk_is_found_in_a_content_that_changed_around_it() {
    let mut bench = Bench::new();
    let source = noise(16 << 20, 1);
    let content = bench.write(&source);
    bench.store().flush().unwrap();
    // Where the changed content is cut as before again, after some chunks, and before its end.
    // Which chunks those are is drawn with the key of an encrypted vault.
    let chunks = bench.facts.content_chunks(content).unwrap();
    let middle = chunks[chunks.len() - 3];
    let is_its_pack = |file: &&PathBuf| file.to_string_lossy().contains(&middle.pack.to_string());
    let file = bench
        .files("store")
        .iter()
        .find(is_its_pack)
        .unwrap()
        .clone();
    flip(&file, middle.offset + 1000);
    bench.reopen();
    let changed = [&noise(5_000, 9)[..], &source, &noise(70_000, 10)].concat();
    assert_eq!(repair(&bench, CheckDepth::ReadData, &[&changed]), 0);
    assert_eq!(bench.damages(CheckDepth::ReadData), []);
    assert_eq!(bench.read(content).unwrap(), source);
}

#[test]
fn what_readers_have_in_memory_repairs_a_pack_without_any_other_source() {
    let (mut bench, contents) = three();
    for content in contents {
        bench.read(content).unwrap();
    }
    fs::remove_file(&bench.files("store")[0]).unwrap();
    assert_eq!(repair(&bench, CheckDepth::Listing, &[]), 0);
    assert_whole(&mut bench, &contents);
}

#[test]
fn damage_around_the_chunks_is_repaired_from_the_pack_itself() {
    // Header, head of a record, table, trailer.
    let from_the_end = |bytes| move |file: &Path| fs::metadata(file).unwrap().len() - bytes;
    let places: [&dyn Fn(&Path) -> u64; 4] =
        [&|_| 3, &|_| 33, &from_the_end(208), &from_the_end(9)];
    for (at, place) in places.iter().enumerate() {
        let (mut bench, contents) = three();
        let file = bench.files("store")[0].clone();
        flip(&file, place(&file));
        assert_eq!(bench.damages(CheckDepth::ReadData).len(), 1, "place {at}");
        assert_eq!(repair(&bench, CheckDepth::ReadData, &[]), 0, "place {at}");
        assert_whole(&mut bench, &contents);
    }
}

#[test]
fn what_is_lost_stays_named_and_the_rest_of_its_pack_is_saved() {
    let (mut bench, contents) = three();
    let file = bench.files("store")[0].clone();
    let whole = fs::read(&file).unwrap();
    cut(&file, 15_000);
    // The first is in the part that is left, the third in the content, the second nowhere.
    let lost = repair(&bench, CheckDepth::Listing, &[&noise(10_000, 3)]);
    assert_eq!(lost, 1);
    for _ in 0..2 {
        let [damage] = &bench.damages(CheckDepth::ReadData)[..] else {
            panic!()
        };
        assert_eq!(damage.versions, [VersionSeq(contents[1].0)]);
        assert!(matches!(
            bench.read(contents[1]),
            Err(StoreError::PackDamaged { .. })
        ));
        bench.reopen();
    }
    // The pack stayed where it was: put back from a copy it brings the chunk back.
    fs::remove_file(&file).unwrap();
    fs::write(&file, whole).unwrap();
    bench.reopen();
    assert_whole(&mut bench, &contents);
}

#[test]
fn a_damaged_chunk_that_nothing_needs_is_forgotten() {
    let (mut bench, contents) = three();
    let mut catalog = bench.facts.clone();
    catalog.remove_version(VersionSeq(contents[2].0)).unwrap();
    fs::remove_file(&bench.files("store")[0]).unwrap();
    let sources = [noise(10_000, 1), noise(10_000, 2)];
    let lost = repair(&bench, CheckDepth::Listing, &[&sources[0], &sources[1]]);
    assert_eq!(lost, 0);
    assert_whole(&mut bench, &contents[..2]);
    assert_eq!(bench.facts.chunk_count(), 2);
}

#[test]
fn a_content_that_cannot_be_read_to_its_end_gives_what_it_gave() {
    struct Failing<'a>(&'a [u8]);
    impl std::io::Read for Failing<'_> {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other(String::from_utf8_lossy(self.0)))
        }
    }
    let (mut bench, contents) = three();
    flip(&bench.files("store")[0], 15_000);
    let pack = bench.damages(CheckDepth::ReadData)[0].pack;
    let mut repair = bench.store().repair(&[pack].into()).unwrap();
    let error = repair
        .look_in(&mut Failing(b"a bad sector"), Tail::Whole)
        .unwrap_err();
    assert!(matches!(error, StoreError::Source(_)), "{error}");
    assert_eq!(repair.missing().len(), 1);
    repair
        .look_in(&mut &noise(10_000, 2)[..], Tail::Whole)
        .unwrap();
    assert_eq!(repair.finish().unwrap().len(), 0);
    assert_whole(&mut bench, &contents);
}

#[test]
fn a_pack_that_the_catalog_does_not_know_is_an_orphan_and_no_damage() {
    let (bench, _) = three();
    let stranger = PackId([7; 16]);
    let backend = Backend::open(&bench.config.place, false).unwrap();
    backend.put(stranger, b"whatever".to_vec()).unwrap();
    let found = bench
        .store()
        .check(CheckDepth::ReadData, &mut |_, _| {})
        .unwrap();
    let orphan = Orphan {
        pack: stranger,
        bytes: 8,
    };
    assert_eq!((found.damages, found.orphans), (Vec::new(), vec![orphan]));
    assert_eq!(backend.pack_bytes(stranger).unwrap(), Some(8), "left alone");
}

fn sample(bench: &Bench, share: &str) -> (Sampled, Vec<PackId>) {
    let share: Share = share.parse().unwrap();
    let found = bench
        .store()
        .check(CheckDepth::Sample(share), &mut |_, _| {})
        .unwrap();
    let damaged = found.damages.iter().map(|damage| damage.pack).collect();
    (found.sampled.unwrap(), damaged)
}

#[test]
fn samples_read_every_pack_in_turn_across_restarts_and_while_packs_come() {
    let mut bench = Bench::with_pack_bytes(64 << 10);
    for seed in 0..20 {
        bench.write(&noise(60_000, seed));
        bench.store().flush().unwrap();
    }
    // Damage that only reading shows: who finds it has read the pack.
    for file in bench.files("store") {
        flip(&file, 1000);
    }
    let all: BTreeSet<PackId> = bench.facts.all_packs().iter().map(|p| p.id).collect();
    assert_eq!(all.len(), 20);
    let mut read = BTreeSet::new();
    for run in 0..10 {
        let (sampled, damaged) = sample(&bench, "10%");
        assert_eq!((sampled.packs, sampled.packs_total), (2, 20), "run {run}");
        assert_eq!(damaged.len(), 2);
        assert!(damaged.iter().all(|pack| read.insert(*pack)), "run {run}");
        bench.reopen();
    }
    assert_eq!(read, all);
    // The ring goes on, with packs that came meanwhile; a tiny share is one pack.
    bench.write(&noise(60_000, 99));
    bench.store().flush().unwrap();
    let (sampled, _) = sample(&bench, "0.0001%");
    assert_eq!((sampled.packs, sampled.packs_total), (1, 21));
    let (sampled, damaged) = sample(&bench, "100%");
    assert_eq!((sampled.packs, damaged.len()), (21, 20));
}

#[test]
fn a_sample_of_an_empty_store_reads_nothing() {
    let (sampled, damaged) = sample(&Bench::new(), "1%");
    assert_eq!((sampled.packs, sampled.bytes, damaged.len()), (0, 0, 0));
}
