//! Does the vault hold what it says: the catalog in itself, the catalog against the
//! store, and every sealed version's bytes.

use crate::model::{PublicId, VersionId, VersionSeq, VersionState};
use crate::store::CheckDepth;

use super::{Result, Vault};

/// What a check found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CheckReport {
    /// Everything that is wrong, a line each.
    pub problems: Vec<String>,
    /// The versions that cannot be read whole.
    pub damaged: Vec<(PublicId, VersionId)>,
    /// Versions in the catalog.
    pub versions: u64,
    /// Bytes of packs that were looked at.
    pub bytes: u64,
}

impl Vault {
    /// Checks. `progress` gets (bytes done, bytes in all).
    ///
    /// # Errors
    /// When the check itself cannot go on; damage is in the report.
    pub fn check(
        &self,
        depth: CheckDepth,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<CheckReport> {
        let mut report = CheckReport::default();
        {
            let mut catalog = self.catalog();
            report.problems = catalog.check()?;
            report.versions = catalog.totals()?.versions;
        }
        self.check_sealed(&mut report)?;
        let mut bytes = 0;
        let damages = self.store.check(depth, &mut |done, all| {
            bytes = done;
            progress(done, all);
        })?;
        report.bytes = bytes;
        for damage in damages {
            report
                .problems
                .push(format!("pack {}: {}", damage.pack, damage.detail));
            for seq in damage.versions {
                let mut catalog = self.catalog();
                if let Some(version) = catalog.version(seq)? {
                    let path = catalog.path_of(version.asset)?.unwrap_or_default();
                    report.damaged.push((path, version.id));
                }
            }
        }
        report.damaged.sort();
        report.damaged.dedup();
        Ok(report)
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
