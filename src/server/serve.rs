//! The daemon's end of the control socket: a thread a connection, one request at a time.
//!
//! Only root and the daemon's own user are answered. The surprise: [`Server::stop`]
//! closes connections for reading only. A client that waits for the daemon to end
//! reads the end of the stream when the process is gone, not earlier.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::net::Shutdown;
use std::ops::ControlFlow;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::event::Event;
use super::execute::{Door, execute};
use super::failure::{ErrorCode, Failure};
use super::protocol::{Line, Request};
use super::socket;
use crate::model::PublicId;
use crate::vault::Vault;

/// Longer request lines are refused: far more than a command line can hold.
const LINE_BYTES_MAX: u64 = 16 << 20;

const CONNECTIONS_MAX: usize = 64;

/// Nobody reads a progress bar faster.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(100);

/// Who hears of live names that a request changed.
type Changed = Arc<dyn Fn(&PublicId) + Send + Sync>;

/// The listening socket of one vault.
#[derive(Debug)]
pub struct Server {
    path: PathBuf,
    listener: Arc<UnixListener>,
    acceptor: Option<JoinHandle<()>>,
    connections: Arc<Connections>,
}

#[derive(Debug, Default)]
struct Connections {
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    stopping: bool,
    next: u64,
    streams: HashMap<u64, UnixStream>,
    threads: HashMap<u64, JoinHandle<()>>,
}

impl Server {
    /// Starts to listen. The caller holds the vault's lock.
    ///
    /// # Errors
    /// When the socket cannot be made.
    pub fn start(
        path: &Path,
        vault: Arc<Vault>,
        changed: impl Fn(&PublicId) + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let listener = Arc::new(socket::listen(path)?);
        let connections = Arc::new(Connections::default());
        let changed: Changed = Arc::new(changed);
        let (listening, accepted) = (listener.clone(), connections.clone());
        let acceptor = std::thread::Builder::new()
            .name("keepfs-control".into())
            .spawn(move || accept(&listening, &accepted, &vault, &changed))?;
        Ok(Self {
            path: path.into(),
            listener,
            acceptor: Some(acceptor),
            connections,
        })
    }

    /// Takes no more requests and waits for those under way. What it returns keeps
    /// the clients waiting until it is dropped.
    pub fn stop(mut self) -> Lingering {
        self.close()
    }

    fn close(&mut self) -> Lingering {
        let Some(acceptor) = self.acceptor.take() else {
            return Lingering(Vec::new());
        };
        self.connections.lock().stopping = true;
        // Ends the accept that is under way.
        let _ = rustix::net::shutdown(&*self.listener, rustix::net::Shutdown::Both);
        let _ = acceptor.join();
        socket::remove(&self.path);
        let (streams, threads) = {
            let mut open = self.connections.lock();
            let streams: Vec<UnixStream> = open.streams.drain().map(|(_, s)| s).collect();
            let threads: Vec<JoinHandle<()>> = open.threads.drain().map(|(_, t)| t).collect();
            (streams, threads)
        };
        for stream in &streams {
            let _ = stream.shutdown(Shutdown::Read);
        }
        for thread in threads {
            let _ = thread.join();
        }
        Lingering(streams)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.close();
    }
}

