//! `keepfs man`: manual pages, one for the program and one for each command.

use std::path::PathBuf;

use clap::{Args, CommandFactory};

use super::arguments::Arguments;
use super::output::{Outcome, print_line, stop};
use crate::server::ErrorCode;

/// Write the manual pages into a directory
#[derive(Debug, Args)]
#[command(after_help = "Example:
  keepfs man /usr/local/share/man/man1")]
pub struct Man {
    /// The directory; made where it is missing
    directory: PathBuf,
}

impl Man {
    /// Writes them.
    pub fn run(self) -> Outcome {
        std::fs::create_dir_all(&self.directory)
            .and_then(|()| clap_mangen::generate_to(Arguments::command(), &self.directory))
            .map_err(|error| {
                stop(
                    ErrorCode::Failed,
                    format!("{}: {error}", self.directory.display()),
                )
            })?;
        print_line(format_args!(
            "wrote the manual pages into {}",
            self.directory.display()
        ))
    }
}
