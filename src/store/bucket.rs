//! A bucket as an object store: addresses, credentials, patience.
//!
//! Knows the three clouds and nothing of packs. Credentials come from where the
//! clouds' own tools look: the environment, profile files, the machine's role. The
//! surprise: connecting asks nobody; the first request does.

use std::env;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzure, MicrosoftAzureBuilder};
use object_store::gcp::{GcpCredential, GoogleCloudStorageBuilder};
use object_store::limit::LimitStore;
use object_store::path::Path as ObjectPath;
use object_store::prefix::PrefixStore;
use object_store::{
    BackoffConfig, ClientOptions, ObjectStore, RetryConfig, StaticCredentialProvider,
};

use super::azure::AzureEnvironment;
use super::backend::is_full;
use super::bucket_rules::Administration;
use super::error::{Result, StoreError};
use super::profile::AwsProfile;
use super::refusal;
use super::wire::Wire;
use crate::model::{BucketPlace, Cloud, StorePlace};

/// Requests under way at once, of all kinds.
const REQUESTS_AT_ONCE: usize = 16;
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);

/// How long an operation is tried again before its caller hears of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Patience {
    /// Somebody waits for a first answer.
    Brief,
    /// It must succeed if it can.
    Long,
}

/// The vault's part of a bucket.
pub(super) fn connect(place: &BucketPlace) -> Result<Arc<dyn ObjectStore>> {
    let whole = connect_whole(place, Patience::Long)?;
    Ok(Arc::new(PrefixStore::new(
        whole,
        ObjectPath::from(place.prefix.as_str()),
    )))
}

/// The bucket from its root.
pub(super) fn connect_whole(
    place: &BucketPlace,
    patience: Patience,
) -> Result<Arc<dyn ObjectStore>> {
    let bad = |reason: String| StoreError::BadPlace {
        place: place.to_string(),
        reason: refusal::line(&reason),
    };
    let client: Arc<dyn ObjectStore> = match place.cloud {
        Cloud::S3 => Arc::new(s3(place, patience).map_err(bad)?),
        Cloud::Google => Arc::new(google(place, patience).map_err(|error| bad(error.to_string()))?),
        Cloud::Azure => Arc::new(azure(place, patience).map_err(bad)?),
    };
    Ok(Arc::new(LimitStore::new(client, REQUESTS_AT_ONCE)))
}

fn s3(place: &BucketPlace, patience: Patience) -> std::result::Result<AmazonS3, String> {
    s3_builder(place, patience)?
        .build()
        .map_err(|error| error.to_string())
}

/// Where the rules of a bucket are asked for. `None`: not known for this cloud, or the
/// bucket cannot be addressed.
pub(super) fn administration(place: &BucketPlace) -> Option<Administration> {
    let bucket = &place.bucket;
    match place.cloud {
        Cloud::S3 => {
            let builder = s3_builder(place, Patience::Brief).ok()?;
            let set = |key| builder.get_config_value(&key);
            let region = set(AmazonS3ConfigKey::Region).unwrap_or_else(|| "us-east-1".into());
            let server = set(AmazonS3ConfigKey::Endpoint)
                .unwrap_or_else(|| format!("https://s3.{region}.amazonaws.com"));
            Some(Administration::S3 {
                url: format!("{}/{bucket}", server.trim_end_matches('/')),
                region,
                credentials: builder.build().ok()?.credentials().clone(),
            })
        }
        Cloud::Google => {
            let endpoint = place.endpoint.as_deref();
            let server = endpoint.unwrap_or("https://storage.googleapis.com");
            Some(Administration::Google {
                url: format!("{}/storage/v1/b/{bucket}", server.trim_end_matches('/')),
                credentials: google(place, Patience::Brief).ok()?.credentials().clone(),
            })
        }
        Cloud::Azure => None,
    }
}

fn s3_builder(
    place: &BucketPlace,
    patience: Patience,
) -> std::result::Result<AmazonS3Builder, String> {
    let mut builder = AmazonS3Builder::from_env()
        .with_bucket_name(&place.bucket)
        // Objects go one at a time here: a refusal then has its status, and servers that
        // know no `DeleteObjects` will do.
        .with_disable_bulk_delete(true)
        .with_retry(retries(patience))
        .with_http_connector(Wire::new())
        .with_client_options(client_options());
    let profile = AwsProfile::of_environment()?;
    let has_keys = builder
        .get_config_value(&AmazonS3ConfigKey::AccessKeyId)
        .is_some();
    if let Some(refusal) = profile.elsewhere.filter(|_| !has_keys) {
        return Err(refusal);
    }
    if let Some((key, secret)) = profile.keys.filter(|_| !has_keys) {
        builder = builder
            .with_access_key_id(key)
            .with_secret_access_key(secret);
        if let Some(token) = profile.session_token {
            builder = builder.with_token(token);
        }
    }
    let region = place.region.clone().or_else(|| {
        let is_set = builder
            .get_config_value(&AmazonS3ConfigKey::Region)
            .is_some();
        profile.region.filter(|_| !is_set)
    });
    if let Some(region) = region {
        builder = builder.with_region(region);
    }
    let endpoint = place.endpoint.clone().or_else(|| {
        let set = builder.get_config_value(&AmazonS3ConfigKey::Endpoint);
        set.or(profile.endpoint)
    });
    if let Some(endpoint) = endpoint {
        builder = builder
            .with_allow_http(endpoint.starts_with("http://"))
            .with_endpoint(endpoint);
    }
    Ok(builder)
}

