//! The reader's barrier: what was closed before a request is sealed before its answer.
//!
//! `close()` returns once its RELEASE is in the kernel's queue, which is first in,
//! first out. So when a later request is being handled, that RELEASE was taken from
//! the queue already, by some worker; but the worker may not have come to its
//! handler yet. [`Barrier::fence`] waits until every other worker has either gone
//! through a handler or sleeps in its read of the device. The surprise: in the first
//! moments of a mount it also waits until all workers are known, for one that has not
//! come to its first handler is unknown to everybody else.

use std::cell::Cell;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicI32, AtomicU8, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, OnceLock, PoisonError, RwLock};
use std::time::{Duration, Instant};

/// Longer than any close takes; beyond it something else is wrong.
const PATIENCE: Duration = Duration::from_secs(2);

/// What a worker's handler does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// It answers a RELEASE.
    Release,
    /// Anything else.
    Other,
}

const OUTSIDE: u8 = 0;
const RELEASING: u8 = 1;
const INSIDE: u8 = 2;

#[derive(Debug, Default)]
struct Worker {
    thread: AtomicI32,
    place: AtomicU8,
    turns: AtomicU64,
    watch: OnceLock<Option<Watch>>,
}

/// What the kernel says of a thread.
#[derive(Debug)]
struct Watch {
    stat: File,
    syscall: Option<File>,
}

/// The workers of one mount.
#[derive(Debug, Default)]
pub(crate) struct Barrier {
    workers: RwLock<Vec<std::sync::Arc<Worker>>>,
    /// Whether every worker is among them.
    all_known: Mutex<bool>,
    became_known: Condvar,
}

thread_local! {
    // A worker thread serves one mount for its whole life.
    static OWN: Cell<Option<usize>> = const { Cell::new(None) };
}

/// A worker inside its handler; outside again when dropped.
#[derive(Debug)]
pub(crate) struct Inside(std::sync::Arc<Worker>);

impl Drop for Inside {
    fn drop(&mut self) {
        self.0.place.store(OUTSIDE, Ordering::SeqCst);
    }
}

impl Barrier {
    /// Names all worker threads. They may be at work already: until then, fences wait.
    pub(crate) fn expect(&self, threads: &[i32]) {
        self.name(threads);
        *self
            .all_known
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = true;
        self.became_known.notify_all();
    }

    fn name(&self, threads: &[i32]) {
        let mut workers = self.workers.write().unwrap_or_else(PoisonError::into_inner);
        for thread in threads {
            if workers
                .iter()
                .all(|w| w.thread.load(Ordering::SeqCst) != *thread)
            {
                workers.push(Worker::of(*thread));
            }
        }
    }

    /// A handler begins on this thread. The very first thing every handler does.
    pub(crate) fn enter(&self, turn: Turn) -> Inside {
        let worker = self.own();
        let place = match turn {
            Turn::Release => RELEASING,
            Turn::Other => INSIDE,
        };
        // The place before the count: who sees the count sees the place.
        worker.place.store(place, Ordering::SeqCst);
        worker.turns.fetch_add(1, Ordering::SeqCst);
        Inside(worker)
    }

    /// Returns when every RELEASE that was queued before this request is done with.
    pub(crate) fn fence(&self) {
        let own = self.own();
        self.wait_until_all_are_known();
        let workers = {
            let workers = self.workers.read().unwrap_or_else(PoisonError::into_inner);
            workers.clone()
        };
        let until = Instant::now() + PATIENCE;
        for worker in workers.iter().filter(|w| !std::sync::Arc::ptr_eq(w, &own)) {
            if !worker.pass(until) {
                log::warn!(
                    "a close that is still being worked on was not waited for: \
                     worker {} is busy since {PATIENCE:?}",
                    worker.thread.load(Ordering::SeqCst)
                );
            }
        }
    }

    fn wait_until_all_are_known(&self) {
        let known = self
            .all_known
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let waited = self
            .became_known
            .wait_timeout_while(known, 2 * PATIENCE, |known| !*known);
        if waited.is_ok_and(|(known, _)| !*known) {
            log::warn!("a close was perhaps not waited for: the mount is still being started");
        }
    }

