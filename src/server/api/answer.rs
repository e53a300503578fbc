//! From a call to its answer: who may make it, what runs, what it looks like.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::body::Sender;
use super::delivery::{self, Content, Disposition, Outgoing};
use super::error::{ApiError, Result};
use super::formats::{ResourceType, identify};
use super::media::VersionRead;
use super::parameters::Parameters;
use super::route::Route;
use super::{Api, asset, blocking, body, page, settled, upload};

/// Answers any call.
pub(super) async fn answer(State(api): State<Arc<Api>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let answered = match Route::of(&parts.method, parts.uri.path(), &api.cloud_name) {
        Ok(route) => of_route(&api, route, &parts, body).await,
        Err(error) => Err(body::refused(error, body).await),
    };
    let mut response = answered.unwrap_or_else(IntoResponse::into_response);
    let headers = response.headers_mut();
    headers
        .entry(header::X_CONTENT_TYPE_OPTIONS)
        .or_insert(HeaderValue::from_static("nosniff"));
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    headers
        .entry(header::REFERRER_POLICY)
        .or_insert(HeaderValue::from_static("same-origin"));
    api.metrics.count(response.status().as_u16());
    response
}

async fn of_route(api: &Arc<Api>, route: Route, parts: &Parts, body: Body) -> Result<Response> {
    match route {
        Route::Page(name) => page::file(&name),
        Route::Session => page::session(api, parts, body).await,
        Route::OpenApi => Ok(page::openapi(&api.cloud_name)),
        Route::Delivery(kind, path) => deliver(api, kind, path, parts).await,
        Route::Upload(kind) => upload::upload(api, kind, parts, body).await.map(success),
        Route::DownloadBackup => download(api, parts).await,
        Route::Rename(_)
        | Route::Destroy(_)
        | Route::Explicit(_)
        | Route::Tags(_)
        | Route::Context(_) => {
            let parameters = read(parts, body, api.sender(parts)).await?;
            let key = api
                .proofs()
                .signed(&parts.method, &parts.headers, &parameters)?;
            let base = api.base_of(parts);
            settled(api, move |api| match &route {
                Route::Rename(kind) => api.rename(*kind, &parameters, &key, &base),
                Route::Destroy(kind) => api.destroy(*kind, &parameters),
                Route::Explicit(kind) => api.explicit(*kind, &parameters, &key, &base),
                Route::Tags(kind) => api.tags(*kind, &parameters),
                Route::Context(kind) => api.context(*kind, &parameters),
                _ => Err(ApiError::NoCall),
            })
            .await
            .map(success)
        }
        route => {
            let key = match api.proofs().log_in(&parts.method, &parts.headers) {
                Ok(key) => key,
                Err(error) => return Err(body::refused(error, body).await),
            };
            let parameters = read(parts, body, Sender::Known).await?;
            let call = Call {
                route,
                parameters,
                key,
                base: api.base_of(parts),
                method: parts.method.clone(),
            };
            let answer = match call.is_about_assets() {
                true => settled(api, move |api| call.run(api)).await?,
                false => blocking(api, move |api| call.run(api)).await?,
            };
            Ok(with_limits(api, answer))
        }
    }
}

async fn read(parts: &Parts, body: Body, sender: Sender) -> Result<Parameters> {
    let query = parts.uri.query();
    body::parameters(&parts.method, query, &parts.headers, body, sender).await
}

/// A call by somebody who logged in.
struct Call {
    route: Route,
    parameters: Parameters,
    key: String,
    base: String,
    method: Method,
}

impl Call {
    /// False where the mount need not be asked: who watches the vault is answered even when
    /// it is busy.
    fn is_about_assets(&self) -> bool {
        !matches!(
            self.route,
            Route::Ping
                | Route::Config
                | Route::Metrics
                | Route::ResourceTypes
                | Route::BackupStatus
                | Route::BackupSettings
                | Route::StartInitialBackup
                | Route::InitialBackups
                | Route::InitialBackup(_)
        )
    }

