//! Histories as tables, wrong clocks among them, and what holds for all of them.

use proptest::prelude::*;

use super::*;
use crate::model::{ManualClock, VersionIds};

const NOW: &str = "2026-11-24T12:00:00Z";

fn time(text: &str) -> Timestamp {
    let time: jiff::Timestamp = text.parse().unwrap();
    Timestamp::from_parts(time.as_second(), 0)
}

fn days(count: u64) -> Duration {
    Duration::from_secs(count * 86_400)
}

/// A history that was written with the clock at these times, one after the other.
fn written(times: &[Timestamp]) -> Vec<Candidate> {
    let clock = ManualClock::at_seconds(0);
    let mut ids = VersionIds::after(None);
    times
        .iter()
        .map(|time| {
            clock.set(*time);
            Candidate {
                id: ids.next(&clock),
                kept_at: *time,
                hold: Hold::Off,
                bytes: Bytes::Stored,
            }
        })
        .collect()
}

fn history(times: &[&str]) -> Vec<Candidate> {
    written(&times.iter().map(|text| time(text)).collect::<Vec<_>>())
}

fn words(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Keep(reasons) => {
            let reasons: Vec<String> = reasons.iter().map(ToString::to_string).collect();
            format!("keep: {}", reasons.join(", "))
        }
        Verdict::Drop(reason) => format!("drop: {reason}"),
    }
}

#[track_caller]
fn assert_judged(rules: Rules, versions: &[Candidate], file: FileState, expected: &[&str]) {
    let verdicts = judge(&rules, versions, file, time(NOW));
    assert_eq!(verdicts.iter().map(words).collect::<Vec<_>>(), expected);
}

const FIVE: [&str; 5] = [
    "2026-09-01T08:00:00Z",
    "2026-11-22T09:00:00Z",
    "2026-11-23T09:10:00Z",
    "2026-11-23T09:50:00Z",
    "2026-11-24T11:00:00Z",
];

#[test]
fn without_a_rule_everything_stays() {
    let all = [
        "keep: no rule for it",
        "keep: no rule for it",
        "keep: no rule for it",
        "keep: no rule for it",
        "keep: head, no rule for it",
    ];
    assert_judged(Rules::default(), &history(&FIVE), FileState::Live, &all);
    let deleted = FileState::DeletedSince(time("2026-11-24T11:30:00Z"));
    assert_judged(Rules::default(), &history(&FIVE), deleted, &all);
    assert_judged(Rules::default(), &[], FileState::Live, &[]);
}

#[test]
fn a_version_stays_when_any_rule_keeps_it_and_the_verdict_names_each() {
    let rules = Rules {
        keep_last: Some(2),
        keep_within: Some(days(2)),
        keep_daily: Some(3),
        keep_monthly: Some(2),
        ..Rules::default()
    };
    let expected = [
        "keep: monthly 2026-09",
        "keep: daily 2026-11-22",
        "keep: within 2d",
        "keep: last 2, within 2d, daily 2026-11-23",
        "keep: head, last 2, within 2d, daily 2026-11-24, monthly 2026-11",
    ];
    assert_judged(rules, &history(&FIVE), FileState::Live, &expected);
}

#[test]
fn counts_are_of_periods_that_have_a_version_and_the_last_one_of_each_stays() {
    let rules = Rules {
        keep_hourly: Some(2),
        keep_weekly: Some(2),
        keep_yearly: Some(1),
        ..Rules::default()
    };
    let expected = [
        "drop: no rule keeps it",
        "keep: weekly 2026-W47",
        "drop: no rule keeps it",
        "keep: hourly 2026-11-23T09",
        "keep: head, hourly 2026-11-24T11, weekly 2026-W48, yearly 2026",
    ];
    assert_judged(rules, &history(&FIVE), FileState::Live, &expected);
}

#[test]
fn pinned_versions_and_those_on_their_way_stay_whatever_the_rules() {
    let mut versions = history(&FIVE);
    versions[0].hold = Hold::On;
    versions[2].bytes = Bytes::OnTheirWay;
    let rules = Rules {
        keep_last: Some(1),
        keep_deleted_for: Some(Duration::from_secs(1800)),
        ..Rules::default()
    };
    let expected = [
        "keep: pinned",
        "drop: no rule keeps it",
        "keep: not in the store yet",
        "drop: no rule keeps it",
        "keep: head, last 1",
    ];
    assert_judged(rules, &versions, FileState::Live, &expected);
    let long_deleted = FileState::DeletedSince(time("2026-11-24T11:00:00Z"));
    let expected = [
        "keep: pinned",
        "drop: deleted for 1h",
        "keep: not in the store yet",
        "drop: deleted for 1h",
        "drop: deleted for 1h",
    ];
    assert_judged(rules, &versions, long_deleted, &expected);
}

