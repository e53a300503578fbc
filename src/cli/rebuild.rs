//! `keepfs rebuild`: a vault out of nothing but its store.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::Exit;
use super::arguments::Json;
use super::output::{Format, Outcome, Stop, count, print_json, print_line, say, size, stop};
use super::progress::Bar;
use super::secret::{SecretFiles, ask};
use super::store_migrate::destination;
use crate::daemon::{LiveAsOf, RebuildRequest, Rebuilt, rebuild};
use crate::model::{Fence, ShellWord, Timestamp};
use crate::server::{ErrorCode, Failure, Progress, WirePath};
use crate::store::Gap;

/// Make a vault anew out of its store, on a machine that never had it
///
/// Brings back every asset, version and deleted asset, names, pins and settings, as they were
/// when the store was last written to; with --live the files of the live tree, too. Nothing
/// is written to the store, so it can be tried while the vault is in use elsewhere. Interrupted
/// by whatever, the same command goes on.
///
/// Not in the store, and so not brought back: files that are not backed up, symlinks, empty
/// directories, and what was on its way when the machine was lost.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  keepfs rebuild --store s3://my-backups/photos --live /srv/vault
  keepfs rebuild --store file:///mnt/disk2/packs --live --at 2026-11-23T10:00:00Z /srv/vault
  keepfs mount --take-over /srv/vault /mnt/assets      then it is this machine that writes

Without --live the live tree stays as it is; the first mount takes up what is in it, and
what is not in it is in .deleted. With --at the first mount makes what differs from the
latest versions the next ones.")]
pub struct Rebuild {
    /// The directory to make; empty, or not there yet
    vault: PathBuf,
    /// The store: a directory, file:///, s3://, gs:// or az://, as in keepfs.toml
    #[arg(long, value_name = "DIR|URL")]
    store: PathBuf,
    /// Write the files of the live tree, too
    #[arg(long)]
    live: bool,
    /// Where the live tree is from now on [default: where the settings say]
    #[arg(long, value_name = "DIR")]
    live_dir: Option<PathBuf>,
    /// The live tree as it was then: 2026-11-23T10:00:00Z, or with another offset
    #[arg(long, value_name = "TIME", requires = "live", value_parser = parse_time)]
    at: Option<Timestamp>,
    /// Take what is before a missing or damaged part of the catalog's journal
    #[arg(long)]
    accept_gap: bool,
    /// Read the journal of a former writer: N in catalog/N in the store [default: the newest]
    #[arg(long, value_name = "N")]
    writer: Option<u64>,
    #[command(flatten)]
    secret: SecretFiles,
    #[command(flatten)]
    json: Json,
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Summary {
    vault: String,
    as_of: String,
    writer: u64,
    journal_missing: Option<u64>,
    journal_flaws: Vec<String>,
    assets: u64,
    deleted: u64,
    versions: u64,
    versions_dropped: u64,
    packs_missing: usize,
    packs_damaged: usize,
    versions_hurt: usize,
    live_files: Option<u64>,
    live_bytes: Option<u64>,
    live_failed: Vec<FailedFile>,
    held_elsewhere: bool,
}

#[derive(Debug, Serialize)]
struct FailedFile {
    path: WirePath,
    error: String,
}

impl Rebuild {
    /// Rebuilds.
    pub fn run(self) -> Outcome {
        let request = self.request()?;
        let mut bar = Bar::new();
        let rebuilt = rebuild(&request, &mut ask, &mut |bytes, bytes_total| {
            bar.update(&Progress::Rebuilt { bytes, bytes_total });
        });
        bar.clear();
        let rebuilt = rebuilt.map_err(Failure::from)?;
        for (path, error) in rebuilt.live.iter().flat_map(|live| &live.failed) {
            say(format_args!("{path}: not brought back: {error}"));
        }
        match self.json.format() {
            Format::Json => print_json(&summary(&rebuilt))?,
            Format::Text => print_line(sentences(&rebuilt))?,
        }
        let has_failed = rebuilt.live.is_some_and(|live| !live.failed.is_empty());
        let packs_hurt = rebuilt.packs_missing + rebuilt.packs_damaged;
        match has_failed || packs_hurt > 0 {
            true => Err(Stop::Reported(Exit::Damaged)),
            false => Ok(()),
        }
    }

