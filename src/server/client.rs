//! The command line's end of the control socket.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::ops::ControlFlow;
use std::os::unix::net::UnixStream;
use std::path::Path;

use super::event::Event;
use super::failure::{ErrorCode, Failure};
use super::protocol::{Line, Reply, Request};
use super::socket;

/// A connection to the daemon of one vault.
#[derive(Debug)]
pub struct Client {
    stream: BufReader<UnixStream>,
}

impl Client {
    /// Connects. `None`: no daemon has the vault.
    ///
    /// # Errors
    /// When the socket is there and cannot be used: the wrong user, mostly.
    pub fn connect(socket: &Path) -> io::Result<Option<Self>> {
        Ok(socket::connect(socket)?.map(|stream| Self {
            stream: BufReader::new(stream),
        }))
    }

    /// Sends a request and hands each event on. When `events` breaks, the connection
    /// is closed and the daemon stops at the next file.
    ///
    /// # Errors
    /// What the daemon answered, or that it did not.
    pub fn request(
        &mut self,
        request: &Request,
        events: &mut dyn FnMut(Event) -> ControlFlow<()>,
    ) -> Result<Reply, Failure> {
        let mut line = serde_json::to_vec(request).map_err(|error| lost(error.into()))?;
        line.push(b'\n');
        self.stream.get_mut().write_all(&line).map_err(lost)?;
        loop {
            let mut line = Vec::new();
            self.stream.read_until(b'\n', &mut line).map_err(lost)?;
            if line.is_empty() {
                return Err(lost(io::ErrorKind::UnexpectedEof.into()));
            }
            match serde_json::from_slice(&line).map_err(|error| lost(error.into()))? {
                Line::Event(event) => {
                    if events(event).is_break() {
                        let _ = self.stream.get_ref().shutdown(std::net::Shutdown::Both);
                        return Ok(Reply::Done);
                    }
                }
                Line::Ok(reply) => return Ok(reply),
                Line::Error(failure) => return Err(failure),
            }
        }
    }

    /// Returns when the daemon's process has ended.
    pub fn wait_for_end(mut self) {
        let mut rest = [0u8; 256];
        while matches!(self.stream.read(&mut rest), Ok(1..)) {}
    }
}

fn lost(error: io::Error) -> Failure {
    Failure::new(
        ErrorCode::Failed,
        format!("the daemon did not answer ({error}): keepfs.log in the vault says why"),
    )
}
