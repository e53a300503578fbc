//! A kill loses only what was not committed; a power failure loses bytes of the
//! spool, and then the versions are named and nothing new relies on them.

use std::fs::{self, File};
use std::path::PathBuf;

use super::Bench;
use crate::catalog::{Catalog, PackRecord, PackState};
use crate::model::{StorePlace, VersionSeq};
use crate::store::testing::noise;
use crate::store::{CheckDepth, StoreError};

fn spool_file(bench: &Bench) -> PathBuf {
    let files = bench.files("spool");
    assert_eq!(files.len(), 1);
    files[0].clone()
}

/// The versions that lost bytes, as the store was opened.
fn lost_versions(bench: &Bench) -> Vec<VersionSeq> {
    let damages = bench.store().recovered_damage().iter();
    let mut versions: Vec<_> = damages.flat_map(|d| d.versions.clone()).collect();
    versions.sort_unstable();
    versions
}

#[test]
fn an_open_pack_goes_on_growing_after_a_reopen() {
    let mut bench = Bench::new();
    let first = bench.write(&noise(1000, 1));
    bench.reopen();
    let second = bench.write(&noise(1000, 2));
    assert_eq!(bench.files("spool").len(), 1);
    bench.store().flush().unwrap();
    assert_eq!(bench.files("store").len(), 1);
    assert_eq!(bench.read(first).unwrap(), noise(1000, 1));
    assert_eq!(bench.read(second).unwrap(), noise(1000, 2));
    assert_eq!(bench.store().recovered_damage(), []);
}

#[test]
fn rows_that_a_kill_took_take_their_bytes_along() {
    let mut bench = Bench::new();
    let kept = bench.write(&noise(1000, 1));
    bench.facts.commit_now();
    let marker = b"a marker that must not stay anywhere";
    bench.write(marker);
    bench.close();
    bench.facts.lose_uncommitted();
    bench.reopen();
    assert!(!bench.holds(marker));
    assert_eq!(bench.read(kept).unwrap(), noise(1000, 1));
    bench.write(b"something new");
    assert_eq!(bench.damages(CheckDepth::ReadData), []);
}

#[test]
fn a_pack_that_the_catalog_never_heard_of_is_removed_from_spool_and_store() {
    let mut bench = Bench::new();
    let kept = bench.write(&noise(1000, 1));
    bench.store().flush().unwrap();
    bench.facts.commit_now();
    let marker = b"a marker that must not stay anywhere";
    bench.write(marker);
    let sign = spool_file(&bench);
    let bytes = fs::read(&sign).unwrap();
    bench.store().flush().unwrap();
    bench.close();
    // As after a kill between the put and the commit.
    fs::write(&sign, bytes).unwrap();
    let stem = sign.file_stem().unwrap().to_str().unwrap();
    bench
        .facts
        .shared()
        .lock()
        .unwrap()
        .remove_version(VersionSeq(2))
        .unwrap();
    let id = stem.parse().unwrap();
    let mut catalog = bench.facts.clone();
    catalog.remove_dead_chunks(id).unwrap();
    catalog.remove_pack(id).unwrap();
    bench.reopen();
    assert!(!bench.holds(marker));
    assert_eq!(bench.read(kept).unwrap(), noise(1000, 1));
}

