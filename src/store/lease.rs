//! Whose turn it is to write: `lease.json` under the store's prefix.
//!
//! One vault directory on one machine holds the lease, until another takes it over with
//! the next number. No clock ends it, and it is never given back. The surprise: who has
//! lost it learns that only by asking. So a pack is put without a question while the
//! lease was not seen lost, for a pack too many harms nobody; but whatever changes what
//! the store *says* or deletes from it asks first: [`Lease::require`].

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use super::backend::Backend;
use super::error::{Result, StoreError, Writer};
use super::membership::Answer;
use super::objects::Seen;
use super::records::RecordFlaw;
use super::{Store, StoreConfig};
use crate::catalog::{CatalogGuard, Durability, SharedCatalog, take_turn};
use crate::model::{Clock, Fence, WriteClaim};

/// The object's name.
pub const LEASE_NAME: &str = "lease.json";
/// Where what belongs to a number lies, by that number.
const CATALOG: &str = "catalog";
const FORMAT: u32 = 1;
/// Random, so that no two vaults are the same holder.
const INSTANCE_SETTING: &str = "local.store_instance";
/// The number that this vault held last.
const FENCE_SETTING: &str = "local.store_fence";
const MACHINE_ID: &str = "/etc/machine-id";

/// The object.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    format: u32,
    fence: Fence,
    holder: String,
    host: String,
    since: String,
}

impl Record {
    /// # Errors
    /// What is wrong with it, and the way out.
    fn parse(bytes: &[u8]) -> std::result::Result<Self, String> {
        let text: serde_json::Value =
            serde_json::from_slice(bytes).map_err(|_| String::from(NOT_OURS))?;
        match text.get("format").and_then(serde_json::Value::as_u64) {
            Some(format) if format > FORMAT.into() => Err(format!(
                "{LEASE_NAME} was written by a newer keepfs (format {format}; this one knows \
                 {FORMAT}): update keepfs"
            )),
            _ => serde_json::from_value(text).map_err(|_| NOT_OURS.into()),
        }
    }
}

/// What this vault knows of the lease.
#[derive(Debug, Clone)]
enum Standing {
    /// Nobody asked since the start.
    Unknown,
    /// It was ours when we asked last.
    Held(Fence),
    /// It is another's.
    Lost(Writer),
}

/// The lease of one store, as one vault sees it.
pub(super) struct Lease {
    holder: String,
    catalog: SharedCatalog,
    clock: Arc<dyn Clock>,
    standing: Mutex<Standing>,
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
    /// [`StoreError::LeaseHeld`], unless it is to be taken over or nothing shall be written.
    pub(super) fn open(
        config: &StoreConfig,
        backend: &Backend,
        catalog: &SharedCatalog,
        clock: &Arc<dyn Clock>,
        answer: Answer,
    ) -> Result<(Self, Answer)> {
        let lease = Self {
            holder: holder(&config.vault_dir, catalog, &**clock)?,
            catalog: catalog.clone(),
            clock: clock.clone(),
            standing: Mutex::new(Standing::Unknown),
        };
        let answer = lease.begin(backend, config.write_claim, answer)?;
        Ok((lease, answer))
    }

    fn begin(&self, backend: &Backend, claim: WriteClaim, answer: Answer) -> Result<Answer> {
        if answer == Answer::None {
            return match claim {
                WriteClaim::TakeOver => Err(StoreError::Unreachable {
                    doing: "taking the store over".into(),
                    detail: "try again when it does".into(),
                }),
                WriteClaim::Keep | WriteClaim::ReadOnly => Ok(answer),
            };
        }
        let found = match self.read(backend) {
            Err(error @ StoreError::Unreachable { .. }) if claim != WriteClaim::TakeOver => {
                log::warn!("{error}: asked again before anything is written");
                return Ok(Answer::None);
            }
            found => found?,
        };
        match (found, claim) {
            (Some((_, record)), _) if record.holder == self.holder => {
                self.note_held(record.fence)?;
                Ok(answer)
            }
            (Some((_, record)), WriteClaim::Keep) => {
                Err(StoreError::LeaseHeld(writer(backend, &record)))
            }
            (Some((seen, record)), WriteClaim::TakeOver) => {
                log::warn!("{}: it is taken over", writer(backend, &record));
                self.take(backend, Some((&seen, record.fence)))?;
                Ok(answer)
            }
            (Some((_, record)), WriteClaim::ReadOnly) => {
                *self.standing() = Standing::Lost(writer(backend, &record));
                Ok(Answer::None)
            }
            (None, WriteClaim::ReadOnly) => Ok(Answer::None),
            (None, _) => self.take(backend, None).map(|_| answer),
        }
    }

    /// Takes the lease of the store that this one moves to.
    ///
    /// # Errors
    /// As [`open`](Self::open), and when that store does not answer.
    pub(super) fn settle(&self, new: &Backend) -> Result<()> {
        match self.begin(new, WriteClaim::Keep, Answer::Welcome)? {
            Answer::Welcome => Ok(()),
            Answer::None => Err(StoreError::Unreachable {
                doing: format!("taking the lease of {}", new.place),
                detail: "try again when it does".into(),
            }),
        }
    }

