//! The live tree out of history: every file as it is now, or as it was at an instant.
//!
//! For a vault that was made anew and that nobody else uses yet. Files are written under
//! a temporary name and take their place whole; those that are there already, from an
//! attempt that was interrupted, are compared. The surprise: the order is that of the
//! packs, not of the names, so that each pack is read once.

use std::collections::HashMap;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

use rustix::fs::{AtFlags, Mode, XattrFlags};

use crate::catalog::{Catalog, Child, NodeKind, Standing};
use crate::model::{
    Attributes, FileFacts, NodeId, Override, PackId, PublicId, ROOT, Timestamp, Version,
    VersionState, failpoint,
};

use super::live::{self, Found, facts_of};
use super::names::BACKUP_XATTR;
use super::rename_directory::all_children;
use super::restore::{Durable, give_to, timespec};
use super::{Result, Vault, VaultError};

/// What was brought into the live tree.
#[derive(Debug, Default)]
pub struct Materialised {
    /// Files that are there now.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Files that could not be brought back, and why.
    pub failed: Vec<(PublicId, VaultError)>,
}

/// A file to be brought.
struct Wanted {
    path: PublicId,
    version: Version,
    /// Those of the file, which may have changed since the version was kept.
    attributes: Attributes,
    /// Whether it is what the asset has now, so that a scan would find nothing.
    is_current: bool,
    /// Where its first byte lies.
    begins_at: Option<(PackId, u64)>,
}

/// A directory to be brought.
struct WantedDirectory {
    attributes: Attributes,
    backup: Option<Override>,
}

/// The tree to be brought, by path.
#[derive(Default)]
struct Tree {
    files: Vec<Wanted>,
    directories: HashMap<PublicId, WantedDirectory>,
}

impl Vault {
    /// Fills the live tree with what it held at an instant. `None`: with what it holds by the
    /// catalog. `progress` hears bytes done and bytes in all.
    ///
    /// What was brought counts as seen where it is the asset's latest version; for the rest
    /// a scan must follow.
    ///
    /// # Errors
    /// When the catalog or the live tree fails. A file that cannot be brought is no error.
    pub fn materialise(
        &self,
        at: Option<Timestamp>,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Materialised> {
        let mut tree = self.tree_at(at)?;
        tree.files.sort_unstable_by_key(|file| file.begins_at);
        let bytes_in_all: u64 = tree.files.iter().map(|file| file.version.size).sum();
        progress(0, bytes_in_all);
        let mut done = Materialised::default();
        let mut bytes_done = 0;
        let next = AtomicUsize::new(0);
        thread::scope(|scope| {
            let (send, received) = mpsc::channel();
            for _ in 0..self.config.ingest_threads.max(1) {
                let (send, next, tree) = (send.clone(), &next, &tree);
                scope.spawn(move || {
                    while let Some(file) = tree.files.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let brought = self.bring(file);
                        if send.send((file, brought)).is_err() {
                            return;
                        }
                    }
                });
            }
            drop(send);
            for (file, brought) in received {
                bytes_done += file.version.size;
                progress(bytes_done, bytes_in_all);
                match brought {
                    Ok(facts) => {
                        done.files += 1;
                        done.bytes += file.version.size;
                        if file.is_current {
                            let mut catalog = self.catalog();
                            catalog.set_asset_file(file.version.asset, Some(&facts))?;
                        }
                    }
                    Err(error) => done.failed.push((file.path.clone(), error)),
                }
            }
            Ok::<_, VaultError>(())
        })?;
        self.finish_directories(&tree)?;
        rustix::fs::syncfs(self.live.root())
            .map_err(|error| VaultError::io("the live tree", error))?;
        Ok(done)
    }

    fn tree_at(&self, at: Option<Timestamp>) -> Result<Tree> {
        let mut tree = Tree::default();
        let mut waiting = vec![(PublicId::root(), ROOT)];
        while let Some((path, node)) = waiting.pop() {
            // Locked for each directory anew: there may be many.
            let mut catalog = self.catalog();
            let catalog = catalog.as_mut();
            if let Some(record) = catalog.directory(node)? {
                let wanted = WantedDirectory {
                    attributes: record.attributes,
                    backup: record.backup,
                };
                tree.directories.insert(path.clone(), wanted);
            }
            for (path, node, kind) in children(catalog, &path, node, at)? {
                match kind {
                    NodeKind::Directory => waiting.push((path, node)),
                    NodeKind::Asset => tree.files.extend(wanted(catalog, path, node, at)?),
                }
            }
        }
        Ok(tree)
    }

    fn bring(&self, file: &Wanted) -> Result<FileFacts> {
        let io = |error: rustix::io::Errno| VaultError::io(file.path.to_string(), error);
        if let Some(facts) = self.is_there(file)? {
            return Ok(facts);
        }
        let (parent, name) = file.path.split().ok_or_else(|| VaultError::WrongKind {
            path: file.path.clone(),
            problem: "the mount root is a directory",
        })?;
        let directory = self.make_live_directory(&parent)?;
        // Two threads never have the same, and the next attempt finds what this one left.
        let temporary = format!(".keepfs-rebuild.{}", file.version.asset.0);
        let _ = rustix::fs::unlinkat(&directory, &temporary, AtFlags::empty());
        let version = Version {
            attributes: file.attributes,
            ..file.version.clone()
        };
        let written = self
            .write_temporary(&directory, &temporary, &version, Durable::Later)
            .and_then(|()| {
                failpoint::reach("rebuild.file-written");
                rustix::fs::renameat(&directory, &temporary, &directory, name.as_os_str())
                    .map_err(io)
            });
        if written.is_err() {
            let _ = rustix::fs::unlinkat(&directory, &temporary, AtFlags::empty());
        }
        written?;
        let there = self
            .live
            .open_path(&file.path)
            .and_then(|there| facts_of(there.as_fd()));
        there.map_err(|error| VaultError::io(file.path.to_string(), error))
    }

