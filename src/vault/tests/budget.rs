//! The size budget: what goes for it, and what does not, though the store is over it.

use std::fs;

use super::super::testing::{TestVault, id};
use super::super::{ClockTrust, PruneMode, VaultError};
use super::deleting::files_below;
use super::pruning::{DAY, prune, run, within};
use crate::policy::RetentionSettings;

fn budget(bytes: u64) -> RetentionSettings {
    RetentionSettings {
        size_budget: Some(bytes),
        ..within(365)
    }
}

/// 10 000 bytes that do not compress.
fn drawn(seed: u128) -> Vec<u8> {
    let drawn = (0..625)
        .map(|n| (seed * 1000 + n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835));
    drawn.flat_map(|n| (n ^ (n >> 61)).to_le_bytes()).collect()
}

#[test]
fn over_the_budget_the_oldest_versions_go_but_no_head_and_none_that_is_pinned() {
    let vault = TestVault::new();
    for (path, seed) in [("a", 1), ("b", 2), ("a", 3), ("b", 4), ("a", 5), ("b", 6)] {
        vault.clock.advance(DAY);
        vault.write(path, &drawn(seed));
    }
    let first = vault.vault.versions_of(&id("a")).unwrap()[0].id;
    let prefix = first.to_string().parse().unwrap();
    vault.vault.pin(&id("a"), &[prefix]).unwrap();
    vault.ingest_all();
    vault.vault.store().flush().unwrap();
    assert_eq!(prune(&vault, &budget(70_000)).dropped, 0);
    let (rehearsed, _) = run(
        &vault,
        &budget(51_000),
        PruneMode::Rehearse,
        ClockTrust::Check,
    )
    .unwrap();
    let pruned = prune(&vault, &budget(51_000));
    assert_eq!((rehearsed.dropped, pruned.dropped), (1, 1));
    assert!(rehearsed.freed_bytes >= 10_000 && pruned.freed_bytes >= 10_000);
    assert!(vault.vault.status().unwrap().stored_bytes <= 51_000);
    let left = |path: &str| vault.vault.versions_of(&id(path)).unwrap().len();
    assert_eq!(
        (left("a"), left("b")),
        (3, 2),
        "the oldest that may go was b's"
    );
    let out_of_reach = prune(&vault, &budget(20_000));
    assert_eq!((left("a"), left("b")), (2, 1));
    assert!(out_of_reach.over_budget_bytes > 10_000, "{out_of_reach:?}");
    vault.assert_sound();
}

#[test]
fn a_store_that_lets_nothing_be_removed_costs_no_more_versions_at_the_next_prune() {
    let vault = TestVault::new();
    for seed in 1..7 {
        vault.clock.advance(DAY);
        vault.write("a", &drawn(seed));
        vault.ingest_all();
        vault.vault.store().flush().unwrap();
    }
    let packs = files_below(&vault.vault.config().vault_dir.join("store/packs"));
    assert_eq!(packs.len(), 6);
    // What is no file cannot be removed as one.
    for pack in &packs {
        fs::rename(pack, pack.with_extension("kept")).unwrap();
        fs::create_dir(pack).unwrap();
    }
    let pruned = |mode| run(&vault, &budget(45_000), mode, ClockTrust::Check);
    pruned(PruneMode::Drop).unwrap_err();
    let left = vault.vault.versions_of(&id("a")).unwrap();
    assert_eq!(left.len(), 4);
    for _ in 0..2 {
        let error = pruned(PruneMode::Drop).unwrap_err();
        assert!(matches!(error, VaultError::NotRemoved(_)), "{error}");
        assert_eq!(pruned(PruneMode::Rehearse).unwrap().0.dropped, 0);
        assert_eq!(vault.vault.versions_of(&id("a")).unwrap(), left);
    }
    for pack in &packs {
        fs::remove_dir(pack).unwrap();
        fs::rename(pack.with_extension("kept"), pack).unwrap();
    }
    assert_eq!(pruned(PruneMode::Drop).unwrap().0.dropped, 0);
    assert_eq!(vault.vault.versions_of(&id("a")).unwrap(), left);
    assert_eq!(packs.iter().filter(|pack| pack.exists()).count(), 4);
    assert!(vault.vault.status().unwrap().stored_bytes <= 45_000);
    vault.assert_sound();
}
