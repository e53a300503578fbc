//! `keepfs pin`: keeps versions whatever the rules say.

use std::path::PathBuf;

use clap::Args;

use super::access::run;
use super::arguments::{InVault, Json};
use super::output::{Format, Outcome, print_json, print_line, stop};
use super::place::{Home, place};
use crate::model::VersionIdPrefix;
use crate::server::{ErrorCode, Item, PinRow, Request, WirePath};

/// Keep versions of a file on purpose, whatever the rules of retention say
///
/// keepfs prune never drops a pinned version. delete-version and purge still do.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  keepfs pin ~/assets/thesis.odt              the version that is the latest now
  keepfs pin ~/assets/thesis.odt 0198c2d4     an older one
  keepfs versions ~/assets/thesis.odt         says which are pinned")]
pub struct Pin {
    /// The file; it may be deleted. Or a version below .versions
    path: PathBuf,
    /// Versions, by their ids or the first digits of them; the latest if none is given
    #[arg(value_name = "VERSION")]
    versions: Vec<String>,
    #[command(flatten)]
    vault: InVault,
    #[command(flatten)]
    json: Json,
}

impl Pin {
    /// Pins.
    pub fn run(self) -> Outcome {
        let place = place(&self.path, self.vault.vault.as_deref())?;
        let versions = chosen(self.versions, place.version)?;
        let request = Request::Pin {
            path: WirePath(place.id),
            versions,
        };
        report(&place.home, &request, self.json.format())
    }
}

/// The versions that were named, in whichever way.
pub fn chosen(
    given: Vec<String>,
    in_path: Option<String>,
) -> Result<Vec<String>, super::output::Stop> {
    for version in &given {
        version
            .parse::<VersionIdPrefix>()
            .map_err(|error| stop(ErrorCode::BadInput, error.to_string()))?;
    }
    match (in_path, given.is_empty()) {
        (Some(version), true) => Ok(vec![version]),
        (Some(_), false) => Err(stop(
            ErrorCode::BadInput,
            "PATH is a version already: leave VERSION out, or name the file",
        )),
        (None, _) => Ok(given),
    }
}

/// Asks, and says which versions it was.
pub fn report(home: &Home, request: &Request, format: Format) -> Outcome {
    let mut rows: Vec<PinRow> = Vec::new();
    run(home, request, &mut |item| {
        if let Item::Pin(row) = item {
            rows.push(row);
        }
        Ok(())
    })?;
    match format {
        Format::Json => print_json(&rows),
        Format::Text => {
            for row in &rows {
                let word = match row.pinned {
                    true => "pinned",
                    false => "unpinned",
                };
                print_line(format_args!("{word} {} {}", row.path.0, row.version_id))?;
            }
            Ok(())
        }
    }
}