    /// What an earlier attempt brought, if it is whole.
    fn is_there(&self, file: &Wanted) -> Result<Option<FileFacts>> {
        let io = |error| VaultError::io(file.path.to_string(), error);
        let VersionState::Stored { blake3, .. } = file.version.state else {
            return Ok(None);
        };
        match self.live.find(&file.path).map_err(io)? {
            Some(Found::File(facts))
                if facts.size == file.version.size && facts.attributes == file.attributes =>
            {
                let there = self.live.open_file(&file.path).map_err(io)?;
                let mut hasher = blake3::Hasher::new();
                hasher.update_reader(there).map_err(io)?;
                Ok((hasher.finalize().as_bytes() == &blake3.0).then_some(facts))
            }
            _ => Ok(None),
        }
    }

    /// Modes, owners and times, the deepest first: whatever is written into a directory
    /// changes its time.
    fn finish_directories(&self, tree: &Tree) -> Result<()> {
        let mut directories: Vec<_> = tree.directories.iter().collect();
        directories.sort_unstable_by_key(|(path, _)| std::cmp::Reverse(path.as_bytes().len()));
        for (path, wanted) in directories {
            let errno = |error: rustix::io::Errno| VaultError::io(path.to_string(), error);
            let directory = match self.live.open_directory(path) {
                Ok(directory) => directory,
                // Nothing was in it.
                Err(error) if live::is_absent(&error) && wanted.backup.is_none() => continue,
                Err(error) if live::is_absent(&error) => self.make_live_directory(path)?,
                Err(error) => return Err(VaultError::io(path.to_string(), error)),
            };
            if let Some(backup) = wanted.backup {
                let value = backup.as_str().as_bytes();
                let flags = XattrFlags::empty();
                match rustix::fs::fsetxattr(&directory, BACKUP_XATTR, value, flags) {
                    Ok(()) | Err(rustix::io::Errno::NOTSUP) => {}
                    Err(error) => return Err(errno(error)),
                }
            }
            if path.is_root() {
                // It is as whoever made it wants it, and nobody recorded it.
                continue;
            }
            let attributes = wanted.attributes;
            give_to(directory.as_fd(), attributes.uid, attributes.gid).map_err(errno)?;
            let mode = Mode::from_raw_mode(attributes.mode);
            rustix::fs::fchmod(&directory, mode).map_err(errno)?;
            let mtime = timespec(attributes.mtime);
            let times = rustix::fs::Timestamps {
                last_access: mtime,
                last_modification: mtime,
            };
            rustix::fs::futimens(&directory, &times).map_err(errno)?;
        }
        Ok(())
    }
}

fn children(
    catalog: &mut dyn Catalog,
    path: &PublicId,
    node: NodeId,
    at: Option<Timestamp>,
) -> Result<Vec<(PublicId, NodeId, NodeKind)>> {
    if let Some(at) = at {
        let children = catalog.children_at(node, at)?.into_iter();
        return Ok(children
            .map(|(name, node, kind)| (path.join(&name), node, kind))
            .collect());
    }
    let live = all_children(catalog, node)?.into_iter();
    Ok(live
        .filter_map(|child| match child {
            Child::Directory { name, node, .. } => {
                Some((path.join(&name), node, NodeKind::Directory))
            }
            Child::Asset {
                name,
                node,
                standing: Standing::Live,
            } => Some((path.join(&name), node, NodeKind::Asset)),
            Child::Asset { .. } => None,
        })
        .collect())
}

/// The version that an asset had then. `None`: none was kept yet.
fn wanted(
    catalog: &mut dyn Catalog,
    path: PublicId,
    asset: NodeId,
    at: Option<Timestamp>,
) -> Result<Option<Wanted>> {
    let Some(latest) = catalog.latest_versions(asset, 1)?.pop() else {
        return Ok(None);
    };
    let record = catalog.asset(asset)?;
    let is_live = record
        .as_ref()
        .is_some_and(|record| record.standing == Standing::Live);
    let (version, is_current) = match at {
        Some(at) if latest.kept_at > at => {
            let versions = catalog.versions(asset)?.into_iter();
            match versions.rev().find(|version| version.kept_at <= at) {
                Some(version) => (version, false),
                None => return Ok(None),
            }
        }
        _ => (latest, is_live),
    };
    let begins_at = match version.state {
        VersionState::Stored { content, .. } => {
            let chunks = catalog.content_chunks(content)?;
            chunks.first().map(|chunk| (chunk.pack, chunk.offset))
        }
        VersionState::Sealed { .. } => None,
    };
    let last_attributes = record.and_then(|record| record.last_attributes);
    Ok(Some(Wanted {
        path,
        attributes: match last_attributes {
            Some(last) if is_current => last,
            _ => version.attributes,
        },
        version,
        is_current,
        begins_at,
    }))
}
