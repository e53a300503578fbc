//! Taking the body of a call in: parameters into memory, a file straight to the live disk.
//!
//! The surprise: whoever calls must have proved who it is before the first byte of a file
//! is taken, so the SDKs' order (file last) is the only one. What is not finished leaves
//! nothing behind.

use std::fmt;
use std::io::{self, Write};
use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::http::{HeaderMap, Method};
use futures_util::StreamExt;
use md5::{Digest, Md5};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::error::{ApiError, Result, of_io};
use super::parameters::Parameters;
use super::relay::Relay;
use super::signature::hex;
use crate::model::patience;
use crate::vault::Incoming;

/// A body that is no upload, and the parameters of one.
pub(super) const PARAMETERS_BYTES_MAX: usize = 8 << 20;
/// A client that sends nothing for so long is gone.
const PATIENCE: Duration = Duration::from_secs(60);
/// A client whose body nobody waits for any more may stand still for so long.
const DRAINING_PATIENCE: Duration = Duration::from_secs(5);
/// And such a body, in all: whoever sends it need not have said who it is.
const DRAINING_PATIENCE_IN_ALL: Duration = Duration::from_secs(30);
/// What is read of a body that nobody waits for any more.
const DRAINED_BYTES_MAX: usize = 16 << 20;
/// Of a content, for whoever must tell what it is.
const HEAD_BYTES: usize = 64;

/// A file that came in whole.
#[derive(Debug)]
pub(super) struct Received {
    pub incoming: Incoming,
    pub bytes: u64,
    pub sum: Sum,
    /// Its first bytes.
    pub head: Vec<u8>,
    /// As the client calls it, often with directories of its own machine.
    pub filename: Option<String>,
}

impl Received {
    pub(super) fn new(incoming: Incoming) -> Self {
        Self {
            incoming,
            bytes: 0,
            sum: Sum::Known(Md5::new()),
            head: Vec::new(),
            filename: None,
        }
    }

    /// Adds a piece at the end.
    pub(super) fn add(&mut self, piece: &[u8]) -> io::Result<()> {
        self.write(piece)?;
        if let Sum::Known(md5) = &mut self.sum {
            md5.update(piece);
        }
        Ok(())
    }

    fn write(&mut self, piece: &[u8]) -> io::Result<()> {
        self.incoming.write_all(piece)?;
        self.bytes += piece.len() as u64;
        let missing = HEAD_BYTES.saturating_sub(self.head.len());
        self.head.extend(piece.iter().take(missing));
        Ok(())
    }
}

/// A file that came in, of which the end may not be on the disk yet.
pub(super) struct Arriving {
    /// All of it, with what came in earlier parts.
    pub bytes: u64,
    disk: Relay<Received>,
    /// `None`: what is on the disk knows it.
    sum: Option<JoinHandle<io::Result<Md5>>>,
}

impl fmt::Debug for Arriving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Arriving({} bytes)", self.bytes)
    }
}

impl Arriving {
    /// One of which nothing is missing.
    pub(super) fn whole(received: Received) -> Self {
        Self {
            bytes: received.bytes,
            disk: Relay::new(received, Received::write),
            sum: None,
        }
    }

    /// Writes what is left, on a thread that may block.
    ///
    /// # Errors
    /// When the disk takes no more.
    pub(super) fn write_out(self) -> Result<Received> {
        let mut received = self.disk.finish().map_err(|error| not_written(&error))?;
        if let Some(sum) = self.sum {
            received.sum = Sum::Coming(sum);
        }
        Ok(received)
    }
}

fn not_written(error: &io::Error) -> ApiError {
    of_io("the upload", error)
}

/// The md5 of what came in. It takes longer than writing it, so it is made beside that, and
/// beside the upload's taking its place.
#[derive(Debug)]
pub(super) enum Sum {
    /// Of everything so far.
    Known(Md5),
    /// Its last pieces are still worked on.
    Coming(JoinHandle<io::Result<Md5>>),
}

