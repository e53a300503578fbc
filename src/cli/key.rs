//! `keepfs key`: what opens an encrypted vault.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::output::{Outcome, Stop, print, print_line, say, stop};
use super::secret::{NewSecret, PassphraseFrom, SecretFiles, ask};
use crate::config::{Config, FILE_NAME, SecretPlace};
use crate::daemon::{rewrap, unlock};
use crate::server::{ErrorCode, Failure};
use crate::store::VaultKey;

/// Print a recovery key of an encrypted vault, or change what opens it
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  keepfs key export /srv/vault --out /media/stick/photos.recovery
  keepfs key change /srv/vault                 a new passphrase
  keepfs key change /srv/vault --recovery-key photos.recovery --new-key-file /etc/keepfs/new.key")]
pub struct Key {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    Export(Export),
    Change(Change),
}

/// Print the recovery key, for the safe
///
/// It opens the vault without passphrase or key file, also after these were changed: where a
/// secret is asked for, --recovery-key FILE takes it, as it was printed or typed off from
/// paper. Mounted or not makes no difference.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  keepfs key export /srv/vault | lpr
  keepfs key export /srv/vault --out /media/stick/photos.recovery")]
struct Export {
    /// The vault directory
    vault: PathBuf,
    /// Write it to a new file instead
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    secret: SecretFiles,
}

/// Have the vault opened by another passphrase or key file
///
/// What is encrypted stays as it is, and so does the recovery key: who knew the old secret
/// and kept a copy of key.json can still open that. The vault must not be mounted.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  keepfs key change /srv/vault                 asks for the old passphrase and a new one
  keepfs key change /srv/vault --recovery-key photos.recovery")]
struct Change {
    /// The vault directory
    vault: PathBuf,
    /// The new key file, which is made where there is none
    #[arg(long, value_name = "FILE", conflicts_with = "new_passphrase_file")]
    new_key_file: Option<PathBuf>,
    /// A file whose first line is the new passphrase
    #[arg(long, value_name = "FILE")]
    new_passphrase_file: Option<PathBuf>,
    #[command(flatten)]
    secret: SecretFiles,
}

impl Key {
    /// Does it.
    pub fn run(self) -> Outcome {
        match self.task {
            Task::Export(export) => export.run(),
            Task::Change(change) => change.run(),
        }
    }
}

fn open(vault: &Path, secret: &SecretFiles) -> Result<(Config, VaultKey), Stop> {
    let config = Config::load(vault)?;
    let given = secret.given()?;
    let key = unlock(&config, given.as_ref(), &mut ask).map_err(Failure::from)?;
    match key {
        Some(key) => Ok((config, key)),
        None => Err(stop(
            ErrorCode::BadInput,
            format!("{}: this vault is not encrypted", vault.display()),
        )),
    }
}

impl Export {
    fn run(self) -> Outcome {
        let (config, key) = open(&self.vault, &self.secret)?;
        let text = key.recovery_text();
        let Some(out) = self.out else {
            return print(&*text);
        };
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&out)
            .and_then(|mut file| {
                file.write_all(text.as_bytes())?;
                file.sync_all()
            })
            .map_err(|error| stop(ErrorCode::Failed, format!("{}: {error}", out.display())))?;
        print_line(format_args!(
            "wrote the recovery key of {} to {}",
            config.name,
            out.display()
        ))
    }
}

impl Change {
    fn run(self) -> Outcome {
        let (config, key) = open(&self.vault, &self.secret)?;
        let new = NewSecret::choose(
            self.new_key_file.as_deref(),
            self.new_passphrase_file.as_deref(),
            PassphraseFrom::Terminal,
        )?;
        rewrap(&config, &key, &new.secret, &mut |text| say(text)).map_err(Failure::from)?;
        new.say_what_to_keep();
        print_line(format_args!(
            "the vault {} is opened by the new {} from now on",
            config.name,
            new.secret.kind()
        ))?;
        if config.encryption.as_ref() == Some(&new.place) {
            return Ok(());
        }
        let settings = config.vault_dir.join(FILE_NAME);
        print_line(format_args!(
            "{}: under [encryption], {}",
            settings.display(),
            match &new.place {
                SecretPlace::KeyFile(file) => format!("write key_file = \"{}\"", file.display()),
                SecretPlace::PassphraseFile(file) =>
                    format!("write passphrase_file = \"{}\"", file.display()),
                SecretPlace::Asked => "name no file, or one with the new passphrase".into(),
            }
        ))
    }
}