    fn request(&self) -> Result<RebuildRequest, Stop> {
        let absolute = |path: &PathBuf| {
            std::path::absolute(path)
                .map_err(|error| stop(ErrorCode::BadInput, format!("{}: {error}", path.display())))
        };
        let vault_dir = absolute(&self.vault)?;
        Ok(RebuildRequest {
            vault_dir,
            place: destination(&self.store)?,
            writer: self.writer.map(Fence),
            gap: match self.accept_gap {
                true => Gap::Accept,
                false => Gap::Refuse,
            },
            live_dir: self.live_dir.as_ref().map(absolute).transpose()?,
            live: match (self.live, self.at) {
                (false, _) => LiveAsOf::Untouched,
                (true, None) => LiveAsOf::LastUpload,
                (true, Some(at)) => LiveAsOf::At(at),
            },
            secret: self.secret.given()?,
        })
    }
}

fn parse_time(text: &str) -> Result<Timestamp, String> {
    text.parse()
        .map_err(|_| "write it as 2026-11-23T10:00:00Z".into())
}

fn summary(rebuilt: &Rebuilt) -> Summary {
    let live = rebuilt.live.as_ref();
    let failed = live.iter().flat_map(|live| &live.failed);
    Summary {
        vault: rebuilt.config.vault_dir.display().to_string(),
        as_of: rebuilt.replayed.published_at.to_string(),
        writer: rebuilt.replayed.fence.0,
        journal_missing: rebuilt.replayed.missing,
        journal_flaws: rebuilt.replayed.flaws.clone(),
        assets: rebuilt.totals.assets_live,
        deleted: rebuilt.totals.assets_deleted,
        versions: rebuilt.totals.versions,
        versions_dropped: rebuilt.settled.dropped,
        packs_missing: rebuilt.packs_missing,
        packs_damaged: rebuilt.packs_damaged,
        versions_hurt: rebuilt.versions_hurt,
        live_files: live.map(|live| live.files),
        live_bytes: live.map(|live| live.bytes),
        live_failed: failed
            .map(|(path, error)| FailedFile {
                path: path.clone().into(),
                error: error.to_string(),
            })
            .collect(),
        held_elsewhere: rebuilt.held_by.is_some(),
    }
}

fn sentences(rebuilt: &Rebuilt) -> String {
    let vault = rebuilt.config.vault_dir.display();
    let totals = &rebuilt.totals;
    let mut lines = vec![format!(
        "rebuilt {vault} as of {}: {}, {} deleted, {}",
        rebuilt.replayed.published_at,
        count(totals.assets_live, "live asset", "live assets"),
        totals.assets_deleted,
        count(totals.versions, "version", "versions"),
    )];
    if let Some(live) = &rebuilt.live {
        lines.push(format!(
            "the live tree has {}, {}",
            count(live.files, "file", "files"),
            size(live.bytes)
        ));
        if live.set_ids_left_out > 0 {
            lines.push(format!(
                "{} (set-user-ID) and not any more, because whoever can write to a store that is not \
                 encrypted could have set that: chmod what shall, keepfs versions --json has the modes",
                count(
                    live.set_ids_left_out,
                    "file ran as its owner or group",
                    "files ran as their owner or group"
                )
            ));
        }
    }
    if rebuilt.settled.dropped > 0 {
        lines.push(format!(
            "{} had not reached the store and are gone with the machine",
            count(rebuilt.settled.dropped, "version", "versions")
        ));
    }
    for flaw in &rebuilt.replayed.flaws {
        lines.push(format!(
            "the journal's {flaw}: what it said, and what came after it, is not known"
        ));
    }
    let packs = [
        (rebuilt.packs_missing, "missing from the store"),
        (rebuilt.packs_damaged, "damaged in the store"),
    ];
    for (packs, what) in packs.into_iter().filter(|(packs, _)| *packs > 0) {
        lines.push(format!(
            "{} {what}",
            count(packs as u64, "pack is", "packs are")
        ));
    }
    if rebuilt.packs_missing + rebuilt.packs_damaged > 0 {
        lines.push(format!(
            "that hurts {}: keepfs check names them",
            count(rebuilt.versions_hurt as u64, "version", "versions")
        ));
    }
    let take_over = match &rebuilt.held_by {
        Some(_) => "--take-over ",
        None => "",
    };
    lines.push(format!(
        "mount it: keepfs mount {take_over}{} MOUNTPOINT",
        ShellWord(vault)
    ));
    if rebuilt.held_by.is_some() {
        lines.push(
            "(another vault is the store's writer; --take-over ends that, and is for when its \
             machine is gone)"
                .into(),
        );
    }
    lines.join("\n")
}
