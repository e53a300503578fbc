//! A mounted vault from start to end; the order is in the header of `daemon`.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use sd_notify::NotifyState;

use super::checkpoints::Checkpoints;
use super::create::{Created, prepare};
use super::error::DaemonError;
use super::key::unlock;
use super::lock::Purpose;
use super::mountpoint;
use super::opened::{LastStop, Opened, mark_clean, mark_dirty};
use super::ready::{Announce, tell_systemd};
use super::stop::{End, StopSignals};
use crate::config::{Config, Overrides};
use crate::model::{Override, WriteClaim, failpoint};
use crate::mount::{Invalidator, MountOptions, mount};
use crate::server::Server;
use crate::store::VaultKey;
use crate::vault::{Vault, VaultError, Workers};

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

    let text = format!("{} on {}", vault.config().name, mountpoint.display());
    log::info!("mounted {text}");
    tell_systemd(&[NotifyState::Ready, NotifyState::Status(&text)]);
    announce.ready();

    let recovery = Recovery::start(&vault, last_stop)?;
    let checkpoints = Checkpoints::start(mounted.checkpointer(), vault.config())?;
    let end = signals
        .wait_for_end(mounted)
        .map_err(|error| DaemonError::io("waiting for the end of the mount", error))?;

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
    let stopped = stop(&vault, workers, &recovery, end);
    drop(vault);
    drop(opened);
    drop(lingering);
    stopped
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

fn stop(vault: &Vault, workers: Workers, recovery: &Recovery, end: End) -> Result<(), DaemonError> {
    let mut last = 0;
    let drained = workers.stop(&mut |waiting| {
        if waiting != last {
            last = waiting;
            let status = format!("{waiting} versions wait for the store");
            tell_systemd(&[NotifyState::Status(&status)]);
        }
    });
    match end {
        End::Unmounted(result) => result?,
        End::Forced => {
            log::warn!("files were still open: the next mount looks for what they left");
            return Ok(drained?);
        }
    }
    // What waits for the store is in the catalog and the spool: that is a clean stop, too.
    if recovery.is_complete() && !vault.has_missed() {
        mark_clean(vault)?;
    }
    failpoint::reach("daemon.stopped");
    match drained {
        // The next start looks for it anew, with the rest.
        Err(error @ VaultError::Unreadable { .. }) if !recovery.is_complete() => {
            log::warn!("{error}");
            Ok(())
        }
        drained => Ok(drained?),
    }
}

/// The scan after an unclean stop. A stop does not wait for it: the next start
/// begins it anew.
#[derive(Debug)]
struct Recovery {
    complete: Arc<AtomicBool>,
}

impl Recovery {
    fn start(vault: &Arc<Vault>, last_stop: LastStop) -> Result<Self, DaemonError> {
        let complete = Arc::new(AtomicBool::new(last_stop == LastStop::Clean));
        if last_stop == LastStop::Unclean {
            log::warn!("the last stop was not clean: looking for what changed");
            let (vault, done) = (vault.clone(), complete.clone());
            std::thread::Builder::new()
                .name("keepfs-recovery".into())
                .spawn(move || match vault.recover() {
                    Ok(report) => {
                        log::info!("recovery: {report:?}");
                        done.store(true, Ordering::SeqCst);
                    }
                    Err(error) => log::error!("recovery: {error}; the next mount tries again"),
                })
                .map_err(|error| DaemonError::io("starting the recovery scan", error))?;
        }
        Ok(Self { complete })
    }

    fn is_complete(&self) -> bool {
        self.complete.load(Ordering::SeqCst)
    }
}
