//! The vault's lock: one process at a time.
//!
//! `flock` on VAULT/lock; the file says who holds it and what for, so that others can
//! tell a person, and wait for a daemon that only finishes. The kernel lets the lock
//! go with its holder, so a stale file means nothing.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::vault::{Result, VaultError};

const POLL: Duration = Duration::from_millis(50);

/// What the holder does with the vault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Opens it, or has it mounted.
    Mount,
    /// Is unmounted already and finishes.
    Drain,
    /// Runs one command.
    Command,
    /// Makes it anew out of its store.
    Rebuild,
}

impl Purpose {
    const ALL: [(Purpose, &'static str); 4] = [
        (Purpose::Mount, "mount"),
        (Purpose::Drain, "drain"),
        (Purpose::Command, "command"),
        (Purpose::Rebuild, "rebuild"),
    ];

    fn as_str(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(purpose, _)| *purpose == self)
            .map_or("mount", |(_, word)| word)
    }

    /// How long to wait for such a holder. Even a mount gets a moment: its unmount
    /// may be just happening.
    fn patience(self) -> Duration {
        match self {
            Purpose::Mount | Purpose::Rebuild => Duration::from_millis(500),
            Purpose::Command => Duration::from_secs(3),
            Purpose::Drain => Duration::from_secs(30),
        }
    }
}

/// The lock, held until it is dropped.
#[derive(Debug)]
pub struct VaultLock {
    file: File,
    path: PathBuf,
}

impl VaultLock {
    /// Takes the lock of a vault, or says who has it. `note` hears when that takes a while.
    ///
    /// # Errors
    /// [`VaultError::InUse`] with the holder's process number.
    pub fn take(
        path: &Path,
        vault: &Path,
        purpose: Purpose,
        note: &mut dyn FnMut(&str),
    ) -> Result<Self> {
        let failed = |error| VaultError::io(path.display().to_string(), error);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(failed)?;
        let begun = Instant::now();
        let mut noted = false;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(failed(error)),
            }
            let holder = Holder::read(&mut file);
            if begun.elapsed() >= holder.purpose.patience() {
                return Err(VaultError::InUse {
                    path: vault.into(),
                    pid: holder.pid,
                });
            }
            if holder.purpose == Purpose::Drain && !noted {
                noted = true;
                note(&format!(
                    "waiting for process {} to finish with the vault",
                    holder.pid
                ));
            }
            std::thread::sleep(POLL);
        }
        let mut lock = Self {
            file,
            path: path.into(),
        };
        lock.say(purpose);
        Ok(lock)
    }

    /// Tells who waits what we do now.
    pub fn say(&mut self, purpose: Purpose) {
        let text = format!("{}\n{}\n", std::process::id(), purpose.as_str());
        let written = self
            .file
            .set_len(0)
            .and_then(|()| self.file.rewind())
            .and_then(|()| self.file.write_all(text.as_bytes()));
        // Only the message to others is lost: the lock itself holds.
        if let Err(error) = written {
            log::warn!("{}: {error}", self.path.display());
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Holder {
    pid: String,
    purpose: Purpose,
}

impl Holder {
    fn read(file: &mut File) -> Self {
        let mut text = String::new();
        // An unreadable file names nobody; the lock is what counts.
        let _ = file
            .rewind()
            .and_then(|()| file.take(1024).read_to_string(&mut text));
        Self::parse(&text)
    }

    fn parse(text: &str) -> Self {
        let mut lines = text.lines();
        let pid = lines.next().filter(|line| !line.is_empty());
        let word = lines.next().unwrap_or_default();
        Self {
            pid: pid.unwrap_or("(unknown)").into(),
            purpose: Purpose::ALL
                .iter()
                .find(|(_, known)| *known == word)
                .map_or(Purpose::Mount, |(purpose, _)| *purpose),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_taker_is_told_the_holders_process_number() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let first = VaultLock::take(&path, dir.path(), Purpose::Mount, &mut |_| {}).unwrap();
        let error = VaultLock::take(&path, dir.path(), Purpose::Command, &mut |_| {}).unwrap_err();
        let VaultError::InUse { pid, .. } = error else {
            panic!("{error}");
        };
        assert_eq!(pid, std::process::id().to_string());
        drop(first);
        VaultLock::take(&path, dir.path(), Purpose::Command, &mut |_| {}).unwrap();
    }

    #[test]
    fn a_draining_holder_is_waited_for_with_a_word() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let mut first = VaultLock::take(&path, dir.path(), Purpose::Mount, &mut |_| {}).unwrap();
        first.say(Purpose::Drain);
        let ends = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(700));
            drop(first);
        });
        let mut notes = Vec::new();
        let mut note = |text: &str| notes.push(text.to_owned());
        VaultLock::take(&path, dir.path(), Purpose::Command, &mut note).unwrap();
        ends.join().unwrap();
        assert_eq!(notes.len(), 1, "{notes:?}");
    }

    #[test]
    fn an_unreadable_lock_file_names_nobody() {
        let holder = Holder::parse("");
        assert_eq!(holder.pid, "(unknown)");
        assert_eq!(Holder::parse("12\ndrain\n").purpose, Purpose::Drain);
        assert_eq!(Holder::parse("12\nnews\n").purpose, Purpose::Mount);
    }
}
