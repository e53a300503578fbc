//! Pruning: what no rule keeps is dropped, then packs that waste much are rewritten.
//!
//! A file at a time, and of a long history a part at a time: nobody waits long for the
//! catalog. The surprise: a verdict is old when it is carried out. What makes it wrong by
//! then (a pin, a file that came back, a head that went) is asked again with the drop.

mod clock;
mod dropping;
mod judgement;
mod room;

use std::collections::HashSet;
use std::ops::ControlFlow;

use crate::catalog::Durability;
use crate::model::failpoint::reach;
use crate::model::{NodeId, PublicId, Timestamp, Version, VersionSeq};
use crate::policy::{DropReason, Retention, Verdict};

use room::Room;

use super::{Result, Vault, VaultError};

/// So many versions are dropped, or looked up, under one lock of the catalog.
const BATCH: usize = 200;

/// How to prune.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prune {
    /// Whether to do it.
    pub mode: PruneMode,
    /// Whether the clock was vouched for.
    pub clock: ClockTrust,
}

/// Whether verdicts are carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PruneMode {
    /// Only say what would be done.
    Rehearse,
    /// Do it.
    Drop,
}

/// Whether somebody says that the clock is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClockTrust {
    /// Nobody: what the vault recorded must bear it out.
    Check,
    /// Yes.
    Given,
}

/// One version and what is to become of it.
#[derive(Debug)]
pub struct Judged<'a> {
    /// Its file.
    pub path: &'a PublicId,
    /// The version.
    pub version: &'a Version,
    /// The verdict; carried out already, unless this is a rehearsal.
    pub verdict: &'a Verdict,
}

/// What a prune came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pruned {
    /// Versions looked at.
    pub judged: u64,
    /// Versions dropped, or to be dropped.
    pub dropped: u64,
    /// Files that had any of them.
    pub assets: u64,
    /// Of these, the deleted ones whose history is gone whole.
    pub assets_ended: u64,
    /// Bytes that the store is smaller by; in a rehearsal, stored bytes that nothing
    /// would need any more.
    pub freed_bytes: u64,
    /// Bytes that nothing needs, in packs that are not worth a rewrite yet.
    pub dead_bytes: u64,
    /// By how much the store stays over its budget.
    pub over_budget_bytes: u64,
}

/// A prune under way.
struct Run<'a> {
    retention: &'a Retention,
    mode: PruneMode,
    now: Timestamp,
    /// What goes because of the budget.
    over_budget: HashSet<VersionSeq>,
    /// What a rehearsal would set free, unless the budget counted it already.
    room: Option<Room>,
    pruned: Pruned,
}

impl Vault {
    /// Judges every version of the files at and below a path, and drops those that no
    /// rule keeps. The size budget counts only where the path is the root. `each` hears of
    /// every version; where it breaks, no more is dropped.
    ///
    /// # Errors
    /// [`VaultError::ClockBehind`], [`VaultError::ClockAhead`]: nothing was dropped.
    /// [`VaultError::NotFound`], or the failure of catalog or store: what was dropped
    /// until then stays so, and the next prune goes on.
    pub fn prune(
        &self,
        retention: &Retention,
        scope: &PublicId,
        how: Prune,
        each: &mut dyn FnMut(&Judged<'_>) -> ControlFlow<()>,
    ) -> Result<Pruned> {
        let now = self.clock.now();
        if retention.goes_by_time() {
            self.vouch_for_clock(retention, now, how)?;
        }
        let mut run = Run {
            retention,
            mode: how.mode,
            now,
            over_budget: HashSet::new(),
            room: (how.mode == PruneMode::Rehearse).then(Room::default),
            pruned: Pruned::default(),
        };
        if let (Some(budget), true) = (retention.settings().size_budget, scope.is_root()) {
            self.choose_for_budget(&mut run, budget)?;
        }
        let mut goes_on = ControlFlow::Continue(());
        let mut found = false;
        self.for_each_asset(scope, &mut |_, asset, _| {
            found = true;
            if goes_on.is_continue() {
                goes_on = self.prune_asset(&mut run, asset, each)?;
            }
            Ok(())
        })?;
        if !found && !scope.is_root() {
            return Err(VaultError::NotFound {
                path: scope.clone(),
                what: "a backed-up file, there or below,".into(),
            });
        }
        match how.mode {
            PruneMode::Rehearse => {
                if let Some(room) = &run.room {
                    run.pruned.freed_bytes = room.bytes();
                }
            }
            PruneMode::Drop => self.make_room(&mut run)?,
        }
        Ok(run.pruned)
    }

    /// Rewrites packs, and says in the log what was done.
    fn make_room(&self, run: &mut Run<'_>) -> Result<()> {
        let Pruned {
            judged,
            dropped,
            assets,
            ..
        } = run.pruned;
        log::warn!("pruned: dropped {dropped} of {judged} versions, of {assets} files");
        reach("prune.before-repack");
        let settings = run.retention.settings();
        let mut repacked = self.store.repack(settings.repack_live_percent_min)?;
        let stored_bytes = self.catalog().totals()?.pack_bytes;
        if settings.size_budget.is_some_and(|max| stored_bytes > max) && repacked.dead_bytes > 0 {
            // What is still wasted counts for the budget, too.
            let more = self.store.repack(100)?;
            repacked.freed_bytes += more.freed_bytes;
            repacked.dead_bytes = more.dead_bytes;
        }
        reach("prune.after-repack");
        self.commit(Durability::Power)?;
        run.pruned.freed_bytes = repacked.freed_bytes;
        run.pruned.dead_bytes = repacked.dead_bytes;
        log::warn!("pruned: {} bytes freed", repacked.freed_bytes);
        Ok(())
    }

    fn prune_asset(
        &self,
        run: &mut Run<'_>,
        asset: NodeId,
        each: &mut dyn FnMut(&Judged<'_>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>> {
        let Some(mut judgement) = self.judge_asset(run, asset)? else {
            return Ok(ControlFlow::Continue(()));
        };
        for (version, verdict) in judgement.versions.iter().zip(&mut judgement.verdicts) {
            if run.over_budget.contains(&version.seq) && verdict.yields_to_budget() {
                *verdict = Verdict::Drop(DropReason::OverBudget);
            }
        }
        let dropped = match run.mode {
            PruneMode::Rehearse => {
                if let Some(room) = &mut run.room {
                    self.add_doomed(&judgement, room)?;
                }
                None
            }
            PruneMode::Drop => Some(self.drop_doomed(run, asset, &judgement)?),
        };
        let count = match &dropped {
            Some(dropped) => dropped.len(),
            None => judgement.doomed().count(),
        } as u64;
        run.pruned.judged += judgement.versions.len() as u64;
        run.pruned.dropped += count;
        run.pruned.assets += u64::from(count > 0);
        for (version, verdict) in judgement.versions.iter().zip(&judgement.verdicts) {
            let spared = dropped
                .as_ref()
                .is_some_and(|dropped| !dropped.contains(&version.seq));
            if spared && matches!(verdict, Verdict::Drop(_)) {
                continue;
            }
            let judged = Judged {
                path: &judgement.path,
                version,
                verdict,
            };
            if each(&judged).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}
