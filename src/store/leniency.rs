//! What some S3 servers get slightly wrong, put right before object_store judges it.
//!
//! Only one thing so far: a part of an object that is announced by `Content-Range`
//! (RFC 9110, section 14.4) but answered with 200 instead of 206. `rclone serve s3`
//! does that. The surprise: nothing is trusted by this; every chunk is hashed anyway.

use http::StatusCode;
use http::header::CONTENT_RANGE;
use object_store::client::HttpResponse;

/// Makes an answer what its headers say that it is.
pub(super) fn forgive(answer: &mut HttpResponse) {
    if answer.status() == StatusCode::OK && answer.headers().contains_key(CONTENT_RANGE) {
        *answer.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
}
