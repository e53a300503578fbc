//! Pruning: what goes and what stays, and that no wrong clock makes anything go.

use std::ops::ControlFlow;
use std::time::Duration;

use super::super::testing::{TestVault, id};
use super::super::{ClockTrust, Prune, PruneMode, Pruned, Result, VaultError};
use crate::model::{Clock, PublicId, Timestamp};
use crate::policy::{PathRules, Retention, RetentionSettings, Rules, Verdict};

pub(super) const DAY: Duration = Duration::from_secs(86_400);

const KEEP_LAST_2: Rules = Rules {
    keep_last: Some(2),
    keep_within: None,
    keep_hourly: None,
    keep_daily: None,
    keep_weekly: None,
    keep_monthly: None,
    keep_yearly: None,
    keep_deleted_for: None,
};

pub(super) fn settings(rules: Rules) -> RetentionSettings {
    RetentionSettings {
        rules,
        repack_live_percent_min: 100,
        ..RetentionSettings::default()
    }
}

pub(super) fn within(days: u32) -> RetentionSettings {
    settings(Rules {
        keep_within: Some(DAY * days),
        ..Rules::default()
    })
}

pub(super) fn run(
    vault: &TestVault,
    settings: &RetentionSettings,
    mode: PruneMode,
    clock: ClockTrust,
) -> Result<(Pruned, Vec<String>)> {
    let retention = Retention::new(settings).unwrap();
    let mut lines = Vec::new();
    let pruned = vault.vault.prune(
        &retention,
        &PublicId::root(),
        Prune { mode, clock },
        &mut |judged| {
            let verdict = match judged.verdict {
                Verdict::Keep(reasons) => format!("keep {}", reasons[0]),
                Verdict::Drop(reason) => format!("drop {reason}"),
            };
            lines.push(format!("{} {verdict}", judged.path));
            ControlFlow::Continue(())
        },
    )?;
    Ok((pruned, lines))
}

pub(super) fn prune(vault: &TestVault, settings: &RetentionSettings) -> Pruned {
    run(vault, settings, PruneMode::Drop, ClockTrust::Check)
        .unwrap()
        .0
}

/// A file with these contents, a day between each two.
fn write_daily(vault: &TestVault, path: &str, contents: &[&str]) {
    for content in contents {
        vault.clock.advance(DAY);
        vault.write(path, content.as_bytes());
    }
}

#[test]
fn without_rules_nothing_goes() {
    let vault = TestVault::new();
    write_daily(&vault, "a", &["1", "2", "3"]);
    let pruned = prune(&vault, &RetentionSettings::default());
    assert_eq!((pruned.judged, pruned.dropped), (3, 0));
    assert_eq!(vault.versions("a"), ["1", "2", "3"]);
}

#[test]
fn what_no_rule_keeps_goes_with_its_bytes_and_a_rehearsal_says_so_before() {
    let vault = TestVault::new();
    write_daily(
        &vault,
        "a",
        &["one-1111", "two-2222", "three-33", "four-444"],
    );
    write_daily(&vault, "b", &["one-1111"]);
    vault.ingest_all();
    let rehearsed = run(
        &vault,
        &settings(KEEP_LAST_2),
        PruneMode::Rehearse,
        ClockTrust::Check,
    );
    let (rehearsed, lines) = rehearsed.unwrap();
    let expected = [
        "a drop no rule keeps it",
        "a drop no rule keeps it",
        "a keep last 2",
        "a keep head",
        "b keep head",
    ];
    assert_eq!(lines, expected);
    assert_eq!(vault.versions("a").len(), 4, "a rehearsal drops nothing");
    let pruned = prune(&vault, &settings(KEEP_LAST_2));
    assert_eq!(vault.versions("a"), ["three-33", "four-444"]);
    assert_eq!(vault.versions("b"), ["one-1111"]);
    for pruned in [rehearsed, pruned] {
        assert_eq!((pruned.judged, pruned.dropped, pruned.assets), (5, 2, 1));
    }
    // The one that `b` shares with it needs its bytes.
    assert_eq!(rehearsed.freed_bytes, pruned.freed_bytes);
    assert!(pruned.freed_bytes > 0 && pruned.dead_bytes == 0);
    vault.assert_sound();
    let again = prune(&vault, &settings(KEEP_LAST_2));
    assert_eq!((again.judged, again.dropped, again.freed_bytes), (3, 0, 0));
}