#[test]
fn whatever_part_of_the_spool_file_is_lost_only_its_versions_are_and_writing_heals_them() {
    let sources: Vec<_> = (0..4).map(|seed| noise(1000 + seed, seed as u64)).collect();
    let seal_bytes = Bench::new().seal_bytes();
    let record = |index: usize| 48 + 1000 + index as u64 + seal_bytes;
    let ends: Vec<u64> = (0..5)
        .map(|count| 32 + (0..count).map(record).sum::<u64>())
        .collect();
    let mut cuts = ends.clone();
    cuts.extend(ends.iter().flat_map(|end| [end + 1, end + 48, end + 500]));
    cuts.extend([0, 7, 31]);
    for cut in cuts.into_iter().filter(|cut| *cut <= ends[4]) {
        let mut bench = Bench::new();
        let contents: Vec<_> = sources.iter().map(|source| bench.write(source)).collect();
        bench.close();
        let path = spool_file(&bench);
        File::options()
            .write(true)
            .open(&path)
            .unwrap()
            .set_len(cut)
            .unwrap();

        // The second opening finds the same as the first: what is lost stays known.
        for _ in 0..2 {
            bench.reopen();
            let whole = ends[1..].iter().filter(|end| **end <= cut).count();
            let lost: Vec<_> = contents[whole..].iter().map(|c| VersionSeq(c.0)).collect();
            assert_eq!(lost_versions(&bench), lost, "cut at {cut}");
            for (index, content) in contents.iter().enumerate() {
                match bench.read(*content) {
                    Ok(bytes) => assert!(index < whole && bytes == sources[index]),
                    Err(StoreError::PackMissing { .. }) => assert!(index >= whole),
                    Err(error) => panic!("{error}"),
                }
            }
            let damages = bench.damages(CheckDepth::Listing);
            assert_eq!(damages.len(), usize::from(whole < 4));
        }
        for (source, content) in sources.iter().zip(&contents) {
            assert_eq!(bench.write(source), *content);
            assert_eq!(bench.read(*content).unwrap(), *source);
        }
        bench.store().reclaim().unwrap();
        bench.reopen();
        assert_eq!(bench.store().recovered_damage(), []);
        for (source, content) in sources.iter().zip(&contents) {
            assert_eq!(bench.read(*content).unwrap(), *source);
        }
        assert!(
            bench
                .facts
                .all_packs()
                .iter()
                .all(|p| p.state == PackState::Stored)
        );
        assert_eq!(bench.damages(CheckDepth::ReadData), []);
    }
}

#[test]
fn bytes_that_reached_the_disk_as_zeros_are_lost_bytes() {
    let mut bench = Bench::new();
    let contents: Vec<_> = (0..3).map(|seed| bench.write(&noise(5000, seed))).collect();
    bench.close();
    let path = spool_file(&bench);
    let mut bytes = fs::read(&path).unwrap();
    let middle = 32 + 5048 + bench.seal_bytes() as usize;
    bytes[middle + 100..middle + 4196].fill(0);
    fs::write(&path, bytes).unwrap();
    bench.reopen();
    assert_eq!(lost_versions(&bench), [VersionSeq(contents[1].0)]);
    assert_eq!(bench.read(contents[0]).unwrap(), noise(5000, 0));
    assert_eq!(bench.read(contents[2]).unwrap(), noise(5000, 2));
    bench.read(contents[1]).unwrap_err();
}

#[test]
fn a_pack_that_was_put_before_its_row_said_so_is_adopted() {
    let mut bench = Bench::new();
    let content = bench.write(&noise(50_000, 1));
    bench.facts.commit_now();
    let second = bench.write(&noise(50_000, 2));
    let id = bench.facts.all_packs()[0].id;
    bench.store().flush().unwrap();
    bench.close();
    // As after a power failure that took the rows of the second chunk and the state.
    let mut catalog = bench.facts.clone();
    catalog.remove_version(VersionSeq(second.0)).unwrap();
    catalog.remove_dead_chunks(id).unwrap();
    let open = PackRecord {
        id,
        state: PackState::Open,
        bytes: 0,
    };
    catalog.set_pack(&open).unwrap();
    fs::write(bench.directory.path().join(format!("spool/{id}.open")), b"").unwrap();
    bench.reopen();
    assert_eq!(bench.store().recovered_damage(), []);
    assert!(bench.files("spool").is_empty());
    assert_eq!(bench.read(content).unwrap(), noise(50_000, 1));
    // The bytes without a row got one, so that a reclaim removes them.
    assert_eq!(bench.facts.chunk_count(), 2);
    bench.store().reclaim().unwrap();
    assert!(!bench.holds(&noise(50_000, 2)[..64]));
    assert_eq!(bench.read(content).unwrap(), noise(50_000, 1));
}

