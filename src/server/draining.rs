//! Waiting for the store, on request.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::event::Progress;
use super::execute::Door;
use super::failure::Failure;
use super::wire_path::WirePath;
use crate::model::Deadline;
use crate::vault::{DrainScope, Vault};

/// What to wait for, and how long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct DrainRequest {
    /// The asset, or the directory with all assets below. `None`: everything.
    #[serde(default)]
    pub path: Option<WirePath>,
    /// `None`: as long as it takes.
    #[serde(default)]
    pub timeout_seconds: Option<u64>,
}

pub(super) fn drain(
    vault: &Vault,
    request: &DrainRequest,
    door: &mut Door<'_>,
) -> Result<(), Failure> {
    let scope = match &request.path {
        Some(path) => DrainScope::Below(path.0.clone()),
        None => DrainScope::Everything,
    };
    let seconds = request.timeout_seconds.map(Duration::from_secs);
    let deadline = seconds.map_or(Deadline::NEVER, Deadline::after);
    let progress = &mut |versions| door.progress(Progress::Waiting { versions });
    Ok(vault.drain(&scope, deadline, progress)?)
}
