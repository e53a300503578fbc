//! The one place that picks implementations, and the order in which things start and stop.
//!
//! Start: settings, layout, lock, catalog, vault, "not stopped cleanly" on disk, workers,
//! control socket, mount, ready, and after an unclean stop the recovery scan.
//! Stop: unmounted, control socket, drain, "stopped cleanly" on disk, lock, and last the
//! clients that wait for the end. A kill between any two of these leaves a vault that mounts.

mod background;
mod checkpoints;
mod create;
mod ending;
mod error;
mod key;
mod lock;
mod logging;
mod mount_table;
mod mountpoint;
mod opened;
mod ready;
mod rebuild;
mod run;
mod serve;
mod stop;

pub use background::{Background, start_in_background};
pub use create::{Created, create, create_encrypted, prepare};
pub use error::DaemonError;
pub use key::{Ask, passphrase_in_environment, rewrap, unlock};
pub use logging::{LogTarget, start_logging};
pub use mount_table::keepfs_mount_of;
pub use mountpoint::{Standing, detach_stale, standing};
pub use opened::Opened;
pub use ready::{Announce, PipeAnnounce};
pub use rebuild::{LiveAsOf, RebuildRequest, Rebuilt, rebuild};
pub use run::{MountRequest, run_mount};
pub use serve::{ServeRequest, run_serve};

#[cfg(test)]
mod tests;
