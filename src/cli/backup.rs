//! `keepfs backup`: takes up files that were there before.

use std::path::PathBuf;

use clap::Args;

use super::arguments::{InVault, Json};
use super::output::Outcome;
use super::place::place;
use super::walk::walk;
use crate::server::{Request, WirePath};

/// Back up the existing files that have no version yet
///
/// For a vault over a directory that already has files, and after backup was switched on.
/// Returns when everything is stored. Interrupted, it goes on where it was: what is kept
/// already is only looked at.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  keepfs backup ~/assets
  keepfs backup --vault /srv/vault photos")]
pub struct Backup {
    /// A file, or a directory with all below it
    #[arg(default_value = ".")]
    path: PathBuf,
    #[command(flatten)]
    vault: InVault,
    #[command(flatten)]
    json: Json,
}

impl Backup {
    /// Backs up.
    pub fn run(self) -> Outcome {
        let place = place(&self.path, self.vault.vault.as_deref())?;
        let request = Request::Backup {
            path: WirePath(place.id),
        };
        walk(&place.home, &request, self.json.format())
    }
}
