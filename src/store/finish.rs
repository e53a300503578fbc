//! Takes full packs from the spool into the store, on threads of its own.
//!
//! The order is the promise: object durable, then the row says `Stored`, then
//! the spool file goes. The surprise: an empty file stays in its place until the
//! catalog has the row on disk; until then its name tells an open after a crash
//! that the object may be one that the catalog never heard of.

mod failure;

use std::collections::{HashSet, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use self::failure::Failure;
use super::backend::PackSource;
use super::error::{Result, StoreError};
use super::open_pack::Growing;
use super::{Shared, admission, journal, pack};
use crate::catalog::{Durability, PackRecord, PackState};
use crate::model::failpoint::reach;
use crate::model::{Deadline, PackId, Timestamp};

/// While one waits for the disk to flush, another one reads and writes.
pub(super) const THREADS: usize = 2;
/// Names of stored packs that stay in the spool until the catalog is flushed for them.
const MARKS_MAX: usize = 64;
const RETRY_AFTER: Duration = Duration::from_secs(30);
/// Whoever holds puts back asks this often whether that is still wanted.
const HOLD_BEAT: Duration = Duration::from_millis(200);

/// When a pack was last put, in nanoseconds.
const LAST_PUT_SETTING: &str = "local.last_put";

/// When a pack last went from the spool into the store, in this run or an earlier one.
pub(super) fn last_put(shared: &Shared) -> Result<Option<Timestamp>> {
    let text = shared.catalog()?.setting(LAST_PUT_SETTING)?;
    let nanos = text.and_then(|text| text.parse().ok());
    Ok(nanos.map(Timestamp::from_nanos))
}

/// How attempts to put packs ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Attempts {
    /// Packs that went into the store.
    pub done: u64,
    /// Attempts that failed; the same pack is tried again.
    pub failed: u64,
}

/// What a writer does where so many packs wait that no more shall be begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AtBound {
    /// It waits until the store has taken some.
    Wait,
    /// It fails at once: somebody waits for it.
    Refuse,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Growing>,
    /// Packs that a thread is at.
    in_hand: HashSet<PackId>,
    /// Packs that were put.
    puts: u64,
    /// How often an attempt failed, and why the last one did.
    failures: u64,
    last_failure: Option<Failure>,
    /// Packs whose last attempt failed.
    tried: HashSet<PackId>,
    /// Somebody wants a failed attempt repeated now.
    is_poked: bool,
    is_stopping: bool,
    /// Nothing is put for the moment.
    is_held: bool,
    /// Somebody found no room, and it was said.
    is_at_bound: bool,
    /// Stored packs whose spool file is empty but still there.
    marks: Vec<PackId>,
}

impl State {
    fn packs(&self) -> impl Iterator<Item = PackId> {
        let waiting = self.waiting.iter().map(|full| full.pack.id);
        waiting.chain(self.in_hand.iter().copied())
    }

    fn has_room(&self, bytes_max: u64) -> bool {
        let waiting = self.waiting.iter().map(|full| full.pack.written_bytes());
        waiting.sum::<u64>() <= bytes_max
    }

    /// Whether there is room, said in the log where that is news.
    fn note_room(&mut self, bytes_max: u64) -> bool {
        let has_room = self.has_room(bytes_max);
        if self.is_at_bound == has_room {
            self.is_at_bound = !has_room;
            match has_room {
                true => log::warn!("the spool has room again: sealed versions go on"),
                false => log::warn!("{}", StoreError::SpoolAtBound { bytes_max }),
            }
        }
        has_room
    }
}

/// The full packs that wait to be stored.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    state: Mutex<State>,
    changed: Condvar,
}

impl Waiting {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How the attempts to put packs ended, since the start.
    pub(super) fn attempts(&self) -> Attempts {
        let state = self.state();
        Attempts {
            done: state.puts,
            failed: state.failures,
        }
    }

    /// Takes a full pack.
    pub(super) fn push(&self, full: Growing) {
        let mut state = self.state();
        state.waiting.push_back(full);
        state.is_poked = true;
        self.changed.notify_all();
    }

    /// Returns when the packs that wait now are stored, or with the error that keeps them.
    pub(super) fn wait_for_all(&self, deadline: Deadline) -> Result<()> {
        let packs: HashSet<PackId> = self.state().packs().collect();
        self.wait_until(deadline, |state| {
            !state.packs().any(|pack| packs.contains(&pack))
        })
    }

