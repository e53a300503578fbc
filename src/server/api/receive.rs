//! Taking an upload in: parameters into memory, a file straight to the live disk.
//!
//! The surprise: whoever calls must have proved who it is before the first byte of a file
//! is taken, so the SDKs' order (file last) is the only one; only a text as short as
//! parameters may come before them. What is not finished leaves nothing behind.

use std::fmt;
use std::io::{self, Write};

use axum::body::Body;
use axum::http::{HeaderMap, Method};
use md5::{Digest, Md5};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::body::{
    Bounded, Gate, PATIENCE, Room, Sender, boundary, broken_off, next_field, parameters, text_of,
};
use super::error::{ApiError, Result, of_io};
use super::parameters::Parameters;
use super::relay::Relay;
use super::signature::hex;
use crate::model::patience;
use crate::vault::Incoming;

/// A file as text, such as a data URI, which is held in memory.
const TEXT_BYTES_MAX: usize = 128 << 20;
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

/// What an upload asks while it comes in.
pub(super) struct Desk<P, B> {
    /// Whose call it is, by the parameters so far.
    pub prove: P,
    /// What takes the bytes of that key's file.
    pub begin: B,
    pub sender: Sender,
    pub bytes_max: u64,
}

/// Reads the parameters and the file of an upload.
pub(super) async fn upload<P, B>(
    headers: &HeaderMap,
    body: Body,
    desk: &Desk<P, B>,
) -> Result<(Parameters, Option<File>)>
where
    P: Fn(&Parameters) -> Result<String>,
    B: Fn(&str) -> Result<Received>,
{
    let Some(boundary) = boundary(headers) else {
        let parameters = parameters(&Method::POST, None, headers, body, desk.sender).await?;
        let file = parameters.text("file").map(File::Text);
        return Ok((parameters, file));
    };
    let mut body = Bounded::new(body, desk.sender);
    let gate = body.gate();
    let multipart = multer::Multipart::new(&mut body, boundary);
    let came = of_multipart(multipart, desk, &gate).await;
    body.drain().await;
    came
}

async fn of_multipart<P, B>(
    mut multipart: multer::Multipart<'_>,
    desk: &Desk<P, B>,
    gate: &Gate,
) -> Result<(Parameters, Option<File>)>
where
    P: Fn(&Parameters) -> Result<String>,
    B: Fn(&str) -> Result<Received>,
{
    let mut parameters = Parameters::default();
    let mut file = None;
    let mut room = Room::of(desk.sender.parameters_bytes_max());
    while let Some(mut field) = next_field(&mut multipart).await? {
        let name = field.name().unwrap_or_default().to_owned();
        let is_file = name == "file" && (field.file_name().is_some() || file.is_none());
        if !is_file {
            parameters.add(name, text_of(field, &mut room).await?)?;
            continue;
        }
        let proved = (desk.prove)(&parameters);
        if proved.is_ok() {
            gate.open();
        }
        if field.file_name().is_none() {
            let text = match proved {
                Ok(_) => text_of(field, &mut Room::of(TEXT_BYTES_MAX)).await?,
                Err(error) => text_of(field, &mut room).await.map_err(|_| error)?,
            };
            file = Some(File::Text(text));
            continue;
        }
        let mut received = (desk.begin)(&proved?)?;
        received.filename = field.file_name().map(str::to_owned);
        file = Some(File::Bytes(Box::new(
            take_in(&mut field, received, desk.bytes_max).await?,
        )));
    }
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
