//! What a store promises, on real files: contents come back whole, once, and checked.
//!
//! Crashes are in `tests/crash.rs`, damage in `tests/damage.rs` and `tests/repair.rs`,
//! removal in `tests/removal.rs`, packs of a rebuilt catalog in `tests/reconcile.rs`, the catalog's failures in `tests/uncommitted.rs`, moving the
//! store in `tests/migrate.rs`, encryption, its journal, its writer and its cache in files of these
//! names, a store whose disk is away in `tests/gone.rs`, an older catalog in `tests/older.rs`, a journal that lost
//! something in `tests/gaps.rs`, many small contents at once in `tests/small.rs`, what a store might do on purpose in
//! `tests/hostile.rs`.

mod crash;
mod damage;
mod disk_cache;
mod encrypted;
mod gaps;
mod gone;
mod hostile;
mod journal;
mod lease;
mod migrate;
mod older;
mod reconcile;
mod records;
mod removal;
mod repair;
mod small;
mod uncommitted;

use std::io;

use proptest::prelude::*;

use super::testing::{Bench, noise, text};
use super::{CheckDepth, StoreError};
use crate::store::{AtBound, Tail};

#[test]
fn contents_of_any_size_come_back_whole_before_and_after_their_pack_is_stored() {
    let mut bench = Bench::with_pack_bytes(4 << 20);
    let sizes = [
        0,
        1,
        63,
        64,
        1000,
        65_536,
        262_143,
        262_144,
        262_145,
        1 << 20,
        5_000_001,
        30_000_000,
    ];
    let sources: Vec<_> = sizes
        .iter()
        .enumerate()
        .flat_map(|(seed, &bytes)| [noise(bytes, seed as u64), text(bytes, seed as u64)])
        .collect();
    let contents: Vec<_> = sources.iter().map(|source| bench.write(source)).collect();
    for round in ["open", "flushed", "reopened"] {
        for (source, content) in sources.iter().zip(&contents) {
            assert_eq!(bench.read(*content).unwrap(), *source, "{round}");
        }
        match round {
            "open" => bench.store().flush().unwrap(),
            _ => drop(bench.reopen()),
        }
    }
    assert!(bench.files("spool").is_empty());
    assert_eq!(bench.damages(CheckDepth::ReadData), []);
    bench.facts.assert_consistent();
}

#[test]
fn equal_contents_and_equal_chunks_are_stored_once() {
    let bench = Bench::new();
    let source = noise(20 << 20, 1);
    let first = bench
        .store()
        .write(&mut &source[..], Tail::Whole, AtBound::Wait)
        .unwrap();
    assert_eq!(first.new_bytes, 20 << 20);
    let again = bench
        .store()
        .write(&mut &source[..], Tail::Whole, AtBound::Wait)
        .unwrap();
    assert_eq!((again.content, again.new_bytes), (first.content, 0));
    let small = bench
        .store()
        .write(&mut &b"small"[..], Tail::Whole, AtBound::Wait)
        .unwrap();
    assert_eq!(small.new_bytes, 5);
    assert_eq!(
        bench
            .store()
            .write(&mut &b"small"[..], Tail::Whole, AtBound::Wait)
            .unwrap()
            .new_bytes,
        0
    );
}

#[test]
fn a_line_appended_to_a_long_file_costs_about_a_chunk() {
    let bench = Bench::new();
    let mut source = noise(40 << 20, 1);
    bench.write(&source);
    source.extend_from_slice(b"one more line\n");
    let written = bench
        .store()
        .write(&mut &source[..], Tail::Whole, AtBound::Wait)
        .unwrap();
    assert!(written.new_bytes <= 4 << 20, "{}", written.new_bytes);
    assert_eq!(bench.read(written.content).unwrap(), source);
    source.splice(1000..1000, *b"inserted");
    let written = bench
        .store()
        .write(&mut &source[..], Tail::Whole, AtBound::Wait)
        .unwrap();
    assert!(written.new_bytes <= 8 << 20, "{}", written.new_bytes);
    assert_eq!(bench.read(written.content).unwrap(), source);
}

#[test]
fn many_small_contents_share_few_packs() {
    let bench = Bench::with_pack_bytes(1 << 20);
    let contents: Vec<_> = (0..2000)
        .map(|seed| bench.write(&noise(1000 + seed as usize, seed)))
        .collect();
    bench.store().flush().unwrap();
    let packs = bench.files("store").len();
    assert!((3..=5).contains(&packs), "{packs}");
    assert_eq!(bench.read(contents[77]).unwrap(), noise(1077, 77));
}

