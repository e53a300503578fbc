//! Versions and deleted assets as rows.

use super::event::{DeletedRow, Item, VersionRow};
use super::execute::Door;
use super::failure::{ErrorCode, Failure};
use super::protocol::Reply;
use super::wire_path::WirePath;
use crate::model::{Hold, PublicId, Version, VersionState};
use crate::vault::{UploadProgress, Vault, VaultError};

pub(super) fn versions(
    vault: &Vault,
    id: &PublicId,
    door: &mut Door<'_>,
) -> Result<Reply, Failure> {
    let versions = vault.versions_of(id)?;
    let pinned = vault.pinned(id)?;
    for version in versions {
        let hold = match pinned.contains(&version.seq) {
            true => Hold::On,
            false => Hold::Off,
        };
        let progress = vault.progress_of(&version)?;
        door.item(Item::Version(row(&version, hold, progress)))?;
    }
    Ok(Reply::Done)
}

pub(super) fn deleted(vault: &Vault, id: &PublicId, door: &mut Door<'_>) -> Result<Reply, Failure> {
    let mut paths = vault.deleted_below(id)?;
    paths.sort();
    for path in paths {
        let version = match vault.choose_version(&path, None) {
            Ok(chosen) => chosen.version,
            // Restored or purged while we looked.
            Err(VaultError::NotFound { .. }) => continue,
            Err(error) => return Err(error.into()),
        };
        door.item(Item::Deleted(DeletedRow {
            path: WirePath(path),
            size: version.size,
            kept_at: version.kept_at.to_string(),
            modified_at: version.attributes.mtime.to_string(),
            version_id: version.id.to_string(),
        }))?;
    }
    Ok(Reply::Done)
}

fn row(version: &Version, hold: Hold, progress: UploadProgress) -> VersionRow {
    let blake3 = match version.state {
        VersionState::Sealed { .. } => None,
        VersionState::Stored { blake3, .. } => Some(blake3.to_string()),
    };
    VersionRow {
        version_id: version.id.to_string(),
        size: version.size,
        kept_at: version.kept_at.to_string(),
        modified_at: version.attributes.mtime.to_string(),
        origin: version.origin.as_str().into(),
        state: progress.as_str().into(),
        mode: format!("{:04o}", version.attributes.mode),
        uid: version.attributes.uid,
        gid: version.attributes.gid,
        restored_from: version.restored_from.map(|id| id.to_string()),
        blake3,
        pinned: hold == Hold::On,
    }
}

/// The failure for a path that has no history.
pub(super) fn nothing_there(id: &PublicId) -> Failure {
    Failure::new(
        ErrorCode::NotFound,
        format!(
            "{id}: neither a backed-up file nor a directory with deleted files; keepfs deleted lists what there is"
        ),
    )
}
