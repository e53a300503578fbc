//! The kernel's side: FUSE requests to operations on the live tree and on history.
//!
//! Only this module names fuser. [`mount`] starts a session and returns; [`Mounted`]
//! is its owner's end. Operations return values and errors; `shell` and `reply`
//! turn them into replies, `errno` turns errors into errno, and nothing else does.

mod attr;
mod barrier;
mod checkpoint;
mod descriptors;
mod errno;
mod handles;
mod history;
mod invalidate;
mod live;
mod negotiate;
mod node;
mod nodes;
mod open_inode;
mod options;
mod remote_commits;
mod reply;
mod session;
mod shell;
mod tree;

use std::os::fd::{AsFd, AsRawFd};

pub use checkpoint::Checkpointer;
pub use invalidate::Invalidator;
pub use options::{Audience, HistoryListing, MountOptions, OptionError, Permit, Writing};
pub use session::{MountError, Mounted, Unmounter, Urgency, mount};

/// A descriptor as a path: for the calls that know no `AT_EMPTY_PATH`.
fn proc_path(file: impl AsFd) -> String {
    format!("/proc/self/fd/{}", file.as_fd().as_raw_fd())
}
