//! Marks: empty files in the spool that stand for packs which have been put.
//!
//! Until the catalog has a stored pack's row on disk, the mark's name tells an open
//! after a crash to look for the object. The surprise: a mark replaces the spool file
//! in one step, for that file may be the store's own by then.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::path::Path;

use super::open_pack::OpenPacks;
use crate::model::PackId;

/// The extension of a mark that is on its way to its name.
const UNFINISHED: &str = "mark";

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

    /// True where the file of a pack is only a mark: the pack has been put.
    pub(super) fn is_mark(&self, pack: PackId) -> bool {
        fs::metadata(self.path(pack)).is_ok_and(|metadata| metadata.len() == 0)
    }
}
