//! Mounting in the background: the program starts itself again, and waits for a word.
//!
//! No fork: the child is a fresh process with one thread, its standard error is the log
//! file, and its standard output the pipe on which it says how the start goes.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use zeroize::Zeroizing;

use super::error::DaemonError;
use super::key::PASSPHRASE;
use super::ready::ReadyLine;
use crate::server::{ErrorCode, Failure};

/// The process to be: arguments for this very program.
#[derive(Debug)]
pub struct Background<'a> {
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// What it logs goes to the end of this file.
    pub log: &'a Path,
    /// What it reads on its standard input: there no other process sees it.
    pub input: Option<Zeroizing<String>>,
}

/// Starts the process and returns when its mount answers. `note` hears what it says
/// until then.
///
/// # Errors
/// What the process failed with.
pub fn start_in_background(
    background: Background<'_>,
    note: &mut dyn FnMut(&str),
) -> Result<(), DaemonError> {
    let log_name = background.log.display().to_string();
    let log = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(background.log)
        .map_err(|error| DaemonError::io(log_name.as_str(), error))?;
    let program = std::env::current_exe()
        .map_err(|error| DaemonError::io("finding the program to start", error))?;
    // Under its own name: as a copy called mount.keepfs it would read its arguments as
    // mount(8) gives them.
    let mut child = Command::new(&program)
        .arg0("keepfs")
        .args(&background.arguments)
        .env_remove(PASSPHRASE)
        .stdin(match &background.input {
            Some(_) => Stdio::piped(),
            None => Stdio::null(),
        })
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .map_err(|error| DaemonError::io(format!("starting {}", program.display()), error))?;
    if let (Some(mut pipe), Some(input)) = (child.stdin.take(), &background.input) {
        // A process that ended already says why below.
        let _ = pipe.write_all(input.as_bytes());
    }
    let lines = child.stdout.take().map(BufReader::new);
    for line in lines.into_iter().flat_map(BufRead::lines) {
        let Ok(line) = line else { break };
        match serde_json::from_str(&line) {
            Ok(ReadyLine::Note(text)) => note(&text),
            Ok(ReadyLine::Ready) => return Ok(()),
            Ok(ReadyLine::Failed(failure)) => {
                let _ = child.wait();
                return Err(DaemonError::Background(failure));
            }
            Err(_) => log::debug!("the background process said: {line}"),
        }
    }
    let _ = child.wait();
    Err(DaemonError::Background(Failure::new(
        ErrorCode::Failed,
        format!("the daemon ended before the mount answered: {log_name} says why"),
    )))
}
