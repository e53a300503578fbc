//! Passphrases, key files and recovery keys on the command line and on the terminal.
//!
//! The surprise: none of them is ever an argument, for arguments are everybody's to read.

use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};

use clap::Args;
use zeroize::Zeroizing;

use super::output::say;
use crate::config::SecretPlace;
use crate::daemon::passphrase_in_environment;
use crate::server::{ErrorCode, Failure};
use crate::store::{Secret, create_key_file};

/// What opens an encrypted vault, in place of what its settings name.
#[derive(Debug, Args)]
#[command(next_help_heading = "Encrypted vaults")]
pub struct SecretFiles {
    /// The key file, if not the one in keepfs.toml
    #[arg(long, value_name = "FILE", group = "secret")]
    key_file: Option<PathBuf>,
    /// A file whose first line is the passphrase
    #[arg(long, value_name = "FILE", group = "secret")]
    passphrase_file: Option<PathBuf>,
    /// A file with what keepfs key export printed
    #[arg(long, value_name = "FILE", group = "secret")]
    recovery_key: Option<PathBuf>,
}

impl SecretFiles {
    /// The secret that a file was given for.
    pub fn given(&self) -> Result<Option<Secret>, Failure> {
        let given = if let Some(file) = &self.key_file {
            Secret::from_key_file(file)
        } else if let Some(file) = &self.passphrase_file {
            Secret::from_passphrase_file(file)
        } else if let Some(file) = &self.recovery_key {
            Secret::from_recovery_file(file)
        } else {
            return Ok(None);
        };
        Ok(given.map(Some)?)
    }
}

/// The key as another process of ours passes it on.
pub fn secret_on_stdin() -> Result<Secret, Failure> {
    let mut text = Zeroizing::new(String::new());
    io::stdin()
        .lock()
        .read_to_string(&mut text)
        .map_err(|error| Failure::new(ErrorCode::Failed, format!("standard input: {error}")))?;
    Ok(Secret::from_recovery_text(&text, "standard input")?)
}

/// Asks for a passphrase, without showing it. `None`: there is no terminal.
pub fn ask(prompt: &str) -> Option<Zeroizing<String>> {
    if !io::stdin().is_terminal() {
        return None;
    }
    rpassword::prompt_password(prompt).ok().map(Zeroizing::new)
}

/// Where a new passphrase may come from that no file has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PassphraseFrom {
    /// The environment, else the terminal.
    Environment,
    /// The terminal: the environment has the old one.
    Terminal,
}

/// What a vault shall be opened with from now on.
pub struct NewSecret {
    /// The secret.
    pub secret: Secret,
    /// What the settings say of it.
    pub place: SecretPlace,
    /// The key file that was made for it.
    made: Option<PathBuf>,
}

impl NewSecret {
    /// The key file, which is made where there is none; or the passphrase in the file; or
    /// `otherwise`, typed twice.
    pub fn choose(
        key_file: Option<&Path>,
        passphrase_file: Option<&Path>,
        otherwise: PassphraseFrom,
    ) -> Result<Self, Failure> {
        let absolute = |path: &Path| {
            std::path::absolute(path).map_err(|error| {
                Failure::new(ErrorCode::BadInput, format!("{}: {error}", path.display()))
            })
        };
        if let Some(file) = key_file {
            let file = absolute(file)?;
            let is_there = file.symlink_metadata().is_ok();
            return Ok(Self {
                secret: match is_there {
                    true => Secret::from_key_file(&file)?,
                    false => create_key_file(&file)?,
                },
                made: (!is_there).then(|| file.clone()),
                place: SecretPlace::KeyFile(file),
            });
        }
        if let Some(file) = passphrase_file {
            let file = absolute(file)?;
            return Ok(Self {
                secret: Secret::from_passphrase_file(&file)?,
                place: SecretPlace::PassphraseFile(file),
                made: None,
            });
        }
        let in_environment = match otherwise {
            PassphraseFrom::Environment => passphrase_in_environment()?,
            PassphraseFrom::Terminal => None,
        };
        let secret = match in_environment {
            Some(secret) => secret,
            None => ask_twice()?,
        };
        Ok(Self {
            secret,
            place: SecretPlace::Asked,
            made: None,
        })
    }

    /// Takes back a key file that was made for nothing.
    pub fn discard(&self) {
        if let Some(file) = &self.made {
            let _ = std::fs::remove_file(file);
        }
    }

    /// Says what must not be lost.
    pub fn say_what_to_keep(&self) {
        match (&self.made, &self.place) {
            (Some(file), _) => say(format_args!(
                "made the key file {}: keep a copy in another place, without it nothing in the \
                 store can be read",
                file.display()
            )),
            (None, SecretPlace::KeyFile(_)) => {}
            (None, _) => say(
                "without the passphrase nothing in the store can be read; keepfs key export \
                 prints a recovery key for the safe",
            ),
        }
    }
}

fn ask_twice() -> Result<Secret, Failure> {
    let nobody = || {
        Failure::new(
            ErrorCode::BadInput,
            "there is no terminal to ask for the new passphrase on: give a file with it, or a \
             key file",
        )
    };
    let first = ask("New passphrase: ").ok_or_else(nobody)?;
    let second = ask("The same again: ").ok_or_else(nobody)?;
    if *first != *second {
        return Err(Failure::new(
            ErrorCode::BadInput,
            "the two passphrases differ: nothing was changed",
        ));
    }
    Ok(Secret::passphrase(first, "what was typed")?)
}
