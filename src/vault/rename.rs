//! Renames: a move or a save, told apart by `policy`, carried out here.
//!
//! The surprise: most "renames" are how programs save. A literal reading would
//! lose the history of every file that an editor touches.

use std::io;
use std::os::fd::AsFd;

use crate::catalog::{Catalog, Standing, attempt};
use crate::model::{FileFacts, Origin, PublicId, Timestamp, Version, Xattrs, failpoint};
use crate::policy::{
    Kept, NameRelation, RenameCase, RenameFacts, SourceStanding, TargetStanding, TargetVersion,
    classify_rename, relation, transient_rule,
};

use super::names::KnownAsset;
use super::pins::Promised;
use super::seal::{Revival, Seal};
use super::{Result, Vault, VaultError, live};

/// What is at one end of a rename.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Party {
    /// No file of that name.
    Nothing,
    /// A regular file.
    File(FileFacts),
    /// A directory.
    Directory,
    /// A symlink, FIFO, socket or device: never an asset.
    Special,
}

/// How a rename treats its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RenameMode {
    /// Plain rename(2).
    Replace,
    /// `RENAME_NOREPLACE`.
    NoReplace,
    /// `RENAME_EXCHANGE`.
    Exchange,
}

/// A rename that somebody asks for.
#[derive(Debug, Clone, Copy)]
pub struct Rename<'a> {
    /// The old name.
    pub from: &'a PublicId,
    /// What is there.
    pub source: Party,
    /// The new name.
    pub to: &'a PublicId,
    /// What is there.
    pub target: Party,
    /// How the target is treated.
    pub mode: RenameMode,
}

impl Vault {
    /// Renames: `rename` is called once, inside the transaction, unless the rules refuse.
    ///
    /// # Errors
    /// [`VaultError::NameReserved`] where a deleted asset has the name, what `rename`
    /// answered, or the catalog's failure; nothing changed then.
    pub fn rename(
        &self,
        request: &Rename<'_>,
        rename: &mut dyn FnMut() -> io::Result<()>,
    ) -> Result<()> {
        let mut perform = || {
            failpoint::reach("rename.before");
            rename().map_err(|error| VaultError::io(request.to.to_string(), error))?;
            failpoint::reach("rename.after");
            Ok(())
        };
        match (request.mode, request.source, request.target) {
            (_, Party::File(a), Party::File(b)) if a.inode == b.inode => perform(),
            (RenameMode::Exchange, ..) => self.exchange(request, &mut perform),
            (_, Party::Directory, _) => {
                self.rename_directory(request.from, request.to, &mut perform)
            }
            (_, Party::File(facts), _) => self.rename_file(request, &facts, &mut perform),
            (_, Party::Special | Party::Nothing, _) => {
                self.replace_by_special(request, &mut perform)
            }
        }
    }

    fn rename_file(
        &self,
        request: &Rename<'_>,
        source: &FileFacts,
        rename: &mut dyn FnMut() -> Result<()>,
    ) -> Result<()> {
        let mut going = Vec::new();
        if let Party::File(target) = request.target {
            going.push((target.inode, request.to));
        }
        if leaves_history_behind(request.from, request.to) {
            going.push((source.inode, request.from));
        }
        let xattrs = self.xattrs_at(request.from);
        let mut catalog = self.lock_preserved_at(&going)?;
        let gone = attempt(catalog.as_mut(), |catalog| {
            let pair = self.find_pair(catalog, request)?;
            let kept = self.decide(catalog, request.to, &xattrs)?.kept;
            let case = classify_rename(&RenameFacts {
                from: request.from,
                to: request.to,
                source: match pair.source {
                    Some(_) => SourceStanding::Asset,
                    None => SourceStanding::NotBackedUp,
                },
                target: pair.target_standing(request.target),
                target_kept: kept,
            });
            let judged = Judged {
                facts: source,
                xattrs: &xattrs,
                case,
                kept,
                pair,
            };
            self.apply(catalog, request, &judged, rename)
        })?;
        drop(catalog);
        for version in &gone {
            self.end_pin(version);
        }
        Ok(())
    }