fn google(
    place: &BucketPlace,
    patience: Patience,
) -> object_store::Result<object_store::gcp::GoogleCloudStorage> {
    let mut builder = GoogleCloudStorageBuilder::from_env()
        .with_bucket_name(&place.bucket)
        .with_http_connector(Wire::new())
        .with_retry(retries(patience));
    let mut options = client_options();
    if let Some(endpoint) = &place.endpoint {
        options = options.with_allow_http(endpoint.starts_with("http://"));
        // Only Google's own servers know Google's tokens.
        let nobody = GcpCredential {
            bearer: String::new(),
        };
        builder = builder
            .with_base_url(endpoint)
            .with_credentials(Arc::new(StaticCredentialProvider::new(nobody)));
    }
    builder.with_client_options(options).build()
}

fn azure(place: &BucketPlace, patience: Patience) -> std::result::Result<MicrosoftAzure, String> {
    let found = AzureEnvironment::read(|name| env::var(name).ok(), place.account.as_deref())?;
    let mut builder = MicrosoftAzureBuilder::from_env()
        .with_container_name(&place.bucket)
        .with_http_connector(Wire::new())
        .with_retry(retries(patience))
        .with_client_options(client_options());
    for (key, value) in [
        (AzureConfigKey::AccountName, found.account),
        (AzureConfigKey::AccessKey, found.key),
        (AzureConfigKey::SasKey, found.sas),
        (AzureConfigKey::Endpoint, found.endpoint),
    ] {
        if let Some(value) = value.filter(|_| builder.get_config_value(&key).is_none()) {
            builder = builder.with_config(key, value);
        }
    }
    if found.is_login {
        builder = builder.with_use_azure_cli(true);
    }
    if let Some(account) = &place.account {
        builder = builder.with_account(account);
    }
    if let Some(endpoint) = &place.endpoint {
        builder = builder.with_endpoint(endpoint.clone());
    }
    let set = |key| builder.get_config_value(&key);
    if set(AzureConfigKey::AccountName).is_none() {
        return Err(
            "no account is named: put account=NAME into the URL, or set AZURE_STORAGE_ACCOUNT"
                .into(),
        );
    }
    let is_plain = set(AzureConfigKey::Endpoint).is_some_and(|url| url.starts_with("http://"));
    let builder = builder.with_allow_http(is_plain);
    builder.build().map_err(|error| error.to_string())
}

/// Exponential, with the jitter that object_store adds by itself.
fn retries(patience: Patience) -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(10),
            base: 2.0,
        },
        max_retries: 10,
        retry_timeout: match patience {
            Patience::Brief => Duration::from_secs(2),
            Patience::Long => Duration::from_secs(60),
        },
    }
}

pub(super) fn client_options() -> ClientOptions {
    ClientOptions::new()
        .with_connect_timeout(CONNECT_PATIENCE)
        // `wire` has its own, by the length of what is sent.
        .with_timeout_disabled()
}

fn denied(doing: String, detail: String) -> StoreError {
    StoreError::Denied {
        doing,
        detail: refusal::with_way_out(detail),
    }
}

/// What a store's answer means to us.
pub(super) fn refused(doing: &str, error: object_store::Error) -> StoreError {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(inner) = cause {
        if inner.downcast_ref().is_some_and(is_full) {
            return StoreError::Full {
                what: "the store",
                directory: None,
            };
        }
        cause = inner.source();
    }
    let doing = doing.to_owned();
    let detail = refusal::line(&error.to_string());
    if let Some(way_out) = refusal::without_role(&detail) {
        log::debug!("{doing}: {detail}");
        return StoreError::NoCredentials { doing, way_out };
    }
    match error {
        object_store::Error::PermissionDenied { .. }
        | object_store::Error::Unauthenticated { .. } => denied(doing, detail),
        // object_store tells these apart for single objects only, not for listings.
        object_store::Error::Generic { .. }
            if ["401", "403"]
                .iter()
                .any(|status| is_status(&detail, status)) =>
        {
            denied(doing, detail)
        }
        object_store::Error::Generic { store, .. } if store != "LocalFileSystem" => {
            StoreError::Unreachable { doing, detail }
        }
        _ => StoreError::Io(format!("{doing}: {detail}")),
    }
}

fn is_status(detail: &str, status: &str) -> bool {
    detail.contains(&format!("non-2xx status code: {status} "))
}

/// The same place as a store, for messages.
pub(super) fn shown(place: &BucketPlace) -> String {
    StorePlace::Bucket(place.clone()).to_string()
}
