//! `keepfs policy`: is this path backed up, and why (not)?

use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::{Deserialize, Serialize};

use super::access::{no_items, run};
use super::arguments::{InVault, Json};
use super::output::{Format, Outcome, Stop, print_json, print_line, stop};
use super::place::{Home, place};
use super::status::unexpected;
use super::through_mount::attribute;
use crate::model::PublicId;
use crate::server::{ErrorCode, Reply, Request, WirePath};

/// Say whether a path is backed up, and why (not)
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  keepfs policy ~/assets/build/main.o
  keepfs policy --vault /srv/vault .notes.txt.swp     a name that need not exist

To change it for a file, or a directory with all below it:
  setfattr -n user.keepfs.backup -v off ~/assets/build")]
pub struct Policy {
    /// The path
    path: PathBuf,
    #[command(flatten)]
    vault: InVault,
    #[command(flatten)]
    json: Json,
}

#[derive(Debug, Serialize, Deserialize)]
struct Explained {
    path: String,
    kept: String,
    reason: String,
}

impl Policy {
    /// Says it.
    pub fn run(self) -> Outcome {
        let place = place(&self.path, self.vault.vault.as_deref())?;
        let read = match &place.home {
            Home::Mount(mountpoint) => read(mountpoint, &place.id)?,
            Home::Vault(_) => None,
        };
        let explained = match read {
            Some(explained) => explained,
            // A name that is not there: only whoever has the vault can judge it.
            None => ask(&place.home, &place.id)?,
        };
        match self.json.format() {
            Format::Json => print_json(&explained),
            Format::Text => print_line(sentence(&explained)),
        }
    }
}

/// `None`: there is no such file.
fn read(mountpoint: &Path, id: &PublicId) -> Result<Option<Explained>, Stop> {
    let path = mountpoint.join(id.as_os_str());
    let failed = |problem: String| stop(ErrorCode::Failed, format!("{id}: {problem}"));
    match attribute(&path, "policy") {
        Ok(Some(text)) => serde_json::from_slice(&text)
            .map(Some)
            .map_err(|error| failed(error.to_string())),
        Ok(None) => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(error.to_string())),
    }
}

fn ask(home: &Home, id: &PublicId) -> Result<Explained, Stop> {
    let request = Request::Policy {
        path: WirePath(id.clone()),
    };
    match run(home, &request, &mut no_items)? {
        Reply::Policy { kept, reason } => Ok(Explained {
            path: id.to_string(),
            kept,
            reason,
        }),
        other => Err(unexpected(&other)),
    }
}

/// The reason says already whether it is backed up.
fn sentence(explained: &Explained) -> String {
    format!("{}: {}", explained.path, explained.reason)
}