    fn own(&self) -> std::sync::Arc<Worker> {
        if let Some(index) = OWN.get() {
            let workers = self.workers.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(worker) = workers.get(index) {
                return worker.clone();
            }
        }
        let thread = rustix::thread::gettid().as_raw_nonzero().get();
        let mut workers = self.workers.write().unwrap_or_else(PoisonError::into_inner);
        let known = workers
            .iter()
            .position(|w| w.thread.load(Ordering::SeqCst) == thread);
        let index = known.unwrap_or_else(|| {
            workers.push(Worker::of(thread));
            workers.len() - 1
        });
        OWN.set(Some(index));
        workers[index].clone()
    }
}

impl Worker {
    fn of(thread: i32) -> std::sync::Arc<Self> {
        let worker = Self::default();
        worker.thread.store(thread, Ordering::SeqCst);
        std::sync::Arc::new(worker)
    }

    /// Waits until what this worker had taken from the queue is done, if it was a RELEASE.
    fn pass(&self, until: Instant) -> bool {
        let turns = self.turns.load(Ordering::SeqCst);
        let place = self.place.load(Ordering::SeqCst);
        if place == INSIDE {
            return true;
        }
        let mut rounds = 0u32;
        loop {
            let now = self.turns.load(Ordering::SeqCst);
            let passed = match place {
                OUTSIDE if now == turns => {
                    self.place.load(Ordering::SeqCst) == OUTSIDE && self.sleeps_in_read()
                }
                // Also of one that was seen in its handler: it may not have been counted yet.
                _ => now > turns + 1 || self.place.load(Ordering::SeqCst) != RELEASING,
            };
            if passed {
                return true;
            }
            if Instant::now() > until {
                return false;
            }
            rounds += 1;
            if rounds < 100 {
                std::thread::yield_now();
            } else {
                std::thread::sleep(Duration::from_micros(50));
            }
        }
    }

    /// Asleep, and in read(2): nothing taken from the queue. Asleep alone could be
    /// a lock between the read and the handler, hence the second question.
    fn sleeps_in_read(&self) -> bool {
        let thread = self.thread.load(Ordering::SeqCst);
        let watch = self.watch.get_or_init(|| Watch::of(thread));
        watch.as_ref().is_some_and(Watch::sleeps_in_read)
    }
}

impl Watch {
    fn of(thread: i32) -> Option<Self> {
        Some(Self {
            stat: File::open(format!("/proc/self/task/{thread}/stat")).ok()?,
            syscall: File::open(format!("/proc/self/task/{thread}/syscall")).ok(),
        })
    }

