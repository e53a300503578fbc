//! What the names of all matches begin with.
//!
//! Tests of `public_id` and `folder` say so; AND takes the longest, OR what is common,
//! and NOT says nothing. The surprise: a beginning without case is kept folded, and
//! folding may change its length (`ß` is `ss`), so the two kinds never mix unfolded.

use super::ast::{Node, Term};
use super::fields::TextField;
use super::scope::Case;
use super::text_test::{Comparison, Extent, TextTest};
use super::words::folded;

/// A beginning; empty if none is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Beginning {
    pub(super) text: String,
    pub(super) case: Case,
}

/// What each match of this part begins with.
pub(super) fn beginning(node: &Node) -> Beginning {
    match node {
        Node::Term(Term::Text(TextField::PublicId, test)) => {
            Beginning::of(test, test.wanted.clone())
        }
        Node::Term(Term::Text(TextField::Folder, test)) => Beginning::of(test, within_folder(test)),
        Node::Term(_) | Node::Not(_) => Beginning::unknown(),
        Node::All(nodes) => nodes
            .iter()
            .map(beginning)
            .max_by_key(|beginning| (beginning.text.len(), beginning.case == Case::Exact))
            .unwrap_or_else(Beginning::unknown),
        Node::Any(nodes) => nodes
            .iter()
            .map(beginning)
            .reduce(Beginning::common)
            .unwrap_or_else(Beginning::unknown),
    }
}

/// Does the name begin so?
pub(super) fn begins(name: &str, (text, case): (&str, Case)) -> bool {
    match case {
        Case::Exact => name.starts_with(text),
        Case::Ignored => {
            let mut name = folded(name);
            text.chars().all(|c| name.next() == Some(c))
        }
    }
}

/// Is one of the two the beginning of the other?
pub(super) fn agrees(name: &str, (text, case): (&str, Case)) -> bool {
    match case {
        Case::Exact => name.chars().zip(text.chars()).all(|(a, b)| a == b),
        Case::Ignored => folded(name).zip(text.chars()).all(|(a, b)| a == b),
    }
}

fn within_folder(test: &TextTest) -> String {
    match test.extent {
        Extent::Whole | Extent::Within if !test.wanted.is_empty() => format!("{}/", test.wanted),
        _ => test.wanted.clone(),
    }
}

impl Beginning {
    fn unknown() -> Beginning {
        Beginning {
            text: String::new(),
            case: Case::Exact,
        }
    }

    fn of(test: &TextTest, text: String) -> Beginning {
        match test.comparison {
            Comparison::Exact => Beginning {
                text,
                case: Case::Exact,
            },
            Comparison::Folded => Beginning {
                text,
                case: Case::Ignored,
            },
            Comparison::Words(_) => Beginning::unknown(),
        }
    }

    fn common(self, other: Beginning) -> Beginning {
        let case = match (self.case, other.case) {
            (Case::Exact, Case::Exact) => Case::Exact,
            _ => Case::Ignored,
        };
        let (one, other) = (self.compared_by(case), other.compared_by(case));
        let same = one.chars().zip(other.chars()).take_while(|(a, b)| a == b);
        Beginning {
            text: same.map(|(c, _)| c).collect(),
            case,
        }
    }

    fn compared_by(self, case: Case) -> String {
        match (self.case, case) {
            (Case::Exact, Case::Ignored) => folded(&self.text).collect(),
            _ => self.text,
        }
    }
}
