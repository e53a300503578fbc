//! Carrying verdicts out: rows go, a part at a time.

use std::collections::HashSet;

use crate::catalog::{Catalog, Durability, atomically};
use crate::model::failpoint::reach;
use crate::model::{NodeId, VersionSeq};
use crate::policy::DropReason;
use crate::vault::{Result, Vault, VaultError};

use super::judgement::{Judgement, file_state};
use super::{BATCH, Run};

impl Vault {
    /// Drops what is to go of one history, unless that has changed too much. Returns the
    /// versions that went.
    pub(super) fn drop_doomed(
        &self,
        run: &mut Run<'_>,
        asset: NodeId,
        judgement: &Judgement,
    ) -> Result<HashSet<VersionSeq>> {
        let doomed: Vec<(VersionSeq, &DropReason)> = judgement
            .doomed()
            .map(|(version, reason)| (version.seq, reason))
            .collect();
        let mut dropped = HashSet::with_capacity(doomed.len());
        for batch in doomed.chunks(BATCH) {
            let mut catalog = self.catalog();
            let record = catalog.asset(asset)?;
            if record.is_none_or(|record| file_state(&record) != judgement.file) {
                break;
            }
            let now = self.clock.now();
            let (gone, ended) = atomically(catalog.as_mut(), |catalog| {
                let gone = remove_doomed(catalog, asset, batch)?;
                reach("prune.removed");
                let ended = catalog.latest_versions(asset, 1)?.is_empty();
                if ended {
                    self.forget_asset(catalog, asset, now)?;
                }
                Ok::<_, VaultError>((gone, ended))
            })?;
            reach("prune.released");
            self.commit_locked(catalog.as_mut(), Durability::Process)?;
            reach("prune.committed");
            run.pruned.assets_ended += u64::from(ended);
            dropped.extend(gone);
        }
        let all = &judgement.versions;
        let gone = || all.iter().filter(|version| dropped.contains(&version.seq));
        if let (Some(first), Some(last)) = (gone().next(), gone().next_back()) {
            log::info!(
                "pruned {}: dropped {} of {} versions, {} to {}",
                judgement.path,
                dropped.len(),
                all.len(),
                first.id,
                last.id
            );
        }
        Ok(dropped)
    }
}

fn remove_doomed(
    catalog: &mut dyn Catalog,
    asset: NodeId,
    batch: &[(VersionSeq, &DropReason)],
) -> Result<Vec<VersionSeq>> {
    let latest = catalog.latest_versions(asset, 1)?.pop();
    let latest = latest.map(|version| version.seq);
    let mut gone = Vec::with_capacity(batch.len());
    for (seq, reason) in batch {
        let found = catalog.version(*seq)?;
        let is_head = latest == Some(*seq) && !matches!(reason, DropReason::DeletedFor(_));
        if is_head
            || found.is_none_or(|version| version.asset != asset)
            || catalog.has_hold(*seq)?
        {
            continue;
        }
        catalog.remove_version(*seq)?;
        gone.push(*seq);
    }
    Ok(gone)
}
