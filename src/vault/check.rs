//! Does the vault hold what it says: the catalog in itself, the catalog against the
//! store, what the store says of itself, and every sealed version's bytes.

use std::collections::BTreeSet;

use crate::model::{PublicId, VersionId, VersionSeq, VersionState};
use crate::store::{CheckDepth, Damage, Findings, Orphan, RecordFlaw, Sampled};

use super::repair::Lost;
use super::{Result, Vault};

/// What is done about damage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// It is reported.
    Report,
    /// Its bytes are stored anew from wherever they are still to be found.
    Repair,
}

/// What a check found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CheckReport {
    /// Everything that is wrong, a line each.
    pub problems: Vec<String>,
    /// The versions that cannot be read whole.
    pub damaged: Vec<(PublicId, VersionId)>,
    /// What was wrong with packs and is no longer, a line each.
    pub repairs: Vec<String>,
    /// The versions that could not be read whole, and can be now.
    pub repaired: Vec<(PublicId, VersionId)>,
    /// Packs in the store that the catalog does not know; no damage.
    pub orphans: Vec<Orphan>,
    /// What was read of a sample.
    pub sampled: Option<Sampled>,
    /// Versions in the catalog.
    pub versions: u64,
    /// Bytes of packs that were looked at.
    pub bytes: u64,
}

impl Vault {
    /// Checks. `progress` gets (bytes done, bytes in all).
    ///
    /// # Errors
    /// When the check or the repair itself cannot go on; damage is in the report.
    pub fn check(
        &self,
        depth: CheckDepth,
        remedy: Remedy,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<CheckReport> {
        let mut report = CheckReport::default();
        {
            let mut catalog = self.catalog();
            report.problems = catalog.check()?;
            report.versions = catalog.totals()?.versions;
        }
        self.check_sealed(&mut report)?;
        let Findings {
            damages,
            orphans,
            sampled,
        } = self.store.check(depth, &mut |done, all| {
            report.bytes = done;
            progress(done, all);
        })?;
        self.check_records(depth, remedy, &mut report)?;
        report.orphans = orphans;
        report.sampled = sampled;
        let lost = match remedy {
            Remedy::Repair if !damages.is_empty() => Some(self.repair(&damages)?),
            Remedy::Repair | Remedy::Report => None,
        };
        self.tell(&damages, lost.as_ref(), &mut report)?;
        Ok(report)
    }

    /// What the store says of itself: it takes no version with it, but without it the vault
    /// could not be rebuilt.
    fn check_records(
        &self,
        depth: CheckDepth,
        remedy: Remedy,
        report: &mut CheckReport,
    ) -> Result<()> {
        let mut flaws = self.store.check_records(depth)?;
        if remedy == Remedy::Repair && !flaws.is_empty() {
            if let Err(error) = self.store.repair_records() {
                report.problems.push(error.to_string());
            }
            let left = self.store.check_records(depth)?;
            let is_left = |flaw: &RecordFlaw| left.iter().any(|left| left.object == flaw.object);
            let repaired = flaws.iter().filter(|flaw| !is_left(flaw));
            report.repairs.extend(repaired.map(ToString::to_string));
            flaws = left;
        }
        report
            .problems
            .extend(flaws.iter().map(ToString::to_string));
        Ok(())
    }

    /// Writes into the report what is damaged still, and what no longer.
    fn tell(
        &self,
        damages: &[Damage],
        lost: Option<&Lost>,
        report: &mut CheckReport,
    ) -> Result<()> {
        let (mut hurt, mut healed) = (BTreeSet::new(), BTreeSet::new());
        for Damage {
            pack,
            detail,
            versions,
        } in damages
        {
            let line = format!("pack {pack}: {detail}");
            match lost {
                Some(lost) if !lost.packs.contains(pack) => report.repairs.push(line),
                _ => report.problems.push(line),
            }
            for seq in versions {
                match lost {
                    Some(lost) if !lost.versions.contains(seq) => healed.insert(*seq),
                    _ => hurt.insert(*seq),
                };
            }
        }
        // A version of several packs may stand with only one that was looked at.
        hurt.extend(lost.iter().flat_map(|lost| &lost.versions));
        let damaged = self.name_versions(&hurt)?;
        report.damaged.extend(damaged);
        report.damaged.sort();
        report.damaged.dedup();
        report.repaired = self.name_versions(&healed)?;
        report.repaired.sort();
        Ok(())
    }

    /// Paths and ids of versions that are still there.
    pub(super) fn name_versions(
        &self,
        seqs: &BTreeSet<VersionSeq>,
    ) -> Result<Vec<(PublicId, VersionId)>> {
        let mut named = Vec::new();
        for seq in seqs {
            let mut catalog = self.catalog();
            if let Some(version) = catalog.version(*seq)? {
                let path = catalog.path_of(version.asset)?.unwrap_or_default();
                named.push((path, version.id));
            }
        }
        Ok(named)
    }

    fn check_sealed(&self, report: &mut CheckReport) -> Result<()> {
        let mut after = VersionSeq(0);
        loop {
            let page = self.catalog().sealed_versions(after, 1000)?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            after = last.seq;
            for version in page {
                if self.open_sealed(&version)?.is_some() {
                    continue;
                }
                // It may have been stored while we looked.
                let mut catalog = self.catalog();
                let waits = catalog
                    .version(version.seq)?
                    .is_some_and(|now| matches!(now.state, VersionState::Sealed { .. }));
                if waits {
                    let path = catalog.path_of(version.asset)?.unwrap_or_default();
                    report.problems.push(format!(
                        "{path}: the bytes of version {} are neither in the store nor in the spool nor live",
                        version.id
                    ));
                    report.damaged.push((path, version.id));
                }
            }
        }
    }
}
