//! May this vault write to that store, and is the place its own?
//!
//! Two objects decide. The *marker* `.wellknown/keepfs/VAULT` at a bucket's root is
//! put there by its owner: without it nothing is written. `vault.json` under the
//! vault's prefix, or in its directory, says whose it is. The surprise: a vault that has been let in
//! once mounts without asking when the bucket is away.

mod owner;

use serde::{Deserialize, Serialize};

pub use owner::allow;
pub(super) use owner::ask_owner;

use self::owner::{ask_bucket, check_name};
use super::backend::Backend;
use super::error::{Result, StoreError};
use super::records::RecordFlaw;
use super::{Shared, StoreConfig, founding};
use crate::catalog::{Catalog, Durability, SharedCatalog, take_turn};
use crate::model::{BucketPlace, Clock, StorePlace, WriteClaim};

/// Whose prefix it is.
pub(super) const IDENTITY: &str = "vault.json";
/// Of what lies under a prefix.
const FORMAT: u32 = 1;
/// The place that is this vault's own, or let it in. Two with a space between while it moves.
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

/// Makes sure that the vault may write to a bucket, if it wants to, and that its prefix is
/// its own. One that does not answer and has let the vault in once may be [asked](ask) later.
///
/// # Errors
/// As [`ask`].
pub(super) fn join(
    place: &BucketPlace,
    config: &StoreConfig,
    backend: &Backend,
    catalog: &SharedCatalog,
    clock: &dyn Clock,
) -> Result<Answer> {
    let is_known = {
        let mut catalog = take_turn(catalog).unwrap_or_else(|poisoned| poisoned.into_inner());
        has_joined(&mut **catalog, &backend.place)?
    };
    match ask(place, config, backend, catalog, clock) {
        Ok(()) => Ok(Answer::Welcome),
        Err(error @ StoreError::Unreachable { .. }) if is_known => {
            log::warn!("{error}: what is sealed waits in the spool until it does");
            Ok(Answer::None)
        }
        // A machine that has just started may not know its role yet.
        Err(error @ StoreError::NoCredentials { .. }) if is_known => {
            log::warn!("{error}; what is sealed waits in the spool until there are");
            Ok(Answer::None)
        }
        Err(error) => Err(error),
    }
}

/// Returns when the bucket has said that the vault may write, if it wants to, and that the
/// prefix is its own.
///
/// # Errors
/// `NotAllowed`, `OtherVault`, `Namesake`, `Emptied`, `BadPlace`, and what the bucket answers.
pub(super) fn ask(
    place: &BucketPlace,
    config: &StoreConfig,
    backend: &Backend,
    catalog: &SharedCatalog,
    clock: &dyn Clock,
) -> Result<()> {
    let vault = &*config.vault_name;
    check_name(place, vault)?;
    let here = backend.place.to_string();
    let id = vault_id(catalog, clock)?;
    let asked = match config.write_claim {
        // Whoever only reads needs nobody's leave.
        WriteClaim::ReadOnly => is_signed(&here, IDENTITY, &id, backend)
            .and_then(|is_there| if is_there { Ok(()) } else { ask_bucket(place) }),
        WriteClaim::Keep | WriteClaim::TakeOver | WriteClaim::AcceptEmpty => {
            ask_owner(place, vault)
        }
    };
    asked
        .and_then(|()| match look(config, &id, backend, catalog)? {
            Signature::Wanted => claim(&here, vault, &id, backend),
            Signature::There | Signature::Missing => Ok(()),
        })
        .map_err(|error| of_namesake(error, vault))?;
    note_own(config, &here, catalog)
}

/// Makes sure that a directory is this vault's own. One from before there was a
/// `vault.json` gets it now.
///
/// # Errors
/// `OtherVault`, `Namesake`, `BadPlace`, and what the directory answers.
pub(super) fn join_directory(
    config: &StoreConfig,
    backend: &Backend,
    catalog: &SharedCatalog,
    clock: &dyn Clock,
) -> Result<Answer> {
    let here = backend.place.to_string();
    let id = vault_id(catalog, clock)?;
    let named = |error| of_namesake(error, &config.vault_name);
    let signed = look(config, &id, backend, catalog).map_err(named)?;
    if signed == Signature::Wanted {
        match claim(&here, &config.vault_name, &id, backend) {
            Ok(()) => {}
            Err(error @ StoreError::OtherVault { .. }) => return Err(named(error)),
            // A disk that takes nothing now is no reason not to mount.
            Err(error) => {
                log::warn!("{here}: {IDENTITY} is not there, and waits: {error}");
                return Ok(Answer::Welcome);
            }
        }
    }
    note_own(config, &here, catalog)?;
    Ok(Answer::Welcome)
}

/// Whether a place says that it is this vault's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Signature {
    There,
    /// It does not, and shall.
    Wanted,
    /// It does not, and nothing shall be written.
    Missing,
}

/// Does the place say whose it is, and may it be made this vault's own if not?
fn look(
    config: &StoreConfig,
    id: &str,
    backend: &Backend,
    catalog: &SharedCatalog,
) -> Result<Signature> {
    let here = backend.place.to_string();
    if is_signed(&here, IDENTITY, id, backend)? {
        return Ok(Signature::There);
    }
    if config.write_claim != WriteClaim::AcceptEmpty {
        founding::refuse_emptied(backend, catalog)?;
    }
    Ok(match config.write_claim {
        WriteClaim::ReadOnly => Signature::Missing,
        WriteClaim::Keep | WriteClaim::TakeOver | WriteClaim::AcceptEmpty => Signature::Wanted,
    })
}

