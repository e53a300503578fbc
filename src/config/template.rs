//! The `keepfs.toml` that `init` writes: every setting explained, defaults commented out.
//!
//! What was asked for stands as a line of its own; what was not stands behind a `#`,
//! so that a later keepfs may choose a better default.

use std::fmt::Write;
use std::path::Path;

use super::file::{FORMAT, Settings};
use super::units::{Interval, show_bytes, show_duration};
use super::{ConfigError, InitOptions, SecretPlace};

/// The text of the file.
pub(super) fn render(options: &InitOptions) -> Result<String, ConfigError> {
    let defaults = Settings::default();
    let live = match &options.live {
        None => None,
        Some(path) => Some(path.to_str().ok_or_else(|| ConfigError::BadFlag {
            key: "live",
            problem: format!(
                "{} is not UTF-8: give the live tree a name that is, or a symlink to it",
                path.display()
            ),
        })?),
    };
    let backup = options.backup.unwrap_or(defaults.policy.backup);

    let mut page = Page(String::from(
        "# Settings of this keepfs vault. They are read when it is mounted.\n\
         # A line behind '#' shows the default; remove the '#' to change it.\n",
    ));
    page.entry(
        "The format of this file.",
        "format",
        Line::Set(FORMAT.to_string()),
    );
    page.entry(
        "What people call the vault. Default: the name of this directory.",
        "name",
        match &options.name {
            Some(name) => Line::Set(quoted(name)),
            None => Line::Default(quoted("assets")),
        },
    );
    page.entry(
        "Is everything backed up (\"on\"), or only what user.keepfs.backup turns on (\"off\")?",
        "backup",
        Line::Set(quoted(backup.as_str())),
    );
    page.entry(
        "The live tree: a plain directory, relative to this file or absolute.",
        "live",
        Line::Set(quoted(live.unwrap_or("live"))),
    );
    page.entry(
        "Where packs of content go: a directory, relative to this file or absolute, or a bucket:\n\
         \"s3://BUCKET/PREFIX\", \"gs://BUCKET/PREFIX\", \"az://CONTAINER/PREFIX\"; behind a '?'\n\
         endpoint=URL, region=NAME (s3), account=NAME (az). Credentials are read from the\n\
         environment and the files of the cloud's own tools, never from here.",
        "store",
        Line::Set(quoted(options.store.as_deref().unwrap_or("store"))),
    );
    page.entry(
        "Derived files that are not backed up, in gitignore syntax: [\"*.o\", \"build/\"].\n\
         Names that tools use in passing are left out anyway (keepfs policy PATH says why).",
        "exclude",
        chosen(options.exclude.as_ref(), defaults.policy.exclude, list),
    );
    page.entry(
        "Leave out files that were downloaded: those with the attribute user.xdg.origin.url.",
        "skip_fetched",
        chosen(
            options.skip_fetched.as_ref(),
            defaults.policy.skip_fetched,
            bool::to_string,
        ),
    );
    page.entry(
        "Make a version of a file that stays open for writing this often: \"15m\", \"2h\", or \"off\".",
        "checkpoint_interval",
        chosen(options.checkpoint_interval.as_ref(), defaults.checkpoint_interval, interval),
    );
    page.entry(
        "What is closed but not fsynced can be lost in a power failure for this many\n\
         milliseconds. 1 to 60000.",
        "commit_interval_ms",
        chosen(
            options.commit_interval.as_ref(),
            defaults.commit_interval,
            |interval| interval.as_millis().to_string(),
        ),
    );
    page.entry(
        "\"local\", or \"remote\": the last close of a written file, and fsync, wait until its\n\
         version is in the store. Nobody can interrupt that, so it ends with an error after\n\
         commit_timeout; what was written is kept here all the same, and stored later.",
        "commit",
        Line::Default(quoted("local")),
    );
    page.entry(
        "\"1s\" to \"24h\".",
        "commit_timeout",
        Line::Default(quoted(&show_duration(defaults.commit_timeout))),
    );
    page.entry(
        "Memory for reading old versions.",
        "cache_bytes_max",
        chosen(
            options.cache_bytes_max.as_ref(),
            defaults.cache_bytes_max,
            size,
        ),
    );
    page.entry(
        "Space on this machine's disk, in cache/, for what was read from a bucket: reading it\n\
         again needs no request. \"0\" keeps nothing. A store in a directory has no such cache.",
        "disk_cache_bytes_max",
        Line::Default(size(&defaults.disk_cache_bytes_max)),
    );
    page.entry(
        "The size of one object in the store. \"64KiB\" to \"1GiB\".",
        "pack_bytes",
        chosen(options.pack_bytes.as_ref(), defaults.pack_bytes, size),
    );
    page.entry(
        "How hard to compress, 1 (fast) to 19 (small). What does not shrink is stored as it is.",
        "zstd_level",
        chosen(
            options.zstd_level.as_ref(),
            defaults.zstd_level,
            i32::to_string,
        ),
    );
    page.entry(
        "Threads that hash and compress in the background, 1 to 64.",
        "ingest_threads",
        chosen(
            options.ingest_threads.as_ref(),
            defaults.ingest_threads,
            usize::to_string,
        ),
    );
    page.entry(
        "Content waits at most this long for its pack to fill before it goes to the store.",
        "pack_age_max",
        chosen(
            options.pack_age_max.as_ref(),
            defaults.pack_age_max,
            |age| quoted(&show_duration(*age)),
        ),
    );
    page.entry(
        "Space for packs that wait for a store which is slow or away. Beyond it, new versions\n\
         stay in the live tree, not copied, until there is room. \"64MiB\" and more.",
        "spool_bytes_max",
        Line::Default(size(&defaults.spool_bytes_max)),
    );
    page.0.push_str(&encryption(options.encryption.as_ref())?);
    page.0.push_str(NOTIFY);
    page.0.push_str(API);
    page.0.push_str(RETENTION);
    Ok(page.0)
}