    fn sleeps_in_read(&self) -> bool {
        let mut buffer = [0u8; 64];
        let Ok(length) = self.stat.read_at(&mut buffer, 0) else {
            return true; // the thread is gone
        };
        // `pid (name) S ...`; worker names have no parenthesis.
        let text = &buffer[..length];
        let state = text.iter().position(|b| *b == b')').map(|at| &text[at..]);
        if !state.is_some_and(|state| state.starts_with(b") S")) {
            return false;
        }
        let Some(syscall) = &self.syscall else {
            return true;
        };
        match syscall.read_at(&mut buffer, 0) {
            Ok(length) => {
                let number = buffer[..length].split(|b| *b == b' ').next();
                number == Some(libc::SYS_read.to_string().as_bytes())
            }
            Err(_) => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;
    use std::sync::mpsc;

    /// A worker that reads from a pipe, as the real ones read from the device.
    fn worker(
        barrier: &Arc<Barrier>,
        delay: Duration,
        turn: Turn,
    ) -> (std::io::PipeWriter, Arc<AtomicBool>) {
        let (mut reader, writer) = std::io::pipe().unwrap();
        let (barrier, done) = (barrier.clone(), Arc::new(AtomicBool::new(false)));
        let (ready, started) = mpsc::channel();
        let flag = done.clone();
        std::thread::spawn(move || {
            barrier.expect(&[rustix::thread::gettid().as_raw_nonzero().get()]);
            ready.send(()).unwrap();
            let mut byte = [0];
            while reader.read(&mut byte).unwrap() == 1 {
                // Taken from the queue, not yet in the handler: busy, not asleep in read.
                let since = Instant::now();
                while since.elapsed() < delay {
                    std::hint::spin_loop();
                }
                let inside = barrier.enter(turn);
                std::thread::sleep(delay);
                flag.store(true, Ordering::SeqCst);
                drop(inside);
            }
        });
        started.recv().unwrap();
        (writer, done)
    }

    /// A fence on a thread of its own, which says when it is through.
    fn fence_apart(barrier: &Arc<Barrier>) -> mpsc::Receiver<()> {
        let (passed, has_passed) = mpsc::channel();
        let barrier = barrier.clone();
        std::thread::spawn(move || {
            let _own = barrier.enter(Turn::Other);
            barrier.fence();
            passed.send(()).unwrap();
        });
        has_passed
    }

    #[test]
    fn the_fence_waits_for_a_release_that_was_taken_but_not_begun() {
        let barrier = Arc::new(Barrier::default());
        let (mut queue, done) = worker(&barrier, Duration::from_millis(30), Turn::Release);
        let _own = barrier.enter(Turn::Other);
        std::thread::sleep(Duration::from_millis(10));
        std::io::Write::write_all(&mut queue, b"x").unwrap();
        std::thread::sleep(Duration::from_millis(5));
        barrier.fence();
        assert!(done.load(Ordering::SeqCst));
    }

    #[test]
    fn the_fence_waits_until_every_worker_is_known() {
        let barrier = Arc::new(Barrier::default());
        let has_passed = fence_apart(&barrier);
        let is_waiting = || has_passed.recv_timeout(Duration::from_millis(100)).is_err();
        assert!(is_waiting());
        // One that has taken a RELEASE and not come to its handler.
        let worker = Worker::of(1);
        worker.place.store(RELEASING, Ordering::SeqCst);
        barrier.workers.write().unwrap().push(worker.clone());
        barrier.expect(&[1]);
        assert!(is_waiting(), "the handler is not through");
        worker.place.store(OUTSIDE, Ordering::SeqCst);
        has_passed.recv().unwrap();
    }

    /// The place is set before the turn is counted.
    #[test]
    fn the_fence_waits_for_a_release_that_is_counted_while_it_looks() {
        let barrier = Arc::new(Barrier::default());
        let (_queue, _) = worker(&barrier, Duration::ZERO, Turn::Release);
        let worker = barrier.workers.read().unwrap()[0].clone();
        worker.place.store(RELEASING, Ordering::SeqCst);
        let has_passed = fence_apart(&barrier);
        let is_waiting = || has_passed.recv_timeout(Duration::from_millis(100)).is_err();
        assert!(is_waiting());
        worker.turns.fetch_add(1, Ordering::SeqCst);
        assert!(is_waiting(), "the handler is not through");
        worker.place.store(OUTSIDE, Ordering::SeqCst);
        has_passed.recv().unwrap();
    }

    #[test]
    fn the_fence_does_not_wait_for_workers_that_sleep_or_do_other_things() {
        let barrier = Arc::new(Barrier::default());
        let (mut queue, done) = worker(&barrier, Duration::from_millis(200), Turn::Other);
        let _own = barrier.enter(Turn::Other);
        std::thread::sleep(Duration::from_millis(20));
        let since = Instant::now();
        barrier.fence();
        assert!(since.elapsed() < Duration::from_millis(100));
        std::io::Write::write_all(&mut queue, b"x").unwrap();
        std::thread::sleep(Duration::from_millis(300));
        let since = Instant::now();
        barrier.fence();
        assert!(since.elapsed() < Duration::from_millis(100));
        assert!(!done.load(Ordering::SeqCst));
    }
}
