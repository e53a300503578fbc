//! Finding assets and versions as people name them: by path and id prefix.

use crate::catalog::{Catalog, Child, Standing};
use crate::model::{NodeId, PublicId, Version, VersionIdPrefix, VersionState};

use super::rename_directory::all_children;
use super::{Result, Vault, VaultError};

/// A version that somebody chose.
#[derive(Debug, Clone)]
pub struct Chosen {
    /// The asset.
    pub asset: NodeId,
    /// Live or deleted.
    pub standing: Standing,
    /// The version.
    pub version: Version,
}

/// How far the bytes of a version have come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UploadProgress {
    /// They are in the live file or a spool file of their own.
    Sealed,
    /// They are in packs, of which one at least is still in the spool, or the store's
    /// journal does not name the version yet.
    Stored,
    /// They are in packs that are in the store, and its journal names the version: it
    /// would survive the loss of this machine.
    Uploaded,
}

impl UploadProgress {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            UploadProgress::Sealed => "sealed",
            UploadProgress::Stored => "stored",
            UploadProgress::Uploaded => "uploaded",
        }
    }
}

impl Vault {
    /// How far the bytes of a version have come.
    ///
    /// # Errors
    /// When the catalog fails.
    pub fn progress_of(&self, version: &Version) -> Result<UploadProgress> {
        let VersionState::Stored { content, .. } = version.state else {
            return Ok(UploadProgress::Sealed);
        };
        let is_uploaded =
            self.store.is_uploaded(content)? && self.catalog().is_version_published(version.seq)?;
        Ok(match is_uploaded {
            true => UploadProgress::Uploaded,
            false => UploadProgress::Stored,
        })
    }

    /// The version of an asset whose id starts with `prefix`; the latest without one.
    ///
    /// # Errors
    /// [`VaultError::NotFound`], [`VaultError::AmbiguousVersion`].
    pub fn choose_version(
        &self,
        id: &PublicId,
        prefix: Option<&VersionIdPrefix>,
    ) -> Result<Chosen> {
        let mut catalog = self.catalog();
        let catalog = catalog.as_mut();
        let not_found = |what: String| VaultError::NotFound {
            path: id.clone(),
            what,
        };
        let asset = self
            .asset_at(catalog, id)?
            .ok_or_else(|| not_found("a backed-up file".into()))?;
        let version = match prefix {
            None => catalog.latest_versions(asset.node(), 1)?.pop(),
            Some(prefix) => {
                let ids = catalog.version_ids(asset.node())?;
                let mut fitting = ids.iter().filter(|(id, _)| prefix.matches(*id));
                let first = fitting.next().copied();
                let others = fitting.count();
                if others > 0 {
                    return Err(VaultError::AmbiguousVersion {
                        path: id.clone(),
                        prefix: prefix.as_str().into(),
                        count: others + 1,
                    });
                }
                match first {
                    Some((_, seq)) => catalog.version(seq)?,
                    None => return Err(not_found(format!("version {}", prefix.as_str()))),
                }
            }
        };
        Ok(Chosen {
            asset: asset.node(),
            standing: asset.record.standing,
            version: version.ok_or_else(|| not_found("a version".into()))?,
        })
    }

    /// All versions of the asset at a path, oldest first, settled.
    ///
    /// # Errors
    /// [`VaultError::NotFound`], or the catalog's failure.
    pub fn versions_of(&self, id: &PublicId) -> Result<Vec<Version>> {
        let chosen = self.choose_version(id, None)?;
        self.settle(chosen.asset)?;
        Ok(self.catalog().versions(chosen.asset)?)
    }

    /// Calls `visit` for every asset at or below a path, in name order, one catalog
    /// page at a time.
    ///
    /// # Errors
    /// What `visit` or the catalog failed with.
    pub fn for_each_asset(
        &self,
        id: &PublicId,
        visit: &mut dyn FnMut(&PublicId, NodeId, Standing) -> Result<()>,
    ) -> Result<()> {
        let (asset, directory) = {
            let mut catalog = self.catalog();
            let catalog = catalog.as_mut();
            (
                self.asset_at(catalog, id)?,
                self.directory_node(catalog, id)?,
            )
        };
        if let Some(asset) = asset {
            visit(id, asset.node(), asset.record.standing)?;
        }
        let mut waiting: Vec<(PublicId, NodeId)> = directory
            .map(|node| (id.clone(), node))
            .into_iter()
            .collect();
        while let Some((path, node)) = waiting.pop() {
            let children = {
                let mut catalog = self.catalog();
                let catalog: &mut dyn Catalog = catalog.as_mut();
                all_children(catalog, node)?
            };
            for child in children {
                match child {
                    Child::Directory { name, node, .. } => waiting.push((path.join(&name), node)),
                    Child::Asset {
                        name,
                        node,
                        standing,
                    } => visit(&path.join(&name), node, standing)?,
                }
            }
        }
        Ok(())
    }
}
