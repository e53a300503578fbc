//! A search without HTTP, for the command line.

use super::asset::{Asset, look_up, shown};
use super::error::ApiError;
use super::media::Media;
use super::search::Query;
use crate::search::Order;
use crate::server::found::{FoundRow, SearchRequest};
use crate::server::{ErrorCode, Failure, WirePath};
use crate::vault::Vault;

/// What a search found.
#[derive(Debug)]
pub struct Found {
    /// A page of them.
    pub rows: Vec<FoundRow>,
    /// How many there are.
    pub total: u64,
    /// Where the next page begins. `None`: this is the last one.
    pub next_cursor: Option<String>,
}

/// Finds assets.
///
/// # Errors
/// What is wrong with the expression, or what the vault failed with.
pub fn find(vault: &Vault, request: &SearchRequest, order: Order) -> Result<Found, Failure> {
    let failed = |error: ApiError| {
        let code = match &error {
            ApiError::Internal => ErrorCode::Failed,
            _ => ErrorCode::BadInput,
        };
        Failure::new(code, error.message())
    };
    let query = Query::new(
        &request.expression,
        order,
        request.max_results,
        request.next_cursor.clone(),
        vault.clock().now(),
    );
    let query = query.map_err(failed)?;
    let selection = query.run(vault, &Media::default()).map_err(failed)?;
    let mut rows = Vec::new();
    for id in &selection.ids {
        let asset = look_up(vault, id).map_err(failed)?;
        rows.extend(asset.as_ref().map(row_of));
    }
    Ok(Found {
        rows,
        total: selection.total,
        next_cursor: selection.next_cursor,
    })
}

fn row_of(asset: &Asset) -> FoundRow {
    let bytes = match (asset.file, &asset.latest) {
        (Some(file), _) => file.size,
        (None, Some(latest)) => latest.size,
        (None, None) => 0,
    };
    FoundRow {
        path: WirePath(asset.id.clone()),
        asset_id: asset.asset_id.to_string(),
        status: if asset.is_deleted() {
            "deleted"
        } else {
            "active"
        }
        .into(),
        bytes,
        created_at: shown(asset.created_at()),
        uploaded_at: shown(asset.uploaded_at()),
        tags: asset.labels.tags.as_slice().to_vec(),
        context: asset.labels.context.as_slice().to_vec(),
        backup: asset.node.is_some(),
    }
}
