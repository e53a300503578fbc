//! rename(2) and its flags: the rules decide, the lower filesystem does it, and the
//! nodes' names follow.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use fuser::{FileType, RenameFlags};
use rustix::fs::{RenameFlags as LowerFlags, renameat_with};
use rustix::io::Errno;

use super::Live;
use super::remove::fate;
use crate::mount::attr::Stat;
use crate::mount::descriptors::Directory;
use crate::mount::errno::{Error, Result};
use crate::mount::nodes::is_regular;
use crate::vault::{Party, Rename, RenameMode};

/// A name in a directory, as the kernel gives it.
pub(crate) type At<'a> = (u64, &'a [u8]);

/// One end of a rename.
struct End {
    directory: Arc<Directory>,
    stat: Option<Stat>,
}

impl End {
    fn party(&self) -> Party {
        match &self.stat {
            None => Party::Nothing,
            Some(stat) if is_regular(stat.kind()) => Party::File(stat.facts()),
            Some(stat) if stat.kind() == FileType::Directory => Party::Directory,
            Some(_) => Party::Special,
        }
    }
}

impl Live {
    /// rename(2), renameat2(2).
    pub(crate) fn rename(&self, from: At<'_>, to: At<'_>, flags: RenameFlags) -> Result<()> {
        self.check_free(from.0, from.1)?;
        self.check_free(to.0, to.1)?;
        let mode = mode(flags)?;
        let source = self.end(from)?;
        let mut target = self.end(to)?;
        let Some(moving) = source.stat else {
            return Err(Errno::NOENT.into());
        };
        let mut leaving: Option<(Arc<OwnedFd>, Stat, u64)> = None;
        if let Some(stat) = target.stat {
            if mode == RenameMode::NoReplace {
                return Err(Errno::EXIST.into());
            }
            if stat.key() == moving.key() {
                // Two names of one file: nothing changes, as rename(2) says.
                return Ok(());
            }
            if mode == RenameMode::Replace && is_regular(stat.kind()) {
                let (file, stat) = self.going(&target.directory, to.1)?;
                let links = self.visible_links(&stat);
                self.hold(&stat, links, &file);
                target.stat = Some(stat);
                leaving = Some((file, stat, links));
            }
        }
        let lower = match mode {
            RenameMode::Replace => LowerFlags::empty(),
            RenameMode::NoReplace => LowerFlags::NOREPLACE,
            RenameMode::Exchange => LowerFlags::EXCHANGE,
        };
        let _names = self.names_change();
        let from_path = self.nodes.path_in(from.0, from.1)?;
        let to_path = self.nodes.path_in(to.0, to.1)?;
        let request = Rename {
            from: &from_path,
            source: source.party(),
            to: &to_path,
            target: target.party(),
            mode,
        };
        self.vault.rename(&request, &mut || {
            Ok(renameat_with(
                &*source.directory,
                from.1,
                &*target.directory,
                to.1,
                lower,
            )?)
        })?;
        self.names_follow(&moving, target.stat.as_ref(), from, to, mode, leaving);
        Ok(())
    }

    /// What is at a name, once closes on their way are done with.
    fn end(&self, at: At<'_>) -> Result<End> {
        let directory = self.directory(at.0)?;
        let look = || match Stat::at(&*directory, at.1) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(Error::Os(errno)),
        };
        let mut stat = look()?;
        if let Some(found) = &stat {
            self.settle(found);
            if is_regular(found.kind()) {
                stat = look()?;
            }
        }
        Ok(End { directory, stat })
    }

    fn names_follow(
        &self,
        moving: &Stat,
        target: Option<&Stat>,
        from: At<'_>,
        to: At<'_>,
        mode: RenameMode,
        leaving: Option<(Arc<OwnedFd>, Stat, u64)>,
    ) {
        if let Some(stat) = target {
            match (mode, leaving) {
                (RenameMode::Exchange, _) => self.nodes.moved(stat, to, from),
                (_, Some((file, stat, links))) => self.gone(&stat, to.0, to.1, links, file),
                (_, None) => {
                    let links = match stat.kind() {
                        FileType::Directory => 1,
                        _ => stat.nlink(),
                    };
                    if let Some(node) = self.nodes.find(stat) {
                        self.descriptors.drop_one(node.id);
                        node.unlinked(to.0, to.1, fate(links));
                    }
                }
            }
        }
        self.nodes.moved(moving, from, to);
    }
}

fn mode(flags: RenameFlags) -> Result<RenameMode> {
    if flags.is_empty() {
        Ok(RenameMode::Replace)
    } else if flags == RenameFlags::RENAME_NOREPLACE {
        Ok(RenameMode::NoReplace)
    } else if flags == RenameFlags::RENAME_EXCHANGE {
        Ok(RenameMode::Exchange)
    } else {
        Err(Error::BadFlags)
    }
}
