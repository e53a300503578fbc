//! Searches: assets, live or deleted, by an expression.
//!
//! What is in the catalog's rows is asked first, so that labels are looked up and pictures
//! opened only for those that may match. The surprise: there is no index that lags behind;
//! what was written a moment ago is found.

use std::cell::OnceCell;
use std::time::Instant;

use serde_json::{Value, json};

use super::Api;
use super::asset::{Asset, look_up, made_of};
use super::error::{ApiError, Result};
use super::fields::Fields;
use super::formats::identify;
use super::history::put_labels;
use super::media::Media;
use super::parameters::Parameters;
use super::resources::PAGE_MAX;
use super::select::{Place, Selection, select};
use crate::catalog::Standing;
use crate::model::{AssetId, Labels, Timestamp};
use crate::search::{self, Expression, Order, Status, Subject};
use crate::vault::{Browsed, Case, Depth, Range, Standings, Vault};

const PAGE_DEFAULT: usize = 50;
/// What is read for the md5s in one answer; they are remembered, so the next goes further.
const HASHED_BYTES_MAX: u64 = 64 << 20;

/// What is looked for, and how much of it is wanted.
pub(super) struct Query {
    expression: Expression,
    order: Order,
    most: usize,
    cursor: Option<String>,
}

impl Query {
    /// Reads an expression.
    pub(super) fn new(
        text: &str,
        order: Order,
        most: usize,
        cursor: Option<String>,
        now: Timestamp,
    ) -> Result<Self> {
        let expression = Expression::parse(text, now);
        Ok(Self {
            expression: expression.map_err(|error| ApiError::Bad(error.to_string()))?,
            order,
            most,
            cursor,
        })
    }

    /// Finds what matches.
    pub(super) fn run(&self, vault: &Vault, media: &Media) -> Result<Selection> {
        let range = range_of(&self.expression);
        let cursor = self.cursor.as_deref();
        let mut judge = |row: &Browsed| self.judge(row, vault, media);
        select(vault, &range, &self.order, cursor, self.most, &mut judge)
    }

    /// Where a row belongs among the results. `None`: it does not match.
    fn judge(&self, row: &Browsed, vault: &Vault, media: &Media) -> Result<Option<Place>> {
        let Ok(path) = str::from_utf8(row.id.as_bytes()) else {
            return Ok(None);
        };
        let identity = identify(path);
        let public_id = identity.public_id;
        let (folder, name) = public_id.rsplit_once('/').unwrap_or(("", public_id));
        let Some(facts) = Facts::of(row) else {
            return Ok(None);
        };
        let shown_id = facts.asset_id.to_string();
        let found = OnceCell::new();
        let dimensions = || {
            *found.get_or_init(|| {
                let asset = look_up(vault, &row.id).ok().flatten()?;
                media.dimensions(vault, &asset)
            })
        };
        let labels = match self.expression.needs_labels() {
            true => vault.labels(&row.id)?,
            false => Labels::default(),
        };
        let subject = Subject {
            public_id,
            asset_id: &shown_id,
            filename: name,
            display_name: name,
            folder,
            format: identity.format,
            resource_type: identity.resource_type.as_str(),
            kind: "upload",
            tags: labels.tags.as_slice(),
            context: labels.context.as_slice(),
            bytes: facts.bytes,
            status: facts.status,
            created_at: facts.created_at,
            uploaded_at: facts.uploaded_at,
            updated_at: facts.uploaded_at,
            dimensions: &dimensions,
        };
        if !self.expression.matches(&subject) {
            return Ok(None);
        }
        let needs_dimensions = self.order.needs_dimensions();
        Ok(Some(Place {
            public_id: public_id.to_owned(),
            asset_id: shown_id.clone(),
            format: identity.format.map(str::to_owned),
            resource_type: identity.resource_type.as_str().to_owned(),
            bytes: facts.bytes,
            created_at: facts.created_at.nanos(),
            uploaded_at: facts.uploaded_at.nanos(),
            dimensions: needs_dimensions.then(dimensions).flatten(),
        }))
    }
}

/// What a row says without another look.
pub(super) struct Facts {
    asset_id: AssetId,
    status: Status,
    bytes: u64,
    created_at: Timestamp,
    pub uploaded_at: Timestamp,
}

impl Facts {
    pub(super) fn of(row: &Browsed) -> Option<Self> {
        if let Some(asset) = &row.asset {
            let created_at = asset.asset_id.made_at();
            return Some(Self {
                asset_id: asset.asset_id,
                status: match asset.standing {
                    Standing::Live => Status::Active,
                    Standing::Deleted => Status::Deleted,
                },
                bytes: asset.latest.map_or(0, |latest| latest.size),
                created_at,
                uploaded_at: asset.latest.map_or(created_at, |latest| latest.kept_at),
            });
        }
        let file = row.file?;
        let changed_at = file.attributes.mtime;
        Some(Self {
            asset_id: made_of(&row.id),
            status: Status::Active,
            bytes: file.size,
            created_at: changed_at,
            uploaded_at: changed_at,
        })
    }
}

