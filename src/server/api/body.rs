//! Bodies of calls: how much of one is taken, how soon it must come, the parameters in it,
//! and what becomes of the rest.
//!
//! The surprise: a signature is one of the parameters, so these are read for strangers, too.
//! Until the proof a body is short and soon over, so that strangers, however many, neither
//! fill the memory nor keep everybody's place.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes};
use axum::http::{HeaderMap, Method};
use futures_util::{Stream, StreamExt};
use tokio::time::{Sleep, sleep, timeout};

use super::error::{ApiError, Result};
use super::parameters::Parameters;
use crate::model::patience;

/// Parameters of somebody who logged in.
const PARAMETERS_BYTES_MAX: usize = 8 << 20;
/// Those of somebody who has yet to prove who it is, by a signature among them.
const STRANGERS_BYTES_MAX: usize = 1 << 20;
/// What may have been read of a file before its name is seen, and what is around parameters.
const AROUND_BYTES_MAX: usize = 3 << 20;
/// A client that sends nothing for so long is gone.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);
/// A stranger has so long for all of it, however the bytes trickle.
const STRANGERS_PATIENCE_IN_ALL: Duration = Duration::from_secs(30);
/// A client whose body nobody waits for any more may stand still for so long.
const DRAINING_PATIENCE: Duration = Duration::from_secs(5);
/// And such a body, in all: whoever sends it need not have said who it is.
const DRAINING_PATIENCE_IN_ALL: Duration = Duration::from_secs(30);
/// What is read of a body that nobody waits for any more.
const DRAINED_BYTES_MAX: usize = 16 << 20;
/// The reader of multipart looks at what came only when no more comes at once.
const AT_ONCE_BYTES_MAX: usize = 64 << 10;

/// Who sends a body, as far as its headers say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sender {
    /// Somebody who logged in.
    Known,
    /// Somebody who may prove it yet.
    Stranger,
}

impl Sender {
    pub(super) fn parameters_bytes_max(self) -> usize {
        match self {
            Sender::Known => PARAMETERS_BYTES_MAX,
            Sender::Stranger => STRANGERS_BYTES_MAX,
        }
    }
}

/// A body that ends with an error where it is too long or too late, until its gate opens.
pub(super) struct Bounded {
    stream: BodyDataStream,
    bytes_left: usize,
    deadline: Option<Pin<Box<Sleep>>>,
    at_once_bytes: usize,
    gate: Gate,
}

/// Opened when the sender of a body has proved who it is, and a file comes.
#[derive(Debug, Clone, Default)]
pub(super) struct Gate(Arc<AtomicBool>);

impl Gate {
    pub(super) fn open(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn is_open(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Why no more of a body is taken.
#[derive(Debug)]
pub(super) enum Stopped {
    TooLong,
    Late,
    BrokenOff,
}

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stopped::TooLong => "The parameters are too long",
            Stopped::Late => "The call took too long to say whose it is, and was given up",
            Stopped::BrokenOff => "The call was broken off",
        })
    }
}

impl std::error::Error for Stopped {}

impl Bounded {
    pub(super) fn new(body: Body, sender: Sender) -> Self {
        let deadline = match sender {
            Sender::Known => None,
            Sender::Stranger => Some(Box::pin(sleep(patience(STRANGERS_PATIENCE_IN_ALL)))),
        };
        Self {
            stream: body.into_data_stream(),
            bytes_left: sender.parameters_bytes_max() + AROUND_BYTES_MAX,
            deadline,
            at_once_bytes: 0,
            gate: Gate::default(),
        }
    }

    pub(super) fn gate(&self) -> Gate {
        self.gate.clone()
    }

    /// Reads the end behind the last part, without which the connection could not be used
    /// again, or what was refused, so that the refusal arrives.
    pub(super) async fn drain(mut self) {
        drain(&mut self.stream).await;
    }
}

