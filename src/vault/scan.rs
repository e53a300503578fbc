//! Walking the live tree against the catalog: recovery, and the first backup.
//!
//! What differs becomes versions; what moved is recognised by its inode and takes
//! its history along; what is gone counts as deleted. Safe while the mount is in
//! use: files that are open for writing are left to their close.

use std::num::NonZeroU64;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::Ordering;

use rustix::fs::{Advice, fadvise};

use crate::catalog::{Catalog, Standing, atomically};
use crate::model::{FileFacts, HistoryName, NodeId, Origin, PublicId};

use super::live::{Found, LiveEntry, list_directory};
use super::names::KnownAsset;
use super::{Result, Vault, VaultError, live};

/// Of each file; behind it the kernel reads ahead by itself.
const READ_AHEAD_BYTES: u64 = 256 * 1024;

/// What a walk is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Survey {
    /// After an unclean stop, or changes behind the mount's back: everything that differs.
    Recover,
    /// The first backup: files that have no version yet, or changed since. Nothing
    /// counts as deleted.
    Backup,
}

/// What a walk found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ScanReport {
    /// Regular files seen.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// New versions.
    pub versions: u64,
    /// Assets recognised at a new name.
    pub moved: u64,
    /// Assets that are gone and count as deleted now.
    pub deleted: u64,
    /// Files and directories that could not be read; each is in the log.
    pub unreadable: u64,
}

impl Vault {
    /// Walks the live tree at and below a path.
    ///
    /// # Errors
    /// When the catalog fails, or the path itself cannot be read.
    pub fn scan(
        &self,
        id: &PublicId,
        survey: Survey,
        progress: &mut dyn FnMut(&ScanReport),
    ) -> Result<ScanReport> {
        let mut report = ScanReport::default();
        let found = self
            .live
            .find(id)
            .map_err(|error| VaultError::io(id.to_string(), error))?;
        match found {
            Some(Found::File(facts)) => self.scan_file(id, &facts, survey, &mut report)?,
            Some(Found::Directory(_)) => self.scan_tree(id, survey, &mut report, progress)?,
            _ if survey == Survey::Backup => {
                return Err(VaultError::NotFound {
                    path: id.clone(),
                    what: "a live file or directory".into(),
                });
            }
            _ => {}
        }
        if survey == Survey::Recover {
            self.end_missing(id, &mut report)?;
        }
        progress(&report);
        Ok(report)
    }

    /// After an unclean stop, before any ingest: forgets contents that no version came
    /// to use, and keeps ingest from giving up on files that [`recover`](Self::recover)
    /// will find under another name.
    ///
    /// # Errors
    /// When the catalog fails.
    pub fn begin_recovery(&self) -> Result<()> {
        self.recovering.store(true, Ordering::SeqCst);
        self.catalog().remove_unused_contents()?;
        Ok(())
    }

    /// After an unclean stop: finds what changed, finishes what was interrupted.
    ///
    /// # Errors
    /// When the catalog or the store fails. What could be found was found all the same.
    pub fn recover(&self) -> Result<ScanReport> {
        let scanned = self.scan(&PublicId::root(), Survey::Recover, &mut |_| {});
        self.recovering.store(false, Ordering::SeqCst);
        self.heal()?;
        scanned
    }

    /// An interrupted deletion for good is finished, and contents whose bytes power loss
    /// took are stored again where the live tree has them.
    fn heal(&self) -> Result<()> {
        let damages = self.store.recovered_damage();
        if !damages.is_empty() {
            for seq in self.repair(damages)?.versions {
                let mut catalog = self.catalog();
                if let Some(version) = catalog.version(seq)? {
                    let path = catalog.path_of(version.asset)?.unwrap_or_default();
                    log::error!(
                        "{path}: version {} lost bytes in the power failure; keepfs check lists it",
                        version.id
                    );
                }
            }
        }
        self.finish_deletion()?;
        self.store.tidy()?;
        self.commit(crate::catalog::Durability::Power)
    }

    fn scan_tree(
        &self,
        top: &PublicId,
        survey: Survey,
        report: &mut ScanReport,
        progress: &mut dyn FnMut(&ScanReport),
    ) -> Result<()> {
        let mut waiting = vec![top.clone()];
        while let Some(id) = waiting.pop() {
            let listed = self
                .live
                .open_directory(&id)
                .and_then(|directory| list_directory(directory.as_fd()));
            let entries = match listed {
                Ok(entries) => entries,
                Err(error) if live::is_absent(&error) => continue,
                Err(error) => {
                    log::warn!("{id}: not scanned: {error}");
                    report.unreadable += 1;
                    continue;
                }
            };
            for LiveEntry { name, found } in entries {
                if id.is_root() && HistoryName::from_root_name(name.as_bytes()).is_some() {
                    continue;
                }
                let path = id.join(&name);
                match found {
                    Found::Directory(_) => waiting.push(path),
                    Found::File(facts) => self.scan_file(&path, &facts, survey, report)?,
                    Found::Special => {}
                }
            }
            progress(report);
        }
        Ok(())
    }

