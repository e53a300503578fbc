//! Do catalog, store and vault have the same key?
//!
//! A store has a copy of the vault's `key.json`, so that packs and a secret are enough to
//! read it. The vault's own copy is the authority: a store's is never believed over it. The
//! surprise: a missing copy is written once for each place; later, its absence means that
//! something is wrong with the place.

use super::backend::Backend;
use super::error::{Result, StoreError};
use super::key_document::{KEY_NAME, KeyDocument};
use super::lease::Lease;
use super::membership::Answer;
use super::records::RecordFlaw;
use super::{Shared, StoreConfig};
use crate::catalog::{Catalog, PackRecord, SharedCatalog, take_turn};
use crate::model::{StorePlace, WriteClaim};

/// The id of the key that the packs of this catalog are sealed with.
const KEY_SETTING: &str = "store_key";
/// The place that got a copy.
const KEY_AT_SETTING: &str = "store_key_at";
/// No copy is longer.
const BYTES_MAX: u64 = 64 << 10;

/// The store's copy of the vault's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StoreCopy {
    /// As it should be, or not to be seen now.
    Fits,
    /// Not there yet, or locked with a secret of before.
    IsOld,
}

/// Makes sure that catalog, store and vault have the same key, or all none. Changes nothing
/// in the store.
///
/// # Errors
/// [`StoreError::KeyDisagrees`], [`StoreError::KeyDamaged`], and what the store answers.
pub(super) fn compare(
    config: &StoreConfig,
    answer: Answer,
    backend: &Backend,
    catalog: &SharedCatalog,
    packs: &[PackRecord],
) -> Result<StoreCopy> {
    let mut catalog = take_turn(catalog).unwrap_or_else(|poisoned| poisoned.into_inner());
    is_the_same_as_ever(config, &mut **catalog, packs)?;
    if answer == Answer::None {
        return Ok(StoreCopy::Fits);
    }
    let had_copy = catalog.setting(KEY_AT_SETTING)? == Some(config.place.to_string())
        && config.write_claim != WriteClaim::AcceptEmpty;
    drop(catalog);
    compare_with_copy(config, backend, had_copy)
}

/// Brings the store's copy into line with the vault's.
///
/// # Errors
/// What the store answers.
pub(super) fn bring(
    config: &StoreConfig,
    answer: Answer,
    copy: StoreCopy,
    backend: &Backend,
    lease: &Lease,
    catalog: &SharedCatalog,
) -> Result<()> {
    let is_wanted = answer == Answer::Welcome && config.write_claim != WriteClaim::ReadOnly;
    let Some(key) = config.key.as_ref().filter(|_| is_wanted) else {
        return Ok(());
    };
    if copy == StoreCopy::IsOld {
        lease.require(backend)?;
        backend.put_object(KEY_NAME, key.document().to_bytes())?;
    }
    let mut catalog = take_turn(catalog).unwrap_or_else(|poisoned| poisoned.into_inner());
    let place = config.place.to_string();
    if catalog.setting(KEY_AT_SETTING)?.as_ref() != Some(&place) {
        catalog.set_setting(KEY_AT_SETTING, Some(&place))?;
    }
    Ok(())
}

/// What is wrong with the store's copy. `None`: nothing, or the vault has no key.
///
/// # Errors
/// When the store gives no answer.
pub(super) fn flaw(shared: &Shared) -> Result<Option<RecordFlaw>> {
    let problem = match compare_with_copy(&shared.config, &shared.backend(), true) {
        Ok(StoreCopy::Fits) => return Ok(None),
        Ok(StoreCopy::IsOld) => "it is locked with a secret of before".into(),
        Err(StoreError::KeyDisagrees { problem, .. } | StoreError::KeyDamaged { problem, .. }) => {
            problem
        }
        Err(error) => return Err(error),
    };
    Ok(Some(RecordFlaw {
        object: KEY_NAME.into(),
        problem,
    }))
}