#[test]
fn a_deleted_file_is_thinned_out_like_others_and_keeps_its_last_version_until_its_time_is_up() {
    let rules = Rules {
        keep_deleted_for: Some(days(30)),
        ..Rules::default()
    };
    let two = history(&["2026-09-01T08:00:00Z", "2026-10-25T11:00:00Z"]);
    let deleted_at = |text| FileState::DeletedSince(time(text));
    let kept = ["keep: no rule for it", "keep: head, no rule for it"];
    assert_judged(rules, &two, FileState::Live, &kept);
    assert_judged(rules, &two, deleted_at("2026-10-25T12:00:00Z"), &kept);
    // In the future: the clock was wrong when it was deleted.
    assert_judged(rules, &two, deleted_at("2099-01-01T00:00:00Z"), &kept);
    let gone = ["drop: deleted for 30d", "drop: deleted for 30d"];
    assert_judged(rules, &two, deleted_at("2026-10-25T11:59:59Z"), &gone);
    // Before its last version: the clock was behind when it was deleted.
    for behind in ["1970-01-02T00:00:00Z", "2026-10-25T10:59:58Z"] {
        assert_judged(rules, &two, deleted_at(behind), &kept);
    }
    let last = Rules {
        keep_last: Some(1),
        ..Rules::default()
    };
    let thinned = ["drop: no rule keeps it", "keep: head, last 1"];
    assert_judged(last, &two, deleted_at("1990-01-01T00:00:00Z"), &thinned);
}

#[test]
fn a_version_of_a_wrong_clock_stays_and_takes_no_place_from_others() {
    // The third was written while the clock stood at 1970, the fourth with it far ahead.
    let versions = history(&[
        "2026-11-20T10:00:00Z",
        "2026-11-21T10:00:00Z",
        "1970-01-01T00:10:00Z",
        "2099-01-01T00:00:00Z",
        "2026-11-24T10:00:00Z",
    ]);
    let rules = Rules {
        keep_within: Some(days(1)),
        keep_daily: Some(2),
        ..Rules::default()
    };
    let expected = [
        "drop: no rule keeps it",
        "keep: daily 2026-11-21",
        "keep: its time is not certain",
        "keep: its time is not certain",
        "keep: head, within 1d, daily 2026-11-24",
    ];
    assert_judged(rules, &versions, FileState::Live, &expected);
    // The order is known all the same, and a rule that goes by it alone needs no clock.
    let rules = Rules {
        keep_last: Some(2),
        ..Rules::default()
    };
    let drop = "drop: no rule keeps it";
    let expected = [drop, drop, drop, "keep: last 2", "keep: head, last 2"];
    assert_judged(rules, &versions, FileState::Live, &expected);
}

#[test]
fn only_what_rules_alone_keep_yields_to_a_budget() {
    let mut versions = history(&FIVE);
    versions[1].hold = Hold::On;
    let rules = Rules {
        keep_daily: Some(9),
        ..Rules::default()
    };
    let verdicts = judge(&rules, &versions, FileState::Live, time(NOW));
    let yielding: Vec<bool> = verdicts.iter().map(Verdict::yields_to_budget).collect();
    assert_eq!(yielding, [true, false, false, true, false]);
}

fn any_rules() -> impl Strategy<Value = Rules> {
    let count = || prop::option::of(1u32..5);
    let duration = || prop::option::of((1u64..60).prop_map(days));
    (
        count(),
        duration(),
        [count(), count(), count(), count(), count()],
        duration(),
    )
        .prop_map(|(keep_last, keep_within, counts, keep_deleted_for)| Rules {
            keep_last,
            keep_within,
            keep_hourly: counts[0],
            keep_daily: counts[1],
            keep_weekly: counts[2],
            keep_monthly: counts[3],
            keep_yearly: counts[4],
            keep_deleted_for,
        })
}

/// Up to 20 versions within some months before [`NOW`], the clock right or wrong.
fn any_history() -> impl Strategy<Value = Vec<Candidate>> {
    let minutes = prop_oneof![
        8 => 0i64..150_000,
        1 => -100_000i64..0,
        1 => 10_000_000i64..20_000_000,
    ];
    prop::collection::vec((minutes, any::<bool>(), 0u8..8), 0..20).prop_map(|mut drawn| {
        // Those before NOW, in order; the others wherever they fell.
        let mut right: Vec<i64> = drawn
            .iter()
            .map(|one| one.0)
            .filter(|one| (0..150_000).contains(one))
            .collect();
        right.sort_unstable();
        for one in &mut drawn {
            if (0..150_000).contains(&one.0) {
                one.0 = right.pop().unwrap();
            }
        }
        let ago =
            |minutes: i64| Timestamp::from_nanos(time(NOW).nanos() - minutes * 60_000_000_000);
        let times: Vec<Timestamp> = drawn.iter().map(|one| ago(one.0)).collect();
        let mut versions = written(&times);
        for (version, (_, pinned, sealed)) in versions.iter_mut().zip(drawn) {
            if pinned && sealed < 4 {
                version.hold = Hold::On;
            }
            if sealed == 7 {
                version.bytes = Bytes::OnTheirWay;
            }
        }
        versions
    })
}

