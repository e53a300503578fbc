//! A catalog that was made anew out of a store, on a machine that knows nothing of it.
//!
//! What only the lost machine had goes: versions whose bytes never reached the store, and
//! what its files looked like. The surprise: versions whose bytes were there and are gone
//! stay, for a copy of the store may bring them back.

use std::collections::HashSet;

use crate::catalog::{Catalog, Child};
use crate::model::{FileFacts, InodeKey, NodeId, PackId, ROOT, Timestamp, Version, VersionSeq};

use super::Result;
use super::rename_directory::all_children;

/// Read in one go.
const PAGE: usize = 1000;

/// What a vault has after it was made anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Settled {
    /// Versions that went, because their bytes were never in the store.
    pub dropped: u64,
    /// Assets of which no version was left.
    pub forgotten: u64,
}

/// Takes out of a catalog what its machine took with it. `never_put` are the packs that
/// did not reach the store.
///
/// # Errors
/// When the catalog fails.
pub fn settle_rebuilt(
    catalog: &mut dyn Catalog,
    never_put: &[PackId],
    now: Timestamp,
) -> Result<Settled> {
    let mut settled = Settled::default();
    // Their files looked otherwise when they were seen last.
    let mut edited = HashSet::new();
    let mut drop_version = |catalog: &mut dyn Catalog, version: &Version| {
        edited.insert(version.asset);
        settled.dropped += 1;
        catalog.remove_version(version.seq)
    };
    loop {
        let page = catalog.sealed_versions(VersionSeq(0), PAGE)?;
        if page.is_empty() {
            break;
        }
        for version in &page {
            drop_version(catalog, version)?;
        }
    }
    for seq in versions_in(catalog, never_put)? {
        if let Some(version) = catalog.version(seq)? {
            drop_version(catalog, &version)?;
        }
    }
    catalog.remove_unused_contents()?;
    for &pack in never_put {
        catalog.remove_dead_chunks(pack)?;
        catalog.remove_pack(pack)?;
    }
    let mut waiting = vec![ROOT];
    while let Some(directory) = waiting.pop() {
        for child in all_children(catalog, directory)? {
            match child {
                Child::Directory { node, .. } => waiting.push(node),
                Child::Asset { node, .. } => {
                    settle_asset(catalog, node, &edited, now, &mut settled)?;
                }
            }
        }
    }
    Ok(settled)
}

/// The versions that need one of these packs.
///
/// # Errors
/// When the catalog fails.
pub fn versions_in(catalog: &mut dyn Catalog, packs: &[PackId]) -> Result<Vec<VersionSeq>> {
    let mut chunks = Vec::new();
    for &pack in packs {
        let of_pack = catalog.pack_chunks(pack)?;
        chunks.extend(of_pack.into_iter().map(|chunk| chunk.hash));
    }
    match chunks.is_empty() {
        true => Ok(Vec::new()),
        false => Ok(catalog.versions_with_chunks(&chunks)?),
    }
}

fn settle_asset(
    catalog: &mut dyn Catalog,
    asset: NodeId,
    edited: &HashSet<NodeId>,
    now: Timestamp,
    settled: &mut Settled,
) -> Result<()> {
    let Some(latest) = catalog.latest_versions(asset, 1)?.pop() else {
        settled.forgotten += 1;
        return Ok(catalog.forget_asset(asset, now)?);
    };
    if edited.contains(&asset) {
        // The mode and times of an edit that is lost belong to no content that is left.
        let file = FileFacts {
            inode: InodeKey { dev: 0, ino: 0 },
            nlink: 1,
            size: latest.size,
            attributes: latest.attributes,
            ctime: latest.kept_at,
        };
        catalog.set_asset_file(asset, Some(&file))?;
    }
    // Another filesystem gives the same numbers to other files.
    Ok(catalog.set_asset_file(asset, None)?)
}