/// Writes the vault's own once more, unless another vault's is there.
///
/// # Errors
/// What the store answers.
pub(super) fn put_again(shared: &Shared) -> Result<()> {
    let Some(own) = shared.config.key.as_ref().map(|key| key.document()) else {
        return Ok(());
    };
    let backend = shared.backend();
    match read_copy(&backend, &backend.place) {
        Ok(Some(found)) if found == *own || found.key_id() != own.key_id() => Ok(()),
        Ok(_) | Err(StoreError::KeyDamaged { .. }) => backend.put_object(KEY_NAME, own.to_bytes()),
        Err(error) => Err(error),
    }
}

/// The key document in a store, for who has lost the vault. `None`: there is none.
///
/// # Errors
/// [`StoreError::KeyDamaged`], and what the store answers.
pub fn key_document_at(place: &StorePlace) -> Result<Option<KeyDocument>> {
    read_copy(&Backend::open(place, false)?, place)
}

fn read_copy(backend: &Backend, place: &StorePlace) -> Result<Option<KeyDocument>> {
    backend
        .object(KEY_NAME, BYTES_MAX)?
        .map(|bytes| KeyDocument::parse(&bytes, &format!("{KEY_NAME} in {place}")))
        .transpose()
}

fn disagrees<T>(config: &StoreConfig, problem: &str) -> Result<T> {
    Err(StoreError::KeyDisagrees {
        place: config.place.to_string(),
        problem: problem.into(),
    })
}

/// This must be the key that the vault always had, or it had none. What another key does
/// not open would look like bytes that were lost.
fn is_the_same_as_ever(
    config: &StoreConfig,
    catalog: &mut dyn Catalog,
    packs: &[PackRecord],
) -> Result<()> {
    let known = catalog.setting(KEY_SETTING)?;
    let own = config.key.as_ref().map(|key| key.document().key_id());
    let problem = match (&known, own) {
        (None, None) => return Ok(()),
        (Some(known), Some(own)) if known == own => return Ok(()),
        // A new vault, or one that was rebuilt from what the store has.
        (None, Some(own)) if !has_plain_chunks(catalog, packs)? => {
            return Ok(catalog.set_setting(KEY_SETTING, Some(own))?);
        }
        (Some(_), Some(_)) => {
            "is not sealed with this key: put back the key.json of the vault from a copy"
        }
        (None, Some(_)) => {
            "has packs that are not encrypted, and stays so: take [encryption] out of keepfs.toml"
        }
        (Some(_), None) => "is encrypted: put [encryption] back into keepfs.toml",
    };
    disagrees(config, problem)
}

fn has_plain_chunks(catalog: &mut dyn Catalog, packs: &[PackRecord]) -> Result<bool> {
    for pack in packs {
        // All are of the same kind.
        if let Some(chunk) = catalog.pack_chunks(pack.id)?.first() {
            return Ok(!chunk.codec.is_sealed());
        }
    }
    Ok(false)
}

fn compare_with_copy(config: &StoreConfig, backend: &Backend, had_copy: bool) -> Result<StoreCopy> {
    let Some(key) = &config.key else {
        return match backend.object(KEY_NAME, BYTES_MAX)? {
            None => Ok(StoreCopy::Fits),
            Some(_) => disagrees(
                config,
                "has a key.json: an encrypted vault writes there, and this one is not encrypted. \
                 Give this one a store of its own, or put [encryption] back into its keepfs.toml",
            ),
        };
    };
    let own = key.document();
    match read_copy(backend, &config.place)? {
        Some(found) if found == *own => Ok(StoreCopy::Fits),
        Some(found) if found.key_id() == own.key_id() => Ok(StoreCopy::IsOld),
        Some(_) => disagrees(
            config,
            "has the key.json of another vault: give this one a store of its own",
        ),
        None if had_copy => disagrees(
            config,
            "has lost its key.json: if it is the right place, copy the vault's key.json there",
        ),
        None => Ok(StoreCopy::IsOld),
    }
}