#[test]
fn a_pinned_version_stays_until_it_is_unpinned() {
    let vault = TestVault::new();
    write_daily(&vault, "a", &["1", "2", "3", "4"]);
    let first = vault.vault.versions_of(&id("a")).unwrap()[0].id;
    let prefix = first.to_string().parse().unwrap();
    assert_eq!(vault.vault.pin(&id("a"), &[prefix]).unwrap(), [first]);
    let latest = vault.vault.pin(&id("a"), &[]).unwrap();
    write_daily(&vault, "a", &["5", "6"]);
    prune(&vault, &settings(KEEP_LAST_2));
    assert_eq!(vault.versions("a"), ["1", "4", "5", "6"]);
    assert_eq!(
        vault.vault.unpin(&id("a"), &[]).unwrap(),
        [first, latest[0]]
    );
    assert_eq!(vault.vault.pinned(&id("a")).unwrap(), []);
    prune(&vault, &settings(KEEP_LAST_2));
    assert_eq!(vault.versions("a"), ["5", "6"]);
    assert!(matches!(
        vault.vault.pin(&id("nothing"), &[]),
        Err(VaultError::NotFound { .. })
    ));
    vault.assert_sound();
}

#[test]
fn a_pin_goes_over_to_the_version_that_is_the_same_content() {
    let vault = TestVault::new();
    write_daily(&vault, "a", &["same"]);
    write_daily(&vault, "b", &["same"]);
    vault.ingest_all();
    vault.vault.pin(&id("b"), &[]).unwrap();
    vault.rename("b", "a").unwrap();
    assert_eq!(vault.versions("a"), ["same"]);
    assert_eq!(vault.vault.pinned(&id("a")).unwrap().len(), 1);
}

#[test]
fn a_file_that_was_deleted_long_ago_goes_whole_and_its_name_is_free() {
    let vault = TestVault::new();
    write_daily(&vault, "old", &["1", "2"]);
    write_daily(&vault, "pinned", &["1", "2"]);
    vault.vault.pin(&id("pinned"), &[]).unwrap();
    vault.remove("old");
    vault.remove("pinned");
    write_daily(&vault, "young", &["x", "y"]);
    vault.remove("young");
    vault.clock.advance(DAY * 2);
    let rules = settings(Rules {
        keep_deleted_for: Some(DAY * 3),
        ..Rules::default()
    });
    let pruned = prune(&vault, &rules);
    assert_eq!((pruned.dropped, pruned.assets_ended), (3, 1));
    assert_eq!(vault.deleted(), ["pinned", "young"]);
    assert_eq!(vault.versions("pinned"), ["2"]);
    assert_eq!(vault.versions("young"), ["x", "y"]);
    vault.write("b", b"moves in");
    vault.rename("b", "old").unwrap();
    vault.assert_sound();
}

#[test]
fn paths_have_rules_of_their_own() {
    let vault = TestVault::new();
    write_daily(&vault, "logs/a", &["1", "2", "3"]);
    write_daily(&vault, "logs/keep/a", &["1", "2", "3"]);
    write_daily(&vault, "b", &["1", "2", "3"]);
    let path = |pattern: &str, rules| PathRules {
        pattern: pattern.into(),
        rules,
    };
    let settings = RetentionSettings {
        paths: vec![
            path("logs/**", KEEP_LAST_2),
            path("logs/keep/", Rules::default()),
        ],
        ..settings(Rules::default())
    };
    prune(&vault, &settings);
    assert_eq!(vault.versions("logs/a"), ["2", "3"]);
    assert_eq!(vault.versions("logs/keep/a").len(), 3);
    assert_eq!(vault.versions("b").len(), 3);
}

#[test]
fn a_clock_that_is_behind_or_may_have_jumped_ahead_prunes_nothing() {
    let vault = TestVault::new();
    write_daily(&vault, "a", &["1", "2", "3"]);
    let right = vault.clock.now();
    let refused =
        |vault: &TestVault| run(vault, &within(1), PruneMode::Drop, ClockTrust::Check).unwrap_err();
    let behind = Timestamp::from_nanos(right.nanos() - 3_600_000_000_000);
    vault.clock.set(behind);
    let error = refused(&vault);
    assert!(matches!(error, VaultError::ClockBehind { .. }), "{error}");
    vault.clock.set(right);
    vault.clock.advance(DAY * 3650);
    let error = refused(&vault);
    assert!(matches!(error, VaultError::ClockAhead { .. }), "{error}");
    // It goes on recording, which proves nothing.
    vault.write("b", b"in the year 2040");
    write_daily(&vault, "b", &["and the day after"]);
    let error = refused(&vault);
    let VaultError::ClockAhead { since, until, .. } = error else {
        panic!("{error}");
    };
    assert!(since <= right && right.since(since) < DAY, "{since}");
    assert!(until > right, "{until}");
    assert_eq!(vault.versions("a").len(), 3);
    // A rule that needs no clock does not ask.
    let by_count = settings(KEEP_LAST_2);
    assert_eq!(prune(&vault, &by_count).dropped, 1);
    // Somebody says that it is right; from then on nobody needs to.
    run(&vault, &within(1), PruneMode::Drop, ClockTrust::Given).unwrap();
    assert_eq!(vault.versions("a"), ["3"]);
    vault.clock.advance(DAY * 2);
    prune(&vault, &within(1));
}

