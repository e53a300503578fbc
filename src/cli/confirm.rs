//! The question before what cannot be undone.

use std::io::{self, BufRead, IsTerminal, Write};

use super::Exit;
use super::output::{Outcome, Stop, say, stop};
use crate::server::ErrorCode;

/// Whether the question was answered on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Assent {
    /// `--yes`.
    Given,
    /// Ask.
    Wanted,
}

impl From<bool> for Assent {
    fn from(yes: bool) -> Self {
        match yes {
            true => Assent::Given,
            false => Assent::Wanted,
        }
    }
}

/// Goes on only after a yes; without a terminal only with `--yes`.
pub fn confirm(assent: Assent, what: &str) -> Outcome {
    if assent == Assent::Given {
        return Ok(());
    }
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Err(stop(
            ErrorCode::BadInput,
            format!("{what} cannot be undone, and there is no terminal to ask on: give --yes"),
        ));
    }
    let mut answer = String::new();
    let asked = write!(io::stderr(), "{what} cannot be undone. Go on? [y/N] ")
        .and_then(|()| io::stdin().lock().read_line(&mut answer));
    match asked {
        Ok(_) if matches!(answer.trim(), "y" | "Y" | "yes") => Ok(()),
        _ => {
            say("nothing was deleted");
            Err(Stop::Reported(Exit::Failed))
        }
    }
}
