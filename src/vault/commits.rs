//! How many commits there were: whether a row that was written at some moment is on disk.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::catalog::Durability;

/// The commits of this run. A row is written and counted under the catalog's lock.
#[derive(Debug, Default)]
pub(super) struct Commits {
    process: AtomicU64,
    power: AtomicU64,
}

/// A moment between commits. The default lies before the first one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Epoch {
    process: u64,
    power: u64,
}

impl Commits {
    /// Now; asked with the catalog locked.
    pub(super) fn now(&self) -> Epoch {
        Epoch {
            process: self.process.load(Ordering::SeqCst),
            power: self.power.load(Ordering::SeqCst),
        }
    }

    /// Commits since the start.
    pub(super) fn count(&self) -> u64 {
        self.process.load(Ordering::SeqCst)
    }

    /// A commit went through; told with the catalog locked.
    pub(super) fn done(&self, durability: Durability) {
        self.process.fetch_add(1, Ordering::SeqCst);
        if durability == Durability::Power {
            self.power.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// True when what was written at `then` survives that much.
    pub(super) fn cover(&self, then: Epoch, durability: Durability) -> bool {
        match durability {
            Durability::Process => self.process.load(Ordering::SeqCst) > then.process,
            Durability::Power => self.power.load(Ordering::SeqCst) > then.power,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_on_disk_after_the_next_commit_of_that_kind() {
        let commits = Commits::default();
        let then = commits.now();
        assert!(!commits.cover(then, Durability::Process));
        commits.done(Durability::Process);
        assert!(commits.cover(then, Durability::Process));
        assert!(!commits.cover(then, Durability::Power));
        commits.done(Durability::Power);
        assert!(commits.cover(then, Durability::Power));
        assert!(!commits.cover(commits.now(), Durability::Process));
    }
}
