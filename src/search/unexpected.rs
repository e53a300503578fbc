//! A symbol where it cannot stand, and what its writer may have meant.
//!
//! The parser says where; here are only the words.

use super::error::SearchError;
use super::symbols::{Symbol, Token};

/// The error for a symbol that is in the way.
pub(super) fn unexpected(token: &Token) -> SearchError {
    let way_out = match &token.symbol {
        Symbol::Close => {
            "remove it, or put a term between the parentheses; as part of a value it needs quotes"
        }
        Symbol::End => "a term must follow",
        Symbol::And | Symbol::Or | Symbol::Not => {
            "it stands between two terms; to look for the word put it into quotes"
        }
        Symbol::Must | Symbol::MustNot => "one sign directly before a term is enough",
        Symbol::RangeOpen(_) | Symbol::RangeClose(_) => {
            "a range follows a field, as in 'bytes:[1k TO 5k]'; as part of a value it needs quotes"
        }
        Symbol::Operator(_) => {
            "it stands between a field and a value; a value that contains it needs quotes"
        }
        Symbol::Value(_) | Symbol::Open => "close what was opened before it",
    };
    SearchError::at(
        token.position,
        format!("unexpected {}", token.symbol.shown()),
        way_out,
    )
}
