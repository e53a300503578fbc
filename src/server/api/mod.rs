//! The admin API, in the words of Cloudinary's SDKs, and the Media Library page.
//!
//! One more door to a vault: what is done here shows in the mount at once, and the reverse.
//! The only part of keepfs that speaks HTTP. Work on the vault blocks, and runs on threads
//! that may; what waits for the network does not.

mod account;
mod answer;
mod asset;
mod body;
mod caller;
mod chunks;
mod command;
mod data_uri;
mod delivery;
mod error;
mod fetch;
mod fields;
mod formats;
mod history;
mod initial_backup;
mod keys;
mod made_ids;
mod manage;
mod media;
mod metrics;
mod names;
mod namesakes;
mod page;
mod parameters;
mod receive;
mod relay;
mod resources;
mod route;
mod search;
mod select;
mod serve;
mod signature;
mod stalled;
mod tell;
mod upload;

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use axum::http::request::Parts;

pub use command::{Found, find};
pub use keys::{KeyRow, KeyUse, Keys};
pub use serve::{HttpServer, listen};

use caller::Sessions;
use chunks::Chunks;
use error::{ApiError, Result};
use initial_backup::InitialBackups;
use made_ids::MadeIds;
use media::Media;
use metrics::Metrics;
use names::Names;

use crate::config::ApiSettings;
use crate::model::PublicId;
use crate::vault::Vault;

/// How names of the live tree are changed.
#[derive(Debug)]
pub enum Door {
    /// Through a mount.
    Mount(MountDoor),
    /// Straight through the vault: nothing is mounted.
    Vault,
}

/// A mount of the vault.
pub struct MountDoor {
    /// Where it is.
    pub mountpoint: PathBuf,
    /// Hears of live names that changed behind the kernel's back.
    pub changed: Box<dyn Fn(&PublicId) + Send + Sync>,
    /// Whether any file is open for writing, or was and its close is still worked on.
    pub has_writers: Box<dyn Fn() -> bool + Send + Sync>,
}

impl fmt::Debug for MountDoor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MountDoor({})", self.mountpoint.display())
    }
}

/// One vault, as the API has it.
struct Api {
    vault: Arc<Vault>,
    names: Box<dyn Names>,
    settings: ApiSettings,
    cloud_name: String,
    keys: Keys,
    sessions: Sessions,
    chunks: Chunks,
    media: Media,
    made_ids: MadeIds,
    backups: InitialBackups,
    metrics: Metrics,
    /// The initial backup that runs.
    running: Mutex<Option<JoinHandle<()>>>,
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Api({})", self.cloud_name)
    }
}

impl Api {
    fn new(vault: Arc<Vault>, door: Door) -> Self {
        let config = vault.config();
        let names: Box<dyn Names> = match door {
            Door::Mount(mount) => Box::new(names::Mounted { mount }),
            Door::Vault => Box::new(names::Direct {
                vault: vault.clone(),
            }),
        };
        Self {
            names,
            settings: config.api.clone(),
            cloud_name: config.name.clone(),
            keys: Keys::of(&config.vault_dir),
            sessions: Sessions::default(),
            chunks: Chunks::default(),
            media: Media::default(),
            made_ids: MadeIds::default(),
            backups: InitialBackups::of(&vault),
            metrics: Metrics::default(),
            running: Mutex::default(),
            vault,
        }
    }

    /// What comes before the path of an original in answers.
    fn base_of(&self, parts: &Parts) -> String {
        if let Some(url) = &self.settings.public_url {
            return url.clone();
        }
        let host = parts
            .headers
            .get("host")
            .and_then(|host| host.to_str().ok());
        let is_host = |host: &&str| {
            host.bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte))
        };
        format!("http://{}", host.filter(is_host).unwrap_or("localhost"))
    }
}

/// Runs work on the vault where it may block.
async fn blocking<T: Send + 'static>(
    api: &Arc<Api>,
    work: impl FnOnce(&Arc<Api>) -> Result<T> + Send + 'static,
) -> Result<T> {
    let api = api.clone();
    let done = tokio::task::spawn_blocking(move || work(&api)).await;
    done.unwrap_or_else(|error| {
        log::error!("API: {error}");
        Err(ApiError::Internal)
    })
}

/// Runs work that sees what was closed in the mount before the call.
async fn settled<T: Send + 'static>(
    api: &Arc<Api>,
    work: impl FnOnce(&Arc<Api>) -> Result<T> + Send + 'static,
) -> Result<T> {
    blocking(api, move |api| {
        api.names.settle();
        work(api)
    })
    .await
}