impl Stream for Bounded {
    type Item = std::result::Result<Bytes, Stopped>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let body = self.get_mut();
        let is_open = body.gate.is_open();
        if !is_open {
            let deadline = body.deadline.as_mut();
            if deadline.is_some_and(|deadline| deadline.as_mut().poll(context).is_ready()) {
                return Poll::Ready(Some(Err(Stopped::Late)));
            }
            if body.at_once_bytes >= AT_ONCE_BYTES_MAX {
                body.at_once_bytes = 0;
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
        let piece = match body.stream.poll_next_unpin(context) {
            Poll::Pending => {
                body.at_once_bytes = 0;
                return Poll::Pending;
            }
            Poll::Ready(None) => return Poll::Ready(None),
            Poll::Ready(Some(Err(_))) => return Poll::Ready(Some(Err(Stopped::BrokenOff))),
            Poll::Ready(Some(Ok(piece))) => piece,
        };
        if !is_open {
            body.at_once_bytes += piece.len();
            body.bytes_left = match body.bytes_left.checked_sub(piece.len()) {
                Some(left) => left,
                None => return Poll::Ready(Some(Err(Stopped::TooLong))),
            };
        }
        Poll::Ready(Some(Ok(piece)))
    }
}

/// Room for texts that are held in memory.
pub(super) struct Room {
    bytes_left: usize,
    bytes_max: usize,
}

impl Room {
    pub(super) fn of(bytes_max: usize) -> Self {
        Self {
            bytes_left: bytes_max,
            bytes_max,
        }
    }

    fn take(&mut self, bytes: usize) -> Result<()> {
        let left = self.bytes_left.checked_sub(bytes);
        self.bytes_left = left.ok_or_else(|| {
            ApiError::Bad(format!(
                "The parameters are too long: at most {} bytes",
                self.bytes_max
            ))
        })?;
        Ok(())
    }
}

/// Reads the parameters of a call that has no file.
pub(super) async fn parameters(
    method: &Method,
    query: Option<&str>,
    headers: &HeaderMap,
    body: Body,
    sender: Sender,
) -> Result<Parameters> {
    let mut parameters = Parameters::from_form(query.unwrap_or_default().as_bytes())?;
    // The SDKs' GETs name a content type and have no content.
    if method == Method::GET || method == Method::HEAD {
        return Ok(parameters);
    }
    let mut body = Bounded::new(body, sender);
    let mut room = Room::of(sender.parameters_bytes_max());
    let read = match boundary(headers) {
        Some(boundary) => {
            let multipart = multer::Multipart::new(&mut body, boundary);
            of_multipart(multipart, &mut room, &mut parameters).await
        }
        None => whole(&mut body, &mut room).await.and_then(|bytes| {
            let is_form = is_of_type(headers, "application/x-www-form-urlencoded");
            parameters.merge(match is_form {
                true => Parameters::from_form(&bytes)?,
                false => Parameters::from_json(&bytes)?,
            });
            Ok(())
        }),
    };
    body.drain().await;
    read.map(|()| parameters)
}

async fn of_multipart(
    mut multipart: multer::Multipart<'_>,
    room: &mut Room,
    parameters: &mut Parameters,
) -> Result<()> {
    while let Some(field) = next_field(&mut multipart).await? {
        let name = field.name().unwrap_or_default().to_owned();
        parameters.add(name, text_of(field, room).await?)?;
    }
    Ok(())
}

pub(super) async fn next_field<'a>(
    multipart: &mut multer::Multipart<'a>,
) -> Result<Option<multer::Field<'a>>> {
    let next = timeout(patience(PATIENCE), multipart.next_field()).await;
    let next = next.map_err(|_| ApiError::bad("The upload stood still and was given up"))?;
    next.map_err(broken_off)
}

/// Reads a field with its name into memory.
pub(super) async fn text_of(mut field: multer::Field<'_>, room: &mut Room) -> Result<String> {
    room.take(field.name().unwrap_or_default().len())?;
    let mut text = Vec::new();
    loop {
        let piece = timeout(patience(PATIENCE), field.chunk()).await;
        let piece = piece.map_err(|_| stood_still())?;
        let Some(piece) = piece.map_err(broken_off)? else {
            break;
        };
        room.take(piece.len())?;
        text.extend_from_slice(&piece);
    }
    String::from_utf8(text).map_err(|_| ApiError::bad("A parameter is not UTF-8"))
}

/// The whole of a short body.
async fn whole(body: &mut Bounded, room: &mut Room) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    loop {
        let piece = timeout(patience(PATIENCE), body.next()).await;
        let piece = piece.map_err(|_| stood_still())?;
        match piece {
            None => return Ok(bytes),
            Some(Err(stopped)) => return Err(ApiError::Bad(stopped.to_string())),
            Some(Ok(piece)) => {
                room.take(piece.len())?;
                bytes.extend_from_slice(&piece);
            }
        }
    }
}

