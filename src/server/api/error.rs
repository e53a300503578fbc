//! What the API refuses, and the one table that turns it into an HTTP status.
//!
//! The official SDKs hand a message on only with the statuses that they know: the upload
//! side none but 400, 401, 404, 420, 429 and 500. So most refusals are 400. The surprise:
//! messages are for whoever called, who may be far away: no path of this machine is in them.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::catalog::CatalogError;
use crate::model::{LabelError, PathError};
use crate::store::StoreError;
use crate::vault::VaultError;

/// The API's result.
pub(super) type Result<T> = std::result::Result<T, ApiError>;

/// Why a call failed.
#[derive(Debug)]
pub(super) enum ApiError {
    /// What was sent makes no sense, or the rules refuse it.
    Bad(String),
    /// Nobody we know, or no valid proof of it.
    Unauthorized(String),
    /// Known, but not allowed.
    Forbidden(String),
    /// No such thing.
    NotFound(String),
    /// There is no such call, or not with that method.
    NoCall,
    /// Too many calls of a kind at once.
    Busy(String),
    /// The server's disk has no room.
    Full,
    /// Ours to mend; the log says more.
    Internal,
}

impl ApiError {
    pub(super) fn bad(message: impl Into<String>) -> Self {
        ApiError::Bad(message.into())
    }

    pub(super) fn not_found(public_id: &str) -> Self {
        ApiError::NotFound(format!("Resource not found - {public_id}"))
    }

    pub(super) fn status(&self) -> StatusCode {
        match self {
            ApiError::Bad(_) => StatusCode::BAD_REQUEST,
            ApiError::Unauthorized(_) => StatusCode::UNAUTHORIZED,
            ApiError::Forbidden(_) => StatusCode::FORBIDDEN,
            ApiError::NotFound(_) | ApiError::NoCall => StatusCode::NOT_FOUND,
            ApiError::Busy(_) => StatusCode::TOO_MANY_REQUESTS,
            // The SDKs know no 507.
            ApiError::Full | ApiError::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    pub(super) fn message(&self) -> &str {
        match self {
            ApiError::Bad(message)
            | ApiError::Unauthorized(message)
            | ApiError::Forbidden(message)
            | ApiError::NotFound(message)
            | ApiError::Busy(message) => message,
            ApiError::NoCall => "There is no such call; see /openapi.json",
            ApiError::Full => {
                "The server's disk is full: nothing was changed; try again when it has room"
            }
            ApiError::Internal => "General error: the server could not do it; its log says why",
        }
    }

    fn internal(error: &dyn std::fmt::Display) -> Self {
        log::error!("API: {error}");
        ApiError::Internal
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = Json(json!({ "error": { "message": self.message() } }));
        let mut response = (self.status(), body).into_response();
        if let ApiError::Unauthorized(_) = self {
            // No browser knows the scheme, so none asks for a password over our page.
            let realm = axum::http::HeaderValue::from_static("ApiKey realm=\"keepfs\"");
            response.headers_mut().insert("www-authenticate", realm);
        }
        response
    }
}

impl From<VaultError> for ApiError {
    fn from(error: VaultError) -> Self {
        match &error {
            VaultError::NotFound { path, .. } => ApiError::not_found(&path.to_string()),
            VaultError::NameReserved { path } => ApiError::Bad(format!(
                "to_public_id {path} belongs to a deleted asset: restore it, or upload to it to continue its history"
            )),
            VaultError::AlreadyExists { path } => ApiError::Bad(format!(
                "to_public_id {path} already exists; set overwrite to replace it"
            )),
            VaultError::BeingWritten { path } => ApiError::Bad(format!(
                "{path}: a program has it open for writing; try again when it is closed"
            )),
            VaultError::NotItsPlace { .. }
            | VaultError::AmbiguousVersion { .. }
            | VaultError::WrongKind { .. }
            | VaultError::BadId(_)
            | VaultError::BadPath(_) => ApiError::Bad(error.to_string()),
            VaultError::Io { context, error: io } => of_io(context, io),
            VaultError::BytesShared => ApiError::Busy(error.to_string()),
            VaultError::ClockBehind { .. }
            | VaultError::ClockAhead { .. }
            | VaultError::ClocksDisagree { .. }
            | VaultError::BadVault { .. }
            | VaultError::Config(_)
            | VaultError::InUse { .. }
            | VaultError::StoreBlocked { .. }
            | VaultError::Unreadable { .. }
            | VaultError::NotInTime { .. }
            | VaultError::NotRemoved(_)
            | VaultError::Store(_) => ApiError::internal(&error),
            VaultError::Catalog(error) => of_catalog(error),
        }
    }
}

/// What the live tree answered about a name that the caller chose is the caller's to mend.
pub(super) fn of_io(context: &str, error: &std::io::Error) -> ApiError {
    let problem = match error.raw_os_error() {
        Some(libc::ENOTDIR) => "a file is where a folder would be",
        Some(libc::EISDIR) => "a folder of that name is in the way",
        Some(libc::EEXIST) => "the name is taken, or belongs to a deleted asset",
        Some(libc::ENAMETOOLONG) => "the name is too long",
        Some(libc::ENOENT) => "it is not there any more",
        Some(libc::ELOOP) => "there is a symbolic link on the way",
        Some(libc::ENOSPC | libc::EDQUOT) => {
            log::error!("API: {context}: {error}");
            return ApiError::Full;
        }
        _ => return ApiError::internal(&format!("{context}: {error}")),
    };
    ApiError::Bad(format!("{context}: {problem}"))
}

impl From<CatalogError> for ApiError {
    fn from(error: CatalogError) -> Self {
        of_catalog(&error)
    }
}

fn of_catalog(error: &CatalogError) -> ApiError {
    let internal = ApiError::internal(error);
    match error {
        CatalogError::Full => ApiError::Full,
        _ => internal,
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        ApiError::internal(&error)
    }
}

impl From<PathError> for ApiError {
    fn from(error: PathError) -> Self {
        ApiError::Bad(format!("Invalid public_id: {error}"))
    }
}

impl From<LabelError> for ApiError {
    fn from(error: LabelError) -> Self {
        ApiError::Bad(error.to_string())
    }
}
