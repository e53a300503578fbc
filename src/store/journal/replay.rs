//! Reading the journal: a store's objects, and nothing else, become a catalog.
//!
//! The newest whole snapshot comes first, then one group of changes after the other, for
//! as long as each names the one before it. The surprise: what stands at the end and does
//! not fit is no damage; a kill leaves that behind. What is missing in the middle is, and
//! what was written later than the last that fits.

use std::collections::{BTreeSet, HashSet};
use std::path::Path;
use std::{fs, io};

use super::listed::Journal;
use super::object::{Header, Kind};
use super::{JOURNAL, below, key};
use crate::catalog::{CatalogBuilder, CatalogError, Group};
use crate::model::{Fence, StorePlace, Timestamp};
use crate::store::backend::Backend;
use crate::store::cipher::Cipher;
use crate::store::error::{Result, StoreError};
use crate::store::lease::fence_of_lease;

/// What to do about an object that is missing between others, or not what was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gap {
    /// Stop with an error.
    Refuse,
    /// Take what is before it.
    Accept,
}

/// What was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replayed {
    /// Whose journal it was.
    pub fence: Fence,
    /// The number of its last object that was used.
    pub number: u64,
    /// The number behind the last object that was there.
    pub end: u64,
    /// When that was written, by the clock of the machine that did.
    pub published_at: Timestamp,
    /// The first object that was missing or damaged, where that was accepted.
    pub missing: Option<u64>,
    /// What was wrong, a line for each, where that was accepted.
    pub flaws: Vec<String>,
}

/// Makes a new catalog file out of the journal in a store: of the newest writer, or of
/// the one with the number `fence`. `cipher` is `None` where the store has no key document.
///
/// # Errors
/// `NoJournal`, `JournalGap`, and what the store and the file say. The file is then of no
/// use.
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
    let mut flaws = Flaws {
        gap,
        accepted: Vec::new(),
    };
    while let Some(fence) = fences.pop() {
        let mut journal = Journal::list(&backend, fence, cipher)?;
        journal.ask_for_unlisted(gap)?;
        if let Some(replayed) = Replay(&journal).apply_newest(&mut flaws, catalog)? {
            return Ok(Replayed {
                flaws: flaws.lines(),
                ..replayed
            });
        }
    }
    match flaws.accepted.is_empty() {
        true => Err(StoreError::NoJournal {
            place: place.to_string(),
        }),
        // There is nothing before them.
        false => Err(flaws.accepted.swap_remove(0).error()),
    }
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

/// Why a part of the journal is not used.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Flaw {
    key: String,
    problem: String,
}

impl Flaw {
    fn of(key: String, problem: &str) -> Self {
        Self {
            key,
            problem: problem.into(),
        }
    }

    fn error(self) -> StoreError {
        StoreError::JournalGap {
            key: self.key,
            problem: self.problem,
        }
    }
}

/// What is wrong with the journal, as far as somebody accepts that.
struct Flaws {
    gap: Gap,
    accepted: Vec<Flaw>,
}

impl Flaws {
    fn note(&mut self, flaw: Flaw) -> Result<()> {
        if self.gap == Gap::Refuse {
            return Err(flaw.error());
        }
        if !self.accepted.contains(&flaw) {
            self.accepted.push(flaw);
        }
        Ok(())
    }

    fn lines(&self) -> Vec<String> {
        let line = |flaw: &Flaw| format!("{} {}", flaw.key, flaw.problem);
        self.accepted.iter().map(line).collect()
    }
}

/// Why a reading ended.
enum Stopped {
    /// There is something else than what was written.
    At(Flaw),
    By(StoreError),
}

impl<E: Into<StoreError>> From<E> for Stopped {
    fn from(error: E) -> Self {
        Stopped::By(error.into())
    }
}

type Read<T> = std::result::Result<T, Stopped>;

/// Makes of what is a flaw an entry, and nothing of what it was read for.
fn or_noted<T>(read: Read<Option<T>>, flaws: &mut Flaws) -> Result<Option<T>> {
    match read {
        Ok(value) => Ok(value),
        Err(Stopped::At(flaw)) => flaws.note(flaw).map(|()| None),
        Err(Stopped::By(error)) => Err(error),
    }
}

/// The first and the last object of a snapshot, and its group.
struct Snapshot {
    first: u64,
    last: Header,
}

/// Reads one writer's journal.
struct Replay<'a>(&'a Journal<'a>);

