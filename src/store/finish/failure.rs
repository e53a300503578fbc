//! Why a pack could not be put, kept for whoever waits for it: an error that can be told
//! more than once.

use std::path::PathBuf;

use crate::model::Fence;
use crate::store::error::{StoreError, Writer};

const STORING: &str = "storing a pack";

/// What a put failed with.
#[derive(Debug, Clone)]
pub(super) enum Failure {
    Full(&'static str, Option<PathBuf>),
    Away(String),
    Denied(String),
    NoCredentials(&'static str),
    DirectoryAway(PathBuf),
    Emptied(String),
    LookedAt,
    NotAllowed {
        place: String,
        vault: String,
        command: String,
    },
    Fenced(Writer),
    Older(String, Fence),
    Other(String),
}

impl Failure {
    pub(super) fn of(error: &StoreError) -> Self {
        match error {
            StoreError::Full { what, directory } => Failure::Full(what, directory.clone()),
            StoreError::Unreachable { detail, .. } => Failure::Away(detail.clone()),
            StoreError::Denied { detail, .. } => Failure::Denied(detail.clone()),
            StoreError::NoCredentials { way_out, .. } => Failure::NoCredentials(way_out),
            StoreError::DirectoryAway { directory } => Failure::DirectoryAway(directory.clone()),
            StoreError::Emptied { place } => Failure::Emptied(place.clone()),
            StoreError::LookedAt => Failure::LookedAt,
            StoreError::NotAllowed {
                place,
                vault,
                command,
            } => Failure::NotAllowed {
                place: place.clone(),
                vault: vault.clone(),
                command: command.clone(),
            },
            StoreError::Fenced(writer) => Failure::Fenced(writer.clone()),
            StoreError::CatalogIsOlder { place, fence } => Failure::Older(place.clone(), *fence),
            other => Failure::Other(other.to_string()),
        }
    }

    pub(super) fn error(&self) -> StoreError {
        match self {
            Failure::Full(what, directory) => StoreError::Full {
                what,
                directory: directory.clone(),
            },
            Failure::Fenced(writer) => StoreError::Fenced(writer.clone()),
            Failure::Older(place, fence) => StoreError::CatalogIsOlder {
                place: place.clone(),
                fence: *fence,
            },
            Failure::Away(detail) => StoreError::Unreachable {
                doing: STORING.into(),
                detail: detail.clone(),
            },
            Failure::Denied(detail) => StoreError::Denied {
                doing: STORING.into(),
                detail: detail.clone(),
            },
            Failure::NoCredentials(way_out) => StoreError::NoCredentials {
                doing: STORING.into(),
                way_out,
            },
            Failure::DirectoryAway(directory) => StoreError::DirectoryAway {
                directory: directory.clone(),
            },
            Failure::Emptied(place) => StoreError::Emptied {
                place: place.clone(),
            },
            Failure::LookedAt => StoreError::LookedAt,
            Failure::NotAllowed {
                place,
                vault,
                command,
            } => StoreError::NotAllowed {
                place: place.clone(),
                vault: vault.clone(),
                command: command.clone(),
            },
            Failure::Other(detail) => StoreError::Io(format!("storing a pack: {detail}")),
        }
    }
}
