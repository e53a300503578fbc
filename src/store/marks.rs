//! Marks: empty files in the spool that stand for packs which have been put.
//!
//! Until the catalog has a stored pack's row on disk, the mark's name tells an open
//! after a crash to look for the object. The surprise: a mark replaces the spool file
//! in one step, for that file may be the store's own by then.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::path::Path;

use super::error::Result;
use super::open_pack::OpenPacks;
use crate::model::PackId;

/// The extension of a mark that is on its way to its name.
const UNFINISHED: &str = "mark";
/// The extension of a pack that only a newer catalog knew. Nothing touches it.
const LEFT: &str = "left";

/// Removes marks that a kill left on their way.
pub(super) fn remove_unfinished(spool: &Path) -> io::Result<()> {
    for entry in fs::read_dir(spool)? {
        let path = entry?.path();
        if path.extension() == Some(OsStr::new(UNFINISHED)) {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

impl OpenPacks {
    /// Leaves an empty file in place of a stored pack's: its name is a mark, its bytes
    /// may be the store's own.
    pub(super) fn leave_mark(&self, pack: PackId) -> io::Result<()> {
        let mark = self.path(pack).with_extension(UNFINISHED);
        File::create(&mark)?;
        fs::rename(mark, self.path(pack))
    }

    /// Takes a pack that the catalog does not know out of the way. Its bytes stay, in the
    /// spool or, where they were put, in the store.
    pub(super) fn set_aside(&self, pack: PackId) -> Result<()> {
        if self.is_mark(pack) {
            log::warn!("pack {pack} in the store is not known to the catalog; left alone");
            return self.remove(pack);
        }
        let left = self.path(pack).with_extension(LEFT);
        log::warn!(
            "spool: pack {pack} is not known to the catalog; kept as {}",
            left.display()
        );
        fs::rename(self.path(pack), left).map_err(|error| self.failed(error))
    }

    /// True where the file of a pack is only a mark: the pack has been put.
    pub(super) fn is_mark(&self, pack: PackId) -> bool {
        fs::metadata(self.path(pack)).is_ok_and(|metadata| metadata.len() == 0)
    }
}
