//! The URL that says where a store is.
//!
//! The surprise: a directory's name is bytes; what is no plain character is
//! percent-encoded, and decoded without asking whether it is UTF-8.

use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// The `file://` URL of a directory; what is no plain character is percent-encoded.
pub fn file_url(directory: &Path) -> String {
    let mut url = String::from("file://");
    for &byte in directory.as_os_str().as_bytes() {
        match byte {
            b'/' | b'-' | b'.' | b'_' | b'~' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => {
                url.push(byte.into());
            }
            _ => url.push_str(&format!("%{byte:02X}")),
        }
    }
    url
}

/// The directory that a `file://` URL names, or why it names none.
pub(super) fn directory_of(url: &str) -> std::result::Result<PathBuf, &'static str> {
    let Some(path) = url.strip_prefix("file://") else {
        return Err("only file:///absolute/path is supported");
    };
    if !path.starts_with('/') {
        return Err("the path must be absolute: file:///absolute/path, with three slashes");
    }
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |at: usize| tail.get(at).and_then(|&d| char::from(d).to_digit(16));
        let (Some(high), Some(low)) = (digit(0), digit(1)) else {
            return Err("a % must be followed by two hex digits; a % itself is %25");
        };
        bytes.push((high << 4 | low) as u8);
        rest = &tail[2..];
    }
    Ok(PathBuf::from(std::ffi::OsString::from_vec(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_leads_back_to_the_directory_it_was_made_of() {
        for path in ["/a/b", "/with space/100%/ü", "/\u{1}#?"] {
            let url = file_url(Path::new(path));
            assert_eq!(directory_of(&url).unwrap(), Path::new(path), "{url}");
        }
        let odd = Path::new(std::ffi::OsStr::from_bytes(b"/\xff\xfe"));
        assert_eq!(directory_of(&file_url(odd)).unwrap(), odd);
    }
}
