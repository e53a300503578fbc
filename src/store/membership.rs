//! May this vault write to that bucket, and is that prefix its own?
//!
//! Two objects decide. The *marker* `.wellknown/keepfs/VAULT` at the bucket's root is
//! put there by its owner: without it nothing is written. `vault.json` under the
//! vault's prefix says whose prefix it is. The surprise: a vault that has been let in
//! once mounts without asking when the bucket is away.

use object_store::ObjectStoreExt;
use object_store::path::Path as ObjectPath;
use serde::{Deserialize, Serialize};

use super::backend::{Backend, runtime};
use super::bucket::{Patience, command_that_writes, connect_whole, refused, shown};
use super::error::{Result, StoreError};
use crate::catalog::{Durability, SharedCatalog, take_turn};
use crate::model::{BucketPlace, Clock};

const MARKERS: &str = ".wellknown/keepfs";
const IDENTITY: &str = "vault.json";
/// Of what lies under a prefix.
const FORMAT: u32 = 1;
/// The place that let this vault in.
const JOINED_SETTING: &str = "store_joined";
const VAULT_ID_SETTING: &str = "vault_id";

/// Whose prefix it is.
#[derive(Debug, Serialize, Deserialize)]
struct Identity {
    format: u32,
    vault: String,
    id: String,
}

/// What the bucket said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// The vault may write.
    Welcome,
    /// Nothing: it is away, or another one writes there. It let the vault in before.
    None,
}

/// Makes sure that the vault may write to a bucket, and that its prefix is its own.
///
/// # Errors
/// `NotAllowed`, `OtherVault`, `BadPlace`, and what the bucket answers. That it does
/// not answer is an error only until it has let the vault in once.
pub(super) fn join(
    place: &BucketPlace,
    vault: &str,
    backend: &Backend,
    catalog: &SharedCatalog,
    clock: &dyn Clock,
) -> Result<Answer> {
    check_name(place, vault)?;
    let here = shown(place);
    let (joined, id) = {
        let mut catalog = take_turn(catalog).unwrap_or_else(|poisoned| poisoned.into_inner());
        let id = match catalog.setting(VAULT_ID_SETTING)? {
            Some(id) => id,
            None => {
                let id = format!("{:032x}", clock.random());
                catalog.set_setting(VAULT_ID_SETTING, Some(&id))?;
                // Before the bucket hears of it: a kill must not leave us strangers there.
                catalog.commit(Durability::Power)?;
                id
            }
        };
        (catalog.setting(JOINED_SETTING)?, id)
    };
    let is_known = joined.as_ref() == Some(&here);
    match check(place, vault, &id, backend) {
        Ok(()) => {}
        Err(error @ StoreError::Unreachable { .. }) if is_known => {
            log::warn!("{error}: what is sealed waits in the spool until it does");
            return Ok(Answer::None);
        }
        Err(error) => return Err(error),
    }
    if !is_known {
        let mut catalog = take_turn(catalog).unwrap_or_else(|poisoned| poisoned.into_inner());
        catalog.set_setting(JOINED_SETTING, Some(&here))?;
    }
    Ok(Answer::Welcome)
}

fn check(place: &BucketPlace, vault: &str, id: &str, backend: &Backend) -> Result<()> {
    let marker = marker(vault);
    let whole = connect_whole(place, Patience::Brief)?;
    match runtime()?.block_on(async { whole.head(&ObjectPath::from(marker.as_str())).await }) {
        Ok(_) => {}
        Err(object_store::Error::NotFound { .. }) => {
            return Err(StoreError::NotAllowed {
                place: shown(place),
                vault: vault.into(),
                command: command_that_writes(place, &marker),
            });
        }
        Err(error) => return Err(refused("looking for the owner's marker", error)),
    }
    let own = Identity {
        format: FORMAT,
        vault: vault.into(),
        id: id.into(),
    };
    let text = serde_json::to_vec(&own).unwrap_or_default();
    loop {
        if let Some(found) = backend.small_object(IDENTITY)? {
            return is_ours(place, &found, id);
        }
        if backend.create_object(IDENTITY, text.clone())? {
            return Ok(());
        }
    }
}

fn is_ours(place: &BucketPlace, found: &[u8], id: &str) -> Result<()> {
    let bad = |reason: String| StoreError::BadPlace {
        place: shown(place),
        reason,
    };
    let found: Identity = serde_json::from_slice(found).map_err(|_| {
        bad(format!(
            "{IDENTITY} is not what keepfs wrote: choose another prefix, or put it back from a copy"
        ))
    })?;
    if found.format > FORMAT {
        return Err(bad(format!(
            "was written by a newer keepfs (format {}; this one knows {FORMAT}): update keepfs",
            found.format
        )));
    }
    if found.id != id {
        return Err(StoreError::OtherVault {
            place: shown(place),
            owner: found
                .vault
                .chars()
                .filter(|c| !c.is_control())
                .take(100)
                .collect(),
        });
    }
    Ok(())
}

/// Writes the marker that lets a vault write to a bucket: for its owner.
///
/// # Errors
/// When the bucket says no.
pub fn allow(place: &BucketPlace, vault: &str) -> Result<()> {
    check_name(place, vault)?;
    let key = ObjectPath::from(marker(vault));
    let whole = connect_whole(place, Patience::Brief)?;
    runtime()?
        .block_on(async { whole.put(&key, Vec::new().into()).await })
        .map(|_| ())
        .map_err(|error| refused("writing the marker", error))
}

fn marker(vault: &str) -> String {
    format!("{MARKERS}/{vault}")
}

/// A name that is the same in every cloud's tools.
fn check_name(place: &BucketPlace, vault: &str) -> Result<()> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if vault.chars().all(is_plain) && !vault.is_empty() && !vault.starts_with('.') {
        return Ok(());
    }
    Err(StoreError::BadPlace {
        place: shown(place),
        reason: format!(
            "the vault's name '{vault}' cannot stand in a bucket: set name in keepfs.toml, \
             of letters, digits, '.', '_' and '-'"
        ),
    })
}
