//! How a table of `keepfs.toml` is read: its keys as they stand, and what is wrong with one.
//!
//! Which keys there are is each table's own matter. A mistake knows only where in the text
//! it is; file and line come to it at the end.

use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::ConfigError;
use super::units::parse_bytes;

/// What is wrong with one key.
pub(super) struct Wrong {
    /// Byte in the text where the key begins.
    at: usize,
    /// The key, with the tables it is in.
    key: String,
    problem: Problem,
}

enum Problem {
    /// There is no such key, but these.
    Unknown { known: String },
    /// The value will not do.
    Value(String),
}

impl Wrong {
    /// A value that will not do; `key` with the tables it is in.
    pub fn value(at: usize, key: impl Into<String>, problem: impl Into<String>) -> Self {
        Self {
            at,
            key: key.into(),
            problem: Problem::Value(problem.into()),
        }
    }

    /// A key that is not among the known ones of its table. `table`: `None` at the top.
    pub fn unknown(at: usize, table: Option<&str>, key: &str, known: &[&str]) -> Self {
        let key = key.escape_debug();
        Self {
            at,
            key: match table {
                Some(table) => format!("{table}.{key}"),
                None => key.to_string(),
            },
            problem: Problem::Unknown {
                known: known.join(", "),
            },
        }
    }

    /// The same as an error of the file with this text.
    pub fn of_file(self, file: &Path, text: &str) -> ConfigError {
        let (file, line, key) = (file.to_owned(), line_of(text, self.at), self.key);
        match self.problem {
            Problem::Value(problem) => ConfigError::BadValue {
                file,
                line,
                key,
                problem,
            },
            Problem::Unknown { known } => ConfigError::UnknownKey {
                file,
                line,
                key,
                known,
            },
        }
    }
}

/// The entries of the table `name`, whose name stands at `at`.
///
/// # Errors
/// When it is no table.
pub(super) fn entries_of<'v, 't>(
    value: &'v DeValue<'t>,
    at: usize,
    name: &str,
) -> Result<Vec<(&'v str, &'v DeValue<'t>, usize)>, Wrong> {
    let table = value.as_table().ok_or_else(|| {
        let wanted = format!("a table, with [{name}] on a line of its own");
        Wrong::value(at, name, wrong_type(value, &wanted))
    })?;
    Ok(entries(table))
}

/// Keys with values and where they stand, in the order of the file.
pub(super) fn entries<'v, 't>(table: &'v DeTable<'t>) -> Vec<(&'v str, &'v DeValue<'t>, usize)> {
    let mut entries: Vec<_> = table
        .iter()
        .map(|(key, value)| (key.get_ref().as_ref(), value.get_ref(), key.span().start))
        .collect();
    entries.sort_by_key(|(_, _, at)| *at);
    entries
}

/// A number of bytes, or a size with its unit.
pub(super) fn bytes(value: &DeValue<'_>) -> Result<u64, String> {
    match value {
        DeValue::Integer(_) => {
            u64::try_from(integer(value)?).map_err(|_| "must not be negative".to_owned())
        }
        DeValue::String(text) => parse_bytes(text),
        _ => Err(wrong_type(value, "a size like \"256MiB\"")),
    }
}

/// A whole number of any radix.
pub(super) fn integer(value: &DeValue<'_>) -> Result<i64, String> {
    value
        .as_integer()
        .and_then(|number| i64::from_str_radix(number.as_str(), number.radix()).ok())
        .ok_or_else(|| wrong_type(value, "a whole number"))
}

/// Text.
pub(super) fn string<'v>(value: &'v DeValue<'_>) -> Result<&'v str, String> {
    value
        .as_str()
        .ok_or_else(|| wrong_type(value, "text in quotes"))
}

/// True or false.
pub(super) fn truth(value: &DeValue<'_>) -> Result<bool, String> {
    value
        .as_bool()
        .ok_or_else(|| wrong_type(value, "true or false"))
}

/// What to say of a value of another kind.
pub(super) fn wrong_type(value: &DeValue<'_>, wanted: &str) -> String {
    format!("is of type {}: write {wanted}", value.type_str())
}

/// The line in which a byte stands, from 1.
pub(super) fn line_of(text: &str, offset: usize) -> usize {
    let before = text.as_bytes().iter().take(offset);
    before.filter(|byte| **byte == b'\n').count() + 1
}
