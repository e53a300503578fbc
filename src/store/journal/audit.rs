//! Does the journal in the store say what the catalog knows? Nothing is changed.
//!
//! From the newest whole snapshot up to where the catalog says that the journal ends, every
//! object must be there, and follow the one before it. The surprise: what lies behind that
//! end is what a kill left, and no damage.

use super::listed::Journal;
use super::object::{Header, Kind};
use super::{below, key, lock};
use crate::catalog::JournalPosition;
use crate::model::Fence;
use crate::store::Shared;
use crate::store::error::{Result, StoreError};
use crate::store::records::RecordFlaw;

/// How much of the journal is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum AuditDepth {
    /// The listing.
    Names,
    /// Every object, to its last byte.
    Objects,
}

/// What is wrong with the journal, its first flaw alone: a rebuild would not get beyond it.
///
/// # Errors
/// When the store gives no answer, or the catalog fails.
pub(in crate::store) fn audit(shared: &Shared, depth: AuditDepth) -> Result<Option<RecordFlaw>> {
    // Objects that a snapshot made unnecessary would go while they are looked at.
    let published = lock(shared);
    let position = shared.catalog()?.unpublished()?.map(|one| one.position);
    // Without the lease the journal is another's.
    let (Some(fence), Some(position)) = (shared.lease.last_held(), position) else {
        return Ok(None);
    };
    if position.fence != Some(fence) {
        return begun_anew(shared, fence);
    }
    let backend = shared.backend();
    let list = || Journal::list(&backend, fence, shared.coding.cipher()).map(Audit);
    let outcome = list()?.look(&position, depth);
    // The listing may be older than the last puts, or an answer was garbled on its way.
    let outcome = outcome.or_else(|stopped| match stopped {
        Stopped::At(_) => {
            let mut audit = list()?;
            audit.ask(position.number)?;
            audit.look(&position, depth)
        }
        Stopped::By(_) => Err(stopped),
    });
    drop(published);
    match outcome {
        Ok(()) => Ok(None),
        Err(Stopped::At(flaw)) => Ok(Some(flaw)),
        Err(Stopped::By(error)) => Err(error),
    }
}

/// Where the catalog knows of no journal under this lease: nothing was published yet, which
/// `status` says, or a kill came between the old one and the new one.
fn begun_anew(shared: &Shared, fence: Fence) -> Result<Option<RecordFlaw>> {
    let is_empty = shared.backend().names_below(&below(fence))?.is_empty();
    Ok((!is_empty).then(|| RecordFlaw {
        object: below(fence),
        problem: "it is to be written anew, and was not yet".into(),
    }))
}

enum Stopped {
    At(RecordFlaw),
    By(StoreError),
}

impl From<StoreError> for Stopped {
    fn from(error: StoreError) -> Self {
        let (object, problem) = match error {
            StoreError::JournalGap { key, .. } => (key, NOT_THERE.into()),
            StoreError::Foreign { key, problem } => (key, problem),
            error => return Stopped::By(error),
        };
        Stopped::At(RecordFlaw { object, problem })
    }
}

const NOT_THERE: &str = "it is not there";

/// A look at what a rebuild would read.
struct Audit<'a>(Journal<'a>);

