//! File and flags to one validated [`Config`].
//!
//! `keepfs.toml` in the vault directory says what is wanted; here it becomes typed,
//! absolute, and checked once, so that no layer below checks again. Each error is
//! one line that names the file, the key and the way out.

mod api;
mod encryption;
mod error;
mod file;
mod layout;
mod moved_store;
mod notify;
mod retention;
mod section;
mod strange;
mod switched;
mod template;
mod units;

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use api::ApiSettings;
pub use encryption::SecretPlace;
pub use error::ConfigError;
pub use moved_store::Origin;
pub use notify::{MailSettings, SmtpSecurity};
pub use units::{Interval, parse_bytes, parse_duration, parse_interval};

use crate::model::{Override, StorePlace, WriteClaim};
use crate::policy::{PolicySettings, RetentionSettings};
use file::Settings;

/// The settings file in the vault directory.
pub const FILE_NAME: &str = "keepfs.toml";

/// What a close and an fsync wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommitMode {
    /// Nothing but this machine.
    Local,
    /// The store.
    Remote,
}

/// Everything that one vault is run with. Paths are absolute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The directory with everything of one mount.
    pub vault_dir: PathBuf,
    /// What people call the vault.
    pub name: String,
    /// What is backed up.
    pub policy: PolicySettings,
    /// The plain directory that the mount shows.
    pub live_dir: PathBuf,
    /// Where packs go; in a bucket never without a prefix.
    pub store: StorePlace,
    /// What is done where another one writes to the store; never in the file.
    pub write_claim: WriteClaim,
    /// Sealed bytes and open packs on their way to the store.
    pub spool_dir: PathBuf,
    /// What can be fetched again.
    pub cache_dir: PathBuf,
    /// The SQLite file.
    pub catalog_path: PathBuf,
    /// The wrapped key of an encrypted vault.
    pub key_path: PathBuf,
    /// The control socket.
    pub socket_path: PathBuf,
    /// Held by the process that has the vault.
    pub lock_path: PathBuf,
    /// A file that stays open gets a version this often. `None`: never.
    pub checkpoint_interval: Option<Duration>,
    /// What is not fsynced is committed after this time.
    pub commit_interval: Duration,
    /// Plain chunks kept in memory for readers.
    pub cache_bytes_max: u64,
    /// What a close and an fsync wait for.
    pub commit: CommitMode,
    /// They fail after this time, with `commit = "remote"`.
    pub commit_timeout: Duration,
    /// Bytes of chunks from a bucket that are kept on this machine's disk. 0: none.
    pub disk_cache_bytes_max: u64,
    /// A pack is closed at this size.
    pub pack_bytes: u64,
    /// zstd level of chunks.
    pub zstd_level: i32,
    /// Threads that hash and compress.
    pub ingest_threads: usize,
    /// A pack is closed at this age, full or not.
    pub pack_age_max: Duration,
    /// Bytes of full packs that may wait for the store; then sealed versions wait.
    pub spool_bytes_max: u64,
    /// Where the secret of an encrypted vault is. `None`: the vault is not encrypted.
    pub encryption: Option<SecretPlace>,
    /// How mail is sent. `None`: nothing says how.
    pub mail: Option<MailSettings>,
    /// What the HTTP server may do.
    pub api: ApiSettings,
    /// What `keepfs prune` drops.
    pub retention: RetentionSettings,
}

/// What `keepfs init` was told. `None`: the default, which the file explains.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InitOptions {
    /// What people call the vault.
    pub name: Option<String>,
    /// The vault's switch.
    pub backup: Option<Override>,
    /// Absolute, or relative to the vault (not to the working directory).
    pub live: Option<PathBuf>,
    /// Absolute, relative to the vault, or a URL.
    pub store: Option<String>,
    /// Derived files, in gitignore syntax.
    pub exclude: Option<Vec<String>>,
    /// Leave out files that carry `user.xdg.origin.url`.
    pub skip_fetched: Option<bool>,
    /// Versions of files that stay open.
    pub checkpoint_interval: Option<Interval>,
    /// What is not fsynced is committed after this time.
    pub commit_interval: Option<Duration>,
    /// Plain chunks kept in memory for readers.
    pub cache_bytes_max: Option<u64>,
    /// A pack is closed at this size.
    pub pack_bytes: Option<u64>,
    /// zstd level of chunks.
    pub zstd_level: Option<i32>,
    /// Threads that hash and compress.
    pub ingest_threads: Option<usize>,
    /// A pack is closed at this age.
    pub pack_age_max: Option<Duration>,
    /// Where the secret of an encrypted vault is. `None`: the vault is not encrypted.
    pub encryption: Option<SecretPlace>,
}

