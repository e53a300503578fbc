//! Text into symbols, each with its position.
//!
//! Where the characters alone decide: quotes, escapes, `*`, characters that need
//! quotes. Whether a `+` or `-` is a sign or part of a value depends on what stands
//! before it, and the colons of `2024-01-15T10:00:00Z` separate nothing; both are
//! known here, so that the parser sees values and never characters.

use super::dates::starts_with_a_date;
use super::error::SearchError;
use super::fields::{Field, TextField};
use super::span::{Edge, Operator};
use super::symbols::{Spelling, Symbol, Token, Value};
use super::text_test::Extent;

/// What must be in quotes, beside white space and `"` itself.
const RESERVED: &str = "!(){}[]^~?\\=&<>|:";

/// Reads the symbols; the last one is [`Symbol::End`].
///
/// # Errors
/// [`SearchError`] for characters that cannot stand where they are.
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, SearchError> {
    let mut lexer = Lexer {
        chars: text.chars().collect(),
        at: 0,
        found: Vec::new(),
        place: Place::Clauses,
    };
    while let Some(c) = lexer.peek() {
        if c.is_whitespace() {
            lexer.at += 1;
            continue;
        }
        let position = lexer.position();
        let symbol = lexer.symbol(c)?;
        lexer.found.push(Token { symbol, position });
    }
    let position = lexer.position();
    lexer.found.push(Token {
        symbol: Symbol::End,
        position,
    });
    Ok(lexer.found)
}

struct Lexer {
    chars: Vec<char>,
    at: usize,
    found: Vec<Token>,
    place: Place,
}

/// Where a `+` or `-` is a sign.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Clauses,
    Range,
}

impl Lexer {
    fn position(&self) -> usize {
        self.at + 1
    }

    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn symbol(&mut self, c: char) -> Result<Symbol, SearchError> {
        let symbol = match c {
            '(' => Symbol::Open,
            ')' => Symbol::Close,
            '[' | '{' => {
                self.place = Place::Range;
                Symbol::RangeOpen(edge(c))
            }
            ']' | '}' => {
                self.place = Place::Clauses;
                Symbol::RangeClose(edge(c))
            }
            ':' => Symbol::Operator(Operator::Contains),
            '=' => Symbol::Operator(Operator::Equals),
            '>' | '<' => return Ok(Symbol::Operator(self.order(c))),
            '"' => return self.quoted().map(Symbol::Value),
            '+' | '-' if self.begins_a_clause() || self.stands_before_a_group() => {
                return self.sign(c);
            }
            '!' | '^' | '~' | '?' | '&' | '|' => return Err(self.reserved(c)),
            _ => return self.word(),
        };
        self.at += 1;
        Ok(symbol)
    }

    fn begins_a_clause(&self) -> bool {
        let after_operator = matches!(
            self.found.last(),
            Some(Token {
                symbol: Symbol::Operator(_),
                ..
            })
        );
        self.place == Place::Clauses && !after_operator
    }

    /// As in `tags:-(a OR b)`, where nobody means the value `-`.
    fn stands_before_a_group(&self) -> bool {
        self.chars.get(self.at + 1) == Some(&'(')
    }

    /// Directly after `folder:`, where `*` is below the top, as `X/*` is below X.
    fn is_about_a_folder(&self) -> bool {
        let [.., field, operator] = &self.found[..] else {
            return false;
        };
        let name = match &field.symbol {
            Symbol::Value(value) => value.bare(),
            _ => None,
        };
        matches!(operator.symbol, Symbol::Operator(_))
            && name.map(Field::named) == Some(Field::Text(TextField::Folder))
    }

    fn order(&mut self, c: char) -> Operator {
        self.at += 1;
        let or_equal = self.peek() == Some('=');
        self.at += usize::from(or_equal);
        match (c, or_equal) {
            ('>', false) => Operator::Above,
            ('>', true) => Operator::AtLeast,
            (_, false) => Operator::Below,
            (_, true) => Operator::AtMost,
        }
    }

    fn sign(&mut self, c: char) -> Result<Symbol, SearchError> {
        let position = self.position();
        self.at += 1;
        if self.peek().is_none_or(char::is_whitespace) {
            return Err(SearchError::at(
                position,
                format!("a '{c}' alone"),
                format!("write it directly before a term, as in '{c}tags:dog'"),
            ));
        }
        Ok(match c {
            '+' => Symbol::Must,
            _ => Symbol::MustNot,
        })
    }

