//! From public ids to nodes, and whether a path is backed up.

use std::sync::atomic::Ordering;

use crate::catalog::{AssetRecord, Catalog, Claim, Standing};
use crate::model::{
    AssetId, Attributes, FileFacts, Name, NodeId, Override, PublicId, ROOT, Timestamp, Xattrs,
};
use crate::policy::{Decision, Kept, Subject};

use super::live::Found;
use super::{Result, Vault, VaultError, live, lock};

/// The attribute that switches backup for a file or a directory.
pub(super) const BACKUP_XATTR: &[u8] = b"user.keepfs.backup";
/// The attribute by which downloads name where they came from.
pub(super) const FETCHED_XATTR: &[u8] = b"user.xdg.origin.url";
/// Present when any directory has an override.
pub(super) const OVERRIDES_SETTING: &str = "directory_overrides";

/// An asset and how it claims its name.
#[derive(Debug, Clone)]
pub(super) struct KnownAsset {
    pub record: AssetRecord,
}

impl KnownAsset {
    pub fn node(&self) -> NodeId {
        self.record.node
    }

    pub fn is_live(&self) -> bool {
        self.record.standing == Standing::Live
    }
}

impl Vault {
    /// The known directory at a path. `None`: nothing below it was ever backed up.
    pub(crate) fn directory_node(
        &self,
        catalog: &mut dyn Catalog,
        id: &PublicId,
    ) -> Result<Option<NodeId>> {
        if id.is_root() {
            return Ok(Some(ROOT));
        }
        if let Some(node) = lock(&self.directories).get(id) {
            return Ok(Some(*node));
        }
        let by_parent = id.split().and_then(|(parent, name)| {
            let node = *lock(&self.directories).get(&parent)?;
            Some((node, name))
        });
        let (mut node, rest) = match &by_parent {
            Some((node, name)) => (*node, name.as_bytes()),
            None => (ROOT, id.as_bytes()),
        };
        for component in rest.split(|byte| *byte == b'/') {
            match catalog.directory_at(node, &Name::new(component)?)? {
                Some(child) => node = child,
                None => return Ok(None),
            }
        }
        lock(&self.directories).insert(id.clone(), node);
        Ok(Some(node))
    }

    /// The directory at a path, made known with its live attributes where it is not.
    pub(super) fn ensure_directory(
        &self,
        catalog: &mut dyn Catalog,
        id: &PublicId,
        now: Timestamp,
    ) -> Result<NodeId> {
        if let Some(node) = self.directory_node(catalog, id)? {
            return Ok(node);
        }
        // However deep somebody nests: one look at each level, and none on the stack.
        let (mut node, mut at) = (ROOT, PublicId::root());
        let mut is_known = true;
        for component in id.components() {
            let name = Name::new(component)?;
            at = at.join(&name);
            if is_known && let Some(child) = catalog.directory_at(node, &name)? {
                node = child;
                continue;
            }
            is_known = false;
            let attributes = match self.live.find(&at) {
                Ok(Some(Found::Directory(attributes))) => attributes,
                // The directory is on its way out; what it was matters to nobody but root.
                _ => Attributes {
                    mode: 0o700,
                    uid: 0,
                    gid: 0,
                    mtime: now,
                },
            };
            // The cache learns of it at the next look-up, after the savepoint is through.
            node = catalog.create_directory(node, &name, attributes, now)?;
        }
        Ok(node)
    }

    /// The asset that claims a path.
    pub(super) fn asset_at(
        &self,
        catalog: &mut dyn Catalog,
        id: &PublicId,
    ) -> Result<Option<KnownAsset>> {
        let Some((parent, name)) = id.split() else {
            return Ok(None);
        };
        let Some(parent) = self.directory_node(catalog, &parent)? else {
            return Ok(None);
        };
        let Some(Claim { asset, .. }) = catalog.asset_at(parent, &name)? else {
            return Ok(None);
        };
        let record = catalog.asset(asset)?.ok_or_else(|| missing_row(id))?;
        Ok(Some(KnownAsset { record }))
    }

    /// A new live asset at a path that nothing claims, of that file where it was seen.
    pub(super) fn create_asset(
        &self,
        catalog: &mut dyn Catalog,
        id: &PublicId,
        file: Option<&FileFacts>,
        now: Timestamp,
    ) -> Result<NodeId> {
        let (parent, name) = id.split().ok_or_else(|| VaultError::WrongKind {
            path: id.clone(),
            problem: "the mount root is a directory",
        })?;
        let parent = self.ensure_directory(catalog, &parent, now)?;
        let asset_id = AssetId::new(self.clock.as_ref());
        Ok(catalog.create_asset(parent, &name, asset_id, file, now)?)
    }

    /// Frees a name whose asset has no versions left.
    pub(super) fn forget_asset(
        &self,
        catalog: &mut dyn Catalog,
        asset: NodeId,
        now: Timestamp,
    ) -> Result<()> {
        catalog.forget_asset(asset, now)?;
        Ok(())
    }

