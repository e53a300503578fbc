//! Bytes going out: originals of live assets, and downloads of versions.
//!
//! Without a key an original goes only to those whom the modes of the file and of the
//! directories around it would let read it, as any web server would have it. The surprise: what a browser would run in our origin
//! goes as text or in a sandbox, whatever its owner called it.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use tokio::task::{JoinHandle, spawn_blocking};

use super::error::{ApiError, Result};
use super::formats::content_type;
use super::media::VersionRead;

/// Bytes that are read at once.
const PIECE_BYTES: usize = 256 << 10;

/// What goes out.
pub(super) enum Content {
    File(File),
    Version(VersionRead),
}

/// How a browser shall take it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Disposition {
    /// Shown, in a sandbox.
    Inline,
    /// Saved.
    Attachment,
}

/// Everything about an answer with content.
pub(super) struct Outgoing<'a> {
    pub content: Content,
    pub size: u64,
    /// Without quotes. Equal exactly for equal contents.
    pub etag: String,
    /// For its type and, saved, its name.
    pub path: &'a str,
    pub disposition: Disposition,
}

/// The answer: whole, a range of it, or that nothing changed. For a thread that may block.
pub(super) fn send(
    method: &Method,
    headers: &HeaderMap,
    outgoing: Outgoing<'_>,
) -> Result<Response> {
    let etag = format!("\"{}\"", outgoing.etag);
    let text = |name: header::HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let size = outgoing.size;
    let mut answer = Response::new(Body::empty());
    let head = answer.headers_mut();
    let mut put = |name: header::HeaderName, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            head.insert(name, value);
        }
    };
    put(header::ETAG, &etag);
    put(header::ACCEPT_RANGES, "bytes");
    put(header::CACHE_CONTROL, "private, no-cache");
    put(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    put(
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:; media-src 'self'; sandbox",
    );
    put(header::CONTENT_TYPE, content_type(outgoing.path));
    if outgoing.disposition == Disposition::Attachment {
        put(header::CONTENT_DISPOSITION, &attachment(outgoing.path));
    }
    let is_known = |list: &str| {
        let tags = list
            .split(',')
            .map(|tag| tag.trim().trim_start_matches("W/"));
        let mut tags = tags.into_iter();
        tags.any(|tag| tag == etag || tag == "*")
    };
    if text(header::IF_NONE_MATCH).is_some_and(is_known) {
        *answer.status_mut() = StatusCode::NOT_MODIFIED;
        return Ok(answer);
    }
    // A range of something else is of no use.
    let is_same = text(header::IF_RANGE).is_none_or(|tag| tag.trim() == etag);
    let range = text(header::RANGE)
        .filter(|_| is_same)
        .map(|range| part(range, size));
    let (start, length) = match range {
        None | Some(Asked::Whole) => (0, size),
        Some(Asked::Part(start, length)) => {
            *answer.status_mut() = StatusCode::PARTIAL_CONTENT;
            put_range(
                &mut answer,
                &format!("bytes {start}-{}/{size}", start + length - 1),
            );
            (start, length)
        }
        Some(Asked::Nothing) => {
            *answer.status_mut() = StatusCode::RANGE_NOT_SATISFIABLE;
            put_range(&mut answer, &format!("bytes */{size}"));
            return Ok(answer);
        }
    };
    answer
        .headers_mut()
        .insert(header::CONTENT_LENGTH, length.into());
    if method != Method::HEAD {
        *answer.body_mut() = stream(outgoing.content, start, length)?;
    }
    Ok(answer)
}

fn put_range(answer: &mut Response, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        answer.headers_mut().insert(header::CONTENT_RANGE, value);
    }
}

/// What is known of the next piece.
enum Next {
    Read(io::Result<Piece>),
    Reading(JoinHandle<io::Result<Piece>>),
    End,
}

/// A piece, the rest, and how long that is.
type Piece = (Bytes, Box<dyn Read + Send>, u64);

