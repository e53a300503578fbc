//! The threads of an open vault: those that ingest, one that commits, one that flushes.
//!
//! Ingest runs at the lowest priority: whoever works in the mount goes first.

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::catalog::Durability;
use crate::model::Deadline;

use super::drain::DrainScope;
use super::ingest_queue::{Postponed, Queue, RETRY_WAIT};
use super::{Result, Vault, VaultError, lock};
use crate::store::{AtBound, StoreError};

/// How long written versions wait for company before they are made durable.
const BATCH_WAIT: Duration = Duration::from_secs(1);

/// The running threads. Dropping it stops them where they are; [`stop`](Self::stop)
/// drains first.
#[derive(Debug)]
pub struct Workers {
    vault: Arc<Vault>,
    threads: Vec<JoinHandle<()>>,
    stop: Arc<Stop>,
}

#[derive(Debug, Default)]
struct Stop {
    wanted: Mutex<bool>,
    changed: Condvar,
}

/// What a thread is to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Work,
    Stop,
}

impl Stop {
    /// Returns after this time, or as soon as the threads are to stop.
    fn wait(&self, time: Duration) -> Wanted {
        let waited = self
            .changed
            .wait_timeout_while(lock(&self.wanted), time, |wanted| !*wanted);
        let is_wanted = *waited.unwrap_or_else(PoisonError::into_inner).0;
        match is_wanted {
            true => Wanted::Stop,
            false => Wanted::Work,
        }
    }
}

impl Workers {
    /// Starts the threads.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(vault: Arc<Vault>) -> std::io::Result<Self> {
        let stop = Arc::new(Stop::default());
        let mut threads = Vec::new();
        for index in 0..vault.config.ingest_threads {
            let vault = vault.clone();
            let run = move || {
                lower_priority();
                vault.run_ingest();
            };
            threads.push(spawn(format!("keepfs-ingest-{index}"), run)?);
        }
        // Two threads: a bucket may take its time, and a commit must not wait for it.
        for (name, run) in [
            ("keepfs-commit", Vault::commit_in_time as fn(&Vault, &Stop)),
            ("keepfs-flush", Vault::flush_in_time),
        ] {
            let (vault, stop) = (vault.clone(), stop.clone());
            threads.push(spawn(name.into(), move || run(&vault, &stop))?);
        }
        let looking = vault.clone();
        let run = move || looking.store.look_at_bucket();
        threads.push(spawn("keepfs-bucket".into(), run)?);
        Ok(Self {
            vault,
            threads,
            stop,
        })
    }

    /// Ingests what waits, flushes the packs, commits, and ends the threads.
    /// `progress` gets the number of versions that still wait.
    ///
    /// # Errors
    /// When the store takes nothing: the versions stay sealed, and wait for the next mount.
    pub fn stop(mut self, progress: &mut dyn FnMut(u64)) -> Result<()> {
        let everything = DrainScope::Everything;
        let drained = self.vault.drain(&everything, Deadline::NEVER, progress);
        self.end();
        drained
    }

    fn end(&mut self) {
        lock(&self.vault.ingest.queue).stopping = true;
        self.vault.ingest.changed.notify_all();
        self.vault.ingest.settled.notify_all();
        *lock(&self.stop.wanted) = true;
        self.stop.changed.notify_all();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                log::error!("a vault thread panicked");
            }
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.end();
    }
}

impl Vault {
    fn run_ingest(&self) {
        lock(&self.ingest.queue).workers += 1;
        self.ingest_until_stopped();
        lock(&self.ingest.queue).workers -= 1;
    }

    fn ingest_until_stopped(&self) {
        while let Some(seq) = self.next_to_ingest() {
            let outcome = self.ingest_one(seq, AtBound::Wait);
            let mut queue = lock(&self.ingest.queue);
            queue.taken.remove(&seq);
            match outcome {
                Ok(()) => {
                    queue.blocked = None;
                    if Self::batch_is_full(&queue) {
                        drop(queue);
                        self.finish_or_block();
                    }
                }
                Err(VaultError::Store(StoreError::PackUnknown { error, .. })) => {
                    // Only a file that shares chunks with what is in the store needs an
                    // answer from there; all others can go to the spool.
                    let reason = error.to_string();
                    if queue.unanswered.as_deref() != Some(reason.as_str()) {
                        log::warn!("sealed versions wait: {reason}");
                        queue.unanswered = Some(reason.clone());
                    }
                    queue.postponed.push(Postponed::unanswered(seq, reason));
                }
                Err(error) if concerns_one_file(&error) => {
                    log::warn!("a sealed version waits: {error}");
                    queue.postponed.push(Postponed::of(seq, &error));
                }
                Err(error) => {
                    queue.waiting.push_front(seq);
                    drop(queue);
                    self.block(&error);
                }
            }
        }
    }

