//! The wire to a bucket: how long an answer may take, and how long it may be.
//!
//! All three clouds are asked through here. Whoever sends much gets time in proportion,
//! so a slow line is slow and not broken; an answer that stands still is given up. The
//! surprise: no length that a bucket claims is believed before its bytes are there.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, DATE};
use http::{Method, Uri};
use http_body::{Body, Frame};
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse,
    HttpResponseBody, HttpService, ReqwestConnector,
};
use tokio::time::{Sleep, sleep, timeout};

use super::leniency::forgive;
use crate::model::{Timestamp, patience};

/// How long a server may think, and how long an answer may stand still.
const ANSWER_PATIENCE: Duration = Duration::from_secs(40);
/// What is sent may take longer by its length at this rate.
const UPLOAD_BYTES_PER_SECOND_MIN: u64 = 16 << 10;
/// A listing, a refusal: whatever is read into memory as a whole. No page of a listing
/// comes near it.
const ANSWER_BYTES_MAX: u64 = 32 << 20;

/// What a bucket did to a request.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error("no answer within {0:?}")]
    Silent(Duration),
    #[error("the answer stood still for {0:?}")]
    StoodStill(Duration),
    #[error("the answer is longer than {ANSWER_BYTES_MAX} bytes")]
    TooLong,
}

/// What the server's clock said when it answered; an extension of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct AnsweredAt(pub(super) Timestamp);

impl AnsweredAt {
    fn of(answer: &HttpResponse) -> Option<Self> {
        let text = answer.headers().get(DATE)?.to_str().ok()?;
        let time = jiff::fmt::rfc2822::parse(text).ok()?;
        Some(Self(Timestamp::from_parts(time.timestamp().as_second(), 0)))
    }
}

/// Connects as object_store does, and keeps watch.
#[derive(Debug)]
pub(super) struct Wire {
    inner: ReqwestConnector,
    patience: Duration,
}

impl Wire {
    pub(super) fn new() -> Self {
        Self {
            inner: ReqwestConnector::default(),
            patience: patience(ANSWER_PATIENCE),
        }
    }
}

impl HttpConnector for Wire {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let watched = Watched {
            client: self.inner.connect(options)?,
            patience: self.patience,
        };
        Ok(HttpClient::new(watched))
    }
}

/// Whatever else is asked for says so in the query. That of an object holds at most who may
/// read it: a shared access signature of Azure.
fn is_object(uri: &Uri) -> bool {
    let Some(query) = uri.query() else {
        return true;
    };
    let keys: Vec<_> = query
        .split('&')
        .map(|pair| pair.split('=').next())
        .collect();
    keys.contains(&Some("sig"))
        && !["comp", "restype"]
            .map(Some)
            .iter()
            .any(|key| keys.contains(key))
}

/// How long to wait for the answer to a request that sends so many bytes.
fn patience_for(patience: Duration, bytes: u64) -> Duration {
    patience + Duration::from_secs(bytes / UPLOAD_BYTES_PER_SECOND_MIN)
}

#[derive(Debug)]
struct Watched {
    client: HttpClient,
    patience: Duration,
}

#[async_trait]
impl HttpService for Watched {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let bytes = request.body().content_length() as u64;
        let may_be_long = request.method() == Method::GET && is_object(request.uri());
        let within = patience_for(self.patience, bytes);
        let answer = timeout(within, self.client.execute(request)).await;
        let mut answer =
            answer.map_err(|_| HttpError::new(HttpErrorKind::Timeout, Fault::Silent(within)))??;
        if let Some(answered_at) = AnsweredAt::of(&answer) {
            answer.extensions_mut().insert(answered_at);
        }
        forgive(&mut answer);
        // Of an object, the reader chooses what to take into memory.
        let has_length = answer.headers().contains_key(CONTENT_LENGTH);
        let bytes_left = match may_be_long && has_length && answer.status().is_success() {
            true => u64::MAX,
            false => ANSWER_BYTES_MAX,
        };
        let patience = self.patience;
        Ok(answer.map(|body| {
            HttpResponseBody::new(WatchedBody {
                body,
                bytes_left,
                patience,
                still: Box::pin(sleep(patience)),
            })
        }))
    }
}

/// An answer on its way. It announces no length: memory is taken for what has come.
struct WatchedBody {
    body: HttpResponseBody,
    bytes_left: u64,
    patience: Duration,
    still: Pin<Box<Sleep>>,
}

impl fmt::Debug for WatchedBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WatchedBody")
    }
}

impl Body for WatchedBody {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        let this = &mut *self;
        let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(cx) else {
            ready!(this.still.as_mut().poll(cx));
            let fault = Fault::StoodStill(this.patience);
            return Poll::Ready(Some(Err(HttpError::new(HttpErrorKind::Timeout, fault))));
        };
        let deadline = tokio::time::Instant::now() + this.patience;
        this.still.as_mut().reset(deadline);
        if let Some(Ok(frame)) = &frame
            && let Some(bytes) = frame.data_ref()
        {
            match this.bytes_left.checked_sub(bytes.len() as u64) {
                Some(left) => this.bytes_left = left,
                None => {
                    let error = HttpError::new(HttpErrorKind::Decode, Fault::TooLong);
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
        Poll::Ready(frame)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_object_may_be_longer_than_memory_whoever_signs_for_it() {
        let is_object = |query| is_object(&format!("http://h/c/p{query}").parse().unwrap());
        for object in ["", "?sv=2022-11-02&sp=rl&sig=a%3D"] {
            assert!(is_object(object), "{object}");
        }
        for other in [
            "?list-type=2&prefix=p",
            "?restype=container&comp=list&sv=1&sig=a",
            "?sv=1&sig=a&comp=list",
            "?lifecycle",
            "?",
        ] {
            assert!(!is_object(other), "{other}");
        }
    }

    #[test]
    fn a_pack_has_time_in_proportion_to_its_length() {
        let patience = Duration::from_secs(40);
        assert_eq!(patience_for(patience, 0), patience);
        assert_eq!(
            patience_for(patience, 16 << 20),
            Duration::from_secs(40 + 1024)
        );
        assert!(patience_for(patience, u64::MAX) > patience);
    }

    #[test]
    fn the_date_of_an_answer_is_what_a_server_wrote() {
        let answer = |date: &str| {
            let answer = http::Response::builder().header(DATE, date);
            answer.body(Bytes::new().into()).unwrap()
        };
        let said = AnsweredAt::of(&answer("Sun, 06 Nov 1994 08:49:37 GMT")).unwrap();
        assert_eq!(said.0.to_string(), "1994-11-06T08:49:37Z");
        for nonsense in ["", "yesterday", "Sun, 06 Nov 1994 08:49:37", "784111777"] {
            assert_eq!(AnsweredAt::of(&answer(nonsense)), None, "{nonsense}");
        }
    }
}