    /// Makes sure that the lease is ours now: one request. To be called before the store's
    /// journal is written and before packs are deleted. Not with the catalog locked.
    ///
    /// The number is greater than before where the lease had vanished from the store.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] when another one has it, and what the store answers.
    pub(super) fn require(&self, backend: &Backend) -> Result<Fence> {
        let before = self.standing().clone();
        match (self.read(backend)?, before) {
            (Some((_, record)), _) if record.holder == self.holder => {
                self.note_held(record.fence)?;
                Ok(record.fence)
            }
            (Some((_, record)), _) => Err(self.lose(writer(backend, &record))),
            // Somebody removed it; that does not undo that it was taken from us.
            (None, Standing::Lost(writer)) => Err(self.lose(writer)),
            (None, Standing::Unknown | Standing::Held(_)) => self.take(backend, None),
        }
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
            Standing::Unknown | Standing::Lost(_) => None,
        }
    }

    /// What is wrong with the lease in the store. `None`: nothing, or it was never ours.
    ///
    /// # Errors
    /// When the store gives no answer.
    pub(super) fn flaw(&self, backend: &Backend) -> Result<Option<RecordFlaw>> {
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

    /// Why nothing is written: another one has the lease, as far as is known.
    pub(super) fn refusal(&self) -> Option<StoreError> {
        match &*self.standing() {
            Standing::Lost(writer) => Some(StoreError::Fenced(writer.clone())),
            Standing::Unknown | Standing::Held(_) => None,
        }
    }

    /// Takes the lease that nobody has, or that was `seen` to be another's.
    fn take(&self, backend: &Backend, seen: Option<(&Seen, Fence)>) -> Result<Fence> {
        let last = match seen {
            Some((_, fence)) => fence,
            None => self.last_fence(backend)?,
        };
        let fence = last.next().ok_or_else(|| bad(backend, NOT_OURS.into()))?;
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

    /// The greatest number that is known where the lease itself is gone.
    fn last_fence(&self, backend: &Backend) -> Result<Fence> {
        let listed = backend.names_below(CATALOG)?;
        let own = self.catalog()?.setting(FENCE_SETTING)?;
        let numbers = listed.iter().chain(own.as_ref());
        let last = numbers.filter_map(|text| text.parse().ok()).max();
        Ok(Fence(last.unwrap_or(0)))
    }

    fn read(&self, backend: &Backend) -> Result<Option<(Seen, Record)>> {
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

const NOT_OURS: &str = "lease.json is not what keepfs wrote: put it back from a copy, or remove \
                        it if no other machine writes there";

impl Store {
    /// Why nothing is written to the store any more: another one has taken it over, as far
    /// as is known. `None`: it is this vault's, or nobody asked yet.
    pub fn taken_over(&self) -> Option<StoreError> {
        self.shared.lease.refusal()
    }
}

fn writer(backend: &Backend, record: &Record) -> Writer {
    Writer {
        place: backend.place.to_string(),
        host: shown(&record.host),
        since: shown(&record.since),
        fence: record.fence,
    }
}

fn bad(backend: &Backend, reason: String) -> StoreError {
    StoreError::BadPlace {
        place: backend.place.to_string(),
        reason,
    }
}

/// What somebody else wrote, fit for a line.
fn shown(text: &str) -> String {
    let plain = text.chars().filter(|c| !c.is_control());
    plain.take(100).collect()
}

/// What tells this vault directory from every other, copies of itself included.
fn holder(vault_dir: &Path, catalog: &SharedCatalog, clock: &dyn Clock) -> Result<String> {
    let machine = fs::read_to_string(MACHINE_ID).unwrap_or_default();
    let metadata = fs::metadata(vault_dir)
        .map_err(|error| StoreError::Io(format!("{}: {error}", vault_dir.display())))?;
    let parts = [
        machine.trim(),
        &instance(catalog, clock)?,
        &metadata.ino().to_string(),
    ];
    Ok(blake3::hash(parts.join("\n").as_bytes())
        .to_hex()
        .to_string())
}

fn instance(catalog: &SharedCatalog, clock: &dyn Clock) -> Result<String> {
    let mut catalog = take_turn(catalog).unwrap_or_else(PoisonError::into_inner);
    if let Some(instance) = catalog.setting(INSTANCE_SETTING)? {
        return Ok(instance);
    }
    let instance = format!("{:032x}", clock.random());
    catalog.set_setting(INSTANCE_SETTING, Some(&instance))?;
    // Before the store hears of it: a kill must not make us another holder.
    catalog.commit(Durability::Power)?;
    Ok(instance)
}

fn host() -> String {
    shown(&rustix::system::uname().nodename().to_string_lossy())
}
