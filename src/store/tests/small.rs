//! Many small contents at once: each is stored once, whoever else stores it.

use std::sync::atomic::Ordering;

use super::super::testing::{Bench, noise, text, vault_key};
use crate::store::{AtBound, CheckDepth, StoreError, Tail};

fn sources(count: u64) -> Vec<Vec<u8>> {
    let source = |seed| match seed % 2 {
        0 => noise(50 + seed as usize * 37, seed),
        _ => text(50 + seed as usize * 37, seed),
    };
    (0..count).map(source).collect()
}

fn slices(sources: &[Vec<u8>]) -> Vec<&[u8]> {
    sources.iter().map(Vec::as_slice).collect()
}

#[test]
fn many_contents_at_once_come_back_whole_with_and_without_a_key() {
    for key in [None, Some(vault_key())] {
        let mut bench = Bench::with(64 << 10, key);
        let sources = sources(200);
        let mut contents = Vec::new();
        for some in sources.chunks(30) {
            let written = bench.store().write_small(&slices(some), AtBound::Wait);
            for (source, written) in some.iter().zip(written.unwrap()) {
                let written = written.expect("new");
                assert_eq!(written.blake3.0, *blake3::hash(source).as_bytes());
                assert_eq!((written.size, written.new_bytes), {
                    let bytes = source.len() as u64;
                    (bytes, bytes)
                });
                contents.push(written.content);
            }
        }
        for round in ["open", "reopened"] {
            for (source, content) in sources.iter().zip(&contents) {
                assert_eq!(bench.read(*content).unwrap(), *source, "{round}");
            }
            bench.store().flush().unwrap();
            bench.reopen();
        }
        assert_eq!(bench.damages(CheckDepth::ReadData), []);
        bench.facts.assert_consistent();
    }
}

#[test]
fn what_is_long_empty_known_or_twice_there_is_left_alone() {
    let bench = Bench::new();
    let known = bench.write(b"known");
    let long = noise((256 << 10) + 1, 1);
    let contents: [&[u8]; 6] = [b"known", b"", &long, b"twice", b"twice", b"new"];
    let written = bench.store().write_small(&contents, AtBound::Wait).unwrap();
    let is_written: Vec<bool> = written.iter().map(Option::is_some).collect();
    assert_eq!(is_written, [false, false, false, true, false, true]);
    let again = bench
        .store()
        .write(&mut &b"twice"[..], Tail::Whole, AtBound::Wait)
        .unwrap();
    assert_eq!(
        Some(again.content),
        written[3].map(|written| written.content)
    );
    assert_eq!(again.new_bytes, 0);
    assert_eq!(bench.write(b"known"), known);
    bench.facts.assert_consistent();
}

#[test]
fn equal_contents_from_many_threads_are_stored_once() {
    let bench = Bench::with_pack_bytes(64 << 10);
    let sources = sources(300);
    let new_bytes: u64 = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut new_bytes = 0;
                    for some in sources.chunks(20) {
                        let some = slices(some);
                        let written = bench.store().write_small(&some, AtBound::Wait).unwrap();
                        for (mut source, written) in some.into_iter().zip(written) {
                            let written = written.unwrap_or_else(|| {
                                let store = bench.store();
                                store
                                    .write(&mut source, Tail::Whole, AtBound::Wait)
                                    .unwrap()
                            });
                            new_bytes += written.new_bytes;
                        }
                    }
                    new_bytes
                })
            })
            .collect();
        writers.into_iter().map(|w| w.join().unwrap()).sum()
    });
    let all: usize = sources.iter().map(Vec::len).sum();
    assert_eq!(new_bytes, all as u64);
    bench.store().flush().unwrap();
    assert_eq!(bench.damages(CheckDepth::ReadData), []);
    bench.facts.assert_consistent();
}

#[test]
fn a_full_disk_takes_back_all_of_them() {
    let bench = Bench::new();
    bench.write(b"before");
    let limit = &bench.store().shared.open_packs.file_bytes_max;
    limit.store(5_000, Ordering::SeqCst);
    let sources = sources(40);
    let refused = bench.store().write_small(&slices(&sources), AtBound::Wait);
    assert!(
        matches!(refused, Err(StoreError::Full { .. })),
        "{refused:?}"
    );
    bench.facts.assert_consistent();
    limit.store(u64::MAX, Ordering::SeqCst);
    let written = bench.store().write_small(&slices(&sources), AtBound::Wait);
    for (source, written) in sources.iter().zip(written.unwrap()) {
        assert_eq!(bench.read(written.unwrap().content).unwrap(), *source);
    }
    bench.store().flush().unwrap();
    assert_eq!(bench.damages(CheckDepth::ReadData), []);
    bench.facts.assert_consistent();
}
