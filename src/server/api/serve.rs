//! The HTTP server: listening, connections and their limits, the end.
//!
//! The surprise: [`HttpServer::stop`] lets calls under way come to their end for a few
//! seconds, and an initial backup however long it takes.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::runtime::Runtime;
use tokio::sync::{Semaphore, watch};

use super::answer::answer;
use super::stalled::Stalling;
use super::{Api, Door, blocking};
use crate::model::patience;
use crate::vault::Vault;

/// Connections at once; more wait.
const CONNECTIONS_MAX: usize = 512;
/// A client that does not finish its headers in this time is gone.
const HEADERS_PATIENCE: Duration = Duration::from_secs(15);
/// A client that takes nothing of its answer for so long is gone.
const READING_PATIENCE: Duration = Duration::from_secs(60);
/// Bytes of the headers of one call, and of what is read at once.
const BUFFER_BYTES_MAX: usize = 1 << 20;
/// How often the server looks for uploads in parts that nobody goes on with.
const LOOK_INTERVAL: Duration = Duration::from_secs(60);
/// Calls under way have so long to end when the server stops.
const ENDING_PATIENCE: Duration = Duration::from_secs(5);

/// The server of one vault.
#[derive(Debug)]
pub struct HttpServer {
    api: Arc<Api>,
    runtime: Option<Runtime>,
    ending: watch::Sender<bool>,
    address: SocketAddr,
}

/// Takes an address, before anything else is begun.
///
/// # Errors
/// When it is taken, or not of this machine.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

impl HttpServer {
    /// Starts to answer.
    ///
    /// # Errors
    /// When the machine has no thread left.
    pub fn start(listener: TcpListener, vault: Arc<Vault>, door: Door) -> io::Result<Self> {
        let api = Arc::new(Api::new(vault, door));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .max_blocking_threads(64)
            .thread_name("keepfs-http")
            .enable_all()
            .build()?;
        let address = listener.local_addr()?;
        let (ending, ended) = watch::channel(false);
        let router = Router::new().fallback(answer).with_state(api.clone());
        let _entered = runtime.enter();
        let listener = tokio::net::TcpListener::from_std(listener)?;
        runtime.spawn(drop_idle_uploads(api.clone(), ended.clone()));
        runtime.spawn(accept(listener, router, ended));
        Ok(Self {
            api,
            runtime: Some(runtime),
            ending,
            address,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no more calls, and waits for those under way.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        let Some(runtime) = self.runtime.take() else {
            return;
        };
        self.ending.send_replace(true);
        runtime.block_on(async {
            // Each connection has a receiver: when all are gone, so are the calls.
            let _ = tokio::time::timeout(ENDING_PATIENCE, self.ending.closed()).await;
        });
        runtime.shutdown_timeout(ENDING_PATIENCE);
        let running = {
            let mut running = self
                .api
                .running
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            running.take()
        };
        if let Some(running) = running {
            let _ = running.join();
        }
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        self.end();
    }
}

async fn accept(
    listener: tokio::net::TcpListener,
    router: Router,
    mut ended: watch::Receiver<bool>,
) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else {
            return;
        };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = end_of(&mut ended) => return,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Too many open files, as a rule: others must close some first.
                log::warn!("HTTP: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let _ = stream.set_nodelay(true);
        let (router, mut ended) = (router.clone(), ended.clone());
        tokio::spawn(async move {
            let service = TowerToHyperService::new(router);
            let stream = Stalling::new(stream, patience(READING_PATIENCE));
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(patience(HEADERS_PATIENCE))
                .max_buf_size(BUFFER_BYTES_MAX)
                .serve_connection(TokioIo::new(stream), service);
            let mut connection = std::pin::pin!(connection);
            tokio::select! {
                done = connection.as_mut() => {
                    if let Err(error) = done {
                        log::debug!("HTTP: {error}");
                    }
                }
                () = end_of(&mut ended) => {
                    connection.as_mut().graceful_shutdown();
                    let _ = connection.await;
                }
            }
            drop(place);
        });
    }
}

/// Gives the space of abandoned uploads back though nobody begins another one.
async fn drop_idle_uploads(api: Arc<Api>, mut ended: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(patience(LOOK_INTERVAL)) => {}
            () = end_of(&mut ended) => return,
        }
        let dropped = blocking(&api, |api| {
            api.chunks.drop_idle(api.vault.clock().now());
            Ok(())
        });
        // What went wrong is in the log, and tried again.
        let _ = dropped.await;
    }
}

/// Waits for the end of the server.
async fn end_of(ended: &mut watch::Receiver<bool>) {
    // Without a sender it is over as well.
    let _ = ended.wait_for(|ended| *ended).await.map(|_| ());
}
