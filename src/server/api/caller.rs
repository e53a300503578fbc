//! Who calls, and the proof of it: user name and password, the page's session, or a
//! signature.
//!
//! The surprise: a session is proved by its cookie, which a browser sends along whoever
//! made the call; so what changes something also needs the token that only our page has.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::http::{HeaderMap, Method};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use subtle::ConstantTimeEq;

use super::error::{ApiError, Result};
use super::keys::{Keys, random};
use super::parameters::Parameters;
use super::signature;
use crate::model::{Clock, Timestamp};

/// The cookie of the page.
pub(super) const COOKIE: &str = "keepfs_session";
/// The header in which the page proves that a change is its own.
pub(super) const TOKEN_HEADER: &str = "x-csrf-token";

/// A session that nobody used for so long is over.
const IDLE_MAX: Duration = Duration::from_secs(12 * 60 * 60);
const SESSIONS_MAX: usize = 1000;

/// Who is logged in on the page.
#[derive(Debug, Clone)]
pub(super) struct Session {
    pub key: String,
    pub token: String,
    used_at: Timestamp,
}

/// The page's sessions. They end with the server.
#[derive(Debug, Default)]
pub(super) struct Sessions(Mutex<HashMap<String, Session>>);

impl Sessions {
    /// Begins a session; returns its cookie.
    pub(super) fn begin(&self, key: &str, now: Timestamp) -> std::io::Result<(String, Session)> {
        let cookie = signature::hex(&random::<32>()?);
        let session = Session {
            key: key.to_owned(),
            token: signature::hex(&random::<32>()?),
            used_at: now,
        };
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.retain(|_, session| now.since(session.used_at) < IDLE_MAX);
        if sessions.len() >= SESSIONS_MAX {
            let oldest = sessions.iter().min_by_key(|(_, session)| session.used_at);
            if let Some(oldest) = oldest.map(|(cookie, _)| cookie.clone()) {
                sessions.remove(&oldest);
            }
        }
        sessions.insert(cookie.clone(), session.clone());
        Ok((cookie, session))
    }

    pub(super) fn end(&self, headers: &HeaderMap) {
        if let Some(cookie) = cookie(headers) {
            let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            sessions.remove(&cookie);
        }
    }

    /// The session of a call. `None`: it has none that is still good.
    pub(super) fn of(&self, headers: &HeaderMap, keys: &Keys, now: Timestamp) -> Option<Session> {
        let cookie = cookie(headers)?;
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let session = sessions.get_mut(&cookie)?;
        if now.since(session.used_at) >= IDLE_MAX || !keys.has(&session.key) {
            sessions.remove(&cookie);
            return None;
        }
        session.used_at = now;
        Some(session.clone())
    }
}

/// What proofs are compared with.
pub(super) struct Proofs<'a> {
    pub keys: &'a Keys,
    pub sessions: &'a Sessions,
    pub clock: &'a dyn Clock,
}

impl Proofs<'_> {
    /// The key of whoever calls with a user name and password, or from the page.
    ///
    /// # Errors
    /// `Unauthorized`, and `Forbidden` for a change from another page.
    pub(super) fn log_in(&self, method: &Method, headers: &HeaderMap) -> Result<String> {
        if let Some((key, secret)) = basic(headers) {
            return match self.keys.is_secret_of(&key, &secret) {
                true => Ok(key),
                false => Err(unknown()),
            };
        }
        let session = self
            .sessions
            .of(headers, self.keys, self.clock.now())
            .ok_or_else(unknown)?;
        if method != Method::GET && method != Method::HEAD {
            let sent = headers.get(TOKEN_HEADER).map(|value| value.as_bytes());
            let is_own = sent.is_some_and(|sent| session.token.as_bytes().ct_eq(sent).into());
            if !is_own {
                return Err(ApiError::Forbidden(
                    "This change did not come from the page: reload it and try again".into(),
                ));
            }
        }
        Ok(session.key)
    }

    /// The key that a call is signed with, or of whoever logged in.
    ///
    /// # Errors
    /// `Unauthorized`, and `Bad` for one that was signed too long ago.
    pub(super) fn signed(
        &self,
        method: &Method,
        headers: &HeaderMap,
        parameters: &Parameters,
    ) -> Result<String> {
        let Some(signature) = parameters.text("signature") else {
            let key = self.log_in(method, headers);
            return key.map_err(|error| match error {
                ApiError::Unauthorized(_) => ApiError::Unauthorized(
                    "Missing required parameter - signature, and no user name and password".into(),
                ),
                error => error,
            });
        };
        // A signature is over fields. Whoever has a signed address, which is there to be handed
        // on, could otherwise put anything else beside it.
        if parameters.has_json() {
            return Err(ApiError::bad(
                "A signed call sends its parameters as a form, not as JSON",
            ));
        }
        let key = parameters.required("api_key")?;
        let wrong = || {
            ApiError::Unauthorized(format!(
                "Invalid Signature {signature}. String to sign - '{}'.",
                signature::shown(parameters.fields())
            ))
        };
        let Some(secret) = self.keys.signing_secret(&key) else {
            return Err(match self.keys.has(&key) {
                true => ApiError::Unauthorized(
                    "This api_key only logs in: make one that signs with keepfs api-key create"
                        .into(),
                ),
                false => ApiError::Unauthorized("unknown api_key".into()),
            });
        };
        if !signature::is_valid(parameters.fields(), &signature, &secret) {
            return Err(wrong());
        }
        // After the signature: strangers learn nothing from the clock.
        signature::check_age(parameters.text("timestamp").as_deref(), self.clock.now())?;
        Ok(key)
    }
}

