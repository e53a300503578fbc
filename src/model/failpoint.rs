//! Crash points by name: `KEEPFS_CRASH_AT=seal.before-row[:COUNT]` ends the process
//! by SIGKILL when the point is reached for the COUNTth time (1 when not given).
//!
//! Debug builds only; a release build compiles [`reach`] to nothing.

/// Passes, or ends the process here, as the environment says.
#[cfg(debug_assertions)]
pub fn reach(point: &'static str) {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    static WANTED: OnceLock<Option<(String, u64)>> = OnceLock::new();
    static REACHED: AtomicU64 = AtomicU64::new(0);

    let wanted = WANTED.get_or_init(|| {
        let value = std::env::var("KEEPFS_CRASH_AT").ok()?;
        Some(match value.split_once(':') {
            Some((name, count)) => (name.into(), count.parse().unwrap_or(1)),
            None => (value, 1),
        })
    });
    if let Some((name, count)) = wanted
        && name == point
        && REACHED.fetch_add(1, Ordering::SeqCst) + 1 == *count
    {
        let _ =
            rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    }
}

/// Nothing, in a release build.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub fn reach(_point: &'static str) {}
