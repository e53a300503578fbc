//! A vault that is served over HTTP without being mounted.
//!
//! The same vault, the same workers and the same end as with a mount; only the door is
//! another one. The control socket is there, too, so that every command works.

use std::net::SocketAddr;
use std::path::PathBuf;

use sd_notify::NotifyState;

use super::create::prepare;
use super::ending::{Recovery, finish};
use super::error::DaemonError;
use super::key::unlock;
use super::lock::Purpose;
use super::opened::{LastStop, Opened, mark_dirty};
use super::ready::{Announce, tell_systemd};
use super::run::take_address;
use super::stop::{End, StopSignals};
use crate::config::Overrides;
use crate::model::WriteClaim;
use crate::server::Server;
use crate::server::api::{Door, HttpServer};
use crate::store::VaultKey;

/// What to serve, and where.
#[derive(Debug, Clone)]
pub struct ServeRequest {
    /// The vault; made where it is missing.
    pub vault_dir: PathBuf,
    /// Where to listen.
    pub listen: SocketAddr,
    /// Settings for this one run.
    pub overrides: Overrides,
    /// What is done where another one writes to the store.
    pub write_claim: WriteClaim,
    /// The key of an encrypted vault. `None`: opened by what the files have.
    pub key: Option<VaultKey>,
}

/// Serves a vault until a signal comes, and returns when everything is safe. `ready` hears
/// where it listens.
///
/// # Errors
/// What kept it from starting, or from stopping cleanly.
pub fn run_serve(
    request: &ServeRequest,
    announce: &mut dyn Announce,
    ready: &mut dyn FnMut(SocketAddr),
) -> Result<(), DaemonError> {
    let signals =
        StopSignals::catch().map_err(|error| DaemonError::io("catching signals", error))?;
    let (mut config, _) = prepare(&request.vault_dir, &request.vault_dir)?;
    config.apply(&request.overrides)?;
    config.write_claim = request.write_claim;
    config.validate_layout(None)?;
    let key = match &request.key {
        Some(key) => Some(key.clone()),
        None => unlock(&config, None, &mut |_| None)?,
    };
    let listener = take_address(request.listen)?;
    let mut note = |text: &str| announce.note(text);
    let mut opened = Opened::open(config, key, Purpose::Mount, &mut note)?;
    let vault = opened.vault().clone();
    let last_stop = mark_dirty(&vault)?;
    if last_stop == LastStop::Unclean {
        vault.begin_recovery()?;
    }
    let workers = opened.start_workers()?;
    let server = Server::start(&vault.config().socket_path, vault.clone(), |_| {})
        .map_err(|error| DaemonError::io("the control socket", error))?;
    let http = HttpServer::start(listener, vault.clone(), Door::Vault)
        .map_err(|error| DaemonError::io("the HTTP server", error))?;
    let text = format!("{} on http://{}", vault.config().name, http.address());
    log::info!("serving {text}");
    tell_systemd(&[NotifyState::Ready, NotifyState::Status(&text)]);
    announce.ready();
    ready(http.address());

    let recovery = Recovery::start(&vault, last_stop)?;
    signals.wait_for_one();

    http.stop();
    opened.lock_mut().say(Purpose::Drain);
    tell_systemd(&[
        NotifyState::Stopping,
        NotifyState::Status("storing what is sealed"),
    ]);
    vault.stop_migrations();
    let lingering = server.stop();
    let stopped = finish(&vault, workers, &recovery, End::Unmounted(Ok(())));
    drop(vault);
    drop(opened);
    drop(lingering);
    stopped
}
