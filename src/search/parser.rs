//! Symbols into a tree: NOT before AND before OR.
//!
//! Terms that follow each other are joined by AND, so `+` changes nothing. A group after
//! a field (`format:(png OR jpg)`) is the same grammar with values for terms: everything
//! here takes what was asked before the group, if anything was. Length, depth and terms
//! are bounded, so that no text can exhaust the stack or a processor.

use super::ast::{Node, Term};
use super::error::{SearchError, shown};
use super::fields::Field;
use super::lexer::tokens;
use super::span::{Edge, Operator};
use super::symbols::{Symbol, Token};
use super::terms::{Asked, Written, anywhere};
use super::unexpected::unexpected;
use crate::model::Timestamp;

/// The longest expression, in bytes.
const TEXT_MAX: usize = 16 << 10;
/// The deepest parentheses.
const DEPTH_MAX: usize = 64;
/// The most terms.
const TERMS_MAX: usize = 1_000;

/// Reads an expression. Without any term it matches everything.
///
/// # Errors
/// [`SearchError`] with the first thing that is wrong.
pub(super) fn parse(text: &str, now: Timestamp) -> Result<Node, SearchError> {
    check_length(text)?;
    let mut parser = Parser {
        tokens: tokens(text)?,
        at: 0,
        now,
        depth: 0,
        terms: 0,
    };
    if parser.peek().symbol == Symbol::End {
        return Ok(Node::all(Vec::new()));
    }
    let node = parser.alternatives(None)?;
    match parser.take() {
        Token {
            symbol: Symbol::End,
            ..
        } => Ok(node),
        token => Err(unexpected(&token)),
    }
}

fn check_length(text: &str) -> Result<(), SearchError> {
    if text.len() <= TEXT_MAX {
        return Ok(());
    }
    let within = text.char_indices().filter(|(at, _)| *at < TEXT_MAX).count();
    Err(SearchError::at(
        within + 1,
        "more than 16 KiB of text",
        "ask in several searches",
    ))
}

struct Parser {
    /// The last one is [`Symbol::End`], and is never passed.
    tokens: Vec<Token>,
    at: usize,
    now: Timestamp,
    depth: usize,
    terms: usize,
}

impl Parser {
    fn peek(&self) -> &Token {
        &self.tokens[self.at]
    }

    fn take(&mut self) -> Token {
        let token = self.peek().clone();
        if token.symbol != Symbol::End {
            self.at += 1;
        }
        token
    }

    fn accept(&mut self, symbol: &Symbol) -> bool {
        let found = self.peek().symbol == *symbol;
        self.at += usize::from(found);
        found
    }

    fn alternatives(&mut self, asked: Option<&Asked>) -> Result<Node, SearchError> {
        let first = self.peek();
        if first.symbol == Symbol::Not {
            return Err(SearchError::at(
                first.position,
                "a leading 'NOT'",
                "it stands between terms, as in 'a NOT b'; write '-' before the first one, as in '-tags:dog'",
            ));
        }
        let mut nodes = vec![self.conjunction(asked)?];
        while self.accept(&Symbol::Or) {
            nodes.push(self.conjunction(asked)?);
        }
        Ok(Node::any(nodes))
    }

    fn conjunction(&mut self, asked: Option<&Asked>) -> Result<Node, SearchError> {
        let mut nodes = vec![self.clause(asked)?];
        while self.accept(&Symbol::And) || self.begins_a_clause(asked) {
            nodes.push(self.clause(asked)?);
        }
        Ok(Node::all(nodes))
    }

    fn begins_a_clause(&self, asked: Option<&Asked>) -> bool {
        match &self.peek().symbol {
            Symbol::Value(_)
            | Symbol::Not
            | Symbol::Must
            | Symbol::MustNot
            | Symbol::Open
            | Symbol::RangeOpen(_) => true,
            Symbol::Operator(operator) => asked.is_some() && operator.orders(),
            Symbol::And | Symbol::Or | Symbol::Close | Symbol::RangeClose(_) | Symbol::End => false,
        }
    }

    fn clause(&mut self, asked: Option<&Asked>) -> Result<Node, SearchError> {
        let denied = self.accept(&Symbol::Not);
        let excluded = self.accept(&Symbol::MustNot);
        if !excluded {
            self.accept(&Symbol::Must);
        }
        let node = self.primary(asked)?;
        if denied == excluded {
            return Ok(node);
        }
        Ok(Node::Not(Box::new(node)))
    }

