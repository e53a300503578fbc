//! A rewrite whose commit fails deletes nothing: whatever comes next, another
//! reclaim or a crash, finds every live chunk.

use super::Bench;
use crate::catalog::Catalog;
use crate::model::{ContentId, VersionSeq};
use crate::store::testing::{Failing, noise};
use crate::store::{CheckDepth, Result, StoreError};

const MARKER: &[u8] = b"the marker of a content to be forgotten, long enough to be told apart";

/// A stored pack with a live content and a dead one, and a reclaim that could not
/// commit the move to the new pack.
fn with_failed_reclaim(failing: Failing) -> (Bench, ContentId) {
    let bench = Bench::new();
    let kept = bench.write(&noise(300_000, 1));
    let doomed = bench.write(MARKER);
    bench.store().flush().unwrap();
    bench.facts.commit_now();
    bench
        .facts
        .clone()
        .remove_version(VersionSeq(doomed.0))
        .unwrap();
    bench.facts.fail_from_the_next_new_pack_on(failing);
    assert_fails(bench.store().reclaim());
    assert_eq!(bench.read(kept).unwrap(), noise(300_000, 1));
    (bench, kept)
}

fn assert_fails(done: Result<u64>) {
    let error = done.unwrap_err();
    assert!(matches!(error, StoreError::Catalog(_)), "{error}");
}

fn assert_sound(bench: &Bench, kept: ContentId) {
    assert_eq!(bench.read(kept).unwrap(), noise(300_000, 1));
    assert_eq!(bench.damages(CheckDepth::ReadData), []);
    bench.facts.assert_consistent();
}

#[test]
fn a_reclaim_that_could_not_commit_is_completed_by_the_next_one_that_can() {
    for failing in [Failing::Full, Failing::Flush] {
        let (mut bench, kept) = with_failed_reclaim(failing);
        for _ in 0..2 {
            assert_eq!(bench.files("store").len(), 2, "{failing:?}");
            assert_fails(bench.store().reclaim());
        }
        assert_sound(&bench, kept);
        bench.facts.commit_again();
        bench.store().reclaim().unwrap();
        assert_eq!(bench.files("store").len(), 1, "{failing:?}");
        assert!(bench.files("spool").is_empty());
        assert!(!bench.holds(MARKER));
        for _ in 0..2 {
            assert_sound(&bench, kept);
            bench.reopen();
        }
    }
}

#[test]
fn a_crash_after_a_reclaim_that_could_not_commit_loses_nothing() {
    for failing in [Failing::Full, Failing::Flush] {
        let (mut bench, kept) = with_failed_reclaim(failing);
        bench.close();
        bench.facts.lose_uncommitted();
        bench.facts.commit_again();
        bench.reopen();
        assert_sound(&bench, kept);
        bench.store().reclaim().unwrap();
        assert_sound(&bench, kept);
        assert_eq!(bench.files("store").len(), 1, "{failing:?}");
    }
}

#[test]
fn a_merge_that_could_not_commit_loses_nothing() {
    for is_killed in [false, true] {
        let mut bench = Bench::new();
        let contents: Vec<_> = (0..16)
            .map(|seed| {
                let content = bench.write(&noise(10_000, seed));
                bench.store().flush().unwrap();
                content
            })
            .collect();
        bench.facts.commit_now();
        bench.facts.fail_from_the_next_new_pack_on(Failing::Full);
        assert_fails(bench.store().merge_small_packs());
        assert_eq!(bench.files("store").len(), 17);
        if is_killed {
            bench.close();
            bench.facts.lose_uncommitted();
            bench.reopen();
        }
        bench.facts.commit_again();
        for _ in 0..2 {
            for (seed, content) in contents.iter().enumerate() {
                assert_eq!(bench.read(*content).unwrap(), noise(10_000, seed as u64));
            }
            bench.store().merge_small_packs().unwrap();
            bench.store().reclaim().unwrap();
        }
        assert_eq!(bench.files("store").len(), 1);
    }
}
