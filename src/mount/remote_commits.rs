//! Closes and fsyncs that wait for the store, off the threads that answer the kernel.
//!
//! All that wait at one moment wait together: a pack serves them all. While the store
//! takes nothing it is tried again, until the one who waits has waited long enough; what
//! he wrote is kept on this machine all the same.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use super::errno::{Error, Result};
use crate::model::{Deadline, VersionSeq};
use crate::vault::{DrainScope, Vault, VaultError};

/// Between two attempts while the store takes nothing.
const PAUSE: Duration = Duration::from_secs(1);

/// Somebody who waits.
struct Waiter {
    versions: HashSet<VersionSeq>,
    deadline: Deadline,
    answer: Box<dyn FnOnce(Result<()>) + Send>,
}

/// Those who wait for the store.
#[derive(Debug)]
pub(crate) struct RemoteCommits {
    waiters: Sender<Waiter>,
    timeout: Duration,
}

impl RemoteCommits {
    /// Starts the thread, which ends with what it returns.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(crate) fn start(vault: Arc<Vault>) -> std::io::Result<Self> {
        let (waiters, inbox) = channel();
        let timeout = vault.config().commit_timeout;
        std::thread::Builder::new()
            .name("keepfs-remote".into())
            .spawn(move || run(&vault, &inbox))?;
        Ok(Self { waiters, timeout })
    }

    /// Answers when the versions are in the store, or are not for too long.
    pub(crate) fn wait(
        &self,
        versions: HashSet<VersionSeq>,
        answer: impl FnOnce(Result<()>) + Send + 'static,
    ) {
        let waiter = Waiter {
            versions,
            deadline: Deadline::after(self.timeout),
            answer: Box::new(answer),
        };
        if let Err(lost) = self.waiters.send(waiter) {
            (lost.0.answer)(Err(Error::Os(rustix::io::Errno::IO)));
        }
    }
}

fn run(vault: &Vault, inbox: &Receiver<Waiter>) {
    let mut waiters: Vec<Waiter> = Vec::new();
    loop {
        if waiters.is_empty() {
            let Ok(first) = inbox.recv() else { return };
            waiters.push(first);
        }
        waiters.extend(inbox.try_iter());
        let versions = waiters
            .iter()
            .flat_map(|one| &one.versions)
            .copied()
            .collect();
        let soonest = waiters.iter().map(|one| one.deadline).min();
        let deadline = soonest.unwrap_or(Deadline::NEVER);
        match vault.drain(&DrainScope::Versions(versions), deadline, &mut |_| {}) {
            Ok(()) => {
                for waiter in waiters.drain(..) {
                    (waiter.answer)(Ok(()));
                }
            }
            Err(error) => {
                let text = error.to_string();
                let (late, others): (Vec<_>, Vec<_>) = waiters
                    .drain(..)
                    .partition(|waiter| waiter.deadline.has_passed());
                waiters = others;
                for waiter in late {
                    log::error!("commit = remote: a close or fsync fails: {text}");
                    (waiter.answer)(Err(VaultError::NotInTime { versions: 1 }.into()));
                }
                if !waiters.is_empty() {
                    std::thread::sleep(deadline.left_at_most(PAUSE));
                }
            }
        }
    }
}