    fn primary(&mut self, asked: Option<&Asked>) -> Result<Node, SearchError> {
        let token = self.take();
        match (&token.symbol, asked) {
            (Symbol::Open, _) => self.group(token.position, asked),
            (_, Some(asked)) => self.value(asked, token),
            (Symbol::Value(value), None) => self.field_or_text(Written {
                value: value.clone(),
                position: token.position,
            }),
            (_, None) => Err(unexpected(&token)),
        }
    }

    fn group(&mut self, opened: usize, asked: Option<&Asked>) -> Result<Node, SearchError> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(SearchError::at(
                opened,
                format!("more than {DEPTH_MAX} '(' inside each other"),
                "remove those that change nothing",
            ));
        }
        let node = self.alternatives(asked)?;
        let token = self.take();
        match token.symbol {
            Symbol::Close => {
                self.depth -= 1;
                Ok(node)
            }
            Symbol::End => Err(SearchError::at(
                opened,
                "a '(' without its ')'",
                "close it, or put the value into quotes",
            )),
            _ => Err(unexpected(&token)),
        }
    }

    fn field_or_text(&mut self, written: Written) -> Result<Node, SearchError> {
        let next = self.peek();
        let Symbol::Operator(operator) = next.symbol else {
            return self.counted(anywhere(&written.value), written.position);
        };
        let position = next.position;
        let Some(name) = written.value.bare() else {
            return Err(SearchError::at(
                position,
                format!("'{}' after what is no field", operator.as_str()),
                "a field is a word without quotes and '*'; a value that contains the character needs quotes around all of it",
            ));
        };
        let asked = Asked {
            field: Field::named(name),
            name: name.to_owned(),
            operator,
            position,
        };
        self.take();
        let token = self.take();
        match token.symbol {
            Symbol::Open if !operator.orders() => self.group(token.position, Some(&asked)),
            _ => self.value(&asked, token),
        }
    }

    /// One value or range, with the operator before it that a `:` allows.
    fn value(&mut self, asked: &Asked, token: Token) -> Result<Node, SearchError> {
        match token.symbol {
            Symbol::Operator(operator)
                if operator.orders() && asked.operator == Operator::Contains =>
            {
                let ordered = Asked {
                    operator,
                    position: token.position,
                    ..asked.clone()
                };
                let token = self.take();
                self.value(&ordered, token)
            }
            Symbol::RangeOpen(edge) if !asked.operator.orders() => {
                self.range(asked, edge, token.position)
            }
            Symbol::Value(value) => {
                let position = token.position;
                let term = asked.term(&Written { value, position }, self.now)?;
                self.counted(term, position)
            }
            symbol => Err(SearchError::at(
                token.position,
                format!("unexpected {}", symbol.shown()),
                format!(
                    "a value must follow {}; special characters and AND, OR, NOT as values need quotes",
                    shown(&format!("{}{}", asked.name, asked.operator.as_str()))
                ),
            )),
        }
    }

    fn range(&mut self, asked: &Asked, low: Edge, opened: usize) -> Result<Node, SearchError> {
        let from = self.range_value(opened)?;
        let to = self.take();
        if !matches!(&to.symbol, Symbol::Value(value) if value.bare() == Some("TO")) {
            return Err(bad_range(&to));
        }
        let until = self.range_value(opened)?;
        let close = self.take();
        let Symbol::RangeClose(high) = close.symbol else {
            return Err(bad_range(&close));
        };
        let term = asked.range(&(low, from), &(high, until), self.now)?;
        self.counted(term, opened)
    }

    fn range_value(&mut self, opened: usize) -> Result<Written, SearchError> {
        let token = self.take();
        match token.symbol {
            Symbol::Value(value) => Ok(Written {
                value,
                position: token.position,
            }),
            Symbol::End => Err(SearchError::at(
                opened,
                "a range without its end",
                "write it as [1 TO 5], or {1 TO 5} without the two",
            )),
            _ => Err(bad_range(&token)),
        }
    }

    fn counted(&mut self, term: Term, position: usize) -> Result<Node, SearchError> {
        self.terms += 1;
        if self.terms > TERMS_MAX {
            return Err(SearchError::at(
                position,
                format!("more than {TERMS_MAX} terms"),
                "ask in several searches",
            ));
        }
        Ok(Node::Term(term))
    }
}

fn bad_range(token: &Token) -> SearchError {
    SearchError::at(
        token.position,
        format!("unexpected {} in a range", token.symbol.shown()),
        "write it as [1 TO 5], or {1 TO 5} without the two; special characters need quotes",
    )
}

#[cfg(test)]
#[path = "joining_tests.rs"]
mod joining_tests;
#[cfg(test)]
#[path = "parser_tests.rs"]
mod tests;
