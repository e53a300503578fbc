//! From the process's arguments to its exit code.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;

use super::arguments::{Arguments, Command};
use super::output::{Outcome, Stop, print, say};
use super::{Exit, fstab, usage};
use crate::daemon::{LogTarget, start_logging};

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let arguments = match fstab::is_mount_helper(&arguments) {
        true => fstab::translate(&arguments),
        false => Ok(fstab::Task::Run(arguments)),
    };
    let exit = match arguments {
        Ok(fstab::Task::Run(arguments)) => parse_and_run(&arguments),
        Ok(fstab::Task::Nothing) => Exit::Success,
        Err(failure) => {
            say(&failure);
            Exit::from(failure.code)
        }
    };
    exit.into()
}

fn parse_and_run(arguments: &[OsString]) -> Exit {
    match Arguments::try_parse_from(arguments) {
        Ok(arguments) => finish(run(arguments.command)),
        Err(error) if error.use_stderr() => {
            say(usage::one_line(&error));
            Exit::BadInput
        }
        // --help and --version.
        Err(error) => finish(print(error.render().ansi())),
    }
}

fn run(command: Command) -> Outcome {
    let target = match &command {
        Command::Mount(mount) if mount.is_daemon() => LogTarget::Daemon,
        Command::Serve(_) => LogTarget::Daemon,
        _ => LogTarget::Command,
    };
    start_logging(target);
    match command {
        Command::Init(command) => command.run(),
        Command::Mount(command) => command.run(),
        Command::Umount(command) => command.run(),
        Command::Status(command) => command.run(),
        Command::Wait(command) => command.run(),
        Command::Versions(command) => command.run(),
        Command::Deleted(command) => command.run(),
        Command::Usage(command) => command.run(),
        Command::Search(command) => command.run(),
        Command::Restore(command) => command.run(),
        Command::Backup(command) => command.run(),
        Command::Policy(command) => command.run(),
        Command::Scan(command) => command.run(),
        Command::Check(command) => command.run(),
        Command::Pin(command) => command.run(),
        Command::Unpin(command) => command.run(),
        Command::Prune(command) => command.run(),
        Command::DeleteVersion(command) => command.run(),
        Command::Purge(command) => command.run(),
        Command::Store(command) => command.run(),
        Command::Rebuild(command) => command.run(),
        Command::Key(command) => command.run(),
        Command::Serve(command) => command.run(),
        Command::ApiKey(command) => command.run(),
        Command::Completions(command) => command.run(),
        Command::Man(command) => command.run(),
    }
}

fn finish(outcome: Outcome) -> Exit {
    match outcome {
        // Enough was read: as far as the reader is concerned all went well.
        Ok(()) | Err(Stop::ReaderGone) => Exit::Success,
        Err(Stop::Reported(exit)) => exit,
        Err(Stop::Failure(failure)) => {
            say(&failure);
            Exit::from(failure.code)
        }
    }
}

/// The name that the program was called by.
pub fn called_as(arguments: &[OsString]) -> Option<&OsStr> {
    Path::new(arguments.first()?).file_name()
}
