//! `keepfs deleted`: what can be restored.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use clap::Args;

use super::access::run;
use super::arguments::{InVault, Json};
use super::output::{Format, Outcome, Stop, print, print_json, say, size, stop};
use super::place::{Home, place};
use super::table::{Align, Table};
use super::through_mount::{history_path, names, version_id};
use crate::model::{HistoryName, Name, PublicId, Timestamp};
use crate::server::{DeletedRow, ErrorCode, Item, Request, WirePath};

/// List the deleted files that can be restored
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  keepfs deleted ~/assets
  keepfs deleted ~/assets/photos --json | jq -r '.[].path'
  keepfs restore ~/assets/photos          bring them all back")]
pub struct Deleted {
    /// A directory, deleted or not
    #[arg(default_value = ".")]
    path: PathBuf,
    #[command(flatten)]
    vault: InVault,
    #[command(flatten)]
    json: Json,
}

impl Deleted {
    /// Lists them.
    pub fn run(self) -> Outcome {
        let place = place(&self.path, self.vault.vault.as_deref())?;
        let mut rows = Vec::new();
        match &place.home {
            Home::Mount(mountpoint) => walk(mountpoint, &place.id, &mut rows)?,
            Home::Vault(_) => {
                let request = Request::Deleted {
                    path: WirePath(place.id.clone()),
                };
                run(&place.home, &request, &mut |item| {
                    if let Item::Deleted(row) = item {
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

fn walk(mountpoint: &Path, top: &PublicId, rows: &mut Vec<DeletedRow>) -> Result<(), Stop> {
    let mut waiting = vec![top.clone()];
    while let Some(id) = waiting.pop() {
        let path = history_path(mountpoint, HistoryName::Deleted, &id);
        match look(&path, &id, rows) {
            Ok(children) => waiting.extend(children),
            // Nothing deleted there, or restored while we looked.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) if &id != top && error.kind() == io::ErrorKind::PermissionDenied => {
                say(format_args!("{id}: {error}"));
            }
            Err(error) => return Err(stop(ErrorCode::Failed, format!("{id}: {error}"))),
        }
    }
    rows.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(())
}

fn look(path: &Path, id: &PublicId, rows: &mut Vec<DeletedRow>) -> io::Result<Vec<PublicId>> {
    let found = fs::symlink_metadata(path)?;
    if found.is_dir() {
        return Ok(names(path)?
            .iter()
            .filter_map(|name| Name::new(name.as_bytes()).ok())
            .map(|name| id.join(&name))
            .collect());
    }
    let time = |seconds, nanos: i64| Timestamp::from_parts(seconds, nanos as u32).to_string();
    rows.push(DeletedRow {
        path: WirePath(id.clone()),
        size: found.size(),
        kept_at: time(found.ctime(), found.ctime_nsec()),
        modified_at: time(found.mtime(), found.mtime_nsec()),
        version_id: version_id(path).unwrap_or_default(),
    });
    Ok(Vec::new())
}

fn render(rows: &[DeletedRow]) -> String {
    let mut table = Table::new(&[
        ("KEPT", Align::Left),
        ("SIZE", Align::Right),
        ("PATH", Align::Left),
    ]);
    for row in rows {
        table.row(vec![
            row.kept_at.clone(),
            size(row.size),
            row.path.0.to_string(),
        ]);
    }
    match rows.is_empty() {
        true => String::new(),
        false => table.render(),
    }
}
