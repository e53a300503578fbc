//! How a starting daemon tells whoever started it how it goes.
//!
//! In the background that is a pipe on standard output with JSON lines; systemd is told
//! in either case, if it asked.

use std::fs::File;
use std::io::Write;

use sd_notify::NotifyState;
use serde::{Deserialize, Serialize};

use crate::server::Failure;

/// Hears of the start.
pub trait Announce {
    /// Something a person may want to know, while it goes on.
    fn note(&mut self, text: &str);
    /// The mount answers.
    fn ready(&mut self);
}

/// A line from the background process to the one that started it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ReadyLine {
    Note(String),
    Ready,
    Failed(Failure),
}

/// Announces on the pipe that is this process's standard output.
#[derive(Debug, Default)]
pub struct PipeAnnounce {}

impl PipeAnnounce {
    /// The start failed.
    pub fn failed(&mut self, failure: &Failure) {
        self.line(&ReadyLine::Failed(failure.clone()));
    }

    fn line(&mut self, line: &ReadyLine) {
        let Ok(mut text) = serde_json::to_vec(line) else {
            return;
        };
        text.push(b'\n');
        let mut stdout = std::io::stdout().lock();
        // Nobody listens any more: the mount goes on without.
        let _ = stdout.write_all(&text).and_then(|()| stdout.flush());
    }
}

impl Announce for PipeAnnounce {
    fn note(&mut self, text: &str) {
        self.line(&ReadyLine::Note(text.into()));
    }

    fn ready(&mut self) {
        self.line(&ReadyLine::Ready);
        // The pipe ends here: whoever reads the starter's output must not wait for us.
        let null = File::options().write(true).open("/dev/null");
        let closed = null.and_then(|null| Ok(rustix::stdio::dup2_stdout(&null)?));
        if let Err(error) = closed {
            log::warn!("standard output stays open: {error}");
        }
    }
}

/// Tells systemd, where it started us.
pub(super) fn tell_systemd(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        log::debug!("systemd: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::ErrorCode;

    #[test]
    fn lines_of_the_start_come_back_as_they_went() {
        for line in [
            ReadyLine::Note("waiting".into()),
            ReadyLine::Ready,
            ReadyLine::Failed(Failure::new(ErrorCode::Refused, "in use")),
        ] {
            let text = serde_json::to_string(&line).unwrap();
            assert_eq!(serde_json::from_str::<ReadyLine>(&text).unwrap(), line);
        }
    }
}