    fn wait_until(&self, deadline: Deadline, is_done: impl Fn(&State) -> bool) -> Result<()> {
        let mut state = self.state();
        let failures = state.failures;
        if !is_done(&state) {
            state.is_poked = true;
            self.changed.notify_all();
        }
        while !is_done(&state) && !state.is_stopping {
            if let Some(failure) = &state.last_failure
                && state.failures > failures
            {
                return Err(failure.error());
            }
            if deadline.has_passed() {
                // Whoever has no time to see an attempt is told of the last one.
                if let Some(failure) = &state.last_failure {
                    return Err(failure.error());
                }
                let packs = state.packs().count();
                return Err(StoreError::OnTheWay { packs });
            }
            let timed = self
                .changed
                .wait_timeout(state, deadline.left_at_most(RETRY_AFTER));
            state = timed.unwrap_or_else(PoisonError::into_inner).0;
        }
        Ok(())
    }

    /// Returns when what waits is within the spool's bound, or with the error that
    /// keeps it there.
    pub(super) fn wait_for_room(&self, bytes_max: u64, at_bound: AtBound) -> Result<()> {
        let has_room = self.state().note_room(bytes_max);
        match (has_room, at_bound) {
            (true, _) => Ok(()),
            (false, AtBound::Refuse) => Err(StoreError::SpoolAtBound { bytes_max }),
            (false, AtBound::Wait) => {
                self.wait_until(Deadline::NEVER, |state| state.has_room(bytes_max))?;
                self.state().note_room(bytes_max);
                Ok(())
            }
        }
    }

    /// True while more waits than the spool's bound allows.
    pub(super) fn is_at_bound(&self, bytes_max: u64) -> bool {
        !self.state().has_room(bytes_max)
    }

    /// Keeps the spool file of a stored pack until the catalog is flushed for it.
    pub(super) fn keep_mark(&self, pack: PackId) {
        self.state().marks.push(pack);
    }

    /// Holds all puts back until the guard goes, and waits for those under way. What
    /// waits meanwhile waits a little longer. `None`: it was called off before.
    pub(super) fn hold(&self, is_called_off: &dyn Fn() -> bool) -> Option<Hold<'_>> {
        self.state().is_held = true;
        let hold = Hold(self);
        let mut state = self.state();
        while !state.in_hand.is_empty() {
            if is_called_off() {
                drop(state);
                return None;
            }
            let timed = self.changed.wait_timeout(state, HOLD_BEAT);
            state = timed.unwrap_or_else(PoisonError::into_inner).0;
        }
        drop(state);
        Some(hold)
    }

    /// Ends [`run`] after the pack it is at.
    pub(super) fn stop(&self) {
        self.state().is_stopping = true;
        self.changed.notify_all();
    }
}

/// While it lives, nothing is put into the store by [`run`].
#[derive(Debug)]
pub(super) struct Hold<'a>(&'a Waiting);

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        self.0.state().is_held = false;
        self.0.changed.notify_all();
    }
}

/// Stores full packs until [`Waiting::stop`].
pub(super) fn run(shared: &Shared) {
    let waiting = &shared.waiting;
    let mut state = waiting.state();
    while !state.is_stopping {
        let must_wait = state.is_held || (state.last_failure.is_some() && !state.is_poked);
        let next = if must_wait {
            None
        } else {
            state.waiting.pop_front()
        };
        let Some(full) = next else {
            let timed = waiting.changed.wait_timeout(state, RETRY_AFTER);
            let (woken, timeout) = timed.unwrap_or_else(PoisonError::into_inner);
            state = woken;
            state.is_poked |= timeout.timed_out();
            continue;
        };
        let id = full.pack.id;
        state.in_hand.insert(id);
        state.is_poked &= !state.waiting.is_empty();
        let attempt = match state.tried.contains(&full.pack.id) {
            true => Attempt::Again,
            false => Attempt::First,
        };
        drop(state);
        let outcome = store(shared, &full, attempt);
        state = waiting.state();
        state.in_hand.remove(&id);
        match outcome {
            Ok(()) => {
                state.puts += 1;
                state.last_failure = None;
                state.tried.remove(&full.pack.id);
                state.marks.push(full.pack.id);
                drop(state);
                journal::keep_up(shared);
                state = waiting.state();
            }
            Err(error) => {
                let level = match error {
                    StoreError::LookedAt => log::Level::Debug,
                    _ => log::Level::Error,
                };
                log::log!(level, "pack {} stays in the spool: {error}", full.pack.id);
                state.failures += 1;
                state.last_failure = Some(Failure::of(&error));
                state.is_poked = false;
                state.tried.insert(full.pack.id);
                state.waiting.push_front(full);
            }
        }
        waiting.changed.notify_all();
        if state.marks.len() >= MARKS_MAX {
            drop(state);
            remove_marks(shared);
            state = waiting.state();
        }
    }
}

