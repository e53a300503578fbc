//! Versions of an asset: listed, restored, downloaded, deleted for good.
//!
//! The surprise: a restore that is not possible is an answer and not a failure; the SDKs
//! read a word for each asset.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::Api;
use super::asset::{Asset, context_of, shown};
use super::error::{ApiError, Result};
use super::formats::{ResourceType, identify};
use super::parameters::Parameters;
use super::tell::Audience;
use crate::model::{Version, VersionId, VersionIdPrefix};
use crate::vault::{Clobber, Restore, VaultError};

/// The asset that an id of a restore means, with the version that is wanted.
type Find<'f> = dyn Fn(&str, Option<&str>) -> Result<Option<Asset>> + 'f;

/// Assets in one restore.
const RESTORED_MAX: usize = 100;

impl Api {
    /// The details of an asset, with its versions where they were asked for.
    pub(super) fn details(
        &self,
        asset: &Asset,
        parameters: &Parameters,
        base: &str,
    ) -> Result<Value> {
        let described = self.describe(asset, base);
        let mut map = described.ok_or_else(|| ApiError::bad("The name is not UTF-8"))?;
        if asset.node.is_some() {
            let versions = self
                .vault
                .versions_of(&asset.id)
                .or_else(|error| match error {
                    VaultError::NotFound { .. } => Ok(Vec::new()),
                    error => Err(error),
                })?;
            let bytes: u64 = versions.iter().map(|version| version.size).sum();
            map.insert("backup_bytes".into(), json!(bytes));
            if parameters.switch("versions")? == Some(true) {
                map.insert("versions".into(), self.versions(asset, &versions));
            }
        } else if parameters.switch("versions")? == Some(true) {
            map.insert("versions".into(), json!([]));
        }
        if let Some(etag) = self.media.etag(&self.vault, asset) {
            map.insert("etag".into(), json!(etag));
        }
        map.insert(
            "last_updated".into(),
            json!({ "updated_at": shown(asset.uploaded_at()) }),
        );
        map.insert("derived".into(), json!([]));
        map.extend(self.backup_of(asset)?);
        Ok(Value::Object(map))
    }

    fn versions(&self, asset: &Asset, versions: &[Version]) -> Value {
        let format = asset.path().and_then(|path| identify(path).format);
        let rows = versions.iter().map(|version| {
            json!({
                "version_id": version.id.to_string(),
                "version": version.kept_at.parts().0.to_string(),
                "format": format,
                "size": version.size,
                "time": shown(version.kept_at),
                "restorable": true,
            })
        });
        Value::Array(rows.collect())
    }

    /// Whether and why an asset is backed up.
    pub(super) fn backup_of(&self, asset: &Asset) -> Result<Map<String, Value>> {
        let (effective, reason) = self.vault.explain_policy(&asset.id)?;
        let own = self.vault.file_override(&asset.id);
        let mut map = Map::new();
        map.insert("backup_override".into(), json!(own.map(|own| own.as_str())));
        let is_kept = effective == crate::model::Override::On;
        map.insert("backup_effective".into(), json!(is_kept));
        map.insert("backup_reason".into(), json!(reason));
        Ok(map)
    }

    /// Restores by public_id.
    pub(super) fn restore(
        self: &Arc<Self>,
        kind: ResourceType,
        parameters: &Parameters,
        key: &str,
        base: &str,
    ) -> Result<Value> {
        let public_ids = parameters.list("public_ids");
        let find = |id: &str, version: Option<&str>| self.find_restored(kind, id, version);
        self.restore_each("public_ids", public_ids, parameters, (key, base), &find)
    }

