//! What a scan does not find where it was: files that were renamed, files that are gone.
//!
//! The surprise: an inode at another name is the same file only if its size and time say so
//! too, because numbers are used again.

use super::ScanReport;
use crate::catalog::{Catalog, Standing, atomically};
use crate::model::{FileFacts, NodeId, PublicId};
use crate::vault::live::Found;
use crate::vault::{Result, Vault, VaultError};

impl Vault {
    /// An asset whose file is no longer at its name, and whose inode is now here,
    /// was renamed: its history goes along.
    pub(super) fn recognise_moved(
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
    pub(super) fn end_missing(&self, id: &PublicId, report: &mut ScanReport) -> Result<()> {
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
