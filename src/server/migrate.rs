//! The answer to a move of the store: how much went where, or what is in its way.

use serde::{Deserialize, Serialize};

use super::event::{Item, ProblemRow, Progress};
use super::execute::Door;
use super::failure::{ErrorCode, Failure};
use super::protocol::Reply;
use super::wire_path::WirePath;
use crate::model::StorePlace;
use crate::vault::{Moved, Vault};

/// What was moved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MigrateSummary {
    /// Where the store was, as a URL; it still lies there.
    pub from: String,
    /// Where it is now.
    pub to: String,
    /// Its packs.
    pub packs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Packs that were copied now, not in an earlier attempt.
    pub copied_packs: u64,
    /// Their bytes.
    pub copied_bytes: u64,
}

/// Moves the store; stops when nobody listens any more.
pub(super) fn migrate(vault: &Vault, to: &str, door: &mut Door<'_>) -> Result<Reply, Failure> {
    let place =
        StorePlace::parse(to).map_err(|problem| Failure::new(ErrorCode::BadInput, problem))?;
    let moved = vault.migrate(place, &mut |bytes, bytes_total| {
        door.progress_if_wanted(Progress::Migrated { bytes, bytes_total })
    })?;
    let (packs, versions) = match moved {
        Moved::Damaged { packs, versions } => (packs, versions),
        Moved::To { from, to, copied } => {
            return Ok(Reply::Migrated(MigrateSummary {
                from,
                to,
                packs: copied.packs,
                bytes: copied.bytes,
                copied_packs: copied.copied_packs,
                copied_bytes: copied.copied_bytes,
            }));
        }
    };
    let text = format!(
        "the store is where it was, {} of its packs cannot be copied: keepfs check --read-data \
         --repair makes them whole where it can, keepfs delete-version gives up what stays \
         lost; then the same command goes on",
        packs.len()
    );
    let causes = packs.into_iter().map(|line| (None, None, line));
    let victims = versions.into_iter().map(|(path, version)| {
        let text = format!("{path}: version {version} cannot be read whole");
        (Some(WirePath(path)), Some(version.to_string()), text)
    });
    for (path, version_id, line) in causes.chain(victims) {
        door.item(Item::Problem(ProblemRow {
            path,
            version_id,
            failure: Failure::new(ErrorCode::Damaged, line),
        }))?;
    }
    Err(Failure::new(ErrorCode::Damaged, text))
}
