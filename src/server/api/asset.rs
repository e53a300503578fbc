//! One asset as the API shows it: found by its public_id, described as JSON.
//!
//! The surprise: a file that is not backed up has no row anywhere, and so no id of its own;
//! it gets one that is made of its path, and another one when it is renamed.

use serde_json::{Map, Value, json};

use super::Api;
use super::error::{ApiError, Result};
use super::formats::{Identity, ResourceType, identify};
use crate::catalog::Standing;
use crate::model::{AssetId, FileFacts, HistoryName, Labels, NodeId, PublicId, Timestamp, Version};
use crate::vault::live::Found;
use crate::vault::{Vault, VaultError};

/// What a program can name in one system call. Below that nothing deeper is nested.
const PUBLIC_ID_BYTES_MAX: usize = 4095;

/// What is known about one asset.
#[derive(Debug, Clone)]
pub(super) struct Asset {
    pub id: PublicId,
    pub asset_id: AssetId,
    /// `None`: it is not backed up.
    pub node: Option<NodeId>,
    pub standing: Standing,
    /// The live file.
    pub file: Option<FileFacts>,
    pub latest: Option<Version>,
    pub labels: Labels,
}

impl Asset {
    /// The path as text. `None`: it is not UTF-8, and no JSON can name it.
    pub(super) fn path(&self) -> Option<&str> {
        str::from_utf8(self.id.as_bytes()).ok()
    }

    /// When its present content came, in unix seconds: the API's version number.
    pub(super) fn version_number(&self) -> i64 {
        self.uploaded_at().parts().0
    }

    pub(super) fn uploaded_at(&self) -> Timestamp {
        match (&self.latest, self.file) {
            (Some(latest), _) => latest.kept_at,
            (None, Some(file)) => file.attributes.mtime,
            (None, None) => Timestamp::default(),
        }
    }

    pub(super) fn created_at(&self) -> Timestamp {
        match self.node {
            Some(_) => self.asset_id.made_at(),
            None => self.uploaded_at(),
        }
    }

    pub(super) fn is_deleted(&self) -> bool {
        self.standing == Standing::Deleted
    }
}

/// A public_id as a path, checked: inside the vault, and no history.
pub(super) fn path_of(text: &str) -> Result<PublicId> {
    if text.is_empty() {
        return Err(ApiError::bad("Missing required parameter - public_id"));
    }
    if text.len() > PUBLIC_ID_BYTES_MAX {
        return Err(ApiError::Bad(format!(
            "Invalid public_id: it is longer than {PUBLIC_ID_BYTES_MAX} bytes"
        )));
    }
    let id = PublicId::new(text.as_bytes())?;
    if let Some(first) = id.components().next()
        && HistoryName::from_root_name(first).is_some()
    {
        return Err(ApiError::Bad(format!(
            "Invalid public_id {text}: the first folder is a name of keepfs's own"
        )));
    }
    Ok(id)
}

impl Api {
    /// What is at a path.
    pub(super) fn asset_at(&self, id: &PublicId) -> Result<Option<Asset>> {
        look_up(&self.vault, id)
    }

    /// The asset with that asset_id.
    pub(super) fn by_asset_id(&self, text: &str) -> Result<Asset> {
        let asset_id: AssetId = text
            .parse()
            .map_err(|_| ApiError::Bad(format!("Invalid asset_id: {text}")))?;
        let path = match self.vault.path_of_asset(asset_id)? {
            Some(path) => Some(path),
            None => self.made_ids.path_of(asset_id),
        };
        let asset = path.map(|path| self.asset_at(&path)).transpose()?.flatten();
        asset
            .filter(|asset| asset.asset_id == asset_id)
            .ok_or_else(|| ApiError::not_found(text))
    }