fn unknown() -> ApiError {
    ApiError::Unauthorized("Invalid credentials: unknown api_key, or not its api_secret".into())
}

fn basic(headers: &HeaderMap) -> Option<(String, String)> {
    let header = headers.get("authorization")?.to_str().ok()?;
    let (scheme, encoded) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let plain = BASE64_STANDARD.decode(encoded.trim()).ok()?;
    let plain = String::from_utf8(plain).ok()?;
    let (key, secret) = plain.split_once(':')?;
    Some((key.to_owned(), secret.to_owned()))
}

fn cookie(headers: &HeaderMap) -> Option<String> {
    let cookies = headers.get_all("cookie").iter();
    let mut pairs = cookies
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'));
    pairs.find_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        (name == COOKIE).then(|| value.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::super::keys::KeyUse;
    use super::*;
    use crate::model::ManualClock;

    fn with(name: &'static str, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(
            axum::http::HeaderName::from_static(name),
            HeaderValue::from_str(value).unwrap(),
        )])
    }

    /// What proofs are compared with, 1,000 seconds into the epoch.
    struct Desk {
        keys: Keys,
        sessions: Sessions,
        clock: ManualClock,
        _directory: tempfile::TempDir,
    }

    impl Desk {
        fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            Self {
                keys: Keys::of(directory.path()),
                sessions: Sessions::default(),
                clock: ManualClock::at_seconds(1_000),
                _directory: directory,
            }
        }

        fn proofs(&self) -> Proofs<'_> {
            Proofs {
                keys: &self.keys,
                sessions: &self.sessions,
                clock: &self.clock,
            }
        }
    }

    #[test]
    fn a_session_reads_by_its_cookie_and_changes_only_with_its_token() {
        let desk = Desk::new();
        let (keys, clock, sessions) = (&desk.keys, &desk.clock, &desk.sessions);
        let (row, secret) = keys.create("p", KeyUse::LogIn, String::new()).unwrap();
        let proofs = desk.proofs();
        let encoded = BASE64_STANDARD.encode(format!("{}:{secret}", row.key));
        let basic = with("authorization", &format!("Basic {encoded}"));
        assert_eq!(proofs.log_in(&Method::POST, &basic).unwrap(), row.key);

        let (cookie, session) = sessions.begin(&row.key, clock.now()).unwrap();
        let mut headers = with("cookie", &format!("a=b; {COOKIE}={cookie}"));
        assert!(proofs.log_in(&Method::GET, &headers).is_ok());
        let refused = proofs.log_in(&Method::DELETE, &headers).unwrap_err();
        assert!(matches!(refused, ApiError::Forbidden(_)));
        headers.insert(TOKEN_HEADER, HeaderValue::from_str(&session.token).unwrap());
        assert!(proofs.log_in(&Method::DELETE, &headers).is_ok());

        keys.revoke("p").unwrap();
        assert!(proofs.log_in(&Method::GET, &headers).is_err(), "revoked");
    }

    #[test]
    fn a_signed_address_is_good_for_an_hour_and_for_nothing_beside_it() {
        let desk = Desk::new();
        let (row, secret) = desk
            .keys
            .create("p", KeyUse::Signing, String::new())
            .unwrap();
        let (clock, proofs) = (&desk.clock, desk.proofs());
        let text = format!("asset_id=a&timestamp=1000&version_id=v{secret}");
        let signature = {
            use sha1::{Digest, Sha1};
            signature::hex(&Sha1::digest(text.as_bytes()))
        };
        let query = format!(
            "asset_id=a&version_id=v&timestamp=1000&signature={signature}&api_key={}",
            row.key
        );
        let address = || Parameters::from_form(query.as_bytes()).unwrap();
        let ask =
            |parameters: &Parameters| proofs.signed(&Method::GET, &HeaderMap::new(), parameters);
        clock.advance(std::time::Duration::from_secs(3_600));
        assert_eq!(ask(&address()).unwrap(), row.key);
        let mut with_more = address();
        with_more.merge(Parameters::from_json(br#"{"public_id":"x"}"#).unwrap());
        assert!(matches!(ask(&with_more), Err(ApiError::Bad(_))));
        let more = format!("{query}&public_id=x");
        let with_more = Parameters::from_form(more.as_bytes()).unwrap();
        assert!(matches!(ask(&with_more), Err(ApiError::Unauthorized(_))));
        clock.advance(std::time::Duration::from_secs(1));
        let stale = ask(&address()).unwrap_err();
        assert!(stale.message().contains("1 hour ago"), "{stale:?}");
    }

    #[test]
    fn nobody_gets_in_without_a_proof() {
        let desk = Desk::new();
        let proofs = desk.proofs();
        for headers in [
            HeaderMap::new(),
            with("authorization", "Basic !!!"),
            with("authorization", "Bearer x"),
            with("cookie", "keepfs_session=x"),
        ] {
            let refused = proofs.log_in(&Method::GET, &headers).unwrap_err();
            assert!(matches!(refused, ApiError::Unauthorized(_)));
        }
        let unsigned = Parameters::from_form(b"public_id=a").unwrap();
        let refused = proofs.signed(&Method::POST, &HeaderMap::new(), &unsigned);
        assert!(refused.unwrap_err().message().contains("signature"));
    }
}
