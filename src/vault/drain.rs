//! Waiting until versions are in the store: the one place where "everything up to here
//! is there" is awaited.
//!
//! Who waits, waits for what was sealed before; work that goes on meanwhile does not
//! make it longer. What could not be read for the moment is tried again first, and is a
//! failure if it still cannot be: a version that is nowhere but here is not in the store.

use std::collections::HashSet;
use std::time::Duration;

use crate::catalog::Durability;
use crate::model::{Deadline, PublicId, VersionSeq};

use super::ingest_queue::{Lacking, Queue};
use super::{Result, Vault, VaultError, lock};

/// Between two looks at the queue.
const LOOK: Duration = Duration::from_millis(100);

/// Which versions somebody waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DrainScope {
    /// All that are sealed now.
    Everything,
    /// Those of the asset at this path, and of all assets below it.
    Below(PublicId),
    /// These; they go first.
    Versions(HashSet<VersionSeq>),
}

/// The same as rows.
enum Wanted {
    UpTo(VersionSeq),
    These(HashSet<VersionSeq>),
}

impl Wanted {
    fn has(&self, seq: VersionSeq) -> bool {
        match self {
            Wanted::UpTo(last) => seq <= *last,
            Wanted::These(seqs) => seqs.contains(&seq),
        }
    }
}

impl Vault {
    /// Returns when the versions that were sealed so far are in the store, its journal knows
    /// of them, and their rows are durable here. `progress` gets the number of versions that still wait.
    ///
    /// # Errors
    /// When the store takes nothing at the moment, a version cannot be read at the moment,
    /// or the deadline passes. Nothing is lost, and the work goes on.
    pub fn drain(
        &self,
        scope: &DrainScope,
        deadline: Deadline,
        progress: &mut dyn FnMut(u64),
    ) -> Result<()> {
        let wanted = self.wanted(scope)?;
        let mut queue = lock(&self.ingest.queue);
        queue.draining += 1;
        queue.try_postponed_now(|seq| wanted.has(seq));
        if let DrainScope::Versions(first) = scope {
            queue.put_first(first);
        }
        self.ingest.changed.notify_all();
        let left = loop {
            let left = queue.under_way().filter(|seq| wanted.has(*seq)).count();
            if left == 0 || queue.blocked.is_some() || queue.stopping || deadline.has_passed() {
                break left;
            }
            progress(left as u64);
            queue = self
                .ingest
                .settled
                .wait_timeout(queue, deadline.left_at_most(LOOK))
                .unwrap_or_else(|poisoned| poisoned.into_inner())
                .0;
        };
        queue.draining -= 1;
        let blocked = queue.blocked.clone();
        drop(queue);
        if left > 0 {
            self.commit(Durability::Power)?;
            return Err(match blocked {
                Some(reason) => VaultError::StoreBlocked { reason },
                None => VaultError::NotInTime { versions: left },
            });
        }
        self.store.flush_until(deadline)?;
        self.drop_superseded()?;
        self.remove_leftovers()?;
        self.commit(Durability::Power)?;
        self.store.publish_until(deadline)?;
        self.fail_for_postponed(&wanted)
    }

    fn wanted(&self, scope: &DrainScope) -> Result<Wanted> {
        match scope {
            DrainScope::Below(id) if !id.is_root() => Ok(Wanted::These(self.sealed_below(id)?)),
            DrainScope::Versions(seqs) => Ok(Wanted::These(seqs.clone())),
            DrainScope::Everything | DrainScope::Below(_) => {
                let queue = lock(&self.ingest.queue);
                let postponed = queue.postponed.iter().map(|postponed| postponed.seq);
                let last = queue.under_way().chain(postponed).max();
                Ok(Wanted::UpTo(last.unwrap_or(VersionSeq(0))))
            }
        }
    }

    /// The sealed versions of the asset at a path, and of all assets below it.
    ///
    /// # Errors
    /// [`VaultError::NotFound`] where there is nothing of that name.
    pub fn sealed_below(&self, id: &PublicId) -> Result<HashSet<VersionSeq>> {
        self.must_exist(id)?;
        let mut below = HashSet::new();
        let mut after = VersionSeq(0);
        loop {
            let mut catalog = self.catalog();
            let page = catalog.sealed_versions(after, 1000)?;
            let Some(last) = page.last() else {
                return Ok(below);
            };
            after = last.seq;
            for version in &page {
                let path = catalog.path_of(version.asset)?;
                if path.is_some_and(|path| path.is_within(id)) {
                    below.insert(version.seq);
                }
            }
        }
    }

    /// A misspelt name is not in the store.
    fn must_exist(&self, id: &PublicId) -> Result<()> {
        let is_live = matches!(self.live.find(id), Ok(Some(_)));
        let mut catalog = self.catalog();
        let catalog = catalog.as_mut();
        if is_live
            || self.asset_at(catalog, id)?.is_some()
            || self.directory_node(catalog, id)?.is_some()
        {
            return Ok(());
        }
        Err(VaultError::NotFound {
            path: id.clone(),
            what: "a file or directory".into(),
        })
    }

    fn fail_for_postponed(&self, wanted: &Wanted) -> Result<()> {
        let queue = lock(&self.ingest.queue);
        let mut postponed = queue
            .postponed
            .iter()
            .filter(|postponed| wanted.has(postponed.seq));
        match postponed.next() {
            None => Ok(()),
            Some(first) if first.lacks == Lacking::Answer => Err(VaultError::StoreBlocked {
                reason: first.reason.clone(),
            }),
            Some(first) => Err(VaultError::Unreadable {
                versions: 1 + postponed.count(),
                reason: first.reason.clone(),
            }),
        }
    }
}

impl Queue {
    /// Every version that is on its way into a pack.
    fn under_way(&self) -> impl Iterator<Item = VersionSeq> {
        let written = self.written.iter().map(|(seq, _)| *seq);
        let waiting = self.waiting.iter().copied();
        let taken = self.taken.iter().chain(&self.active).copied();
        waiting.chain(written).chain(taken)
    }

    fn put_first(&mut self, first: &HashSet<VersionSeq>) {
        let (now, later): (Vec<_>, Vec<_>) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition(|seq| first.contains(seq));
        self.waiting = now.into_iter().chain(later).collect();
    }

    fn try_postponed_now(&mut self, is_wanted: impl Fn(VersionSeq) -> bool) {
        let (now, later) = std::mem::take(&mut self.postponed)
            .into_iter()
            .partition::<Vec<_>, _>(|postponed| is_wanted(postponed.seq));
        self.postponed = later;
        self.waiting
            .extend(now.into_iter().map(|postponed| postponed.seq));
    }
}