/// What `keepfs mount` was told for this one run. `None`: as the file says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overrides {
    /// Versions of files that stay open.
    pub checkpoint_interval: Option<Interval>,
    /// What is not fsynced is committed after this time.
    pub commit_interval: Option<Duration>,
    /// Plain chunks kept in memory for readers.
    pub cache_bytes_max: Option<u64>,
    /// A pack is closed at this size.
    pub pack_bytes: Option<u64>,
    /// zstd level of chunks.
    pub zstd_level: Option<i32>,
    /// Threads that hash and compress.
    pub ingest_threads: Option<usize>,
    /// A pack is closed at this age.
    pub pack_age_max: Option<Duration>,
}

impl Config {
    /// Reads and checks the file of a vault.
    ///
    /// # Errors
    /// [`ConfigError`], with the line where there is one.
    pub fn load(vault_dir: &Path) -> Result<Config, ConfigError> {
        let file = vault_dir.join(FILE_NAME);
        let text = fs::read_to_string(&file).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => ConfigError::NoVault {
                directory: vault_dir.to_owned(),
            },
            io::ErrorKind::InvalidData => ConfigError::NotText { file: file.clone() },
            _ => ConfigError::io("reading", &file, error),
        })?;
        let vault_dir = fs::canonicalize(vault_dir)
            .map_err(|error| ConfigError::io("resolving", vault_dir, error))?;
        Ok(Self::of(vault_dir, file::read(&file, &text)?))
    }

    /// Makes the file of a new vault, with every setting explained in it. The
    /// vault directory is made where it does not exist; nothing else is.
    ///
    /// # Errors
    /// [`ConfigError`], as [`load`](Self::load) gives it for a file of that content.
    pub fn create(vault_dir: &Path, options: &InitOptions) -> Result<Config, ConfigError> {
        let file = vault_dir.join(FILE_NAME);
        if file.symlink_metadata().is_ok() {
            return Err(ConfigError::VaultExists {
                directory: vault_dir.to_owned(),
            });
        }
        let text = template::render(options)?;
        let settings = file::read(&file, &text)?;
        fs::create_dir_all(vault_dir)
            .map_err(|error| ConfigError::io("creating", vault_dir, error))?;
        write_atomically(vault_dir, &file, &text)
            .map_err(|error| ConfigError::io("writing", &file, error))?;
        let vault_dir = fs::canonicalize(vault_dir)
            .map_err(|error| ConfigError::io("resolving", vault_dir, error))?;
        Ok(Self::of(vault_dir, settings))
    }

    /// The text of the file that [`create`](Self::create) makes.
    ///
    /// # Errors
    /// [`ConfigError`], where an option cannot stand in it.
    pub fn default_text(options: &InitOptions) -> Result<String, ConfigError> {
        template::render(options)
    }

    /// Puts mount flags over what the file says.
    ///
    /// # Errors
    /// [`ConfigError::BadFlag`] when a value is out of range; then nothing is changed.
    pub fn apply(&mut self, flags: &Overrides) -> Result<(), ConfigError> {
        let mut new = self.clone();
        if let Some(interval) = flags.checkpoint_interval {
            let interval = flag("checkpoint_interval", file::checkpoint_interval(interval))?;
            new.checkpoint_interval = interval.duration();
        }
        if let Some(interval) = flags.commit_interval {
            new.commit_interval = flag("commit_interval", file::commit_interval(interval))?;
        }
        if let Some(bytes) = flags.cache_bytes_max {
            new.cache_bytes_max = flag("cache_bytes_max", file::cache_bytes_max(bytes))?;
        }
        if let Some(bytes) = flags.pack_bytes {
            new.pack_bytes = flag("pack_bytes", file::pack_bytes(bytes))?;
        }
        if let Some(level) = flags.zstd_level {
            new.zstd_level = flag("zstd_level", file::zstd_level(level.into()))?;
        }
        if let Some(threads) = flags.ingest_threads {
            let threads = i64::try_from(threads).unwrap_or(i64::MAX);
            new.ingest_threads = flag("ingest_threads", file::ingest_threads(threads))?;
        }
        if let Some(age) = flags.pack_age_max {
            new.pack_age_max = flag("pack_age_max", file::pack_age_max(age))?;
        }
        *self = new;
        Ok(())
    }

    /// Refuses places that would make the mount show or swallow itself. Call before
    /// mounting; `mountpoint` is `None` where nothing is mounted yet (`init`).
    ///
    /// # Errors
    /// One [`ConfigError`] variant for each way to lay a vault out wrongly.
    pub fn validate_layout(&self, mountpoint: Option<&Path>) -> Result<(), ConfigError> {
        layout::validate(self, mountpoint)
    }

    fn of(vault_dir: PathBuf, settings: Settings) -> Config {
        let in_vault = |path: &Path| vault_dir.join(path);
        let name = settings.name.unwrap_or_else(|| {
            vault_dir.file_name().map_or_else(
                || "keepfs".to_owned(),
                |name| name.to_string_lossy().into_owned(),
            )
        });
        let store = moved_store::complete(settings.store, &vault_dir, &name);
        Config {
            name,
            policy: settings.policy,
            live_dir: in_vault(&settings.live),
            store,
            write_claim: WriteClaim::Keep,
            spool_dir: vault_dir.join("spool"),
            cache_dir: vault_dir.join("cache"),
            catalog_path: vault_dir.join("catalog.db"),
            key_path: vault_dir.join("key.json"),
            socket_path: vault_dir.join("control.sock"),
            lock_path: vault_dir.join("lock"),
            checkpoint_interval: settings.checkpoint_interval.duration(),
            commit_interval: settings.commit_interval,
            cache_bytes_max: settings.cache_bytes_max,
            commit: settings.commit,
            commit_timeout: settings.commit_timeout,
            disk_cache_bytes_max: settings.disk_cache_bytes_max,
            pack_bytes: settings.pack_bytes,
            zstd_level: settings.zstd_level,
            ingest_threads: settings.ingest_threads,
            pack_age_max: settings.pack_age_max,
            spool_bytes_max: settings.spool_bytes_max,
            encryption: settings.encryption.map(|place| place.in_vault(in_vault)),
            mail: settings.mail.map(|mail| MailSettings {
                password_file: mail.password_file.as_deref().map(in_vault),
                ..mail
            }),
            api: settings.api,
            retention: settings.retention,
            vault_dir,
        }
    }
}

fn flag<T>(key: &'static str, checked: Result<T, String>) -> Result<T, ConfigError> {
    checked.map_err(|problem| ConfigError::BadFlag { key, problem })
}

/// The file is there whole or not at all, power loss included.
fn write_atomically(directory: &Path, file: &Path, text: &str) -> io::Result<()> {
    let temporary = directory.join(format!(".{FILE_NAME}.new"));
    let written = fs::File::create(&temporary).and_then(|mut new| {
        if let Ok(old) = fs::metadata(file) {
            new.set_permissions(old.permissions())?;
            // Root may be at work on somebody else's vault; nobody else can change owners.
            let _ = std::os::unix::fs::fchown(&new, Some(old.uid()), Some(old.gid()));
        }
        new.write_all(text.as_bytes())?;
        new.sync_all()?;
        fs::rename(&temporary, file)
    });
    if written.is_err() {
        // The first error is the one to report; a left-over is overwritten next time.
        let _ = fs::remove_file(&temporary);
        return written;
    }
    // It is replaced, whatever comes now: an error would say that it is as it was.
    if let Err(error) = fs::File::open(directory).and_then(|directory| directory.sync_all()) {
        log::error!(
            "{}: a power failure may undo the change: {error}",
            file.display()
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests;
