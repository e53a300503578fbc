//! A catalog that was made anew out of a store, on a machine that knows nothing of it.
//!
//! What only the lost machine had goes: versions whose bytes never reached the store. What
//! its files looked like, the catalog was made without. The surprise: versions whose bytes
//! were there and are gone stay, for a copy of the store may bring them back.

use std::collections::HashMap;

use crate::catalog::{Catalog, Durability, Standing};
use crate::model::{
    Attributes, FileFacts, InodeKey, NodeId, PackId, Timestamp, Version, VersionId, VersionSeq,
};
use crate::store::versions_in_packs;

use super::Result;

/// Read in one go.
const PAGE: usize = 1000;
/// Of versions or assets.
const CHANGES_A_COMMIT: u64 = 10_000;

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
    let mut lost = Lost::new();
    loop {
        let page = catalog.sealed_versions(VersionSeq(0), PAGE)?;
        if page.is_empty() {
            break;
        }
        for version in page {
            drop_version(catalog, &version, &mut lost)?;
            settled.dropped += 1;
        }
        catalog.commit(Durability::Process)?;
    }
    for seq in versions_in_packs(catalog, never_put)? {
        if let Some(version) = catalog.version(seq)? {
            drop_version(catalog, &version, &mut lost)?;
            settled.dropped += 1;
            commit_at(catalog, settled.dropped)?;
        }
    }
    catalog.remove_unused_contents()?;
    for &pack in never_put {
        catalog.remove_dead_chunks(pack)?;
        catalog.remove_pack(pack)?;
    }
    for asset in catalog.assets_without_versions()? {
        catalog.forget_asset(asset, now)?;
        settled.forgotten += 1;
        commit_at(catalog, settled.forgotten)?;
    }
    for (asset, id) in lost {
        if let Some(latest) = catalog.latest_versions(asset, 1)?.pop()
            && id > latest.id
        {
            set_last_time(catalog, asset, &latest)?;
        }
    }
    Ok(settled)
}

/// What is half done is never used, and what is not committed is kept in memory.
fn commit_at(catalog: &mut dyn Catalog, changes: u64) -> Result<()> {
    match changes.is_multiple_of(CHANGES_A_COMMIT) {
        true => Ok(catalog.commit(Durability::Process)?),
        false => Ok(()),
    }
}

/// The newest version that each asset lost.
type Lost = HashMap<NodeId, VersionId>;

fn drop_version(catalog: &mut dyn Catalog, version: &Version, lost: &mut Lost) -> Result<()> {
    let newest = lost.entry(version.asset).or_insert(version.id);
    *newest = version.id.max(*newest);
    Ok(catalog.remove_version(version.seq)?)
}

/// The file will have the bytes of an older version, so it was not changed when the newer one
/// was. Its mode and owner stay as they were last.
fn set_last_time(catalog: &mut dyn Catalog, asset: NodeId, version: &Version) -> Result<()> {
    let Some(record) = catalog.asset(asset)? else {
        return Ok(());
    };
    let Some(last) = record
        .last_attributes
        .filter(|_| record.standing == Standing::Live)
    else {
        return Ok(());
    };
    let mtime = version.attributes.mtime;
    let facts = FileFacts {
        inode: InodeKey { dev: 0, ino: 0 },
        nlink: 1,
        size: version.size,
        attributes: Attributes { mtime, ..last },
        ctime: mtime,
    };
    catalog.set_asset_file(asset, Some(&facts))?;
    Ok(catalog.set_asset_file(asset, None)?)
}