#[test]
fn several_threads_write_the_same_content_and_it_is_stored_once() {
    let bench = Bench::with_pack_bytes(2 << 20);
    let long = noise(12 << 20, 5);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let content = bench.write(&long);
                for seed in 0..50 {
                    bench.write(&text(3000, seed));
                }
                assert_eq!(bench.read(content).unwrap(), long);
            });
        }
    });
    bench.store().flush().unwrap();
    let stored: u64 = bench.facts.all_packs().iter().map(|pack| pack.bytes).sum();
    assert!(stored < (12 << 20) + (1 << 20), "{stored}");
    assert_eq!(bench.damages(CheckDepth::ReadData), []);
    bench.facts.assert_consistent();
}

#[test]
fn a_source_that_fails_makes_no_content_and_is_told_apart() {
    struct Failing(usize);
    impl io::Read for Failing {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let bytes = buffer.len().min(self.0);
            self.0 -= bytes;
            match bytes {
                0 => Err(io::Error::other("gone")),
                _ => Ok(bytes),
            }
        }
    }
    let bench = Bench::new();
    for good_bytes in [0, 1000, 3 << 20, 20 << 20] {
        let error = bench
            .store()
            .write(&mut Failing(good_bytes), Tail::Whole, AtBound::Wait)
            .unwrap_err();
        assert!(matches!(error, StoreError::Source(_)), "{error}");
    }
    let source = noise(20 << 20, 2);
    let content = bench.write(&source);
    assert_eq!(bench.read(content).unwrap(), source);
}

#[test]
fn readers_go_on_while_packs_move_from_the_spool_to_the_store_and_on() {
    let mut bench = Bench::with_pack_bytes(3 << 20);
    bench.config.cache_bytes_max = 0;
    bench.reopen();
    let doomed = bench.write(&noise(3 << 20, 8));
    let source = noise(8 << 20, 9);
    let content = bench.write(&source);
    let reader = bench.store().reader(content).unwrap();
    let mut buffer = vec![0; 1 << 20];
    for round in 0..8 {
        match round {
            2 => bench.store().flush().unwrap(),
            4 => {
                bench
                    .facts
                    .shared()
                    .lock()
                    .unwrap()
                    .remove_version(crate::model::VersionSeq(doomed.0))
                    .unwrap();
                assert!(bench.store().reclaim().unwrap() > 2 << 20);
            }
            _ => {}
        }
        let offset = round << 20;
        assert_eq!(reader.read_at(offset, &mut buffer).unwrap(), 1 << 20);
        assert!(
            buffer == source[offset as usize..][..1 << 20],
            "round {round}"
        );
    }
}

#[test]
fn a_pack_can_be_read_without_the_catalog() {
    use super::pack;
    let coding = super::codec::Coding::new(None);
    let bench = Bench::new();
    let source = noise(3 << 20, 1);
    bench.write(&source);
    bench.write(b"a small one");
    bench.store().flush().unwrap();
    let [file] = &bench.files("store")[..] else {
        panic!()
    };
    let bytes = std::fs::read(file).unwrap();
    let id = file.file_stem().unwrap().to_str().unwrap().parse().unwrap();
    assert!(pack::has_header(&bytes, id));
    let (rest, trailer) = bytes.split_at(bytes.len() - pack::TRAILER_BYTES as usize);
    let span = pack::TableSpan::from_trailer(trailer, bytes.len() as u64).unwrap();
    let entries = span.entries(&rest[span.offset as usize..], id).unwrap();
    let mut plain = Vec::new();
    let mut at = pack::HEADER_BYTES;
    for entry in &entries {
        assert_eq!(pack::record_at(&bytes, at, id).as_ref(), Some(entry));
        let end = super::spool_pack::end_of(entry);
        let stored = bytes[entry.offset as usize..end as usize].to_vec();
        plain.extend(coding.decode(entry, stored).unwrap());
        at = end;
    }
    assert_eq!(at, span.offset);
    assert_eq!(plain, [&source[..], b"a small one"].concat());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn any_range_reads_as_the_source_has_it(
        bytes in 0_usize..6_000_000,
        ranges in proptest::collection::vec((0_u64..7_000_000, 0_usize..3_000_000), 1..30),
        cache_bytes_max in prop_oneof![Just(0), Just(2 << 20), Just(64 << 20)],
        is_flushed: bool,
    ) {
        let mut bench = Bench::with_pack_bytes(2 << 20);
        bench.config.cache_bytes_max = cache_bytes_max;
        bench.reopen();
        let source = [text(bytes / 2, 1), noise(bytes - bytes / 2, 2)].concat();
        let content = bench.write(&source);
        if is_flushed {
            bench.store().flush().unwrap();
        }
        let reader = bench.store().reader(content).unwrap();
        prop_assert_eq!(reader.size(), bytes as u64);
        let mut buffer = vec![0; 3_000_000];
        for (offset, wanted) in ranges {
            let read = reader.read_at(offset, &mut buffer[..wanted]).unwrap();
            let expected = source.get(offset as usize..).unwrap_or_default();
            let expected = &expected[..wanted.min(expected.len())];
            prop_assert!(&buffer[..read] == expected, "{}+{}", offset, wanted);
        }
    }
}
