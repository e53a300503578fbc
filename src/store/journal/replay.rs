//! Reading the journal: a store's objects, and nothing else, become a catalog.
//!
//! The newest whole snapshot comes first, then one group of changes after the other, for
//! as long as each names the one before it. The surprise: what stands at the end and does
//! not fit is no damage; a kill leaves that behind. What is missing in the middle is.

use std::collections::BTreeSet;
use std::path::Path;

use super::object::{self, Header, Kind, OBJECT_BYTES_MAX};
use super::{JOURNAL, below, key, number_of};
use crate::catalog::{CatalogBuilder, Group};
use crate::model::{Fence, StorePlace, Timestamp};
use crate::store::backend::Backend;
use crate::store::cipher::Cipher;
use crate::store::error::{Result, StoreError};
use crate::store::lease::fence_of_lease;

/// A listing that is not up to date lacks a few.
const ASKED_MAX: u64 = 1000;

/// What to do about an object that is missing between others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gap {
    /// Stop with an error.
    Refuse,
    /// Take what is before it.
    Accept,
}

/// What was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replayed {
    /// Whose journal it was.
    pub fence: Fence,
    /// The number of its last object that was used.
    pub number: u64,
    /// The number behind the last object that was there.
    pub end: u64,
    /// When that was written, by the clock of the machine that did.
    pub published_at: Timestamp,
    /// The first object that was missing, where that was accepted.
    pub missing: Option<u64>,
}

/// Makes a new catalog file out of the journal in a store: of the newest writer, or of
/// the one with the number `fence`. `cipher` is `None` where the store has no key document.
///
/// # Errors
/// `NoJournal`, `JournalGap`, `Foreign`, and what the store and the file say. The file is
/// then of no use.
pub fn replay(
    place: &StorePlace,
    fence: Option<Fence>,
    gap: Gap,
    cipher: Option<&Cipher>,
    catalog: &Path,
) -> Result<Replayed> {
    let backend = Backend::open(place, false)?;
    let mut fences = match fence {
        Some(fence) => vec![fence],
        None => fences(&backend)?,
    };
    while let Some(fence) = fences.pop() {
        let mut journal = Journal::list(&backend, fence, cipher)?;
        journal.ask_for_unlisted()?;
        if let Some(snapshot) = journal.newest_snapshot()? {
            return journal.apply(&snapshot, gap, catalog);
        }
    }
    Err(StoreError::NoJournal {
        place: place.to_string(),
    })
}

/// The writers that the store has a journal of, the newest last. A listing may not know the
/// newest yet; the lease does.
fn fences(backend: &Backend) -> Result<Vec<Fence>> {
    let names = backend.names_below(JOURNAL)?;
    let listed = names.iter().filter_map(|name| name.parse().ok().map(Fence));
    let mut fences: BTreeSet<Fence> = listed.collect();
    fences.extend(fence_of_lease(backend)?);
    Ok(fences.into_iter().collect())
}

/// The objects of one writer.
pub(super) struct Journal<'a> {
    backend: &'a Backend,
    pub(super) fence: Fence,
    cipher: Option<&'a Cipher>,
    pub(super) snapshots: BTreeSet<u64>,
    pub(super) changes: BTreeSet<u64>,
}

/// The first and the last object of a snapshot, and its group.
struct Snapshot {
    first: u64,
    last: Header,
}

impl<'a> Journal<'a> {
    pub(super) fn list(
        backend: &'a Backend,
        fence: Fence,
        cipher: Option<&'a Cipher>,
    ) -> Result<Self> {
        let names = backend.names_below(&below(fence))?;
        let (mut snapshots, mut changes) = (BTreeSet::new(), BTreeSet::new());
        for (number, kind) in names.iter().filter_map(|name| number_of(name)) {
            match kind {
                Kind::Snapshot => snapshots.insert(number),
                Kind::Changes => changes.insert(number),
            };
        }
        Ok(Self {
            backend,
            fence,
            cipher,
            snapshots,
            changes,
        })
    }

    /// Asks for the objects that a listing may lack although they are there: what follows the
    /// newest snapshot that it has, to the end and behind it.
    fn ask_for_unlisted(&mut self) -> Result<()> {
        let newest = self.snapshots.iter().chain(&self.changes).max().copied();
        let snapshot = self.snapshots.last().copied();
        let begin = snapshot.or_else(|| self.changes.first().map(|first| first.saturating_sub(1)));
        let mut asked = 0;
        for number in begin.unwrap_or(0).. {
            if self.snapshots.contains(&number) || self.changes.contains(&number) {
                continue;
            }
            if self.has(number, Kind::Changes)? {
                self.changes.insert(number);
            } else if self.has(number, Kind::Snapshot)? {
                self.snapshots.insert(number);
            } else if newest.is_none_or(|newest| number > newest) {
                break;
            }
            asked += 1;
            if asked == ASKED_MAX {
                return Err(StoreError::Io(format!(
                    "listing {}: it lacks more than {ASKED_MAX} objects; try again later",
                    below(self.fence)
                )));
            }
        }
        Ok(())
    }

