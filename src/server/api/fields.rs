//! Which of its fields a row of a listing or search shows.

use serde_json::{Map, Value};

use super::parameters::Parameters;

/// What a row always has.
const ALWAYS: [&str; 7] = [
    "asset_id",
    "public_id",
    "asset_folder",
    "created_at",
    "status",
    "type",
    "resource_type",
];

/// The fields that a call asks for: `fields`, as a list or with commas. None: all.
#[derive(Debug)]
pub(super) struct Fields(Vec<String>);

impl Fields {
    pub(super) fn of(parameters: &Parameters) -> Self {
        let lists = parameters.list("fields");
        let names = lists.iter().flat_map(|list| list.split(','));
        let names = names.map(str::trim).filter(|name| !name.is_empty());
        Self(names.map(str::to_owned).collect())
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|known| known == name)
    }

    /// Leaves what was asked for.
    pub(super) fn narrow(&self, row: &mut Map<String, Value>) {
        if !self.0.is_empty() {
            row.retain(|name, _| ALWAYS.contains(&name.as_str()) || self.has(name));
        }
    }
}
