//! The table `[retention]` as people write it, wrongly too.

use std::time::Duration;

use super::super::Config;
use super::super::tests::{refusal, vault};
use crate::policy::{RetentionSettings, Rules};

#[test]
fn retention_is_read_with_rules_of_their_own_for_paths() {
    let least = Config::load(vault("format = 1").path()).unwrap();
    assert_eq!(least.retention, RetentionSettings::default());
    assert_eq!(least.retention.repack_live_percent_min, 50);
    let dir = vault(
        r#"format = 1
        [retention]
        keep_last = 10
        keep_within = "7d"
        keep_hourly = 24
        keep_daily = 30
        keep_weekly = 8
        keep_monthly = 12
        keep_yearly = 5
        keep_deleted_for = "90d"
        size_budget = "500 GiB"
        repack_live_share_min = "30 %"
        [[retention.path]]
        pattern = "logs/**"
        keep_last = 3
        [[retention.path]]
        pattern = "/logs/audit/"
        "#,
    );
    let retention = Config::load(dir.path()).unwrap().retention;
    let days = |days: u64| Some(Duration::from_secs(days * 86_400));
    let rules = Rules {
        keep_last: Some(10),
        keep_within: days(7),
        keep_hourly: Some(24),
        keep_daily: Some(30),
        keep_weekly: Some(8),
        keep_monthly: Some(12),
        keep_yearly: Some(5),
        keep_deleted_for: days(90),
    };
    assert_eq!(retention.rules, rules);
    assert_eq!(retention.size_budget, Some(500 << 30));
    assert_eq!(retention.repack_live_percent_min, 30);
    let paths: Vec<_> = retention
        .paths
        .iter()
        .map(|path| (path.pattern.as_str(), path.rules.keep_last))
        .collect();
    assert_eq!(paths, [("logs/**", Some(3)), ("/logs/audit/", None)]);
}

#[test]
fn wrong_retention_is_refused_with_line_key_and_way_out() {
    for (text, words) in [
        (
            "retention = 3",
            "line 2: retention: is of type integer: write a table, with [retention] on a line of its own",
        ),
        (
            "[retention]\nkeep_lst = 1",
            "line 3: unknown key 'retention.keep_lst': correct or remove it; there are size_budget",
        ),
        (
            "[retention]\nkeep_last = 0",
            "line 3: retention.keep_last: must be at least 1; leave the key out",
        ),
        (
            "[retention]\nkeep_daily = \"7\"",
            "line 3: retention.keep_daily: is of type string: write a whole number",
        ),
        (
            "[retention]\nkeep_within = 7",
            "line 3: retention.keep_within: is of type integer: write text",
        ),
        (
            "[retention]\nkeep_within = \"1w\"",
            "line 3: retention.keep_within: '1w' is not a duration",
        ),
        (
            "[retention]\nkeep_deleted_for = \"0d\"",
            "line 3: retention.keep_deleted_for: must be at least 1s",
        ),
        (
            "[retention]\nsize_budget = \"lots\"",
            "line 3: retention.size_budget: 'lots' is not a size",
        ),
        (
            "[retention]\nrepack_live_share_min = \"half\"",
            "line 3: retention.repack_live_share_min: 'half' is not a share",
        ),
        (
            "[retention.path]\npattern = \"a\"",
            "retention.path: is of type table: write sections that begin with [[retention.path]]",
        ),
        (
            "[[retention.path]]\nkeep_last = 1",
            "line 2: retention.path.pattern: is missing",
        ),
        (
            "[[retention.path]]\npattern = \"a[\"",
            "line 3: retention.path.pattern: pattern 'a['",
        ),
        (
            "[[retention.path]]\npattern = \"!a\"",
            "line 3: retention.path.pattern: pattern '!a'",
        ),
        (
            "[[retention.path]]\npattern = \"a\"\nsize_budget = 1",
            "line 4: unknown key 'retention.path.size_budget': correct or remove it; there are pattern, keep_last",
        ),
    ] {
        let error = refusal(&format!("format = 1\n{text}"));
        assert!(error.contains(words), "{text:?}: {error}");
    }
}
