//! Where matches can be, so that a walk need not look elsewhere.
//!
//! Never too narrow; often too wide. An asset outside of the scope does not match, one
//! inside it still has to be asked. The surprise: an expression that does not speak of
//! the status is one about active assets.

use super::ast::{Node, Term};
use super::beginning::{self, Beginning};
use super::fields::TextField;
use super::subject::Status;

/// Where the matches of an expression can be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// With which status.
    pub status: StatusScope,
    /// What each `public_id` begins with, compared as `prefix_case` says; folded where
    /// that is [`Case::Ignored`]. Empty: no beginning is known.
    pub public_id_prefix: String,
    /// How that beginning is to be compared.
    pub prefix_case: Case,
    /// The expression may ask for the width and height of pictures.
    pub needs_dimensions: bool,
}

/// Statuses that matches can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusScope {
    /// Only what is in the live tree, or nothing matches at all.
    Active,
    /// Only what was deleted.
    Deleted,
    /// Either.
    Both,
}

/// Does the case of letters count?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Case {
    /// It does.
    Exact,
    /// It does not.
    Ignored,
}

impl Scope {
    /// Can an asset with this name and status match?
    pub fn admits(&self, public_id: &str, status: Status) -> bool {
        let beginning = (self.public_id_prefix.as_str(), self.prefix_case);
        self.status.includes(status) && beginning::begins(public_id, beginning)
    }

    /// Can something below this directory match? Empty is the mount root.
    pub fn reaches_into(&self, directory: &str) -> bool {
        let beginning = (self.public_id_prefix.as_str(), self.prefix_case);
        directory.is_empty() || beginning::agrees(&format!("{directory}/"), beginning)
    }
}

impl StatusScope {
    /// Is this status one of them?
    pub const fn includes(self, status: Status) -> bool {
        matches!(
            (self, status),
            (StatusScope::Both, _)
                | (StatusScope::Active, Status::Active)
                | (StatusScope::Deleted, Status::Deleted)
        )
    }
}

/// The scope of an expression.
pub(super) fn scope(node: &Node) -> Scope {
    let Beginning { text, case } = beginning::beginning(node);
    Scope {
        status: status(node),
        public_id_prefix: text,
        prefix_case: case,
        needs_dimensions: node.needs_dimensions(),
    }
}

fn status(node: &Node) -> StatusScope {
    if !node.mentions_status() {
        return StatusScope::Active;
    }
    let possible = |status| answer_of(node, status) != Some(false);
    match (possible(Status::Active), possible(Status::Deleted)) {
        (true, true) => StatusScope::Both,
        (false, true) => StatusScope::Deleted,
        (_, false) => StatusScope::Active,
    }
}

/// What the expression says of an asset of which only the status is known; `None` where
/// that depends on more.
fn answer_of(node: &Node, status: Status) -> Option<bool> {
    match node {
        Node::Term(Term::Text(TextField::Status, test)) => Some(test.passes(status.as_str())),
        Node::Term(Term::Never) => Some(false),
        Node::Term(_) => None,
        Node::Not(node) => answer_of(node, status).map(|answer| !answer),
        Node::All(nodes) => joined(nodes, status, false),
        Node::Any(nodes) => joined(nodes, status, true),
    }
}

/// One part with the `decisive` answer is enough; else all must be known.
fn joined(nodes: &[Node], status: Status, decisive: bool) -> Option<bool> {
    let mut all_known = true;
    for node in nodes {
        match answer_of(node, status) {
            Some(answer) if answer == decisive => return Some(decisive),
            Some(_) => {}
            None => all_known = false,
        }
    }
    all_known.then_some(!decisive)
}

#[cfg(test)]
#[path = "scope_tests.rs"]
mod tests;
