//! What some S3 servers get slightly wrong, put right before object_store judges it.
//!
//! Only one thing so far: a part of an object that is announced by `Content-Range`
//! (RFC 9110, section 14.4) but answered with 200 instead of 206. `rclone serve s3`
//! does that. The surprise: nothing is trusted by this; every chunk is hashed anyway.

use async_trait::async_trait;
use http::StatusCode;
use http::header::CONTENT_RANGE;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpRequest, HttpResponse, HttpService, ReqwestConnector,
};

/// Connects as object_store does, and forgives.
#[derive(Debug, Default)]
pub(super) struct LenientConnector(ReqwestConnector);

impl HttpConnector for LenientConnector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        self.0
            .connect(options)
            .map(|client| HttpClient::new(Lenient(client)))
    }
}

#[derive(Debug)]
struct Lenient(HttpClient);

#[async_trait]
impl HttpService for Lenient {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let mut response = self.0.execute(request).await?;
        if response.status() == StatusCode::OK && response.headers().contains_key(CONTENT_RANGE) {
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        }
        Ok(response)
    }
}