#[test]
fn a_stored_pack_and_what_grows_in_the_spool_are_never_the_same_file() {
    let mut bench = Bench::new();
    let first = bench.write(&noise(50_000, 1));
    let id = bench.facts.all_packs()[0].id;
    let spooled = spool_file(&bench);
    let records = fs::metadata(&spooled).unwrap().len();
    bench.store().flush().unwrap();
    bench.close();
    let stored = bench.files("store").remove(0);
    // As after a crash between the link and the row, with the end of the file lost.
    fs::hard_link(&stored, &spooled).unwrap_or_else(|_| {
        fs::remove_file(&spooled).unwrap();
        fs::hard_link(&stored, &spooled).unwrap();
    });
    File::options()
        .write(true)
        .open(&spooled)
        .unwrap()
        .set_len(records)
        .unwrap();
    let open = PackRecord {
        id,
        state: PackState::Open,
        bytes: 0,
    };
    bench.facts.clone().set_pack(&open).unwrap();
    bench.reopen();
    assert!(bench.files("store").is_empty());
    let second = bench.write(&noise(50_000, 2));
    bench.store().flush().unwrap();
    let third = bench.write(&noise(50_000, 3));
    bench.reopen();
    for (content, seed) in [(first, 1), (second, 2), (third, 3)] {
        assert_eq!(bench.read(content).unwrap(), noise(50_000, seed));
    }
    assert_eq!(bench.damages(CheckDepth::ReadData), []);
}

#[test]
fn a_store_on_another_filesystem_holds_the_same_packs() {
    let elsewhere = tempfile::tempdir_in("/dev/shm").unwrap();
    let mut bench = Bench::with_pack_bytes(64 << 10);
    bench.close();
    bench.config.place = StorePlace::Directory(elsewhere.path().into());
    bench.reopen();
    let contents: Vec<_> = (0..5)
        .map(|seed| bench.write(&noise(50_000, seed)))
        .collect();
    bench.store().flush().unwrap();
    bench.reopen();
    assert!(bench.files("spool").is_empty());
    for (seed, content) in contents.into_iter().enumerate() {
        assert_eq!(bench.read(content).unwrap(), noise(50_000, seed as u64));
    }
    assert_eq!(bench.damages(CheckDepth::ReadData), []);
}

/// As after a kill between the mark of a pack that was put and the commit of its row.
/// Returns the mark.
fn put_and_not_recorded(bench: &Bench) -> PathBuf {
    bench.store().flush().unwrap();
    let id = bench.facts.all_packs()[0].id;
    let open = PackRecord {
        id,
        state: PackState::Open,
        bytes: 0,
    };
    bench.facts.clone().set_pack(&open).unwrap();
    let mark = bench.directory.path().join(format!("spool/{id}.open"));
    fs::write(&mark, b"").unwrap();
    mark
}

#[test]
fn a_check_takes_up_what_was_put_while_the_start_found_no_bucket() {
    use crate::store::membership::Answer;
    use crate::store::recover::recover;
    let bench = Bench::new();
    let content = bench.write(&noise(50_000, 1));
    let mark = put_and_not_recorded(&bench);
    let packs = bench.facts.all_packs();
    recover(&bench.store().shared, &packs, Answer::None).unwrap();
    assert_eq!(bench.damages(CheckDepth::ReadData), []);
    assert!(!mark.exists());
    assert_eq!(bench.read(content).unwrap(), noise(50_000, 1));
}

#[test]
fn a_pack_that_was_put_is_not_lost_when_the_bucket_is_away_at_the_next_start() {
    use crate::store::membership::Answer;
    use crate::store::recover::recover;
    let bench = Bench::new();
    let content = bench.write(&noise(50_000, 1));
    let mark = put_and_not_recorded(&bench);
    let packs = bench.facts.all_packs();
    assert_eq!(
        recover(&bench.store().shared, &packs, Answer::None).unwrap(),
        []
    );
    assert!(mark.exists());
    assert_eq!(bench.facts.all_packs(), packs);
    assert_eq!(bench.read(content).unwrap(), noise(50_000, 1));
    assert_eq!(
        recover(&bench.store().shared, &packs, Answer::Welcome).unwrap(),
        []
    );
    assert_eq!(bench.facts.all_packs()[0].state, PackState::Stored);
    assert!(!mark.exists());
}
