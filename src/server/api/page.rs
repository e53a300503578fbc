//! The Media Library page: its files, which are in this program, and its session.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{Method, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::body::Sender;
use super::caller::{COOKIE, Session};
use super::error::{ApiError, Result};
use super::parameters::Parameters;
use super::{Api, account, body};

/// Nothing from elsewhere, nothing inline, in nobody's frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self' data: blob:; media-src 'self'; frame-src 'self'; connect-src 'self'; \
    form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

macro_rules! files {
    ($($name:literal: $kind:literal),* $(,)?) => {
        &[$(($name, $kind, include_bytes!(concat!("../page/", $name)))),*]
    };
}

const FILES: &[(&str, &str, &[u8])] = files! {
    "index.html": "text/html; charset=utf-8",
    "page.css": "text/css; charset=utf-8",
    "api.js": "text/javascript; charset=utf-8",
    "app.js": "text/javascript; charset=utf-8",
    "backup-view.js": "text/javascript; charset=utf-8",
    "cards.js": "text/javascript; charset=utf-8",
    "comparison.js": "text/javascript; charset=utf-8",
    "details.js": "text/javascript; charset=utf-8",
    "dialogs.js": "text/javascript; charset=utf-8",
    "difference.js": "text/javascript; charset=utf-8",
    "dom.js": "text/javascript; charset=utf-8",
    "expression.js": "text/javascript; charset=utf-8",
    "format.js": "text/javascript; charset=utf-8",
    "icons.js": "text/javascript; charset=utf-8",
    "initial-backup.js": "text/javascript; charset=utf-8",
    "library.js": "text/javascript; charset=utf-8",
    "log-in.js": "text/javascript; charset=utf-8",
    "messages.js": "text/javascript; charset=utf-8",
    "preview.js": "text/javascript; charset=utf-8",
    "restoring.js": "text/javascript; charset=utf-8",
    "route.js": "text/javascript; charset=utf-8",
    "selection.js": "text/javascript; charset=utf-8",
    "status.js": "text/javascript; charset=utf-8",
    "thumbnails.js": "text/javascript; charset=utf-8",
    "uploads.js": "text/javascript; charset=utf-8",
    "vault.js": "text/javascript; charset=utf-8",
    "versions.js": "text/javascript; charset=utf-8",
};

const OPENAPI: &str = include_str!("openapi.json");

/// A file of the page.
pub(super) fn file(name: &str) -> Result<Response> {
    let found = FILES.iter().find(|(known, _, _)| *known == name);
    let (_, kind, bytes) = found.ok_or(ApiError::NoCall)?;
    let headers = [
        (header::CONTENT_TYPE, *kind),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    Ok((headers, *bytes).into_response())
}

/// What is served here, for programs.
pub(super) fn openapi(cloud_name: &str) -> Response {
    let text = OPENAPI.replace("{cloud_name}", cloud_name);
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}

/// Who is logged in; log in; log out.
pub(super) async fn session(api: &Arc<Api>, parts: &Parts, body: Body) -> Result<Response> {
    let now = api.vault.clock().now();
    match parts.method {
        Method::GET => {
            let session = api.sessions.of(&parts.headers, &api.keys, now);
            let session = session.ok_or_else(|| ApiError::Unauthorized("Log in".into()))?;
            Ok(Json(describe(api, &session)).into_response())
        }
        Method::POST => {
            let parameters: Parameters =
                body::parameters(&parts.method, None, &parts.headers, body, Sender::Stranger)
                    .await?;
            let key = parameters.required("api_key")?;
            let secret = parameters.required("api_secret")?;
            if !api.keys.is_secret_of(&key, &secret) {
                return Err(ApiError::Unauthorized(
                    "This is no key of the vault, or not its secret".into(),
                ));
            }
            let begun = api.sessions.begin(&key, now);
            let (cookie, session) = begun.map_err(|_| ApiError::Internal)?;
            let cookie = cookie_line(api, &cookie, "");
            let body = Json(describe(api, &session));
            Ok(([(header::SET_COOKIE, cookie)], body).into_response())
        }
        Method::DELETE => {
            api.proofs().log_in(&parts.method, &parts.headers)?;
            api.sessions.end(&parts.headers);
            let cookie = cookie_line(api, "", "; Max-Age=0");
            let body = Json(account::nothing());
            Ok(([(header::SET_COOKIE, cookie)], body).into_response())
        }
        _ => Err(ApiError::NoCall),
    }
}

/// For this page only; where browsers reach it by https, never without.
fn cookie_line(api: &Api, cookie: &str, rest: &str) -> String {
    let public_url = api.settings.public_url.as_deref().unwrap_or_default();
    let secure = match public_url.starts_with("https:") {
        true => "; Secure",
        false => "",
    };
    format!("{COOKIE}={cookie}; Path=/; HttpOnly; SameSite=Strict{secure}{rest}")
}

fn describe(api: &Api, session: &Session) -> serde_json::Value {
    json!({
        "cloud_name": api.cloud_name,
        "csrf_token": session.token,
        "key": session.key,
    })
}

#[cfg(test)]
#[path = "openapi_tests.rs"]
mod tests;
