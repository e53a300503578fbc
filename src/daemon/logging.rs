//! Where the log goes and how much of it: `KEEPFS_LOG`, or `RUST_LOG`.

use env_logger::{Builder, Env, WriteStyle};

/// Who writes the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogTarget {
    /// A daemon: what happens is worth a line. Its standard error is the log file, or
    /// the terminal it runs in the foreground of.
    Daemon,
    /// A command: only what a person must know. It says the rest itself.
    Command,
}

/// Starts logging to standard error. A second call changes nothing.
pub fn start_logging(target: LogTarget) {
    let default = match target {
        // fuser warns of every unmount that somebody else did.
        LogTarget::Daemon => "info,fuser=error",
        LogTarget::Command => "error",
    };
    let env = match std::env::var_os("KEEPFS_LOG") {
        Some(_) => Env::new().filter_or("KEEPFS_LOG", default),
        None => Env::new().filter_or("RUST_LOG", default),
    };
    let _ = Builder::from_env(env)
        .write_style(WriteStyle::Auto)
        .format_target(false)
        .try_init();
}
