//! Files that come as `data:` addresses, whole and in memory: they are short.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::error::{ApiError, Result, of_io};
use super::formats::extension_for;
use super::receive::{Received, check_size};

/// `data:image/png;base64,…`.
pub(super) fn decode(uri: &str, mut received: Received, bytes_max: u64) -> Result<Received> {
    let wrong = || ApiError::bad("Invalid data URI: write data:TYPE;base64,DATA");
    let (head, data) = uri.split_once(',').ok_or_else(wrong)?;
    let head = head.strip_prefix("data:").ok_or_else(wrong)?;
    let (content_type, is_base64) = match head.strip_suffix(";base64") {
        Some(content_type) => (content_type, true),
        None => (head, false),
    };
    let bytes = match is_base64 {
        true => {
            let data: String = data.chars().filter(|c| !c.is_ascii_whitespace()).collect();
            BASE64_STANDARD.decode(data).map_err(|_| wrong())?
        }
        false => percent_encoding::percent_decode_str(data).collect(),
    };
    check_size(bytes.len() as u64, bytes_max)?;
    let added = received.add(&bytes);
    added.map_err(|error| of_io("the upload", &error))?;
    let content_type = content_type.split(';').next().unwrap_or_default();
    received.filename = extension_for(content_type).map(|extension| format!("file.{extension}"));
    Ok(received)
}
