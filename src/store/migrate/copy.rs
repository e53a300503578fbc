//! Copies packs to another store, several at once, each checked before it is put and read
//! back from there, also what an earlier run put.
//!
//! A [`Copier`] remembers what is at the other place, so a round costs only what has
//! changed since the last one. The surprise: packs that this catalog does not know are
//! removed there. What was purged meanwhile must not live on in a copy.

use std::collections::{HashMap, HashSet};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use super::Watch;
use super::running::Running;
use crate::catalog::{ChunkRecord, PackRecord, PackState};
use crate::model::PackId;
use crate::model::failpoint::reach;
use crate::store::backend::Backend;
use crate::store::error::{Result, StoreError};
use crate::store::{Damage, Shared, check, whole};

const AT_ONCE_MAX: u64 = 4;
/// All packs that are being copied together have about so many bytes at most.
const IN_HAND_BYTES: u64 = 64 << 20;
/// Whoever watches hears something at least this often.
const BEAT: Duration = Duration::from_millis(200);

/// What a migration came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Copied {
    /// Packs of the store.
    pub packs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Packs that were copied in this run; the others were there already.
    pub copied_packs: u64,
    /// Their bytes.
    pub copied_bytes: u64,
}

/// How it went with one pack.
enum Outcome {
    /// An earlier run had copied it, and it reads back whole.
    WasThere,
    Copied,
    /// It was rewritten or removed meanwhile.
    Gone,
    Damaged(Damage),
}

/// From where to where.
#[derive(Clone, Copy)]
struct Way<'a> {
    shared: &'a Shared,
    new: &'a Backend,
}

/// A copy in the making.
pub(super) struct Copier<'a> {
    way: Way<'a>,
    running: &'a Running,
    /// What lies there, with its bytes.
    listed: HashMap<PackId, u64>,
    /// What is known to be whole of it.
    sound: HashSet<PackId>,
    damages: Vec<Damage>,
    copied: Copied,
}

impl<'a> Copier<'a> {
    pub(super) fn begin(
        shared: &'a Shared,
        new: &'a Backend,
        running: &'a Running,
    ) -> Result<Self> {
        // Not in one expression: the catalog must not be locked while a bucket is asked.
        let known = shared.catalog()?.packs()?.len();
        Ok(Self {
            way: Way { shared, new },
            running,
            listed: new.list(known)?,
            sound: HashSet::new(),
            damages: Vec::new(),
            copied: Copied::default(),
        })
    }

    pub(super) fn has_damage(&self) -> bool {
        !self.damages.is_empty()
    }

    pub(super) fn into_damages(self) -> Vec<Damage> {
        self.damages
    }

    pub(super) fn into_copied(self) -> Copied {
        self.copied
    }

    /// Removes there what is of no use, and copies what is missing there. Returns how many
    /// packs it had to copy.
    pub(super) fn round(&mut self, watch: Watch<'_>) -> Result<u64> {
        let wanted = self.wanted()?;
        let known: HashSet<PackId> = wanted.iter().map(|pack| pack.id).collect();
        let strangers: Vec<PackId> = self
            .listed
            .keys()
            .filter(|pack| !known.contains(pack))
            .copied()
            .collect();
        for pack in strangers {
            self.way.new.delete(pack)?;
            self.listed.remove(&pack);
            self.sound.remove(&pack);
        }
        let bytes_total = wanted.iter().map(|pack| pack.bytes).sum();
        (self.copied.packs, self.copied.bytes) = (wanted.len() as u64, bytes_total);
        let missing: Vec<PackRecord> = wanted
            .into_iter()
            .filter(|pack| !self.sound.contains(&pack.id))
            .collect();
        let missing_bytes: u64 = missing.iter().map(|pack| pack.bytes).sum();
        self.running
            .begin_round(bytes_total - missing_bytes, bytes_total);
        self.damages.clear();
        let before = self.copied.copied_packs;
        self.copy(&missing, watch)?;
        Ok(self.copied.copied_packs - before)
    }

    /// The packs in the store that hold anything; one without is about to be removed.
    fn wanted(&self) -> Result<Vec<PackRecord>> {
        let mut usage = self.way.shared.catalog()?.pack_use()?;
        usage.retain(|usage| {
            usage.pack.state == PackState::Stored && usage.live_bytes + usage.dead_bytes > 0
        });
        Ok(usage.into_iter().map(|usage| usage.pack).collect())
    }

    fn copy(&mut self, missing: &[PackRecord], watch: Watch<'_>) -> Result<()> {
        let largest = missing.iter().map(|pack| pack.bytes).max().unwrap_or(1);
        let at_once = (IN_HAND_BYTES / largest.max(1)).clamp(1, AT_ONCE_MAX);
        let queue = Mutex::new(missing.iter());
        let (way, running, listed) = (self.way, self.running, self.listed.clone());
        let work = |done: SyncSender<(PackRecord, Result<Outcome>)>| {
            let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
            while !running.is_stopping()
                && let Some(pack) = next()
            {
                let outcome = way.copy(pack, listed.get(&pack.id).copied());
                if done.send((*pack, outcome)).is_err() {
                    return;
                }
            }
        };
        thread::scope(|scope| {
            // Handed over one by one: whoever wants to stop is not far behind the work.
            let (sender, receiver) = sync_channel(0);
            for _ in 0..at_once {
                let (sender, work) = (sender.clone(), &work);
                thread::Builder::new()
                    .name("keepfs-migrate".into())
                    .spawn_scoped(scope, move || work(sender))
                    .map_err(|error| StoreError::Io(format!("starting a thread: {error}")))?;
            }
            drop(sender);
            // Returning drops the receiver, and that ends the others.
            self.collect(&receiver, watch)
        })
    }

