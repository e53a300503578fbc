//! Versions that people keep on purpose: `keepfs pin`.
//!
//! What people call a pin is a *hold* here, because a pinned inode is something else
//! (`pins`): one that has sealed bytes.

use crate::catalog::{Catalog, Durability, atomically};
use crate::model::{Hold, PublicId, Version, VersionId, VersionIdPrefix, VersionSeq};

use super::{Result, Vault, VaultError};

impl Vault {
    /// Keeps versions of a file on purpose: no rule drops them. Without a prefix the
    /// latest one. Returns which. All prefixes must fit before anything changes.
    ///
    /// # Errors
    /// As [`choose_version`](Self::choose_version).
    pub fn pin(&self, id: &PublicId, prefixes: &[VersionIdPrefix]) -> Result<Vec<VersionId>> {
        let latest = self.choose_version(id, None)?;
        // One that turns out to be no version of its own must not be the one that is pinned.
        self.settle(latest.asset)?;
        let chosen = match prefixes {
            [] => vec![self.choose_version(id, None)?.version],
            _ => self.choose_each(id, prefixes)?,
        };
        self.set_holds(id, &chosen, Hold::On)
    }

    /// Leaves versions to the rules again. Without a prefix all of the file.
    ///
    /// # Errors
    /// As [`choose_version`](Self::choose_version).
    pub fn unpin(&self, id: &PublicId, prefixes: &[VersionIdPrefix]) -> Result<Vec<VersionId>> {
        let chosen = match prefixes {
            [] => {
                let asset = self.choose_version(id, None)?.asset;
                let mut catalog = self.catalog();
                let held = catalog.holds(asset)?;
                let mut versions = Vec::with_capacity(held.len());
                for seq in held {
                    versions.extend(catalog.version(seq)?);
                }
                versions
            }
            _ => self.choose_each(id, prefixes)?,
        };
        self.set_holds(id, &chosen, Hold::Off)
    }

    /// The versions of an asset that somebody pinned, as rows.
    ///
    /// # Errors
    /// [`VaultError::NotFound`], or the catalog's failure.
    pub fn pinned(&self, id: &PublicId) -> Result<Vec<VersionSeq>> {
        let asset = self.choose_version(id, None)?.asset;
        Ok(self.catalog().holds(asset)?)
    }

    fn choose_each(&self, id: &PublicId, prefixes: &[VersionIdPrefix]) -> Result<Vec<Version>> {
        prefixes
            .iter()
            .map(|prefix| Ok(self.choose_version(id, Some(prefix))?.version))
            .collect()
    }

    fn set_holds(&self, id: &PublicId, chosen: &[Version], hold: Hold) -> Result<Vec<VersionId>> {
        let mut catalog = self.catalog();
        atomically(catalog.as_mut(), |catalog| {
            for version in chosen {
                if catalog.version(version.seq)?.is_none() {
                    return Err(VaultError::NotFound {
                        path: id.clone(),
                        what: format!("version {}", version.id),
                    });
                }
                catalog.set_hold(version.seq, hold)?;
            }
            Ok(())
        })?;
        self.commit_locked(catalog.as_mut(), Durability::Power)?;
        Ok(chosen.iter().map(|version| version.id).collect())
    }

    /// `gone` ends because `stays` is the same content: what was pinned stays so.
    pub(super) fn pass_hold_on(
        &self,
        catalog: &mut dyn Catalog,
        gone: VersionSeq,
        stays: VersionSeq,
    ) -> Result<()> {
        if catalog.has_hold(gone)? {
            catalog.set_hold(stays, Hold::On)?;
        }
        Ok(())
    }
}
