//! The rules of retention as configured, and which of them speak of a path.

use std::time::Duration;

use ignore::gitignore::{Gitignore, GitignoreBuilder};

use super::decide::{PolicyError, bad_pattern};
use super::period::Period;
use crate::model::PublicId;

/// What stays of the history of a file. A version stays when any rule keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rules {
    /// The last so many versions.
    pub keep_last: Option<u32>,
    /// Versions that are not older.
    pub keep_within: Option<Duration>,
    /// The last version of each of the last so many hours that have any.
    pub keep_hourly: Option<u32>,
    /// The same of days.
    pub keep_daily: Option<u32>,
    /// The same of weeks.
    pub keep_weekly: Option<u32>,
    /// The same of months.
    pub keep_monthly: Option<u32>,
    /// The same of years.
    pub keep_yearly: Option<u32>,
    /// How long a deleted file can be restored. `None`: for ever.
    pub keep_deleted_for: Option<Duration>,
}

impl Rules {
    /// True when versions can go while their file is there. Without such a rule all stay.
    pub fn thins_out(&self) -> bool {
        self.keep_last.is_some() || self.thins_out_by_time()
    }

    /// True when a wrong clock could make a difference.
    pub fn go_by_time(&self) -> bool {
        self.thins_out_by_time() || self.keep_deleted_for.is_some()
    }

    fn thins_out_by_time(&self) -> bool {
        let counts = [
            self.keep_hourly,
            self.keep_daily,
            self.keep_weekly,
            self.keep_monthly,
            self.keep_yearly,
        ];
        self.keep_within.is_some() || counts.iter().any(Option::is_some)
    }

    pub(super) fn count_of(&self, period: Period) -> Option<u32> {
        match period {
            Period::Hour => self.keep_hourly,
            Period::Day => self.keep_daily,
            Period::Week => self.keep_weekly,
            Period::Month => self.keep_monthly,
            Period::Year => self.keep_yearly,
        }
    }
}

/// The settings of one vault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetentionSettings {
    /// The rules of paths that no pattern matches.
    pub rules: Rules,
    /// Rules of their own for some paths; the last that matches is the one that counts.
    pub paths: Vec<PathRules>,
    /// The store shall not be larger, in bytes. `None`: as large as it gets.
    pub size_budget: Option<u64>,
    /// Below this share of referenced bytes, in percent, a pack is rewritten.
    pub repack_live_percent_min: u8,
}

impl Default for RetentionSettings {
    fn default() -> Self {
        Self {
            rules: Rules::default(),
            paths: Vec::new(),
            size_budget: None,
            repack_live_percent_min: 50,
        }
    }
}

/// The rules of paths that a pattern matches; they stand in for all the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathRules {
    /// In gitignore syntax.
    pub pattern: String,
    /// What stays of their histories.
    pub rules: Rules,
}

/// The settings of one vault, ready to be asked.
#[derive(Debug)]
pub struct Retention {
    settings: RetentionSettings,
    patterns: Vec<Gitignore>,
}

impl Retention {
    /// Reads the settings.
    ///
    /// # Errors
    /// [`PolicyError::BadPattern`] names the pattern that is none.
    pub fn new(settings: &RetentionSettings) -> Result<Self, PolicyError> {
        let patterns = settings
            .paths
            .iter()
            .map(|path| matcher(&path.pattern))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            settings: settings.clone(),
            patterns,
        })
    }

    /// The settings it was made of.
    pub fn settings(&self) -> &RetentionSettings {
        &self.settings
    }

    /// The rules for a file.
    pub fn rules_for(&self, id: &PublicId) -> &Rules {
        let matches = |pattern: &Gitignore| {
            !id.is_root()
                && pattern
                    .matched_path_or_any_parents(id.as_os_str(), false)
                    .is_ignore()
        };
        self.patterns
            .iter()
            .rposition(matches)
            .and_then(|index| self.settings.paths.get(index))
            .map_or(&self.settings.rules, |path| &path.rules)
    }

    /// True when anything could ever go.
    pub fn drops_anything(&self) -> bool {
        self.settings.size_budget.is_some()
            || self
                .all_rules()
                .any(|rules| rules.thins_out() || rules.keep_deleted_for.is_some())
    }

    /// True when a wrong clock could make a difference.
    pub fn goes_by_time(&self) -> bool {
        self.all_rules().any(Rules::go_by_time)
    }

    /// The shortest age at which a rule lets something go. `None`: none goes by age.
    pub fn shortest_age(&self) -> Option<Duration> {
        self.all_rules()
            .flat_map(|rules| [rules.keep_within, rules.keep_deleted_for])
            .flatten()
            .min()
    }

    fn all_rules(&self) -> impl Iterator<Item = &Rules> {
        let of_paths = self.settings.paths.iter().map(|path| &path.rules);
        std::iter::once(&self.settings.rules).chain(of_paths)
    }
}

fn matcher(pattern: &str) -> Result<Gitignore, PolicyError> {
    let refused = |problem: &str| PolicyError::BadPattern {
        pattern: pattern.to_owned(),
        problem: problem.to_owned(),
    };
    if pattern.trim().is_empty() || pattern.starts_with('#') {
        return Err(refused("it matches nothing"));
    }
    if pattern.starts_with('!') {
        return Err(refused(
            "a pattern with '!' takes nothing back here; the last that matches counts",
        ));
    }
    let mut builder = GitignoreBuilder::new("");
    builder.allow_unclosed_class(false);
    builder
        .add_line(None, pattern)
        .and_then(|builder| builder.build())
        .map_err(|error| bad_pattern(pattern, &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(patterns: &[(&str, u32)]) -> RetentionSettings {
        RetentionSettings {
            paths: patterns
                .iter()
                .map(|(pattern, count)| PathRules {
                    pattern: (*pattern).into(),
                    rules: Rules {
                        keep_last: Some(*count),
                        ..Rules::default()
                    },
                })
                .collect(),
            ..RetentionSettings::default()
        }
    }

    #[test]
    fn the_last_pattern_that_matches_gives_all_the_rules() {
        let retention = Retention::new(&settings(&[
            ("logs/**", 1),
            ("*.bin", 2),
            ("/logs/audit/", 3),
        ]))
        .unwrap();
        for (path, count) in [
            ("a", None),
            ("logs/x", Some(1)),
            ("deep/logs/x", None),
            ("logs/x.bin", Some(2)),
            ("logs/audit/x.bin", Some(3)),
            ("photos/logs/audit/x", None),
        ] {
            let id = PublicId::new(path.as_bytes()).unwrap();
            assert_eq!(retention.rules_for(&id).keep_last, count, "{path}");
        }
        assert!(retention.drops_anything() && !retention.goes_by_time());
    }

    #[test]
    fn patterns_that_cannot_be_meant_are_refused() {
        for bad in ["", " ", "# logs", "!logs", "a["] {
            let error = Retention::new(&settings(&[(bad, 1)])).unwrap_err();
            assert!(error.to_string().contains(&format!("'{bad}'")), "{error}");
        }
    }
}
