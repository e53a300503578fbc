//! `keepfs purge`: deletes whole histories for good.

use std::path::PathBuf;

use clap::Args;

use super::access::{no_items, run};
use super::arguments::{InVault, Json};
use super::confirm::confirm;
use super::output::{Format, Outcome, count, print_json, print_line, say, size};
use super::place::place;
use super::status::unexpected;
use crate::server::{Reply, Request, WirePath};

/// Delete the whole history of a file, or of all deleted files below a directory, for good
///
/// Their bytes leave the store, packs are rewritten where need be. Live files stay, without
/// a past; names of deleted files are free again.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  keepfs purge ~/assets/secret.txt
  keepfs purge --yes ~/assets/old-project")]
pub struct Purge {
    /// The file, or the directory
    path: PathBuf,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
    #[command(flatten)]
    vault: InVault,
    #[command(flatten)]
    json: Json,
}

impl Purge {
    /// Purges.
    pub fn run(self) -> Outcome {
        let place = place(&self.path, self.vault.vault.as_deref())?;
        confirm(
            self.yes.into(),
            &format!(
                "{}: deleting the history of it and of what is deleted below for good",
                place.id
            ),
        )?;
        let request = Request::Purge {
            path: WirePath(place.id),
        };
        report(
            &run(&place.home, &request, &mut no_items)?,
            self.json.format(),
        )
    }
}

/// Says what is gone.
pub fn report(reply: &Reply, format: Format) -> Outcome {
    let Reply::Purged {
        assets,
        versions,
        freed_bytes,
        copy_at,
    } = reply
    else {
        return Err(unexpected(reply));
    };
    if let Some(place) = copy_at {
        say(format_args!(
            "the unfinished copy of the store at {place} may have it until keepfs store migrate goes \
             on with it; remove it if it shall not"
        ));
    }
    match format {
        Format::Json => print_json(&serde_json::json!({
            "assets": assets,
            "versions": versions,
            "freed_bytes": freed_bytes,
            "copy_at": copy_at,
        })),
        Format::Text => print_line(format_args!(
            "deleted for good: {} ({} whole), {} freed",
            count(*versions, "version", "versions"),
            count(*assets, "history", "histories"),
            size(*freed_bytes)
        )),
    }
}
