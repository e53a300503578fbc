//! The thread that makes versions of files that stay open, where the settings want it.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};

use super::error::DaemonError;
use crate::config::Config;
use crate::mount::Checkpointer;

/// Looks at open files this often in an interval.
const LOOKS_PER_INTERVAL: u32 = 4;

/// The running thread; dropping it ends it soon.
#[derive(Debug)]
pub(super) struct Checkpoints {
    _running: Option<Sender<()>>,
}

impl Checkpoints {
    pub(super) fn start(
        mut checkpointer: Checkpointer,
        config: &Config,
    ) -> Result<Self, DaemonError> {
        let Some(interval) = config.checkpoint_interval else {
            return Ok(Self { _running: None });
        };
        let (running, ended) = channel::<()>();
        std::thread::Builder::new()
            .name("keepfs-open".into())
            .spawn(move || {
                let pause = interval / LOOKS_PER_INTERVAL;
                while ended.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
                    checkpointer.run(interval);
                }
            })
            .map_err(|error| DaemonError::io("starting the checkpoints", error))?;
        Ok(Self {
            _running: Some(running),
        })
    }
}
