//! Listings of assets, and deletions of many.
//!
//! The surprise: a prefix is one of public_ids, which are paths without the extension, so
//! it can be used as one of paths.

use serde_json::{Map, Value, json};

use super::Api;
use super::asset::Asset;
use super::error::{ApiError, Result};
use super::fields::Fields;
use super::formats::{ResourceType, identify};
use super::manage::IDS_MAX;
use super::parameters::Parameters;
use super::search::Facts;
use super::select::{Place, Selection, select};
use crate::model::PublicId;
use crate::search::Order;
use crate::vault::{Browsed, Case, Depth, Range, Standings};

/// Rows of a page.
pub(super) const PAGE_MAX: usize = 500;
const PAGE_DEFAULT: usize = 10;
/// Assets that one call by prefix, or for all, deletes; the answer says that there are more.
const DELETED_MAX: usize = 1000;

impl Api {
    /// All assets of a type, by public_id.
    pub(super) fn list(
        &self,
        kind: ResourceType,
        parameters: &Parameters,
        base: &str,
    ) -> Result<Value> {
        let public_ids = parameters.list("public_ids");
        if !public_ids.is_empty() {
            return self.list_by_ids(kind, &public_ids, parameters, base);
        }
        let selection = self.select_live(kind, parameters, &mut |_| Ok(true))?;
        self.page(selection, parameters, base)
    }

    fn list_by_ids(
        &self,
        kind: ResourceType,
        public_ids: &[String],
        parameters: &Parameters,
        base: &str,
    ) -> Result<Value> {
        check_count("public_ids", public_ids.len())?;
        let mut assets = Vec::new();
        for public_id in public_ids {
            assets.extend_from_slice(self.named(kind, public_id)?.live());
        }
        Ok(json!({ "resources": self.rows(&assets, parameters, base) }))
    }