    /// Carries a case out. Returns the versions whose pins end.
    fn apply(
        &self,
        catalog: &mut dyn Catalog,
        request: &Rename<'_>,
        judged: &Judged<'_>,
        rename: &mut dyn FnMut() -> Result<()>,
    ) -> Result<Vec<Version>> {
        let Judged {
            facts,
            xattrs,
            case,
            kept,
            ref pair,
        } = *judged;
        let now = self.clock.now();
        let mut gone = Vec::new();
        let mut seal_target = false;
        match (case, &pair.source) {
            (RenameCase::RefusedReserved, _) => {
                return Err(VaultError::NameReserved {
                    path: request.to.clone(),
                });
            }
            (RenameCase::MoveToFree, Some(source)) => {
                self.move_asset(catalog, source, request.to, now)?;
            }
            (RenameCase::MoveOntoLive, Some(source)) => match &pair.target {
                Some(target) => {
                    self.carry_latest(catalog, source.node(), target.node())?;
                    gone = self.end_live(catalog, source.node(), now)?;
                    self.note_file(catalog, target.node(), facts)?;
                }
                None => self.move_asset(catalog, source, request.to, now)?,
            },
            (RenameCase::SaveIn, Some(source)) => match &pair.target {
                Some(target) => {
                    if target.record.standing == Standing::Deleted {
                        catalog.revive_asset(target.node(), now)?;
                    }
                    self.carry_all(catalog, source.node(), target.node())?;
                    self.forget_asset(catalog, source.node(), now)?;
                    self.note_file(catalog, target.node(), facts)?;
                }
                None => self.move_asset(catalog, source, request.to, now)?,
            },
            (RenameCase::SaveIn, None) => seal_target = kept == Kept::Yes,
            (
                RenameCase::SaveAway {
                    target_gets_version,
                },
                Some(source),
            ) => {
                gone = self.end_live(catalog, source.node(), now)?;
                seal_target = target_gets_version == TargetVersion::Own;
            }
            (RenameCase::Untracked, _) | (_, None) => {}
        }
        rename()?;
        if seal_target {
            self.seal_renamed(catalog, request.to, xattrs);
        }
        Ok(gone)
    }

    /// Seals what just arrived at a name. The rename is done: a failure here is
    /// reported, and the next scan makes up for it.
    fn seal_renamed(&self, catalog: &mut dyn Catalog, to: &PublicId, xattrs: &Xattrs) {
        let sealed = self
            .live
            .open_file(to)
            .map_err(|error| VaultError::io(to.to_string(), error))
            .and_then(|file| {
                let facts = live::facts_of(file.as_fd())
                    .map_err(|error| VaultError::io(to.to_string(), error))?;
                if self.is_being_written(facts.inode) {
                    // Renamed before it is closed: the close makes the version.
                    return Ok(None);
                }
                self.seal_kept(
                    catalog,
                    &Seal {
                        id: to,
                        file: file.as_fd(),
                        facts,
                        xattrs: xattrs.clone(),
                        origin: Origin::Write,
                        promised: Promised::Durable,
                        revival: Revival::NoVersion,
                    },
                )
            });
        if let Err(error) = sealed {
            self.note_missed();
            log::error!("{to}: renamed, but no version of it yet: {error}; run keepfs scan");
        }
    }

    fn move_asset(
        &self,
        catalog: &mut dyn Catalog,
        asset: &KnownAsset,
        to: &PublicId,
        now: Timestamp,
    ) -> Result<()> {
        let Some((parent, name)) = to.split() else {
            return Ok(());
        };
        let parent = self.ensure_directory(catalog, &parent, now)?;
        Ok(catalog.move_asset(asset.node(), parent, &name, now)?)
    }

    /// A symlink or another special file takes the name of an asset: a deletion.
    fn replace_by_special(
        &self,
        request: &Rename<'_>,
        rename: &mut dyn FnMut() -> Result<()>,
    ) -> Result<()> {
        let mut going = Vec::new();
        if let Party::File(target) = request.target {
            going.push((target.inode, request.to));
        }
        let mut catalog = self.lock_preserved_at(&going)?;
        let now = self.clock.now();
        let gone = attempt(catalog.as_mut(), |catalog| {
            let gone = match self.asset_at(catalog, request.to)? {
                Some(asset) if asset.is_live() => self.end_live(catalog, asset.node(), now)?,
                _ => Vec::new(),
            };
            rename()?;
            Ok::<_, VaultError>(gone)
        })?;
        drop(catalog);
        for version in &gone {
            self.end_pin(version);
        }
        Ok(())
    }

