//! Searches: an expression like `tags:shirt AND created_at>1d`, and what it matches.
//!
//! The language is that of `docs/search.md`. Nothing is read here and nothing is listed:
//! whoever searches walks the catalog, as far as [`Expression::scope`] says, and brings
//! the facts of each asset. What can be wrong is found by [`Expression::parse`]; a search
//! that runs cannot fail.

mod ast;
mod beginning;
mod dates;
mod error;
mod fields;
mod lexer;
mod matching;
mod numbers;
mod order;
mod parser;
mod scope;
mod span;
mod subject;
mod symbols;
mod terms;
mod text_test;
mod unexpected;
mod words;

pub use error::SearchError;
pub use order::{Direction, Order, SortError, SortKey, SortValues};
pub use scope::{Case, Scope, StatusScope};
pub use subject::{Status, Subject};

use ast::Node;

use crate::model::Timestamp;

/// A search expression, ready to be asked.
#[derive(Debug, Clone)]
pub struct Expression {
    root: Node,
    scope: Scope,
}

impl Expression {
    /// Reads an expression; empty text is one that all active assets match. `now` is
    /// what `1d` counts back from.
    ///
    /// # Errors
    /// [`SearchError`] with the first thing that is wrong, and where.
    pub fn parse(text: &str, now: Timestamp) -> Result<Expression, SearchError> {
        let root = parser::parse(text, now)?;
        let scope = scope::scope(&root);
        Ok(Expression { root, scope })
    }

    /// Does this asset match?
    pub fn matches(&self, subject: &Subject<'_>) -> bool {
        // Decisive where the expression does not speak of the status; else it only
        // says sooner what the tree would.
        self.scope.status.includes(subject.status) && matching::matches(&self.root, subject)
    }

    /// It looks at tags or context.
    pub fn needs_labels(&self) -> bool {
        self.root.needs_labels()
    }

    /// Where matches can be.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }
}

#[cfg(test)]
mod doc_tests;
#[cfg(test)]
mod sample;
#[cfg(test)]
mod soundness_tests;
