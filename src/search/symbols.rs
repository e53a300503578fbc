//! What an expression is written with.
//!
//! A [`Value`] that was quoted or escaped is marked: it is never AND, OR, NOT or TO,
//! and never the name of a field.

use super::error::shown;
use super::span::{Edge, Operator};
use super::text_test::Extent;

/// A symbol and where it stands, in characters from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) symbol: Symbol,
    pub(super) position: usize,
}

/// A symbol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Symbol {
    /// A word or a quoted text.
    Value(Value),
    /// `AND`
    And,
    /// `OR`
    Or,
    /// `NOT`
    Not,
    /// `+`
    Must,
    /// `-`
    MustNot,
    /// `(`
    Open,
    /// `)`
    Close,
    /// `[` or `{`
    RangeOpen(Edge),
    /// `]` or `}`
    RangeClose(Edge),
    /// `:`, `=`, `>`, …
    Operator(Operator),
    /// There is no more.
    End,
}

/// A word or a quoted text, without what marked it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Value {
    pub(super) text: String,
    pub(super) extent: Extent,
    pub(super) spelling: Spelling,
}

/// Is it certainly a value?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spelling {
    /// A bare word.
    Plain,
    /// In quotes, or with an escape.
    Marked,
}

impl Value {
    pub(super) const fn new(spelling: Spelling) -> Value {
        Value {
            text: String::new(),
            extent: Extent::Whole,
            spelling,
        }
    }

    /// The word if it is bare, and complete.
    pub(super) fn bare(&self) -> Option<&str> {
        (self.spelling == Spelling::Plain && self.extent == Extent::Whole).then_some(&*self.text)
    }

    pub(super) fn into_symbol(self) -> Symbol {
        match self.bare() {
            Some("AND") => Symbol::And,
            Some("OR") => Symbol::Or,
            Some("NOT") => Symbol::Not,
            _ => Symbol::Value(self),
        }
    }
}

impl Symbol {
    /// As a message names it.
    pub(super) fn shown(&self) -> String {
        match self {
            Symbol::Value(value) => shown(&value.text),
            Symbol::And => "'AND'".to_owned(),
            Symbol::Or => "'OR'".to_owned(),
            Symbol::Not => "'NOT'".to_owned(),
            Symbol::Must => "'+'".to_owned(),
            Symbol::MustNot => "'-'".to_owned(),
            Symbol::Open => "'('".to_owned(),
            Symbol::Close => "')'".to_owned(),
            Symbol::RangeOpen(Edge::Included) => "'['".to_owned(),
            Symbol::RangeOpen(Edge::Excluded) => "'{'".to_owned(),
            Symbol::RangeClose(Edge::Included) => "']'".to_owned(),
            Symbol::RangeClose(Edge::Excluded) => "'}'".to_owned(),
            Symbol::Operator(operator) => format!("'{}'", operator.as_str()),
            Symbol::End => "end".to_owned(),
        }
    }
}
