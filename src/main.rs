//! Arguments to command to exit code.

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    keepfs::cli::main()
}
