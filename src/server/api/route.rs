//! Which call a method and a path are.
//!
//! The path is decoded before it is taken apart: some SDKs send a public_id, and even the
//! name of a call, as one escaped segment. The surprise: `restore` and `backup` are calls
//! before they are public_ids.

use axum::http::Method;

use super::error::{ApiError, Result};
use super::formats::ResourceType;

/// A call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Route {
    Page(String),
    Session,
    Metrics,
    OpenApi,
    /// The original of an asset, by its path below the resource type.
    Delivery(ResourceType, String),
    Ping,
    /// Of a day, where one is named.
    Usage(Option<String>),
    Config,
    Upload(Option<ResourceType>),
    Rename(ResourceType),
    Destroy(ResourceType),
    Explicit(ResourceType),
    Tags(ResourceType),
    Context(ResourceType),
    Search,
    ResourceTypes,
    List(ResourceType),
    ListByTag(ResourceType, String),
    ListByAssetIds,
    Resource(ResourceType, String),
    ResourceByAssetId(String),
    Update(ResourceType, String),
    DeleteResources(ResourceType),
    DeleteByTag(ResourceType, String),
    DeleteByAssetIds,
    Restore(ResourceType),
    RestoreByAssetIds,
    DeleteVersions(String),
    AssetBackup(String),
    DownloadBackup,
    Folders(String),
    FindFolders,
    BackupStatus,
    BackupSettings,
    StartInitialBackup,
    InitialBackups,
    InitialBackup(String),
}

impl Route {
    /// The call that a method and an escaped path are. `cloud`: the name that this server
    /// answers to.
    ///
    /// # Errors
    /// `NoCall`, and `Bad` for a path that is no text.
    pub(super) fn of(method: &Method, path: &str, cloud: &str) -> Result<Self> {
        let decoded = percent_encoding::percent_decode_str(path).decode_utf8();
        let path = decoded.map_err(|_| ApiError::bad("The path is not UTF-8"))?;
        let path = path.trim_start_matches('/');
        let (first, rest) = path.split_once('/').unwrap_or((path, ""));
        match (method.as_str(), first, rest) {
            ("GET" | "HEAD", "", "") => return Ok(Self::Page("index.html".into())),
            ("GET" | "HEAD", "page", file) if !file.is_empty() => {
                return Ok(Self::Page(file.into()));
            }
            ("GET" | "POST" | "DELETE", "session", "") => return Ok(Self::Session),
            ("GET" | "HEAD", "metrics", "") => return Ok(Self::Metrics),
            ("GET" | "HEAD", "openapi.json", "") => return Ok(Self::OpenApi),
            (_, "v1_1", rest) => {
                let (name, call) = rest.split_once('/').unwrap_or((rest, ""));
                if name != cloud {
                    return Err(ApiError::Unauthorized(format!(
                        "unknown cloud_name {name}: this server has the vault {cloud}"
                    )));
                }
                return Self::of_call(method, call);
            }
            _ => {}
        }
        if first == cloud && (method == Method::GET || method == Method::HEAD) {
            return Self::of_delivery(rest);
        }
        Err(ApiError::NoCall)
    }

    fn of_call(method: &Method, call: &str) -> Result<Self> {
        let (first, rest) = call.split_once('/').unwrap_or((call, ""));
        Ok(match (method.as_str(), first, rest) {
            ("GET", "ping", "") => Self::Ping,
            ("GET", "usage", "") => Self::Usage(None),
            ("GET", "usage", day) => Self::Usage(Some(day.into())),
            ("GET", "config", "") => Self::Config,
            ("GET", "download_backup", "") => Self::DownloadBackup,
            ("POST", "folders", "search") => Self::FindFolders,
            ("GET", "folders", path) => Self::Folders(path.into()),
            ("GET", "backup", "status") => Self::BackupStatus,
            ("GET" | "PUT", "backup", "settings") => Self::BackupSettings,
            ("POST", "operations", "initial_backup") => Self::StartInitialBackup,
            ("GET", "operations", "initial_backup") => Self::InitialBackups,
            ("GET", "operations", rest) => match rest.strip_prefix("initial_backup/") {
                Some(id) => Self::InitialBackup(id.into()),
                None => return Err(ApiError::NoCall),
            },
            ("POST", "auto", "upload") => Self::Upload(None),
            (_, "resources", rest) => Self::of_resources(method, rest)?,
            ("POST", kind, verb) => {
                let kind = ResourceType::from_word(kind).ok_or(ApiError::NoCall)?;
                match verb {
                    "upload" => Self::Upload(Some(kind)),
                    "rename" => Self::Rename(kind),
                    "destroy" => Self::Destroy(kind),
                    "explicit" => Self::Explicit(kind),
                    "tags" => Self::Tags(kind),
                    "context" => Self::Context(kind),
                    _ => return Err(ApiError::NoCall),
                }
            }
            _ => return Err(ApiError::NoCall),
        })
    }

