//! `keepfs store migrate`: moves the store to another place.

use std::path::{Path, PathBuf};

use clap::Args;

use super::access::{run, settings_of};
use super::arguments::{InVault, Json};
use super::output::{Format, Outcome, Stop, count, print_json, print_line, say, size, stop};
use super::place::{Home, place};
use super::status::unexpected;
use crate::daemon::keepfs_mount_of;
use crate::model::StorePlace;
use crate::server::{ErrorCode, Item, MigrateSummary, Reply, Request};
use crate::store::command_that_removes;

/// Copy all history to another store, then use that one
///
/// Works while the vault is mounted and written to, and where it is not. Every pack is read,
/// compared with its checksums and copied; then the store line of keepfs.toml is changed.
/// Interrupted by whatever, by Ctrl-C too, the same command goes on where it was, and until
/// the last moment the old store is the store. The new place must be empty. The old store is
/// left as it is: remove it when `keepfs check --read-data` is content with the new one.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  keepfs store migrate /mnt/disk2/packs ~/assets
  keepfs store migrate s3://my-backups/photos ~/assets
  keepfs store migrate file:///srv/packs --vault /srv/vault

A bucket's owner must have allowed the vault (keepfs store allow). The credentials of both
stores must be where the daemon finds them: in its environment, or in the files of the
cloud's own tools.")]
pub struct Migrate {
    /// Where to: a directory, file:///, s3://, gs:// or az://, as in keepfs.toml
    #[arg(value_name = "NEW_URL")]
    url: PathBuf,
    /// A path in the mount, or a vault directory
    #[arg(default_value = ".")]
    path: PathBuf,
    #[command(flatten)]
    vault: InVault,
    #[command(flatten)]
    json: Json,
}

impl Migrate {
    /// Moves it.
    pub fn run(self) -> Outcome {
        let home = place(&self.path, self.vault.vault.as_deref())?.home;
        let to = destination(&self.url)?;
        check_layout(&home, &to)?;
        let request = Request::Migrate { to: to.to_string() };
        let reply = run(&home, &request, &mut |item| {
            if let Item::Problem(problem) = item {
                say(&problem.failure);
            }
            Ok(())
        })?;
        let Reply::Migrated(summary) = reply else {
            return Err(unexpected(&reply));
        };
        match self.json.format() {
            Format::Json => print_json(&summary),
            Format::Text => print_line(sentence(&summary)),
        }
    }
}

/// A directory is meant from here, not from the vault.
pub(super) fn destination(url: &Path) -> Result<StorePlace, Stop> {
    let bad = |problem: String| stop(ErrorCode::BadInput, problem);
    let place = match url.to_str() {
        Some(text) => StorePlace::parse(text).map_err(bad)?,
        None => StorePlace::Directory(url.into()),
    };
    match place {
        StorePlace::Directory(path) => std::path::absolute(&path)
            .map(StorePlace::Directory)
            .map_err(|error| bad(format!("{}: {error}", path.display()))),
        bucket => Ok(bucket),
    }
}

/// What the daemon cannot see: where mounts are.
fn check_layout(home: &Home, to: &StorePlace) -> Result<(), Stop> {
    let mountpoint = match home {
        Home::Mount(mountpoint) => Some(&**mountpoint),
        Home::Vault(_) => None,
    };
    settings_of(home)?
        .with_store(to.clone())
        .validate_layout(mountpoint)?;
    let Some(directory) = to.directory() else {
        return Ok(());
    };
    let existing = directory
        .ancestors()
        .find_map(|path| path.canonicalize().ok());
    let inside = keepfs_mount_of(&existing.unwrap_or_default())
        .map_err(|error| stop(ErrorCode::Failed, format!("the mount table: {error}")))?;
    match inside {
        Some(mountpoint) => Err(stop(
            ErrorCode::BadInput,
            format!(
                "{}: is inside the mount {}: choose a place outside it",
                directory.display(),
                mountpoint.display()
            ),
        )),
        None => Ok(()),
    }
}

fn sentence(summary: &MigrateSummary) -> String {
    let packs = |number| count(number, "pack", "packs");
    let mut text = format!(
        "the store is at {} now: {}, {}",
        summary.to,
        packs(summary.packs),
        size(summary.bytes)
    );
    if summary.copied_packs != summary.packs {
        text.push_str(&format!(
            " ({}, {} of them copied now)",
            packs(summary.copied_packs),
            size(summary.copied_bytes)
        ));
    }
    text.push_str("\nthe old one is left as it is; when keepfs check --read-data finds nothing: ");
    text.push_str(&match StorePlace::parse(&summary.from) {
        Ok(from) => command_that_removes(&from),
        Err(_) => format!("remove {}", summary.from),
    });
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_says_where_the_store_is_and_how_the_old_one_goes() {
        let mut summary = MigrateSummary {
            from: "file:///srv/v/store".into(),
            to: "s3://b/p".into(),
            packs: 3,
            bytes: 3072,
            copied_packs: 3,
            copied_bytes: 3072,
        };
        assert_eq!(
            sentence(&summary),
            "the store is at s3://b/p now: 3 packs, 3.0 KiB\n\
             the old one is left as it is; when keepfs check --read-data finds nothing: \
             rm -r '/srv/v/store'"
        );
        (summary.copied_packs, summary.copied_bytes) = (1, 1024);
        let text = sentence(&summary);
        assert!(
            text.contains("3.0 KiB (1 pack, 1.0 KiB of them copied now)\n"),
            "{text}"
        );
    }

    #[test]
    fn a_directory_is_meant_from_where_the_command_runs() {
        let here = std::env::current_dir().unwrap();
        let place = destination(Path::new("packs")).unwrap();
        assert_eq!(place.directory(), Some(&*here.join("packs")));
        let place = destination(Path::new("s3://b")).unwrap();
        assert_eq!(place.to_string(), "s3://b");
        assert!(destination(Path::new("ftp://b")).is_err());
    }
}