fn stood_still() -> ApiError {
    ApiError::bad("The call stood still and was given up")
}

pub(super) fn broken_off(error: multer::Error) -> ApiError {
    if let multer::Error::StreamReadFailed(cause) = &error
        && let Some(stopped) = cause.downcast_ref::<Stopped>()
    {
        return ApiError::Bad(stopped.to_string());
    }
    ApiError::Bad(format!("Invalid multipart body: {error}"))
}

/// A call is refused before its body was looked at. A client that finds the connection
/// closed while it sends may not look for an answer.
pub(super) async fn refused(error: ApiError, body: Body) -> ApiError {
    drain(&mut body.into_data_stream()).await;
    error
}

async fn drain(stream: &mut BodyDataStream) {
    let mut left = DRAINED_BYTES_MAX;
    let all = async {
        while let Ok(Some(Ok(piece))) = timeout(patience(DRAINING_PATIENCE), stream.next()).await {
            left = match left.checked_sub(piece.len()) {
                Some(left) => left,
                None => return,
            };
        }
    };
    let _ = timeout(patience(DRAINING_PATIENCE_IN_ALL), all).await;
}

pub(super) fn boundary(headers: &HeaderMap) -> Option<String> {
    let value = headers.get("content-type")?.to_str().ok()?;
    multer::parse_boundary(value).ok()
}

fn is_of_type(headers: &HeaderMap, expected: &str) -> bool {
    let value = headers
        .get("content-type")
        .and_then(|value| value.to_str().ok());
    value.is_some_and(|value| {
        let essence = value.split(';').next().unwrap_or_default().trim();
        essence.eq_ignore_ascii_case(expected)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(content_type: &str, body: Body, sender: Sender) -> Result<Parameters> {
        let headers = HeaderMap::from_iter([(
            axum::http::header::CONTENT_TYPE,
            content_type.parse().unwrap(),
        )]);
        parameters(&Method::POST, None, &headers, body, sender).await
    }

    fn multipart(fields: usize, bytes: usize) -> Body {
        let text = "x".repeat(bytes);
        let field =
            |n| format!("--b\r\ncontent-disposition: form-data; name=\"f{n}\"\r\n\r\n{text}\r\n");
        let fields: String = (0..fields).map(field).collect();
        Body::from(format!("{fields}--b--\r\n"))
    }

    const MULTIPART: &str = "multipart/form-data; boundary=b";

    #[tokio::test]
    async fn all_parameters_together_have_a_limit_in_whatever_form_they_come() {
        for (sender, fields) in [(Sender::Known, 7), (Sender::Stranger, 0)] {
            let read = |fields| read(MULTIPART, multipart(fields, 1_000_000), sender);
            let taken = read(fields).await.unwrap();
            assert_eq!(taken.fields().len(), fields, "{sender:?}");
            let refused = read(fields + 2).await.unwrap_err();
            assert!(refused.message().contains("too long"), "{refused:?}");
        }
        let form = Body::from("x".repeat(2_000_000));
        let content_type = "application/x-www-form-urlencoded";
        let refused = read(content_type, form, Sender::Stranger)
            .await
            .unwrap_err();
        assert!(refused.message().contains("at most 1048576"), "{refused:?}");
    }

    #[tokio::test]
    async fn what_is_around_parameters_has_a_limit_too() {
        let head = "x".repeat(5_000_000);
        for text in [
            format!("{head}--b\r\n"),
            format!("--b\r\ncontent-disposition: form-data; name=\"{head}\"\r\n\r\n"),
            format!("--b\r\nx-other: {head}"),
        ] {
            let body = Body::from_stream(futures_util::stream::iter(
                text.into_bytes()
                    .chunks(10_000)
                    .map(|piece| Ok::<_, Stopped>(Bytes::copy_from_slice(piece)))
                    .collect::<Vec<_>>(),
            ));
            let refused = read(MULTIPART, body, Sender::Stranger).await.unwrap_err();
            assert!(refused.message().contains("too long"), "{refused:?}");
        }
    }
}
