//! Uploads that come in several calls, each with a `Content-Range`.
//!
//! Pieces must come in their order. What nobody goes on with is dropped after an hour, and
//! with the server; it never had a name.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::error::{ApiError, Result};
use super::receive::Received;
use crate::model::{Timestamp, patience};

const IDLE_MAX: Duration = Duration::from_secs(60 * 60);
const UPLOADS_MAX: usize = 100;
const ID_BYTES_MAX: usize = 200;

/// Which part of an upload a call brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part {
    pub first: u64,
    pub last: u64,
    /// `None`: the client does not know it yet.
    pub total: Option<u64>,
}

/// The uploads that are not whole yet, by the caller's key and their id.
#[derive(Debug, Default)]
pub(super) struct Chunks(Mutex<HashMap<(String, String), Waiting>>);

#[derive(Debug)]
struct Waiting {
    received: Received,
    used_at: Timestamp,
}

impl Part {
    /// `bytes 0-99/250`, `bytes 0-99/-1`, `bytes 0-99/*`.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let wrong = || {
            ApiError::Bad(format!(
                "Invalid Content-Range {text}: write bytes FIRST-LAST/TOTAL"
            ))
        };
        let range = text.trim().strip_prefix("bytes").ok_or_else(wrong)?;
        let (range, total) = range.trim().split_once('/').ok_or_else(wrong)?;
        let (first, last) = range.split_once('-').ok_or_else(wrong)?;
        let total = match total.trim() {
            "-1" | "*" => None,
            total => Some(total.parse().map_err(|_| wrong())?),
        };
        let part = Self {
            first: first.trim().parse().map_err(|_| wrong())?,
            last: last.trim().parse().map_err(|_| wrong())?,
            total,
        };
        let is_sane = part.first <= part.last && total.is_none_or(|total| part.last < total);
        is_sane.then_some(part).ok_or_else(wrong)
    }

    /// True for the last one.
    pub(super) fn is_last(self) -> bool {
        self.total.is_some_and(|total| self.last + 1 == total)
    }
}

impl Chunks {
    /// What came of an upload so far; `new` makes the beginning of one.
    pub(super) fn take(
        &self,
        key: &str,
        id: &str,
        part: Part,
        now: Timestamp,
        new: impl FnOnce() -> Result<Received>,
    ) -> Result<Received> {
        if id.is_empty() || id.len() > ID_BYTES_MAX {
            return Err(ApiError::Bad(format!(
                "Invalid X-Unique-Upload-Id: 1 to {ID_BYTES_MAX} characters"
            )));
        }
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        forget_idle(&mut waiting, now);
        let known = waiting.remove(&(key.to_owned(), id.to_owned()));
        if part.first == 0 {
            // Begun anew, or for the first time.
            drop(known);
            if waiting.len() >= UPLOADS_MAX {
                return Err(ApiError::Busy(format!(
                    "{UPLOADS_MAX} uploads in parts are under way: finish some first"
                )));
            }
            return new();
        }
        match known {
            Some(known) if known.received.bytes == part.first => Ok(known.received),
            Some(known) => {
                let came = known.received.bytes;
                waiting.insert((key.to_owned(), id.to_owned()), known);
                Err(ApiError::Bad(format!(
                    "Invalid Content-Range: {came} bytes came so far, so the next part begins there"
                )))
            }
            None => Err(ApiError::bad(
                "Invalid Content-Range: no part of this upload is known; begin again with the first",
            )),
        }
    }

    /// Keeps an upload for its next part.
    pub(super) fn keep(&self, key: &str, id: &str, received: Received, now: Timestamp) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        forget_idle(&mut waiting, now);
        let used_at = now;
        let entry = Waiting { received, used_at };
        waiting.insert((key.to_owned(), id.to_owned()), entry);
    }

    /// Drops what nobody goes on with, and gives its space on the disk back.
    pub(super) fn drop_idle(&self, now: Timestamp) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        forget_idle(&mut waiting, now);
    }
}

fn forget_idle(waiting: &mut HashMap<(String, String), Waiting>, now: Timestamp) {
    let idle_max = patience(IDLE_MAX);
    waiting.retain(|_, waiting| now.since(waiting.used_at) < idle_max);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_or_refused() {
        let part = Part::parse("bytes 100-199/250").unwrap();
        assert_eq!((part.first, part.last, part.total), (100, 199, Some(250)));
        assert!(!part.is_last() && Part::parse("bytes 200-249/250").unwrap().is_last());
        assert!(!Part::parse("bytes 0-99/-1").unwrap().is_last());
        for wrong in [
            "",
            "bytes",
            "bytes 5-1/9",
            "bytes 0-9/9",
            "bytes a-b/c",
            "0-1/2",
            "bytes -1-2/3",
        ] {
            assert!(Part::parse(wrong).is_err(), "{wrong}");
        }
    }
}
