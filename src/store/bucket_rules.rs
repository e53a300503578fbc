//! What a bucket does by itself: rules of its owner's that harm a backup.
//!
//! A rule that expires or moves objects takes versions away; object versions and locks
//! keep what was deleted for good. Such rules are looked at and never changed. The
//! surprise: not to be let look is no harm, most keys for a backup do not allow it.

use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use http::StatusCode;
use http::header::AUTHORIZATION;
use http_body_util::{BodyExt, Limited};
use object_store::ClientOptions;
use object_store::aws::{AwsAuthorizer, AwsCredentialProvider};
use object_store::client::{
    HttpClient, HttpConnector, HttpRequest, HttpRequestBody, ReqwestConnector,
};
use object_store::gcp::GcpCredentialProvider;

use super::backend::runtime;
use super::bucket;
use super::{Shared, Store};
use crate::model::{BucketPlace, StorePlace};

const PATIENCE: Duration = Duration::from_secs(5);
/// More than any answer has that is worth reading.
const ANSWER_BYTES_MAX: usize = 256 << 10;

const EXPIRES: &str = "a life-cycle rule of the bucket removes or moves objects: if it covers what \
                       keepfs wrote, versions will be lost; take it off, or limit it to other prefixes";
const VERSIONED: &str = "the bucket keeps old object versions: what purge, delete-version and prune remove stays \
                         there and is paid for; turn versioning off, or expire noncurrent versions";
const LOCKED: &str = "the bucket locks objects against deletion: what purge, delete-version and prune remove \
                      may stay there until the lock ends";

impl Store {
    /// What the bucket does by itself that harms a backup, in a line each, as far as
    /// [`look_at_bucket`](Self::look_at_bucket) saw it.
    pub fn warnings(&self) -> Vec<String> {
        warnings(&self.shared).clone()
    }

    /// Asks the bucket for its rules, which takes some requests, and warns in the log of
    /// those that harm a backup. Of a directory nothing is asked.
    pub fn look_at_bucket(&self) {
        look(&self.shared);
    }
}

/// Asks the bucket that the packs are in now.
pub(super) fn look(shared: &Shared) {
    let seen = match &shared.backend().place {
        StorePlace::Bucket(place) => harms(place),
        StorePlace::Directory(_) => Vec::new(),
    };
    for harm in &seen {
        log::warn!("{}: {harm}", shared.backend().place);
    }
    *warnings(shared) = seen;
}

fn warnings(shared: &Shared) -> MutexGuard<'_, Vec<String>> {
    let warnings = shared.warnings.lock();
    warnings.unwrap_or_else(PoisonError::into_inner)
}

/// The rules of a bucket that harm a backup, in a line each; those that cannot be seen are
/// not among them.
pub fn harms(place: &BucketPlace) -> Vec<String> {
    let looked = runtime().and_then(|runtime| {
        let options = bucket::client_options().with_timeout(PATIENCE);
        let allow_http = place
            .endpoint
            .as_ref()
            .is_some_and(|url| url.starts_with("http://"));
        let asked = Asked {
            client: ReqwestConnector::default()
                .connect(&ClientOptions::with_allow_http(options, allow_http))
                .map_err(|error| bucket::refused("connecting", error))?,
        };
        Ok(runtime.block_on(asked.harms(place)))
    });
    match looked {
        Ok(Some(harms)) => harms.into_iter().map(Into::into).collect(),
        Ok(None) => Vec::new(),
        Err(error) => {
            log::debug!("the rules of the bucket are not seen: {error}");
            Vec::new()
        }
    }
}

/// Who answers questions about a bucket.
struct Asked {
    client: HttpClient,
}

impl Asked {
    /// `None`: nothing can be seen.
    async fn harms(&self, place: &BucketPlace) -> Option<Vec<&'static str>> {
        match bucket::administration(place)? {
            Administration::S3 {
                url,
                region,
                credentials,
            } => {
                let mut harms = Vec::new();
                for (question, harm) in [
                    ("lifecycle", EXPIRES),
                    ("versioning", VERSIONED),
                    ("object-lock", LOCKED),
                ] {
                    let request = question_to(&format!("{url}?{question}"))?;
                    let answer = self.ask_s3(request, &region, &credentials).await;
                    let is_harmed = answer.is_some_and(|answer| s3_harms(question, &answer));
                    harms.extend(is_harmed.then_some(harm));
                }
                Some(harms)
            }
            Administration::Google { url, credentials } => {
                let mut request = question_to(&format!(
                    "{url}?fields=lifecycle,versioning,retentionPolicy"
                ))?;
                let token = credentials.get_credential().await.ok()?;
                let bearer = format!("Bearer {}", token.bearer).parse().ok()?;
                request.headers_mut().insert(AUTHORIZATION, bearer);
                Some(google_harms(&self.ask(request).await?))
            }
        }
    }

    async fn ask_s3(
        &self,
        mut request: HttpRequest,
        region: &str,
        credentials: &AwsCredentialProvider,
    ) -> Option<String> {
        let credential = credentials.get_credential().await.ok()?;
        AwsAuthorizer::new(&credential, "s3", region)
            .try_authorize(&mut request, None)
            .ok()?;
        self.ask(request).await
    }

    async fn ask(&self, request: HttpRequest) -> Option<String> {
        let response = self.client.execute(request).await.ok()?;
        if response.status() != StatusCode::OK {
            return None;
        }
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX);
        let bytes = body.collect().await.ok()?.to_bytes();
        String::from_utf8(bytes.into()).ok()
    }
}

