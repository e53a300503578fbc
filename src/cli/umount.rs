//! `keepfs umount`: stores what waits, unmounts, and waits for the daemon's end.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use clap::Args;
use rustix::io::Errno;
use rustix::mount::UnmountFlags;

use super::access::{Reached, connect};
use super::output::{Outcome, Stop, say, stop};
use super::place::Home;
use super::progress::Bar;
use crate::daemon::{Standing, detach_stale, keepfs_mount_of, standing};
use crate::server::{Client, DrainRequest, ErrorCode, Event, Request};

/// Whoever only looks in, as the API does for a moment, is gone after one of these.
const BUSY_TRIES: u32 = 6;
const BUSY_PAUSE: Duration = Duration::from_millis(50);

/// Unmount a vault
///
/// What was saved lately is stored first, with a progress bar where that takes longer than a
/// second. A plain umount does the same, unseen. Also removes the mount of a dead daemon.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  keepfs umount ~/assets
  keepfs umount ~/assets || fuser -vm ~/assets     who has files open there?")]
pub struct Umount {
    /// Where the vault is mounted
    mountpoint: PathBuf,
}

impl Umount {
    /// Unmounts.
    pub fn run(self) -> Outcome {
        let given = self.mountpoint.display();
        let absolute = std::path::absolute(&self.mountpoint)
            .map_err(|error| stop(ErrorCode::BadInput, format!("{given}: {error}")))?;
        let found = standing(&absolute)
            .map_err(|error| stop(ErrorCode::Failed, format!("{given}: {error}")))?;
        match found {
            Standing::Stale => {
                say(format_args!(
                    "{given}: its daemon is dead: removing the mount"
                ));
                detach_stale(&absolute)
                    .map_err(|error| stop(ErrorCode::Failed, format!("{given}: {error}")))?;
                Ok(())
            }
            Standing::Keepfs => {
                let mountpoint = absolute.canonicalize().unwrap_or(absolute);
                self.unmount(&mountpoint)
            }
            Standing::Other(filesystem) => Err(stop(
                ErrorCode::NotFound,
                format!("{given}: not a keepfs mount but {filesystem}: use umount"),
            )),
            Standing::Missing | Standing::Free | Standing::NotADirectory => {
                Err(self.not_mounted(&absolute))
            }
        }
    }

    fn unmount(&self, mountpoint: &Path) -> Outcome {
        // Without the right to talk to it a plain unmount is what remains; the daemon
        // stores what waits after that.
        let daemon = match connect(&Home::Mount(mountpoint.into())) {
            Ok(Reached::Daemon(client)) => Some(client),
            Ok(Reached::Nobody(_)) | Err(_) => None,
        };
        let daemon = daemon.map(drain);
        unmount(mountpoint)?;
        if let Some(client) = daemon {
            client.wait_for_end();
        }
        Ok(())
    }

    fn not_mounted(&self, path: &Path) -> Stop {
        let inside = path.canonicalize().and_then(|path| keepfs_mount_of(&path));
        let hint = match inside {
            Ok(Some(mountpoint)) => format!("; the mount is {}", mountpoint.display()),
            Ok(None) | Err(_) => String::new(),
        };
        stop(
            ErrorCode::NotFound,
            format!(
                "{}: nothing is mounted there{hint}",
                self.mountpoint.display()
            ),
        )
    }
}

fn drain(mut client: Client) -> Client {
    let mut bar = Bar::new();
    let drained = client.request(&Request::Drain(DrainRequest::default()), &mut |event| {
        if let Event::Progress(progress) = event {
            bar.update(&progress);
        }
        std::ops::ControlFlow::Continue(())
    });
    bar.clear();
    if let Err(failure) = drained {
        // Not in the way of unmounting: what waits is safe in the spool.
        say(failure);
    }
    client
}

fn unmount(mountpoint: &Path) -> Outcome {
    for _ in 0..BUSY_TRIES {
        match try_unmount(mountpoint)? {
            Unmounted::Yes => return Ok(()),
            Unmounted::Busy => std::thread::sleep(BUSY_PAUSE),
        }
    }
    Err(busy(mountpoint))
}

/// What came of an attempt.
enum Unmounted {
    Yes,
    Busy,
}

fn try_unmount(mountpoint: &Path) -> Result<Unmounted, Stop> {
    match rustix::mount::unmount(mountpoint, UnmountFlags::NOFOLLOW) {
        Ok(()) => Ok(Unmounted::Yes),
        Err(Errno::BUSY) => Ok(Unmounted::Busy),
        Err(Errno::PERM) => by_helper(mountpoint),
        Err(errno) => Err(stop(
            ErrorCode::Failed,
            format!("{}: {}", mountpoint.display(), std::io::Error::from(errno)),
        )),
    }
}

/// An ordinary user's way.
fn by_helper(mountpoint: &Path) -> Result<Unmounted, Stop> {
    let output = Command::new("fusermount3")
        .arg("-u")
        .arg("--")
        .arg(mountpoint)
        .env("LC_ALL", "C")
        .output()
        .map_err(|error| {
            stop(
                ErrorCode::Failed,
                format!("fusermount3: {error}: install the package fuse3"),
            )
        })?;
    if output.status.success() {
        return Ok(Unmounted::Yes);
    }
    let text = String::from_utf8_lossy(&output.stderr);
    if text.contains("busy") {
        return Ok(Unmounted::Busy);
    }
    Err(stop(
        ErrorCode::Refused,
        format!(
            "{}: only root and the user who mounted it may unmount it ({})",
            mountpoint.display(),
            text.trim()
        ),
    ))
}

fn busy(mountpoint: &Path) -> Stop {
    let place = mountpoint.display();
    stop(
        ErrorCode::Refused,
        format!(
            "{place}: files are open there: close them and try again; fuser -vm {place} shows who has them"
        ),
    )
}