    /// Whether a path is backed up. `xattrs`: the file's own, where there is a file.
    pub(super) fn decide(
        &self,
        catalog: &mut dyn Catalog,
        id: &PublicId,
        xattrs: &Xattrs,
    ) -> Result<Decision> {
        let directory = self.directory_override(catalog, id)?;
        Ok(self.decide_under(directory.as_ref(), id, xattrs))
    }

    fn decide_under(
        &self,
        directory: Option<&(PublicId, Override)>,
        id: &PublicId,
        xattrs: &Xattrs,
    ) -> Decision {
        let value = |name: &[u8]| {
            xattrs
                .iter()
                .find(|(key, _)| key == name)
                .map(|(_, value)| value)
        };
        let file_override = value(BACKUP_XATTR).and_then(|word| Override::from_word(word));
        self.policy().decide(&Subject {
            id,
            file_override,
            directory_override: directory.map(|(path, value)| (path, *value)),
            fetched: value(FETCHED_XATTR).is_some(),
        })
    }

    /// Whether a new file of that name would be backed up.
    pub(super) fn keeps(
        &self,
        catalog: &mut dyn Catalog,
        id: &PublicId,
        xattrs: &Xattrs,
    ) -> Result<bool> {
        Ok(self.decide(catalog, id, xattrs)?.kept == Kept::Yes)
    }

    /// The same where the catalog is not locked, and need not be in most vaults.
    pub(super) fn keeps_unlocked(&self, id: &PublicId, xattrs: &Xattrs) -> Result<bool> {
        match self.has_overrides.load(Ordering::Relaxed) {
            true => self.keeps(self.catalog().as_mut(), id, xattrs),
            false => Ok(self.decide_under(None, id, xattrs).kept == Kept::Yes),
        }
    }

    fn directory_override(
        &self,
        catalog: &mut dyn Catalog,
        id: &PublicId,
    ) -> Result<Option<(PublicId, Override)>> {
        if !self.has_overrides.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let mut at = id.clone();
        while let Some((parent, _)) = at.split() {
            if let Some(node) = self.directory_node(catalog, &parent)?
                && let Some(record) = catalog.directory(node)?
                && let Some(value) = record.backup
            {
                return Ok(Some((parent, value)));
            }
            at = parent;
        }
        Ok(None)
    }

    /// A directory's mode or owner was changed through the mount.
    ///
    /// # Errors
    /// When the catalog fails.
    pub fn directory_changed(
        &self,
        id: &PublicId,
        directory: std::os::fd::BorrowedFd<'_>,
    ) -> Result<()> {
        let attributes = live::attributes_of(directory)
            .map_err(|error| VaultError::io(id.to_string(), error))?;
        let mut catalog = self.catalog();
        if let Some(node) = self.directory_node(catalog.as_mut(), id)? {
            catalog.set_directory_attributes(node, attributes)?;
        }
        Ok(())
    }

    /// Mode, owner or time of a live file were set, its content was not. `mtime_before` is
    /// its time before that.
    ///
    /// # Errors
    /// When the catalog fails.
    pub fn attributes_changed(
        &self,
        file: std::os::fd::BorrowedFd<'_>,
        mtime_before: Timestamp,
    ) -> Result<()> {
        let now =
            live::facts_of(file).map_err(|error| VaultError::io("a file's attributes", error))?;
        let is_being_written = self.is_being_written(now.inode);
        let mut catalog = self.catalog();
        for asset in catalog.assets_on_inode(now.inode)? {
            let Some(seen) = catalog.asset(asset)?.and_then(|record| record.file) else {
                continue;
            };
            // A file that was written since must not look as if its last version were that.
            let is_as_seen =
                seen.size == now.size && seen.attributes.mtime == mtime_before && !is_being_written;
            let mtime = match is_as_seen {
                true => now.attributes.mtime,
                false => seen.attributes.mtime,
            };
            let attributes = Attributes {
                mtime,
                ..now.attributes
            };
            self.note_file(catalog.as_mut(), asset, &FileFacts { attributes, ..seen })?;
        }
        Ok(())
    }

    /// A directory was made. Where one of that name was known, the new one starts with
    /// its own mode and owner, and without the old one's override.
    ///
    /// # Errors
    /// When the catalog fails.
    pub fn directory_made(
        &self,
        id: &PublicId,
        directory: std::os::fd::BorrowedFd<'_>,
    ) -> Result<()> {
        let mut guard = self.catalog();
        let catalog = guard.as_mut();
        if let Some(node) = self.directory_node(catalog, id)? {
            catalog.set_directory_override(node, None)?;
            drop(guard);
            self.directory_changed(id, directory)?;
        }
        Ok(())
    }

    /// Directories moved or went: paths are looked up anew.
    pub(super) fn forget_directory_paths(&self) {
        lock(&self.directories).clear();
    }

    /// Records what the live file of an asset looks like now.
    pub(super) fn note_file(
        &self,
        catalog: &mut dyn Catalog,
        asset: NodeId,
        facts: &FileFacts,
    ) -> Result<()> {
        Ok(catalog.set_asset_file(asset, Some(facts))?)
    }
}

/// A claim without its row: damage, not a rule.
pub(super) fn missing_row(id: &PublicId) -> VaultError {
    crate::catalog::CatalogError::Invariant(format!("{id}: a claim without its asset")).into()
}