    fn run(self, api: &Arc<Api>) -> Result<Response> {
        let (parameters, base) = (&self.parameters, self.base.as_str());
        let value = match &self.route {
            Route::Ping => json!({ "status": "ok" }),
            Route::Usage(day) => api.usage(day.as_deref())?,
            Route::Config => api.config(),
            Route::Metrics => {
                let text = api.metrics()?;
                let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4")];
                return Ok((kind, text).into_response());
            }
            Route::Search => api.search(parameters, base)?,
            Route::ResourceTypes => {
                json!({ "resource_types": ResourceType::ALL.map(ResourceType::as_str) })
            }
            Route::List(kind) => api.list(*kind, parameters, base)?,
            Route::ListByTag(kind, tag) => api.list_by_tag(*kind, tag, parameters, base)?,
            Route::ListByAssetIds => api.list_by_asset_ids(parameters, base)?,
            Route::Resource(kind, public_id) => api.resource(*kind, public_id, parameters, base)?,
            Route::ResourceByAssetId(asset_id) => {
                api.details(&api.by_asset_id(asset_id)?, parameters, base)?
            }
            Route::Update(kind, public_id) => api.update(*kind, public_id, parameters, base)?,
            Route::DeleteResources(kind) => api.delete(*kind, parameters)?,
            Route::DeleteByTag(kind, tag) => api.delete_by_tag(*kind, tag, parameters)?,
            Route::DeleteByAssetIds => api.delete_by_asset_ids(parameters)?,
            Route::Restore(kind) => api.restore(*kind, parameters, &self.key, base)?,
            Route::RestoreByAssetIds => api.restore_by_asset_ids(parameters, &self.key, base)?,
            Route::DeleteVersions(asset_id) => api.delete_versions(asset_id, parameters)?,
            Route::AssetBackup(asset_id) => {
                let asset = api.by_asset_id(asset_id)?;
                match self.method == Method::GET {
                    true => Value::Object(api.backup_of(&asset)?),
                    false => api.set_override(&asset, parameters)?,
                }
            }
            Route::Folders(path) => {
                let asked = parameters.text("path");
                api.folders(asked.as_deref().unwrap_or(path), parameters)?
            }
            Route::FindFolders => api.find_folders(parameters)?,
            Route::BackupStatus => api.backup_status()?,
            Route::BackupSettings => match self.method == Method::GET {
                true => api.backup_settings(),
                false => api.set_backup(parameters)?,
            },
            Route::StartInitialBackup => api.start_initial_backup(parameters, &self.key)?,
            Route::InitialBackups => api.initial_backups(parameters)?,
            Route::InitialBackup(id) => api.initial_backup(id)?,
            // Answered before anybody logs in.
            Route::Page(_)
            | Route::Session
            | Route::OpenApi
            | Route::Delivery(..)
            | Route::Upload(_)
            | Route::DownloadBackup
            | Route::Rename(_)
            | Route::Destroy(_)
            | Route::Explicit(_)
            | Route::Tags(_)
            | Route::Context(_) => return Err(ApiError::NoCall),
        };
        Ok(success(value))
    }
}

fn success(body: Value) -> Response {
    Json(body).into_response()
}

/// There is no limit; the SDKs' own programs compute with the numbers.
fn with_limits(api: &Api, mut response: Response) -> Response {
    let (seconds, _) = api.vault.clock().now().parts();
    let reset = jiff::Timestamp::from_second(seconds.saturating_add(3600));
    let reset = reset.map(|time| time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string());
    for (name, value) in [
        ("x-featureratelimit-limit", "1000000".to_owned()),
        ("x-featureratelimit-remaining", "999999".to_owned()),
        ("x-featureratelimit-reset", reset.unwrap_or_default()),
    ] {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// The original of a live asset.
async fn deliver(
    api: &Arc<Api>,
    kind: ResourceType,
    path: String,
    parts: &Parts,
) -> Result<Response> {
    let is_known = api.proofs().log_in(&Method::GET, &parts.headers).is_ok();
    let (method, headers) = (parts.method.clone(), parts.headers.clone());
    blocking(api, move |api| {
        let missing = || ApiError::not_found(&path);
        if identify(&path).resource_type != kind && kind != ResourceType::Raw {
            return Err(missing());
        }
        let id = asset::path_of(&path)?;
        let live = api.vault.live();
        let file = match is_known {
            true => live.open_file(&id).map_err(|_| missing())?,
            false => {
                let opened = live.open_file_for_everybody(&id);
                opened
                    .map_err(|_| missing())?
                    .ok_or_else(delivery::private)?
            }
        };
        // Of the file that was opened, and not of one that took its name meanwhile.
        let opened = file.metadata().map_err(|_| missing())?;
        if !opened.is_file() {
            return Err(missing());
        }
        use std::os::unix::fs::MetadataExt;
        let etag = format!(
            "{:x}-{:x}-{:x}{:09x}",
            opened.ino(),
            opened.size(),
            opened.ctime(),
            opened.ctime_nsec()
        );
        delivery::send(
            &method,
            &headers,
            Outgoing {
                content: Content::File(file),
                size: opened.size(),
                etag,
                path: &path,
                disposition: Disposition::Inline,
            },
        )
    })
    .await
}

/// A version, by a signed address or for somebody who logged in.
async fn download(api: &Arc<Api>, parts: &Parts) -> Result<Response> {
    let parameters = Parameters::from_form(parts.uri.query().unwrap_or_default().as_bytes())?;
    for name in ["asset_id", "version_id"] {
        parameters.required(name)?;
    }
    api.proofs()
        .signed(&parts.method, &parts.headers, &parameters)?;
    let disposition = match parameters.text("disposition").as_deref() {
        Some("inline") => Disposition::Inline,
        _ => Disposition::Attachment,
    };
    let (method, headers) = (parts.method.clone(), parts.headers.clone());
    settled(api, move |api| {
        let (asset, version) = api.find_download(&parameters)?;
        let reader = api.vault.read_version(version.seq)?;
        delivery::send(
            &method,
            &headers,
            Outgoing {
                size: reader.size(),
                content: Content::Version(VersionRead { reader, offset: 0 }),
                etag: version.id.to_string(),
                path: &String::from_utf8_lossy(asset.id.as_bytes()),
                disposition,
            },
        )
    })
    .await
}
