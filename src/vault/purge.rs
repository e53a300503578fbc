//! Irreversible deletion: the rows go, then the bytes, from every pack that has them, then
//! what the store's journal says of them.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::catalog::{Durability, Standing, atomically};
use crate::model::failpoint::reach;
use crate::model::{NodeId, PublicId, Version, VersionIdPrefix, VersionSeq};

use super::leftovers::Left;
use super::{Result, Vault, VaultError};

/// There while bytes that were deleted for good may still be in the store. Its value says
/// by whom: of two at once, only the last one may take it away.
const UNFINISHED_SETTING: &str = "purge.unfinished";

/// How long a deletion waits until nothing is being stored that may share its bytes.
const SHARED_PATIENCE: Duration = match cfg!(test) {
    true => Duration::from_millis(20),
    false => Duration::from_secs(10),
};

/// What was deleted for good.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Purged {
    /// Assets whose history is gone whole.
    pub assets: u64,
    /// Versions.
    pub versions: u64,
    /// Bytes that the store and the spool are smaller by.
    pub freed_bytes: u64,
    /// An unfinished copy of the store, which may have them still.
    pub copy_at: Option<String>,
}

/// What went out of the rows of one asset.
#[derive(Debug, Default)]
pub(super) struct Removed {
    /// Whether it ended with its last version: none or one.
    pub assets: u64,
    /// Those of the wanted versions that were there still.
    pub versions: Vec<VersionSeq>,
}

impl Vault {
    /// Deletes versions of one asset for good. All prefixes must fit before any goes.
    ///
    /// # Errors
    /// As [`choose_version`](Self::choose_version), or the store's failure, or
    /// [`VaultError::BytesShared`]: the versions are out of reach then, and the bytes go at
    /// the next try.
    pub fn delete_versions(&self, id: &PublicId, prefixes: &[VersionIdPrefix]) -> Result<Purged> {
        let mut versions: Vec<Version> = Vec::new();
        let mut asset = None;
        for prefix in prefixes {
            let chosen = self.choose_version(id, Some(prefix))?;
            asset = Some(chosen.asset);
            if !versions
                .iter()
                .any(|version| version.seq == chosen.version.seq)
            {
                versions.push(chosen.version);
            }
        }
        let Some(asset) = asset else {
            return Ok(Purged::default());
        };
        let deletion = self.clock.random().to_string();
        let removed = self.remove_versions(&deletion, asset, &versions)?;
        if removed.versions.is_empty() {
            let ids: Vec<String> = versions.iter().map(|v| v.id.to_string()).collect();
            return Err(VaultError::NotFound {
                path: id.clone(),
                what: format!("version {}", ids.join(", ")),
            });
        }
        self.make_irreversible(&deletion, &removed)
    }

    /// Deletes the whole history of an asset, or of every deleted asset below a
    /// directory, for good. Live files stay, without a past.
    ///
    /// # Errors
    /// [`VaultError::NotFound`], or as [`delete_versions`](Self::delete_versions).
    pub fn purge(&self, id: &PublicId) -> Result<Purged> {
        let mut assets: Vec<NodeId> = Vec::new();
        self.for_each_asset(id, &mut |path, asset, standing| {
            if path == id || standing == Standing::Deleted {
                assets.push(asset);
            }
            Ok(())
        })?;
        if assets.is_empty() {
            return Err(VaultError::NotFound {
                path: id.clone(),
                what: "an asset or a deleted asset below".into(),
            });
        }
        let deletion = self.clock.random().to_string();
        let mut removed = Removed::default();
        for asset in assets {
            let versions = self.catalog().versions(asset)?;
            let one = self.remove_versions(&deletion, asset, &versions)?;
            removed.assets += one.assets;
            removed.versions.extend(one.versions);
        }
        self.make_irreversible(&deletion, &removed)
    }

