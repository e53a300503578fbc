//! What ends a mount: somebody unmounts it, or a signal asks us to.
//!
//! The first signal unmounts; where files are open the name goes at once and the rest
//! ends with the last of them. A second signal does not wait for those.

use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::{Handle, Signals};

use crate::mount::{MountError, Mounted, Unmounter, Urgency};

/// Why a mount is over.
#[derive(Debug)]
pub(super) enum End {
    /// It is unmounted, cleanly or not.
    Unmounted(Result<(), MountError>),
    /// A second signal: it may still be in use.
    Forced,
}

/// Signals that arrived while nobody could act on them yet are kept.
#[derive(Debug)]
pub(super) struct StopSignals {
    signals: Signals,
}

impl StopSignals {
    /// From now on these signals do not end the process by themselves.
    pub(super) fn catch() -> io::Result<Self> {
        Ok(Self {
            signals: Signals::new([SIGTERM, SIGINT, SIGHUP])?,
        })
    }

    /// Blocks until a signal comes.
    pub(super) fn wait_for_one(mut self) {
        if let Some(signal) = self.signals.forever().next() {
            log::info!("signal {signal}: stopping");
        }
    }

    /// Blocks until the mount is over.
    pub(super) fn wait_for_end(mut self, mounted: Mounted) -> io::Result<End> {
        let (sender, receiver): (Sender<End>, Receiver<End>) = channel();
        let unmounter = mounted.unmounter();
        let handle: Handle = self.signals.handle();
        let forced = sender.clone();
        let listener = std::thread::Builder::new()
            .name("keepfs-signals".into())
            .spawn(move || {
                let mut arrived = self.signals.forever();
                if let Some(signal) = arrived.next() {
                    log::info!("signal {signal}: unmounting");
                    unmount(&unmounter);
                }
                if let Some(signal) = arrived.next() {
                    log::warn!("signal {signal} again: not waiting for open files");
                    let _ = forced.send(End::Forced);
                }
            })?;
        std::thread::Builder::new()
            .name("keepfs-wait".into())
            .spawn(move || {
                let _ = sender.send(End::Unmounted(mounted.wait()));
            })?;
        let end = receiver
            .recv()
            .map_err(|_| io::Error::other("the mount's threads are gone"))?;
        handle.close();
        let _ = listener.join();
        Ok(end)
    }
}

fn unmount(unmounter: &Unmounter) {
    let Err(error) = unmounter.unmount(Urgency::WhenIdle) else {
        return;
    };
    log::warn!("{error}: taking the name away, open files stay until they are closed");
    if let Err(error) = unmounter.unmount(Urgency::Now) {
        log::error!("{error}");
    }
}
