//! `keepfs status`: what is sealed, stored and pending.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::access::{no_items, run};
use super::arguments::{InVault, Json};
use super::output::{Format, Outcome, Stop, count, print, print_json, size, stop};
use super::place::{Home, place};
use super::table::{Align, Table};
use super::through_mount;
use crate::config::parse_duration;
use crate::server::{ErrorCode, Reply, Request};
use crate::vault;

/// Show what a vault holds and what waits
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  keepfs status ~/assets
  keepfs status --vault /srv/vault --json | jq .versions_pending
  keepfs status --max-age 1h ~/assets >/dev/null || alert \"backups are late\"")]
pub struct Status {
    /// A path in the mount, or a vault directory
    #[arg(default_value = ".")]
    path: PathBuf,
    /// Exit with 6 if something waits for the store for longer than this: 90s, 10m, 2h, 1d
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    max_age: Option<Duration>,
    #[command(flatten)]
    vault: InVault,
    #[command(flatten)]
    json: Json,
}

impl Status {
    /// Shows it.
    pub fn run(self) -> Outcome {
        let place = place(&self.path, self.vault.vault.as_deref())?;
        let status = match &place.home {
            Home::Mount(mountpoint) => read(mountpoint)?,
            Home::Vault(_) => match run(&place.home, &Request::Status, &mut no_items)? {
                Reply::Status(status) => *status,
                other => return Err(unexpected(&other)),
            },
        };
        match self.json.format() {
            Format::Json => print_json(&status)?,
            Format::Text => print(render(&status))?,
        }
        match (self.max_age, status.waiting_seconds) {
            (Some(most), Some(waiting)) if waiting > most.as_secs() => Err(stop(
                ErrorCode::Blocked,
                late(waiting, most, status.blocked.as_deref()),
            )),
            _ => Ok(()),
        }
    }
}

fn read(mountpoint: &std::path::Path) -> Result<vault::Status, Stop> {
    let failed = |problem: String| {
        stop(
            ErrorCode::Failed,
            format!("{}: {problem}", mountpoint.display()),
        )
    };
    let text = through_mount::attribute(mountpoint, "status")
        .map_err(|error| failed(error.to_string()))?
        .ok_or_else(|| failed("does not tell its status".into()))?;
    serde_json::from_slice(&text).map_err(|error| failed(error.to_string()))
}

/// An answer of another keepfs.
pub fn unexpected(reply: &Reply) -> Stop {
    log::debug!("unexpected answer: {reply:?}");
    stop(
        ErrorCode::Failed,
        "the daemon is of another version: unmount and mount again",
    )
}

fn moving(migration: &vault::MigrationStatus) -> String {
    let to = &migration.to;
    match (migration.percent, migration.bytes, migration.bytes_total) {
        (Some(percent), Some(bytes), Some(bytes_total)) => {
            format!(
                "{to}, {percent}% ({} of {})",
                size(bytes),
                size(bytes_total)
            )
        }
        _ => format!("{to}, unfinished: keepfs store migrate goes on with it"),
    }
}

fn late(waiting_seconds: u64, most: Duration, why: Option<&str>) -> String {
    format!(
        "something waits for the store since {waiting_seconds} s, {} s are allowed: {}",
        most.as_secs(),
        why.unwrap_or("it may just be much at once")
    )
}

fn render(status: &vault::Status) -> String {
    let mut table = Table::plain(&[Align::Left, Align::Left]);
    let mut row = |name: &str, value: String| table.row(vec![name.into(), value]);
    row("vault", format!("{} ({})", status.name, status.vault));
    row("live tree", status.live.clone());
    row("store", status.store.clone());
    if let Some(migration) = &status.migration {
        row("moving to", moving(migration));
    }
    row("backup", status.backup.clone());
    row(
        "assets",
        format!(
            "{} live, {} deleted",
            status.assets_live, status.assets_deleted
        ),
    );
    row(
        "versions",
        format!("{}, {} in all", status.versions, size(status.logical_bytes)),
    );
    row(
        "stored",
        format!(
            "{} in {} ({} without repetitions)",
            size(status.stored_bytes),
            count(status.packs, "pack", "packs"),
            size(status.unique_bytes)
        ),
    );
    row(
        "waiting",
        match (status.versions_pending, &status.oldest_pending) {
            (0, _) => "nothing".into(),
            (versions, oldest) => format!(
                "{}, {}, since {}",
                count(versions, "version", "versions"),
                size(status.pending_bytes),
                oldest.as_deref().unwrap_or("now")
            ),
        },
    );
    row(
        "on the way",
        match (status.packs_pending, &status.oldest_pack_pending) {
            (0, _) => "nothing".into(),
            (packs, oldest) => format!(
                "{}, {}, since {}",
                count(packs, "pack", "packs"),
                size(status.packs_pending_bytes),
                oldest.as_deref().unwrap_or("now")
            ),
        },
    );
    row(
        "journal",
        match &status.journal_pending_since {
            None => "up to date".into(),
            Some(since) => format!("lacks what is new since {since}"),
        },
    );
    row(
        "last success",
        status
            .last_success
            .clone()
            .unwrap_or_else(|| "nothing went into the store yet".into()),
    );
    if let Some(cache) = &status.disk_cache {
        row(
            "cache",
            format!(
                "{} of {}; {} chunks read from it, {} not, in {}",
                size(cache.bytes),
                size(cache.bytes_max),
                cache.hits,
                cache.misses,
                count(cache.read_requests, "request", "requests")
            ),
        );
    }
    if let Some(reason) = &status.blocked {
        row("blocked", reason.clone());
    }
    for warning in &status.warnings {
        row("warning", warning.clone());
    }
    table.render()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_says_what_waits_and_why() {
        let status = vault::Status {
            name: "photos".into(),
            vault: "/srv/v".into(),
            live: "/srv/v/live".into(),
            store: "file:///srv/v/store".into(),
            backup: "on".into(),
            assets_live: 12,
            assets_deleted: 1,
            versions: 40,
            versions_pending: 1,
            pending_bytes: 1536,
            oldest_pending: Some("2026-11-23T10:00:00Z".into()),
            packs_pending: 3,
            packs_pending_bytes: 40 << 20,
            oldest_pack_pending: Some("2026-11-23T09:00:00Z".into()),
            journal_pending: true,
            journal_pending_since: Some("2026-11-23T10:00:01Z".into()),
            waiting_seconds: Some(3600),
            last_success: None,
            disk_cache: Some(vault::DiskCacheStatus {
                bytes: 3 << 20,
                bytes_max: 2 << 30,
                hits: 4,
                misses: 30,
                read_requests: 5,
            }),
            blocked: Some("no space left for the store".into()),
            warnings: Vec::new(),
            logical_bytes: 5 << 20,
            unique_bytes: 3 << 20,
            stored_bytes: 2 << 20,
            packs: 2,
            migration: Some(vault::MigrationStatus {
                to: "s3://b/p".into(),
                running: true,
                bytes: Some(1 << 20),
                bytes_total: Some(2 << 20),
                percent: Some(50),
            }),
        };
        insta::assert_snapshot!(render(&status));
    }
}
