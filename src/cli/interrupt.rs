//! A command that says how it ended says so when a signal ends it, too.
//!
//! The first signal has that said, and then ends the process as it would have anyway. A
//! second one does not wait for that: a mail server may take its time.

use std::fs;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::{Handle, Signals};
use signal_hook::low_level::emulate_default_handler;

/// Ends the listener also where the work panics.
struct Listening(Handle);

impl Drop for Listening {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Does the work and says how it ended. Where a signal comes first, `interrupted` is said
/// instead, and the signal ends the process.
///
/// # Errors
/// When signals cannot be caught; nothing was done then.
pub fn said_at_the_end<T, U>(
    work: impl FnOnce() -> T,
    say: impl FnOnce(&T) -> U,
    interrupted: impl Fn() + Sync,
) -> io::Result<(T, U)> {
    let mut signals = Signals::new(wanted())?;
    let listening = Listening(signals.handle());
    let is_over = AtomicBool::new(false);
    let (is_over, interrupted) = (&is_over, &interrupted);
    thread::scope(|scope| {
        let listening = listening;
        scope.spawn(move || {
            for signal in signals.forever() {
                if is_over.swap(true, Ordering::SeqCst) {
                    end_by(signal);
                }
                scope.spawn(move || {
                    interrupted();
                    end_by(signal);
                });
            }
        });
        let done = work();
        while is_over.swap(true, Ordering::SeqCst) {
            // It is being said that a signal came, which then ends the process.
            thread::park();
        }
        let said = say(&done);
        drop(listening);
        Ok((done, said))
    })
}

fn end_by(signal: i32) {
    if emulate_default_handler(signal).is_err() {
        std::process::exit(128 + signal);
    }
}

/// Those that were not ignored: a shell lets what it starts in the background ignore Ctrl-C.
fn wanted() -> impl Iterator<Item = i32> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = ignored_in(&status);
    [SIGINT, SIGTERM]
        .into_iter()
        .filter(move |signal| ignored >> (signal - 1) & 1 == 0)
}

fn ignored_in(status: &str) -> u64 {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signals_that_are_ignored_are_read_from_the_status_of_the_process() {
        let status = "Name:\tx\nSigBlk:\t0000000000000001\nSigIgn:\t0000000000001002\n";
        assert_eq!(ignored_in(status), 1 << (SIGINT - 1) | 1 << 12);
        assert_eq!(ignored_in(""), 0);
    }

    #[test]
    fn work_that_no_signal_interrupts_is_told_of_once() {
        let unsaid = || panic!("there was no signal");
        let ended = said_at_the_end(|| 7, |done| done + 1, unsaid).unwrap();
        assert_eq!(ended, (7, 8));
    }
}