/// A table, so it stands at the end.
fn encryption(place: Option<&SecretPlace>) -> Result<String, ConfigError> {
    let entry = |key: &'static str, path: &Path| match path.to_str() {
        Some(path) => Ok(format!("{key} = {}\n", quoted(path))),
        None => Err(ConfigError::BadFlag {
            key,
            problem: format!("{} is not UTF-8: give it a name that is", path.display()),
        }),
    };
    Ok(match place {
        None => "\n# The store is not encrypted; that is chosen once, by keepfs init --encrypt.\n"
            .into(),
        Some(place) => {
            let line = place.entry().map(|(key, path)| entry(key, path));
            format!("{ENCRYPTION}{}", line.transpose()?.unwrap_or_default())
        }
    })
}

const ENCRYPTION: &str = r#"
# What goes to the store is encrypted, for good. Where the secret is: key_file, or
# passphrase_file (its first line); KEEPFS_KEY_FILE, KEEPFS_PASSPHRASE_FILE or
# KEEPFS_PASSPHRASE in the environment come first. Without any, the passphrase is asked for.
[encryption]
"#;

/// A table, so it stands at the end. It has no defaults: who wants mail fills it in.
const NOTIFY: &str = r#"
# Mail for keepfs backup --notify mail. smtp_security is "tls" (port 465), "starttls" (587)
# or "off" (25). The password is never in this file: it is the first line of password_file,
# or KEEPFS_SMTP_PASSWORD in the environment.
#[notify]
#smtp_host = "mail.example.com"
#smtp_port = 465
#smtp_security = "tls"
#from = "keepfs@example.com"
#to = ["you@example.com"]
#username = "keepfs"
#password_file = "/etc/keepfs/smtp-password"
"#;

/// The defaults, and what has none behind a second `#`.
const API: &str = r#"
# The HTTP server: keepfs serve, and keepfs mount --listen.
#[api]
# Fetch uploads that name an address instead of a file; never from this machine's network.
#allow_fetch = false
# One upload can have so many bytes.
#upload_bytes_max = "100 GiB"
# How others reach the server, where that is not what they connect to.
##public_url = "https://assets.example.com"
# Who is told of finished initial backups and restores, unless the call says.
##notification_url = "https://example.com/hooks/keepfs"
"#;

/// Tables come last: every key behind their heading is theirs. The examples are no
/// defaults, so they are set further in.
const RETENTION: &str = "
# What keepfs prune drops. Without a rule every version is kept. With rules, a version
# stays when any of them keeps it; what a file holds now and what was pinned (keepfs pin)
# always stays. These are read at each prune, also while the vault is mounted.
#
#   keep_last = 10             the last so many versions of a file
#   keep_within = \"7d\"         all that are not older: s, m, h or d
#   keep_hourly = 24           the last version of each of the last so many hours
#   keep_daily = 30            that have one; the same of days, weeks, months and years
#   keep_weekly = 8            (UTC)
#   keep_monthly = 12
#   keep_yearly = 5
#   keep_deleted_for = \"90d\"   a deleted file goes after this time with all versions;
#                              without this it can be restored for ever
#   size_budget = \"500 GiB\"    after the rules: the oldest versions go until the store
#                              fits, whatever rule keeps them
[retention]

# A pack is rewritten when less than this share of it is still needed.
#repack_live_share_min = \"50%\"

# Rules of their own for some files, in gitignore syntax, stand in for all those above;
# the last pattern that matches counts. Without any keep_ key: keep everything.
#
#   [[retention.path]]
#   pattern = \"logs/**\"
#   keep_last = 3
";

enum Line {
    Set(String),
    Default(String),
}

struct Page(String);

impl Page {
    fn entry(&mut self, comment: &str, key: &str, line: Line) {
        let comment = comment.replace('\n', "\n# ");
        let line = match line {
            Line::Set(value) => format!("{key} = {value}"),
            Line::Default(value) => format!("#{key} = {value}"),
        };
        // Writing to a String cannot fail.
        let _ = write!(self.0, "\n# {comment}\n{line}\n");
    }
}

fn chosen<T>(option: Option<&T>, default: T, show: impl Fn(&T) -> String) -> Line {
    match option {
        Some(value) => Line::Set(show(value)),
        None => Line::Default(show(&default)),
    }
}

fn interval(interval: &Interval) -> String {
    match interval {
        Interval::Off => quoted("off"),
        Interval::Every(duration) => quoted(&show_duration(*duration)),
    }
}

fn size(bytes: &u64) -> String {
    quoted(&show_bytes(*bytes))
}

#[allow(clippy::ptr_arg)] // The shape that `chosen` takes.
fn list(patterns: &Vec<String>) -> String {
    let patterns: Vec<_> = patterns.iter().map(|pattern| quoted(pattern)).collect();
    format!("[{}]", patterns.join(", "))
}

fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}
