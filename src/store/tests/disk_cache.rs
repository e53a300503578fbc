//! The cache on disk: it saves requests, stays within its bytes, and is never trusted.

use std::collections::HashSet;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::*;
use crate::model::ContentId;
use crate::store::testing::Failing;

const MEGABYTE: usize = 1 << 20;

/// Reads a content as a program does: forward, a little at a time.
fn read_forward(bench: &Bench, content: ContentId) -> Vec<u8> {
    let reader = bench.store().reader(content).unwrap();
    let mut bytes = vec![0; reader.size() as usize];
    for (index, part) in bytes.chunks_mut(128 << 10).enumerate() {
        let read = reader.read_at((index * (128 << 10)) as u64, part).unwrap();
        assert_eq!(read, part.len());
    }
    bytes
}

fn entries(bench: &Bench) -> Vec<PathBuf> {
    let mut files = bench.files("cache");
    files.retain(|file| file.extension().is_none());
    files
}

#[track_caller]
fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < end, "waited for {what}");
        std::thread::yield_now();
    }
}

/// A store in a bucket with one content that was read once; the content and its chunks.
fn after_one_read(bytes: &[u8]) -> (Bench, ContentId, usize) {
    let mut bench = Bench::in_a_bucket();
    let content = bench.write(bytes);
    bench.store().flush().unwrap();
    bench.reopen();
    assert_eq!(read_forward(&bench, content), bytes);
    let chunks = bench.facts.shared().lock().unwrap().content_chunks(content);
    let chunks: HashSet<_> = chunks.unwrap().iter().map(|chunk| chunk.hash).collect();
    wait_for("the entries", || entries(&bench).len() == chunks.len());
    (bench, content, chunks.len())
}

#[test]
fn a_content_is_read_from_a_bucket_in_few_requests_and_the_second_time_in_none() {
    let bytes = noise(40 * MEGABYTE, 1);
    let (mut bench, content, chunks) = after_one_read(&bytes);
    let requests = bench.store().read_requests();
    assert!(chunks > 25, "{chunks}");
    assert!(requests <= 14, "{requests} requests for {chunks} chunks");
    bench.reopen();
    assert_eq!(read_forward(&bench, content), bytes);
    assert_eq!(bench.store().read_requests(), 0);
    let usage = bench.store().disk_cache_use().unwrap();
    assert_eq!((usage.hits, usage.misses), (chunks as u64, 0));
}

#[test]
fn a_damaged_entry_is_never_served_but_fetched_anew() {
    let bytes = noise(3 * MEGABYTE, 2);
    let (mut bench, content, _) = after_one_read(&bytes);
    bench.close();
    for (index, file) in entries(&bench).iter().enumerate() {
        let mut entry = fs::read(file).unwrap();
        match index % 3 {
            0 => entry[1000] ^= 1,
            1 => entry.truncate(5000),
            _ => entry.push(0),
        }
        fs::write(file, entry).unwrap();
    }
    bench.reopen();
    assert_eq!(read_forward(&bench, content), bytes);
    assert!(bench.store().read_requests() > 0);
}

#[test]
fn the_cache_keeps_its_bound_with_a_smaller_one_too_and_nothing_at_zero() {
    let bytes = noise(20 * MEGABYTE, 3);
    let (mut bench, content, chunks) = after_one_read(&bytes);
    let held = |bench: &Bench| -> u64 {
        let files = entries(bench);
        files
            .iter()
            // One that goes at this moment is not held any more.
            .filter_map(|file| Some(fs::metadata(file).ok()?.len()))
            .sum()
    };
    assert!(held(&bench) >= bytes.len() as u64);
    bench.config.disk_cache_bytes_max = 8 << 20;
    bench.reopen();
    wait_for("the rest to go", || held(&bench) <= 8 << 20);
    assert_eq!(read_forward(&bench, content), bytes);
    wait_for("entries", || !entries(&bench).is_empty());
    bench.close();
    assert!(held(&bench) <= 8 << 20);
    assert!(entries(&bench).len() < chunks);
    bench.config.disk_cache_bytes_max = 0;
    bench.reopen();
    assert!(bench.files("cache").is_empty());
    assert_eq!(read_forward(&bench, content), bytes);
    assert!(bench.files("cache").is_empty());
}

#[test]
fn what_is_deleted_for_good_is_in_no_cache_any_more() {
    let secret = noise(2 * MEGABYTE, 4);
    let (bench, content, _) = after_one_read(&secret);
    let other = bench.write(&noise(MEGABYTE, 5));
    bench.store().flush().unwrap();
    assert!(bench.holds(&secret[MEGABYTE..MEGABYTE + 64]));
    removal::remove(&bench, content);
    bench.store().reclaim().unwrap();
    assert!(!bench.holds(&secret[MEGABYTE..MEGABYTE + 64]));
    assert!(entries(&bench).is_empty());
    assert_eq!(read_forward(&bench, other), noise(MEGABYTE, 5));
}

