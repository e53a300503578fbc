//! What earlier attempts left in the live tree, and what of it must go.
//!
//! Files that they wrote and that are not wanted any more, because the store has gone on or
//! another instant is asked for, and those that they did not finish. The surprise: nothing
//! else is touched, for people may have begun to work in a tree that is half there.

use std::collections::HashSet;
use std::os::fd::AsFd;

use rustix::fs::{AtFlags, Mode};

use super::wanted::Tree;
use super::written::Written;
use super::{TEMPORARY, io};
use crate::model::PublicId;
use crate::vault::live::{self, Found, list_directory};
use crate::vault::{Result, Vault};

impl Vault {
    /// Removes what earlier attempts wrote and this one does not want.
    pub(super) fn clear_earlier(&self, tree: &Tree, written: &Written) -> Result<()> {
        self.clear_unfinished(tree)?;
        let wanted: HashSet<&PublicId> = tree.files.iter().map(|file| &file.path).collect();
        for path in written.paths().filter(|path| !wanted.contains(path)) {
            match self.live.find(path).map_err(io(path))? {
                Some(Found::File(facts)) if written.is_own(path, &facts) => {
                    self.remove_live(path)?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Removes a file, and the directories that are empty then.
    fn remove_live(&self, path: &PublicId) -> Result<()> {
        let mut next = path.split();
        let mut flags = AtFlags::empty();
        while let Some((parent, name)) = next {
            let directory = self.live.open_directory(&parent).map_err(io(path))?;
            match rustix::fs::unlinkat(&directory, name.as_os_str(), flags) {
                Ok(()) => {}
                // It has something else in it.
                Err(_) if flags == AtFlags::REMOVEDIR => return Ok(()),
                Err(error) => return Err(io(path)(error)),
            }
            flags = AtFlags::REMOVEDIR;
            next = parent.split();
        }
        Ok(())
    }

    /// Removes files under temporary names, wherever they are, and makes the directories
    /// writable that have got their modes already.
    fn clear_unfinished(&self, tree: &Tree) -> Result<()> {
        let mut waiting = vec![PublicId::root()];
        while let Some(path) = waiting.pop() {
            let directory = match self.live.open_directory(&path) {
                Ok(directory) => directory,
                // Somebody's, or gone meanwhile.
                Err(error) if live::is_absent(&error) => continue,
                Err(error) if !tree.directories.contains_key(&path) => {
                    log::warn!("{path}: not looked at: {error}");
                    continue;
                }
                Err(error) => return Err(io(&path)(error)),
            };
            for entry in list_directory(directory.as_fd()).map_err(io(&path))? {
                let place = path.join(&entry.name);
                match entry.found {
                    Found::Directory(attributes) => {
                        let is_shut = attributes.mode & 0o700 != 0o700;
                        if is_shut && tree.directories.contains_key(&place) {
                            let mode = Mode::from_raw_mode(attributes.mode | 0o700);
                            let name = entry.name.as_os_str();
                            rustix::fs::chmodat(&directory, name, mode, AtFlags::empty())
                                .map_err(io(&place))?;
                        }
                        waiting.push(place);
                    }
                    Found::File(_) if is_unfinished(entry.name.as_bytes()) => {
                        rustix::fs::unlinkat(&directory, entry.name.as_os_str(), AtFlags::empty())
                            .map_err(io(&place))?;
                    }
                    Found::File(_) | Found::Special => {}
                }
            }
        }
        Ok(())
    }
}

fn is_unfinished(name: &[u8]) -> bool {
    name.strip_prefix(TEMPORARY.as_bytes())
        .is_some_and(|number| !number.is_empty() && number.iter().all(u8::is_ascii_digit))
}
