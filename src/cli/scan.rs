//! `keepfs scan`: takes up what changed behind the mount's back.

use std::path::PathBuf;

use clap::Args;

use super::arguments::{InVault, Json};
use super::output::Outcome;
use super::place::place;
use super::walk::walk;
use crate::server::{Request, WirePath};

/// Take up changes that were made to the live directory behind the mount's back
///
/// New contents become versions, moved files keep their history, and what is gone counts as
/// deleted. A mount after an unclean stop does this by itself.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  keepfs scan ~/assets
  keepfs scan --vault /srv/vault photos --json")]
pub struct Scan {
    /// A file, or a directory with all below it
    #[arg(default_value = ".")]
    path: PathBuf,
    #[command(flatten)]
    vault: InVault,
    #[command(flatten)]
    json: Json,
}

impl Scan {
    /// Scans.
    pub fn run(self) -> Outcome {
        let place = place(&self.path, self.vault.vault.as_deref())?;
        let request = Request::Scan {
            path: WirePath(place.id),
        };
        walk(&place.home, &request, self.json.format())
    }
}
