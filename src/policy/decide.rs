//! Is this file backed up, and which rule said so.
//!
//! The first rule that has an opinion decides: transient name, the file's own
//! attribute, an exclude pattern, `skip_fetched`, the nearest directory's
//! attribute, the vault's switch. A transient name comes first because a version
//! of a half-written file helps nobody, whatever its directory says.

use std::fmt;

use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};

use super::transient::{TransientRule, transient_rule};
use crate::model::{Override, PublicId};

/// The rules of one vault, as configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicySettings {
    /// The vault's switch.
    pub backup: Override,
    /// Derived files, in gitignore syntax; a later pattern with `!` takes back an earlier one.
    pub exclude: Vec<String>,
    /// Leave out files that carry `user.xdg.origin.url`.
    pub skip_fetched: bool,
}

/// Why settings cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// Not a pattern.
    #[error("pattern '{pattern}': {problem}; patterns have gitignore syntax")]
    BadPattern {
        /// As configured.
        pattern: String,
        /// What is wrong with it.
        problem: String,
    },
}

/// The rules of one vault, ready to be asked.
#[derive(Debug)]
pub struct Policy {
    backup: Override,
    exclude: Gitignore,
    skip_fetched: bool,
}

/// What must be known of a file to judge it.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// Its name.
    pub id: &'a PublicId,
    /// Its own `user.keepfs.backup`.
    pub file_override: Option<Override>,
    /// The nearest directory above that has a `user.keepfs.backup`, and its value.
    pub directory_override: Option<(&'a PublicId, Override)>,
    /// It carries `user.xdg.origin.url`.
    pub fetched: bool,
}

/// Is it backed up?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// Each content becomes a version.
    Yes,
    /// No version is made.
    No,
}

/// A verdict and the rule that gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The verdict.
    pub kept: Kept,
    /// The rule.
    pub reason: Reason,
}

/// The rule that decided. Displays as one sentence that includes the verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// The name, or a directory above, is one that a tool uses in passing.
    Transient(&'static TransientRule),
    /// `user.keepfs.backup` of the file itself.
    FileOverride(Override),
    /// A pattern of `exclude`.
    Excluded {
        /// As configured.
        pattern: String,
    },
    /// `skip_fetched`.
    Fetched,
    /// `user.keepfs.backup` of a directory above.
    DirectoryOverride {
        /// That directory.
        directory: PublicId,
        /// The attribute's value.
        value: Override,
    },
    /// Nothing more special: the vault's switch.
    VaultSwitch(Override),
}

impl Policy {
    /// Reads the settings.
    ///
    /// # Errors
    /// [`PolicyError::BadPattern`] names the pattern that is none.
    pub fn new(settings: &PolicySettings) -> Result<Policy, PolicyError> {
        // The root is empty because public ids are relative already.
        let mut builder = GitignoreBuilder::new("");
        // The default takes `[abc` for a plain name; a person meant a class.
        builder.allow_unclosed_class(false);
        for pattern in &settings.exclude {
            builder
                .add_line(None, pattern)
                .map_err(|error| bad_pattern(pattern, &error))?;
        }
        let exclude = builder
            .build()
            .map_err(|error| bad_pattern(&settings.exclude.join("', '"), &error))?;
        Ok(Policy {
            backup: settings.backup,
            exclude,
            skip_fetched: settings.skip_fetched,
        })
    }

    /// The vault's switch.
    pub fn backup_switch(&self) -> Override {
        self.backup
    }

    /// Is this file backed up, and why (not)?
    pub fn decide(&self, subject: &Subject<'_>) -> Decision {
        let reason = self.reason(subject);
        Decision {
            kept: reason.verdict(),
            reason,
        }
    }

    fn reason(&self, subject: &Subject<'_>) -> Reason {
        if let Some(rule) = transient_rule(subject.id) {
            return Reason::Transient(rule);
        }
        if let Some(value) = subject.file_override {
            return Reason::FileOverride(value);
        }
        if let Some(pattern) = self.excluded_by(subject.id) {
            return Reason::Excluded { pattern };
        }
        if self.skip_fetched && subject.fetched {
            return Reason::Fetched;
        }
        if let Some((directory, value)) = subject.directory_override {
            return Reason::DirectoryOverride {
                directory: directory.clone(),
                value,
            };
        }
        Reason::VaultSwitch(self.backup)
    }

    /// The pattern that matches the file or a directory above it. Unlike git, a `!`
    /// pattern for the file wins over one for its directory: when in doubt, keep.
    fn excluded_by(&self, id: &PublicId) -> Option<String> {
        if id.is_root() {
            return None;
        }
        match self
            .exclude
            .matched_path_or_any_parents(id.as_os_str(), false)
        {
            Match::Ignore(glob) => Some(glob.original().to_owned()),
            Match::Whitelist(_) | Match::None => None,
        }
    }
}

impl Reason {
    fn verdict(&self) -> Kept {
        match self {
            Reason::Transient(_) | Reason::Excluded { .. } | Reason::Fetched => Kept::No,
            Reason::FileOverride(value)
            | Reason::DirectoryOverride { value, .. }
            | Reason::VaultSwitch(value) => match value {
                Override::On => Kept::Yes,
                Override::Off => Kept::No,
            },
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.verdict() {
            Kept::Yes => "backed up: ",
            Kept::No => "not backed up: ",
        })?;
        match self {
            Reason::Transient(rule) => write!(
                f,
                "'{}' is a temporary name of {}, which no setting overrides",
                rule.pattern, rule.tool
            ),
            Reason::FileOverride(value) => write!(
                f,
                "the file's attribute user.keepfs.backup is {}",
                value.as_str()
            ),
            Reason::Excluded { pattern } => {
                write!(f, "the pattern '{pattern}' in keepfs.toml excludes it")
            }
            Reason::Fetched => f.write_str(
                "it carries user.xdg.origin.url, and keepfs.toml says skip_fetched = true",
            ),
            Reason::DirectoryOverride { directory, value } => write!(
                f,
                "user.keepfs.backup of its directory '{directory}' is {}",
                value.as_str()
            ),
            Reason::VaultSwitch(value) => write!(
                f,
                "the vault's backup is {}, and nothing else speaks of this file",
                value.as_str()
            ),
        }
    }
}

pub(super) fn bad_pattern(pattern: &str, error: &ignore::Error) -> PolicyError {
    PolicyError::BadPattern {
        pattern: pattern.to_owned(),
        problem: match error {
            ignore::Error::Glob { err, .. } => err.clone(),
            other => other.to_string(),
        },
    }
}

#[cfg(test)]
#[path = "decide_tests.rs"]
mod tests;
