//! `keepfs versions`: every kept content of a file.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use clap::Args;

use super::access::run;
use super::arguments::{InVault, Json};
use super::output::{Format, Outcome, Stop, print, print_json, size, stop};
use super::place::{Home, Place, place};
use super::table::{Align, Table};
use super::through_mount::{history_path, names, text};
use crate::model::{HistoryName, Timestamp};
use crate::server::{ErrorCode, Item, Request, VersionRow, WirePath};

/// List every kept content of a file, oldest first
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  keepfs versions ~/assets/cat.jpg
  keepfs versions ~/assets/cat.jpg --json | jq -r '.[-2].version_id'
  keepfs versions --vault /srv/vault photos/cat.jpg")]
pub struct Versions {
    /// The file; it may be deleted
    path: PathBuf,
    #[command(flatten)]
    vault: InVault,
    #[command(flatten)]
    json: Json,
}

impl Versions {
    /// Lists them.
    pub fn run(self) -> Outcome {
        let place = place(&self.path, self.vault.vault.as_deref())?;
        let mut rows = Vec::new();
        match &place.home {
            Home::Mount(mountpoint) => rows = read(mountpoint, &place)?,
            Home::Vault(_) => {
                let request = Request::Versions {
                    path: WirePath(place.id.clone()),
                };
                run(&place.home, &request, &mut |item| {
                    if let Item::Version(row) = item {
                        rows.push(row);
                    }
                    Ok(())
                })?;
            }
        }
        match self.json.format() {
            Format::Json => print_json(&rows),
            Format::Text => print(render(&rows)),
        }
    }
}

fn read(mountpoint: &Path, place: &Place) -> Result<Vec<VersionRow>, Stop> {
    let directory = history_path(mountpoint, HistoryName::Versions, &place.id);
    let not_found = |what: &str| stop(ErrorCode::NotFound, format!("{}: {what}", place.id));
    let failed = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory => not_found(
            "nothing was kept of it; keepfs policy says why, keepfs deleted lists what there is",
        ),
        _ => stop(ErrorCode::Failed, format!("{}: {error}", place.id)),
    };
    fs::symlink_metadata(&directory).map_err(failed)?;
    if text(&directory, "asset_id").is_none() {
        return Err(stop(
            ErrorCode::BadInput,
            format!("{}: is a directory: name a file in it", place.id),
        ));
    }
    let mut rows = Vec::new();
    for name in names(&directory).map_err(failed)? {
        let path = directory.join(&name);
        match row(&path) {
            Ok(row) => rows.push(row),
            // Deleted for good while we looked.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
        }
    }
    Ok(rows)
}

fn row(path: &Path) -> std::io::Result<VersionRow> {
    let found = fs::symlink_metadata(path)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let time = |seconds, nanos: i64| Timestamp::from_parts(seconds, nanos as u32).to_string();
    Ok(VersionRow {
        version_id: text(path, "version_id").unwrap_or_else(|| name.into_owned()),
        size: found.size(),
        kept_at: time(found.ctime(), found.ctime_nsec()),
        modified_at: time(found.mtime(), found.mtime_nsec()),
        origin: text(path, "origin").unwrap_or_default(),
        state: text(path, "state").unwrap_or_default(),
        mode: format!("{:04o}", found.mode() & 0o7777),
        uid: found.uid(),
        gid: found.gid(),
        restored_from: text(path, "restored_from"),
        blake3: text(path, "blake3"),
        pinned: text(path, "pinned").is_some(),
    })
}

fn render(rows: &[VersionRow]) -> String {
    let mut table = Table::new(&[
        ("VERSION", Align::Left),
        ("KEPT", Align::Left),
        ("SIZE", Align::Right),
        ("ORIGIN", Align::Left),
        ("STATE", Align::Left),
    ]);
    for row in rows {
        let origin = match &row.restored_from {
            Some(source) => format!("{} of {source}", row.origin),
            None => row.origin.clone(),
        };
        table.row(vec![
            row.version_id.clone(),
            row.kept_at.clone(),
            size(row.size),
            origin,
            match row.pinned {
                true => format!("{}, pinned", row.state),
                false => row.state.clone(),
            },
        ]);
    }
    table.render()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_listed_under_headings() {
        let row = |digit: &str, restored_from: Option<String>| VersionRow {
            version_id: digit.repeat(32),
            size: 2048,
            kept_at: "2026-11-23T10:00:00Z".into(),
            modified_at: "2026-11-23T09:59:00Z".into(),
            origin: match restored_from {
                Some(_) => "restore".into(),
                None => "write".into(),
            },
            state: "stored".into(),
            mode: "0644".into(),
            uid: 0,
            gid: 0,
            pinned: restored_from.is_none(),
            restored_from,
            blake3: None,
        };
        let rows = [row("1", None), row("2", Some("1".repeat(32)))];
        insta::assert_snapshot!(render(&rows));
    }
}
