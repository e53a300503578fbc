//! `keepfs mount`: shows a vault at a mountpoint, in the background or not.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::Args;

use super::arguments::Writing;
use super::output::{Outcome, Stop, print_line, say, stop};
use super::secret::{SecretFiles, ask, secret_on_stdin};
use super::serve::warn_of_readers;
use super::vault_settings::{VaultSettings, parse_switch};
use crate::config::{Config, FILE_NAME};
use crate::daemon::{
    Announce, Background, Created, MountRequest, PipeAnnounce, prepare, run_mount,
    start_in_background, unlock,
};
use crate::model::{Override, ShellWord};
use crate::mount::MountOptions;
use crate::server::{ErrorCode, Failure};
use crate::store::VaultKey;

/// Mount a vault
///
/// Vault and mountpoint are made where they are missing. The command returns when the mount
/// answers; what the daemon has to say later is in keepfs.log in the vault (KEEPFS_LOG=debug
/// for more of it).
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  keepfs mount ~/vault ~/assets
  keepfs mount /srv/vault /mnt/assets -o allow_other,noexec
  keepfs mount -f ~/vault ~/assets         in the foreground, log on standard error
  keepfs mount ~/vault ~/assets --passphrase-file ~/.keepfs-passphrase

In /etc/fstab:
  /srv/vault  /mnt/assets  keepfs  allow_other,_netdev  0  0

Mount options (-o): ro, allow_other, allow_root, history=visible, noatime, nodev, nosuid,
noexec, passthrough=off, backup=on|off, fsname=NAME, threads=N, entry_timeout=SECONDS,
attr_timeout=SECONDS; fstab's own words are understood.")]
pub struct Mount {
    /// The vault directory
    vault: PathBuf,
    /// Where to mount it
    mountpoint: PathBuf,
    /// Stay in the foreground; interrupt to unmount
    #[arg(short, long)]
    foreground: bool,
    /// Mount options, separated by commas
    #[arg(short, value_name = "OPTIONS")]
    options: Vec<String>,
    /// The vault's switch for this mount
    #[arg(long, value_name = "on|off", value_parser = parse_switch)]
    backup: Option<Override>,
    #[command(flatten)]
    writing: Writing,
    /// Also serve the admin API and the Media Library there: 127.0.0.1:8787 (see keepfs serve)
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// Print nothing when it works
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    secret: SecretFiles,
    /// The process that the background mount is
    #[arg(long, hide = true)]
    background_process: bool,
    /// The vault's key comes on standard input
    #[arg(long, hide = true)]
    key_on_stdin: bool,
    #[command(flatten)]
    settings: VaultSettings,
}

/// The `-o` words of a mount: the kernel's side, and the vault's switch.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Parsed {
    options: MountOptions,
    backup: Option<Override>,
}

/// Checks `-o` words.
pub fn check_options(text: &str) -> Result<(), Failure> {
    parse_options(text, MountOptions::default()).map(|_| ())
}

fn parse_options(text: &str, defaults: MountOptions) -> Result<Parsed, Failure> {
    let bad = |message: String| Failure::new(ErrorCode::BadInput, message);
    let mut backup = None;
    let mut words = Vec::new();
    for word in text.split(',') {
        match word.strip_prefix("backup=") {
            None => words.push(word),
            Some(value) => {
                let value = parse_switch(value)
                    .map_err(|expected| bad(format!("mount option '{word}': {expected}")))?;
                backup = Some(value);
            }
        }
    }
    let options = defaults
        .parse(&words.join(","))
        .map_err(|error| bad(format!("{error}, backup=")))?;
    Ok(Parsed { options, backup })
}

impl Mount {
    /// True in the process that serves the mount.
    pub fn is_daemon(&self) -> bool {
        self.foreground || self.background_process
    }

    /// Mounts.
    pub fn run(self) -> Outcome {
        if self.background_process {
            return self.run_background_process();
        }
        let mut request = self.request()?;
        if let Some(listen) = self.listen {
            warn_of_readers(listen);
        }
        if self.foreground {
            request.key = self.key(&request.vault_dir)?;
            let mut announce = Terminal {
                request: &request,
                quiet: self.quiet,
            };
            return Ok(run_mount(&request, &mut announce).map_err(Failure::from)?);
        }
        // Here, where there is a terminal, and a wrong one is told at once.
        request.key = self.key(&request.vault_dir)?;
        let (config, created) =
            prepare(&request.vault_dir, &request.mountpoint).map_err(Failure::from)?;
        if created == Created::New && !self.quiet {
            say(format_args!(
                "made a new vault in {}",
                config.vault_dir.display()
            ));
        }
        let log = config.vault_dir.join("keepfs.log");
        let background = Background {
            arguments: self.arguments_of_the_process(&request),
            log: &log,
            input: request.key.as_ref().map(VaultKey::recovery_text),
        };
        start_in_background(background, &mut |text| say(text)).map_err(Failure::from)?;
        match self.quiet {
            true => Ok(()),
            false => print_line(what_to_try(&request.mountpoint)),
        }
    }

