//! What `status` says: what is sealed, stored, pending; sizes; the last success.

use serde::{Deserialize, Serialize};

use crate::model::{HISTORY_NAMES, Override, PublicId};

use super::{MigrationStatus, Result, Vault, lock};

/// The state of a vault at a glance. Sizes in bytes, times in RFC 3339.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub struct Status {
    /// The vault's name.
    pub name: String,
    /// Its directory.
    pub vault: String,
    /// Its live tree.
    pub live: String,
    /// Where its packs lie.
    pub store: String,
    /// `on` or `off`.
    pub backup: String,
    /// Live assets.
    pub assets_live: u64,
    /// Deleted assets that can be restored.
    pub assets_deleted: u64,
    /// Versions of all.
    pub versions: u64,
    /// Versions whose bytes are not in a pack yet.
    pub versions_pending: u64,
    /// Their bytes.
    pub pending_bytes: u64,
    /// When the oldest of them was kept.
    pub oldest_pending: Option<String>,
    /// Packs that are not in the store yet, the growing one included.
    pub packs_pending: u64,
    /// Their bytes.
    pub packs_pending_bytes: u64,
    /// When the oldest of them was begun.
    pub oldest_pack_pending: Option<String>,
    /// The store's journal does not know everything that the catalog does.
    #[serde(default)]
    pub journal_pending: bool,
    /// Since when.
    #[serde(default)]
    pub journal_pending_since: Option<String>,
    /// Seconds since the oldest of what waits: versions, packs, the journal. `None`:
    /// nothing does.
    pub waiting_seconds: Option<u64>,
    /// When a pack last went into the store, in whichever run. `None`: none did yet.
    pub last_success: Option<String>,
    /// The cache on disk. `None`: there is none.
    #[serde(default)]
    pub disk_cache: Option<DiskCacheStatus>,
    /// Why versions wait longer than they should.
    pub blocked: Option<String>,
    /// What the store does by itself that harms a backup, in a line each.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// Sum of the sizes of all versions.
    pub logical_bytes: u64,
    /// Bytes of all distinct chunks.
    pub unique_bytes: u64,
    /// Bytes of all packs.
    pub stored_bytes: u64,
    /// Packs.
    pub packs: u64,
    /// A move of the store that is not over. `None`: there is none.
    #[serde(default)]
    pub migration: Option<MigrationStatus>,
}

/// What is kept on disk of what was fetched from a bucket.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub struct DiskCacheStatus {
    /// Bytes on the disk.
    pub bytes: u64,
    /// Bytes that it may take.
    pub bytes_max: u64,
    /// Chunks that readers found there, since the mount.
    pub hits: u64,
    /// Chunks that they did not find there.
    pub misses: u64,
    /// Requests that read from the bucket, since the mount.
    pub read_requests: u64,
}

impl Vault {
    /// The state now.
    ///
    /// # Errors
    /// When the catalog fails.
    pub fn status(&self) -> Result<Status> {
        let totals = self.catalog().totals()?;
        let blocked = {
            let queue = lock(&self.ingest.queue);
            let postponed = queue.postponed.first().map(|postponed| &postponed.reason);
            let reason = queue.blocked.as_ref().or(queue.unflushed.as_ref());
            reason.or(postponed).cloned()
        };
        let taken_over = self.store.taken_over().map(|error| error.to_string());
        let at_bound = self.store.bound_reached().map(|bound| match &blocked {
            Some(reason) => format!("{bound}; {reason}"),
            None => bound.to_string(),
        });
        let last_success = self.store.last_put()?;
        let unstored = self.store.unstored();
        let unpublished_since = self.store.unpublished_since()?;
        let oldest = totals
            .oldest_sealed_at
            .into_iter()
            .chain(unstored.oldest)
            .chain(unpublished_since)
            .min();
        let waiting = oldest.map(|oldest| self.clock.now().since(oldest).as_secs());
        Ok(Status {
            name: self.config.name.clone(),
            vault: self.config.vault_dir.display().to_string(),
            live: self.config.live_dir.display().to_string(),
            store: self.store.place().to_string(),
            backup: self.backup_switch().as_str().into(),
            assets_live: totals.assets_live,
            assets_deleted: totals.assets_deleted,
            versions: totals.versions,
            versions_pending: totals.versions_sealed,
            pending_bytes: totals.sealed_bytes,
            oldest_pending: totals.oldest_sealed_at.map(|time| time.to_string()),
            packs_pending: unstored.packs,
            packs_pending_bytes: unstored.bytes,
            oldest_pack_pending: unstored.oldest.map(|time| time.to_string()),
            journal_pending: unpublished_since.is_some(),
            journal_pending_since: unpublished_since.map(|time| time.to_string()),
            waiting_seconds: waiting,
            last_success: last_success.map(|time| time.to_string()),
            disk_cache: self.store.disk_cache_use().map(|cache| DiskCacheStatus {
                bytes: cache.bytes,
                bytes_max: cache.bytes_max,
                hits: cache.hits,
                misses: cache.misses,
                read_requests: self.store.read_requests(),
            }),
            blocked: taken_over.or(at_bound).or(blocked),
            warnings: self.store.warnings(),
            logical_bytes: totals.logical_bytes,
            unique_bytes: totals.unique_bytes,
            stored_bytes: totals.pack_bytes,
            packs: totals.packs,
            migration: self.migration_status()?,
        })
    }

    /// The status as JSON, for the root's `user.keepfs.status`.
    ///
    /// # Errors
    /// When the catalog fails.
    pub fn status_json(&self) -> Result<String> {
        Ok(serde_json::to_string(&self.status()?).unwrap_or_default())
    }

    /// Whether and why a live path is backed up, as JSON, for `user.keepfs.policy`.
    ///
    /// # Errors
    /// When the catalog fails.
    pub fn policy_json(&self, id: &PublicId) -> Result<String> {
        let (kept, reason) = self.explain_policy(id)?;
        let document = serde_json::json!({
            "path": id.to_string(),
            "kept": kept.as_str(),
            "reason": reason,
        });
        Ok(document.to_string())
    }

    /// Whether a path is backed up, and the rule that says so.
    ///
    /// # Errors
    /// When the catalog fails.
    pub fn explain_policy(&self, id: &PublicId) -> Result<(Override, String)> {
        if let Some(history) = HISTORY_NAMES
            .iter()
            .find(|(_, name)| id.components().next() == Some(name.as_bytes()))
        {
            let reason = format!("{} is history, which is kept already", history.1);
            return Ok((Override::Off, reason));
        }
        let xattrs = self.xattrs_at(id);
        let mut catalog = self.catalog();
        let decision = self.decide(catalog.as_mut(), id, &xattrs)?;
        let kept = match decision.kept {
            crate::policy::Kept::Yes => Override::On,
            crate::policy::Kept::No => Override::Off,
        };
        Ok((kept, decision.reason.to_string()))
    }
}
