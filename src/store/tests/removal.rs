//! What nothing refers to can be removed for good, and small packs become few.

use super::Bench;
use crate::catalog::Catalog;
use crate::model::{ContentId, VersionSeq};
use crate::store::CheckDepth;
use crate::store::testing::noise;
use crate::store::{AtBound, Tail};

pub(super) fn remove(bench: &Bench, content: ContentId) {
    let mut catalog = bench.facts.clone();
    catalog.remove_version(VersionSeq(content.0)).unwrap();
}

#[test]
fn reclaim_removes_the_bytes_themselves_and_nothing_else() {
    let mut bench = Bench::with_pack_bytes(1 << 20);
    let marker = b"the marker of a content to be forgotten";
    let kept: Vec<_> = (0..30).map(|s| bench.write(&noise(100_000, s))).collect();
    let doomed = bench.write(marker);
    let more = bench.write(&noise(100_000, 99));
    assert_eq!(bench.store().reclaim().unwrap(), 0);
    assert_eq!(bench.holds(marker), bench.seal_bytes() == 0);
    let packs_before = bench.facts.all_packs();
    remove(&bench, doomed);
    assert!(bench.store().reclaim().unwrap() >= marker.len() as u64);
    assert!(!bench.holds(marker));
    // Only the pack with the marker was rewritten.
    let packs = bench.facts.all_packs();
    let same = packs.iter().filter(|p| packs_before.contains(p)).count();
    assert_eq!(
        (same, packs.len()),
        (packs_before.len() - 1, packs_before.len())
    );
    for _ in 0..2 {
        for (seed, content) in kept.iter().enumerate() {
            assert_eq!(bench.read(*content).unwrap(), noise(100_000, seed as u64));
        }
        assert_eq!(bench.read(more).unwrap(), noise(100_000, 99));
        bench.reopen();
    }
    assert_eq!(bench.damages(CheckDepth::ReadData), []);
    bench.facts.assert_consistent();
}

#[test]
fn a_pack_with_nothing_alive_goes_without_a_successor() {
    let bench = Bench::new();
    let content = bench.write(&noise(100_000, 1));
    remove(&bench, content);
    assert!(bench.store().reclaim().unwrap() > 100_000);
    assert!(bench.files("store").is_empty() && bench.files("spool").is_empty());
    assert!(bench.facts.all_packs().is_empty());
    bench.write(&noise(100_000, 1));
}

#[test]
fn bytes_that_were_stored_anew_elsewhere_leave_the_old_pack_too() {
    use std::os::unix::fs::{FileExt, PermissionsExt};
    let mut bench = Bench::new();
    let marker = [&b"the marker of a damaged content"[..], &noise(90_000, 7)].concat();
    let content = bench.write(&marker);
    let other = bench.write(&noise(100_000, 1));
    bench.store().flush().unwrap();
    let [path] = &bench.files("store")[..] else {
        panic!()
    };
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
    let file = std::fs::File::options().write(true).open(path).unwrap();
    file.write_all_at(b"damage", 50_000).unwrap();
    bench.reopen();
    bench.read(content).unwrap_err();
    assert_eq!(bench.write(&marker), content);
    assert_eq!(bench.read(content).unwrap(), marker);
    remove(&bench, content);
    bench.store().reclaim().unwrap();
    assert!(!bench.holds(b"the marker of a damaged content"));
    assert_eq!(bench.read(other).unwrap(), noise(100_000, 1));
}

#[test]
fn a_damaged_chunk_that_readers_left_in_memory_is_whole_after_its_pack_was_rewritten() {
    use std::os::unix::fs::{FileExt, PermissionsExt};
    let mut bench = Bench::new();
    let doomed = bench.write(&noise(50_000, 1));
    let kept = bench.write(&noise(100_000, 2));
    bench.store().flush().unwrap();
    assert_eq!(bench.read(kept).unwrap(), noise(100_000, 2));
    let [path] = &bench.files("store")[..] else {
        panic!()
    };
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
    let file = std::fs::File::options().write(true).open(path).unwrap();
    file.write_all_at(b"damage", 100_000).unwrap();
    remove(&bench, doomed);
    bench.store().reclaim().unwrap();
    bench.reopen();
    assert_eq!(bench.read(kept).unwrap(), noise(100_000, 2));
    assert_eq!(bench.damages(CheckDepth::ReadData), []);
    bench.facts.assert_consistent();
}

#[test]
fn writes_and_reclaims_at_once_lose_nothing() {
    let bench = Bench::with_pack_bytes(1 << 20);
    std::thread::scope(|scope| {
        for thread in 0..2_u64 {
            let bench = &bench;
            scope.spawn(move || {
                for round in 0..40_u64 {
                    // The same few contents come, go and come back.
                    let source = noise(60_000, thread * 100 + round % 3);
                    let content = bench.write(&source);
                    assert_eq!(bench.read(content).unwrap(), source);
                    remove(bench, content);
                }
            });
        }
        scope.spawn(|| {
            for _ in 0..15 {
                bench.store().reclaim().unwrap();
            }
        });
    });
    bench.store().reclaim().unwrap();
    assert_eq!(bench.facts.chunk_count(), 0);
    assert!(bench.files("store").is_empty());
    bench.facts.assert_consistent();
}

