//! The live tree out of history: every file as it is now, or as it was at an instant.
//!
//! For a vault that was made anew and that nobody else uses yet. Files are written under
//! a temporary name and take their place whole; those that are there already, from an
//! attempt that was interrupted, are compared, and what that attempt did not write is left
//! alone. The surprise: the order is that of the packs, not of the names, so that each pack
//! is read once.

use std::os::fd::{AsFd, OwnedFd};
use std::panic::resume_unwind;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

use rustix::fs::{AtFlags, Mode, RenameFlags, XattrFlags, renameat_with};

use crate::catalog::Durability;
use crate::model::{ContentId, FileFacts, PublicId, Timestamp, Version, VersionState, failpoint};
use crate::store::{ContentReader, StoreError};

mod earlier;
mod wanted;
mod written;

use self::wanted::{Tree, Wanted, batches};
use self::written::Written;
use super::live::{self, Found, facts_of};
use super::names::BACKUP_XATTR;
use super::restore::{Durable, give_to, not_stored, timespec};
use super::{Result, Vault, VaultError};

/// A number follows.
const TEMPORARY: &str = ".keepfs-rebuild.";
/// Files that are noted as seen in one commit: the database's log does not grow with the vault.
const FILES_A_COMMIT: u64 = if cfg!(test) { 10 } else { 10_000 };

/// So much is written before the disk is told to begin: left alone, the kernel would wait with
/// it, and we would wait at the end.
const FLUSH_BYTES: u64 = 64 << 20;

/// What was brought into the live tree.
#[derive(Debug, Default)]
pub struct Materialised {
    /// Files that are there now.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Files that could not be brought back, and why.
    pub failed: Vec<(PublicId, VaultError)>,
    /// Files that ran as their owner or group, and do not any more.
    pub set_ids_left_out: u64,
}

/// What became of a temporary name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Temporary {
    Named,
    Left,
}

/// How far the catalog that a tree is made of is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// In everything.
    Full,
    /// A stranger may have written it: no file gets a bit that makes it run as its owner.
    Bytes,
}

impl Vault {
    /// Fills the live tree with what it held at an instant. `None`: with what it holds by the
    /// catalog. `progress` hears bytes done and bytes in all.
    ///
    /// What was brought counts as seen where it is the asset's latest version; for the rest
    /// a scan must follow. `records` is a file that says what earlier attempts wrote, and
    /// from now on this one.
    ///
    /// # Errors
    /// When the catalog or the live tree fails. A file that cannot be brought is no error.
    pub fn materialise(
        &self,
        at: Option<Timestamp>,
        trust: Trust,
        records: &Path,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Materialised> {
        let mut tree = self.tree_at(at)?;
        let written = Written::open(records)
            .map_err(|error| VaultError::io(records.display().to_string(), error))?;
        self.clear_earlier(&tree, &written)?;
        let mut done = Materialised {
            failed: std::mem::take(&mut tree.senseless),
            ..Materialised::default()
        };
        if trust == Trust::Bytes {
            done.set_ids_left_out = tree.leave_out_set_ids();
        }
        tree.files
            .sort_unstable_by_key(|file| file.extent.begins_at);
        let bytes_in_all: u64 = tree
            .files
            .iter()
            .fold(0, |sum: u64, file| sum.saturating_add(file.version.size));
        progress(0, bytes_in_all);
        let mut bytes_done = 0;
        let batches = batches(&tree.files);
        let next = AtomicUsize::new(0);
        thread::scope(|scope| {
            let (send, received) = mpsc::channel::<Vec<(&Wanted, Result<FileFacts>)>>();
            for _ in 0..self.config.ingest_threads.max(1) {
                let (send, next, batches, written) = (send.clone(), &next, &batches, &written);
                scope.spawn(move || {
                    let mut directory = None;
                    while let Some(batch) = batches.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let readers = match self.open_batch(batch) {
                            Ok(readers) => readers,
                            Err(error) => {
                                let first = batch.first();
                                let _ = first.map(|file| send.send(vec![(file, Err(error))]));
                                return;
                            }
                        };
                        // Told together: to wake somebody for each would cost too much.
                        let brought = batch.iter().zip(readers).map(|(file, reader)| {
                            let brought = self.bring(file, reader, written, &mut directory);
                            (file, brought)
                        });
                        if send.send(brought.collect()).is_err() {
                            return;
                        }
                    }
                });
            }
            drop(send);
            let (flush, asked) = mpsc::sync_channel::<()>(1);
            let flusher = scope.spawn(move || {
                while asked.recv().is_ok() {
                    self.flush_live()?;
                }
                Ok::<_, VaultError>(())
            });
            let mut bytes_unflushed = 0_u64;
            for (file, brought) in received.into_iter().flatten() {
                bytes_done = u64::saturating_add(bytes_done, file.version.size);
                progress(bytes_done, bytes_in_all);
                bytes_unflushed = bytes_unflushed.saturating_add(file.version.size);
                if bytes_unflushed >= FLUSH_BYTES && flush.try_send(()).is_ok() {
                    bytes_unflushed = 0;
                }
                match brought {
                    Ok(facts) => {
                        done.files += 1;
                        done.bytes += file.version.size;
                        if file.is_current {
                            let mut catalog = self.catalog();
                            catalog.set_asset_file(file.version.asset, Some(&facts))?;
                        }
                        if done.files.is_multiple_of(FILES_A_COMMIT) {
                            self.commit(Durability::Process)?;
                        }
                    }
                    Err(error) if is_damage(&error) => {
                        done.failed.push((file.path.clone(), error));
                    }
                    // A store that is away, a full disk: the same command goes on later.
                    Err(error) => return Err(error),
                }
            }
            drop(flush);
            // A failed flush is told once, to whoever asked.
            flusher.join().unwrap_or_else(|panic| resume_unwind(panic))
        })?;
        self.finish_directories(&tree, &mut done.failed)?;
        self.flush_live()?;
        Ok(done)
    }

