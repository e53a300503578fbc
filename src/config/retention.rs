//! The table `[retention]` of `keepfs.toml`: what is pruned, for all files and by path.

use std::time::Duration;

use toml::de::{DeTable, DeValue};

use super::file::{bytes, integer, string, wrong_type};
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

/// What is wrong with one key.
pub(super) struct Wrong {
    /// Byte in the text where the key begins.
    pub at: usize,
    /// The key, with the tables it is in.
    pub key: String,
    pub problem: Problem,
}

pub(super) enum Problem {
    /// There is no such key, but these.
    Unknown { known: String },
    /// The value will not do.
    Value(String),
}

/// Reads the table; `at` is where its name stands.
pub(super) fn read(value: &DeValue<'_>, at: usize) -> Result<RetentionSettings, Wrong> {
    let table = table_of(value, at, "retention")?;
    let mut settings = RetentionSettings::default();
    for (key, value, at) in entries(table) {
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
            _ => return Err(Wrong::unknown(at, "retention", key, &OF_ALL)),
        }
    }
    Ok(settings)
}

fn paths(value: &DeValue<'_>, at: usize) -> Result<Vec<PathRules>, Wrong> {
    let name = "retention.path";
    let list = value.as_array().ok_or_else(|| {
        let problem = wrong_type(value, "sections that begin with [[retention.path]]");
        Wrong::value(at, name.into(), problem)
    })?;
    list.iter()
        .map(|section| {
            let at = section.span().start;
            path(table_of(section.get_ref(), at, name)?, at)
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
            _ => return Err(Wrong::unknown(at, "retention.path", key, &["pattern"])),
        }
    }
    let pattern = pattern.ok_or_else(|| {
        let problem = "is missing: say which files, like pattern = \"logs/**\"".into();
        Wrong::value(at, "retention.path.pattern".into(), problem)
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

fn table_of<'v, 't>(
    value: &'v DeValue<'t>,
    at: usize,
    name: &str,
) -> Result<&'v DeTable<'t>, Wrong> {
    value.as_table().ok_or_else(|| {
        let problem = wrong_type(value, "a section of its own");
        Wrong::value(at, name.to_owned(), problem)
    })
}

/// Keys with values and where they stand, in the order of the file.
fn entries<'v, 't>(table: &'v DeTable<'t>) -> Vec<(&'v str, &'v DeValue<'t>, usize)> {
    let mut entries: Vec<_> = table
        .iter()
        .map(|(key, value)| (key.get_ref().as_ref(), value.get_ref(), key.span().start))
        .collect();
    entries.sort_by_key(|(_, _, at)| *at);
    entries
}

impl Wrong {
    fn value(at: usize, key: String, problem: String) -> Self {
        Self {
            at,
            key,
            problem: Problem::Value(problem),
        }
    }

    fn unknown(at: usize, table: &str, key: &str, others: &[&str]) -> Self {
        Self {
            at,
            key: format!("{table}.{}", key.escape_debug()),
            problem: Problem::Unknown {
                known: [others, &RULES].concat().join(", "),
            },
        }
    }
}

#[cfg(test)]
#[path = "retention_tests.rs"]
mod tests;
