//! Has the owner of a bucket allowed the vault to write there?
//!
//! That says the marker, an empty object at the bucket's root. Whoever can put it there may
//! say so.

use futures_util::StreamExt;
use object_store::path::Path as ObjectPath;
use object_store::{ObjectStore, ObjectStoreExt};

use crate::model::BucketPlace;
use crate::store::backend::runtime;
use crate::store::bucket::{Patience, connect_whole, refused, shown};
use crate::store::commands::command_that_writes;
use crate::store::error::{Result, StoreError};

const MARKERS: &str = ".wellknown/keepfs";

/// Has the owner of the bucket put the vault's marker there?
pub(in crate::store) fn ask_owner(place: &BucketPlace, vault: &str) -> Result<()> {
    check_name(place, vault)?;
    let marker = marker(vault);
    let whole = connect_whole(place, Patience::Brief)?;
    match runtime()?.block_on(async { whole.head(&ObjectPath::from(marker.as_str())).await }) {
        Ok(_) => Ok(()),
        Err(object_store::Error::NotFound { .. }) => {
            check_bucket(place, whole.as_ref())?;
            Err(StoreError::NotAllowed {
                place: shown(place),
                vault: vault.into(),
                command: command_that_writes(place, &marker),
            })
        }
        Err(error) => Err(refused("looking for the owner's marker", error)),
    }
}

/// Is there such a bucket?
pub(super) fn ask_bucket(place: &BucketPlace) -> Result<()> {
    check_bucket(place, connect_whole(place, Patience::Brief)?.as_ref())
}

/// An empty bucket is an answer to whoever lists it; of one that is not there none is.
fn check_bucket(place: &BucketPlace, whole: &dyn ObjectStore) -> Result<()> {
    let listed = runtime()?.block_on(async { whole.list(None).next().await });
    let Some(Err(error)) = listed else {
        return Ok(());
    };
    // Not each cloud's answer is told apart by the client.
    let said = format!("{error:?}");
    let is_known = ["NoSuchBucket", "ContainerNotFound", "bucket does not exist"]
        .iter()
        .any(|words| said.contains(words));
    match is_known || matches!(error, object_store::Error::NotFound { .. }) {
        true => Err(StoreError::NoBucket {
            place: shown(place),
            bucket: place.bucket.clone(),
        }),
        false => Ok(()),
    }
}

/// Writes the marker that lets a vault write to a bucket: for its owner.
///
/// # Errors
/// When the bucket says no.
pub fn allow(place: &BucketPlace, vault: &str) -> Result<()> {
    check_name(place, vault)?;
    let key = ObjectPath::from(marker(vault));
    let whole = connect_whole(place, Patience::Brief)?;
    let put = runtime()?.block_on(async { whole.put(&key, Vec::new().into()).await });
    match put {
        Ok(_) => Ok(()),
        Err(error) => {
            if matches!(error, object_store::Error::NotFound { .. }) {
                check_bucket(place, whole.as_ref())?;
            }
            Err(refused("writing the marker", error))
        }
    }
}

fn marker(vault: &str) -> String {
    format!("{MARKERS}/{vault}")
}

/// A name that is the same in every cloud's tools.
pub(super) fn check_name(place: &BucketPlace, vault: &str) -> Result<()> {
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
