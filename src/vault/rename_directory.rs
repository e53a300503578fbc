//! Directory renames: the history of everything below follows, in O(1).
//!
//! The exception: the new name may be where a removed directory was whose deleted
//! assets still reserve names. They are merged in, or the rename is refused.

use crate::catalog::{Catalog, Child, Standing, attempt};
use crate::model::{NodeId, PublicId, Timestamp};

use super::rename::{Party, Rename};
use super::{Result, Vault, VaultError};

/// Children read in one go.
const PAGE: usize = 1000;

impl Vault {
    pub(super) fn rename_directory(
        &self,
        from: &PublicId,
        to: &PublicId,
        rename: &mut dyn FnMut() -> Result<()>,
    ) -> Result<()> {
        let mut catalog = self.catalog();
        let now = self.clock.now();
        let result = attempt(catalog.as_mut(), |catalog| {
            let source = self.directory_node(catalog, from)?;
            let target = self.directory_node(catalog, to)?;
            if let Some(source) = source {
                if let Some(target) = target {
                    self.merge_directory(catalog, target, source, to, now)?;
                }
                if let Some((parent, name)) = to.split() {
                    let parent = self.ensure_directory(catalog, &parent, now)?;
                    catalog.move_directory(source, parent, &name, now)?;
                }
            }
            rename()
        });
        self.forget_directory_paths();
        result
    }

    /// Moves what still claims names below `old` (a directory that is no longer
    /// there) into `new`, which takes its place at `path`.
    fn merge_directory(
        &self,
        catalog: &mut dyn Catalog,
        old: NodeId,
        new: NodeId,
        path: &PublicId,
        now: Timestamp,
    ) -> Result<()> {
        for child in all_children(catalog, old)? {
            match child {
                Child::Asset {
                    name,
                    node,
                    standing,
                } => {
                    if catalog.asset_at(new, &name)?.is_some() {
                        return Err(VaultError::NameReserved {
                            path: path.join(&name),
                        });
                    }
                    if standing == Standing::Live {
                        // rename(2) takes only an empty directory's place: this file is
                        // gone behind the mount's back.
                        self.end_live(catalog, node, now)?;
                        if catalog.asset(node)?.is_none() {
                            continue;
                        }
                    }
                    catalog.move_asset(node, new, &name, now)?;
                }
                Child::Directory { name, node, .. } => match catalog.directory_at(new, &name)? {
                    Some(existing) => {
                        self.merge_directory(catalog, node, existing, &path.join(&name), now)?;
                    }
                    None => catalog.move_directory(node, new, &name, now)?,
                },
            }
        }
        catalog.set_directory_override(old, None)?;
        Ok(catalog.forget_directory(old, now)?)
    }

    /// The directories' half of an exchange.
    pub(super) fn exchange_directories(
        &self,
        catalog: &mut dyn Catalog,
        request: &Rename<'_>,
        now: Timestamp,
    ) -> Result<()> {
        let node_of = |catalog: &mut dyn Catalog, party, id| match party {
            Party::Directory => self.directory_node(catalog, id),
            _ => Ok(None),
        };
        let a = node_of(catalog, request.source, request.from)?;
        let b = node_of(catalog, request.target, request.to)?;
        let (node, place) = match (a, b) {
            (Some(a), Some(b)) => return Ok(catalog.swap_directories(a, b, now)?),
            (Some(a), None) => (a, request.to),
            (None, Some(b)) => (b, request.from),
            (None, None) => return Ok(()),
        };
        if let Some((parent, name)) = place.split() {
            let parent = self.ensure_directory(catalog, &parent, now)?;
            catalog.move_directory(node, parent, &name, now)?;
        }
        Ok(())
    }
}

/// All children of a known directory.
pub(crate) fn all_children(catalog: &mut dyn Catalog, directory: NodeId) -> Result<Vec<Child>> {
    let mut children: Vec<Child> = Vec::new();
    loop {
        let after = children.last().map(Child::key);
        let page = catalog.children(directory, after.as_ref(), PAGE)?;
        let last_page = page.len() < PAGE;
        children.extend(page);
        if last_page {
            return Ok(children);
        }
    }
}