    /// Removes the rows of those that are there still: they were chosen without the lock,
    /// and a prune or an ingest may have been faster.
    pub(super) fn remove_versions(
        &self,
        deletion: &str,
        asset: NodeId,
        chosen: &[Version],
    ) -> Result<Removed> {
        let unique: BTreeSet<_> = chosen.iter().map(|version| version.seq).collect();
        let mut catalog = self.catalog();
        let mut versions = Vec::with_capacity(unique.len());
        for seq in unique {
            let found = catalog.version(seq)?;
            versions.extend(found.filter(|version| version.asset == asset));
        }
        let is_gone = versions.is_empty() && !chosen.is_empty();
        if is_gone || catalog.asset(asset)?.is_none() {
            return Ok(Removed::default());
        }
        let now = self.clock.now();
        self.audit(catalog.as_mut(), asset, &versions)?;
        reach("purge.audited");
        let ended = atomically(catalog.as_mut(), |catalog| {
            catalog.set_setting(UNFINISHED_SETTING, Some(deletion))?;
            for version in &versions {
                catalog.remove_version(version.seq)?;
            }
            let ended = catalog.latest_versions(asset, 1)?.is_empty();
            if ended {
                self.forget_asset(catalog, asset, now)?;
            }
            Ok::<_, VaultError>(ended)
        })?;
        self.commit_locked(catalog.as_mut(), Durability::Power)?;
        reach("purge.removed");
        drop(catalog);
        for version in &versions {
            self.end_pin(version);
        }
        Ok(Removed {
            assets: u64::from(ended),
            versions: versions.iter().map(|version| version.seq).collect(),
        })
    }

    fn make_irreversible(&self, deletion: &str, removed: &Removed) -> Result<Purged> {
        // What was being ingested gives its bytes up only when it is recorded.
        self.wait_for_ingest_of(&removed.versions);
        self.finish_batch()?;
        let (assets, versions) = (removed.assets, removed.versions.len() as u64);
        let deadline = Instant::now() + SHARED_PATIENCE;
        let mut left = self.remove_leftovers()?;
        while left == Left::Something && Instant::now() < deadline {
            self.ingest.wait_for_change(SHARED_PATIENCE / 20);
            left = self.remove_leftovers()?;
        }
        let freed_bytes = self.store.reclaim()?;
        reach("purge.reclaimed");
        // Or a rebuild would bring back the names, and versions without bytes.
        self.store.publish_anew()?;
        reach("purge.published");
        log::warn!("deleted for good: {versions} versions, {assets} assets, {freed_bytes} bytes");
        if left == Left::Something {
            log::warn!("{}", VaultError::BytesShared);
            return Err(VaultError::BytesShared);
        }
        self.note_finished(deletion)?;
        let copy_at = self.store.migration()?.map(|migration| migration.to);
        if let Some(place) = &copy_at {
            log::warn!(
                "the unfinished copy of the store at {place} may have them until keepfs store \
                 migrate goes on with it; remove it if it shall not"
            );
        }
        Ok(Purged {
            assets,
            versions,
            freed_bytes,
            copy_at,
        })
    }

    /// Takes up a deletion for good where it was broken off: by an unclean stop, or by a
    /// store that let nothing be removed at that moment.
    pub(super) fn finish_deletion(&self) -> Result<()> {
        let deletion = self.catalog().setting(UNFINISHED_SETTING)?;
        if let Some(deletion) = deletion {
            let left = self.remove_leftovers()?;
            self.store.reclaim()?;
            if left == Left::Nothing {
                self.store.publish_anew()?;
                self.note_finished(&deletion)?;
                log::warn!("what was deleted for good before is gone from the store");
            }
        }
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn is_deletion_unfinished(&self) -> bool {
        let unfinished = self.catalog().setting(UNFINISHED_SETTING);
        unfinished.is_ok_and(|deletion| deletion.is_some())
    }

    fn note_finished(&self, deletion: &str) -> Result<()> {
        let mut catalog = self.catalog();
        if catalog.setting(UNFINISHED_SETTING)?.as_deref() == Some(deletion) {
            catalog.set_setting(UNFINISHED_SETTING, None)?;
        }
        self.commit_locked(catalog.as_mut(), Durability::Power)
    }
}
