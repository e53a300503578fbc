//! Assets for tests: owned, so that a test can change one thing and borrow the rest.

use super::{Expression, Status, Subject};
use crate::model::Timestamp;

/// When the tests take place.
pub(super) const NOW: &str = "2024-03-01T12:00:00Z";

pub(super) fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[derive(Debug, Clone)]
pub(super) struct Sample {
    pub(super) public_id: String,
    pub(super) display_name: String,
    pub(super) format: Option<String>,
    pub(super) resource_type: &'static str,
    pub(super) tags: Vec<String>,
    pub(super) context: Vec<(String, String)>,
    pub(super) bytes: u64,
    pub(super) status: Status,
    pub(super) created_at: Timestamp,
    pub(super) dimensions: Option<(u32, u32)>,
}

impl Sample {
    /// An active asset of that name, made an hour before [`NOW`].
    pub(super) fn named(public_id: &str) -> Sample {
        Sample {
            public_id: public_id.to_owned(),
            display_name: String::new(),
            format: None,
            resource_type: "raw",
            tags: Vec::new(),
            context: Vec::new(),
            bytes: 0,
            status: Status::Active,
            created_at: time("2024-03-01T11:00:00Z"),
            dimensions: None,
        }
    }

    pub(super) fn tagged(tags: &[&str]) -> Sample {
        Sample {
            tags: tags.iter().map(ToString::to_string).collect(),
            ..Sample::named("photos/cat")
        }
    }

    /// Hands out the asset, with what is to be called for dimensions.
    pub(super) fn borrowed<T>(
        &self,
        dimensions: &dyn Fn() -> Option<(u32, u32)>,
        ask: impl FnOnce(&Subject<'_>) -> T,
    ) -> T {
        let (folder, filename) = self
            .public_id
            .rsplit_once('/')
            .unwrap_or(("", &self.public_id));
        ask(&Subject {
            public_id: &self.public_id,
            asset_id: "018f3a52aaaabbbbccccddddeeeeffff",
            filename,
            display_name: &self.display_name,
            folder,
            format: self.format.as_deref(),
            resource_type: self.resource_type,
            kind: "upload",
            tags: &self.tags,
            context: &self.context,
            bytes: self.bytes,
            status: self.status,
            created_at: self.created_at,
            uploaded_at: self.created_at,
            updated_at: self.created_at,
            dimensions,
        })
    }

    pub(super) fn matches(&self, expression: &Expression) -> bool {
        self.borrowed(&|| self.dimensions, |subject| expression.matches(subject))
    }
}

pub(super) fn parsed(text: &str) -> Expression {
    Expression::parse(text, time(NOW)).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// The message that refuses this expression.
pub(super) fn refused(text: &str) -> String {
    match Expression::parse(text, time(NOW)) {
        Ok(_) => panic!("{text} is taken"),
        Err(error) => error.to_string(),
    }
}

/// That `text` finds all of the first and none of the second.
#[track_caller]
pub(super) fn finds(text: &str, yes: &[&Sample], no: &[&Sample]) {
    let expression = parsed(text);
    for sample in yes {
        assert!(sample.matches(&expression), "{text} finds {sample:?}");
    }
    for sample in no {
        assert!(!sample.matches(&expression), "{text} leaves out {sample:?}");
    }
}