    fn collect(
        &mut self,
        receiver: &Receiver<(PackRecord, Result<Outcome>)>,
        watch: Watch<'_>,
    ) -> Result<()> {
        loop {
            let (bytes, bytes_total) = self.running.copied();
            if watch(bytes, bytes_total).is_break() {
                self.running.stop();
            }
            match receiver.recv_timeout(BEAT) {
                Ok((pack, outcome)) => self.record(&pack, outcome?),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) if self.running.is_stopping() => {
                    return Err(StoreError::MigrationStopped);
                }
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
        }
    }

    fn record(&mut self, pack: &PackRecord, outcome: Outcome) {
        match outcome {
            Outcome::Gone => return,
            Outcome::Damaged(damage) => return self.damages.push(damage),
            Outcome::WasThere => {}
            Outcome::Copied => {
                self.copied.copied_packs += 1;
                self.copied.copied_bytes += pack.bytes;
            }
        }
        self.running.add(pack.bytes);
        self.listed.insert(pack.id, pack.bytes);
        self.sound.insert(pack.id);
    }

    /// Compares what was copied with a new listing. What is not there as it should be is
    /// copied again by the next round, and false is returned.
    pub(super) fn is_listed(&mut self) -> Result<bool> {
        let listing = self.way.new.list(self.listed.len())?;
        let mut odd = Vec::new();
        for (&pack, &bytes) in &self.listed {
            // A listing may be older than the last puts: the object itself is asked, too.
            if listing.get(&pack) != Some(&bytes) && self.way.new.pack_bytes(pack)? != Some(bytes) {
                log::warn!("pack {pack} is not there as it was copied: it is copied again");
                odd.push(pack);
            }
        }
        for pack in &odd {
            self.listed.remove(pack);
            self.sound.remove(pack);
        }
        self.listed.extend(listing);
        Ok(odd.is_empty())
    }

    /// Packs that were put before the last stop, and of which the store's object could not
    /// be taken up: nothing of them can be copied.
    pub(super) fn note_unadopted(&mut self) -> Result<()> {
        let shared = self.way.shared;
        let packs = shared.catalog()?.packs()?;
        for pack in packs.iter().filter(|pack| pack.state == PackState::Open) {
            let is_unadopted =
                shared.open_packs.readable(pack.id).is_none() && shared.open_packs.is_mark(pack.id);
            if is_unadopted {
                self.damages.extend(check::damage(shared, pack.id)?);
            }
        }
        Ok(())
    }
}

impl Way<'_> {
    /// `listed`: the size of what is there under its name.
    fn copy(&self, pack: &PackRecord, listed: Option<u64>) -> Result<Outcome> {
        for _ in 0..2 {
            let chunks = self.shared.catalog()?.pack_chunks(pack.id)?;
            if chunks.is_empty() {
                return Ok(Outcome::Gone);
            }
            if listed == Some(pack.bytes) && self.is_whole(pack, &chunks)? {
                return Ok(Outcome::WasThere);
            }
            let coding = &self.shared.coding;
            match self.shared.backend().whole_pack(pack.id, pack.bytes) {
                Ok(bytes) if whole::flaw(coding, pack.id, &chunks, &bytes).is_none() => {
                    return self.put(pack, &chunks, bytes);
                }
                Ok(_) | Err(StoreError::PackMissing { .. } | StoreError::PackDamaged { .. }) => {}
                Err(error) => return Err(error),
            }
            // It may have been rewritten meanwhile, or the answer was garbled.
            if let Some(damage) = check::damage(self.shared, pack.id)? {
                return Ok(Outcome::Damaged(damage));
            }
        }
        let is_known = !self.shared.catalog()?.pack_chunks(pack.id)?.is_empty();
        match is_known {
            false => Ok(Outcome::Gone),
            true => Err(StoreError::Io(format!(
                "pack {} reads differently each time",
                pack.id
            ))),
        }
    }

    /// Puts it, and believes nothing but what is read back from there.
    fn put(&self, pack: &PackRecord, chunks: &[ChunkRecord], bytes: Vec<u8>) -> Result<Outcome> {
        reach("migrate.before-put");
        self.new.put(pack.id, bytes)?;
        reach("migrate.after-put");
        let not_there = |problem: &str| {
            let place = &self.new.place;
            StoreError::Io(format!("pack {} was put into {place}, {problem}", pack.id))
        };
        if self.new.pack_bytes(pack.id)? != Some(pack.bytes) {
            return Err(not_there("but is not there with its length"));
        }
        match self.flaw_there(pack, chunks)? {
            None => Ok(Outcome::Copied),
            Some(flaw) => {
                self.new.delete(pack.id)?;
                Err(not_there(&format!("but reads back damaged: {flaw}")))
            }
        }
    }

    /// True when the pack that is there reads back as it should. An earlier run may have
    /// ended between its put and its look at it.
    fn is_whole(&self, pack: &PackRecord, chunks: &[ChunkRecord]) -> Result<bool> {
        match self.flaw_there(pack, chunks) {
            Ok(flaw) => Ok(flaw.is_none()),
            Err(StoreError::PackMissing { .. } | StoreError::PackDamaged { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// What is wrong with the pack that is there, to its last byte. `None`: nothing.
    fn flaw_there(&self, pack: &PackRecord, chunks: &[ChunkRecord]) -> Result<Option<String>> {
        let there = self.new.whole_pack(pack.id, pack.bytes)?;
        Ok(whole::flaw(&self.shared.coding, pack.id, chunks, &there))
    }
}