    fn of_resources(method: &Method, path: &str) -> Result<Self> {
        let (first, rest) = path.split_once('/').unwrap_or((path, ""));
        match (method.as_str(), first, rest) {
            ("POST" | "GET", "search", "") => return Ok(Self::Search),
            ("POST", "restore", "") => return Ok(Self::RestoreByAssetIds),
            ("GET", "by_asset_ids", "") => return Ok(Self::ListByAssetIds),
            ("DELETE", "backup", asset_id) if !asset_id.is_empty() => {
                return Ok(Self::DeleteVersions(asset_id.into()));
            }
            ("GET", "", "") => return Ok(Self::ResourceTypes),
            ("DELETE", "", "") => return Ok(Self::DeleteByAssetIds),
            ("GET" | "PUT", asset_id, "backup") => {
                return Ok(Self::AssetBackup(asset_id.into()));
            }
            _ => {}
        }
        let Some(kind) = ResourceType::from_word(first) else {
            return match (method.as_str(), rest) {
                ("GET", "") => Ok(Self::ResourceByAssetId(first.into())),
                _ => Err(ApiError::NoCall),
            };
        };
        let (second, rest) = rest.split_once('/').unwrap_or((rest, ""));
        if second == "tags" && !rest.is_empty() {
            return match method.as_str() {
                "GET" => Ok(Self::ListByTag(kind, rest.into())),
                "DELETE" => Ok(Self::DeleteByTag(kind, rest.into())),
                _ => Err(ApiError::NoCall),
            };
        }
        if !matches!(second, "" | "upload") {
            return Err(ApiError::Bad(format!(
                "Invalid type {second}: assets here are of the type upload"
            )));
        }
        Ok(match (method.as_str(), rest) {
            ("GET", "") => Self::List(kind),
            ("DELETE", "") => Self::DeleteResources(kind),
            ("POST", "restore") => Self::Restore(kind),
            ("GET", public_id) => Self::Resource(kind, public_id.into()),
            ("POST" | "PUT", public_id) if !public_id.is_empty() => {
                Self::Update(kind, public_id.into())
            }
            _ => return Err(ApiError::NoCall),
        })
    }

    fn of_delivery(path: &str) -> Result<Self> {
        let mut parts = path.splitn(3, '/');
        let kind = parts.next().and_then(ResourceType::from_word);
        let (Some(kind), Some("upload"), Some(rest)) = (kind, parts.next(), parts.next()) else {
            return Err(ApiError::NoCall);
        };
        let name = match rest.split_once('/') {
            Some((version, name)) if is_version(version) => name,
            _ => rest,
        };
        Ok(Self::Delivery(kind, name.into()))
    }
}

fn is_version(segment: &str) -> bool {
    let digits = segment.strip_prefix('v').unwrap_or_default();
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(method: &str, path: &str) -> Result<Route> {
        Route::of(&method.parse().unwrap(), path, "demo")
    }

    #[test]
    fn calls_are_told_apart_whatever_is_escaped() {
        use ResourceType::{Image, Raw};
        for (method, path, expected) in [
            ("POST", "/v1_1/demo/resources%2Fsearch", Route::Search),
            ("POST", "//v1_1/demo/resources/search", Route::Search),
            (
                "GET",
                "/v1_1/demo/resources/image/upload/nf%2Fa%20b",
                Route::Resource(Image, "nf/a b".into()),
            ),
            (
                "GET",
                "/v1_1/demo/resources/image/upload/folder/a%20b",
                Route::Resource(Image, "folder/a b".into()),
            ),
            (
                "POST",
                "/v1_1/demo/resources/raw/upload/restore",
                Route::Restore(Raw),
            ),
            (
                "POST",
                "/v1_1/demo/resources/raw/upload/restore/x",
                Route::Update(Raw, "restore/x".into()),
            ),
            (
                "GET",
                "/v1_1/demo/resources/image/tags/a%2Fb",
                Route::ListByTag(Image, "a/b".into()),
            ),
            (
                "GET",
                "/v1_1/demo/resources/63fdb841d7fdde1c6f335a26fc57222b",
                Route::ResourceByAssetId("63fdb841d7fdde1c6f335a26fc57222b".into()),
            ),
            ("DELETE", "/v1_1/demo/resources", Route::DeleteByAssetIds),
            (
                "DELETE",
                "/v1_1/demo/resources/backup/63fd",
                Route::DeleteVersions("63fd".into()),
            ),
            ("POST", "/v1_1/demo/auto/upload", Route::Upload(None)),
            (
                "GET",
                "/v1_1/demo/operations/initial_backup/7",
                Route::InitialBackup("7".into()),
            ),
            (
                "GET",
                "/demo/image/upload/v123/a/b.png",
                Route::Delivery(Image, "a/b.png".into()),
            ),
            (
                "GET",
                "/demo/raw/upload/vacation/b",
                Route::Delivery(Raw, "vacation/b".into()),
            ),
            ("GET", "/", Route::Page("index.html".into())),
            ("GET", "/v1_1/demo/usage", Route::Usage(None)),
            (
                "GET",
                "/v1_1/demo/usage/31-01-2030",
                Route::Usage(Some("31-01-2030".into())),
            ),
        ] {
            assert_eq!(route(method, path).unwrap(), expected, "{method} {path}");
        }
    }

    #[test]
    fn what_is_no_call_says_so() {
        for (method, path) in [
            ("GET", "/v1_1/demo/nothing"),
            ("PATCH", "/v1_1/demo/ping"),
            ("POST", "/v1_1/demo/sound/upload"),
            ("POST", "/demo/image/upload/a.png"),
            ("GET", "/demo/image/fetch/a.png"),
            ("GET", "/etc/passwd"),
        ] {
            assert!(
                matches!(route(method, path), Err(ApiError::NoCall)),
                "{path}"
            );
        }
        assert!(matches!(
            route("GET", "/v1_1/other/ping"),
            Err(ApiError::Unauthorized(_))
        ));
        assert!(matches!(route("GET", "/v1_1/%ff"), Err(ApiError::Bad(_))));
        let wrong_type = route("GET", "/v1_1/demo/resources/image/private/a");
        assert!(wrong_type.unwrap_err().message().contains("private"));
    }
}
