//! Sealing: at the last close for writing, one row and one pin.
//!
//! No byte is copied here. The surprise: a small file that keeps its size is
//! hashed on the spot, to tell a new content from the same one again; a large one
//! is sealed as "perhaps the same" and settled by ingest before anyone sees it.

use std::fs::File;
use std::io::Read;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use crate::catalog::{Catalog, atomically};
use crate::model::{
    ChunkHash, FileFacts, InodeKey, Location, NodeId, Origin, PublicId, Version, VersionId,
    VersionSeq, VersionState, Xattrs, failpoint,
};
use crate::store::Tail;

use super::ingest_queue::SealedAt;
use super::live::Found;
use super::names::KnownAsset;
use super::pins::{Held, Promised, SpoolName};
use super::spool::reopen_for_reading;
use super::{Result, Vault, VaultError, live, lock};

/// A file up to this size is hashed at the close when it keeps its size.
const SAME_CHECK_BYTES_MAX: u64 = 128 * 1024;

/// A content sealed this soon after its last change may have been changed again
/// within one tick of the filesystem's clock, unseen by ctime.
pub(super) const CLOCK_TICK: Duration = Duration::from_millis(20);

/// What a writer is about to do to an inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteIntent {
    /// Anything: overwrite, truncate, punch holes.
    Change,
    /// Only add behind the present end (`O_WRONLY|O_APPEND` without `O_TRUNC`).
    Append,
}

/// A content to be sealed.
pub(super) struct Seal<'a> {
    pub id: &'a PublicId,
    pub file: BorrowedFd<'a>,
    pub facts: FileFacts,
    pub xattrs: Xattrs,
    pub origin: Origin,
    pub promised: Promised,
    pub revival: Revival,
}

/// What the same bytes as the latest version mean when they bring a deleted asset back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Revival {
    /// A restore, which is a version.
    Version,
    /// Nothing new: the file itself came back under its name.
    NoVersion,
}

/// How a file's bytes compare with the latest version's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Same,
    Different,
    Unknown,
}

impl Vault {
    /// The last writable description of an inode is closed: seals its content if
    /// it changed. `file` is open for reading or writing; `name` is a name it has
    /// now (`None`: it was unlinked). Returns the version, `None` when none was due.
    ///
    /// # Errors
    /// When the file cannot be looked at or the catalog fails.
    pub fn closed(
        &self,
        name: Option<&PublicId>,
        file: BorrowedFd<'_>,
    ) -> Result<Option<VersionId>> {
        let sealed = self.seal_closed(name, file);
        if sealed.is_err() {
            self.note_missed();
        }
        sealed
    }

    fn seal_closed(
        &self,
        name: Option<&PublicId>,
        file: BorrowedFd<'_>,
    ) -> Result<Option<VersionId>> {
        let facts = live::facts_of(file).map_err(|error| VaultError::io("a closed file", error))?;
        lock(&self.writers).remove(&facts.inode);
        let linked = lock(&self.new_links)
            .remove(&facts.inode)
            .unwrap_or_default();
        let was_promised = lock(&self.promised).remove(&facts.inode);
        let promised = match was_promised {
            true => Promised::Durable,
            false => Promised::Nothing,
        };
        let half = self.end_provisional(&facts)?;
        let Some(id) = name else { return Ok(None) };
        let names = facts.nlink.saturating_sub(self.spool_links(facts.inode));
        let is_here = |id: &PublicId| matches!(self.live.find(id), Ok(Some(Found::File(found))) if found.inode == facts.inode);
        if names == 0 && !is_here(id) {
            log::warn!("{id}: closed after its name went to another file; no version of it");
            return Ok(None);
        }
        let xattrs =
            live::user_xattrs(file).map_err(|error| VaultError::io(id.to_string(), error))?;
        let seal = |id: &PublicId| {
            self.seal(&Seal {
                id,
                file,
                facts,
                xattrs: xattrs.clone(),
                origin: Origin::Write,
                promised,
                revival: Revival::Version,
            })
        };
        let version = seal(id)?;
        if version.is_some() {
            self.note_successor(&half, id)?;
        }
        if names > 1 {
            let mut others = self.other_names(&facts, id)?;
            others.extend(linked.into_iter().filter(|other| other != id));
            others.sort();
            others.dedup();
            for other in &others {
                if is_here(other) {
                    seal(other)?;
                }
            }
        }
        Ok(version)
    }

