//! `keepfs.toml` as text, key by key, to checked settings.
//!
//! Read through the parser's spanned table rather than a derived struct: every
//! error can then name its line and key, and `format` is judged before any other
//! key, so that a newer file is called newer and not wrong.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::de::{DeTable, DeValue};

use super::api::{self, ApiSettings};
use super::encryption::{self, SecretPlace};
use super::notify::{self, MailSettings};
use super::retention;
use super::section::{Wrong, bytes, entries, integer, line_of, string, truth, wrong_type};
use super::units::{Interval, parse_duration, parse_interval};
use super::{CommitMode, ConfigError};
use crate::model::{Override, StorePlace};
use crate::policy::{Policy, PolicySettings, RetentionSettings};

/// The one format there is.
pub(super) const FORMAT: i64 = 1;

const KEYS: [&str; 23] = [
    "format",
    "name",
    "backup",
    "live",
    "store",
    "exclude",
    "skip_fetched",
    "checkpoint_interval",
    "commit",
    "commit_timeout",
    "commit_interval_ms",
    "cache_bytes_max",
    "disk_cache_bytes_max",
    "pack_bytes",
    "zstd_level",
    "ingest_threads",
    "pack_age_max",
    "spool_bytes_max",
    // The same, as other programs spell such a bound.
    "spool_max_bytes",
    "encryption",
    "notify",
    "api",
    "retention",
];

/// What the file says, with defaults where it says nothing. Paths are not yet absolute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Settings {
    pub name: Option<String>,
    pub policy: PolicySettings,
    pub live: PathBuf,
    pub store: StorePlace,
    pub checkpoint_interval: Interval,
    pub commit_interval: Duration,
    pub cache_bytes_max: u64,
    pub commit: CommitMode,
    pub commit_timeout: Duration,
    pub disk_cache_bytes_max: u64,
    pub pack_bytes: u64,
    pub zstd_level: i32,
    pub ingest_threads: usize,
    pub pack_age_max: Duration,
    pub spool_bytes_max: u64,
    pub encryption: Option<SecretPlace>,
    pub mail: Option<MailSettings>,
    pub api: ApiSettings,
    pub retention: RetentionSettings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            name: None,
            policy: PolicySettings {
                backup: Override::On,
                exclude: Vec::new(),
                skip_fetched: false,
            },
            live: "live".into(),
            store: StorePlace::Directory("store".into()),
            checkpoint_interval: Interval::Off,
            commit_interval: Duration::from_millis(200),
            cache_bytes_max: 256 << 20,
            commit: CommitMode::Local,
            commit_timeout: Duration::from_secs(60),
            disk_cache_bytes_max: 2 << 30,
            pack_bytes: 16 << 20,
            zstd_level: 3,
            ingest_threads: 2,
            pack_age_max: Duration::from_secs(30),
            spool_bytes_max: 4 << 30,
            encryption: None,
            mail: None,
            api: ApiSettings::default(),
            retention: RetentionSettings::default(),
        }
    }
}

/// Reads the text of `file`, which is named in errors only.
pub(super) fn read(file: &Path, text: &str) -> Result<Settings, ConfigError> {
    let table = DeTable::parse(text).map_err(|error| ConfigError::Syntax {
        file: file.to_owned(),
        line: error.span().map_or(1, |span| line_of(text, span.start)),
        problem: error.message().replace('\n', " "),
    })?;
    let table = table.get_ref();
    check_format(file, text, table)?;
    settings(table).map_err(|wrong| wrong.of_file(file, text))
}

/// Before anything else: what a newer keepfs wrote may have keys that are unknown here.
fn check_format(file: &Path, text: &str, table: &DeTable<'_>) -> Result<(), ConfigError> {
    let bad_format = |at, problem| Err(Wrong::value(at, "format", problem).of_file(file, text));
    let Some((key, value)) = table.get_key_value("format") else {
        return bad_format(0, format!("is missing: add the line format = {FORMAT}"));
    };
    let at = key.span().start;
    match integer(value.get_ref()) {
        Ok(FORMAT) => Ok(()),
        Ok(format) if format > FORMAT => Err(ConfigError::NewerFormat {
            file: file.to_owned(),
            line: line_of(text, at),
            format,
        }),
        Ok(format) => bad_format(at, format!("there is no format {format}: write {FORMAT}")),
        Err(problem) => bad_format(at, problem),
    }
}

fn settings(table: &DeTable<'_>) -> Result<Settings, Wrong> {
    let mut settings = Settings::default();
    for (key, value, at) in entries(table) {
        match key {
            "encryption" => settings.encryption = Some(encryption::read(value, at)?),
            "notify" => settings.mail = Some(notify::read(value, at)?),
            "api" => settings.api = api::read(value, at)?,
            "retention" => settings.retention = retention::read(value, at)?,
            _ if KEYS.contains(&key) => settings
                .set(key, value)
                .map_err(|problem| Wrong::value(at, key, problem))?,
            _ => return Err(Wrong::unknown(at, None, key, &KEYS)),
        }
    }
    Ok(settings)
}