    fn reserved(&self, c: char) -> SearchError {
        let way_out = match c {
            '|' => "to join terms write OR; as part of a value it needs quotes",
            '&' => "to join terms write AND; as part of a value it needs quotes",
            '!' => "to leave something out write '-' before it; as part of a value it needs quotes",
            '?' => {
                "only '*' at the end of a value stands for other characters; as part of a value '?' needs quotes"
            }
            _ => "a value that contains it needs quotes",
        };
        SearchError::at(self.position(), format!("unexpected '{c}'"), way_out)
    }

    fn quoted(&mut self) -> Result<Value, SearchError> {
        let opened = self.position();
        self.at += 1;
        let mut value = Value::new(Spelling::Marked);
        loop {
            match self.peek() {
                None => {
                    return Err(SearchError::at(
                        opened,
                        "an opening '\"' without a closing one",
                        "close it; a quote inside of quotes is written '\\\"'",
                    ));
                }
                Some('"') => break self.at += 1,
                Some('\\') => value.text.push(self.escaped()?),
                Some('*') => {
                    let at_end = self.chars.get(self.at + 1) == Some(&'"');
                    self.star(&mut value, at_end)?;
                }
                Some(c) => {
                    value.text.push(c);
                    self.at += 1;
                }
            }
        }
        match self.peek() {
            Some(c) if self.goes_on(c) => Err(SearchError::at(
                self.position(),
                "text directly after a closing '\"'",
                "put the whole value into one pair of quotes, or a space between two terms",
            )),
            _ => Ok(value),
        }
    }

    fn word(&mut self) -> Result<Symbol, SearchError> {
        let mut value = Value::new(Spelling::Plain);
        let has_a_time = self.begins_a_time();
        while let Some(c) = self.peek() {
            match c {
                '\\' => {
                    value.text.push(self.escaped()?);
                    value.spelling = Spelling::Marked;
                }
                '*' => {
                    let next = self.chars.get(self.at + 1);
                    let at_end = next.is_none_or(|next| !self.goes_on(*next));
                    self.star(&mut value, at_end)?;
                }
                '"' => {
                    return Err(SearchError::at(
                        self.position(),
                        "a '\"' inside of a value",
                        "put the whole value into quotes, or a space between two terms",
                    ));
                }
                ':' if has_a_time && self.is_between_digits() => {
                    value.text.push(c);
                    self.at += 1;
                }
                c if self.goes_on(c) => {
                    value.text.push(c);
                    self.at += 1;
                }
                _ => break,
            }
        }
        Ok(value.into_symbol())
    }

    /// Would this character go on with a value?
    fn goes_on(&self, c: char) -> bool {
        !c.is_whitespace() && (c == '\\' || !RESERVED.contains(c))
    }

    /// `2024-01-15T`
    fn begins_a_time(&self) -> bool {
        let rest = &self.chars[self.at..];
        let bytes = rest.iter().map(|c| u8::try_from(*c).unwrap_or(b'x'));
        starts_with_a_date(bytes) && rest.get("2024-01-15".len()) == Some(&'T')
    }

    fn is_between_digits(&self) -> bool {
        let digit = |at: usize| self.chars.get(at).is_some_and(char::is_ascii_digit);
        self.at > 0 && digit(self.at - 1) && digit(self.at + 1)
    }

    /// The character after a backslash.
    fn escaped(&mut self) -> Result<char, SearchError> {
        let position = self.position();
        let next = self.chars.get(self.at + 1).copied();
        self.at += 2;
        next.filter(|c| !c.is_alphanumeric()).ok_or_else(|| {
            SearchError::at(
                position,
                "a '\\' that escapes nothing",
                "it goes before a special character; write '\\\\' for itself",
            )
        })
    }

    fn star(&mut self, value: &mut Value, at_end: bool) -> Result<(), SearchError> {
        let position = self.position();
        if !at_end {
            return Err(SearchError::at(
                position,
                "a '*' that is not at the end of a value",
                "write the beginning and then '*', as in 'dog*', or '\\*' for the character",
            ));
        }
        if value.text.is_empty() && !self.is_about_a_folder() {
            return Err(SearchError::at(
                position,
                "a '*' alone",
                "there is no test for 'has any value': leave the term out, or write the beginning of a value before '*'",
            ));
        }
        value.extent = Extent::Beginning;
        self.at += 1;
        Ok(())
    }
}

fn edge(bracket: char) -> Edge {
    match bracket {
        '[' | ']' => Edge::Included,
        _ => Edge::Excluded,
    }
}

#[cfg(test)]
#[path = "lexer_tests.rs"]
mod tests;
