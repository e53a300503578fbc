//! In which order results come.
//!
//! Those that lack what is sorted by (a text file has no width) come last in both
//! directions. Equal ones are in the order of their public_id, then of their asset_id:
//! the order is total, so a listing can go on where it stopped.

use std::cmp::Ordering;

use super::numbers::hundredths;
use crate::model::Timestamp;

/// What is compared of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SortValues<'a> {
    /// `public_id`
    pub public_id: &'a str,
    /// `asset_id`
    pub asset_id: &'a str,
    /// `filename`
    pub filename: &'a str,
    /// `format`
    pub format: Option<&'a str>,
    /// `resource_type`
    pub resource_type: &'a str,
    /// `bytes`
    pub bytes: u64,
    /// `created_at`
    pub created_at: Timestamp,
    /// `uploaded_at`
    pub uploaded_at: Timestamp,
    /// `updated_at`
    pub updated_at: Timestamp,
    /// `width` and `height`, if it is a picture; read only if [`Order::needs_dimensions`].
    pub dimensions: Option<(u32, u32)>,
}

/// One thing to sort by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SortKey {
    /// `public_id`
    PublicId,
    /// `asset_id`
    AssetId,
    /// `filename`
    Filename,
    /// `format`
    Format,
    /// `resource_type`
    ResourceType,
    /// `bytes`
    Bytes,
    /// `created_at`
    CreatedAt,
    /// `uploaded_at`
    UploadedAt,
    /// `updated_at`
    UpdatedAt,
    /// `width`
    Width,
    /// `height`
    Height,
    /// `pixels`
    Pixels,
    /// `aspect_ratio`
    AspectRatio,
}

/// Which end comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// The least.
    Ascending,
    /// The greatest.
    Descending,
}

/// Why results cannot be sorted so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SortError {
    /// Not a field to sort by.
    #[error("cannot sort by {0:?}: sort by {names}", names = sortable())]
    UnknownField(String),
    /// Not a direction.
    #[error("cannot sort {field} by direction {direction:?}: write asc or desc")]
    UnknownDirection {
        /// What is sorted by.
        field: String,
        /// As given.
        direction: String,
    },
}

/// An order of results: the first key decides, the next one where it finds no difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order(Vec<(SortKey, Direction)>);

/// The names of the keys.
const KEYS: [(&str, SortKey); 13] = [
    ("public_id", SortKey::PublicId),
    ("asset_id", SortKey::AssetId),
    ("filename", SortKey::Filename),
    ("format", SortKey::Format),
    ("resource_type", SortKey::ResourceType),
    ("bytes", SortKey::Bytes),
    ("created_at", SortKey::CreatedAt),
    ("uploaded_at", SortKey::UploadedAt),
    ("updated_at", SortKey::UpdatedAt),
    ("width", SortKey::Width),
    ("height", SortKey::Height),
    ("pixels", SortKey::Pixels),
    ("aspect_ratio", SortKey::AspectRatio),
];

fn sortable() -> String {
    KEYS.map(|(name, _)| name).join(", ")
}

/// The newest first.
impl Default for Order {
    fn default() -> Self {
        Self(vec![(SortKey::CreatedAt, Direction::Descending)])
    }
}

impl Order {
    /// Reads fields and directions (`asc`, `desc`). Without any it is the default.
    ///
    /// # Errors
    /// [`SortError`] for a field that cannot be sorted by, and for another direction.
    pub fn parse<'a>(
        sort_by: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Order, SortError> {
        let keys = sort_by
            .into_iter()
            .map(|(field, direction)| Ok((key(field)?, read_direction(field, direction)?)))
            .collect::<Result<Vec<_>, SortError>>()?;
        if keys.is_empty() {
            return Ok(Order::default());
        }
        Ok(Order(keys))
    }

    /// Which of the two comes first.
    pub fn compare(&self, one: &SortValues<'_>, other: &SortValues<'_>) -> Ordering {
        self.0
            .iter()
            .map(|(key, direction)| key.compare(*direction, one, other))
            .find(|ordering| ordering.is_ne())
            .unwrap_or(Ordering::Equal)
            .then_with(|| one.public_id.cmp(other.public_id))
            .then_with(|| one.asset_id.cmp(other.asset_id))
    }

    /// It looks at width and height.
    pub fn needs_dimensions(&self) -> bool {
        self.0.iter().any(|(key, _)| {
            matches!(
                key,
                SortKey::Width | SortKey::Height | SortKey::Pixels | SortKey::AspectRatio
            )
        })
    }
}

fn key(field: &str) -> Result<SortKey, SortError> {
    KEYS.iter()
        .find(|(name, _)| *name == field)
        .map(|(_, key)| *key)
        .ok_or_else(|| SortError::UnknownField(field.to_owned()))
}

fn read_direction(field: &str, direction: &str) -> Result<Direction, SortError> {
    match direction {
        "asc" => Ok(Direction::Ascending),
        "desc" => Ok(Direction::Descending),
        _ => Err(SortError::UnknownDirection {
            field: field.to_owned(),
            direction: direction.to_owned(),
        }),
    }
}

/// A value to sort by.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Sorted<'a> {
    Text(&'a str),
    Number(i128),
}

impl SortKey {
    fn compare(
        self,
        direction: Direction,
        one: &SortValues<'_>,
        other: &SortValues<'_>,
    ) -> Ordering {
        match (self.value(one), self.value(other)) {
            (None, None) => Ordering::Equal,
            (None, Some(_)) => Ordering::Greater,
            (Some(_), None) => Ordering::Less,
            (Some(one), Some(other)) => match direction {
                Direction::Ascending => one.cmp(&other),
                Direction::Descending => other.cmp(&one),
            },
        }
    }

    fn value<'a>(self, of: &SortValues<'a>) -> Option<Sorted<'a>> {
        let time = |time: Timestamp| Sorted::Number(time.nanos().into());
        Some(match self {
            SortKey::PublicId => Sorted::Text(of.public_id),
            SortKey::AssetId => Sorted::Text(of.asset_id),
            SortKey::Filename => Sorted::Text(of.filename),
            SortKey::Format => Sorted::Text(of.format?),
            SortKey::ResourceType => Sorted::Text(of.resource_type),
            SortKey::Bytes => Sorted::Number(of.bytes.into()),
            SortKey::CreatedAt => time(of.created_at),
            SortKey::UploadedAt => time(of.uploaded_at),
            SortKey::UpdatedAt => time(of.updated_at),
            SortKey::Width => Sorted::Number(of.dimensions?.0.into()),
            SortKey::Height => Sorted::Number(of.dimensions?.1.into()),
            SortKey::Pixels => {
                let (width, height) = of.dimensions?;
                Sorted::Number(i128::from(width) * i128::from(height))
            }
            SortKey::AspectRatio => {
                let (width, height) = of.dimensions?;
                Sorted::Number(hundredths(width, height)?)
            }
        })
    }
}

#[cfg(test)]
#[path = "order_tests.rs"]
mod tests;