impl Replay<'_> {
    /// Makes a catalog of the newest snapshot that can be used. `None`: there is none.
    fn apply_newest(&self, flaws: &mut Flaws, catalog: &Path) -> Result<Option<Replayed>> {
        let Self(journal) = self;
        for &number in journal.snapshots.iter().rev() {
            let Some(snapshot) = or_noted(self.snapshot_at(number), flaws)? else {
                continue;
            };
            let built = self.build(&snapshot, catalog).map(Some);
            if let Some(builder) = or_noted(built, flaws)? {
                return self.follow(builder, &snapshot.last, flaws).map(Some);
            }
            remove(catalog).map_err(|error| StoreError::Io(format!("the catalog: {error}")))?;
        }
        if !journal.changes.is_empty() {
            let problem = "has changes of the catalog, and no whole snapshot";
            flaws.note(Flaw::of(below(journal.fence), problem))?;
        }
        Ok(None)
    }

    /// The snapshot that ends with this object. `None`: none does, as after a kill.
    fn snapshot_at(&self, number: u64) -> Read<Option<Snapshot>> {
        let (last, _) = self.object(number, Kind::Snapshot)?;
        let first = number.checked_sub(last.index.into());
        let Some(first) = first.filter(|_| last.is_last) else {
            return Ok(None);
        };
        for number in first..number {
            if !self.0.has(number, Kind::Snapshot)? {
                return Err(self.flaw(number, Kind::Snapshot, MISSING));
            }
        }
        // One that was begun anew may be shorter than what a kill left of it.
        let (begin, _) = self.object(first, Kind::Snapshot)?;
        Ok((begin.group == last.group).then_some(Snapshot { first, last }))
    }

    fn build(&self, snapshot: &Snapshot, catalog: &Path) -> Read<CatalogBuilder> {
        let last = &snapshot.last;
        let mut builder = CatalogBuilder::create(catalog, last.catalog_format)?;
        for number in snapshot.first..=last.number {
            let (header, batch) = self.object(number, Kind::Snapshot)?;
            if header.group != last.group {
                let problem = "belongs to another snapshot";
                return Err(self.flaw(number, Kind::Snapshot, problem));
            }
            // In commits of their own: what fails later fails the whole file.
            builder.begin_group()?;
            self.apply(&mut builder, &header, &batch)?;
        }
        Ok(builder)
    }

    /// Applies the changes after a snapshot.
    fn follow(
        &self,
        mut builder: CatalogBuilder,
        snapshot: &Header,
        flaws: &mut Flaws,
    ) -> Result<Replayed> {
        let mut last = *snapshot;
        let mut missing = None;
        loop {
            match self.apply_group(&mut builder, last.number.saturating_add(1), last.group) {
                Ok(Some(end)) => last = end,
                Ok(None) => break,
                Err(Stopped::At(flaw)) => {
                    builder.end_group(Group::Unfinished)?;
                    flaws.note(flaw)?;
                    missing = Some(last.number.saturating_add(1));
                    break;
                }
                Err(Stopped::By(error)) => return Err(error),
            }
        }
        if missing.is_none() {
            missing = or_noted(self.lost_after(&last).map(|()| Some(())), flaws)?
                .is_none()
                .then_some(last.number.saturating_add(1));
        }
        builder.forget_files()?;
        builder.finish()?;
        Ok(Replayed {
            fence: self.0.fence,
            number: last.number,
            end: self.0.end(),
            published_at: last.published_at,
            missing,
            flaws: Vec::new(),
        })
    }

    /// Applies the group that begins at `first` and follows `after`, and returns the last
    /// of its headers. `None`: there is none, or not all of it.
    fn apply_group(
        &self,
        builder: &mut CatalogBuilder,
        first: u64,
        after: u64,
    ) -> Read<Option<Header>> {
        let mut group = None;
        builder.begin_group()?;
        for number in first..=u64::MAX {
            if !self.0.changes.contains(&number) {
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
            self.apply(builder, &header, &batch)?;
            if header.is_last {
                builder.end_group(Group::Whole)?;
                return Ok(Some(header));
            }
        }
        builder.end_group(Group::Unfinished)?;
        Ok(None)
    }

    fn apply(&self, builder: &mut CatalogBuilder, header: &Header, batch: &[u8]) -> Read<()> {
        match builder.apply(batch) {
            Ok(()) => Ok(()),
            Err(CatalogError::Corrupt { detail, .. }) => {
                Err(self.flaw(header.number, header.kind, &detail))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Looks behind the last object that was used: is there anything that a whole journal
    /// would not have there?
    ///
    /// An attempt that was interrupted leaves objects that name the last group that was
    /// published, or were written before it. What came later, and what others follow, was
    /// published and cannot be reached any more.
    fn lost_after(&self, last: &Header) -> Read<()> {
        let rest = last.number.saturating_add(1);
        let newest = self.0.changes.last().copied().unwrap_or(0);
        if let Some(gap) = (rest..newest).find(|number| !self.0.changes.contains(number)) {
            return Err(self.flaw(gap, Kind::Changes, MISSING));
        }
        let mut groups = HashSet::new();
        for &number in self.0.changes.range(rest..) {
            let (header, _) = self.object(number, Kind::Changes)?;
            let was_next = header.after == last.group;
            let is_later = header.published_at > last.published_at;
            if groups.contains(&header.after) || (is_later && (!was_next || header.is_last)) {
                let problem = "does not follow what is before it";
                return Err(self.flaw(number, Kind::Changes, problem));
            }
            groups.insert(header.group);
        }
        Ok(())
    }

    /// An object as it was written. The first answer may have been cut on its way.
    fn object(&self, number: u64, kind: Kind) -> Read<(Header, Vec<u8>)> {
        let read = || self.0.object(number, kind);
        let again = |error| match error {
            StoreError::Foreign { .. } => read(),
            error => Err(error),
        };
        match read().or_else(again) {
            Ok(object) => Ok(object),
            Err(StoreError::JournalGap { key, problem }) => Err(Stopped::At(Flaw { key, problem })),
            Err(StoreError::Foreign { key, problem }) => {
                let problem = format!("is not what keepfs wrote: {problem}");
                Err(Stopped::At(Flaw { key, problem }))
            }
            Err(error) => Err(Stopped::By(error)),
        }
    }

    fn flaw(&self, number: u64, kind: Kind, problem: &str) -> Stopped {
        Stopped::At(Flaw::of(key(self.0.fence, number, kind), problem))
    }
}

/// What is said of an object that is not there.
pub(super) const MISSING: &str = "is missing";

/// Removes a catalog file that could not be finished.
fn remove(catalog: &Path) -> io::Result<()> {
    for suffix in ["", "-wal", "-shm", "-journal"] {
        let mut path = catalog.as_os_str().to_owned();
        path.push(suffix);
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}
