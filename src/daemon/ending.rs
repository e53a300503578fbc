//! What a daemon does before its end, whoever its door was: it stores what waits, and says
//! on the disk that it stopped cleanly, if it did.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sd_notify::NotifyState;

use super::error::DaemonError;
use super::opened::{LastStop, mark_clean};
use super::ready::tell_systemd;
use super::stop::End;
use crate::model::failpoint;
use crate::vault::{Vault, VaultError, Workers};

pub(super) fn finish(
    vault: &Vault,
    workers: Workers,
    recovery: &Recovery,
    end: End,
) -> Result<(), DaemonError> {
    let mut last = 0;
    let drained = workers.stop(&mut |waiting| {
        if waiting != last {
            last = waiting;
            let status = format!("{waiting} versions wait for the store");
            tell_systemd(&[NotifyState::Status(&status)]);
        }
    });
    match end {
        End::Unmounted(result) => result?,
        End::Forced => {
            log::warn!("files were still open: the next mount looks for what they left");
            return Ok(drained?);
        }
    }
    // What waits for the store is in the catalog and the spool: that is a clean stop, too.
    if recovery.is_complete() && !vault.has_missed() {
        mark_clean(vault)?;
    }
    failpoint::reach("daemon.stopped");
    match drained {
        // The next start looks for it anew, with the rest.
        Err(error @ VaultError::Unreadable { .. }) if !recovery.is_complete() => {
            log::warn!("{error}");
            Ok(())
        }
        drained => Ok(drained?),
    }
}

/// The scan after an unclean stop. A stop does not wait for it: the next start
/// begins it anew.
#[derive(Debug)]
pub(super) struct Recovery {
    complete: Arc<AtomicBool>,
}

impl Recovery {
    pub(super) fn start(vault: &Arc<Vault>, last_stop: LastStop) -> Result<Self, DaemonError> {
        let complete = Arc::new(AtomicBool::new(last_stop == LastStop::Clean));
        if last_stop == LastStop::Unclean {
            log::warn!("the last stop was not clean: looking for what changed");
            let (vault, done) = (vault.clone(), complete.clone());
            std::thread::Builder::new()
                .name("keepfs-recovery".into())
                .spawn(move || match vault.recover() {
                    Ok(report) => {
                        log::info!("recovery: {report:?}");
                        done.store(true, Ordering::SeqCst);
                    }
                    Err(error) => log::error!("recovery: {error}; the next mount tries again"),
                })
                .map_err(|error| DaemonError::io("starting the recovery scan", error))?;
        }
        Ok(Self { complete })
    }

    fn is_complete(&self) -> bool {
        self.complete.load(Ordering::SeqCst)
    }
}