    /// The live assets with those ids.
    pub(super) fn list_by_asset_ids(&self, parameters: &Parameters, base: &str) -> Result<Value> {
        let asset_ids = parameters.list("asset_ids");
        if asset_ids.is_empty() {
            return Err(ApiError::bad("Missing required parameter - asset_ids"));
        }
        check_count("asset_ids", asset_ids.len())?;
        let mut assets = Vec::new();
        for asset_id in &asset_ids {
            match self.by_asset_id(asset_id) {
                Ok(asset) if !asset.is_deleted() => assets.push(asset),
                Ok(_) | Err(ApiError::NotFound(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(json!({ "resources": self.rows(&assets, parameters, base) }))
    }

    /// The live assets of a type with a tag.
    pub(super) fn list_by_tag(
        &self,
        kind: ResourceType,
        tag: &str,
        parameters: &Parameters,
        base: &str,
    ) -> Result<Value> {
        let selection = self.select_live(kind, parameters, &mut |row| {
            Ok(self.vault.labels(&row.id)?.tags.has(tag))
        })?;
        self.page(selection, parameters, base)
    }

    fn select_live(
        &self,
        kind: ResourceType,
        parameters: &Parameters,
        matches: &mut dyn FnMut(&Browsed) -> Result<bool>,
    ) -> Result<Selection> {
        let most = parameters.number("max_results", PAGE_MAX)?;
        let since = parameters.time("start_at")?;
        let order = match parameters.text("direction").as_deref() {
            None | Some("asc" | "1") => by_public_id("asc")?,
            Some("desc" | "-1") => by_public_id("desc")?,
            Some(word) => {
                return Err(ApiError::Bad(format!(
                    "Invalid direction {word}: give asc or desc"
                )));
            }
        };
        let range = Range {
            prefix: parameters.text("prefix").unwrap_or_default().into_bytes(),
            case: Case::Exact,
            standing: Standings::Live,
            depth: Depth::All,
        };
        let cursor = parameters.text("next_cursor");
        let most = most.unwrap_or(PAGE_DEFAULT);
        select(
            &self.vault,
            &range,
            &order,
            cursor.as_deref(),
            most,
            &mut |row| {
                let Some(public_id) = public_id_of(&row.id, kind) else {
                    return Ok(None);
                };
                let came = || Facts::of(row).map(|facts| facts.uploaded_at);
                if !public_id.as_bytes().starts_with(&range.prefix)
                    || since.is_some_and(|since| came().is_none_or(|came| came < since))
                    || !matches(row)?
                {
                    return Ok(None);
                }
                Ok(Some(place_of(row, public_id)))
            },
        )
    }

    fn page(&self, selection: Selection, parameters: &Parameters, base: &str) -> Result<Value> {
        let assets = self.assets_of(&selection.ids)?;
        let mut answer = json!({ "resources": self.rows(&assets, parameters, base) });
        if let Some(cursor) = selection.next_cursor {
            answer["next_cursor"] = json!(cursor);
        }
        Ok(answer)
    }

    fn rows(&self, assets: &[Asset], parameters: &Parameters, base: &str) -> Vec<Value> {
        let fields = Fields::of(parameters);
        let described = assets.iter().filter_map(|asset| self.describe(asset, base));
        let narrowed = described.map(|mut row| {
            fields.narrow(&mut row);
            Value::Object(row)
        });
        narrowed.collect()
    }

    /// Deletes by public_ids, by prefix, or all of a type.
    pub(super) fn delete(&self, kind: ResourceType, parameters: &Parameters) -> Result<Value> {
        check_means_originals(parameters)?;
        let public_ids = parameters.list("public_ids");
        if !public_ids.is_empty() {
            check_count("public_ids", public_ids.len())?;
            // All of them are found before the first goes: a refusal deletes nothing.
            let mut assets = Vec::with_capacity(public_ids.len());
            for public_id in public_ids {
                let asset = self.named(kind, &public_id)?.into_live()?;
                assets.push((public_id, asset));
            }
            let mut answer = Deletions::default();
            for (public_id, asset) in assets {
                self.delete_one(public_id, asset, &mut answer)?;
            }
            return Ok(answer.finish(false));
        }
        let prefix = parameters.text("prefix");
        if prefix.is_none() && parameters.switch("all")? != Some(true) {
            return Err(ApiError::bad(
                "Missing required parameter - public_ids, prefix or all",
            ));
        }
        self.delete_selected(kind, parameters, &mut |_| Ok(true))
    }

    /// Deletes what has a tag.
    pub(super) fn delete_by_tag(
        &self,
        kind: ResourceType,
        tag: &str,
        parameters: &Parameters,
    ) -> Result<Value> {
        check_means_originals(parameters)?;
        self.delete_selected(kind, parameters, &mut |row| {
            Ok(self.vault.labels(&row.id)?.tags.has(tag))
        })
    }

    fn delete_selected(
        &self,
        kind: ResourceType,
        parameters: &Parameters,
        matches: &mut dyn FnMut(&Browsed) -> Result<bool>,
    ) -> Result<Value> {
        let prefix = parameters.text("prefix").unwrap_or_default().into_bytes();
        let range = Range {
            prefix,
            case: Case::Exact,
            standing: Standings::Live,
            depth: Depth::All,
        };
        let selection = select(
            &self.vault,
            &range,
            &by_public_id("asc")?,
            None,
            DELETED_MAX,
            &mut |row| match public_id_of(&row.id, kind) {
                Some(public_id)
                    if public_id.as_bytes().starts_with(&range.prefix) && matches(row)? =>
                {
                    Ok(Some(place_of(row, public_id)))
                }
                _ => Ok(None),
            },
        )?;
        let is_partial = selection.next_cursor.is_some();
        let mut answer = Deletions::default();
        for asset in self.assets_of(&selection.ids)? {
            let Some(public_id) = public_id_of(&asset.id, kind).map(str::to_owned) else {
                continue;
            };
            self.delete_one(public_id, Some(asset), &mut answer)?;
        }
        Ok(answer.finish(is_partial))
    }

    /// Deletes by asset_ids.
    pub(super) fn delete_by_asset_ids(&self, parameters: &Parameters) -> Result<Value> {
        check_means_originals(parameters)?;
        let asset_ids = parameters.list("asset_ids");
        if asset_ids.is_empty() {
            return Err(ApiError::bad("Missing required parameter - asset_ids"));
        }
        check_count("asset_ids", asset_ids.len())?;
        let mut answer = Deletions::default();
        for asset_id in asset_ids {
            let asset = match self.by_asset_id(&asset_id) {
                Ok(asset) => Some(asset),
                Err(ApiError::NotFound(_)) => None,
                Err(error) => return Err(error),
            };
            self.delete_one(asset_id, asset, &mut answer)?;
        }
        Ok(answer.finish(false))
    }

    fn delete_one(&self, name: String, asset: Option<Asset>, answer: &mut Deletions) -> Result<()> {
        let removed = match asset.filter(|asset| !asset.is_deleted()) {
            None => false,
            Some(asset) => match self.names.remove(&asset.id) {
                Ok(()) => {
                    self.names.changed(&asset.id);
                    true
                }
                // Somebody else was faster.
                Err(ApiError::NotFound(_)) => false,
                Err(error) => return Err(error),
            },
        };
        let word = if removed { "deleted" } else { "not_found" };
        let counts = json!({ "original": u8::from(removed), "derived": 0 });
        answer.deleted.insert(name.clone(), json!(word));
        answer.counts.insert(name, counts);
        Ok(())
    }
}

#[derive(Default)]
struct Deletions {
    deleted: Map<String, Value>,
    counts: Map<String, Value>,
}

impl Deletions {
    fn finish(self, is_partial: bool) -> Value {
        let mut answer = json!({
            "deleted": self.deleted,
            "deleted_counts": self.counts,
            "partial": is_partial,
        });
        if is_partial {
            // What was deleted is not found again, so going on is beginning anew.
            answer["next_cursor"] = json!("more");
        }
        answer
    }
}

/// The public_id of a path, where it is text and of that type.
fn public_id_of(id: &PublicId, kind: ResourceType) -> Option<&str> {
    let path = str::from_utf8(id.as_bytes()).ok()?;
    let identity = identify(path);
    (identity.resource_type == kind).then_some(identity.public_id)
}

fn by_public_id(direction: &str) -> Result<Order> {
    Order::parse([("public_id", direction)]).map_err(|error| ApiError::Bad(error.to_string()))
}

/// The place of a row where only its public_id counts; two of a name are told apart by
/// their formats.
fn place_of(row: &Browsed, public_id: &str) -> Place {
    Place {
        public_id: public_id.to_owned(),
        asset_id: String::from_utf8_lossy(row.id.as_bytes()).into_owned(),
        format: None,
        resource_type: String::new(),
        bytes: 0,
        created_at: 0,
        uploaded_at: 0,
        dimensions: None,
    }
}

/// Refuses a deletion of what was derived from assets: nothing is, and the originals stay.
fn check_means_originals(parameters: &Parameters) -> Result<()> {
    let name = match parameters.switch("keep_original")? {
        Some(true) => "keep_original",
        _ if parameters.has_value("transformations") => "transformations",
        _ => return Ok(()),
    };
    Err(ApiError::Bad(format!(
        "Invalid {name}: it would delete derived files, and there are none here; nothing was deleted"
    )))
}

fn check_count(name: &str, count: usize) -> Result<()> {
    match count > IDS_MAX {
        true => Err(ApiError::Bad(format!(
            "Too many {name}: at most {IDS_MAX} in one call"
        ))),
        false => Ok(()),
    }
}
