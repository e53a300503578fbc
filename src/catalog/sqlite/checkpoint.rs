//! Moving the write-ahead log into the database file without holding up commits.
//!
//! A checkpoint flushes two files to the disk. A thread with a connection of its
//! own does it in the background. The surprise: the log starts over only when a
//! checkpoint has caught up entirely, which under steady writing the background
//! one never does; so now and then a commit does the short rest itself.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use rusqlite::{Connection, OpenFlags};

/// Frames (4 KiB pages) in the log that are worth waking the thread for.
const WORTHWHILE: i64 = 1_024;
/// From this length on a commit does the rest itself, when less than that is left.
const LONG: i64 = 16 * WORTHWHILE;
/// From this length on it does so however much is left.
const TOO_LONG: i64 = 64 * WORTHWHILE;

/// When to checkpoint, and the thread that does.
pub(super) struct Checkpoints {
    path: PathBuf,
    worker: Option<Worker>,
    /// The length of the log when a commit last did the rest.
    last_own: i64,
}

struct Worker {
    wake: SyncSender<()>,
    thread: JoinHandle<()>,
}

impl Checkpoints {
    pub fn of(path: &Path) -> Self {
        Self {
            path: path.into(),
            worker: None,
            last_own: 0,
        }
    }

    /// Call after each commit. A failed checkpoint is no failed commit: the log
    /// keeps everything, and it is tried again.
    pub fn after_commit(&mut self, connection: &Connection) {
        let Ok((log, done)) = pragma(connection, "PRAGMA wal_checkpoint(NOOP)") else {
            return;
        };
        if log < self.last_own {
            self.last_own = 0;
        }
        let left = log - done;
        // Not at every commit: a reader may hold an old state, and then the log cannot
        // start over whatever we do.
        let own_turn = log >= LONG && log - self.last_own >= LONG / 4;
        if own_turn && (left < WORTHWHILE || log >= TOO_LONG) {
            self.last_own = log;
            if let Err(error) = pragma(connection, "PRAGMA wal_checkpoint(PASSIVE)") {
                log::warn!("{}: checkpoint: {error}", self.path.display());
            }
        } else if left >= WORTHWHILE {
            self.wake();
        }
    }

    fn wake(&mut self) {
        if self.worker.is_none() {
            self.worker = Worker::start(&self.path);
        }
        if let Some(worker) = &self.worker {
            // Full: it has been told already.
            let _ = worker.wake.try_send(());
        }
    }
}

impl Drop for Checkpoints {
    fn drop(&mut self) {
        if let Some(Worker { wake, thread }) = self.worker.take() {
            drop(wake);
            let _ = thread.join();
        }
    }
}

impl Worker {
    fn start(path: &Path) -> Option<Self> {
        let (wake, woken) = sync_channel(1);
        let at = path.to_path_buf();
        let thread = std::thread::Builder::new()
            .name("keepfs-checkpoint".into())
            .spawn(move || run(&at, &woken));
        match thread {
            Ok(thread) => Some(Self { wake, thread }),
            Err(error) => {
                log::warn!("{}: no checkpoint thread: {error}", path.display());
                None
            }
        }
    }
}

fn run(path: &Path, woken: &Receiver<()>) {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = match Connection::open_with_flags(path, flags) {
        Ok(connection) => connection,
        Err(error) => {
            log::warn!("{}: checkpoint thread: {error}", path.display());
            return;
        }
    };
    while woken.recv().is_ok() {
        if let Err(error) = pragma(&connection, "PRAGMA wal_checkpoint(PASSIVE)") {
            log::warn!("{}: checkpoint: {error}", path.display());
        }
    }
}

/// Frames in the log, and how many of them are in the database file.
fn pragma(connection: &Connection, sql: &str) -> rusqlite::Result<(i64, i64)> {
    connection
        .prepare_cached(sql)?
        .query_row([], |row| Ok((row.get(1)?, row.get(2)?)))
}
