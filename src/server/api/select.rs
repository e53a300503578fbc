//! Choosing among all assets: those that match, in an order, a page at a time.
//!
//! However many match, only a page of them is held. The surprise: a cursor is the place of
//! the last row in the order, so a page goes on rightly whatever came or went meanwhile.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::Api;
use super::asset::Asset;
use super::error::{ApiError, Result};
use crate::model::{PublicId, Timestamp};
use crate::search::{Order, SortValues};
use crate::vault::{Browsed, Range, Vault, VaultError};

/// Where a row belongs in any order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Place {
    pub public_id: String,
    pub asset_id: String,
    pub format: Option<String>,
    pub resource_type: String,
    pub bytes: u64,
    /// Nanoseconds, as the other times.
    pub created_at: i64,
    pub uploaded_at: i64,
    pub dimensions: Option<(u32, u32)>,
}

/// What was chosen.
pub(super) struct Selection {
    pub ids: Vec<PublicId>,
    pub total: u64,
    pub next_cursor: Option<String>,
}

impl Place {
    fn values(&self) -> SortValues<'_> {
        let name = self.public_id.rsplit('/').next();
        SortValues {
            public_id: &self.public_id,
            asset_id: &self.asset_id,
            filename: name.unwrap_or(&self.public_id),
            format: self.format.as_deref(),
            resource_type: &self.resource_type,
            bytes: self.bytes,
            created_at: Timestamp::from_nanos(self.created_at),
            uploaded_at: Timestamp::from_nanos(self.uploaded_at),
            updated_at: Timestamp::from_nanos(self.uploaded_at),
            dimensions: self.dimensions,
        }
    }

    /// As text, for the next page.
    fn cursor(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).unwrap_or_default())
    }

    fn from_cursor(text: &str) -> Result<Self> {
        let wrong =
            || ApiError::bad("Invalid value for parameter next_cursor: it is not of a listing");
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|_| wrong())?;
        serde_json::from_slice(&bytes).map_err(|_| wrong())
    }
}

/// A row with the order that it is compared by.
struct Ranked<'o> {
    place: Place,
    id: PublicId,
    order: &'o Order,
}

impl Ord for Ranked<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        let (one, two) = (self.place.values(), other.place.values());
        self.order.compare(&one, &two)
    }
}

impl PartialOrd for Ranked<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ranked<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Ranked<'_> {}

/// Walks through a range. `place` says where a row belongs, `None`: nowhere.
pub(super) fn select(
    vault: &Vault,
    range: &Range,
    order: &Order,
    cursor: Option<&str>,
    most: usize,
    place: &mut dyn FnMut(&Browsed) -> Result<Option<Place>>,
) -> Result<Selection> {
    let after = cursor.map(Place::from_cursor).transpose()?;
    let mut total = 0;
    let mut first: BinaryHeap<Ranked<'_>> = BinaryHeap::new();
    let mut failed = None;
    let walked = vault.browse(range, &mut |row| {
        let place = match place(&row) {
            Ok(Some(place)) => place,
            Ok(None) => return Ok(()),
            Err(error) => {
                failed = Some(error);
                // Ends the walk; the error proper is the one above.
                let what = "the end of a walk".into();
                return Err(VaultError::NotFound { path: row.id, what });
            }
        };
        total += 1;
        let is_past = after.as_ref().is_none_or(|after| {
            order.compare(&place.values(), &after.values()) == Ordering::Greater
        });
        if is_past && most > 0 {
            let id = row.id;
            first.push(Ranked { place, id, order });
            // One more than a page says whether there is another.
            if first.len() > most + 1 {
                first.pop();
            }
        }
        Ok(())
    });
    if let Some(error) = failed {
        return Err(error);
    }
    walked?;
    let mut rows = first.into_sorted_vec();
    let has_more = rows.len() > most;
    rows.truncate(most);
    Ok(Selection {
        next_cursor: rows
            .last()
            .filter(|_| has_more)
            .map(|row| row.place.cursor()),
        ids: rows.into_iter().map(|row| row.id).collect(),
        total,
    })
}

impl Api {
    /// The assets of a selection, as they are now.
    pub(super) fn assets_of(&self, ids: &[PublicId]) -> Result<Vec<Asset>> {
        let mut assets = Vec::with_capacity(ids.len());
        for id in ids {
            assets.extend(self.asset_at(id)?);
        }
        Ok(assets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_the_place_that_it_was_made_of() {
        let place = Place {
            public_id: "a/b\u{1F600}".into(),
            asset_id: "0".repeat(32),
            format: None,
            resource_type: "raw".into(),
            bytes: u64::MAX,
            created_at: -3,
            uploaded_at: i64::MAX,
            dimensions: Some((1, 2)),
        };
        assert_eq!(Place::from_cursor(&place.cursor()).unwrap(), place);
        for wrong in ["", "x", "!!", "e30"] {
            assert!(Place::from_cursor(wrong).is_err(), "{wrong}");
        }
    }
}
