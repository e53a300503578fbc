//! A mounted vault from start to end; the order is in the header of `daemon`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use sd_notify::NotifyState;

use super::checkpoints::Checkpoints;
use super::create::{Created, prepare};
use super::ending::{Recovery, finish};
use super::error::DaemonError;
use super::key::unlock;
use super::lock::Purpose;
use super::mountpoint;
use super::opened::{LastStop, Opened, mark_clean, mark_dirty};
use super::ready::{Announce, tell_systemd};
use super::stop::StopSignals;
use crate::config::{Config, Overrides};
use crate::model::{Override, PublicId, WriteClaim, failpoint};
use crate::mount::{Invalidator, MountOptions, mount};
use crate::server::Server;
use crate::server::api::{self, Door, HttpServer, MountDoor};
use crate::store::VaultKey;

/// What to mount, where and how. Paths are absolute.
#[derive(Debug, Clone)]
pub struct MountRequest {
    /// The vault; made where it is missing.
    pub vault_dir: PathBuf,
    /// Where; made where it is missing.
    pub mountpoint: PathBuf,
    /// How the kernel shall see it.
    pub options: MountOptions,
    /// Settings for this one mount.
    pub overrides: Overrides,
    /// The vault's switch for this one mount. `None`: as the settings say.
    pub backup: Option<Override>,
    /// What is done where another one writes to the store.
    pub write_claim: WriteClaim,
    /// The key of an encrypted vault. `None`: opened by what the files have.
    pub key: Option<VaultKey>,
    /// Where the HTTP server listens. `None`: there is none.
    pub listen: Option<SocketAddr>,
}

/// Mounts a vault and returns when it is unmounted and everything is safe.
///
/// # Errors
/// What kept it from starting, or from stopping cleanly.
pub fn run_mount(request: &MountRequest, announce: &mut dyn Announce) -> Result<(), DaemonError> {
    let signals =
        StopSignals::catch().map_err(|error| DaemonError::io("catching signals", error))?;
    let config = configure(request)?;
    let key = match &request.key {
        Some(key) => Some(key.clone()),
        None => unlock(&config, None, &mut |_| None)?,
    };
    let listener = request.listen.map(take_address).transpose()?;
    let mut note = |text: &str| announce.note(text);
    let mut opened = Opened::open(config, key, Purpose::Mount, &mut note)?;
    let mountpoint = mountpoint::take(&request.mountpoint)?;
    let vault = opened.vault().clone();
    let last_stop = mark_dirty(&vault)?;
    if last_stop == LastStop::Unclean {
        vault.begin_recovery()?;
    }
    failpoint::reach("daemon.dirty");
    let workers = opened.start_workers()?;

    let options = MountOptions {
        vault: vault.config().vault_dir.clone(),
        ..request.options.clone()
    };
    // Before the mount: what fails here leaves no mount behind.
    let invalidator: Arc<OnceLock<Invalidator>> = Arc::default();
    let told = invalidator.clone();
    let server = Server::start(&vault.config().socket_path, vault.clone(), move |id| {
        if let Some(invalidator) = told.get() {
            invalidator.invalidate(id);
        }
    })
    .map_err(|error| DaemonError::io("the control socket", error))?;
    let live_dir = &vault.config().live_dir;
    let mounted = match mount(vault.clone(), live_dir, &mountpoint, &options) {
        Ok(mounted) => mounted,
        Err(error) => {
            drop(server);
            drop(workers);
            if last_stop == LastStop::Clean {
                mark_clean(&vault)?;
            }
            return Err(error.into());
        }
    };
    // Set once, here: nobody else has the cell.
    let _ = invalidator.set(mounted.invalidator());
    let http = match listener {
        None => None,
        Some(listener) => {
            let invalidator = mounted.invalidator();
            let door = Door::Mount(MountDoor {
                mountpoint: mountpoint.clone(),
                changed: Box::new(move |id: &PublicId| invalidator.invalidate(id)),
                has_writers: Box::new(mounted.writers()),
            });
            let http = HttpServer::start(listener, vault.clone(), door)
                .map_err(|error| DaemonError::io("the HTTP server", error))?;
            log::info!("listening on http://{}", http.address());
            Some(http)
        }
    };

    let text = format!("{} on {}", vault.config().name, mountpoint.display());
    log::info!("mounted {text}");
    tell_systemd(&[NotifyState::Ready, NotifyState::Status(&text)]);
    announce.ready();

    let recovery = Recovery::start(&vault, last_stop)?;
    let checkpoints = Checkpoints::start(mounted.checkpointer(), vault.config())?;
    let end = signals
        .wait_for_end(mounted)
        .map_err(|error| DaemonError::io("waiting for the end of the mount", error))?;

    drop(http);
    drop(checkpoints);
    opened.lock_mut().say(Purpose::Drain);
    log::info!("unmounted {text}");
    tell_systemd(&[
        NotifyState::Stopping,
        NotifyState::Status("storing what is sealed"),
    ]);
    // The server waits for requests under way, and this one may take hours.
    vault.stop_migrations();
    // Dropped last, with the process's own end: clients wait for it.
    let lingering = server.stop();
    let stopped = finish(&vault, workers, &recovery, end);
    drop(vault);
    drop(opened);
    drop(lingering);
    stopped
}

/// Before anything else is begun: what fails here leaves nothing behind.
pub(super) fn take_address(address: SocketAddr) -> Result<std::net::TcpListener, DaemonError> {
    api::listen(address).map_err(|error| DaemonError::io(format!("listening on {address}"), error))
}

fn configure(request: &MountRequest) -> Result<Config, DaemonError> {
    let (mut config, created) = prepare(&request.vault_dir, &request.mountpoint)?;
    if created == Created::New {
        log::info!("made a new vault in {}", config.vault_dir.display());
    }
    config.apply(&request.overrides)?;
    config.write_claim = request.write_claim;
    if let Some(backup) = request.backup {
        config.policy.backup = backup;
    }
    config.validate_layout(Some(&request.mountpoint))?;
    Ok(config)
}