    /// `RENAME_EXCHANGE`: whatever has a history at either end takes it along, but not to
    /// a transient name; a file without one that arrives at a kept name gets its version.
    fn exchange(&self, request: &Rename<'_>, rename: &mut dyn FnMut() -> Result<()>) -> Result<()> {
        // An asset whose file goes to a transient name stays, and its bytes must too.
        let mut going = Vec::new();
        for (id, party, other) in [
            (request.from, request.source, request.to),
            (request.to, request.target, request.from),
        ] {
            if let (Party::File(facts), Some(_)) = (party, transient_rule(other)) {
                going.push((facts.inode, id));
            }
        }
        let mut catalog = self.lock_preserved_at(&going)?;
        let now = self.clock.now();
        let result = attempt(catalog.as_mut(), |catalog| {
            let pair = self.find_pair(catalog, request)?;
            let target = pair.target.as_ref().filter(|asset| asset.is_live());
            let mut arrivals = Vec::new();
            match (&pair.source, target) {
                (Some(a), Some(b)) => catalog.swap_assets(a.node(), b.node(), now)?,
                (Some(a), None) => {
                    if transient_rule(request.to).is_none() {
                        self.move_if_free(catalog, a, request.to, now)?;
                    }
                    arrivals.push((request.from, request.target));
                }
                (None, Some(b)) => {
                    if transient_rule(request.from).is_none() {
                        self.move_if_free(catalog, b, request.from, now)?;
                    }
                    arrivals.push((request.to, request.source));
                }
                (None, None) => {
                    arrivals.push((request.from, request.target));
                    arrivals.push((request.to, request.source));
                }
            }
            self.exchange_directories(catalog, request, now)?;
            rename()?;
            for (id, party) in arrivals {
                let xattrs = self.xattrs_at(id);
                if matches!(party, Party::File(_)) && self.keeps(catalog, id, &xattrs)? {
                    self.seal_renamed(catalog, id, &xattrs);
                }
            }
            Ok(())
        });
        self.forget_directory_paths();
        result
    }

    fn move_if_free(
        &self,
        catalog: &mut dyn Catalog,
        asset: &KnownAsset,
        to: &PublicId,
        now: Timestamp,
    ) -> Result<()> {
        match self.asset_at(catalog, to)? {
            Some(_) => Err(VaultError::NameReserved { path: to.clone() }),
            None => self.move_asset(catalog, asset, to, now),
        }
    }

    fn find_pair(&self, catalog: &mut dyn Catalog, request: &Rename<'_>) -> Result<Pair> {
        Ok(Pair {
            source: self
                .asset_at(catalog, request.from)?
                .filter(KnownAsset::is_live),
            target: self.asset_at(catalog, request.to)?,
        })
    }

    /// The user attributes of the file at a path; none where it cannot be read.
    pub(super) fn xattrs_at(&self, id: &PublicId) -> Xattrs {
        self.live
            .open_file(id)
            .and_then(|file| live::user_xattrs(file.as_fd()))
            .unwrap_or_default()
    }
}

/// A rename of a regular file, and what was made of it.
struct Judged<'a> {
    facts: &'a FileFacts,
    xattrs: &'a Xattrs,
    case: RenameCase,
    kept: Kept,
    pair: Pair,
}

/// The assets at the two ends.
struct Pair {
    source: Option<KnownAsset>,
    target: Option<KnownAsset>,
}

impl Pair {
    fn target_standing(&self, party: Party) -> TargetStanding {
        match (&self.target, party) {
            (Some(asset), _) if asset.is_live() => TargetStanding::LiveAsset,
            (Some(_), _) => TargetStanding::Reserved,
            (None, Party::Nothing) => TargetStanding::Free,
            (None, _) => TargetStanding::LiveOther,
        }
    }
}

/// True when this rename may be a save away: the history stays with the old name
/// while the inode leaves it.
fn leaves_history_behind(from: &PublicId, to: &PublicId) -> bool {
    matches!(relation(from, to), NameRelation::ToolBackup { .. }) || transient_rule(to).is_some()
}