    fn scan_file(
        &self,
        id: &PublicId,
        facts: &FileFacts,
        survey: Survey,
        report: &mut ScanReport,
    ) -> Result<()> {
        report.files += 1;
        report.bytes += facts.size;
        if self.is_being_written(facts.inode) {
            return Ok(());
        }
        {
            let mut catalog = self.catalog();
            let catalog = catalog.as_mut();
            let known = self.asset_at(catalog, id)?;
            if let Some(asset) = &known
                && asset.is_live()
                && is_as_last_seen(asset, facts)
            {
                return Ok(());
            }
            if known.is_none() && self.recognise_moved(catalog, id, facts)? {
                report.moved += 1;
                let known = self.asset_at(catalog, id)?;
                let has_version = match known {
                    Some(asset) => !catalog.latest_versions(asset.node(), 1)?.is_empty(),
                    None => false,
                };
                if has_version {
                    return Ok(());
                }
            }
        }
        let origin = match survey {
            Survey::Recover => Origin::Recovered,
            Survey::Backup => Origin::Backup,
        };
        let kept = self
            .live
            .open_file(id)
            .map_err(|error| VaultError::io(id.to_string(), error))
            .and_then(|file| {
                let kept = self.keep_present(id, file.as_fd(), origin)?;
                if kept.is_some() && survey == Survey::Backup {
                    read_ahead(file.as_fd());
                }
                Ok(kept)
            });
        match kept {
            Ok(Some(_)) => {
                report.versions += 1;
                if survey == Survey::Backup {
                    self.ingest.keep_pace();
                }
            }
            Ok(None) => {}
            Err(error @ VaultError::Catalog(_)) => return Err(error),
            Err(error) => {
                log::warn!("{id}: not scanned: {error}");
                report.unreadable += 1;
            }
        }
        Ok(())
    }

    /// An asset whose file is no longer at its name, and whose inode is now here,
    /// was renamed: its history goes along.
    fn recognise_moved(
        &self,
        catalog: &mut dyn Catalog,
        id: &PublicId,
        facts: &FileFacts,
    ) -> Result<bool> {
        for asset in catalog.assets_on_inode(facts.inode)? {
            let Some(old) = catalog.path_of(asset)? else {
                continue;
            };
            let still_there = match self.live.find(&old) {
                Ok(Some(Found::File(other))) => other.inode == facts.inode,
                Ok(_) => false,
                Err(_) => true,
            };
            let Some(record) = catalog.asset(asset)? else {
                continue;
            };
            // Same inode number, other file: numbers are used again.
            let same_file = record.file.is_some_and(|seen| {
                seen.size == facts.size && seen.attributes.mtime == facts.attributes.mtime
            });
            if still_there || !same_file {
                continue;
            }
            let Some((parent, name)) = id.split() else {
                continue;
            };
            let now = self.clock.now();
            atomically(catalog, |catalog| {
                let parent = self.ensure_directory(catalog, &parent, now)?;
                catalog.move_asset(asset, parent, &name, now)?;
                catalog.set_asset_file(asset, Some(facts))?;
                Ok::<_, VaultError>(())
            })?;
            log::info!("{id}: found again, was {old}");
            return Ok(true);
        }
        Ok(false)
    }

    /// Live assets without a live file are deleted ones.
    fn end_missing(&self, id: &PublicId, report: &mut ScanReport) -> Result<()> {
        let mut missing: Vec<(PublicId, NodeId)> = Vec::new();
        self.for_each_asset(id, &mut |path, asset, standing| {
            if standing == Standing::Live {
                match self.live.find(path) {
                    Ok(Some(Found::File(_))) | Err(_) => {}
                    Ok(_) => missing.push((path.clone(), asset)),
                }
            }
            Ok(())
        })?;
        for (path, asset) in missing {
            let mut catalog = self.catalog();
            let catalog = catalog.as_mut();
            // Asked again under the lock: the mount may have been at work.
            let gone = matches!(
                self.live.find(&path),
                Ok(None | Some(Found::Directory(_) | Found::Special))
            );
            let still_live = self
                .asset_at(catalog, &path)?
                .is_some_and(|known| known.node() == asset && known.is_live());
            if gone && still_live {
                let now = self.clock.now();
                let ended = atomically(catalog, |catalog| self.end_live(catalog, asset, now))?;
                for version in &ended {
                    self.end_pin(version);
                }
                report.deleted += 1;
            }
        }
        Ok(())
    }
}

/// Has the kernel fetch the beginning of a file that ingest will read soon: many small
/// reads at once, where ingest would wait for one after the other.
fn read_ahead(file: BorrowedFd<'_>) {
    if let Err(error) = fadvise(file, 0, NonZeroU64::new(READ_AHEAD_BYTES), Advice::WillNeed) {
        log::debug!("no reading ahead: {error}");
    }
}

fn is_as_last_seen(asset: &KnownAsset, facts: &FileFacts) -> bool {
    asset.record.file.is_some_and(|seen| {
        seen.inode == facts.inode
            && seen.size == facts.size
            && seen.attributes.mtime == facts.attributes.mtime
    })
}
