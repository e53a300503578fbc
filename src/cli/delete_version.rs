//! `keepfs delete-version`: deletes single versions for good.

use std::path::PathBuf;

use clap::Args;

use super::access::{no_items, run};
use super::arguments::{InVault, Json};
use super::confirm::confirm;
use super::output::{Outcome, count, stop};
use super::place::place;
use super::purge::report;
use crate::model::VersionIdPrefix;
use crate::server::{ErrorCode, Request, WirePath};

/// Delete versions of a file for good
///
/// Their bytes leave the store, packs are rewritten where need be. The file itself stays.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  keepfs delete-version ~/assets/secret.txt 0198c2d4
  keepfs delete-version --yes --vault /srv/vault secret.txt 0198c2d4 0198c2d5")]
pub struct DeleteVersion {
    /// The file; it may be deleted
    path: PathBuf,
    /// Versions, by their ids or the first digits of them
    #[arg(required = true, value_name = "ID")]
    versions: Vec<String>,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
    #[command(flatten)]
    vault: InVault,
    #[command(flatten)]
    json: Json,
}

impl DeleteVersion {
    /// Deletes.
    pub fn run(self) -> Outcome {
        let place = place(&self.path, self.vault.vault.as_deref())?;
        for version in &self.versions {
            version
                .parse::<VersionIdPrefix>()
                .map_err(|error| stop(ErrorCode::BadInput, error.to_string()))?;
        }
        let number = count(self.versions.len() as u64, "version", "versions");
        confirm(
            self.yes.into(),
            &format!("{}: deleting {number} for good", place.id),
        )?;
        let request = Request::DeleteVersions {
            path: WirePath(place.id),
            versions: self.versions,
        };
        report(
            &run(&place.home, &request, &mut no_items)?,
            self.json.format(),
        )
    }
}