impl Audit<'_> {
    /// Asks for each object that the listing lacks, from the end back to the beginning of a
    /// snapshot.
    fn ask(&mut self, end: u64) -> Result<()> {
        let journal = &mut self.0;
        let is_there = |journal: &Journal<'_>, number, kind| match journal.object(number, kind) {
            // What is wrong with it is another question.
            Ok(_) | Err(StoreError::Foreign { .. }) => Ok(true),
            Err(StoreError::JournalGap { .. }) => Ok(false),
            Err(error) => Err(error),
        };
        let lowest = journal
            .snapshots
            .iter()
            .chain(&journal.changes)
            .min()
            .copied();
        let mut in_snapshot = false;
        for number in (lowest.unwrap_or(0)..end).rev() {
            if journal.snapshots.contains(&number) {
                in_snapshot = true;
            } else if journal.changes.contains(&number) {
                if in_snapshot {
                    break;
                }
            } else if !in_snapshot && is_there(journal, number, Kind::Changes)? {
                journal.changes.insert(number);
            } else if is_there(journal, number, Kind::Snapshot)? {
                journal.snapshots.insert(number);
                in_snapshot = true;
            } else if in_snapshot || lowest.is_none() {
                break;
            }
        }
        Ok(())
    }

    fn look(
        &self,
        position: &JournalPosition,
        depth: AuditDepth,
    ) -> std::result::Result<(), Stopped> {
        let end = position.number;
        let Some(&last) = self.0.snapshots.range(..end).next_back() else {
            return Err(Stopped::At(RecordFlaw {
                object: below(self.0.fence),
                problem: "there is no snapshot of the catalog in it".into(),
            }));
        };
        if let Some(gap) = (last + 1..end).find(|number| !self.0.changes.contains(number)) {
            return Err(self.flaw(gap, Kind::Changes, NOT_THERE));
        }
        let header = self.object(last, Kind::Snapshot)?;
        let first = last.checked_sub(header.index.into());
        let whole = first.filter(|_| header.is_last);
        let Some(first) = whole else {
            return Err(self.flaw(last, Kind::Snapshot, "it is no end of a snapshot"));
        };
        if let Some(gap) = (first..last).find(|number| !self.0.snapshots.contains(number)) {
            return Err(self.flaw(gap, Kind::Snapshot, NOT_THERE));
        }
        if depth == AuditDepth::Names {
            return Ok(());
        }
        let last_group = self.follow(first, last, header.group, end)?;
        match last_group == position.group {
            true => Ok(()),
            false => Err(self.flaw(
                position.number.saturating_sub(1),
                Kind::Changes,
                "it is not the one that this vault wrote last",
            )),
        }
    }

    /// Reads everything, and returns the last group.
    fn follow(
        &self,
        first: u64,
        last: u64,
        snapshot: u64,
        end: u64,
    ) -> std::result::Result<u64, Stopped> {
        let mut before = Before {
            group: snapshot,
            index: None,
        };
        for number in first..last {
            let header = self.object(number, Kind::Snapshot)?;
            if header.group != snapshot || u64::from(header.index) != number - first {
                return Err(self.flaw(number, Kind::Snapshot, "it belongs to another snapshot"));
            }
        }
        for number in last + 1..end {
            let header = self.object(number, Kind::Changes)?;
            if !before.is_followed_by(&header) {
                return Err(self.flaw(
                    number,
                    Kind::Changes,
                    "it does not follow the one before it",
                ));
            }
        }
        Ok(before.group)
    }

    fn object(&self, number: u64, kind: Kind) -> std::result::Result<Header, Stopped> {
        Ok(self.0.object(number, kind)?.0)
    }

    fn flaw(&self, number: u64, kind: Kind, problem: impl Into<String>) -> Stopped {
        Stopped::At(RecordFlaw {
            object: key(self.0.fence, number, kind),
            problem: problem.into(),
        })
    }
}

/// Where the changes have got to.
struct Before {
    group: u64,
    /// Of the last object of a group that goes on. `None`: the group is whole.
    index: Option<(u64, u32)>,
}

impl Before {
    fn is_followed_by(&mut self, header: &Header) -> bool {
        if header.after != self.group {
            return false;
        }
        let is_next = match self.index {
            None => header.index == 0,
            Some((group, index)) => {
                header.group == group && index.checked_add(1) == Some(header.index)
            }
        };
        match header.is_last {
            true => {
                *self = Before {
                    group: header.group,
                    index: None,
                }
            }
            false => self.index = Some((header.group, header.index)),
        }
        is_next
    }
}
