//! Whose turn it is to write: `lease.json` under the store's prefix.
//!
//! One vault directory on one machine holds the lease, until another takes it over with
//! the next number. No clock ends it, and it is never given back. The surprise: who has
//! lost it learns that only by asking. So a pack is put without a question while the
//! lease was not seen lost, for a pack too many harms nobody; but whatever changes what
//! the store *says* or deletes from it asks first: [`Lease::require`].

mod holder;
mod record;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use self::holder::{holder, host};
use self::record::{FORMAT, NOT_OURS, Record, bad, older, unreachable, writer};
use super::backend::Backend;
use super::error::{Result, StoreError, Writer};
use super::journal::{self, Whose};
use super::membership::Answer;
use super::objects::Seen;
use super::records::RecordFlaw;
use super::{Store, StoreConfig, founding};
use crate::catalog::{CatalogGuard, SharedCatalog, take_turn};
use crate::model::{Clock, Fence, WriteClaim};

/// The object's name.
pub const LEASE_NAME: &str = "lease.json";
/// Where what belongs to a number lies, by that number.
const CATALOG: &str = "catalog";
/// The number that this vault held last.
const FENCE_SETTING: &str = "local.store_fence";

/// The object as it lies in the store. `None`: it is not there.
type Found = Option<(Seen, Record)>;

/// What this vault knows of the lease.
#[derive(Debug, Clone)]
enum Standing {
    /// Nobody asked since the start.
    Unknown,
    /// It was ours when we asked last.
    Held(Fence),
    /// It is another's.
    Lost(Writer),
    /// It is ours, but the journal of this writer there says what the catalog does not know.
    Older { place: String, fence: Fence },
}

/// The lease of one store, as one vault sees it.
pub(super) struct Lease {
    holder: String,
    catalog: SharedCatalog,
    clock: Arc<dyn Clock>,
    standing: Mutex<Standing>,
    /// Whose journal says what the catalog does not know, where somebody who was told so
    /// goes on with this catalog.
    left_behind: Option<Fence>,
}

impl std::fmt::Debug for Lease {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Lease({:?})", self.standing())
    }
}

impl Lease {
    /// The lease of a store that is being opened. `answer` is what the store said so far;
    /// what it has come to is returned. A store that does not answer is asked again before
    /// the first write.
    ///
    /// # Errors
    /// [`StoreError::LeaseHeld`] and [`StoreError::CatalogIsOlder`], unless it is to be taken
    /// over or nothing shall be written.
    pub(super) fn open(
        config: &StoreConfig,
        backend: &Backend,
        catalog: &SharedCatalog,
        clock: &Arc<dyn Clock>,
        answer: Answer,
    ) -> Result<(Self, Answer)> {
        let mut lease = Self {
            holder: holder(&config.vault_dir, catalog, &**clock)?,
            catalog: catalog.clone(),
            clock: clock.clone(),
            standing: Mutex::new(Standing::Unknown),
            left_behind: None,
        };
        let answer = lease.begin(backend, config.write_claim, answer)?;
        Ok((lease, answer))
    }

    fn begin(&mut self, backend: &Backend, claim: WriteClaim, answer: Answer) -> Result<Answer> {
        if answer == Answer::None {
            return match claim {
                WriteClaim::TakeOver => Err(unreachable("taking the store over")),
                WriteClaim::AcceptEmpty => Err(unreachable("beginning anew in the store")),
                WriteClaim::Keep | WriteClaim::ReadOnly => Ok(answer),
            };
        }
        let (found, ahead) = match self.look(backend) {
            Err(error @ StoreError::Unreachable { .. })
                if matches!(claim, WriteClaim::Keep | WriteClaim::ReadOnly) =>
            {
                log::warn!("{error}: asked again before anything is written");
                return Ok(Answer::None);
            }
            looked => looked?,
        };
        if let (Some(fence), WriteClaim::TakeOver) = (ahead, claim) {
            log::warn!("{}", older(backend, fence));
            self.left_behind = Some(fence);
        }
        let is_ours = matches!(&found, Some((_, record)) if record.holder == self.holder);
        match (found, claim, ahead) {
            (Some((_, record)), _, None) if is_ours => {
                self.note_held(record.fence)?;
                Ok(answer)
            }
            (Some(_), WriteClaim::ReadOnly, Some(fence)) if is_ours => {
                *self.standing() = Standing::Older {
                    place: backend.place.to_string(),
                    fence,
                };
                Ok(Answer::None)
            }
            (Some(_), WriteClaim::Keep | WriteClaim::AcceptEmpty, Some(fence)) if is_ours => {
                Err(older(backend, fence))
            }
            (None, WriteClaim::Keep | WriteClaim::AcceptEmpty, Some(fence)) => {
                Err(older(backend, fence))
            }
            (Some((_, record)), WriteClaim::Keep | WriteClaim::AcceptEmpty, _) => {
                Err(StoreError::LeaseHeld(writer(backend, &record)))
            }
            (Some((seen, record)), WriteClaim::TakeOver, _) => {
                log::warn!("{}: it is taken over", writer(backend, &record));
                self.take(backend, Some((&seen, record.fence)))?;
                Ok(answer)
            }
            (Some((_, record)), WriteClaim::ReadOnly, _) => {
                *self.standing() = Standing::Lost(writer(backend, &record));
                Ok(Answer::None)
            }
            (None, WriteClaim::ReadOnly, _) => Ok(Answer::None),
            (None, _, _) => self.take(backend, None).map(|_| answer),
        }
    }

