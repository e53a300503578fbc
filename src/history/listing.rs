//! Names in the history trees: what they show, and what they only answer to.
//!
//! `latest`, `previous` and `<version_id>.<ext>` are looked up and not listed, so
//! that a copy of the tree holds each version once.

use crate::catalog::{Catalog, Child, NodeKind, Standing};
use crate::model::{NodeId, VersionId};
use crate::vault::{Result, all_children};

use super::{History, Item, Place, Stat, name};

impl History<'_> {
    /// Looks a name up. `None`: no such name.
    ///
    /// # Errors
    /// When the catalog or the settling of an open question fails.
    pub fn lookup(&self, parent: Place, bytes: &[u8]) -> Result<Option<Stat>> {
        let place = match parent {
            Place::VersionsDirectory(node) => self.find_child(node, bytes)?,
            Place::DeletedDirectory(node) => self.find_deleted(node, bytes)?,
            Place::Asset(node) => self.find_version(node, bytes)?,
            Place::Version(_) | Place::DeletedFile(_) => None,
        };
        match place {
            Some(place) => self.stat(place),
            None => Ok(None),
        }
    }

    /// The names in a directory.
    ///
    /// # Errors
    /// As [`lookup`](Self::lookup).
    pub fn list(&self, place: Place) -> Result<Vec<Item>> {
        match place {
            Place::VersionsDirectory(node) => self.list_known(node),
            Place::DeletedDirectory(node) => self.list_deleted(node),
            Place::Asset(node) => {
                self.vault.settle(node)?;
                versions(self.vault.catalog().as_mut(), node)
            }
            Place::Version(_) | Place::DeletedFile(_) => Ok(Vec::new()),
        }
    }

    fn find_child(&self, directory: NodeId, bytes: &[u8]) -> Result<Option<Place>> {
        let Some(name) = name(bytes) else {
            return Ok(None);
        };
        let shadowed = {
            let mut catalog = self.vault.catalog();
            if let Some(node) = catalog.directory_at(directory, &name)?
                && catalog
                    .directory(node)?
                    .is_some_and(|record| record.has_assets)
            {
                return Ok(Some(Place::VersionsDirectory(node)));
            }
            if let Some(claim) = catalog.asset_at(directory, &name)? {
                return Ok(Some(Place::Asset(claim.asset)));
            }
            file_of_that_name(catalog.as_mut(), directory)?
        };
        match shadowed {
            Some(asset) => self.find_version(asset, bytes),
            None => Ok(None),
        }
    }

    fn find_deleted(&self, directory: NodeId, bytes: &[u8]) -> Result<Option<Place>> {
        let Some(name) = name(bytes) else {
            return Ok(None);
        };
        let mut catalog = self.vault.catalog();
        if let Some(claim) = catalog.asset_at(directory, &name)?
            && claim.standing == Standing::Deleted
        {
            return deleted_file(catalog.as_mut(), claim.asset);
        }
        // Also one that holds nothing deleted any more, though it is not listed: a copy
        // that restores its files is still at work in it.
        let known = catalog.directory_at(directory, &name)?;
        Ok(known.map(Place::DeletedDirectory))
    }

    fn find_version(&self, asset: NodeId, bytes: &[u8]) -> Result<Option<Place>> {
        let back = match bytes {
            b"latest" => Some(0),
            b"previous" => Some(1),
            _ => None,
        };
        if let Some(back) = back {
            self.vault.settle(asset)?;
            let versions = self.vault.catalog().latest_versions(asset, back + 1)?;
            return Ok(versions
                .get(back)
                .map(|version| Place::Version(version.seq)));
        }
        // <version_id> or <version_id>.<ext>, so that viewers know the type.
        let id = match bytes.iter().position(|byte| *byte == b'.') {
            Some(dot) if dot + 1 < bytes.len() => &bytes[..dot],
            Some(_) => return Ok(None),
            None => bytes,
        };
        let Some(id) = std::str::from_utf8(id)
            .ok()
            .and_then(|id| id.parse::<VersionId>().ok())
        else {
            return Ok(None);
        };
        Ok(self
            .vault
            .catalog()
            .version_by_id(asset, id)?
            .map(|version| Place::Version(version.seq)))
    }

    fn list_known(&self, directory: NodeId) -> Result<Vec<Item>> {
        let mut catalog = self.vault.catalog();
        let mut items: Vec<Item> = Vec::new();
        for child in all_children(catalog.as_mut(), directory)? {
            let (name, kind) = child.key();
            let place = match child {
                Child::Directory {
                    node,
                    has_assets: true,
                    ..
                } => Place::VersionsDirectory(node),
                Child::Directory { .. } => continue,
                Child::Asset { node, .. } => Place::Asset(node),
            };
            let name = name.as_bytes().to_vec();
            let shadowed =
                kind == NodeKind::Asset && items.last().is_some_and(|before| before.name == name);
            if !shadowed {
                items.push(Item { name, place });
            }
        }
        if let Some(asset) = file_of_that_name(catalog.as_mut(), directory)? {
            items.extend(versions(catalog.as_mut(), asset)?);
        }
        Ok(items)
    }

    fn list_deleted(&self, directory: NodeId) -> Result<Vec<Item>> {
        let mut catalog = self.vault.catalog();
        let catalog = catalog.as_mut();
        let mut items: Vec<Item> = Vec::new();
        for child in all_children(catalog, directory)? {
            let name = child.key().0.as_bytes().to_vec();
            match child {
                Child::Directory {
                    node,
                    has_deleted: true,
                    ..
                } => items.push(Item {
                    name,
                    place: Place::DeletedDirectory(node),
                }),
                Child::Asset {
                    node,
                    standing: Standing::Deleted,
                    ..
                } => {
                    if let Some(place) = deleted_file(catalog, node)? {
                        // The file that was there wins over a directory of its name, which
                        // comes right before it.
                        items.retain(|item| item.name != name);
                        items.push(Item { name, place });
                    }
                }
                _ => {}
            }
        }
        Ok(items)
    }
}

fn versions(catalog: &mut dyn Catalog, asset: NodeId) -> Result<Vec<Item>> {
    let ids = catalog.version_ids(asset)?;
    Ok(ids
        .into_iter()
        .map(|(id, seq)| Item {
            name: id.to_string().into_bytes(),
            place: Place::Version(seq),
        })
        .collect())
}

/// The asset whose name a directory took: its versions show among the directory's names.
fn file_of_that_name(catalog: &mut dyn Catalog, directory: NodeId) -> Result<Option<NodeId>> {
    let Some((parent, name)) = catalog
        .directory(directory)?
        .and_then(|record| record.place)
    else {
        return Ok(None);
    };
    Ok(catalog.asset_at(parent, &name)?.map(|claim| claim.asset))
}

fn deleted_file(catalog: &mut dyn Catalog, asset: NodeId) -> Result<Option<Place>> {
    let latest = catalog.latest_versions(asset, 1)?.pop();
    Ok(latest.map(|version| Place::DeletedFile(version.seq)))
}
