//! `keepfs completions`: what a shell needs to complete our command line.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::arguments::Arguments;
use super::output::{Outcome, print};

/// Print completions for a shell
#[derive(Debug, Args)]
#[command(after_help = "Example:
  keepfs completions bash > /etc/bash_completion.d/keepfs")]
pub struct Completions {
    /// Which shell
    shell: Shell,
}

impl Completions {
    /// Prints them.
    pub fn run(self) -> Outcome {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Arguments::command(), "keepfs", &mut script);
        print(String::from_utf8_lossy(&script))
    }
}
