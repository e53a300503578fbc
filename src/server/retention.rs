//! Pruning and pinning: what goes over the wire, and how it is done.

use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};

use super::event::Item;
use super::execute::{Door, prefix};
use super::failure::Failure;
use super::protocol::{Reply, Switch};
use super::wire_path::WirePath;
use crate::config::Config;
use crate::model::{Hold, PublicId, VersionIdPrefix};
use crate::policy::{Retention, Verdict};
use crate::vault::{ClockTrust, Judged, Prune, PruneMode, Pruned, Vault, VaultError};

/// What to prune, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PruneRequest {
    /// A file, or a directory with all below.
    pub path: WirePath,
    /// Only say what would be done; each version is an item then. Else each that went.
    pub dry_run: Switch,
    /// The clock is right, whatever the vault recorded.
    pub trust_clock: Switch,
}

/// One version and what becomes of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PruneRow {
    /// Its file.
    pub path: WirePath,
    /// Its id.
    pub version_id: String,
    /// When it was kept, RFC 3339.
    pub kept_at: String,
    /// How long ago that was, in seconds; 0 where it lies ahead.
    pub age_seconds: u64,
    /// Bytes.
    pub size: u64,
    /// `keep` or `drop`.
    pub verdict: String,
    /// The rules that keep it, or the reason why it goes.
    pub rules: Vec<String>,
}

/// A version that was pinned or unpinned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinRow {
    /// Its file.
    pub path: WirePath,
    /// Its id.
    pub version_id: String,
    /// Whether it is pinned now.
    pub pinned: bool,
}

/// What a prune came to, or would.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PruneSummary {
    /// False when keepfs.toml has no rule: then everything is kept.
    pub has_rules: bool,
    /// Versions looked at.
    pub judged: u64,
    /// Versions that went.
    pub dropped: u64,
    /// Files that had any of them.
    pub files: u64,
    /// Deleted files whose history is gone whole.
    pub files_ended: u64,
    /// Bytes that the store is smaller by; in a dry run, stored bytes that nothing would
    /// need any more.
    pub freed_bytes: u64,
    /// Bytes that nothing needs, in packs that are not worth a rewrite yet.
    pub dead_bytes: u64,
    /// By how much the store stays over its size budget.
    pub over_budget_bytes: u64,
}

pub(super) fn prune(
    vault: &Vault,
    request: &PruneRequest,
    door: &mut Door<'_>,
) -> Result<Reply, Failure> {
    // As the file is now: a rule that was changed needs no new mount.
    let settings = Config::load(&vault.config().vault_dir)?.retention;
    let retention = Retention::new(&settings).map_err(|error| VaultError::BadVault {
        path: vault.config().vault_dir.join(crate::config::FILE_NAME),
        problem: error.to_string(),
    })?;
    if !retention.drops_anything() {
        return Ok(Reply::Pruned(summary(None)));
    }
    let how = Prune {
        mode: match request.dry_run {
            Switch::On => PruneMode::Rehearse,
            Switch::Off => PruneMode::Drop,
        },
        clock: match request.trust_clock {
            Switch::On => ClockTrust::Given,
            Switch::Off => ClockTrust::Check,
        },
    };
    let now = vault.clock().now();
    let mut gone = Ok(());
    let mut changed: Option<PublicId> = None;
    let pruned = vault.prune(&retention, &request.path.0, how, &mut |judged| {
        let is_dropped = matches!(judged.verdict, Verdict::Drop(_));
        if how.mode == PruneMode::Drop {
            if !is_dropped {
                return ControlFlow::Continue(());
            }
            if changed.as_ref() != Some(judged.path) {
                (door.changed)(judged.path);
                changed = Some(judged.path.clone());
            }
        }
        let age_seconds = now.since(judged.version.kept_at).as_secs();
        gone = door.item(Item::Prune(row(judged, age_seconds)));
        match &gone {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    })?;
    gone?;
    Ok(Reply::Pruned(summary(Some(&pruned))))
}

fn row(judged: &Judged<'_>, age_seconds: u64) -> PruneRow {
    let (verdict, rules) = match judged.verdict {
        Verdict::Keep(reasons) => ("keep", reasons.iter().map(ToString::to_string).collect()),
        Verdict::Drop(reason) => ("drop", vec![reason.to_string()]),
    };
    PruneRow {
        path: WirePath(judged.path.clone()),
        version_id: judged.version.id.to_string(),
        kept_at: judged.version.kept_at.to_string(),
        age_seconds,
        size: judged.version.size,
        verdict: verdict.into(),
        rules,
    }
}

/// `None`: there are no rules.
fn summary(pruned: Option<&Pruned>) -> PruneSummary {
    let has_rules = pruned.is_some();
    let pruned = pruned.copied().unwrap_or_default();
    PruneSummary {
        has_rules,
        judged: pruned.judged,
        dropped: pruned.dropped,
        files: pruned.assets,
        files_ended: pruned.assets_ended,
        freed_bytes: pruned.freed_bytes,
        dead_bytes: pruned.dead_bytes,
        over_budget_bytes: pruned.over_budget_bytes,
    }
}

pub(super) fn pin(
    vault: &Vault,
    path: &PublicId,
    versions: &[String],
    hold: Hold,
    door: &mut Door<'_>,
) -> Result<Reply, Failure> {
    let prefixes = versions
        .iter()
        .map(|text| prefix(text))
        .collect::<Result<Vec<VersionIdPrefix>, _>>()?;
    let done = match hold {
        Hold::On => vault.pin(path, &prefixes)?,
        Hold::Off => vault.unpin(path, &prefixes)?,
    };
    for id in done {
        door.item(Item::Pin(PinRow {
            path: WirePath(path.clone()),
            version_id: id.to_string(),
            pinned: hold == Hold::On,
        }))?;
    }
    Ok(Reply::Done)
}
