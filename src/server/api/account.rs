//! The vault as a whole: usage, status, the backup switch, folders.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use super::Api;
use super::asset::{Asset, shown};
use super::error::{ApiError, Result, of_io};
use super::parameters::Parameters;
use super::resources::PAGE_MAX;
use crate::model::{Override, PublicId};
use crate::vault::Status;
use crate::vault::live::Found;

impl Api {
    /// The figures of now. Those of other days nobody noted.
    pub(super) fn usage(&self, day: Option<&str>) -> Result<Value> {
        let (seconds, _) = self.vault.clock().now().parts();
        let today = jiff::Timestamp::from_second(seconds).unwrap_or_default();
        let today = today.strftime("%d-%m-%Y").to_string();
        if let Some(day) = day.filter(|day| *day != today) {
            return Err(ApiError::Bad(format!(
                "Invalid date {day}: usage is known of today only, {today} (UTC)"
            )));
        }
        let status = self.vault.status()?;
        let live = self.vault.live_space()?;
        Ok(json!({
            "plan": "keepfs",
            "last_updated": shown(self.vault.clock().now()),
            "objects": { "usage": status.assets_live },
            "storage": { "usage": status.stored_bytes },
            "requests": self.metrics.requests(),
            "resources": status.assets_live,
            "derived_resources": 0,
            "live": { "free_bytes": live.free_bytes, "total_bytes": live.total_bytes },
            "backup": {
                "versions": status.versions,
                "deleted_assets": status.assets_deleted,
                "logical_bytes": status.logical_bytes,
                "unique_bytes": status.unique_bytes,
                "stored_bytes": status.stored_bytes,
            },
        }))
    }

    /// Without `created_at`: a vault does not know when it was made.
    pub(super) fn config(&self) -> Value {
        json!({
            "cloud_name": self.cloud_name,
            "settings": { "folder_mode": "fixed" },
        })
    }

    /// How far the store is, in words.
    pub(super) fn backup_status(&self) -> Result<Value> {
        let status = self.vault.status()?;
        let state = state_of(&status);
        Ok(json!({
            "state": state,
            "pending_versions": status.versions_pending,
            "pending_bytes": status.pending_bytes + status.packs_pending_bytes,
            "oldest_pending_seconds": status.waiting_seconds,
            "last_success": status.last_success,
            "store": status.store,
            "message": status.blocked,
            "warnings": status.warnings,
        }))
    }

    pub(super) fn backup_settings(&self) -> Value {
        json!({ "backup": self.vault.backup_switch().as_str() })
    }

    pub(super) fn set_backup(&self, parameters: &Parameters) -> Result<Value> {
        let word = parameters.required("backup")?;
        let value = Override::from_word(word.as_bytes())
            .ok_or_else(|| ApiError::Bad(format!("Invalid backup {word}: give on or off")))?;
        self.vault.set_backup_switch(value)?;
        Ok(self.backup_settings())
    }

    /// Sets or takes away what one asset says for itself.
    pub(super) fn set_override(&self, asset: &Asset, parameters: &Parameters) -> Result<Value> {
        let value = match parameters.text("override") {
            None => None,
            Some(word) => Some(Override::from_word(word.as_bytes()).ok_or_else(|| {
                ApiError::Bad(format!("Invalid override {word}: give on, off or null"))
            })?),
        };
        if asset.file.is_none() {
            return Err(ApiError::bad(
                "A deleted asset has no file to set this on: restore it first",
            ));
        }
        self.vault.set_file_override(&asset.id, value)?;
        Ok(Value::Object(self.backup_of(asset)?))
    }

    /// The folders directly in a folder: all of them, or a page where `max_results` says so.
    pub(super) fn folders(&self, path: &str, parameters: &Parameters) -> Result<Value> {
        let most = parameters.number("max_results", PAGE_MAX)?;
        let after = parameters.text("next_cursor").map(name_of).transpose()?;
        let folder = PublicId::new(path.trim_matches('/').as_bytes())?;
        let mut names: Vec<String> = self.vault.folders_in(&folder)?;
        names.sort();
        let total = names.len();
        if let Some(after) = after {
            names.retain(|name| *name > after);
        }
        let has_more = most.is_some_and(|most| names.len() > most);
        names.truncate(most.unwrap_or(names.len()));
        let inside = |name: &str| match path.trim_matches('/') {
            "" => name.to_owned(),
            path => format!("{path}/{name}"),
        };
        let folders: Vec<Value> = names
            .iter()
            .map(|name| json!({ "name": name, "path": inside(name) }))
            .collect();
        let mut answer = json!({ "folders": folders, "total_count": total });
        if let Some(last) = names.last().filter(|_| has_more) {
            answer["next_cursor"] = json!(BASE64_URL_SAFE_NO_PAD.encode(last));
        }
        Ok(answer)
    }

    /// The folder that a program looks for before it works in it.
    pub(super) fn find_folders(&self, parameters: &Parameters) -> Result<Value> {
        let expression = parameters.text("expression").unwrap_or_default();
        let path = path_asked_for(&expression).ok_or_else(|| {
            ApiError::bad("Folders are found by their whole path only: write path=\"a/b\"")
        })?;
        let path = path.trim_matches('/');
        let folder = PublicId::new(path.as_bytes())?;
        let found = self.vault.live().find(&folder);
        let found = found.map_err(|error| of_io(path, &error))?;
        let folders = match found {
            Some(Found::Directory(_)) => vec![json!({
                "name": path.rsplit('/').next().unwrap_or_default(),
                "path": path,
            })],
            _ => Vec::new(),
        };
        Ok(json!({ "total_count": folders.len(), "folders": folders }))
    }
}

/// The path that an expression such as `path="a/b"` names.
fn path_asked_for(expression: &str) -> Option<&str> {
    let path = expression.trim().strip_prefix("path")?;
    let path = path.trim_start().strip_prefix(['=', ':'])?.trim();
    let path = match path.strip_prefix('"') {
        Some(quoted) => quoted.strip_suffix('"')?,
        None => path,
    };
    // What a pattern or a second term would mean is not guessed.
    (!path.contains(['"', '*', '\\'])).then_some(path)
}

/// The last name of a page, of which the next one is asked for.
fn name_of(cursor: String) -> Result<String> {
    let name = BASE64_URL_SAFE_NO_PAD.decode(cursor).ok();
    let name = name.and_then(|name| String::from_utf8(name).ok());
    name.ok_or_else(|| {
        ApiError::bad("Invalid value for parameter next_cursor: it is not of a listing")
    })
}

/// `ok`, `behind` or `blocked`.
pub(super) fn state_of(status: &Status) -> &'static str {
    /// A pack fills and goes within minutes; what waits longer is behind.
    const BEHIND_SECONDS: u64 = 15 * 60;
    match status.waiting_seconds {
        _ if status.blocked.is_some() => "blocked",
        Some(seconds) if seconds > BEHIND_SECONDS => "behind",
        _ => "ok",
    }
}

/// Nothing but an empty object: what a change without an answer answers.
pub(super) fn nothing() -> Value {
    Value::Object(Map::new())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_asked_for_by_its_path_and_by_nothing_else() {
        for text in ["path=\"a/b c\"", "path:\"a/b c\"", " path = a/b c"] {
            assert_eq!(path_asked_for(text), Some("a/b c"), "{text}");
        }
        for text in [
            "",
            "a",
            "name=a",
            "paths=a",
            "path",
            "path=a*",
            "path=\"a",
            "path=\"a\" OR path=\"b\"",
        ] {
            assert_eq!(path_asked_for(text), None, "{text}");
        }
    }
}
