//! The table `[retention]` of `keepfs.toml`: what is pruned, for all files and by path.

use std::time::Duration;

use toml::de::{DeTable, DeValue};

use super::section::{Wrong, bytes, entries, entries_of, integer, string, wrong_type};
use super::units::{parse_duration, parse_percent};
use crate::policy::{PathRules, Retention, RetentionSettings, Rules};

const RULES: [&str; 8] = [
    "keep_last",
    "keep_within",
    "keep_hourly",
    "keep_daily",
    "keep_weekly",
    "keep_monthly",
    "keep_yearly",
    "keep_deleted_for",
];
const OF_ALL: [&str; 3] = ["size_budget", "repack_live_share_min", "path"];

/// Reads the table; `at` is where its name stands.
pub(super) fn read(value: &DeValue<'_>, at: usize) -> Result<RetentionSettings, Wrong> {
    let mut settings = RetentionSettings::default();
    for (key, value, at) in entries_of(value, at, "retention")? {
        let value_is = |problem| Wrong::value(at, format!("retention.{key}"), problem);
        match key {
            "size_budget" => {
                settings.size_budget = Some(bytes(value).map_err(value_is)?);
            }
            "repack_live_share_min" => {
                let percent = string(value).and_then(parse_percent);
                settings.repack_live_percent_min = percent.map_err(value_is)?;
            }
            "path" => settings.paths = paths(value, at)?,
            rule if RULES.contains(&rule) => {
                set_rule(&mut settings.rules, rule, value).map_err(value_is)?;
            }
            _ => return Err(unknown(at, "retention", key, &OF_ALL)),
        }
    }
    Ok(settings)
}

fn paths(value: &DeValue<'_>, at: usize) -> Result<Vec<PathRules>, Wrong> {
    let no_section = |value, at| {
        let problem = wrong_type(value, "sections that begin with [[retention.path]]");
        Wrong::value(at, "retention.path", problem)
    };
    let list = value.as_array().ok_or_else(|| no_section(value, at))?;
    list.iter()
        .map(|section| {
            let (section, at) = (section.get_ref(), section.span().start);
            let table = section.as_table().ok_or_else(|| no_section(section, at))?;
            path(table, at)
        })
        .collect()
}

fn path(table: &DeTable<'_>, at: usize) -> Result<PathRules, Wrong> {
    let (mut pattern, mut rules) = (None, Rules::default());
    for (key, value, at) in entries(table) {
        let value_is = |problem| Wrong::value(at, format!("retention.path.{key}"), problem);
        match key {
            "pattern" => {
                let text = string(value).map_err(value_is)?;
                pattern = Some(checked(text).map_err(value_is)?);
            }
            rule if RULES.contains(&rule) => {
                set_rule(&mut rules, rule, value).map_err(value_is)?;
            }
            _ => return Err(unknown(at, "retention.path", key, &["pattern"])),
        }
    }
    let pattern = pattern.ok_or_else(|| {
        let problem = "is missing: say which files, like pattern = \"logs/**\"";
        Wrong::value(at, "retention.path.pattern", problem)
    })?;
    Ok(PathRules { pattern, rules })
}

fn checked(pattern: &str) -> Result<String, String> {
    let settings = RetentionSettings {
        paths: vec![PathRules {
            pattern: pattern.to_owned(),
            rules: Rules::default(),
        }],
        ..RetentionSettings::default()
    };
    match Retention::new(&settings) {
        Ok(_) => Ok(pattern.to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

fn set_rule(rules: &mut Rules, key: &str, value: &DeValue<'_>) -> Result<(), String> {
    match key {
        "keep_last" => rules.keep_last = Some(count(value)?),
        "keep_within" => rules.keep_within = Some(duration(value)?),
        "keep_hourly" => rules.keep_hourly = Some(count(value)?),
        "keep_daily" => rules.keep_daily = Some(count(value)?),
        "keep_weekly" => rules.keep_weekly = Some(count(value)?),
        "keep_monthly" => rules.keep_monthly = Some(count(value)?),
        "keep_yearly" => rules.keep_yearly = Some(count(value)?),
        "keep_deleted_for" => rules.keep_deleted_for = Some(duration(value)?),
        // Every caller has looked into RULES.
        _ => {}
    }
    Ok(())
}

fn count(value: &DeValue<'_>) -> Result<u32, String> {
    u32::try_from(integer(value)?)
        .ok()
        .filter(|count| *count > 0)
        .ok_or_else(|| "must be at least 1; leave the key out for no such rule".to_owned())
}

fn duration(value: &DeValue<'_>) -> Result<Duration, String> {
    let duration = parse_duration(string(value)?)?;
    match duration.is_zero() {
        true => Err("must be at least 1s; leave the key out for no such rule".to_owned()),
        false => Ok(duration),
    }
}

/// Every table here has the rules among its keys.
fn unknown(at: usize, table: &str, key: &str, others: &[&str]) -> Wrong {
    Wrong::unknown(at, Some(table), key, &[others, &RULES].concat())
}

#[cfg(test)]
#[path = "retention_tests.rs"]
mod tests;