    /// Whether an object is there, listed or not.
    fn has(&self, number: u64, kind: Kind) -> Result<bool> {
        let listed = match kind {
            Kind::Snapshot => &self.snapshots,
            Kind::Changes => &self.changes,
        };
        match listed.contains(&number) {
            true => Ok(true),
            false => self.backend.has_object(&key(self.fence, number, kind)),
        }
    }

    /// The newest snapshot of which every object is there. `None`: there is none.
    fn newest_snapshot(&self) -> Result<Option<Snapshot>> {
        for &number in self.snapshots.iter().rev() {
            let (last, _) = self.object(number, Kind::Snapshot)?;
            let Some(first) = number.checked_sub(last.index.into()) else {
                continue;
            };
            let is_whole = || -> Result<bool> {
                for number in first..number {
                    if !self.has(number, Kind::Snapshot)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            };
            if last.is_last && is_whole()? {
                let (begin, _) = self.object(first, Kind::Snapshot)?;
                if begin.group == last.group {
                    return Ok(Some(Snapshot { first, last }));
                }
            }
        }
        Ok(None)
    }

    fn apply(&self, snapshot: &Snapshot, gap: Gap, catalog: &Path) -> Result<Replayed> {
        let last = &snapshot.last;
        let mut builder = CatalogBuilder::create(catalog, last.catalog_format)?;
        for number in snapshot.first..=last.number {
            let (header, batch) = self.object(number, Kind::Snapshot)?;
            if header.group != last.group {
                let problem = "it belongs to another snapshot".into();
                return Err(foreign(self.fence, number, Kind::Snapshot, problem));
            }
            // In commits of their own: what fails later fails the whole file.
            builder.begin_group()?;
            builder.apply(&batch)?;
        }
        let mut replayed = Replayed {
            fence: self.fence,
            number: last.number,
            end: self.end(),
            published_at: last.published_at,
            missing: None,
        };
        let mut group = last.group;
        while let Some(end) = self.apply_group(&mut builder, replayed.number + 1, group)? {
            (replayed.number, replayed.published_at) = (end.number, end.published_at);
            group = end.group;
        }
        replayed.missing = self.missing_after(replayed.number);
        if let (Some(number), Gap::Refuse) = (replayed.missing, gap) {
            return Err(StoreError::JournalGap {
                key: key(self.fence, number, Kind::Changes),
            });
        }
        builder.forget_files()?;
        builder.finish()?;
        Ok(replayed)
    }

    /// Applies the group that begins at `first` and follows `after`, and returns the last
    /// of its headers. `None`: there is none, or not all of it.
    fn apply_group(
        &self,
        builder: &mut CatalogBuilder,
        first: u64,
        after: u64,
    ) -> Result<Option<Header>> {
        let mut group = None;
        builder.begin_group()?;
        for number in first.. {
            if !self.changes.contains(&number) {
                break;
            }
            let (header, batch) = self.object(number, Kind::Changes)?;
            let expected = *group.get_or_insert(header.group);
            let is_next = u64::from(header.index) == number - first
                && header.group == expected
                && header.after == after;
            if !is_next {
                break;
            }
            builder.apply(&batch)?;
            if header.is_last {
                builder.end_group(Group::Whole)?;
                return Ok(Some(header));
            }
        }
        builder.end_group(Group::Unfinished)?;
        Ok(None)
    }

    /// The number behind the last object.
    fn end(&self) -> u64 {
        let newest = self.snapshots.last().max(self.changes.last());
        newest.map_or(1, |newest| newest.saturating_add(1))
    }

    /// The first object that is not there although a later one is.
    fn missing_after(&self, number: u64) -> Option<u64> {
        let newest = *self.changes.last()?;
        (number + 1..newest).find(|number| !self.changes.contains(number))
    }

    /// # Errors
    /// `JournalGap` where it is not there, `Foreign` where it is not what was written.
    pub(super) fn object(&self, number: u64, kind: Kind) -> Result<(Header, Vec<u8>)> {
        let key = key(self.fence, number, kind);
        let bytes = self.backend.object(&key, OBJECT_BYTES_MAX)?;
        let bytes = bytes.ok_or_else(|| StoreError::JournalGap { key: key.clone() })?;
        let foreign = |problem| StoreError::Foreign { key, problem };
        let (header, batch) = object::read(&bytes, self.cipher).map_err(foreign)?;
        let is_its_own = (header.kind, header.fence, header.number) == (kind, self.fence, number);
        match is_its_own {
            true => Ok((header, batch)),
            false => Err(StoreError::Foreign {
                key: self::key(self.fence, number, kind),
                problem: "it was written under another name".into(),
            }),
        }
    }
}

fn foreign(fence: Fence, number: u64, kind: Kind, problem: String) -> StoreError {
    StoreError::Foreign {
        key: key(fence, number, kind),
        problem,
    }
}
