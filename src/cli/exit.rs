//! Exit codes, in one table: for scripts, for `--help`, and for the manual.

use std::process::ExitCode;

use crate::server::ErrorCode;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It did what was asked.
    Success,
    /// Something failed that should not.
    Failed,
    /// The arguments or the settings make no sense.
    BadInput,
    /// No such file, version or vault.
    NotFound,
    /// A rule says no.
    Refused,
    /// Catalog or packs are damaged.
    Damaged,
    /// Something is full.
    Blocked,
    /// It did what was asked, and could not tell whom it was asked to tell.
    Untold,
}

/// Each exit with its code and what the manual says of it.
pub const EXITS: [(Exit, u8, &str); 8] = [
    (Exit::Success, 0, "done"),
    (
        Exit::Failed,
        1,
        "failed: the line on standard error says why",
    ),
    (
        Exit::BadInput,
        2,
        "wrong usage, or settings that make no sense",
    ),
    (Exit::NotFound, 3, "no such file, version, mount or vault"),
    (
        Exit::Refused,
        4,
        "refused by a rule: the name exists or is reserved, vault or mount are in use, the key is wrong",
    ),
    (
        Exit::Damaged,
        5,
        "damage: catalog or packs are not what was written",
    ),
    (
        Exit::Blocked,
        6,
        "blocked: the store does not take what waits (full, away, refused); nothing is lost",
    ),
    (
        Exit::Untold,
        7,
        "done, but the notification that was asked for was not sent",
    ),
];

impl Exit {
    /// The number.
    pub fn code(self) -> u8 {
        EXITS
            .iter()
            .find(|(exit, ..)| *exit == self)
            .map_or(1, |(_, code, _)| *code)
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit.code())
    }
}

impl From<ErrorCode> for Exit {
    fn from(code: ErrorCode) -> Self {
        match code {
            ErrorCode::Failed => Exit::Failed,
            ErrorCode::BadInput => Exit::BadInput,
            ErrorCode::NotFound => Exit::NotFound,
            ErrorCode::Refused => Exit::Refused,
            ErrorCode::Damaged => Exit::Damaged,
            ErrorCode::Blocked => Exit::Blocked,
        }
    }
}

/// The table as `--help` shows it.
pub fn table() -> String {
    let mut text = String::from("Exit codes:\n");
    for (_, code, meaning) in EXITS {
        text.push_str(&format!("  {code}  {meaning}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_exit_has_one_code_and_the_codes_are_in_order() {
        for (index, (exit, code, _)) in EXITS.iter().enumerate() {
            assert_eq!(usize::from(*code), index);
            assert_eq!(exit.code(), *code);
        }
    }
}
