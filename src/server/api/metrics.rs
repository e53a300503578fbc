//! What a monitor reads: counters of this server, and the state of the vault, as text in
//! Prometheus's format (version 0.0.4).

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Mutex, PoisonError};

use super::Api;
use super::account::state_of;
use super::error::Result;
use crate::model::Timestamp;

/// Answers by their status, since the start.
#[derive(Debug, Default)]
pub(super) struct Metrics {
    answers: Mutex<BTreeMap<u16, u64>>,
}

impl Metrics {
    pub(super) fn count(&self, status: u16) {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        *answers.entry(status).or_default() += 1;
    }

    /// Answers in all.
    pub(super) fn requests(&self) -> u64 {
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.values().sum()
    }
}

impl Api {
    /// The page that a monitor reads.
    pub(super) fn metrics(&self) -> Result<String> {
        let status = self.vault.status()?;
        let mut page = Page(String::new());
        let answers = self
            .metrics
            .answers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        page.head(
            "keepfs_requests_total",
            "counter",
            "Answers of the HTTP server.",
        );
        for (code, count) in answers.iter() {
            page.line(&format!("keepfs_requests_total{{code=\"{code}\"}}"), *count);
        }
        drop(answers);
        let seconds = |text: &Option<String>| {
            let time = text
                .as_deref()
                .and_then(|text| text.parse::<Timestamp>().ok());
            time.map_or(0, |time| time.parts().0.max(0).cast_unsigned())
        };
        let is_blocked = u64::from(state_of(&status) == "blocked");
        let puts = self.vault.store().put_attempts();
        for (name, kind, help, value) in [
            (
                "keepfs_commits_total",
                "counter",
                "Commits of the catalog since the start.",
                self.vault.commits_done(),
            ),
            ("keepfs_assets", "gauge", "Live assets.", status.assets_live),
            (
                "keepfs_assets_deleted",
                "gauge",
                "Deleted assets that can be restored.",
                status.assets_deleted,
            ),
            (
                "keepfs_versions",
                "gauge",
                "Versions of all assets.",
                status.versions,
            ),
            (
                "keepfs_logical_bytes",
                "gauge",
                "Sum of the sizes of all versions.",
                status.logical_bytes,
            ),
            (
                "keepfs_stored_bytes",
                "gauge",
                "Bytes of all packs.",
                status.stored_bytes,
            ),
            (
                "keepfs_pending_versions",
                "gauge",
                "Versions whose bytes are in no pack yet.",
                status.versions_pending,
            ),
            (
                "keepfs_pending_bytes",
                "gauge",
                "Bytes on their way to the store, packs included.",
                status.pending_bytes + status.packs_pending_bytes,
            ),
            (
                "keepfs_pending_age_seconds",
                "gauge",
                "Age of the oldest of what is on its way; 0: nothing is.",
                status.waiting_seconds.unwrap_or(0),
            ),
            (
                "keepfs_last_success_timestamp_seconds",
                "gauge",
                "When a pack last went into the store; 0: none did.",
                seconds(&status.last_success),
            ),
            (
                "keepfs_store_blocked",
                "gauge",
                "1 while the store takes nothing.",
                is_blocked,
            ),
            (
                "keepfs_store_puts_total",
                "counter",
                "Packs that went into the store since the start.",
                puts.done,
            ),
            (
                "keepfs_store_errors_total",
                "counter",
                "Attempts to put a pack that failed since the start.",
                puts.failed,
            ),
            (
                "keepfs_cache_hits_total",
                "counter",
                "Chunks that readers found in the cache on disk.",
                status.disk_cache.as_ref().map_or(0, |cache| cache.hits),
            ),
            (
                "keepfs_cache_misses_total",
                "counter",
                "Chunks that they did not find there.",
                status.disk_cache.as_ref().map_or(0, |cache| cache.misses),
            ),
            (
                "keepfs_store_read_requests_total",
                "counter",
                "Requests that read from a bucket since the start.",
                status
                    .disk_cache
                    .as_ref()
                    .map_or(0, |cache| cache.read_requests),
            ),
        ] {
            page.head(name, kind, help);
            page.line(name, value);
        }
        Ok(page.0)
    }
}

struct Page(String);

impl Page {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        // Writing into a string does not fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn line(&mut self, name: &str, value: u64) {
        let _ = writeln!(self.0, "{name} {value}");
    }
}