#[test]
fn a_deletion_for_good_that_the_bucket_refuses_empties_the_caches_before_it_fails_and_after() {
    let secret = noise(2 * MEGABYTE, 4);
    let trace = &secret[MEGABYTE..MEGABYTE + 64];
    let (bench, content, _) = after_one_read(&secret);
    let reader = bench.store().reader(content).unwrap();
    let chunks: Vec<_> = reader.chunks().iter().map(|chunk| chunk.hash).collect();
    let in_memory = || {
        let cache = &bench.store().shared.cache;
        chunks.iter().any(|chunk| cache.get(chunk).is_some())
    };
    assert!(bench.holds(trace) && in_memory());
    bench.faults.keep_packs();
    removal::remove(&bench, content);
    bench.store().reclaim().unwrap_err();
    assert!(!bench.holds(trace) && !in_memory());
    // The pack is there still, so who has it open can read on, and brings it back.
    let mut bytes = vec![0; secret.len()];
    reader.read_at(0, &mut bytes).unwrap();
    drop(reader);
    wait_for("the entries", || entries(&bench).len() == chunks.len());
    assert!(bench.holds(trace) && in_memory());
    bench.faults.heal();
    bench.store().reclaim().unwrap();
    assert!(!bench.holds(trace) && !in_memory());
}

#[test]
fn a_deletion_for_good_that_could_not_be_committed_empties_the_caches() {
    let secret = noise(2 * MEGABYTE, 4);
    let mut bench = Bench::in_a_bucket();
    let content = bench.write(&secret);
    // In the same pack, so that another one takes its place.
    let kept = bench.write(&noise(MEGABYTE, 5));
    bench.store().flush().unwrap();
    bench.reopen();
    assert_eq!(read_forward(&bench, content), secret);
    wait_for("the entries", || {
        bench.holds(&secret[MEGABYTE..MEGABYTE + 64])
    });
    bench.facts.commit_now();
    removal::remove(&bench, content);
    bench.facts.fail_from_the_next_new_pack_on(Failing::Full);
    bench.store().reclaim().unwrap_err();
    assert!(entries(&bench).is_empty());
    bench.facts.commit_again();
    bench.store().reclaim().unwrap();
    assert!(!bench.holds(&secret[MEGABYTE..MEGABYTE + 64]));
    assert_eq!(read_forward(&bench, kept), noise(MEGABYTE, 5));
}

#[test]
fn a_kill_between_the_rows_and_the_cache_is_made_up_for_at_the_next_start() {
    let secret = noise(2 * MEGABYTE, 6);
    let (mut bench, content, _) = after_one_read(&secret);
    bench.close();
    let kept: Vec<_> = entries(&bench)
        .into_iter()
        .map(|file| (fs::read(&file).unwrap(), file))
        .collect();
    bench.reopen();
    removal::remove(&bench, content);
    bench.store().reclaim().unwrap();
    bench.close();
    for (bytes, file) in &kept {
        fs::write(file, bytes).unwrap();
        fs::write(file.with_extension("new"), bytes).unwrap();
    }
    bench.reopen();
    wait_for("them to go", || bench.files("cache").is_empty());
}

#[test]
fn a_repair_finds_the_bytes_of_a_lost_pack_in_the_cache() {
    let bytes = noise(3 * MEGABYTE, 7);
    let (mut bench, content, _) = after_one_read(&bytes);
    let packs = bench.facts.shared().lock().unwrap().packs().unwrap();
    bench.objects = Some(Default::default());
    bench.reopen();
    let lost: HashSet<_> = packs.iter().map(|pack| pack.id).collect();
    assert_eq!(bench.damages(CheckDepth::Listing).len(), lost.len());
    let repair = bench.store().repair(&lost).unwrap();
    assert!(repair.missing().is_empty());
    assert!(repair.finish().unwrap().is_empty());
    assert_eq!(bench.damages(CheckDepth::ReadData), []);
    bench.config.disk_cache_bytes_max = 0;
    bench.reopen();
    assert_eq!(read_forward(&bench, content), bytes);
}

#[test]
fn where_the_disk_takes_no_entry_reading_goes_on_without() {
    let mut bench = Bench::in_a_bucket();
    let bytes = noise(3 * MEGABYTE, 8);
    let content = bench.write(&bytes);
    bench.store().flush().unwrap();
    bench.close();
    fs::write(bench.directory.path().join("cache"), "in the way").unwrap();
    for _ in 0..2 {
        bench.reopen();
        assert_eq!(read_forward(&bench, content), bytes);
    }
}