/// Connections whose clients wait for the daemon's end.
#[derive(Debug)]
pub struct Lingering(#[allow(dead_code, reason = "held, not read")] Vec<UnixStream>);

impl Connections {
    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn accept(
    listener: &UnixListener,
    connections: &Arc<Connections>,
    vault: &Arc<Vault>,
    changed: &Changed,
) {
    loop {
        let accepted = listener.accept();
        if connections.lock().stopping {
            return;
        }
        match accepted {
            Ok((stream, _)) => {
                if let Err(error) = start_thread(stream, connections, vault, changed) {
                    log::warn!("control socket: {error}");
                }
            }
            Err(error) => {
                log::warn!("control socket: {error}");
                // Out of descriptors, most likely: let some go.
                std::thread::sleep(PROGRESS_INTERVAL);
            }
        }
    }
}

fn start_thread(
    stream: UnixStream,
    connections: &Arc<Connections>,
    vault: &Arc<Vault>,
    changed: &Changed,
) -> io::Result<()> {
    if let Err(failure) = check_peer(&stream) {
        return write_line(&mut &stream, &Line::Error(failure));
    }
    // Held while the thread starts, so that its end finds its own entries.
    let mut open = connections.lock();
    if open.stopping || open.streams.len() >= CONNECTIONS_MAX {
        let failure = Failure::new(ErrorCode::Blocked, "the daemon is busy: try again");
        return write_line(&mut &stream, &Line::Error(failure));
    }
    let number = open.next;
    open.next += 1;
    open.streams.insert(number, stream.try_clone()?);
    let (vault, changed, home) = (vault.clone(), changed.clone(), connections.clone());
    let thread = std::thread::Builder::new()
        .name("keepfs-request".into())
        .spawn(move || {
            if let Err(error) = converse(stream, &vault, &changed) {
                log::debug!("control connection: {error}");
            }
            let mut open = home.lock();
            if !open.stopping {
                open.streams.remove(&number);
                open.threads.remove(&number);
            }
        })?;
    open.threads.insert(number, thread);
    Ok(())
}

fn check_peer(stream: &UnixStream) -> Result<(), Failure> {
    let own = rustix::process::geteuid();
    match rustix::net::sockopt::socket_peercred(stream) {
        Ok(peer) if peer.uid.is_root() || peer.uid == own => Ok(()),
        Ok(peer) => {
            log::warn!("control socket: refused user {}", peer.uid.as_raw());
            Err(Failure::new(
                ErrorCode::Refused,
                "only root and the user who mounted the vault may do that",
            ))
        }
        Err(error) => Err(Failure::new(ErrorCode::Failed, error.to_string())),
    }
}

fn converse(stream: UnixStream, vault: &Vault, changed: &Changed) -> io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut writer = BufWriter::new(stream);
    loop {
        let mut line = Vec::new();
        (&mut reader)
            .take(LINE_BYTES_MAX + 1)
            .read_until(b'\n', &mut line)?;
        if line.is_empty() {
            return Ok(());
        }
        if line.len() as u64 > LINE_BYTES_MAX {
            let failure = Failure::new(ErrorCode::BadInput, "the request is too long");
            return write_line(&mut writer, &Line::Error(failure));
        }
        let last = answer(&line, vault, changed, &mut writer);
        write_line(&mut writer, &last)?;
    }
}

fn answer(line: &[u8], vault: &Vault, changed: &Changed, writer: &mut impl Write) -> Line {
    let request: Request = match serde_json::from_slice(line) {
        Ok(request) => request,
        Err(error) => {
            let text = format!("not a request: {error}");
            return Line::Error(Failure::new(ErrorCode::BadInput, text));
        }
    };
    log::debug!("control: {request:?}");
    let mut last_progress: Option<Instant> = None;
    let mut events = |event: Event| {
        if matches!(event, Event::Progress(_)) {
            if last_progress.is_some_and(|last| last.elapsed() < PROGRESS_INTERVAL) {
                return ControlFlow::Continue(());
            }
            last_progress = Some(Instant::now());
        }
        match write_line(writer, &Line::Event(event)) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    };
    let mut door = Door {
        events: &mut events,
        changed: &**changed,
    };
    match execute(vault, &request, &mut door) {
        Ok(reply) => Line::Ok(reply),
        Err(failure) => {
            log::warn!("control: {failure}");
            Line::Error(failure)
        }
    }
}

fn write_line(writer: &mut impl Write, line: &Line) -> io::Result<()> {
    let mut text = serde_json::to_vec(line)?;
    text.push(b'\n');
    writer.write_all(&text)?;
    // Items may gather; whatever a person waits for goes out at once.
    match line {
        Line::Event(Event::Item(_)) => Ok(()),
        _ => writer.flush(),
    }
}
