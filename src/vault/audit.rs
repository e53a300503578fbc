//! The audit log: a line for everything that was deleted for good.
//!
//! It is written and flushed before the rows go, because nothing knows their names after
//! that. So a line may speak of a deletion that failed; none is missing.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;

use serde::Serialize;

use crate::catalog::Catalog;
use crate::model::{NodeId, Version};

use super::{Result, Vault, VaultError};

/// The file in the vault directory.
const FILE_NAME: &str = "audit.log";

/// One line.
#[derive(Debug, Serialize)]
struct Line {
    time: String,
    event: &'static str,
    path: Option<String>,
    asset_id: Option<String>,
    version_ids: Vec<String>,
    bytes: u64,
}

impl Vault {
    /// Notes that versions of an asset are deleted for good.
    pub(super) fn audit(
        &self,
        catalog: &mut dyn Catalog,
        asset: NodeId,
        versions: &[Version],
    ) -> Result<()> {
        let line = Line {
            time: self.clock.now().to_string(),
            event: "deleted for good",
            path: catalog.path_of(asset)?.map(|path| path.to_string()),
            asset_id: catalog
                .asset(asset)?
                .map(|record| record.asset_id.to_string()),
            version_ids: versions
                .iter()
                .map(|version| version.id.to_string())
                .collect(),
            bytes: versions.iter().map(|version| version.size).sum(),
        };
        let mut text = serde_json::to_string(&line).unwrap_or_default();
        text.push('\n');
        let path = self.config.vault_dir.join(FILE_NAME);
        let failed = |error| VaultError::io("the audit log", error);
        let mut file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(path)
            .map_err(failed)?;
        file.write_all(text.as_bytes()).map_err(failed)?;
        file.sync_all().map_err(failed)?;
        // Its name, too, and not only where this made it: a kill may have come in between.
        File::open(&self.config.vault_dir)
            .and_then(|directory| directory.sync_all())
            .map_err(failed)
    }
}