    fn request(&self) -> Result<MountRequest, Stop> {
        let absolute = |path: &Path| {
            std::path::absolute(path)
                .map_err(|error| stop(ErrorCode::BadInput, format!("{}: {error}", path.display())))
        };
        let vault_dir = absolute(&self.vault)?;
        let defaults = MountOptions {
            // What `mount` and `df` show in the first column.
            source: vault_dir.to_string_lossy().into_owned(),
            ..MountOptions::default()
        };
        let parsed = parse_options(&self.options.join(","), defaults)?;
        Ok(MountRequest {
            mountpoint: absolute(&self.mountpoint)?,
            options: parsed.options,
            overrides: self.settings.overrides(),
            backup: self.backup.or(parsed.backup),
            write_claim: self.writing.claim(),
            key: None,
            listen: self.listen,
            vault_dir,
        })
    }

    /// The key of the vault, where it is there and encrypted.
    fn key(&self, vault_dir: &Path) -> Result<Option<VaultKey>, Failure> {
        let given = match self.key_on_stdin {
            true => Some(secret_on_stdin()?),
            false => self.secret.given()?,
        };
        if given.is_none() && !vault_dir.join(FILE_NAME).exists() {
            return Ok(None);
        }
        let config = Config::load(vault_dir)?;
        Ok(unlock(&config, given.as_ref(), &mut ask)?)
    }

    /// What was given, with absolute places: the process works in `/`.
    fn arguments_of_the_process(&self, request: &MountRequest) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = vec!["mount".into(), "--background-process".into()];
        if !self.options.is_empty() {
            arguments.extend(["-o".into(), self.options.join(",").into()]);
        }
        if let Some(backup) = self.backup {
            arguments.extend(["--backup".into(), backup.as_str().into()]);
        }
        arguments.extend(self.writing.arguments());
        if let Some(listen) = self.listen {
            arguments.extend(["--listen".into(), listen.to_string().into()]);
        }
        if request.key.is_some() {
            arguments.push("--key-on-stdin".into());
        }
        arguments.extend(self.settings.arguments());
        arguments.push("--".into());
        arguments.push(request.vault_dir.clone().into());
        arguments.push(request.mountpoint.clone().into());
        arguments
    }

    fn run_background_process(self) -> Outcome {
        let mut announce = PipeAnnounce::default();
        // A session of its own: the terminal's end is not the mount's.
        let detached = rustix::process::setsid()
            .map(|_| ())
            .or_else(|error| match error {
                rustix::io::Errno::PERM => Ok(()),
                error => Err(error),
            })
            .map_err(std::io::Error::from)
            .and_then(|()| std::env::set_current_dir("/"));
        let done = match detached {
            Ok(()) => self
                .request()
                .map_err(|stop| match stop {
                    Stop::Failure(failure) => failure,
                    Stop::Reported(_) | Stop::ReaderGone => {
                        Failure::new(ErrorCode::Failed, "the arguments could not be read")
                    }
                })
                .and_then(|mut request| {
                    request.key = self.key(&request.vault_dir)?;
                    Ok(run_mount(&request, &mut announce)?)
                }),
            Err(error) => Err(Failure::new(ErrorCode::Failed, error.to_string())),
        };
        match done {
            Ok(()) => Ok(()),
            Err(failure) => {
                log::error!("{failure}");
                announce.failed(&failure);
                Err(Stop::Reported(failure.code.into()))
            }
        }
    }
}

/// Announces to whoever sits in front of a mount in the foreground.
struct Terminal<'a> {
    request: &'a MountRequest,
    quiet: bool,
}

impl Announce for Terminal<'_> {
    fn note(&mut self, text: &str) {
        say(text);
    }

    fn ready(&mut self) {
        if !self.quiet {
            // The mount goes on, whoever stopped reading.
            let _ = print_line(what_to_try(&self.request.mountpoint));
        }
    }
}

fn what_to_try(mountpoint: &Path) -> String {
    let place = ShellWord(mountpoint.display());
    format!(
        "Mounted on {place}. Save a file there twice, then look at what was kept:\n  \
         ls -l {place}/.versions/FILE/      or: keepfs versions {place}/FILE\n  \
         rm {place}/FILE; keepfs restore {place}/FILE"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mount::Writing;

    #[test]
    fn the_vaults_switch_may_stand_among_the_mount_options() {
        let parsed = parse_options("ro,backup=off,nodev", MountOptions::default()).unwrap();
        assert_eq!(parsed.backup, Some(Override::Off));
        assert_eq!(parsed.options.writing, Writing::ReadOnly);
        let error = parse_options("backup=maybe", MountOptions::default()).unwrap_err();
        assert_eq!(
            error.message,
            "mount option 'backup=maybe': write on or off"
        );
        let error = parse_options("bogus", MountOptions::default()).unwrap_err();
        assert_eq!(error.code, ErrorCode::BadInput);
        assert!(
            error.message.starts_with("unknown mount option 'bogus'"),
            "{error}"
        );
    }
}
