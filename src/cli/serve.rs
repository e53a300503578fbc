//! `keepfs serve`: the admin API and the Media Library of a vault that is not mounted.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

use super::arguments::Writing;
use super::output::{Outcome, print_line, say, stop};
use super::secret::{SecretFiles, ask};
use super::vault_settings::VaultSettings;
use crate::config::{Config, FILE_NAME};
use crate::daemon::{Announce, ServeRequest, run_serve, unlock};
use crate::server::{ErrorCode, Failure};

/// Serve the admin API and the Media Library of a vault
///
/// Runs until it is interrupted. The API speaks the protocol of Cloudinary's SDKs; the page is
/// at the address itself. Both want a key: keepfs api-key create. To have a mount and the
/// server at once, give keepfs mount --listen.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  keepfs api-key create ~/vault
  keepfs serve ~/vault
  keepfs serve ~/vault --listen 127.0.0.1:9000
  keepfs mount ~/vault ~/assets --listen 127.0.0.1:8787      a mount and the server at once

There is no TLS here: before you listen on anything but this machine, put a proxy with a
certificate in front, and name its address as public_url under [api] in keepfs.toml.")]
pub struct Serve {
    /// The vault directory
    vault: PathBuf,
    /// Where to listen
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8787")]
    listen: SocketAddr,
    #[command(flatten)]
    writing: Writing,
    #[command(flatten)]
    secret: SecretFiles,
    #[command(flatten)]
    settings: VaultSettings,
}

struct Terminal;

impl Announce for Terminal {
    fn note(&mut self, text: &str) {
        say(text);
    }

    fn ready(&mut self) {}
}

impl Serve {
    /// Serves.
    pub fn run(self) -> Outcome {
        let vault_dir = std::path::absolute(&self.vault).map_err(|error| {
            let vault = self.vault.display();
            stop(ErrorCode::BadInput, format!("{vault}: {error}"))
        })?;
        let given = self.secret.given()?;
        let key = match vault_dir.join(FILE_NAME).exists() {
            false => None,
            true => {
                let config = Config::load(&vault_dir).map_err(Failure::from)?;
                unlock(&config, given.as_ref(), &mut ask).map_err(Failure::from)?
            }
        };
        let request = ServeRequest {
            vault_dir,
            listen: self.listen,
            overrides: self.settings.overrides(),
            write_claim: self.writing.claim(),
            key,
        };
        warn_of_readers(self.listen);
        let mut ready = |address: SocketAddr| {
            // It goes on, whoever stopped reading.
            let _ = print_line(format!(
                "Serving {} on http://{address}/",
                self.vault.display()
            ));
        };
        Ok(run_serve(&request, &mut Terminal, &mut ready).map_err(Failure::from)?)
    }
}

/// Says what it means to listen where others can call.
pub fn warn_of_readers(listen: SocketAddr) {
    if !listen.ip().is_loopback() {
        say("listening beyond this machine, without TLS: whoever is on the way reads along");
    }
}
