//! How much a first backup has before it: counted beside the walk, which does not wait for it.
//!
//! The surprise: it looks at every file a second time. That costs little, for the walk finds
//! in the kernel's memory what the count has looked at, and nothing is kept but a sum.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::ScanReport;
use crate::model::PublicId;
use crate::vault::intake::Intake;
use crate::vault::{Result, Vault};

/// Nobody wants to hear more often how far a walk is.
const EVERY: Duration = Duration::from_millis(100);

/// How far a walk is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScanProgress {
    /// What it has seen.
    pub seen: ScanReport,
    /// Bytes of that which are not stored yet.
    pub bytes_waiting: u64,
    /// Bytes that it will have seen in the end. `None`: they are not counted, or not yet.
    pub bytes_total: Option<u64>,
}

/// Whether anybody wants to know how much there is in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Total {
    Counted,
    Unknown,
}

/// The count beside one walk.
#[derive(Default)]
pub(super) struct Count {
    bytes_total: OnceLock<u64>,
    is_over: AtomicBool,
}

/// The walk is over, however it ended.
struct Ends<'a>(&'a Count);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.is_over.store(true, Ordering::Relaxed);
    }
}

impl Count {
    /// Counts at and below `top` while `walk` runs, and no longer.
    pub(super) fn beside<T>(
        &self,
        vault: &Vault,
        top: &PublicId,
        total: Total,
        walk: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        if total == Total::Unknown {
            return walk();
        }
        thread::scope(|scope| {
            let _ends = Ends(self);
            let thread = thread::Builder::new().name("keepfs-count".into());
            let started = thread.spawn_scoped(scope, || {
                if let Some(bytes) = self.bytes_below(vault, top) {
                    let _ = self.bytes_total.set(bytes);
                }
            });
            if let Err(error) = started {
                log::debug!("nobody counts what is to be backed up: {error}");
            }
            walk()
        })
    }

    /// The bytes of all files at and below `top`. `None`: the walk was over first.
    pub(super) fn bytes_below(&self, vault: &Vault, top: &PublicId) -> Option<u64> {
        let mut bytes = 0;
        let mut waiting = vec![top.clone()];
        while let Some(id) = waiting.pop() {
            if self.is_over.load(Ordering::Relaxed) {
                return None;
            }
            // What cannot be read, the walk says.
            if let Ok(listed) = vault.list_for_walk(&id) {
                bytes += listed
                    .files
                    .iter()
                    .map(|(_, facts)| facts.size)
                    .sum::<u64>();
                waiting.extend(listed.directories);
            }
        }
        Some(bytes)
    }
}

/// Says now and then how far a walk is.
pub(super) struct Teller<'a> {
    pub(super) vault: &'a Vault,
    pub(super) intake: &'a Intake<'a>,
    pub(super) count: &'a Count,
    pub(super) progress: &'a mut dyn FnMut(&ScanProgress),
    /// `None`: nobody has heard yet.
    pub(super) told: Option<Instant>,
}

impl Teller<'_> {
    /// # Errors
    /// When the catalog fails.
    pub(super) fn tell(&mut self, report: &ScanReport) -> Result<()> {
        if self.told.is_some_and(|told| told.elapsed() < EVERY) {
            return Ok(());
        }
        self.told = Some(Instant::now());
        let sealed = self.vault.catalog().totals()?.sealed_bytes;
        (self.progress)(&ScanProgress {
            seen: *report,
            bytes_waiting: self.intake.bytes_waiting() + sealed,
            bytes_total: self.count.bytes_total.get().copied(),
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::vault::Survey;
    use crate::vault::testing::TestVault;

    #[test]
    fn a_walk_sees_as_many_bytes_as_were_counted() {
        let vault = TestVault::new();
        fs::create_dir_all(vault.path("d/e")).unwrap();
        for (name, bytes) in [("a", 10), ("d/b", 200), ("d/e/c", 3000), ("d/e/empty", 0)] {
            fs::write(vault.path(name), vec![1; bytes]).unwrap();
        }
        let count = |top: &[u8]| {
            let top = PublicId::new(top).unwrap();
            Count::default().bytes_below(&vault.vault, &top)
        };
        assert_eq!((count(b""), count(b"d/e")), (Some(3210), Some(3000)));
        let mut last = None;
        let report = vault
            .vault
            .scan(&PublicId::root(), Survey::Backup, &mut |progress| {
                last = progress.bytes_total;
            })
            .unwrap();
        assert_eq!((report.bytes, last), (3210, Some(3210)));
        // Nobody waits for a count of what is backed up already.
        let over = Count::default();
        drop(Ends(&over));
        assert_eq!(over.bytes_below(&vault.vault, &PublicId::root()), None);
    }
}