impl Api {
    /// Finds assets.
    pub(super) fn search(&self, parameters: &Parameters, base: &str) -> Result<Value> {
        let started = Instant::now();
        if parameters.has_value("aggregate") {
            return Err(ApiError::bad(
                "Invalid aggregate: nothing is counted by value here; search for each value with max_results 0",
            ));
        }
        let text = parameters.text("expression").unwrap_or_default();
        let most = parameters.number("max_results", PAGE_MAX)?;
        let query = Query::new(
            &text,
            order_in(parameters)?,
            most.unwrap_or(PAGE_DEFAULT),
            parameters.text("next_cursor"),
            self.vault.clock().now(),
        )?;
        let selection = query.run(&self.vault, &self.media)?;
        let wanted = parameters.list("with_field");
        let fields = Fields::of(parameters);
        let is_wanted = |name: &str| wanted.iter().any(|field| field == name) || fields.has(name);
        let (tags, context) = (is_wanted("tags"), is_wanted("context"));
        let (mut rows, mut left) = (Vec::new(), HASHED_BYTES_MAX);
        for asset in self.assets_of(&selection.ids)? {
            let Some(mut row) = self.describe(&asset, base) else {
                continue;
            };
            put_labels(&mut row, &asset);
            row.retain(|name, _| match name.as_str() {
                "tags" => tags,
                "context" => context,
                _ => true,
            });
            // As the expression sees it: a deleted asset has the size that it comes back with.
            if let (None, Some(latest)) = (asset.file, &asset.latest) {
                row.insert("bytes".into(), json!(latest.size));
            }
            row.entry("format").or_insert(Value::Null);
            let etag = self.media.etag_within(&self.vault, &asset, &mut left);
            row.insert("etag".into(), json!(etag));
            row.insert("backup_bytes".into(), json!(self.backup_bytes(&asset)?));
            fields.narrow(&mut row);
            rows.push(Value::Object(row));
        }
        let mut answer = json!({
            "total_count": selection.total,
            "time": u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
            "resources": rows,
        });
        if let Some(cursor) = selection.next_cursor {
            answer["next_cursor"] = json!(cursor);
        }
        Ok(answer)
    }

    fn backup_bytes(&self, asset: &Asset) -> Result<u64> {
        match asset.node {
            Some(_) => Ok(self.vault.history_bytes(&asset.id)?),
            None => Ok(0),
        }
    }
}

/// `[{"created_at": "desc"}, …]`, the same as fields of a form
/// (`sort_by[0][created_at]=desc`), or a text such as `created_at desc, public_id asc`.
fn order_in(parameters: &Parameters) -> Result<Order> {
    let wrong =
        || ApiError::bad("Invalid sort_by: write [{\"field\": \"asc\"}], or as text field asc");
    let mut keys: Vec<(String, String)> = Vec::new();
    let mut add = |text: &str| {
        for key in text.split(',').filter(|key| !key.trim().is_empty()) {
            let (field, direction) = key.trim().split_once(' ').ok_or_else(wrong)?;
            keys.push((field.to_owned(), direction.trim().to_owned()));
        }
        Result::Ok(())
    };
    for (name, value) in parameters.fields() {
        match name.strip_prefix("sort_by") {
            Some("") => add(value)?,
            Some(rest) if rest.starts_with('[') => {
                // `[0][field]`, `[][field]`, `[field]`; without a field the value says it.
                let last = rest.rsplit('[').next().unwrap_or_default();
                let last = last.strip_suffix(']').ok_or_else(wrong)?;
                match last.bytes().all(|byte| byte.is_ascii_digit()) {
                    true => add(value)?,
                    false => add(&format!("{last} {value}"))?,
                }
            }
            _ => {}
        }
    }
    match parameters.json("sort_by") {
        Some(Value::Array(entries)) => {
            for entry in entries {
                for (field, direction) in entry.as_object().ok_or_else(wrong)? {
                    let direction = direction.as_str().unwrap_or_default();
                    add(&format!("{field} {direction}"))?;
                }
            }
        }
        Some(Value::String(text)) => add(text)?,
        Some(_) => return Err(wrong()),
        None => {}
    }
    let keys = keys
        .iter()
        .map(|(field, direction)| (field.as_str(), direction.as_str()));
    Order::parse(keys).map_err(|error| ApiError::Bad(error.to_string()))
}

/// Where matches can be.
fn range_of(expression: &Expression) -> Range {
    let scope = expression.scope();
    let mut prefix = scope.public_id_prefix.as_str();
    if scope.prefix_case == search::Case::Ignored {
        // Only of ASCII is a letter of the other case one that has as many bytes.
        let plain = prefix.bytes().take_while(u8::is_ascii).count();
        prefix = &prefix[..plain];
    }
    Range {
        prefix: prefix.as_bytes().to_vec(),
        case: match scope.prefix_case {
            search::Case::Exact => Case::Exact,
            search::Case::Ignored => Case::Ignored,
        },
        standing: match scope.status {
            search::StatusScope::Active => Standings::Live,
            search::StatusScope::Deleted => Standings::Deleted,
            search::StatusScope::Both => Standings::Both,
        },
        depth: Depth::All,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_read_however_it_was_written() {
        let expected = Order::parse([("bytes", "asc"), ("public_id", "desc")]).unwrap();
        for form in [
            "sort_by=bytes asc, public_id desc",
            "sort_by[]=bytes asc&sort_by[]=public_id desc",
            "sort_by[0][bytes]=asc&sort_by[1][public_id]=desc",
            "sort_by[][bytes]=asc&sort_by[][public_id]=desc",
        ] {
            let parameters = Parameters::from_form(form.as_bytes()).unwrap();
            assert_eq!(order_in(&parameters).unwrap(), expected, "{form}");
        }
        for json in [
            r#"{"sort_by":[{"bytes":"asc"},{"public_id":"desc"}]}"#,
            r#"{"sort_by":"bytes asc,public_id desc"}"#,
        ] {
            let parameters = Parameters::from_json(json.as_bytes()).unwrap();
            assert_eq!(order_in(&parameters).unwrap(), expected, "{json}");
        }
        for wrong in [
            "sort_by=bytes",
            "sort_by=bytes up",
            "sort_by[0][x]=asc",
            "sort_by[0=asc",
        ] {
            let parameters = Parameters::from_form(wrong.as_bytes()).unwrap();
            assert!(order_in(&parameters).is_err(), "{wrong}");
        }
    }
}