    /// Restores by asset_id.
    pub(super) fn restore_by_asset_ids(
        self: &Arc<Self>,
        parameters: &Parameters,
        key: &str,
        base: &str,
    ) -> Result<Value> {
        let asset_ids = parameters.list("asset_ids");
        for asset_id in &asset_ids {
            if asset_id.parse::<crate::model::AssetId>().is_err() {
                return Err(ApiError::Bad(format!("Invalid asset_id: {asset_id}")));
            }
        }
        let find = |id: &str, _: Option<&str>| match self.by_asset_id(id) {
            Ok(asset) => Ok(Some(asset)),
            Err(ApiError::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        };
        self.restore_each("asset_ids", asset_ids, parameters, (key, base), &find)
    }

    fn restore_each(
        self: &Arc<Self>,
        name: &str,
        ids: Vec<String>,
        parameters: &Parameters,
        (key, base): (&str, &str),
        find: &Find<'_>,
    ) -> Result<Value> {
        if ids.is_empty() {
            return Err(ApiError::Bad(format!("{name} parameter is required")));
        }
        if ids.len() > RESTORED_MAX {
            return Err(ApiError::Bad(format!(
                "Too many {name}: at most {RESTORED_MAX}"
            )));
        }
        let versions = parameters.list("versions");
        if !versions.is_empty() && versions.len() != ids.len() {
            return Err(ApiError::bad("versions count must match ids count"));
        }
        let audience = self.audience(parameters, key)?;
        let mut answer = Map::new();
        for (place, id) in ids.into_iter().enumerate() {
            let version = versions.get(place).map(String::as_str);
            let restored = find(&id, version).and_then(|asset| match asset {
                Some(asset) => self.bring_back(&asset, version),
                None => Ok(None),
            });
            let row = match restored {
                Ok(Some(asset)) => json!(self.describe(&asset, base)),
                Ok(None) => json!({ "error": "no_backup" }),
                Err(error) => {
                    log::warn!("restore of {id}: {}", error.message());
                    json!({ "error": "failed", "message": error.message() })
                }
            };
            answer.insert(id, row);
        }
        if audience.is_anybody() {
            self.tell_of_restore(audience, &answer);
        }
        Ok(Value::Object(answer))
    }

    fn tell_of_restore(self: &Arc<Self>, audience: Audience, answer: &Map<String, Value>) {
        let came = answer.values().filter(|row| row.get("error").is_none());
        let (came, all) = (came.count(), answer.len());
        let status = match came == all {
            true => "completed",
            false => "failed",
        };
        let subject = format!("restore {status}: {came} of {all} came back");
        let body = json!({
            "notification_type": "restore_asset_version",
            "status": status,
            "resources": answer,
            "timestamp": shown(self.vault.clock().now()),
        });
        self.tell_later(audience, subject, body);
    }

    /// The asset as it is then. `None`: there is nothing to restore.
    fn bring_back(&self, asset: &Asset, version: Option<&str>) -> Result<Option<Asset>> {
        if asset.latest.is_none() {
            return Ok(None);
        }
        let wanted: Option<VersionIdPrefix> = version
            .map(str::parse)
            .transpose()
            .map_err(|_| ApiError::bad("Illegal id"))?;
        let restored = self.vault.restore(&Restore {
            id: asset.id.clone(),
            version: wanted,
            to: None,
            clobber: Clobber::Overwrite,
        });
        match restored {
            Err(VaultError::NotFound { .. }) if version.is_some() => {
                return Err(ApiError::NotFound(
                    "Specified version does not exist".into(),
                ));
            }
            restored => restored?,
        };
        self.names.changed(&asset.id);
        let asset = self.asset_at(&asset.id)?;
        let gone = || ApiError::bad("It came back, and is already gone again");
        asset.ok_or_else(gone).map(Some)
    }

    /// Deletes versions for good, each for itself. One SDK knows no status for a part of
    /// them, so the answer names what failed.
    pub(super) fn delete_versions(&self, asset_id: &str, parameters: &Parameters) -> Result<Value> {
        let version_ids = parameters.list("version_ids");
        if version_ids.is_empty() {
            return Err(ApiError::bad("Missing required parameter - version_ids"));
        }
        let asset = self.by_asset_id(asset_id)?;
        let known: Vec<VersionId> = match asset.node {
            Some(_) => {
                let versions = self.vault.versions_of(&asset.id)?;
                versions.iter().map(|version| version.id).collect()
            }
            None => Vec::new(),
        };
        let (mut there, mut failures) = (Vec::new(), Vec::new());
        for version_id in version_ids {
            match version_id.parse::<VersionId>() {
                Ok(id) if known.contains(&id) => there.push(version_id),
                Ok(_) => failures.push((version_id, "Specified version does not exist")),
                Err(_) => failures.push((version_id, "Illegal id")),
            }
        }
        if there.is_empty() {
            return Err(ApiError::NotFound(
                "Specified version does not exist".into(),
            ));
        }
        let prefixes: Vec<VersionIdPrefix> = there
            .iter()
            .filter_map(|version_id| version_id.parse().ok())
            .collect();
        let deleted = self.vault.delete_versions(&asset.id, &prefixes);
        // They can be out of reach although not all of it went well.
        self.names.changed(&asset.id);
        deleted?;
        let mut body = json!({
            "asset_id": asset.asset_id.to_string(),
            "deleted_version_ids": there,
        });
        if !failures.is_empty() {
            let failures = failures.into_iter();
            body["failures"] = failures
                .map(|(id, error)| json!({ "version_id": id, "error": error }))
                .collect();
        }
        Ok(body)
    }

    /// The version that a download asks for, stored and ready to be read.
    pub(super) fn find_download(&self, parameters: &Parameters) -> Result<(Asset, Version)> {
        let version_id = parameters.required("version_id")?;
        let asset_id = parameters.required("asset_id")?;
        let illegal = || ApiError::bad("Illegal id");
        let version_id: VersionId = version_id.parse().map_err(|_| illegal())?;
        let asset = self.by_asset_id(&asset_id).map_err(|_| illegal())?;
        if asset.node.is_none() {
            return Err(illegal());
        }
        let versions = self.vault.versions_of(&asset.id)?;
        let version = versions
            .into_iter()
            .find(|version| version.id == version_id);
        let version =
            version.ok_or_else(|| ApiError::NotFound("Specified version does not exist".into()))?;
        Ok((asset, version))
    }
}

/// Labels of a search result.
pub(super) fn put_labels(map: &mut Map<String, Value>, asset: &Asset) {
    map.insert("tags".into(), json!(asset.labels.tags.as_slice()));
    map.insert(
        "context".into(),
        context_of(&asset.labels)["custom"].clone(),
    );
}