    /// The lease as it lies there, and whose journal says what the catalog does not know.
    fn look(&self, backend: &Backend) -> Result<(Found, Option<Fence>)> {
        let found = self.read(backend)?;
        let whose = match &found {
            Some((_, record)) if record.holder == self.holder => Whose::Own(Some(record.fence)),
            // What another one wrote meanwhile is asked for by who takes over.
            Some(_) => Whose::Own(None),
            None => Whose::All,
        };
        let ahead = journal::ahead(backend, &self.catalog, whose)?;
        Ok((found, ahead))
    }

    /// Takes the lease of the store that this one moves to.
    ///
    /// # Errors
    /// [`StoreError::LeaseHeld`], and what that store answers.
    pub(super) fn settle(&self, new: &Backend) -> Result<()> {
        match self.read(new)? {
            Some((_, record)) if record.holder == self.holder => self.note_held(record.fence),
            Some((_, record)) => Err(StoreError::LeaseHeld(writer(new, &record))),
            None => self.take(new, None).map(|_| ()),
        }
    }

    /// Makes sure that the lease is ours now: one request. To be called before the store's
    /// journal is written and before packs are deleted. Not with the catalog locked.
    ///
    /// The number is greater than before where the lease had vanished from the store.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] when another one has it, [`StoreError::CatalogIsOlder`],
    /// [`StoreError::Emptied`] when more than the lease has vanished, and what the store
    /// answers.
    pub(super) fn require(&self, backend: &Backend) -> Result<Fence> {
        if let Some(refusal @ StoreError::CatalogIsOlder { .. }) = self.refusal() {
            return Err(refusal);
        }
        let standing = self.standing().clone();
        let fence = match (self.read(backend)?, standing) {
            (Some((_, record)), _) if record.holder != self.holder => {
                return Err(self.lose(writer(backend, &record)));
            }
            // Somebody removed it; that does not undo that it was taken from us.
            (None, Standing::Lost(writer)) => return Err(self.lose(writer)),
            (Some((_, record)), Standing::Held(fence)) if record.fence == fence => {
                return Ok(fence);
            }
            (None, Standing::Held(_)) => return self.take_again(backend),
            (found, _) => found.map(|(_, record)| record.fence),
        };
        let whose = fence.map_or(Whose::All, |fence| Whose::Own(Some(fence)));
        match (journal::ahead(backend, &self.catalog, whose)?, fence) {
            (Some(ahead), _) => Err(self.stop(backend, ahead)),
            (None, Some(fence)) => self.note_held(fence).map(|()| fence),
            (None, None) => self.take_again(backend),
        }
    }

    /// Takes the lease that vanished, where not all else did.
    fn take_again(&self, backend: &Backend) -> Result<Fence> {
        let confirmed = founding::confirm(backend, &self.catalog, &*self.clock);
        // Until it is, no pack is put there either.
        confirmed.inspect_err(|_| *self.standing() = Standing::Unknown)?;
        self.take(backend, None)
    }

    /// Whether a pack may be put. Asks the store only when it was not asked since the
    /// start, or said no the last time.
    ///
    /// # Errors
    /// As [`require`](Self::require).
    pub(super) fn permit_put(&self, backend: &Backend) -> Result<()> {
        if self.last_held().is_some() {
            return Ok(());
        }
        self.require(backend).map(|_| ())
    }

    /// The number that was ours when we asked last. `None`: it was not, or nobody asked.
    pub(super) fn last_held(&self) -> Option<Fence> {
        match &*self.standing() {
            Standing::Held(fence) => Some(*fence),
            Standing::Unknown | Standing::Lost(_) | Standing::Older { .. } => None,
        }
    }

    /// True where the store may hold what only a newer catalog than this one knew.
    pub(super) fn left_something_behind(&self) -> bool {
        self.left_behind.is_some()
    }

    /// What is wrong with the lease in the store. `None`: nothing, or it was never ours.
    ///
    /// # Errors
    /// When the store gives no answer.
    pub(super) fn flaw(&self, backend: &Backend) -> Result<Option<RecordFlaw>> {
        if let Standing::Older { fence, .. } = &*self.standing() {
            return Ok(Some(RecordFlaw {
                object: format!("{CATALOG}/{:010}", fence.0),
                problem: "it says more than catalog.db, which seems to be an older copy".into(),
            }));
        }
        if self.last_held().is_none() {
            return Ok(None);
        }
        let problem = match self.read(backend) {
            Ok(Some((_, record))) if record.holder == self.holder => return Ok(None),
            Ok(Some((_, record))) => writer(backend, &record).to_string(),
            Ok(None) => "it is not there: another machine could write, too".into(),
            Err(StoreError::BadPlace { reason, .. }) => reason,
            Err(error) => return Err(error),
        };
        Ok(Some(RecordFlaw {
            object: LEASE_NAME.into(),
            problem,
        }))
    }

