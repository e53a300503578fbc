//! Printing that survives `| head`, and sizes as people read them.

use std::fmt;
use std::io::{self, BufWriter, Write};

use serde::Serialize;

use crate::server::{ErrorCode, Failure};

/// What a command prints when it is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Text,
    /// One JSON document.
    Json,
}

/// Why a command stopped.
#[derive(Debug)]
pub enum Stop {
    /// It failed; the line to print.
    Failure(Failure),
    /// Each problem has been printed already.
    Reported(super::Exit),
    /// Whoever read standard output has read enough.
    ReaderGone,
}

/// A command's result.
pub type Outcome = Result<(), Stop>;

impl<E: Into<Failure>> From<E> for Stop {
    fn from(error: E) -> Self {
        Stop::Failure(error.into())
    }
}

/// A failure in words of the command's own.
pub fn stop(code: ErrorCode, message: impl Into<String>) -> Stop {
    Stop::Failure(Failure::new(code, message))
}

/// Prints to standard output.
pub fn print(text: impl fmt::Display) -> Outcome {
    let mut stdout = BufWriter::new(io::stdout().lock());
    written(write!(stdout, "{text}").and_then(|()| stdout.flush()))
}

/// Prints one line to standard output.
pub fn print_line(text: impl fmt::Display) -> Outcome {
    print(format_args!("{text}\n"))
}

/// Prints one JSON document.
pub fn print_json(document: &impl Serialize) -> Outcome {
    let mut stdout = BufWriter::new(io::stdout().lock());
    written(
        serde_json::to_writer_pretty(&mut stdout, document)
            .map_err(io::Error::from)
            .and_then(|()| writeln!(stdout))
            .and_then(|()| stdout.flush()),
    )
}

/// One line to standard error, as every error and every note is.
pub fn say(text: impl fmt::Display) {
    // A closed standard error is no reason to stop.
    let _ = writeln!(
        io::stderr().lock(),
        "keepfs: {}",
        one_line(&text.to_string())
    );
}

fn written(result: io::Result<()>) -> Outcome {
    match result {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(Stop::ReaderGone),
        Err(error) => Err(stop(ErrorCode::Failed, format!("standard output: {error}"))),
    }
}

/// Whatever is in a name or an answer: an error is one line.
fn one_line(text: &str) -> String {
    text.trim_end()
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// `1.5 MiB`; bytes below 1024 as they are.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    // 1023.95 would print as 1024.0.
    while value >= 1023.95 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// `1 file`, `2 files`.
pub fn count(number: u64, one: &str, many: &str) -> String {
    match number {
        1 => format!("1 {one}"),
        _ => format!("{number} {many}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_short_and_in_binary_units() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            ((1 << 20) - 1, "1.0 MiB"),
            (5 << 30, "5.0 GiB"),
            (u64::MAX, "16.0 EiB"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }

    #[test]
    fn an_error_is_one_line_whatever_is_in_it() {
        assert_eq!(one_line("a\nb\x1b[31m\n"), "a b [31m");
    }
}