    fn flush_live(&self) -> Result<()> {
        rustix::fs::syncfs(self.live.root()).map_err(|error| VaultError::io("the live tree", error))
    }

    /// Opens what is stored of a batch: small files share requests, of a long one its
    /// reader sees to it.
    fn open_batch(&self, batch: &[Wanted]) -> Result<Vec<Option<ContentReader>>> {
        let contents: Vec<ContentId> = batch.iter().filter_map(content_of).collect();
        let mut readers = self.store.readers(&contents)?.into_iter();
        let of_each = |file| content_of(file).and_then(|_| readers.next());
        Ok(batch.iter().map(of_each).collect())
    }

    /// `directory` is the one that was written into last, kept open for the next file.
    fn bring(
        &self,
        file: &Wanted,
        reader: Option<ContentReader>,
        written: &Written,
        directory: &mut Option<(PublicId, OwnedFd)>,
    ) -> Result<FileFacts> {
        let (parent, name) = file.path.split().ok_or_else(|| VaultError::WrongKind {
            path: file.path.clone(),
            problem: "the mount root is a directory",
        })?;
        let directory = match directory {
            Some((path, directory)) if *path == parent => directory,
            place => {
                let opened = self.make_live_directory(&parent)?;
                &mut place.insert((parent, opened)).1
            }
        };
        let there = |directory: &OwnedFd| {
            let found = live::find_in(directory.as_fd(), &name).map_err(io(&file.path))?;
            let whole = found.map(|found| self.is_there(file, found, written));
            Ok::<_, VaultError>(whole.transpose()?.flatten())
        };
        if written.has_earlier()
            && let Some(facts) = there(directory)?
        {
            return Ok(facts);
        }
        // Two threads never have the same, and the next attempt finds what this one left.
        let temporary = format!("{TEMPORARY}{}", file.version.asset.0);
        let version = Version {
            attributes: file.attributes,
            ..file.version.clone()
        };
        let reader = reader.ok_or_else(not_stored)?;
        let new = self.write_temporary(directory, &temporary, &version, &reader, Durable::Later);
        let brought = new.and_then(|new| {
            let facts = facts_of(new.as_fd()).map_err(io(&file.path))?;
            written.note(&file.path, &facts).map_err(io(&file.path))?;
            failpoint::reach("rebuild.file-written");
            let (at, to) = (&*directory, name.as_os_str());
            let named = renameat_with(at, &temporary, at, to, RenameFlags::NOREPLACE);
            if named.is_err() {
                // Something is there, or this filesystem knows no such rename.
                if let Some(facts) = there(at)? {
                    return Ok((facts, Temporary::Left));
                }
                rustix::fs::renameat(at, &temporary, at, to).map_err(io(&file.path))?;
            }
            failpoint::reach("rebuild.file-named");
            let facts = facts_of(new.as_fd()).map_err(io(&file.path))?;
            Ok((facts, Temporary::Named))
        });
        if !matches!(brought, Ok((_, Temporary::Named))) {
            let _ = rustix::fs::unlinkat(&*directory, &temporary, AtFlags::empty());
        }
        brought.map(|(facts, _)| facts)
    }

