//! Walking the live tree against the catalog: recovery, and the first backup.
//!
//! What differs becomes versions; what moved is recognised by its inode and takes
//! its history along; what is gone counts as deleted. Safe while the mount is in
//! use: files that are open for writing are left to their close.

mod count;
mod missing;

use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::Ordering;

use crate::catalog::Catalog;
use crate::model::{FileFacts, HistoryName, Origin, PublicId, VersionId};

use super::intake::{Intake, NewFile};
use super::live::{Found, LiveEntry, list_directory, read_ahead};
use super::names::KnownAsset;
use super::{Result, Vault, VaultError, live};
pub use count::ScanProgress;
use count::{Count, Teller, Total};

/// Files of a directory that are looked at in one turn at the catalog.
const TURN_FILES: usize = 32;

/// A file that a walk came to.
type WalkedFile = (PublicId, FileFacts);

/// What a walk is to do with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    /// Nothing: it has its version, or its writer's close will make one.
    Kept,
    /// No asset claims its name.
    New,
    /// It has changed, or its asset has no version.
    Due,
}

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

/// What a walk finds in a directory.
struct Listed {
    directories: Vec<PublicId>,
    files: Vec<WalkedFile>,
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
        progress: &mut dyn FnMut(&ScanProgress),
    ) -> Result<ScanReport> {
        self.survey(id, survey, Total::Unknown, progress)
    }

    /// A first backup that says how much is before it, for whoever watches: to count looks
    /// at every file once more.
    ///
    /// # Errors
    /// As [`scan`](Self::scan).
    pub fn scan_watched(
        &self,
        id: &PublicId,
        progress: &mut dyn FnMut(&ScanProgress),
    ) -> Result<ScanReport> {
        self.survey(id, Survey::Backup, Total::Counted, progress)
    }

    fn survey(
        &self,
        id: &PublicId,
        survey: Survey,
        total: Total,
        progress: &mut dyn FnMut(&ScanProgress),
    ) -> Result<ScanReport> {
        let mut report = ScanReport::default();
        let found = self
            .live
            .find(id)
            .map_err(|error| VaultError::io(id.to_string(), error))?;
        match found {
            Some(Found::File(facts)) => self.scan_file(id, &facts, survey, &mut report)?,
            Some(Found::Directory(_)) => {
                self.scan_tree(id, survey, total, &mut report, progress)?
            }
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
        progress(&ScanProgress {
            seen: report,
            bytes_waiting: 0,
            bytes_total: (survey == Survey::Backup).then_some(report.bytes),
        });
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
        total: Total,
        report: &mut ScanReport,
        progress: &mut dyn FnMut(&ScanProgress),
    ) -> Result<()> {
        if survey == Survey::Recover {
            return self.walk(top, report, &mut |walked, report| {
                for (id, facts) in walked {
                    self.scan_file(&id, &facts, survey, report)?;
                }
                progress(&ScanProgress {
                    seen: *report,
                    bytes_waiting: 0,
                    bytes_total: None,
                });
                Ok(())
            });
        }
        let count = Count::default();
        let taken = count.beside(self, top, total, || {
            Intake::run(self, |intake| {
                let mut teller = Teller {
                    vault: self,
                    intake,
                    count: &count,
                    progress,
                    told: None,
                };
                self.walk(top, report, &mut |walked, report| {
                    self.take_in(walked, intake, report, &mut teller)
                })
            })
        })?;
        report.versions += taken.versions;
        report.unreadable += taken.unreadable;
        Ok(())
    }

    /// Hands over the files of each directory at and below `top`.
    fn walk(
        &self,
        top: &PublicId,
        report: &mut ScanReport,
        take: &mut dyn FnMut(Vec<WalkedFile>, &mut ScanReport) -> Result<()>,
    ) -> Result<()> {
        let mut waiting = vec![top.clone()];
        while let Some(id) = waiting.pop() {
            let Listed {
                directories,
                mut files,
            } = match self.list_for_walk(&id) {
                Ok(listed) => listed,
                Err(error) if live::is_absent(&error) => continue,
                Err(error) => {
                    log::warn!("{id}: not scanned: {error}");
                    report.unreadable += 1;
                    continue;
                }
            };
            waiting.extend(directories);
            // As they lie on the disk, more or less: their inodes and bytes are read in turn.
            files.sort_unstable_by_key(|(_, facts)| facts.inode.ino);
            take(files, report)?;
        }
        Ok(())
    }

    fn list_for_walk(&self, id: &PublicId) -> io::Result<Listed> {
        let directory = self.live.open_directory(id)?;
        let mut listed = Listed {
            directories: Vec::new(),
            files: Vec::new(),
        };
        for LiveEntry { name, found } in list_directory(directory.as_fd())? {
            if id.is_root() && HistoryName::from_root_name(name.as_bytes()).is_some() {
                continue;
            }
            let path = id.join(&name);
            match found {
                Found::Directory(_) => listed.directories.push(path),
                Found::File(facts) => listed.files.push((path, facts)),
                Found::Special => {}
            }
        }
        Ok(listed)
    }

    /// The files of one directory in a first backup.
    fn take_in(
        &self,
        files: Vec<WalkedFile>,
        intake: &Intake<'_>,
        report: &mut ScanReport,
        teller: &mut Teller<'_>,
    ) -> Result<()> {
        for turn in files.chunks(TURN_FILES) {
            let mut new = Vec::with_capacity(turn.len());
            let mut due = Vec::new();
            {
                let mut catalog = self.catalog();
                for (id, facts) in turn {
                    report.files += 1;
                    report.bytes += facts.size;
                    match self.look_at(catalog.as_mut(), id, facts, report)? {
                        Look::Kept => {}
                        Look::New => new.push(NewFile {
                            id: id.clone(),
                            facts: *facts,
                        }),
                        Look::Due => due.push(id),
                    }
                }
            }
            intake.add(new)?;
            for id in due {
                self.keep_due(id, Survey::Backup, report)?;
            }
            teller.tell(report)?;
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
        let look = self.look_at(self.catalog().as_mut(), id, facts, report)?;
        match look {
            Look::Kept => Ok(()),
            Look::New | Look::Due => self.keep_due(id, survey, report),
        }
    }

    /// What is to be done with a file, under the catalog's lock.
    fn look_at(
        &self,
        catalog: &mut dyn Catalog,
        id: &PublicId,
        facts: &FileFacts,
        report: &mut ScanReport,
    ) -> Result<Look> {
        if self.is_being_written(facts.inode) {
            return Ok(Look::Kept);
        }
        let known = self.asset_at(catalog, id)?;
        match known {
            Some(asset) if asset.is_live() && is_as_last_seen(&asset, facts) => {
                return Ok(Look::Kept);
            }
            Some(_) => return Ok(Look::Due),
            None => {}
        }
        if !self.recognise_moved(catalog, id, facts)? {
            return Ok(Look::New);
        }
        report.moved += 1;
        let has_version = match self.asset_at(catalog, id)? {
            Some(asset) => !catalog.latest_versions(asset.node(), 1)?.is_empty(),
            None => false,
        };
        Ok(match has_version {
            true => Look::Kept,
            false => Look::Due,
        })
    }

    fn keep_due(&self, id: &PublicId, survey: Survey, report: &mut ScanReport) -> Result<()> {
        let origin = match survey {
            Survey::Recover => Origin::Recovered,
            Survey::Backup => Origin::Backup,
        };
        match self.keep_found(id, origin) {
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

    /// Seals what is at a name now, if a version is due.
    pub(super) fn keep_found(&self, id: &PublicId, origin: Origin) -> Result<Option<VersionId>> {
        let file = self
            .live
            .open_file(id)
            .map_err(|error| VaultError::io(id.to_string(), error))?;
        let kept = self.keep_present(id, file.as_fd(), origin)?;
        if kept.is_some() && origin == Origin::Backup {
            read_ahead(file.as_fd(), u64::MAX);
        }
        Ok(kept)
    }
}

fn is_as_last_seen(asset: &KnownAsset, facts: &FileFacts) -> bool {
    asset.record.file.is_some_and(|seen| {
        seen.inode == facts.inode
            && seen.size == facts.size
            && seen.attributes.mtime == facts.attributes.mtime
    })
}
