//! `keepfs check`: does the vault hold what it says?

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::Exit;
use super::access::run;
use super::arguments::{InVault, Json};
use super::output::{Format, Outcome, Stop, count, print_json, print_line, say, size};
use super::place::place;
use super::status::unexpected;
use crate::server::{CheckRequest, Item, ProblemRow, Reply, Request, Switch};

/// Compare the catalog with itself and with the store
///
/// Damage is one line each, and exit code 5. Nothing is changed.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  keepfs check ~/assets
  keepfs check --read-data --vault /srv/vault     read and verify every byte")]
pub struct Check {
    /// A path in the mount, or a vault directory
    #[arg(default_value = ".")]
    path: PathBuf,
    /// Read every byte of the store and verify it
    #[arg(long)]
    read_data: bool,
    #[command(flatten)]
    vault: InVault,
    #[command(flatten)]
    json: Json,
}

#[derive(Debug, Serialize)]
struct Report {
    versions: u64,
    bytes: u64,
    problems: Vec<ProblemRow>,
}

impl Check {
    /// Checks.
    pub fn run(self) -> Outcome {
        let place = place(&self.path, self.vault.vault.as_deref())?;
        let request = Request::Check(CheckRequest {
            read_data: match self.read_data {
                true => Switch::On,
                false => Switch::Off,
            },
        });
        let format = self.json.format();
        let mut problems = Vec::new();
        let reply = run(&place.home, &request, &mut |item| {
            if let Item::Problem(problem) = item {
                if format == Format::Text {
                    say(&problem.failure);
                }
                problems.push(problem);
            }
            Ok(())
        })?;
        let Reply::Checked {
            versions, bytes, ..
        } = reply
        else {
            return Err(unexpected(&reply));
        };
        let damaged = !problems.is_empty();
        match format {
            Format::Json => print_json(&Report {
                versions,
                bytes,
                problems,
            })?,
            Format::Text => print_line(format_args!(
                "{} and {} of packs checked: {}",
                count(versions, "version", "versions"),
                size(bytes),
                match problems.len() {
                    0 => "no problems".into(),
                    found => count(found as u64, "problem", "problems"),
                }
            ))?,
        }
        match damaged {
            true => Err(Stop::Reported(Exit::Damaged)),
            false => Ok(()),
        }
    }
}