/// Where a bucket's rules are asked for, and as whom.
pub(super) enum Administration {
    /// By the S3 protocol. The URL is the bucket's.
    S3 {
        url: String,
        region: String,
        credentials: AwsCredentialProvider,
    },
    /// By Google's JSON. The URL is the bucket's.
    Google {
        url: String,
        credentials: GcpCredentialProvider,
    },
}

fn question_to(url: &str) -> Option<HttpRequest> {
    http::Request::get(url).body(HttpRequestBody::empty()).ok()
}

/// Whether an S3 answer tells of something harmful. The elements are those of the API
/// reference (GetBucketLifecycleConfiguration, GetBucketVersioning,
/// GetObjectLockConfiguration).
fn s3_harms(question: &str, answer: &str) -> bool {
    let has = |part: &str| answer.contains(part);
    match question {
        "lifecycle" => {
            has("<Status>Enabled</Status>") && (has("<Expiration>") || has("<Transition>"))
        }
        "versioning" => has("<Status>Enabled</Status>"),
        _ => has("<ObjectLockEnabled>Enabled</ObjectLockEnabled>") && has("<DefaultRetention>"),
    }
}

/// The same for the bucket resource of Google's JSON API.
fn google_harms(answer: &str) -> Vec<&'static str> {
    let Ok(bucket) = serde_json::from_str::<serde_json::Value>(answer) else {
        return Vec::new();
    };
    let rules = bucket["lifecycle"]["rule"].as_array();
    let is_harmful = |rule: &serde_json::Value| {
        matches!(
            rule["action"]["type"].as_str(),
            Some("Delete" | "SetStorageClass")
        ) && rule["condition"]["isLive"].as_bool() != Some(false)
    };
    let expires = rules.is_some_and(|rules| rules.iter().any(is_harmful));
    let versioned = bucket["versioning"]["enabled"].as_bool() == Some(true);
    let locked = bucket["retentionPolicy"].is_object();
    [(expires, EXPIRES), (versioned, VERSIONED), (locked, LOCKED)]
        .into_iter()
        .filter_map(|(is_so, harm)| is_so.then_some(harm))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;

    const EXPIRING: &str = "<LifecycleConfiguration><Rule><Status>Enabled</Status>\
                            <Expiration><Days>30</Days></Expiration></Rule></LifecycleConfiguration>";
    const ABORTING: &str = "<LifecycleConfiguration><Rule><Status>Enabled</Status>\
                            <AbortIncompleteMultipartUpload><DaysAfterInitiation>7\
                            </DaysAfterInitiation></AbortIncompleteMultipartUpload></Rule>\
                            </LifecycleConfiguration>";

    /// A server that answers the questions about a bucket, and nothing else.
    fn server(answers: &'static [(&'static str, &'static str)]) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut head = Vec::new();
                let mut byte = [0];
                while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
                    head.push(byte[0]);
                }
                let head = String::from_utf8_lossy(&head).into_owned();
                let found = answers.iter().find(|(part, _)| head.contains(part));
                let (status, body) = match found {
                    Some((_, body)) => ("200 OK", *body),
                    None => ("403 Forbidden", ""),
                };
                let length = body.len();
                let _ = write!(
                    stream,
                    "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
                );
            }
        });
        port
    }

    fn harms_at(scheme: &str, port: u16) -> Vec<String> {
        let url = format!("{scheme}://bucket/prefix?endpoint=http://127.0.0.1:{port}");
        match StorePlace::parse(&url).unwrap() {
            StorePlace::Bucket(place) => harms(&place),
            StorePlace::Directory(_) => unreachable!(),
        }
    }

    #[test]
    fn rules_that_harm_a_backup_are_seen_and_others_are_not() {
        assert!(s3_harms("lifecycle", EXPIRING));
        assert!(!s3_harms("lifecycle", ABORTING));
        assert!(!s3_harms("versioning", "<VersioningConfiguration/>"));
        let noncurrent = r#"{"lifecycle": {"rule": [{"action": {"type": "Delete"},
                             "condition": {"isLive": false, "age": 3}}]}}"#;
        assert_eq!(google_harms(noncurrent), [""; 0]);
        assert_eq!(google_harms("no JSON"), [""; 0]);
    }

    #[test]
    fn a_google_bucket_is_asked_by_its_own_api() {
        let port = server(&[(
            "/storage/v1/b/bucket?fields=",
            r#"{"lifecycle": {"rule": [{"action": {"type": "Delete"}, "condition": {"age": 3}}]},
                "versioning": {"enabled": true}, "retentionPolicy": {"retentionPeriod": "60"}}"#,
        )]);
        assert_eq!(harms_at("gs", port), [EXPIRES, VERSIONED, LOCKED]);
    }
}