#[test]
fn the_shorter_versions_are_kept_the_shorter_a_silence_must_be() {
    let rules = |keep_within: Option<u32>, keep_deleted_for: Option<u32>| {
        settings(Rules {
            keep_within: keep_within.map(|days| DAY * days),
            keep_deleted_for: keep_deleted_for.map(|days| DAY * days),
            keep_daily: Some(30),
            ..Rules::default()
        })
    };
    let is_refused = |vault: &TestVault, rules: &RetentionSettings| {
        let error = run(vault, rules, PruneMode::Drop, ClockTrust::Check).err();
        matches!(error, Some(VaultError::ClockAhead { .. }))
    };
    for (rules, days) in [
        (rules(None, None), 7),
        (rules(Some(14), Some(365)), 7),
        (rules(Some(365), Some(10)), 5),
        (rules(Some(8), None), 4),
        // A machine that is off over a long weekend, whatever the rules.
        (rules(Some(2), None), 4),
        (rules(None, Some(1)), 4),
    ] {
        let vault = TestVault::new();
        write_daily(&vault, "a", &["1", "2", "3"]);
        vault.clock.advance(DAY * days + DAY / 12);
        assert!(is_refused(&vault, &rules), "{days} days");
        assert_eq!(vault.versions("a").len(), 3);
        // A timer that runs each day keeps a quiet vault from being silent.
        let vault = TestVault::new();
        write_daily(&vault, "a", &["1", "2", "3"]);
        for _ in 0..10 {
            vault.clock.advance(DAY * days - DAY / 12);
            assert!(!is_refused(&vault, &rules), "{days} days");
        }
    }
}

#[test]
fn a_silence_after_a_prune_that_went_through_is_measured_from_there() {
    let vault = TestVault::new();
    write_daily(&vault, "a", &["1", "2"]);
    for _ in 0..4 {
        vault.clock.advance(DAY * 6);
        prune(&vault, &within(100));
    }
    vault.clock.advance(DAY * 8);
    let error = run(&vault, &within(100), PruneMode::Drop, ClockTrust::Check).unwrap_err();
    assert!(matches!(error, VaultError::ClockAhead { .. }), "{error}");
}

#[test]
fn a_crash_rewrites_no_pack_that_a_prune_left_alone() {
    let vault = TestVault::new();
    write_daily(&vault, "a", &["1111", "2222", "3333"]);
    vault.ingest_all();
    vault.vault.store().flush().unwrap();
    let keep_all_packs = RetentionSettings {
        repack_live_percent_min: 0,
        ..settings(KEEP_LAST_2)
    };
    assert_eq!(prune(&vault, &keep_all_packs).freed_bytes, 0);
    let stored = vault.vault.status().unwrap().stored_bytes;
    let vault = vault.crash();
    vault.vault.begin_recovery().unwrap();
    vault.vault.recover().unwrap();
    assert_eq!(vault.vault.status().unwrap().stored_bytes, stored);
    assert_eq!(vault.versions("a"), ["2222", "3333"]);
    assert!(prune(&vault, &settings(KEEP_LAST_2)).freed_bytes > 0);
    vault.assert_sound();
}

#[test]
fn a_directory_or_a_file_can_be_pruned_alone() {
    let vault = TestVault::new();
    write_daily(&vault, "d/a", &["1", "2", "3"]);
    write_daily(&vault, "b", &["1", "2", "3"]);
    let retention = Retention::new(&settings(KEEP_LAST_2)).unwrap();
    let how = Prune {
        mode: PruneMode::Drop,
        clock: ClockTrust::Check,
    };
    let prune = |path: &str| {
        vault.vault.prune(&retention, &id(path), how, &mut |_| {
            ControlFlow::Continue(())
        })
    };
    assert_eq!(prune("d").unwrap().dropped, 1);
    assert_eq!(vault.versions("b").len(), 3);
    assert_eq!(prune("b").unwrap().dropped, 1);
    let error = prune("nothing").unwrap_err();
    assert!(matches!(error, VaultError::NotFound { .. }), "{error}");
}