    /// The other assets that share a hard-linked file.
    fn other_names(&self, facts: &FileFacts, id: &PublicId) -> Result<Vec<PublicId>> {
        let mut catalog = self.catalog();
        let mut others = Vec::new();
        for node in catalog.assets_on_inode(facts.inode)? {
            if let Some(path) = catalog.path_of(node)?
                && path != *id
            {
                others.push(path);
            }
        }
        Ok(others)
    }

    /// Seals a content at a path, if the policy keeps it and it changed.
    pub(super) fn seal(&self, seal: &Seal<'_>) -> Result<Option<VersionId>> {
        let mut catalog = self.catalog();
        let catalog = catalog.as_mut();
        if !self.keeps(catalog, seal.id, &seal.xattrs)? {
            return Ok(None);
        }
        self.seal_kept(catalog, seal)
    }

    /// Seals a content at a path that the policy keeps, if it changed.
    pub(super) fn seal_kept(
        &self,
        catalog: &mut dyn Catalog,
        seal: &Seal<'_>,
    ) -> Result<Option<VersionId>> {
        let known = self.asset_at(catalog, seal.id)?;
        let mut comparison = Comparison::Different;
        if let Some(asset) = &known
            && (asset.is_live() || seal.revival == Revival::NoVersion)
            && let Some(latest) = catalog.latest_versions(asset.node(), 1)?.first()
        {
            if asset.is_live() && looks_untouched(asset, latest, &seal.facts) {
                return Ok(None);
            }
            if latest.size == seal.facts.size {
                comparison = self.compare(latest, seal)?;
            }
            if comparison == Comparison::Same {
                if !asset.is_live() {
                    catalog.revive_asset(asset.node(), self.clock.now())?;
                }
                self.note_file(catalog, asset.node(), &seal.facts)?;
                return Ok(None);
            }
        }
        failpoint::reach("seal.before-row");
        let tail = known.as_ref().map_or(Tail::Whole, |_| Tail::Fine);
        let sealed = atomically(catalog, |catalog| self.add_sealed(catalog, known, seal))?;
        if comparison == Comparison::Different {
            lock(&self.distinct).insert(sealed.0);
        }
        self.pins.add(
            seal.facts.inode,
            Held {
                seq: sealed.0,
                size: seal.facts.size,
                promised: seal.promised,
                before: self.commits.now(),
                named: SpoolName::No,
            },
        );
        let id = seal.id.clone();
        self.ingest.enqueue(sealed.0, Some(SealedAt { id, tail }));
        failpoint::reach("seal.after-row");
        Ok(Some(sealed.1))
    }

    fn add_sealed(
        &self,
        catalog: &mut dyn Catalog,
        known: Option<KnownAsset>,
        seal: &Seal<'_>,
    ) -> Result<(VersionSeq, VersionId)> {
        let now = self.clock.now();
        let mut origin = seal.origin;
        let asset = match known {
            None => {
                let asset = self.create_asset(catalog, seal.id, Some(&seal.facts), now)?;
                self.adopt_labels(catalog, asset, &seal.xattrs)?;
                asset
            }
            Some(asset) => {
                if !asset.is_live() {
                    catalog.revive_asset(asset.node(), now)?;
                    if seal.revival == Revival::Version {
                        // Ingest finds out which version came back, or that none did.
                        origin = Origin::Restore;
                    }
                }
                self.note_file(catalog, asset.node(), &seal.facts)?;
                asset.node()
            }
        };
        let version = self.new_version(
            asset,
            seal.facts,
            seal.xattrs.clone(),
            origin,
            VersionState::Sealed {
                file: seal.facts,
                location: Location::Live,
            },
        );
        Ok((catalog.add_version(&version)?, version.id))
    }