    /// Why nothing is written: another one has the lease, or wrote the journal on, as far as
    /// is known.
    pub(super) fn refusal(&self) -> Option<StoreError> {
        let standing = self.standing().clone();
        match standing {
            Standing::Lost(writer) => Some(StoreError::Fenced(writer)),
            Standing::Older { place, fence } => Some(StoreError::CatalogIsOlder { place, fence }),
            Standing::Unknown | Standing::Held(_) => None,
        }
    }

    /// Takes the lease that nobody has, or that was `seen` to be another's.
    fn take(&self, backend: &Backend, seen: Option<(&Seen, Fence)>) -> Result<Fence> {
        let last = seen
            .map(|(_, fence)| fence)
            .max(Some(self.last_fence(backend)?));
        let fence = last
            .and_then(Fence::next)
            .ok_or_else(|| bad(backend, NOT_OURS.into()))?;
        let record = Record {
            format: FORMAT,
            fence,
            holder: self.holder.clone(),
            host: host(),
            since: self.clock.now().to_string(),
        };
        let text = serde_json::to_vec(&record).unwrap_or_default();
        match seen {
            Some((seen, _)) => backend.replace_object(LEASE_NAME, text, seen)?,
            None => drop(backend.create_object(LEASE_NAME, text)?),
        }
        // What is there now decides: another one may have been faster, and some servers
        // know no conditions.
        match self.read(backend)? {
            Some((_, record)) if record.holder == self.holder => {
                self.note_held(record.fence)?;
                log::info!(
                    "{}: this vault writes (fence {})",
                    backend.place,
                    record.fence
                );
                Ok(record.fence)
            }
            Some((_, record)) => Err(self.lose(writer(backend, &record))),
            None => Err(StoreError::Io(format!(
                "{}: {LEASE_NAME} was written and is not there",
                backend.place
            ))),
        }
    }

    /// The greatest number that is known beside the lease itself, which may be gone.
    fn last_fence(&self, backend: &Backend) -> Result<Fence> {
        let listed = backend.names_below(CATALOG)?;
        let own = self.catalog()?.setting(FENCE_SETTING)?;
        let numbers = listed.iter().chain(own.as_ref());
        let last = numbers.filter_map(|text| text.parse().ok()).max();
        Ok(Fence(last.unwrap_or(0)))
    }

    fn read(&self, backend: &Backend) -> Result<Found> {
        let Some(seen) = backend.seen_object(LEASE_NAME)? else {
            return Ok(None);
        };
        match Record::parse(&seen.bytes) {
            Ok(record) => Ok(Some((seen, record))),
            Err(problem) => match backend.seen_object(LEASE_NAME)? {
                // The first answer may have been cut on its way.
                Some(again) if again.bytes != seen.bytes => Record::parse(&again.bytes)
                    .map(|record| Some((again, record)))
                    .map_err(|problem| bad(backend, problem)),
                _ => Err(bad(backend, problem)),
            },
        }
    }

    fn note_held(&self, fence: Fence) -> Result<()> {
        let text = fence.to_string();
        let mut catalog = self.catalog()?;
        if catalog.setting(FENCE_SETTING)?.as_ref() != Some(&text) {
            catalog.set_setting(FENCE_SETTING, Some(&text))?;
        }
        drop(catalog);
        *self.standing() = Standing::Held(fence);
        Ok(())
    }

    fn lose(&self, writer: Writer) -> StoreError {
        let mut standing = self.standing();
        let error = StoreError::Fenced(writer.clone());
        if !matches!(*standing, Standing::Lost(_)) {
            log::error!("{error}");
        }
        *standing = Standing::Lost(writer);
        error
    }

    /// Nothing is written any more: the journal of that writer has what the catalog does not
    /// know.
    pub(super) fn stop(&self, backend: &Backend, fence: Fence) -> StoreError {
        let error = older(backend, fence);
        log::error!("{error}");
        *self.standing() = Standing::Older {
            place: backend.place.to_string(),
            fence,
        };
        error
    }

    fn standing(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn catalog(&self) -> Result<CatalogGuard<'_>> {
        Ok(take_turn(&self.catalog).unwrap_or_else(PoisonError::into_inner))
    }
}

/// Whose turn it is by the store. `None`: nobody's, or the object makes no sense.
pub(super) fn fence_of_lease(backend: &Backend) -> Result<Option<Fence>> {
    let record = backend.small_object(LEASE_NAME)?;
    let record = record.and_then(|bytes| Record::parse(&bytes).ok());
    Ok(record.map(|record| record.fence))
}

impl Store {
    /// Why nothing is written to the store any more: another one has taken it over, or the
    /// catalog is an older one than its journal, as far as is known. `None`: it is this vault's, or
    /// nobody asked yet.
    pub fn taken_over(&self) -> Option<StoreError> {
        self.shared.lease.refusal()
    }
}