#[test]
fn a_repack_rewrites_only_packs_with_too_small_a_share_alive() {
    let bench = Bench::with_pack_bytes(1 << 20);
    let contents: Vec<_> = (0..10).map(|s| bench.write(&noise(90_000, s))).collect();
    bench.store().flush().unwrap();
    let pack = bench.facts.all_packs();
    assert_eq!(pack.len(), 1);
    for content in &contents[..4] {
        remove(&bench, *content);
    }
    let kept = bench.store().repack(50).unwrap();
    assert_eq!(bench.facts.all_packs(), pack, "60 % of it are alive");
    assert_eq!(kept.freed_bytes, 0);
    assert!(kept.dead_bytes >= 4 * 90_000, "{kept:?}");
    remove(&bench, contents[4]);
    remove(&bench, contents[5]);
    let rewritten = bench.store().repack(50).unwrap();
    assert_ne!(bench.facts.all_packs(), pack);
    assert!(rewritten.freed_bytes >= 6 * 90_000, "{rewritten:?}");
    assert_eq!(rewritten.dead_bytes, 0);
    for (seed, content) in contents.iter().enumerate().skip(6) {
        assert_eq!(bench.read(*content).unwrap(), noise(90_000, seed as u64));
    }
    let found = bench.store().check(CheckDepth::ReadData, &mut |_, _| {});
    assert_eq!(found.unwrap().damages, []);
    bench.facts.assert_consistent();
}

#[test]
fn a_reader_keeps_the_bytes_of_a_removed_version_until_it_closes() {
    let bench = Bench::with_pack_bytes(1 << 20);
    let text = noise(600_000, 1);
    let content = bench.write(&text);
    let other = bench.write(&noise(90_000, 2));
    bench.store().flush().unwrap();
    let reader = bench.store().reader(content).unwrap();
    remove(&bench, content);
    let while_open = bench.store().repack(100).unwrap();
    assert_eq!(while_open.freed_bytes, 0);
    assert!(while_open.dead_bytes >= 600_000);
    let mut found = vec![0; text.len()];
    assert_eq!(reader.read_at(0, &mut found).unwrap(), text.len());
    assert_eq!(found, text);
    drop(reader);
    assert!(bench.store().repack(100).unwrap().freed_bytes >= 600_000);
    assert_eq!(bench.read(other).unwrap(), noise(90_000, 2));
}

#[test]
fn many_small_packs_become_one() {
    let mut bench = Bench::with_pack_bytes(1 << 20);
    let mut contents = Vec::new();
    for seed in 0..20 {
        if seed == 10 {
            assert_eq!(bench.store().merge_small_packs().unwrap(), 0);
        }
        contents.push(bench.write(&noise(10_000, seed)));
        bench.store().flush().unwrap();
    }
    assert_eq!(bench.files("store").len(), 20);
    assert_eq!(bench.store().merge_small_packs().unwrap(), 19);
    assert_eq!(bench.files("store").len(), 1);
    bench.reopen();
    for (seed, content) in contents.iter().enumerate() {
        assert_eq!(bench.read(*content).unwrap(), noise(10_000, seed as u64));
    }
    assert_eq!(bench.damages(CheckDepth::ReadData), []);
}

#[test]
fn reclaim_waits_for_a_write_that_relies_on_chunks_nothing_refers_to_yet() {
    use std::sync::mpsc;
    use std::time::Duration;

    /// Stops in the middle until it is told to go on.
    struct Stopping<'a> {
        rest: &'a [u8],
        reached: mpsc::Sender<()>,
        go_on: mpsc::Receiver<()>,
    }
    impl std::io::Read for Stopping<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            if self.rest.len() == 10 << 20 {
                self.reached.send(()).unwrap();
                self.go_on.recv().unwrap();
            }
            // Steps that meet the stop exactly, wherever the buffers end.
            let to_stop = self
                .rest
                .len()
                .checked_sub(10 << 20)
                .filter(|left| *left > 0);
            let bytes = buffer.len().min(to_stop.unwrap_or(self.rest.len()));
            let (head, rest) = self.rest.split_at(bytes);
            buffer[..bytes].copy_from_slice(head);
            self.rest = rest;
            Ok(bytes)
        }
    }

    let bench = Bench::with_pack_bytes(1 << 20);
    let source = noise(30 << 20, 1);
    let (reached, has_reached) = mpsc::channel();
    let (let_go, go_on) = mpsc::channel();
    std::thread::scope(|scope| {
        let bench = &bench;
        let source = &source;
        let write = scope.spawn(move || {
            let mut stopping = Stopping {
                rest: source,
                reached,
                go_on,
            };
            bench
                .store()
                .write(&mut stopping, Tail::Whole, AtBound::Wait)
                .unwrap()
                .content
        });
        has_reached.recv().unwrap();
        let reclaim = scope.spawn(|| bench.store().reclaim().unwrap());
        std::thread::sleep(Duration::from_millis(200));
        let was_finished = reclaim.is_finished();
        let_go.send(()).unwrap();
        assert!(!was_finished);
        let content = write.join().unwrap();
        // Nothing is dead any more; packs may have been joined.
        assert!(reclaim.join().unwrap() < 10_000);
        assert_eq!(bench.read(content).unwrap(), *source);
    });
}
