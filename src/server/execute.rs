//! Runs one request against an open vault: the daemon and a command line that has the
//! vault itself do the very same.

use std::ops::ControlFlow;

use super::draining::{DrainRequest, drain};
use super::event::{Event, Item, Progress};
use super::failure::{ErrorCode, Failure};
use super::protocol::{Reply, Request};
use super::{check, found, listing, migrate, restore, retention, usage};
use crate::model::{Hold, PublicId, VersionIdPrefix};
use crate::vault::{Purged, ScanProgress, ScanReport, Survey, Vault};

/// Where a request's events go, and who hears of changes to live files.
pub struct Door<'a> {
    /// Takes an event; breaks when nobody listens any more.
    pub events: &'a mut dyn FnMut(Event) -> ControlFlow<()>,
    /// Called for each live name that changed behind the kernel's back.
    pub changed: &'a dyn Fn(&PublicId),
}

impl std::fmt::Debug for Door<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Door")
    }
}

impl Door<'_> {
    /// Hands an item on; fails when nobody listens, so that long work ends.
    pub(super) fn item(&mut self, item: Item) -> Result<(), Failure> {
        match (self.events)(Event::Item(item)) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(Failure::new(
                ErrorCode::Failed,
                "whoever asked is gone: stopped",
            )),
        }
    }

    pub(super) fn progress(&mut self, progress: Progress) {
        // A walk cannot be broken off from here; its next item ends it.
        let _ = self.progress_if_wanted(progress);
    }

    /// Breaks when nobody listens any more.
    pub(super) fn progress_if_wanted(&mut self, progress: Progress) -> ControlFlow<()> {
        (self.events)(Event::Progress(progress))
    }
}

/// Runs a request to its end.
///
/// # Errors
/// The failure, in the words that the person who asked shall read.
pub fn execute(vault: &Vault, request: &Request, door: &mut Door<'_>) -> Result<Reply, Failure> {
    match request {
        Request::Status => Ok(Reply::Status(Box::new(vault.status()?))),
        Request::Versions { path } => listing::versions(vault, &path.0, door),
        Request::Deleted { path } => listing::deleted(vault, &path.0, door),
        Request::Usage(request) => usage::usage(vault, request, door),
        Request::Policy { path } => {
            let (kept, reason) = vault.explain_policy(&path.0)?;
            Ok(Reply::Policy {
                kept: kept.as_str().into(),
                reason,
            })
        }
        Request::Restore(request) => restore::restore(vault, request, door),
        Request::Backup { path, is_watched } => {
            let mut tell = |seen: &ScanProgress| door.progress(told(seen));
            let report = match is_watched {
                true => vault.scan_watched(&path.0, &mut tell)?,
                false => vault.scan(&path.0, Survey::Backup, &mut tell)?,
            };
            drain(vault, &DrainRequest::default(), door)?;
            Ok(scanned(report))
        }
        Request::Scan { path } => {
            let mut tell = |seen: &ScanProgress| door.progress(told(seen));
            let report = vault.scan(&path.0, Survey::Recover, &mut tell)?;
            Ok(scanned(report))
        }
        Request::Check(request) => check::check(vault, request, door),
        Request::DeleteVersions { path, versions } => {
            let prefixes = versions
                .iter()
                .map(|text| prefix(text))
                .collect::<Result<Vec<_>, _>>()?;
            let gone = vault.delete_versions(&path.0, &prefixes);
            // As below.
            (door.changed)(&path.0);
            Ok(purged(gone?))
        }
        Request::Purge { path } => {
            let gone = vault.purge(&path.0);
            // It can be out of reach although not all of it went well.
            (door.changed)(&path.0);
            Ok(purged(gone?))
        }
        Request::Pin { path, versions } => retention::pin(vault, &path.0, versions, Hold::On, door),
        Request::Unpin { path, versions } => {
            retention::pin(vault, &path.0, versions, Hold::Off, door)
        }
        Request::Prune(request) => retention::prune(vault, request, door),
        Request::Migrate { to } => migrate::migrate(vault, to, door),
        Request::Search(request) => found::search(vault, request, door),
        Request::Drain(request) => drain(vault, request, door).map(|()| Reply::Done),
    }
}

/// A version id or its first digits.
pub(super) fn prefix(text: &str) -> Result<VersionIdPrefix, Failure> {
    text.parse().map_err(|error: crate::model::IdError| {
        Failure::new(ErrorCode::BadInput, error.to_string())
    })
}

fn told(progress: &ScanProgress) -> Progress {
    Progress::Scanned {
        files: progress.seen.files,
        bytes: progress.seen.bytes,
        bytes_waiting: progress.bytes_waiting,
        bytes_total: progress.bytes_total,
    }
}

fn scanned(report: ScanReport) -> Reply {
    Reply::Scanned {
        files: report.files,
        bytes: report.bytes,
        versions: report.versions,
        moved: report.moved,
        deleted: report.deleted,
        unreadable: report.unreadable,
    }
}

fn purged(gone: Purged) -> Reply {
    Reply::Purged {
        assets: gone.assets,
        versions: gone.versions,
        freed_bytes: gone.freed_bytes,
        copy_at: gone.copy_at,
    }
}
