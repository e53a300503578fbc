//! Is that a place that this vault's packs may be copied to?
//!
//! It is where nothing lies, or what an earlier run of the same migration left: that is
//! what the mark says. The surprise: an old store of this very vault is refused, too. What
//! lies there and is not in the catalog would be removed.

use std::path::{Path, PathBuf};

use super::{MARK, SETTING, unfinished};
use crate::catalog::Durability;
use crate::model::StorePlace;
use crate::store::Shared;
use crate::store::backend::Backend;
use crate::store::error::{Result, StoreError};
use crate::store::membership::{self, IDENTITY};

/// What a new filesystem has at its root.
const HARMLESS: &str = "lost+found";

/// Opens the place and marks it as a copy in the making.
pub(super) fn prepare(shared: &Shared, to: &StorePlace) -> Result<Backend> {
    refuse_overlap(&shared.backend().place, to)?;
    let place = to.to_string();
    let before = unfinished(&mut **shared.catalog()?)?.map(|(to, _)| to);
    // One that was there the last time is not made anew: its disk may not be mounted.
    let new = Backend::open(to, before.as_ref() != Some(&place))?;
    let vault = &*shared.config.vault_name;
    if let StorePlace::Bucket(bucket) = to {
        membership::ask_owner(bucket, vault)?;
    }
    let id = membership::vault_id(&shared.catalog, &*shared.clock)?;
    let is_named = membership::is_signed(&place, IDENTITY, &id, &new)?;
    let is_marked = membership::is_signed(&place, MARK, &id, &new)?;
    if !is_marked {
        let is_ours = |name: &str| name == HARMLESS || (is_named && name == IDENTITY);
        if let Some(found) = new.names()?.into_iter().find(|name| !is_ours(name)) {
            let found = found.chars().filter(|c| !c.is_control()).take(100);
            return Err(StoreError::NotEmpty {
                place,
                found: found.collect(),
            });
        }
    }
    join(shared, &new)?;
    membership::sign(&place, MARK, vault, &id, &new)?;
    if let Some(before) = before.filter(|before| *before != place) {
        log::warn!("the unfinished copy of the store at {before} stays there, of no use");
    }
    let mut catalog = shared.catalog()?;
    catalog.set_setting(SETTING, Some(&place))?;
    catalog.commit(Durability::Power)?;
    drop(catalog);
    new.clear_all_leftovers()?;
    Ok(new)
}

/// The owner's marker is there where it is a bucket, and the place is this vault's.
pub(super) fn join(shared: &Shared, new: &Backend) -> Result<()> {
    let vault = &*shared.config.vault_name;
    if let StorePlace::Bucket(bucket) = &new.place {
        membership::ask_owner(bucket, vault)?;
    }
    let id = membership::vault_id(&shared.catalog, &*shared.clock)?;
    membership::claim(&new.place.to_string(), vault, &id, new)
}

/// A store inside the other one would be a part of it.
fn refuse_overlap(old: &StorePlace, new: &StorePlace) -> Result<()> {
    let bad = |reason: &str| StoreError::BadPlace {
        place: new.to_string(),
        reason: reason.into(),
    };
    let (is_same, is_nested) = match (old, new) {
        (StorePlace::Directory(old), StorePlace::Directory(new)) => {
            let (old, new) = (resolved(old), resolved(new));
            let is_nested = old.starts_with(&new) || new.starts_with(&old);
            (old == new, is_nested)
        }
        (StorePlace::Bucket(old), StorePlace::Bucket(new)) => {
            let is_one_bucket = (old.cloud, &old.bucket, &old.endpoint, &old.account)
                == (new.cloud, &new.bucket, &new.endpoint, &new.account);
            let is_below = |a: &str, b: &str| {
                let rest = a.strip_prefix(b);
                rest.is_some_and(|rest| b.is_empty() || rest.starts_with('/'))
            };
            let is_nested =
                is_below(&old.prefix, &new.prefix) || is_below(&new.prefix, &old.prefix);
            let is_same = old.prefix == new.prefix;
            (is_one_bucket && is_same, is_one_bucket && is_nested)
        }
        _ => (false, false),
    };
    if is_same {
        return Err(bad("is the store already: there is nothing to move"));
    }
    match is_nested {
        true => Err(bad("overlaps the present store: choose a place beside it")),
        false => Ok(()),
    }
}

/// Symlinks of the existing part followed.
fn resolved(path: &Path) -> PathBuf {
    let existing = path.ancestors().find_map(|ancestor| {
        let real = ancestor.canonicalize().ok()?;
        Some(real.join(path.strip_prefix(ancestor).ok()?))
    });
    existing.unwrap_or_else(|| path.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(old: &str, new: &str) -> Option<String> {
        let parse = |url| StorePlace::parse(url).unwrap();
        refuse_overlap(&parse(old), &parse(new))
            .err()
            .map(|error| error.to_string())
    }

    #[test]
    fn a_store_is_not_moved_onto_or_into_itself() {
        for (old, new, words) in [
            ("file:///nowhere/a", "file:///nowhere/a", "is the store"),
            ("file:///nowhere/a", "file:///nowhere/a/b", "overlaps"),
            ("file:///nowhere/a/b", "file:///nowhere/a", "overlaps"),
            ("s3://b/p", "s3://b/p", "is the store"),
            ("s3://b/p?region=x", "s3://b/p?region=y", "is the store"),
            ("s3://b/p", "s3://b/p/q", "overlaps"),
        ] {
            let said = refusal(old, new).unwrap_or_default();
            assert!(said.contains(words), "{old} {new}: {said}");
        }
        for (old, new) in [
            ("file:///nowhere/a", "file:///nowhere/ab"),
            ("s3://b/p", "s3://b/pq"),
            ("s3://b/p", "s3://c/p"),
            ("s3://b/p", "s3://b/p?endpoint=http://127.0.0.1:1"),
            ("s3://b/p", "gs://b/p"),
            ("file:///nowhere/a", "s3://nowhere/a"),
        ] {
            assert_eq!(refusal(old, new), None, "{old} {new}");
        }
    }
}
