//! `keepfs wait`: returns when what was closed is in the store.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;

use super::access::{no_items, run};
use super::arguments::InVault;
use super::output::{Outcome, Stop};
use super::place::place;
use crate::config::parse_duration;
use crate::server::{DrainRequest, ErrorCode, Request, WirePath};

/// Between two attempts while the store takes nothing.
const PAUSE: Duration = Duration::from_secs(1);

/// Wait until what was closed is in the store
///
/// Of a file, its versions; of a directory, those of all files below; of the mount's root,
/// everything. Once it returns, what was written before it was called survives the loss of
/// this machine, if the store is on another one. While the store is away or full it goes on
/// trying.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  cp -a photos ~/assets/ && keepfs wait ~/assets/photos
  keepfs wait --timeout 10m ~/assets || echo \"not in the bucket yet\"")]
pub struct Wait {
    /// A path in the mount, or a vault directory
    #[arg(default_value = ".")]
    path: PathBuf,
    /// Give up after this time, with exit code 6: 90s, 10m, 2h
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    timeout: Option<Duration>,
    #[command(flatten)]
    vault: InVault,
}

impl Wait {
    /// Waits.
    pub fn run(self) -> Outcome {
        let place = place(&self.path, self.vault.vault.as_deref())?;
        let until = self
            .timeout
            .and_then(|timeout| Instant::now().checked_add(timeout));
        loop {
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            let request = Request::Drain(DrainRequest {
                path: Some(WirePath(place.id.clone())),
                timeout_seconds: left.map(|left| left.as_secs().max(1)),
            });
            match run(&place.home, &request, &mut no_items) {
                Ok(_) => return Ok(()),
                Err(Stop::Failure(failure)) if failure.code == ErrorCode::Blocked => {
                    if until.is_some_and(|until| Instant::now() + PAUSE > until) {
                        return Err(Stop::Failure(failure));
                    }
                    log::debug!("{failure}: trying again");
                }
                Err(other) => return Err(other),
            }
            std::thread::sleep(PAUSE);
        }
    }
}