impl Sum {
    /// In hex, on a thread that may block. `None`: it could not be made.
    pub(super) fn wait(self) -> Option<String> {
        let md5 = match self {
            Sum::Known(md5) => md5,
            Sum::Coming(md5) => Handle::current().block_on(md5).ok()?.ok()?,
        };
        Some(hex(&md5.finalize()))
    }

    async fn known(self) -> Result<Md5> {
        match self {
            Sum::Known(md5) => Ok(md5),
            Sum::Coming(md5) => match md5.await {
                Ok(Ok(md5)) => Ok(md5),
                _ => Err(ApiError::Internal),
            },
        }
    }
}

/// The file of a call.
#[derive(Debug)]
pub(super) enum File {
    /// Its bytes were sent along.
    Bytes(Box<Arriving>),
    /// A text: a data URI or an address.
    Text(String),
}

/// Reads the parameters of a call that has no file.
pub(super) async fn parameters(
    method: &Method,
    query: Option<&str>,
    headers: &HeaderMap,
    body: Body,
) -> Result<Parameters> {
    let mut parameters = Parameters::from_form(query.unwrap_or_default().as_bytes())?;
    // The SDKs' GETs name a content type and have no content.
    if method == Method::GET || method == Method::HEAD {
        return Ok(parameters);
    }
    if let Some(boundary) = boundary(headers) {
        let mut stream = body.into_data_stream();
        let mut multipart = multer::Multipart::new(&mut stream, boundary);
        while let Some(field) = next_field(&mut multipart).await? {
            let name = field.name().unwrap_or_default().to_owned();
            parameters.add(name, text_of(field, PARAMETERS_BYTES_MAX).await?)?;
        }
        drop(multipart);
        drain(&mut stream).await;
        return Ok(parameters);
    }
    let bytes = whole(body).await?;
    let is_form = is_of_type(headers, "application/x-www-form-urlencoded");
    parameters.merge(match is_form {
        true => Parameters::from_form(&bytes)?,
        false => Parameters::from_json(&bytes)?,
    });
    Ok(parameters)
}

/// Reads the parameters and the file of an upload. `begin` is asked when a file comes: it
/// checks the parameters so far, and says what takes the bytes.
pub(super) async fn upload(
    headers: &HeaderMap,
    body: Body,
    begin: impl Fn(&Parameters) -> Result<Received>,
    bytes_max: u64,
) -> Result<(Parameters, Option<File>)> {
    let Some(boundary) = boundary(headers) else {
        return of_plain_body(headers, body).await;
    };
    let mut stream = body.into_data_stream();
    let multipart = multer::Multipart::new(&mut stream, boundary);
    let came = of_multipart(multipart, begin, bytes_max).await;
    drain(&mut stream).await;
    came
}

async fn of_multipart(
    mut multipart: multer::Multipart<'_>,
    begin: impl Fn(&Parameters) -> Result<Received>,
    bytes_max: u64,
) -> Result<(Parameters, Option<File>)> {
    let mut parameters = Parameters::default();
    let mut file = None;
    let mut texts_bytes = 0;
    while let Some(mut field) = next_field(&mut multipart).await? {
        let name = field.name().unwrap_or_default().to_owned();
        let is_file = name == "file" && (field.file_name().is_some() || file.is_none());
        if !is_file {
            let text = text_of(field, PARAMETERS_BYTES_MAX.saturating_sub(texts_bytes)).await?;
            texts_bytes += text.len();
            parameters.add(name, text)?;
            continue;
        }
        if field.file_name().is_none() {
            // Without a name it is a text: base64 of a data URI takes a third more.
            file = Some(File::Text(text_of(field, PARAMETERS_BYTES_MAX * 16).await?));
            continue;
        }
        let mut received = begin(&parameters)?;
        received.filename = field.file_name().map(str::to_owned);
        file = Some(File::Bytes(Box::new(
            take_in(&mut field, received, bytes_max).await?,
        )));
    }
    Ok((parameters, file))
}