/// Whether a pack is put for the first time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Attempt {
    First,
    Again,
}

fn store(shared: &Shared, full: &Growing, attempt: Attempt) -> Result<()> {
    admission::permit_put(shared)?;
    let id = full.pack.id;
    let records_end = full.pack.written_bytes();
    let table = pack::table_and_trailer(&full.chunks, records_end);
    let record = PackRecord {
        id,
        state: PackState::Stored,
        bytes: records_end + table.len() as u64,
    };
    reach("store.before-put");
    if attempt == Attempt::Again && has_arrived(shared, &record, &table)? {
        log::info!("pack {id} had arrived: only the answer was lost");
    } else if !adopt(shared, full, &table)? {
        let mut bytes = vec![0; records_end as usize];
        full.pack
            .read(0, &mut bytes)
            .map_err(|error| shared.open_packs.failed(error))?;
        bytes.extend_from_slice(&table);
        shared.backend().put(id, bytes)?;
    }
    reach("store.after-put");
    {
        let mut catalog = shared.catalog()?;
        catalog.set_pack(&record)?;
        let now = shared.clock.now().nanos().to_string();
        catalog.set_setting(LAST_PUT_SETTING, Some(&now))?;
    }
    reach("store.after-stored-row");
    shared.open_packs.make_unreadable(id);
    // The space is a matter of convenience; the object is complete.
    let _ = shared.open_packs.leave_mark(id);
    Ok(())
}

/// Ends the file in the spool and makes it the pack. False: it has to be put, which needs
/// no room in the spool, so that a full one can empty itself.
fn adopt(shared: &Shared, full: &Growing, table: &[u8]) -> Result<bool> {
    if shared.backend().is_remote() {
        return Ok(false);
    }
    let id = full.pack.id;
    match full
        .pack
        .end_with(table)
        .map_err(|error| shared.open_packs.failed(error))
    {
        Ok(()) => {}
        Err(StoreError::Full { .. }) => return Ok(false),
        Err(error) => return Err(error),
    }
    reach("store.ended");
    shared.backend().adopt(id, &shared.open_packs.path(id))
}

/// True when the last attempt put the pack although it was told otherwise. Its end,
/// with the hash of every chunk, tells it from anything else under its name.
fn has_arrived(shared: &Shared, pack: &PackRecord, table: &[u8]) -> Result<bool> {
    match ends_with(shared, pack, table) {
        // The answer to a look has no body that says why. The one to a put has.
        Err(StoreError::Denied { .. }) => Ok(false),
        outcome => outcome,
    }
}

fn ends_with(shared: &Shared, pack: &PackRecord, table: &[u8]) -> Result<bool> {
    let backend = &shared.backend();
    if !backend.is_remote() || backend.pack_bytes(pack.id)? != Some(pack.bytes) {
        return Ok(false);
    }
    let mut end = vec![0; table.len()];
    let table_at = pack.bytes - table.len() as u64;
    backend.read(&PackSource::Object, pack.id, table_at, &mut end)?;
    Ok(end == table)
}

/// Flushes the catalog and removes the spool files of packs that are stored.
/// A failure is logged and costs nothing but their names.
pub(super) fn remove_marks(shared: &Shared) {
    let marks = std::mem::take(&mut shared.waiting.state().marks);
    if marks.is_empty() {
        return;
    }
    let removed = shared
        .catalog()
        .and_then(|mut catalog| Ok(catalog.commit(Durability::Power)?))
        .and_then(|()| {
            marks
                .iter()
                .try_for_each(|&id| shared.open_packs.remove(id))
        });
    if let Err(error) = removed {
        log::warn!("spool files of stored packs are kept for now: {error}");
        shared.waiting.state().marks.extend(marks);
    }
}
