//! Is this the place where the vault's packs were?
//!
//! A mountpoint without its disk, a prefix that was emptied and a bucket of another account
//! look like a place for a new store. The surprise: what is written there would be found to
//! be well stored, and be hidden or lost as soon as the right place is back. So a place in
//! which nothing of the vault is left is refused where the catalog knows of something.

use super::backend::Backend;
use super::error::{Result, StoreError};
use super::lease::LEASE_NAME;
use super::membership::{IDENTITY, has_joined, is_signed, vault_id};
use crate::catalog::{PackRecord, PackState, SharedCatalog, take_turn};
use crate::model::Clock;

/// Of the packs that should be there, so many are looked for.
const PACKS_LOOKED_FOR: usize = 16;

/// Before the lease of a store in use is taken anew: the place is this vault's still.
///
/// # Errors
/// [`StoreError::Emptied`], `OtherVault` or `BadPlace` where it is not, and what the store
/// answers.
pub(super) fn confirm(backend: &Backend, catalog: &SharedCatalog, clock: &dyn Clock) -> Result<()> {
    let id = vault_id(catalog, clock)?;
    match is_signed(&backend.place.to_string(), IDENTITY, &id, backend)? {
        true => Ok(()),
        false => refuse_emptied(backend, catalog),
    }
}

/// Refuses a place that does not say whose it is, if nothing else of the vault is there
/// either and something should be.
///
/// # Errors
/// [`StoreError::Emptied`], and what the store answers.
pub(super) fn refuse_emptied(backend: &Backend, catalog: &SharedCatalog) -> Result<()> {
    let (mut packs, is_known) = {
        let mut catalog = take_turn(catalog).unwrap_or_else(|poisoned| poisoned.into_inner());
        let is_known = has_joined(&mut **catalog, &backend.place)?;
        (catalog.packs()?, is_known)
    };
    packs.retain(|pack| pack.state == PackState::Stored);
    if packs.is_empty() && !is_known {
        return Ok(());
    }
    if backend.small_object(LEASE_NAME)?.is_some() || has_any(backend, &packs)? {
        return Ok(());
    }
    Err(StoreError::Emptied {
        place: backend.place.to_string(),
    })
}

fn has_any(backend: &Backend, packs: &[PackRecord]) -> Result<bool> {
    let apart = packs.len().div_ceil(PACKS_LOOKED_FOR).max(1);
    for pack in packs.iter().step_by(apart) {
        if backend.pack_bytes(pack.id)? == Some(pack.bytes) {
            return Ok(true);
        }
    }
    Ok(false)
}
