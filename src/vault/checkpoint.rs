//! Checkpoints: a version of a file that is still open for writing.
//!
//! The bytes are copied to the spool at once, because the writer goes on. It may be at
//! work in the middle of the copy: a checkpoint is what the file held in those moments.

use std::os::fd::{AsFd, BorrowedFd};

use crate::catalog::attempt;
use crate::model::{Location, Origin, PublicId, VersionId, VersionState};

use super::spool::reopen_for_reading;
use super::{Result, Vault, VaultError, live};

impl Vault {
    /// Makes a version of an asset's present bytes, if they changed since its latest
    /// version and the policy keeps it.
    ///
    /// # Errors
    /// When the file cannot be read or copied, or the catalog fails.
    pub fn checkpoint(&self, id: &PublicId, file: BorrowedFd<'_>) -> Result<Option<VersionId>> {
        let io = |error| VaultError::io(id.to_string(), error);
        let file = reopen_for_reading(file).map_err(io)?;
        let xattrs = live::user_xattrs(file.as_fd()).map_err(io)?;
        let mut guard = self.catalog();
        let catalog = guard.as_mut();
        if !self.keeps(catalog, id, &xattrs)? {
            return Ok(None);
        }
        let facts = live::facts_of(file.as_fd()).map_err(io)?;
        let known = self.asset_at(catalog, id)?;
        let unchanged = known.as_ref().is_some_and(|asset| {
            asset.record.file.is_some_and(|seen| {
                seen.size == facts.size && seen.attributes.mtime == facts.attributes.mtime
            })
        });
        if unchanged {
            return Ok(None);
        }
        let now = self.clock.now();
        let (seq, version) = attempt(catalog, |catalog| {
            let asset = match known {
                None => self.create_asset(catalog, id, Some(&facts), now)?,
                Some(asset) => {
                    if !asset.is_live() {
                        catalog.revive_asset(asset.node(), now)?;
                    }
                    self.note_file(catalog, asset.node(), &facts)?;
                    asset.node()
                }
            };
            let state = VersionState::Sealed {
                file: facts,
                location: Location::SpoolCopy,
            };
            let version = self.new_version(asset, facts, xattrs, Origin::Checkpoint, state);
            let seq = catalog.add_version(&version)?;
            self.spool.copy(seq, file.as_fd(), facts.size).map_err(io)?;
            Ok::<_, VaultError>((seq, version.id))
        })?;
        self.ingest.enqueue(seq, None);
        Ok(Some(version))
    }
}
