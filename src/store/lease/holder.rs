//! Who a writer is: a vault directory on a machine.
//!
//! A copy of the directory is another one, and so is the directory on another machine.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::PoisonError;

use super::record::shown;
use crate::catalog::{Durability, SharedCatalog, take_turn};
use crate::model::Clock;
use crate::store::error::{Result, StoreError};

/// Random, so that no two vaults are the same holder.
const INSTANCE_SETTING: &str = "local.store_instance";
const MACHINE_ID: &str = "/etc/machine-id";

/// What tells this vault directory from every other, copies of itself included.
pub(super) fn holder(
    vault_dir: &Path,
    catalog: &SharedCatalog,
    clock: &dyn Clock,
) -> Result<String> {
    let machine = fs::read_to_string(MACHINE_ID).unwrap_or_default();
    let metadata = fs::metadata(vault_dir)
        .map_err(|error| StoreError::Io(format!("{}: {error}", vault_dir.display())))?;
    let parts = [
        machine.trim(),
        &instance(catalog, clock)?,
        &metadata.ino().to_string(),
    ];
    Ok(blake3::hash(parts.join("\n").as_bytes())
        .to_hex()
        .to_string())
}

fn instance(catalog: &SharedCatalog, clock: &dyn Clock) -> Result<String> {
    let mut catalog = take_turn(catalog).unwrap_or_else(PoisonError::into_inner);
    if let Some(instance) = catalog.setting(INSTANCE_SETTING)? {
        return Ok(instance);
    }
    let instance = format!("{:032x}", clock.random());
    catalog.set_setting(INSTANCE_SETTING, Some(&instance))?;
    // Before the store hears of it: a kill must not make us another holder.
    catalog.commit(Durability::Power)?;
    Ok(instance)
}

pub(super) fn host() -> String {
    shown(&rustix::system::uname().nodename().to_string_lossy())
}
