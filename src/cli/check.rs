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
use crate::server::{
    CheckRequest, Item, OrphanRow, ProblemRow, RepairedRow, Reply, Request, SampleRow, Switch,
};
use crate::store::Share;

/// Compare the catalog with itself and with the store
///
/// Damage is one line each, and exit code 5; the versions that it hurts are named. A pack in
/// the store that the catalog does not know is named, too, but is no damage. Nothing is
/// changed without --repair.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  keepfs check ~/assets
  keepfs check --sample 1% ~/assets               once a day: all is read in 100 days
  keepfs check --read-data --vault /srv/vault     read and verify every byte
  keepfs check --read-data --repair ~/assets      and store anew what is damaged")]
pub struct Check {
    /// A path in the mount, or a vault directory
    #[arg(default_value = ".")]
    path: PathBuf,
    /// Read every byte of the store and verify it
    #[arg(long)]
    read_data: bool,
    /// Read and verify this share of the store's bytes, at least one pack
    ///
    /// In an order drawn by lot, from where the last sample stopped: so runs of it read
    /// everything in time.
    #[arg(long, value_name = "SHARE", conflicts_with = "read_data")]
    sample: Option<Share>,
    /// Store damaged content anew, where its bytes are still to be found
    ///
    /// They are looked for in the rest of the pack, in what readers have in memory, and in
    /// the live files that have or had that content, each checked against its blake3.
    /// What was repaired is named, and what stays lost; exit code 5 only for that.
    #[arg(long)]
    repair: bool,
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
    repaired: Vec<RepairedRow>,
    orphans: Vec<OrphanRow>,
    sample: Option<SampleRow>,
}

impl Check {
    /// Checks.
    pub fn run(self) -> Outcome {
        let place = place(&self.path, self.vault.vault.as_deref())?;
        let request = Request::Check(CheckRequest {
            read_data: switch(self.read_data),
            sample: self.sample.map(|share| share.to_string()),
            repair: switch(self.repair),
        });
        let format = self.json.format();
        let (mut problems, mut repaired, mut orphans) = (Vec::new(), Vec::new(), Vec::new());
        let reply = run(&place.home, &request, &mut |item| {
            if format == Format::Text {
                tell(&item);
            }
            match item {
                Item::Problem(problem) => problems.push(problem),
                Item::Repaired(row) => repaired.push(row),
                Item::Orphan(orphan) => orphans.push(orphan),
                _ => {}
            }
            Ok(())
        })?;
        let Reply::Checked {
            versions,
            bytes,
            sample,
            ..
        } = reply
        else {
            return Err(unexpected(&reply));
        };
        let report = Report {
            versions,
            bytes,
            problems,
            repaired,
            orphans,
            sample,
        };
        match format {
            Format::Json => print_json(&report)?,
            Format::Text => print_line(sentence(&report))?,
        }
        match report.problems.is_empty() {
            true => Ok(()),
            false => Err(Stop::Reported(Exit::Damaged)),
        }
    }
}

fn switch(given: bool) -> Switch {
    match given {
        true => Switch::On,
        false => Switch::Off,
    }
}

fn tell(item: &Item) {
    match item {
        Item::Problem(problem) => say(&problem.failure),
        Item::Repaired(repaired) => say(&repaired.message),
        Item::Orphan(OrphanRow { pack, bytes }) => say(format_args!(
            "pack {pack}: in the store ({}), but not in the catalog; no version here needs it. \
             Unless the catalog is an older copy, it can be deleted",
            size(*bytes)
        )),
        _ => {}
    }
}

fn sentence(report: &Report) -> String {
    let mut text = format!(
        "{} and {} of packs checked",
        count(report.versions, "version", "versions"),
        size(report.bytes),
    );
    if let Some(sample) = &report.sample {
        text.push_str(&format!(
            ", {} of {} read ({}, seed {})",
            sample.packs,
            count(sample.packs_total, "pack", "packs"),
            size(sample.bytes),
            sample.seed
        ));
    }
    text.push_str(&match report.problems.len() as u64 {
        0 => ": no problems".into(),
        found => format!(": {}", count(found, "problem", "problems")),
    });
    for (number, one, many) in [
        (report.repaired.len(), "repaired", "repaired"),
        (
            report.orphans.len(),
            "pack not in the catalog",
            "packs not in the catalog",
        ),
    ] {
        if number > 0 {
            text.push_str(&format!(", {}", count(number as u64, one, many)));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_says_what_was_read_and_what_came_of_it() {
        let mut report = Report {
            versions: 2,
            bytes: 2048,
            problems: Vec::new(),
            repaired: Vec::new(),
            orphans: Vec::new(),
            sample: None,
        };
        assert_eq!(
            sentence(&report),
            "2 versions and 2.0 KiB of packs checked: no problems"
        );
        report.sample = Some(SampleRow {
            packs: 1,
            packs_total: 3,
            bytes: 1024,
            seed: "a0".into(),
        });
        report.orphans.push(OrphanRow {
            pack: "00".into(),
            bytes: 1,
        });
        report.repaired.push(RepairedRow {
            path: None,
            version_id: None,
            message: String::new(),
        });
        assert_eq!(
            sentence(&report),
            "2 versions and 2.0 KiB of packs checked, 1 of 3 packs read (1.0 KiB, seed a0): \
             no problems, 1 repaired, 1 pack not in the catalog"
        );
    }
}