/// True where a place was this vault's own the last time.
pub(super) fn has_joined(catalog: &mut dyn Catalog, place: &StorePlace) -> Result<bool> {
    let here = place.to_string();
    let joined = catalog.setting(JOINED_SETTING)?;
    Ok(joined.is_some_and(|places| places.split(' ').any(|place| place == here)))
}

fn note_own(config: &StoreConfig, here: &str, catalog: &SharedCatalog) -> Result<()> {
    let mut catalog = take_turn(catalog).unwrap_or_else(|poisoned| poisoned.into_inner());
    let is_noted = catalog.setting(JOINED_SETTING)?.as_deref() == Some(here);
    if config.write_claim != WriteClaim::ReadOnly && !is_noted {
        catalog.set_setting(JOINED_SETTING, Some(here))?;
    }
    Ok(())
}

/// What this vault is called where its name may be another's: drawn by lot once.
pub(super) fn vault_id(catalog: &SharedCatalog, clock: &dyn Clock) -> Result<String> {
    let mut catalog = take_turn(catalog).unwrap_or_else(|poisoned| poisoned.into_inner());
    if let Some(id) = catalog.setting(VAULT_ID_SETTING)? {
        return Ok(id);
    }
    let id = format!("{:032x}", clock.random());
    catalog.set_setting(VAULT_ID_SETTING, Some(&id))?;
    // Before any store hears of it: a kill must not leave us strangers there.
    catalog.commit(Durability::Power)?;
    Ok(id)
}

/// Notes the places that know this vault: while it moves they are two.
pub(super) fn note_joined(catalog: &mut dyn Catalog, places: &[&StorePlace]) -> Result<()> {
    let joined: Vec<_> = places.iter().map(ToString::to_string).collect();
    Ok(catalog.set_setting(JOINED_SETTING, Some(&joined.join(" ")))?)
}

/// Makes the prefix this vault's, or sees that it is.
pub(super) fn claim(place: &str, vault: &str, id: &str, backend: &Backend) -> Result<()> {
    sign(place, IDENTITY, vault, id, backend)
}

/// Puts this vault's name and id under a key, or sees that they are there.
pub(super) fn sign(place: &str, key: &str, vault: &str, id: &str, backend: &Backend) -> Result<()> {
    let own = Identity {
        format: FORMAT,
        vault: vault.into(),
        id: id.into(),
    };
    let text = serde_json::to_vec(&own).unwrap_or_default();
    loop {
        if is_signed(place, key, id, backend)? {
            return Ok(());
        }
        if backend.create_object(key, text.clone())? {
            note_owner(key, id, backend);
            return Ok(());
        }
    }
}

/// True when this vault's name and id are under a key, false when nothing is.
///
/// # Errors
/// `OtherVault` or `BadPlace`, when something else is.
pub(super) fn is_signed(place: &str, key: &str, id: &str, backend: &Backend) -> Result<bool> {
    let Some(found) = backend.small_object(key)? else {
        return Ok(false);
    };
    if let Err(refusal) = is_ours(place, key, &found, id) {
        match backend.small_object(key)? {
            // The first answer may have been cut on its way.
            Some(again) if again != found => is_ours(place, key, &again, id)?,
            _ => return Err(refusal),
        }
    }
    note_owner(key, id, backend);
    Ok(true)
}

fn note_owner(key: &str, id: &str, backend: &Backend) {
    if key == IDENTITY {
        backend.belongs_to(id);
    }
}

/// True when that is what the vault of this id puts under [`IDENTITY`].
pub(super) fn is_identity_of(found: &[u8], id: &str) -> bool {
    serde_json::from_slice(found).is_ok_and(|found: Identity| found.id == id)
}

/// Whoever sets up a vault over the store of one that was lost gives it its name.
fn of_namesake(error: StoreError, vault: &str) -> StoreError {
    match error {
        StoreError::OtherVault { place, owner } if owner == vault => StoreError::Namesake {
            place,
            vault: owner,
        },
        other => other,
    }
}

fn is_ours(place: &str, key: &str, found: &[u8], id: &str) -> Result<()> {
    let bad = |reason: String| StoreError::BadPlace {
        place: place.into(),
        reason,
    };
    let found: Identity = serde_json::from_slice(found).map_err(|_| {
        bad(format!(
            "{key} is not what keepfs wrote: choose another prefix, or put it back from a copy"
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
            place: place.into(),
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

/// What is wrong with what says whose prefix this is. `None`: nothing.
///
/// # Errors
/// When the store gives no answer, or the catalog fails.
pub(super) fn flaw(shared: &Shared) -> Result<Option<RecordFlaw>> {
    let problem = match signed(shared) {
        Ok(true) => return Ok(None),
        Ok(false) => String::from("it is not there: another vault could take the place"),
        Err(error @ (StoreError::OtherVault { .. } | StoreError::BadPlace { .. })) => {
            error.to_string()
        }
        Err(error) => return Err(error),
    };
    Ok(Some(RecordFlaw {
        object: IDENTITY.into(),
        problem,
    }))
}

/// Says once more whose prefix this is, where that is gone.
///
/// # Errors
/// As [`join`].
pub(super) fn sign_again(shared: &Shared) -> Result<()> {
    let backend = shared.backend();
    let id = vault_id(&shared.catalog, &*shared.clock)?;
    let here = backend.place.to_string();
    claim(&here, &shared.config.vault_name, &id, &backend)
}

fn signed(shared: &Shared) -> Result<bool> {
    let backend = shared.backend();
    let id = vault_id(&shared.catalog, &*shared.clock)?;
    is_signed(&backend.place.to_string(), IDENTITY, &id, &backend)
}
