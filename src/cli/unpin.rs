//! `keepfs unpin`: leaves versions to the rules again.

use std::path::PathBuf;

use clap::Args;

use super::arguments::{InVault, Json};
use super::output::Outcome;
use super::pin::{chosen, report};
use super::place::place;
use crate::server::{Request, WirePath};

/// Leave pinned versions of a file to the rules of retention again
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  keepfs unpin ~/assets/thesis.odt 0198c2d4
  keepfs unpin ~/assets/thesis.odt            all versions of it")]
pub struct Unpin {
    /// The file; it may be deleted. Or a version below .versions
    path: PathBuf,
    /// Versions, by their ids or the first digits of them; all if none is given
    #[arg(value_name = "VERSION")]
    versions: Vec<String>,
    #[command(flatten)]
    vault: InVault,
    #[command(flatten)]
    json: Json,
}

impl Unpin {
    /// Unpins.
    pub fn run(self) -> Outcome {
        let place = place(&self.path, self.vault.vault.as_deref())?;
        let request = Request::Unpin {
            path: WirePath(place.id),
            versions: chosen(self.versions, place.version)?,
        };
        report(&place.home, &request, self.json.format())
    }
}
