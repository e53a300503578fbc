//! `keepfs init`: makes a vault.

use std::path::{Path, PathBuf};

use clap::Args;

use super::output::{Outcome, Stop, print_line, stop};
use super::secret::{NewSecret, PassphraseFrom};
use super::vault_settings::{VaultSettings, parse_switch};
use crate::config::{Config, InitOptions};
use crate::daemon::{create, create_encrypted};
use crate::model::{Override, ShellWord};
use crate::server::{ErrorCode, Failure};
use crate::store::VaultKey;

/// Make a vault
///
/// A vault is one directory with the settings (keepfs.toml), the live tree, the catalog and
/// the store. keepfs mount makes one with the defaults where there is none; init is for
/// what shall be different from the start.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  keepfs init /srv/vault
  keepfs init /srv/vault --live /home/ada/photos --exclude '*.o'
  keepfs init /srv/vault --backup off      nothing is kept until keepfs.toml says on
  keepfs init /srv/vault --store s3://my-backups/photos --encrypt
  keepfs init /srv/vault --encrypt --key-file /etc/keepfs/photos.key")]
pub struct Init {
    /// The directory to make
    vault: PathBuf,
    /// What to call it [default: the directory's name]
    #[arg(long)]
    name: Option<String>,
    /// Whether files are backed up
    #[arg(long, value_name = "on|off", value_parser = parse_switch)]
    backup: Option<Override>,
    /// The directory that the mount shows: an existing one, or one to make [default: live in the vault]
    #[arg(long, value_name = "DIR")]
    live: Option<PathBuf>,
    /// Where kept content lies [default: store in the vault]
    #[arg(long, value_name = "DIR|URL")]
    store: Option<String>,
    /// Leave out what a pattern fits (gitignore syntax); may be given several times
    #[arg(long, value_name = "PATTERN")]
    exclude: Vec<String>,
    /// Leave out downloads: files that carry user.xdg.origin.url
    #[arg(long)]
    skip_fetched: bool,
    /// Encrypt what goes to the store; a passphrase is asked for
    #[arg(long)]
    encrypt: bool,
    /// Encrypt with a key file instead, which is made where there is none; keep a copy elsewhere
    #[arg(long, value_name = "FILE", requires = "encrypt")]
    key_file: Option<PathBuf>,
    /// A file whose first line is the passphrase; keepfs.toml will name it
    #[arg(
        long,
        value_name = "FILE",
        requires = "encrypt",
        conflicts_with = "key_file"
    )]
    passphrase_file: Option<PathBuf>,
    #[command(flatten)]
    settings: VaultSettings,
}

impl Init {
    /// Makes the vault.
    pub fn run(self) -> Outcome {
        let vault =
            std::path::absolute(&self.vault).map_err(|error| place_failed(&self.vault, error))?;
        let live = match &self.live {
            Some(live) => {
                Some(std::path::absolute(live).map_err(|error| place_failed(live, error))?)
            }
            None => None,
        };
        let store = match self.store {
            Some(url) if url.contains("://") => Some(url),
            Some(directory) => {
                let path = std::path::absolute(&directory)
                    .map_err(|error| place_failed(directory.as_ref(), error))?;
                Some(path.to_str().map(str::to_owned).ok_or_else(|| {
                    stop(
                        ErrorCode::BadInput,
                        format!("{}: not UTF-8: give a file:/// URL", path.display()),
                    )
                })?)
            }
            None => None,
        };
        let options = self.settings.fill(InitOptions {
            name: self.name,
            backup: self.backup,
            live,
            store,
            exclude: (!self.exclude.is_empty()).then_some(self.exclude),
            skip_fetched: self.skip_fetched.then_some(true),
            ..InitOptions::default()
        });
        let config = match self.encrypt {
            false => create(&vault, &options, None).map_err(Failure::from)?,
            true => {
                let new = NewSecret::choose(
                    self.key_file.as_deref(),
                    self.passphrase_file.as_deref(),
                    PassphraseFrom::Environment,
                )?;
                let made = make_encrypted(&vault, options, &new).inspect_err(|_| new.discard())?;
                new.say_what_to_keep();
                made
            }
        };
        print_line(format_args!(
            "Made the vault {}; its settings are in {}.\nMount it: keepfs mount {} MOUNTPOINT",
            config.vault_dir.display(),
            config.vault_dir.join(crate::config::FILE_NAME).display(),
            ShellWord(self.vault.display()),
        ))
    }
}

fn make_encrypted(vault: &Path, options: InitOptions, new: &NewSecret) -> Result<Config, Failure> {
    let key = VaultKey::new(&new.secret)?;
    let options = InitOptions {
        encryption: Some(new.place.clone()),
        ..options
    };
    Ok(create_encrypted(vault, &options, &key)?)
}

fn place_failed(path: &Path, error: std::io::Error) -> Stop {
    stop(ErrorCode::BadInput, format!("{}: {error}", path.display()))
}
