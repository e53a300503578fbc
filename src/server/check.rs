//! The answer to a check: what is damaged, what was repaired, what nobody needs.

use super::checked::{CheckRequest, OrphanRow, RepairedRow, SampleRow};
use super::event::{Item, ProblemRow, Progress};
use super::execute::Door;
use super::failure::{ErrorCode, Failure};
use super::protocol::{Reply, Switch};
use super::wire_path::WirePath;
use crate::model::{PublicId, VersionId};
use crate::store::{CheckDepth, Orphan, Sampled, ShareError};
use crate::vault::{CheckReport, Remedy, Vault};

/// Checks, and repairs where that is asked for.
pub(super) fn check(
    vault: &Vault,
    request: &CheckRequest,
    door: &mut Door<'_>,
) -> Result<Reply, Failure> {
    let remedy = match request.repair {
        Switch::On => Remedy::Repair,
        Switch::Off => Remedy::Report,
    };
    let report = vault.check(depth(request)?, remedy, &mut |bytes, bytes_total| {
        door.progress(Progress::Checked { bytes, bytes_total });
    })?;
    let reply = Reply::Checked {
        versions: report.versions,
        bytes: report.bytes,
        problems: (report.problems.len() + report.damaged.len()) as u64,
        repaired: (report.repairs.len() + report.repaired.len()) as u64,
        orphans: report.orphans.len() as u64,
        sample: report.sampled.clone().map(sample),
    };
    for item in items(report) {
        door.item(item)?;
    }
    Ok(reply)
}

fn depth(request: &CheckRequest) -> Result<CheckDepth, Failure> {
    let bad = |text: String| Failure::new(ErrorCode::BadInput, text);
    match (request.read_data, &request.sample) {
        (Switch::On, None) => Ok(CheckDepth::ReadData),
        (Switch::Off, None) => Ok(CheckDepth::Listing),
        (Switch::Off, Some(share)) => share
            .parse()
            .map(CheckDepth::Sample)
            .map_err(|error: ShareError| bad(format!("sample '{share}': {error}"))),
        (Switch::On, Some(_)) => Err(bad("read_data reads all: leave out sample".into())),
    }
}

fn items(report: CheckReport) -> impl Iterator<Item = Item> {
    let problem = |path: Option<WirePath>, version_id, text| {
        Item::Problem(ProblemRow {
            path,
            version_id,
            failure: Failure::new(ErrorCode::Damaged, text),
        })
    };
    let repaired = |path, version_id, message| {
        Item::Repaired(RepairedRow {
            path,
            version_id,
            message,
        })
    };
    let versions = |rows: Vec<(PublicId, VersionId)>, words: &'static str| {
        rows.into_iter().map(move |(path, version)| {
            let text = format!("{path}: version {version} {words}");
            (Some(WirePath(path)), Some(version.to_string()), text)
        })
    };
    let repairs = report
        .repairs
        .into_iter()
        .map(move |text| repaired(None, None, format!("{text}: repaired")));
    let healed = versions(report.repaired, "is whole again")
        .map(move |(path, version, text)| repaired(path, version, text));
    let causes = report
        .problems
        .into_iter()
        .map(move |text| problem(None, None, text));
    let victims = versions(report.damaged, "cannot be read whole")
        .map(move |(path, version, text)| problem(path, version, text));
    let orphans = report.orphans.into_iter().map(orphan);
    repairs
        .chain(healed)
        .chain(causes)
        .chain(victims)
        .chain(orphans)
}

fn orphan(Orphan { pack, bytes }: Orphan) -> Item {
    Item::Orphan(OrphanRow {
        pack: pack.to_string(),
        bytes,
    })
}

fn sample(sampled: Sampled) -> SampleRow {
    SampleRow {
        packs: sampled.packs,
        packs_total: sampled.packs_total,
        bytes: sampled.bytes,
        seed: sampled.seed,
    }
}