/// Reads the first piece here, which is on a thread that may block, and then one ahead of the
/// client. Between two pieces no thread is held: a client may take its time.
fn stream(content: Content, start: u64, length: u64) -> Result<Body> {
    let reader: Box<dyn Read + Send> = match content {
        Content::File(mut file) => {
            let sought = file.seek(SeekFrom::Start(start));
            sought.map_err(|error| super::error::of_io("reading", &error))?;
            Box::new(file)
        }
        Content::Version(version) => Box::new(VersionRead {
            offset: start,
            ..version
        }),
    };
    if length == 0 {
        return Ok(Body::empty());
    }
    let first = Next::Read(read_piece(reader, length));
    let pieces = futures_util::stream::unfold(first, |next| async {
        let read = match next {
            Next::Read(read) => read,
            Next::Reading(reading) => reading
                .await
                .unwrap_or_else(|error| Err(io::Error::other(error))),
            Next::End => return None,
        };
        Some(match read {
            Ok((piece, _, 0)) => (Ok(piece), Next::End),
            Ok((piece, reader, left)) => {
                let reading = spawn_blocking(move || read_piece(reader, left));
                (Ok(piece), Next::Reading(reading))
            }
            Err(error) => (Err(error), Next::End),
        })
    });
    Ok(Body::from_stream(pieces))
}

fn read_piece(mut reader: Box<dyn Read + Send>, left: u64) -> io::Result<Piece> {
    let mut piece = vec![0; PIECE_BYTES.min(usize::try_from(left).unwrap_or(PIECE_BYTES))];
    match reader.read(&mut piece)? {
        // It became shorter meanwhile: the client sees that the end is missing.
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        bytes => {
            piece.truncate(bytes);
            Ok((Bytes::from(piece), reader, left - bytes as u64))
        }
    }
}

/// What a `Range` header asks for.
#[derive(Debug, PartialEq, Eq)]
enum Asked {
    /// More than one range, or no range that we know: all of it.
    Whole,
    /// First byte and length.
    Part(u64, u64),
    /// Nothing that there is.
    Nothing,
}

fn part(range: &str, size: u64) -> Asked {
    let Some((first, last)) = range
        .strip_prefix("bytes=")
        .filter(|range| !range.contains(','))
        .and_then(|range| range.trim().split_once('-'))
    else {
        return Asked::Whole;
    };
    match (first.parse::<u64>(), last.parse::<u64>()) {
        (Ok(first), _) if first >= size => Asked::Nothing,
        (Ok(first), Ok(last)) if last >= first => {
            Asked::Part(first, (last - first).min(size - first - 1) + 1)
        }
        (Ok(first), Err(_)) if last.is_empty() => Asked::Part(first, size - first),
        (Err(_), Ok(0)) if first.is_empty() => Asked::Nothing,
        (Err(_), Ok(last)) if first.is_empty() && size > 0 => {
            Asked::Part(size - last.min(size), last.min(size))
        }
        (Err(_), Ok(_)) if first.is_empty() => Asked::Nothing,
        _ => Asked::Whole,
    }
}

/// The name in both forms: for every browser, and right for those that know the second.
fn attachment(path: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or(path);
    let plain: String = name
        .chars()
        .map(|c| match c {
            ' '..='~' if !matches!(c, '"' | '\\') => c,
            _ => '_',
        })
        .collect();
    format!(
        "attachment; filename=\"{plain}\"; filename*=UTF-8''{}",
        super::asset::escape(name)
    )
}

/// What a stranger hears who would not be let read a file.
pub(super) fn private() -> ApiError {
    ApiError::Unauthorized("This file is not for everybody: log in, or call with an api_key".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_cut_to_what_there_is() {
        for (range, size, expected) in [
            ("bytes=0-4", 10, Asked::Part(0, 5)),
            ("bytes=5-", 10, Asked::Part(5, 5)),
            ("bytes=-3", 10, Asked::Part(7, 3)),
            ("bytes=-30", 10, Asked::Part(0, 10)),
            ("bytes=8-99", 10, Asked::Part(8, 2)),
            ("bytes=0-18446744073709551615", 10, Asked::Part(0, 10)),
            ("bytes=10-", 10, Asked::Nothing),
            ("bytes=-0", 10, Asked::Nothing),
            ("bytes=0-", 0, Asked::Nothing),
            ("bytes=-5", 0, Asked::Nothing),
            ("bytes=5-4", 10, Asked::Whole),
            ("bytes=0-1,3-4", 10, Asked::Whole),
            ("lines=0-1", 10, Asked::Whole),
            ("bytes=a-b", 10, Asked::Whole),
        ] {
            assert_eq!(part(range, size), expected, "{range} of {size}");
        }
    }

    #[test]
    fn a_saved_name_cannot_leave_its_header() {
        let name = attachment("a/b\"c\r\nx: y\u{fc}.txt");
        assert_eq!(
            name,
            "attachment; filename=\"b_c__x: y_.txt\"; filename*=UTF-8''b%22c%0D%0Ax%3A%20y%C3%BC.txt"
        );
    }
}
