//! An expression after parsing: a tree of terms, each ready to be compared.
//!
//! The surprise: the parts of an AND or OR are not in the order in which they were
//! written. Those that need dimensions come last, because a file may have to be read
//! for them, and the others mostly decide without.

use super::fields::{NumberField, TextField, TimeField};
use super::span::Span;
use super::text_test::TextTest;

/// A part of an expression.
#[derive(Debug, Clone)]
pub(super) enum Node {
    /// A single question.
    Term(Term),
    /// What the part does not match.
    Not(Box<Node>),
    /// What all match; with no parts, everything.
    All(Vec<Node>),
    /// What one of them matches.
    Any(Vec<Node>),
}

/// A single question.
#[derive(Debug, Clone)]
pub(super) enum Term {
    /// One value of the field passes the test.
    Text(TextField, TextTest),
    /// The number lies there.
    Number(NumberField, Span),
    /// The moment lies there, in nanoseconds.
    Time(TimeField, Span),
    /// Of a field that no asset has.
    Never,
}

impl Node {
    /// What all parts match.
    pub(super) fn all(parts: Vec<Node>) -> Node {
        Node::joined(parts, Node::All)
    }

    /// What one part matches.
    pub(super) fn any(parts: Vec<Node>) -> Node {
        Node::joined(parts, Node::Any)
    }

    fn joined(mut parts: Vec<Node>, join: fn(Vec<Node>) -> Node) -> Node {
        if parts.len() == 1 {
            return parts.swap_remove(0);
        }
        parts.sort_by_cached_key(Node::needs_dimensions);
        join(parts)
    }

    /// A term asks for what stands in the bytes of a picture.
    pub(super) fn needs_dimensions(&self) -> bool {
        self.has_term(&|term| matches!(term, Term::Number(field, _) if field.is_a_dimension()))
    }

    /// A term looks at tags or context.
    pub(super) fn needs_labels(&self) -> bool {
        self.has_term(&|term| matches!(term, Term::Text(field, _) if field.is_a_label()))
    }

    /// A term speaks of the status.
    pub(super) fn mentions_status(&self) -> bool {
        self.has_term(&|term| matches!(term, Term::Text(TextField::Status, _)))
    }

    fn has_term(&self, wanted: &dyn Fn(&Term) -> bool) -> bool {
        match self {
            Node::Term(term) => wanted(term),
            Node::Not(node) => node.has_term(wanted),
            Node::All(nodes) | Node::Any(nodes) => nodes.iter().any(|node| node.has_term(wanted)),
        }
    }
}
