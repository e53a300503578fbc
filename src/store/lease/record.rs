//! The object that says who writes, and what is said of it.

use serde::{Deserialize, Serialize};

use super::LEASE_NAME;
use crate::model::Fence;
use crate::store::backend::Backend;
use crate::store::error::{StoreError, Writer};

pub(super) const FORMAT: u32 = 1;
pub(super) const NOT_OURS: &str = "lease.json is not what keepfs wrote: put it back from a copy, or remove \
                        it if no other machine writes there";

/// The object.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) format: u32,
    pub(super) fence: Fence,
    pub(super) holder: String,
    pub(super) host: String,
    pub(super) since: String,
}

impl Record {
    /// # Errors
    /// What is wrong with it, and the way out.
    pub(super) fn parse(bytes: &[u8]) -> std::result::Result<Self, String> {
        let text: serde_json::Value =
            serde_json::from_slice(bytes).map_err(|_| String::from(NOT_OURS))?;
        match text.get("format").and_then(serde_json::Value::as_u64) {
            Some(format) if format > FORMAT.into() => Err(format!(
                "{LEASE_NAME} was written by a newer keepfs (format {format}; this one knows \
                 {FORMAT}): update keepfs"
            )),
            _ => serde_json::from_value(text).map_err(|_| NOT_OURS.into()),
        }
    }
}

/// What somebody else wrote, fit for a line.
pub(super) fn shown(text: &str) -> String {
    let plain = text.chars().filter(|c| !c.is_control());
    plain.take(100).collect()
}

pub(super) fn writer(backend: &Backend, record: &Record) -> Writer {
    Writer {
        place: backend.place.to_string(),
        host: shown(&record.host),
        since: shown(&record.since),
        fence: record.fence,
    }
}

pub(super) fn older(backend: &Backend, fence: Fence) -> StoreError {
    StoreError::CatalogIsOlder {
        place: backend.place.to_string(),
        fence,
    }
}

pub(super) fn bad(backend: &Backend, reason: String) -> StoreError {
    StoreError::BadPlace {
        place: backend.place.to_string(),
        reason,
    }
}

pub(super) fn unreachable(doing: &str) -> StoreError {
    StoreError::Unreachable {
        doing: doing.into(),
        detail: "try again when it does".into(),
    }
}