/// An upload as a form or JSON, with the file as text.
async fn of_plain_body(headers: &HeaderMap, body: Body) -> Result<(Parameters, Option<File>)> {
    let parameters = parameters(&Method::POST, None, headers, body).await?;
    let file = parameters.text("file").map(File::Text);
    Ok((parameters, file))
}

/// Takes a field in, piece by piece.
async fn take_in(
    field: &mut multer::Field<'_>,
    mut received: Received,
    bytes_max: u64,
) -> Result<Arriving> {
    // What came in earlier parts counts.
    let mut bytes = received.bytes;
    let sum = std::mem::replace(&mut received.sum, Sum::Known(Md5::new()));
    let mut disk = Relay::new(received, Received::write);
    let mut hash = Relay::new(sum.known().await?, |md5: &mut Md5, piece| {
        md5.update(piece);
        Ok(())
    });
    loop {
        let piece = timeout(patience(PATIENCE), field.chunk()).await;
        let piece = piece.map_err(|_| ApiError::bad("The upload stood still and was given up"))?;
        let Some(piece) = piece.map_err(broken_off)? else {
            break;
        };
        bytes += piece.len() as u64;
        check_size(bytes, bytes_max)?;
        let given = disk.give(piece.clone()).await;
        given.map_err(|error| not_written(&error))?;
        let given = hash.give(piece).await;
        given.map_err(|error| not_written(&error))?;
    }
    let sum = Some(hash.finish_beside());
    Ok(Arriving { bytes, disk, sum })
}

/// Refuses more than an upload may have.
pub(super) fn check_size(bytes: u64, bytes_max: u64) -> Result<()> {
    match bytes > bytes_max {
        true => Err(ApiError::Bad(format!(
            "File size too large. Maximum is {bytes_max} bytes."
        ))),
        false => Ok(()),
    }
}

async fn next_field<'a>(
    multipart: &mut multer::Multipart<'a>,
) -> Result<Option<multer::Field<'a>>> {
    let next = timeout(patience(PATIENCE), multipart.next_field()).await;
    let next = next.map_err(|_| ApiError::bad("The upload stood still and was given up"))?;
    next.map_err(broken_off)
}

fn broken_off(error: multer::Error) -> ApiError {
    ApiError::Bad(format!("Invalid multipart body: {error}"))
}

async fn text_of(mut field: multer::Field<'_>, bytes_max: usize) -> Result<String> {
    let mut text = Vec::new();
    loop {
        let piece = timeout(patience(PATIENCE), field.chunk()).await;
        let piece = piece.map_err(|_| ApiError::bad("The call stood still and was given up"))?;
        let Some(piece) = piece.map_err(broken_off)? else {
            break;
        };
        if text.len() + piece.len() > bytes_max {
            return Err(too_long());
        }
        text.extend_from_slice(&piece);
    }
    String::from_utf8(text).map_err(|_| ApiError::bad("A parameter is not UTF-8"))
}

/// A call is refused before its body was looked at. A client that finds the connection
/// closed while it sends may not look for an answer.
pub(super) async fn refused(error: ApiError, body: Body) -> ApiError {
    drain(&mut body.into_data_stream()).await;
    error
}

/// Reads what is left of a body: the end behind the last part, without which the connection
/// could not be used again, or what was refused, so that the refusal arrives.
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

/// The whole of a short body.
async fn whole(body: Body) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut stream = body.into_data_stream();
    loop {
        let piece = timeout(patience(PATIENCE), stream.next()).await;
        let piece = piece.map_err(|_| ApiError::bad("The call stood still and was given up"))?;
        match piece {
            None => return Ok(bytes),
            Some(Err(_)) => return Err(ApiError::bad("The call was broken off")),
            Some(Ok(piece)) if bytes.len() + piece.len() > PARAMETERS_BYTES_MAX => {
                return Err(too_long());
            }
            Some(Ok(piece)) => bytes.extend_from_slice(&piece),
        }
    }
}

fn too_long() -> ApiError {
    ApiError::Bad(format!(
        "The parameters are too long: at most {PARAMETERS_BYTES_MAX} bytes"
    ))
}

fn boundary(headers: &HeaderMap) -> Option<String> {
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
