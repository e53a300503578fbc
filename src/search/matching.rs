//! Does an asset match.
//!
//! Pure and without failure: everything that could be wrong with an expression was
//! found when it was parsed. Dimensions are asked for once at most, however many terms
//! need them.

use std::cell::OnceCell;

use super::ast::{Node, Term};
use super::fields::{NumberField, TextField, TimeField};
use super::numbers::hundredths;
use super::subject::Subject;
use super::text_test::TextTest;

/// Does the expression hold for this asset?
pub(super) fn matches(node: &Node, subject: &Subject<'_>) -> bool {
    let facts = Facts {
        subject,
        dimensions: OnceCell::new(),
    };
    facts.satisfy(node)
}

struct Facts<'a> {
    subject: &'a Subject<'a>,
    dimensions: OnceCell<Option<(u32, u32)>>,
}

impl Facts<'_> {
    /// As deep as parentheses were, which the parser bounds.
    fn satisfy(&self, node: &Node) -> bool {
        match node {
            Node::Term(term) => self.answer(term),
            Node::Not(node) => !self.satisfy(node),
            Node::All(nodes) => nodes.iter().all(|node| self.satisfy(node)),
            Node::Any(nodes) => nodes.iter().any(|node| self.satisfy(node)),
        }
    }

    fn answer(&self, term: &Term) -> bool {
        match term {
            Term::Text(field, test) => self.text(field, test),
            Term::Number(field, span) => self.number(*field).is_some_and(|n| span.contains(n)),
            Term::Time(field, span) => span.contains(self.time(*field)),
            Term::Never => false,
        }
    }

    fn text(&self, field: &TextField, test: &TextTest) -> bool {
        let subject = self.subject;
        match field {
            TextField::PublicId => test.passes(subject.public_id),
            TextField::AssetId => test.passes(subject.asset_id),
            TextField::Filename => test.passes(subject.filename),
            TextField::DisplayName => test.passes(subject.display_name),
            TextField::Folder => test.passes(subject.folder),
            TextField::Format => subject.format.is_some_and(|format| test.passes(format)),
            TextField::ResourceType => test.passes(subject.resource_type),
            TextField::Kind => test.passes(subject.kind),
            TextField::Status => test.passes(subject.status.as_str()),
            TextField::Tags => subject.tags.iter().any(|tag| test.passes(tag)),
            TextField::Context(key) => subject
                .context
                .iter()
                .any(|(name, value)| name == key && test.passes(value)),
            TextField::Anywhere => self.anywhere(test),
        }
    }

    /// What people write themselves. Not `resource_type`, `type` and `status`: every
    /// asset has one of few words there, so `image` would find all images.
    fn anywhere(&self, test: &TextTest) -> bool {
        let subject = self.subject;
        let names = [
            subject.public_id,
            subject.filename,
            subject.display_name,
            subject.folder,
            subject.asset_id,
        ];
        let tags = subject.tags.iter().map(String::as_str);
        let context = subject.context.iter().map(|(_, value)| value.as_str());
        names
            .into_iter()
            .chain(subject.format)
            .chain(tags)
            .chain(context)
            .any(|value| test.passes(value))
    }

    fn number(&self, field: NumberField) -> Option<i128> {
        match field {
            NumberField::Bytes => Some(self.subject.bytes.into()),
            NumberField::Width => Some(self.dimensions()?.0.into()),
            NumberField::Height => Some(self.dimensions()?.1.into()),
            NumberField::Pixels => {
                let (width, height) = self.dimensions()?;
                Some(i128::from(width) * i128::from(height))
            }
            NumberField::AspectRatio => {
                let (width, height) = self.dimensions()?;
                hundredths(width, height)
            }
        }
    }

    fn dimensions(&self) -> Option<(u32, u32)> {
        *self.dimensions.get_or_init(|| (self.subject.dimensions)())
    }

    fn time(&self, field: TimeField) -> i128 {
        let time = match field {
            TimeField::Created => self.subject.created_at,
            TimeField::Uploaded => self.subject.uploaded_at,
            TimeField::Updated => self.subject.updated_at,
        };
        time.nanos().into()
    }
}

#[cfg(test)]
#[path = "matching_tests.rs"]
mod tests;