    /// What an earlier attempt brought, if it is whole.
    ///
    /// # Errors
    /// Where something is in the way that this rebuild did not write.
    fn is_there(
        &self,
        file: &Wanted,
        found: Found,
        written: &Written,
    ) -> Result<Option<FileFacts>> {
        let in_the_way = |problem| VaultError::WrongKind {
            path: file.path.clone(),
            problem,
        };
        let VersionState::Stored { blake3, .. } = file.version.state else {
            return Ok(None);
        };
        let Found::File(facts) = found else {
            return Err(in_the_way("what is there is no regular file, and was left"));
        };
        if facts.size == file.version.size && facts.attributes == file.attributes {
            let there = self.live.open_file(&file.path).map_err(io(&file.path))?;
            let mut hasher = blake3::Hasher::new();
            hasher.update_reader(there).map_err(io(&file.path))?;
            if hasher.finalize().as_bytes() == &blake3.0 {
                return Ok(Some(facts));
            }
        }
        // Of ours, a power failure can have taken the record and the bytes; never the time
        // without the name.
        let is_own =
            written.is_own(&file.path, &facts) || facts.attributes.mtime == file.attributes.mtime;
        match is_own {
            true => Ok(None),
            false => Err(in_the_way(
                "a file is there that this rebuild did not write, and was left: the next mount \
                 makes it a version",
            )),
        }
    }

    /// Modes, owners and times, the deepest first: whatever is written into a directory
    /// changes its time.
    fn finish_directories(
        &self,
        tree: &Tree,
        failed: &mut Vec<(PublicId, VaultError)>,
    ) -> Result<()> {
        let mut directories: Vec<_> = tree.directories.iter().collect();
        directories.sort_unstable_by_key(|(path, _)| std::cmp::Reverse(path.as_bytes().len()));
        for (path, wanted) in directories {
            let directory = match self.live.open_directory(path) {
                Ok(directory) => directory,
                // Nothing was in it.
                Err(error) if live::is_absent(&error) && wanted.backup.is_none() => continue,
                Err(error) if live::is_absent(&error) => match self.make_live_directory(path) {
                    Err(error) if is_damage(&error) => {
                        failed.push((path.clone(), error));
                        continue;
                    }
                    made => made?,
                },
                Err(error) => return Err(io(path)(error)),
            };
            if let Some(backup) = wanted.backup {
                let value = backup.as_str().as_bytes();
                let flags = XattrFlags::empty();
                match rustix::fs::fsetxattr(&directory, BACKUP_XATTR, value, flags) {
                    Ok(()) | Err(rustix::io::Errno::NOTSUP) => {}
                    Err(error) => return Err(io(path)(error)),
                }
            }
            if path.is_root() {
                // It is as whoever made it wants it, and nobody recorded it.
                continue;
            }
            let attributes = wanted.attributes;
            give_to(directory.as_fd(), attributes.uid, attributes.gid).map_err(io(path))?;
            let mode = Mode::from_raw_mode(attributes.mode);
            rustix::fs::fchmod(&directory, mode).map_err(io(path))?;
            let mtime = timespec(attributes.mtime);
            let times = rustix::fs::Timestamps {
                last_access: mtime,
                last_modification: mtime,
            };
            rustix::fs::futimens(&directory, &times).map_err(io(path))?;
        }
        Ok(())
    }
}

/// `None`: it is sealed.
fn content_of(file: &Wanted) -> Option<ContentId> {
    match file.version.state {
        VersionState::Stored { content, .. } => Some(content),
        VersionState::Sealed { .. } => None,
    }
}

/// Says which file it was.
fn io<E: Into<std::io::Error>>(path: &PublicId) -> impl Fn(E) -> VaultError {
    |error| VaultError::io(path.to_string(), error)
}

/// True where the content is lost or damaged, or no file can have its name there, and trying
/// again is of no use.
fn is_damage(error: &VaultError) -> bool {
    const NAMES: [i32; 5] = [
        libc::ENOTDIR,
        libc::EISDIR,
        libc::ENAMETOOLONG,
        libc::ELOOP,
        libc::EILSEQ,
    ];
    if let VaultError::Io { error, .. } = error {
        return error
            .raw_os_error()
            .is_some_and(|code| NAMES.contains(&code));
    }
    matches!(
        error,
        VaultError::Store(
            StoreError::PackMissing { .. }
                | StoreError::PackDamaged { .. }
                | StoreError::ChunkDamaged { .. }
        ) | VaultError::StoreBlocked { .. }
            | VaultError::WrongKind { .. }
    )
}
