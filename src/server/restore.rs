//! Several files and directories at once: which contents a restore brings back, and where.
//!
//! Each file goes or fails on its own and is reported on its own; what was in the way
//! stays as it was.

use super::event::{Item, ProblemRow};
use super::execute::{Door, prefix};
use super::failure::{ErrorCode, Failure};
use super::listing::nothing_there;
use super::protocol::{Reply, Switch};
use super::restored::{RestoreRequest, RestoreSource, RestoredRow};
use super::wire_path::WirePath;
use crate::catalog::Standing;
use crate::model::PublicId;
use crate::vault::live::Found;
use crate::vault::{Clobber, Restore, Restored, Vault, VaultError};

pub(super) fn restore(
    vault: &Vault,
    request: &RestoreRequest,
    door: &mut Door<'_>,
) -> Result<Reply, Failure> {
    for source in &request.sources {
        match plan(vault, request, source) {
            Ok(steps) => {
                for step in steps {
                    carry_out(vault, request.dry_run, &step, door)?;
                }
            }
            Err(failure) => report(&source.path.0, failure, door)?,
        }
    }
    Ok(Reply::Done)
}

fn plan(
    vault: &Vault,
    request: &RestoreRequest,
    source: &RestoreSource,
) -> Result<Vec<Restore>, Failure> {
    let clobber = match request.overwrite {
        Switch::On => Clobber::Overwrite,
        Switch::Off => Clobber::Refuse,
    };
    let id = &source.path.0;
    let version = source.version.as_deref().map(prefix).transpose()?;
    match vault.choose_version(id, version.as_ref()) {
        Ok(chosen) => {
            let to = file_target(vault, request, id)?;
            let in_place = to.as_ref().is_none_or(|to| to == id);
            if chosen.standing == Standing::Live && version.is_none() && in_place {
                return Err(Failure::new(
                    ErrorCode::BadInput,
                    format!("{id}: is not deleted; give --version to bring an older content back"),
                ));
            }
            Ok(vec![Restore {
                id: id.clone(),
                version,
                to,
                clobber,
            }])
        }
        Err(VaultError::NotFound { .. }) if version.is_none() => {
            let mut deleted = vault.deleted_below(id)?;
            if deleted.is_empty() {
                return Err(nothing_there(id));
            }
            deleted.sort();
            deleted
                .into_iter()
                .map(|path| {
                    Ok(Restore {
                        to: directory_target(request, id, &path)?,
                        id: path,
                        version: None,
                        clobber,
                    })
                })
                .collect()
        }
        Err(error) => Err(error.into()),
    }
}

/// Like `cp`: onto a path, or into a directory.
fn file_target(
    vault: &Vault,
    request: &RestoreRequest,
    id: &PublicId,
) -> Result<Option<PublicId>, Failure> {
    let Some(WirePath(to)) = &request.to else {
        return Ok(None);
    };
    let several = request.sources.len() > 1 || request.into_directory == Switch::On;
    let is_directory = to.is_root()
        || matches!(
            vault
                .live()
                .find(to)
                .map_err(|error| VaultError::io(to.to_string(), error))?,
            Some(Found::Directory(_))
        );
    match id.split() {
        Some((_, name)) if several || is_directory => Ok(Some(to.join(&name))),
        _ => Ok(Some(to.clone())),
    }
}

/// One directory: what is below it goes below `to`. Several sources: each under its own name.
fn directory_target(
    request: &RestoreRequest,
    directory: &PublicId,
    path: &PublicId,
) -> Result<Option<PublicId>, Failure> {
    let Some(WirePath(to)) = &request.to else {
        return Ok(None);
    };
    let kept = match directory.split() {
        Some((parent, _)) if request.sources.len() > 1 => parent,
        _ => directory.clone(),
    };
    let below: Vec<&[u8]> = path.components().skip(kept.components().count()).collect();
    let joined = to.components().chain(below).collect::<Vec<_>>().join(&b'/');
    PublicId::new(&joined)
        .map(Some)
        .map_err(|error| Failure::new(ErrorCode::BadInput, error.to_string()))
}

fn carry_out(
    vault: &Vault,
    dry_run: Switch,
    step: &Restore,
    door: &mut Door<'_>,
) -> Result<(), Failure> {
    let to = step.to.as_ref().unwrap_or(&step.id);
    let done = match dry_run {
        Switch::On => vault.rehearse_restore(step),
        Switch::Off => {
            let missing = missing_ancestors(vault, to);
            let done = vault.restore(step);
            // Also after a failure: directories may have been made.
            for id in missing.iter().rev() {
                (door.changed)(id);
            }
            (door.changed)(to);
            done
        }
    };
    match done {
        Ok(done) => door.item(Item::Restored(row(&done))),
        Err(error) => report(to, error.into(), door),
    }
}

/// The directories that a restore will have to make, the deepest first.
fn missing_ancestors(vault: &Vault, to: &PublicId) -> Vec<PublicId> {
    let mut missing = Vec::new();
    let mut parent = to.split().map(|(parent, _)| parent);
    while let Some(id) = parent {
        if id.is_root() || !matches!(vault.live().find(&id), Ok(None)) {
            break;
        }
        parent = id.split().map(|(parent, _)| parent);
        missing.push(id);
    }
    missing
}

fn report(path: &PublicId, failure: Failure, door: &mut Door<'_>) -> Result<(), Failure> {
    door.item(Item::Problem(ProblemRow {
        path: Some(WirePath(path.clone())),
        version_id: None,
        failure,
    }))
}

fn row(done: &Restored) -> RestoredRow {
    RestoredRow {
        path: WirePath(done.id.clone()),
        to: WirePath(done.to.clone()),
        restored_from: done.from.to_string(),
        version_id: done.version.map(|id| id.to_string()),
        size: done.size,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> PublicId {
        PublicId::new(text.as_bytes()).unwrap()
    }

    fn request(sources: &[&str], to: &str) -> RestoreRequest {
        RestoreRequest {
            sources: sources
                .iter()
                .map(|text| RestoreSource {
                    path: WirePath(id(text)),
                    version: None,
                })
                .collect(),
            to: Some(WirePath(id(to))),
            into_directory: Switch::Off,
            dry_run: Switch::Off,
            overwrite: Switch::Off,
        }
    }

    #[test]
    fn one_directory_lands_in_the_new_place_and_several_keep_their_names_there() {
        let one = request(&["photos/old"], "found");
        assert_eq!(
            directory_target(&one, &id("photos/old"), &id("photos/old/a/b")).unwrap(),
            Some(id("found/a/b"))
        );
        let two = request(&["photos/old", "text"], "found");
        assert_eq!(
            directory_target(&two, &id("photos/old"), &id("photos/old/a/b")).unwrap(),
            Some(id("found/old/a/b"))
        );
        let everything = request(&[""], "");
        assert_eq!(
            directory_target(&everything, &PublicId::root(), &id("a")).unwrap(),
            Some(id("a"))
        );
    }
}
