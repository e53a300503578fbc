//! A field, an operator and what was written after it, into a term.
//!
//! Whether a value makes sense for its field is checked here, and nowhere later: a
//! search that runs cannot fail. A field that nobody knows takes any value.

use super::ast::Term;
use super::dates::{self, Date};
use super::error::{SearchError, shown};
use super::fields::{Beginnings, Field, NumberField, TextField};
use super::numbers;
use super::span::{Edge, Operator, Span};
use super::symbols::Value;
use super::text_test::{Extent, TextTest};
use crate::model::Timestamp;

/// A field and the operator after it, as in `tags:`.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) field: Field,
    pub(super) name: String,
    pub(super) operator: Operator,
    /// Of the operator.
    pub(super) position: usize,
}

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Written {
    pub(super) value: Value,
    pub(super) position: usize,
}

/// One end of a range.
pub(super) type End = (Edge, Written);

/// A term without a field.
pub(super) fn anywhere(value: &Value) -> Term {
    let field = TextField::Anywhere;
    let test = TextTest::new(&field, Operator::Contains, &value.text, value.extent);
    Term::Text(field, test)
}

impl Asked {
    /// The term for a single value.
    pub(super) fn term(&self, written: &Written, now: Timestamp) -> Result<Term, SearchError> {
        match &self.field {
            Field::Unknown => Ok(Term::Never),
            Field::Text(field) => self.text(field, written),
            Field::Number(field) => {
                let span = self.number(*field, written)?;
                Ok(Term::Number(*field, span.related(self.operator)))
            }
            Field::Time(field) => {
                let span = match self.date(written, now)? {
                    Date::Calendar(span) => span.related(self.operator),
                    // `created_at:3d` is within the last three days: nothing was made
                    // in just that nanosecond.
                    Date::Ago(time) if !self.operator.orders() => {
                        Span::exactly(time).related(Operator::AtLeast)
                    }
                    Date::Ago(time) => Span::exactly(time).related(self.operator),
                };
                Ok(Term::Time(*field, span))
            }
        }
    }

    /// The term for a range.
    pub(super) fn range(&self, low: &End, high: &End, now: Timestamp) -> Result<Term, SearchError> {
        let between = |span: &dyn Fn(&Written) -> Result<Span, SearchError>| {
            Ok(Span::between(
                (low.0, span(&low.1)?),
                (high.0, span(&high.1)?),
            ))
        };
        match &self.field {
            Field::Unknown => Ok(Term::Never),
            Field::Text(_) => Err(self.has_no_order("a range")),
            Field::Number(field) => {
                let span = between(&|written| self.number(*field, written))?;
                Ok(Term::Number(*field, span))
            }
            Field::Time(field) => {
                let span = between(&|written| {
                    Ok(match self.date(written, now)? {
                        Date::Calendar(span) => span,
                        Date::Ago(time) => Span::exactly(time),
                    })
                })?;
                Ok(Term::Time(*field, span))
            }
        }
    }

    fn text(&self, field: &TextField, written: &Written) -> Result<Term, SearchError> {
        if self.operator.orders() {
            return Err(self.has_no_order(&format!("'{}'", self.operator.as_str())));
        }
        let Value { text, extent, .. } = &written.value;
        if *extent == Extent::Beginning && field.beginnings() == Beginnings::Refused {
            return Err(SearchError::at(
                written.position,
                format!("{} with '*' for {}", shown(text), shown(&self.name)),
                "write the whole value, or several in parentheses",
            ));
        }
        let test = TextTest::new(field, self.operator, text, *extent);
        Ok(Term::Text(field.clone(), test))
    }

    fn has_no_order(&self, what: &str) -> SearchError {
        SearchError::at(
            self.position,
            format!("{what} after {}", shown(&self.name)),
            "this field has texts, which ':' and '=' look for",
        )
    }

    fn number(&self, field: NumberField, written: &Written) -> Result<Span, SearchError> {
        let text = whole(written)?;
        let (number, form) = match field {
            NumberField::Bytes => (numbers::size(text), "1024, 500k, 1.5m or 2gb"),
            NumberField::AspectRatio => (numbers::ratio(text), "1.78 or \"16:9\""),
            NumberField::Width | NumberField::Height | NumberField::Pixels => {
                (numbers::number(text), "1024")
            }
        };
        number.ok_or_else(|| {
            SearchError::at(
                written.position,
                format!("{} is no number for {}", shown(text), shown(&self.name)),
                format!("write it as {form}"),
            )
        })
    }

    fn date(&self, written: &Written, now: Timestamp) -> Result<Date, SearchError> {
        let text = whole(written)?;
        dates::date(text, now).ok_or_else(|| {
            let way_out = if dates::is_in_months_or_years(text) {
                "months and years have no fixed length: write hours, days or weeks as in 24h, 3d or 4w, or a date as in \"2024-01-15\""
            } else {
                "write it as \"2024-01-15\", \"2024-01-15T10:00:00Z\", or how long ago: 24h, 3d, 4w"
            };
            SearchError::at(
                written.position,
                format!("{} is no date for {}", shown(text), shown(&self.name)),
                way_out,
            )
        })
    }
}

/// The text of a value that cannot end in `*`.
fn whole(written: &Written) -> Result<&str, SearchError> {
    match written.value.extent {
        Extent::Whole => Ok(&written.value.text),
        Extent::Beginning | Extent::Within => Err(SearchError::at(
            written.position,
            format!("a '*' after {}", shown(&written.value.text)),
            "numbers and dates are written whole; for several use '>', '<' or a range",
        )),
    }
}