impl Settings {
    fn set(&mut self, key: &str, value: &DeValue<'_>) -> Result<(), String> {
        match key {
            "name" => self.name = Some(vault_name(string(value)?)?),
            "backup" => self.policy.backup = switch(value)?,
            "live" => self.live = directory(string(value)?)?,
            "store" => self.store = StorePlace::parse(string(value)?)?,
            "exclude" => self.policy.exclude = exclude(value)?,
            "skip_fetched" => self.policy.skip_fetched = truth(value)?,
            "checkpoint_interval" => self.checkpoint_interval = parse_interval(string(value)?)?,
            "commit_interval_ms" => {
                let millis = u64::try_from(integer(value)?).unwrap_or(0);
                self.commit_interval = commit_interval(Duration::from_millis(millis))?;
            }
            "cache_bytes_max" => self.cache_bytes_max = cache_bytes_max(bytes(value)?)?,
            "commit" => self.commit = commit(string(value)?)?,
            "commit_timeout" => self.commit_timeout = commit_timeout(string(value)?)?,
            "disk_cache_bytes_max" => {
                self.disk_cache_bytes_max = disk_cache_bytes_max(bytes(value)?)?;
            }
            "pack_bytes" => self.pack_bytes = pack_bytes(bytes(value)?)?,
            "zstd_level" => self.zstd_level = zstd_level(integer(value)?)?,
            "ingest_threads" => self.ingest_threads = ingest_threads(integer(value)?)?,
            "pack_age_max" => self.pack_age_max = pack_age_max(parse_duration(string(value)?)?)?,
            "spool_bytes_max" | "spool_max_bytes" => {
                self.spool_bytes_max = spool_bytes_max(bytes(value)?)?
            }
            // `format` and the tables are read elsewhere; every other key is one of KEYS.
            _ => {}
        }
        Ok(())
    }
}

// --- ranges, shared with the mount flags ------------------------------------

pub(super) fn checkpoint_interval(interval: Interval) -> Result<Interval, String> {
    match interval {
        Interval::Every(Duration::ZERO) => Err("must be at least 1s, or off".to_owned()),
        interval => Ok(interval),
    }
}

pub(super) fn commit_interval(interval: Duration) -> Result<Duration, String> {
    let range = Duration::from_millis(1)..=Duration::from_secs(60);
    if range.contains(&interval) {
        Ok(interval)
    } else {
        Err("must be from 1 to 60000 milliseconds".to_owned())
    }
}

pub(super) fn cache_bytes_max(bytes: u64) -> Result<u64, String> {
    within(bytes, 64 << 10..=1 << 50, "from 64KiB to 1024TiB")
}

fn commit(word: &str) -> Result<CommitMode, String> {
    match word {
        "local" => Ok(CommitMode::Local),
        "remote" => Ok(CommitMode::Remote),
        _ => Err("write \"local\" or \"remote\"".to_owned()),
    }
}

fn commit_timeout(text: &str) -> Result<Duration, String> {
    let time = parse_duration(text)?;
    let range = Duration::from_secs(1)..=Duration::from_secs(24 * 3600);
    match range.contains(&time) {
        true => Ok(time),
        false => Err("must be from 1s to 24h".to_owned()),
    }
}

fn disk_cache_bytes_max(bytes: u64) -> Result<u64, String> {
    match bytes {
        0 => Ok(0),
        bytes => within(bytes, 1 << 20..=1 << 50, "0, or from 1MiB to 1024TiB"),
    }
}

pub(super) fn pack_bytes(bytes: u64) -> Result<u64, String> {
    within(bytes, 64 << 10..=1 << 30, "from 64KiB to 1GiB")
}

pub(super) fn spool_bytes_max(bytes: u64) -> Result<u64, String> {
    within(bytes, 64 << 20..=1 << 50, "from 64MiB to 1024TiB")
}

pub(super) fn zstd_level(level: i64) -> Result<i32, String> {
    within(level, 1..=19, "from 1 to 19").map(|level| level as i32)
}

pub(super) fn ingest_threads(threads: i64) -> Result<usize, String> {
    within(threads, 1..=64, "from 1 to 64").map(|threads| threads as usize)
}

pub(super) fn pack_age_max(age: Duration) -> Result<Duration, String> {
    if age.is_zero() {
        Err("must be at least 1s".to_owned())
    } else {
        Ok(age)
    }
}

fn within<T: PartialOrd + std::fmt::Display>(
    value: T,
    range: RangeInclusive<T>,
    words: &str,
) -> Result<T, String> {
    if range.contains(&value) {
        Ok(value)
    } else {
        Err(format!("{value} is out of range: must be {words}"))
    }
}

// --- kinds of values ----------------------------------------------------------

fn vault_name(name: &str) -> Result<String, String> {
    if name.trim().is_empty() || name.contains(char::is_control) {
        return Err("must be one line of text, or leave the key out".to_owned());
    }
    Ok(name.to_owned())
}

fn directory(path: &str) -> Result<PathBuf, String> {
    if path.is_empty() || path.contains('\0') {
        return Err("must be a directory, relative to the vault or absolute".to_owned());
    }
    Ok(path.into())
}

fn switch(value: &DeValue<'_>) -> Result<Override, String> {
    value
        .as_str()
        .and_then(|word| Override::from_word(word.as_bytes()))
        .ok_or_else(|| "write \"on\" or \"off\"".to_owned())
}

fn exclude(value: &DeValue<'_>) -> Result<Vec<String>, String> {
    let list = value
        .as_array()
        .ok_or_else(|| wrong_type(value, "a list like [\"*.o\", \"build/\"]"))?;
    let exclude = list
        .iter()
        .map(|pattern| string(pattern.get_ref()).map(ToOwned::to_owned))
        .collect::<Result<Vec<_>, _>>()?;
    let settings = PolicySettings {
        exclude,
        ..Settings::default().policy
    };
    Policy::new(&settings).map_err(|error| error.to_string())?;
    Ok(settings.exclude)
}
