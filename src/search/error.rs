//! What is wrong with an expression, where, and the way out: one line.
//!
//! The line stays one whatever the expression holds: what is quoted from it is cut
//! short and its control characters are escaped ([`shown`]).

/// Why a text is no search expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Invalid search expression: {problem} at position {position}: {way_out}")]
pub struct SearchError {
    /// Where, in characters from 1.
    pub position: usize,
    /// What stands there that should not.
    pub problem: String,
    /// What to write instead.
    pub way_out: String,
}

impl SearchError {
    pub(super) fn at(
        position: usize,
        problem: impl Into<String>,
        way_out: impl Into<String>,
    ) -> SearchError {
        SearchError {
            position,
            problem: problem.into(),
            way_out: way_out.into(),
        }
    }
}

/// The longest piece of an expression that a message repeats, in characters.
const SHOWN_MAX: usize = 40;

/// A piece of the expression, as a message shows it.
pub(super) fn shown(text: &str) -> String {
    let mut shown = String::from("'");
    for (index, c) in text.chars().enumerate() {
        if index == SHOWN_MAX {
            shown.push('…');
            break;
        }
        // Beside control characters: what some readers of a log take for the end of a line.
        if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown.push('\'');
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_one_line_with_what_where_and_the_way_out() {
        let error = SearchError::at(14, "unexpected ')'", "remove it");
        assert_eq!(
            error.to_string(),
            "Invalid search expression: unexpected ')' at position 14: remove it"
        );
    }

    #[test]
    fn what_is_shown_is_short_and_has_no_control_characters() {
        assert_eq!(shown("a b"), "'a b'");
        assert_eq!(shown("a\nb\u{2028}"), "'a\\nb\\u{2028}'");
        assert_eq!(shown(&"é".repeat(50)), format!("'{}…'", "é".repeat(40)));
    }
}