fn any_file() -> impl Strategy<Value = FileState> {
    let ago = |days: i64| Timestamp::from_nanos(time(NOW).nanos() - days * 86_400_000_000_000);
    prop_oneof![
        Just(FileState::Live),
        (-10i64..90).prop_map(move |days| FileState::DeletedSince(ago(days))),
    ]
}

fn kept(verdicts: &[Verdict]) -> Vec<bool> {
    let is_kept = |verdict: &Verdict| matches!(verdict, Verdict::Keep(_));
    verdicts.iter().map(is_kept).collect()
}

fn is_subset(less: &[bool], more: &[bool]) -> bool {
    less.iter().zip(more).all(|(less, more)| *more || !*less)
}

/// The same rules, and each may keep more.
fn loosened(rules: &Rules, by: &Rules) -> Rules {
    fn more<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
        one.max(other)
    }
    Rules {
        keep_last: more(rules.keep_last, by.keep_last),
        keep_within: more(rules.keep_within, by.keep_within),
        keep_hourly: more(rules.keep_hourly, by.keep_hourly),
        keep_daily: more(rules.keep_daily, by.keep_daily),
        keep_weekly: more(rules.keep_weekly, by.keep_weekly),
        keep_monthly: more(rules.keep_monthly, by.keep_monthly),
        keep_yearly: more(rules.keep_yearly, by.keep_yearly),
        // No limit is the loosest one.
        keep_deleted_for: match (rules.keep_deleted_for, by.keep_deleted_for) {
            (Some(one), Some(other)) => Some(one.max(other)),
            _ => None,
        },
    }
}

proptest! {
    #[test]
    fn the_head_of_a_file_that_is_there_and_pinned_versions_always_stay(
        rules in any_rules(), versions in any_history(), file in any_file()
    ) {
        let verdicts = judge(&rules, &versions, file, time(NOW));
        prop_assert_eq!(verdicts.len(), versions.len());
        for (version, kept) in versions.iter().zip(kept(&verdicts)) {
            prop_assert!(kept || version.hold == Hold::Off);
        }
        if file == FileState::Live || rules.keep_deleted_for.is_none() {
            prop_assert!(kept(&verdicts).last().copied().unwrap_or(true));
        }
        for verdict in verdicts {
            prop_assert!(!matches!(verdict, Verdict::Keep(reasons) if reasons.is_empty()));
        }
    }

    #[test]
    fn more_rules_never_keep_less(
        rules in any_rules(), by in any_rules(), versions in any_history(), file in any_file()
    ) {
        prop_assume!(rules.thins_out());
        let strict = kept(&judge(&rules, &versions, file, time(NOW)));
        let loose = kept(&judge(&loosened(&rules, &by), &versions, file, time(NOW)));
        prop_assert!(is_subset(&strict, &loose), "{strict:?} {loose:?}");
    }

    #[test]
    fn judging_again_what_is_left_drops_nothing_whatever_part_was_dropped(
        rules in any_rules(), versions in any_history(), file in any_file(), part in any::<u32>()
    ) {
        let verdicts = judge(&rules, &versions, file, time(NOW));
        let stays = |index: usize, kept: bool| kept || part & (1 << index) == 0;
        let (left, expected): (Vec<_>, Vec<_>) = versions
            .iter()
            .zip(kept(&verdicts))
            .enumerate()
            .filter(|(index, (_, kept))| stays(*index, *kept))
            .map(|(_, (version, kept))| (*version, kept))
            .unzip();
        let again = kept(&judge(&rules, &left, file, time(NOW)));
        prop_assert_eq!(again, expected);
    }

    /// The vault refuses a clock that is behind its newest version, unless told to trust it.
    #[test]
    fn a_clock_that_is_behind_drops_nothing_that_a_right_one_would_keep(
        rules in any_rules(), versions in any_history(), file in any_file(), behind in 0u64..400
    ) {
        let newest = versions.iter().map(|version| version.id.issued_at()).max();
        let newest = newest.unwrap_or_default();
        prop_assume!(newest <= time(NOW));
        let right = kept(&judge(&rules, &versions, file, time(NOW)));
        let wrong = Timestamp::from_nanos(time(NOW).nanos() - days(behind).as_nanos() as i64);
        let behind = kept(&judge(&rules, &versions, file, wrong.max(newest)));
        prop_assert!(is_subset(&right, &behind), "{right:?} {behind:?}");
    }
}