    /// The asset as JSON. `None`: its path is not UTF-8.
    pub(super) fn describe(&self, asset: &Asset, base: &str) -> Option<Map<String, Value>> {
        let path = asset.path()?;
        let Identity {
            resource_type,
            public_id,
            format,
        } = identify(path);
        if asset.node.is_none() {
            self.made_ids.note(asset.asset_id, &asset.id);
        }
        let (folder, name) = public_id.rsplit_once('/').unwrap_or(("", public_id));
        let url = self.url_of(base, path, asset.version_number());
        let bytes = match asset.file {
            Some(file) => file.size,
            None => 0,
        };
        let mut map = Map::new();
        let mut put = |name: &str, value: Value| map.insert(name.into(), value);
        put("asset_id", json!(asset.asset_id.to_string()));
        put("public_id", json!(public_id));
        if let Some(format) = format {
            put("format", json!(format));
        }
        put("version", json!(asset.version_number()));
        if let Some(latest) = &asset.latest {
            put("version_id", json!(latest.id.to_string()));
        }
        put("resource_type", json!(resource_type.as_str()));
        put("type", json!("upload"));
        put("created_at", json!(shown(asset.created_at())));
        put("uploaded_at", json!(shown(asset.uploaded_at())));
        put("bytes", json!(bytes));
        put("asset_folder", json!(folder));
        put("folder", json!(folder));
        put("display_name", json!(name));
        put("filename", json!(name));
        put("url", json!(url));
        put("secure_url", json!(url));
        put("access_mode", json!("public"));
        put(
            "status",
            json!(if asset.is_deleted() {
                "deleted"
            } else {
                "active"
            }),
        );
        put("placeholder", json!(asset.is_deleted()));
        put("backup", json!(asset.node.is_some()));
        put("tags", json!(asset.labels.tags.as_slice()));
        if !asset.labels.context.as_slice().is_empty() {
            put("context", context_of(&asset.labels));
        }
        if resource_type == ResourceType::Image {
            put("pages", json!(1));
            if let Some((width, height)) = self.media.dimensions(&self.vault, asset) {
                put("width", json!(width));
                put("height", json!(height));
            }
        }
        Some(map)
    }

    /// Where the original of a live asset is served.
    fn url_of(&self, base: &str, path: &str, version: i64) -> String {
        let kind = identify(path).resource_type.as_str();
        let cloud = escape(&self.cloud_name);
        let path: Vec<String> = path.split('/').map(escape).collect();
        format!("{base}/{cloud}/{kind}/upload/v{version}/{}", path.join("/"))
    }
}

/// What is at a path.
pub(super) fn look_up(vault: &Vault, id: &PublicId) -> Result<Option<Asset>> {
    let file = match vault.live().find(id) {
        Ok(Some(Found::File(facts))) => Some(facts),
        Ok(_) => None,
        Err(error) => return Err(VaultError::io(id.to_string(), error).into()),
    };
    match vault.known_asset(id)? {
        Some((record, latest)) if file.is_some() || record.standing == Standing::Deleted => {
            Ok(Some(Asset {
                id: id.clone(),
                asset_id: record.asset_id,
                node: Some(record.node),
                standing: match file {
                    // A file that is not backed up, where a deleted one has the name.
                    Some(_) => Standing::Live,
                    None => Standing::Deleted,
                },
                file,
                latest,
                labels: vault.labels(id)?,
            }))
        }
        _ => Ok(match file {
            Some(_) => Some(Asset {
                id: id.clone(),
                asset_id: made_of(id),
                node: None,
                standing: Standing::Live,
                file,
                latest: None,
                labels: vault.labels(id)?,
            }),
            None => None,
        }),
    }
}

/// Context in the form of answers.
pub(super) fn context_of(labels: &Labels) -> Value {
    let entries = labels.context.as_slice().iter();
    let custom: Map<String, Value> = entries
        .map(|(key, value)| (key.clone(), json!(value)))
        .collect();
    json!({ "custom": custom })
}

/// The paths that a public_id of that type can be of.
pub(super) fn candidates(kind: ResourceType, public_id: &str) -> Result<Vec<PublicId>> {
    let id = path_of(public_id)?;
    if kind == ResourceType::Raw {
        return Ok(vec![id]);
    }
    let lower = kind.extensions().map(str::to_owned);
    let upper = kind.extensions().map(str::to_ascii_uppercase);
    lower
        .chain(upper)
        .map(|extension| path_of(&format!("{public_id}.{extension}")))
        .collect()
}

/// RFC 3339 in whole seconds, UTC.
pub(super) fn shown(time: Timestamp) -> String {
    let (seconds, _) = time.parts();
    Timestamp::from_parts(seconds, 0).to_string()
}

/// The id of a file that is not backed up.
pub(super) fn made_of(id: &PublicId) -> AssetId {
    let hash = blake3::hash(id.as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash.as_bytes()[..16]);
    // UUIDs of this kind are made of a name (RFC 9562, 5.8); those of assets, of the time.
    bytes[6] = bytes[6] & 0x0f | 0x80;
    AssetId(bytes)
}

/// A path segment in a URL.
pub(super) fn escape(segment: &str) -> String {
    use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
    const PLAIN: &AsciiSet = &NON_ALPHANUMERIC
        .remove(b'-')
        .remove(b'_')
        .remove(b'.')
        .remove(b'~');
    utf8_percent_encode(segment, PLAIN).to_string()
}
