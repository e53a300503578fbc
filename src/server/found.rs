//! Searches from the command line: the same expressions and the same answers as over HTTP.

use serde::{Deserialize, Serialize};

use super::api::find;
use super::event::Item;
use super::execute::Door;
use super::failure::{ErrorCode, Failure};
use super::protocol::Reply;
use super::wire_path::WirePath;
use crate::search::Order;
use crate::vault::Vault;

/// What is looked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SearchRequest {
    /// The expression; empty: all live assets.
    pub expression: String,
    /// Fields with `asc` or `desc`. None: the newest first.
    pub sort_by: Vec<(String, String)>,
    /// Rows at most.
    pub max_results: usize,
    /// Where an earlier answer ended.
    pub next_cursor: Option<String>,
}

/// One asset that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundRow {
    /// Its path.
    pub path: WirePath,
    /// Its id for life.
    pub asset_id: String,
    /// `active` or `deleted`.
    pub status: String,
    /// Bytes of its present, or last, content.
    pub bytes: u64,
    /// When its first content came, RFC 3339.
    pub created_at: String,
    /// When its present content came, RFC 3339.
    pub uploaded_at: String,
    /// Its tags.
    pub tags: Vec<String>,
    /// Its context.
    pub context: Vec<(String, String)>,
    /// Whether it is backed up.
    pub backup: bool,
}

pub(super) fn search(
    vault: &Vault,
    request: &SearchRequest,
    door: &mut Door<'_>,
) -> Result<Reply, Failure> {
    let keys = request.sort_by.iter();
    let order = Order::parse(keys.map(|(field, way)| (field.as_str(), way.as_str())))
        .map_err(|error| Failure::new(ErrorCode::BadInput, error.to_string()))?;
    let found = find(vault, request, order)?;
    for row in found.rows {
        door.item(Item::Found(row))?;
    }
    Ok(Reply::Found {
        total_count: found.total,
        next_cursor: found.next_cursor,
    })
}