    /// A version that is new now.
    pub(super) fn new_version(
        &self,
        asset: NodeId,
        facts: FileFacts,
        xattrs: Xattrs,
        origin: Origin,
        state: VersionState,
    ) -> Version {
        Version {
            seq: VersionSeq(0),
            asset,
            id: lock(&self.ids).next(self.clock.as_ref()),
            size: facts.size,
            attributes: facts.attributes,
            xattrs: xattrs
                .into_iter()
                .filter(|(name, _)| !name.starts_with(b"user.keepfs."))
                .collect(),
            kept_at: self.clock.now(),
            origin,
            restored_from: None,
            state,
        }
    }

    /// Compares a file with the latest version of the same size, where that is cheap.
    fn compare(&self, latest: &Version, seal: &Seal<'_>) -> Result<Comparison> {
        if seal.facts.size == 0 {
            return Ok(Comparison::Same);
        }
        if seal.facts.size > SAME_CHECK_BYTES_MAX {
            return Ok(Comparison::Unknown);
        }
        let before = match latest.state {
            VersionState::Stored { blake3, .. } => blake3,
            VersionState::Sealed { file, .. } => {
                match self.spool.open_file(latest.seq) {
                    Ok(Some(spooled)) => match hash_file(&spooled, latest.size) {
                        Ok(hash) => hash,
                        Err(_) => return Ok(Comparison::Unknown),
                    },
                    // Still pinned in this very inode: whoever changed it would have moved it.
                    Ok(None) if self.is_provisional(latest.seq) => return Ok(Comparison::Unknown),
                    Ok(None) if file.inode == seal.facts.inode => return Ok(Comparison::Same),
                    _ => return Ok(Comparison::Unknown),
                }
            }
        };
        let now = reopen_for_reading(seal.file).and_then(|file| hash_file(&file, seal.facts.size));
        Ok(match now {
            Ok(hash) if hash == before => Comparison::Same,
            Ok(_) => Comparison::Different,
            Err(_) => Comparison::Unknown,
        })
    }

    /// Seals the present content of a file, unless somebody is writing it: their close
    /// will.
    pub(super) fn keep_present(
        &self,
        id: &PublicId,
        file: BorrowedFd<'_>,
        origin: Origin,
    ) -> Result<Option<VersionId>> {
        let io = |error| VaultError::io(id.to_string(), error);
        let xattrs = live::user_xattrs(file).map_err(io)?;
        let mut guard = self.catalog();
        let catalog = guard.as_mut();
        if !self.keeps(catalog, id, &xattrs)? {
            return Ok(None);
        }
        // Under the lock that every close takes: these facts are no older than its row.
        let facts = live::facts_of(file).map_err(io)?;
        if self.is_being_written(facts.inode) {
            return Ok(None);
        }
        let sealed = self.seal_kept(
            catalog,
            &Seal {
                id,
                file,
                facts,
                xattrs,
                origin,
                // It was there before us: its owner counts on it.
                promised: Promised::Durable,
                revival: Revival::Version,
            },
        )?;
        // A writer announces itself before it looks for pins: one that came too early to
        // see this pin is seen here.
        let Some(sealed) = sealed.filter(|_| self.is_being_written(facts.inode)) else {
            return Ok(sealed);
        };
        if let Some(asset) = self.asset_at(catalog, id)?
            && let Some(version) = catalog.version_by_id(asset.node(), sealed)?
        {
            catalog.remove_version(version.seq)?;
            drop(guard);
            self.end_pin(&version);
        }
        Ok(None)
    }

    /// True while somebody has the inode open for writing.
    pub(super) fn is_being_written(&self, inode: InodeKey) -> bool {
        lock(&self.writers).contains_key(&inode)
    }
}

/// Nothing but time passed since the latest version: the same file, with the same
/// size, mtime and ctime, and no change could hide within a clock tick.
fn looks_untouched(asset: &KnownAsset, latest: &Version, facts: &FileFacts) -> bool {
    asset.record.file.is_some_and(|seen| {
        seen.inode == facts.inode
            && seen.size == facts.size
            && seen.ctime == facts.ctime
            && seen.attributes.mtime == facts.attributes.mtime
    }) && latest.kept_at.since(facts.ctime) > CLOCK_TICK
}

/// Of the first `size` bytes.
pub(super) fn hash_file(file: &File, size: u64) -> std::io::Result<ChunkHash> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(file.take(size))?;
    Ok(ChunkHash(*hasher.finalize().as_bytes()))
}
