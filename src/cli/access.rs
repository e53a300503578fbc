//! The way to a vault for a command: its daemon where there is one, else the vault itself.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use super::output::{Stop, say, stop};
use super::place::Home;
use super::progress::Bar;
use super::secret::ask;
use super::through_mount::{history_path, vault_of};
use crate::config::Config;
use crate::daemon::Opened;
use crate::model::{HistoryName, PublicId, WriteClaim};
use crate::server::{
    Client, Door, ErrorCode, Event, Failure, Item, Progress, Reply, Request, Switch, execute,
};

/// Hears of the items of an answer.
pub type Items<'a> = &'a mut dyn FnMut(Item) -> Result<(), Stop>;

/// Hears how far a request is.
pub type Watch<'a> = &'a mut dyn FnMut(&Progress);

/// Runs a request on the vault of a path, and shows how far it is.
pub fn run(home: &Home, request: &Request, items: Items<'_>) -> Result<Reply, Stop> {
    run_watched(home, request, items, &mut |_| {})
}

/// The same; `watch` hears of the progress, too.
pub fn run_watched(
    home: &Home,
    request: &Request,
    items: Items<'_>,
    watch: Watch<'_>,
) -> Result<Reply, Stop> {
    match connect(home)? {
        Reached::Daemon(mut client) => {
            with_bar(items, watch, |events| client.request(request, events))
        }
        Reached::Nobody(vault) => directly(&vault, request, items, watch),
    }
}

/// The settings of the vault of a path.
pub fn settings_of(home: &Home) -> Result<Config, Stop> {
    Ok(Config::load(&vault_directory(home)?)?)
}

fn vault_directory(home: &Home) -> Result<PathBuf, Stop> {
    match home {
        Home::Vault(vault) => Ok(vault.clone()),
        Home::Mount(mountpoint) => vault_behind(mountpoint),
    }
}

/// Who has the vault.
pub enum Reached {
    /// Its daemon.
    Daemon(Client),
    /// Nobody: it can be opened.
    Nobody(PathBuf),
}

/// Looks for the daemon of a vault.
pub fn connect(home: &Home) -> Result<Reached, Stop> {
    let vault = vault_directory(home)?;
    let config = Config::load(&vault)?;
    let found = Client::connect(&config.socket_path).map_err(|error| {
        stop(
            ErrorCode::Refused,
            format!(
                "{}: cannot talk to the daemon ({error}): only root and the user who mounted the vault may",
                config.socket_path.display()
            ),
        )
    })?;
    match (found, home) {
        (Some(client), _) => Ok(Reached::Daemon(client)),
        (None, Home::Vault(_)) => Ok(Reached::Nobody(vault)),
        (None, Home::Mount(mountpoint)) => Err(stop(
            ErrorCode::Failed,
            format!(
                "{}: its daemon does not answer: unmount it, and mount it again",
                mountpoint.display()
            ),
        )),
    }
}

fn vault_behind(mountpoint: &Path) -> Result<PathBuf, Stop> {
    // Asking for history waits for closes on their way; what is asked next shall see them.
    let history = history_path(mountpoint, HistoryName::Versions, &PublicId::root());
    let _ = std::fs::read_dir(history);
    let found = vault_of(mountpoint).map_err(|error| {
        stop(
            ErrorCode::Failed,
            format!("{}: {error}", mountpoint.display()),
        )
    })?;
    found.ok_or_else(|| {
        stop(
            ErrorCode::Failed,
            format!(
                "{}: does not say which vault it shows",
                mountpoint.display()
            ),
        )
    })
}

fn directly(
    vault: &Path,
    request: &Request,
    items: Items<'_>,
    watch: Watch<'_>,
) -> Result<Reply, Stop> {
    let claim = claim_of(request);
    let opened = Opened::for_command_asking(vault, claim, &mut ask, &mut |text| say(text))
        .map_err(Failure::from)?;
    let reply = match claim {
        WriteClaim::ReadOnly => with_bar(items, watch, |events| {
            let mut door = Door {
                events,
                changed: &|_| {},
            };
            execute(opened.vault(), request, &mut door)
        })?,
        WriteClaim::Keep | WriteClaim::TakeOver | WriteClaim::AcceptEmpty => {
            let workers = opened.start_workers().map_err(Failure::from)?;
            with_bar(items, watch, |events| {
                let mut door = Door {
                    events: &mut *events,
                    changed: &|_| {},
                };
                let reply = execute(opened.vault(), request, &mut door);
                if matches!(request, Request::Drain(_)) {
                    // It has waited for what it wanted, and not longer than it wanted.
                    drop(workers);
                    return reply;
                }
                let stopped = workers.stop(&mut |versions| {
                    let _ = events(Event::Progress(Progress::Waiting { versions }));
                });
                let reply = reply?;
                stopped?;
                Ok(reply)
            })?
        }
    };
    opened.close().map_err(Failure::from)?;
    Ok(reply)
}

/// What needs nothing of the store but to read it goes without its lease, so that a copy
/// of a vault can be looked at.
fn claim_of(request: &Request) -> WriteClaim {
    match request {
        Request::Status
        | Request::Versions { .. }
        | Request::Deleted { .. }
        | Request::Usage(_)
        | Request::Policy { .. } => WriteClaim::ReadOnly,
        Request::Check(check) if check.repair == Switch::Off => WriteClaim::ReadOnly,
        _ => WriteClaim::Keep,
    }
}

/// Takes items and progress apart; what an item's reader fails with ends the request.
fn with_bar(
    items: Items<'_>,
    watch: Watch<'_>,
    work: impl FnOnce(&mut dyn FnMut(Event) -> ControlFlow<()>) -> Result<Reply, Failure>,
) -> Result<Reply, Stop> {
    let mut bar = Bar::new();
    let mut failed = None;
    let result = work(&mut |event| match event {
        Event::Progress(progress) => {
            bar.update(&progress);
            watch(&progress);
            ControlFlow::Continue(())
        }
        Event::Item(item) => {
            bar.clear();
            match items(item) {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => {
                    failed = Some(error);
                    ControlFlow::Break(())
                }
            }
        }
    });
    bar.clear();
    match failed {
        Some(error) => Err(error),
        None => Ok(result?),
    }
}

/// For requests whose answer has no items.
pub fn no_items(_: Item) -> Result<(), Stop> {
    Ok(())
}