    /// The next version to ingest; finishes batches while it waits. `None`: stop.
    fn next_to_ingest(&self) -> Option<crate::model::VersionSeq> {
        let mut queue = lock(&self.ingest.queue);
        loop {
            if queue.stopping {
                return None;
            }
            let now = Instant::now();
            let waited = queue
                .written_since
                .is_some_and(|since| now - since >= BATCH_WAIT);
            // Each flush makes the disk stand still for everybody: seldom, unless asked for.
            let asked = queue.draining > 0 && queue.waiting.is_empty();
            if (waited || asked) && !queue.written.is_empty() {
                drop(queue);
                self.finish_or_block();
                queue = lock(&self.ingest.queue);
                continue;
            }
            let due = |queue: &mut Queue| {
                let due = queue.postponed.iter().position(|one| one.retry_at <= now)?;
                Some(queue.postponed.swap_remove(due).seq)
            };
            if let Some(seq) = queue.waiting.pop_front().or_else(|| due(&mut queue)) {
                // Seen by who waits, until whoever took it has it among the active ones.
                queue.taken.insert(seq);
                return Some(seq);
            }
            queue = self
                .ingest
                .changed
                .wait_timeout(queue, BATCH_WAIT / 2)
                .unwrap_or_else(|poisoned| poisoned.into_inner())
                .0;
        }
    }

    fn finish_or_block(&self) {
        if let Err(error) = self.finish_batch() {
            self.block(&error);
        }
    }

    /// The store takes nothing: says so once, and waits before the next try.
    fn block(&self, error: &VaultError) {
        let mut queue = lock(&self.ingest.queue);
        let reason = error.to_string();
        if queue.blocked.as_deref() != Some(reason.as_str()) {
            log::error!("sealed versions wait: {reason}");
            queue.blocked = Some(reason);
        }
        self.ingest.settled.notify_all();
        let until = Instant::now() + RETRY_WAIT;
        while !queue.stopping && Instant::now() < until {
            queue = self
                .ingest
                .changed
                .wait_timeout(queue, RETRY_WAIT)
                .unwrap_or_else(|poisoned| poisoned.into_inner())
                .0;
        }
    }

    fn commit_in_time(&self, stop: &Stop) {
        let mut seen = None;
        while stop.wait(self.config.commit_interval) == Wanted::Work {
            if let Err(error) = self.commit(Durability::Process) {
                log::error!("what was sealed lately is not committed yet: {error}");
            }
            // Only a commit can make the journal lag.
            let commits = self.commits.count();
            if seen.replace(commits) != Some(commits)
                && let Err(error) = self.store.unpublished_since()
            {
                log::error!("whether the journal lags is not known: {error}");
            }
        }
    }

    fn flush_in_time(&self, stop: &Stop) {
        let mut chores = Chores::default();
        while stop.wait(self.config.pack_age_max) == Wanted::Work {
            self.flush_packs(&mut chores);
        }
    }

    /// A pack that is old enough goes however much is written meanwhile. What looks at all that
    /// is under way waits for a quiet moment.
    fn flush_packs(&self, chores: &mut Chores) {
        let flushed = self.store.flush().and_then(|()| self.store.publish());
        let refused = flushed.as_ref().err().map(ToString::to_string);
        let before = std::mem::replace(&mut lock(&self.ingest.queue).unflushed, refused.clone());
        if let Some(reason) = refused {
            if before.as_ref() != Some(&reason) {
                log::error!("packs stay in the spool: {reason}");
            }
            return;
        }
        if lock(&self.ingest.queue).is_idle() {
            chores.done("versions of half contents stay", self.drop_superseded());
            chores.done(
                "bytes that no version has stay in the store",
                self.remove_leftovers(),
            );
        }
        chores.done(
            "bytes that were deleted for good are in the store still",
            self.finish_deletion(),
        );
        chores.done("small packs stay small", self.store.merge_small_packs());
    }
}

/// What is tried again and again, and fails at the moment: a bucket that lets nothing be
/// deleted refuses the same each time.
#[derive(Debug, Default)]
struct Chores {
    failing: HashSet<&'static str>,
}

impl Chores {
    /// Says in the log what a failure leaves undone, once until it succeeds.
    fn done<T, E: fmt::Display>(
        &mut self,
        undone: &'static str,
        outcome: std::result::Result<T, E>,
    ) {
        match outcome {
            Ok(_) => {
                self.failing.remove(undone);
            }
            Err(error) if self.failing.insert(undone) => log::warn!("{undone}: {error}"),
            Err(error) => log::debug!("{undone}: {error}"),
        }
    }
}

/// The file itself cannot be read at the moment: no reason to keep others waiting.
fn concerns_one_file(error: &VaultError) -> bool {
    matches!(
        error,
        VaultError::Io { .. }
            | VaultError::NotFound { .. }
            | VaultError::Store(StoreError::Source(_))
    )
}

fn spawn(name: String, run: impl FnOnce() + Send + 'static) -> std::io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name(name).spawn(run)
}

/// On Linux a thread has a priority of its own, and hands it on to those it starts.
pub(super) fn lower_priority() {
    let thread = rustix::thread::gettid();
    if let Err(error) = rustix::process::setpriority_process(Some(thread), 19) {
        log::debug!("ingest keeps its priority: {error}");
    }
}
