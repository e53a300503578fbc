//! A notice as input of a command of the user's.

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::process::{Command, Stdio};

use super::{Ending, Notice, NotifyError};

/// Runs a line in the shell. What it prints goes to standard error: standard output
/// may be a JSON document.
pub(super) fn run(line: &str, notice: &Notice) -> Result<(), NotifyError> {
    let failed = |problem: String| NotifyError::Command { problem };
    let ending = match notice.ending {
        Ending::Done => "done",
        Ending::Failed => "failed",
    };
    let stdout = io::stderr().as_fd().try_clone_to_owned();
    let mut child = Command::new("sh")
        .args(["-c", line])
        .env("KEEPFS_RESULT", ending)
        .env("KEEPFS_SUBJECT", &notice.subject)
        .stdin(Stdio::piped())
        .stdout(stdout.map_or_else(|_| Stdio::null(), Stdio::from))
        .spawn()
        .map_err(|error| failed(format!("sh: {error}")))?;
    if let Some(mut stdin) = child.stdin.take() {
        // It need not read it.
        let _ = stdin.write_all(notice.text.as_bytes());
    }
    match child.wait() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(failed(status.to_string())),
        Err(error) => Err(failed(error.to_string())),
    }
}
