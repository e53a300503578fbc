//! `keepfs restore`: brings deleted files and older contents back.

use std::path::{Path, PathBuf};

use clap::Args;

use super::Exit;
use super::access::run;
use super::arguments::{InVault, Json};
use super::output::{Format, Outcome, Stop, print_json, print_line, say, size, stop};
use super::place::{Home, place};
use crate::model::VersionIdPrefix;
use crate::server::{
    ErrorCode, Item, Request, RestoreRequest, RestoreSource, RestoredRow, Switch, WirePath,
};

/// Bring deleted files and older contents back
///
/// A deleted file comes back to its own place with its latest content, a directory with
/// everything that was deleted below it. A restore is a new version: nothing of the history
/// is lost by it. A file that is there is left alone, unless --overwrite is given; its
/// content is a version then.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  keepfs restore ~/assets/photos/cat.jpg                     a deleted file
  keepfs restore ~/assets/photos --dry-run                   what would come back?
  keepfs restore ~/assets/a.txt --version 0198c2 --overwrite an older content
  keepfs restore ~/assets/photos --to ~/assets/found         somewhere else")]
pub struct Restore {
    /// Files, or directories with what is deleted below
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// The version, by its id or the first digits of it [default: the latest]
    #[arg(long, value_name = "ID")]
    version: Option<String>,
    /// Another place in the same mount; a directory where several files are restored
    #[arg(long, value_name = "PATH")]
    to: Option<PathBuf>,
    /// Only say what would be done
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Replace files that are there; their content stays as an older version
    #[arg(long)]
    overwrite: bool,
    #[command(flatten)]
    vault: InVault,
    #[command(flatten)]
    json: Json,
}

impl Restore {
    /// Restores.
    pub fn run(self) -> Outcome {
        let (home, request) = self.request()?;
        let format = self.json.format();
        let mut rows: Vec<RestoredRow> = Vec::new();
        let mut first_problem: Option<Exit> = None;
        run(&home, &Request::Restore(request), &mut |item| match item {
            Item::Restored(row) if format == Format::Json => {
                rows.push(row);
                Ok(())
            }
            // Who reads the lines may stop reading; the work is not stopped by that.
            Item::Restored(row) => match print_line(sentence(&row)) {
                Err(Stop::ReaderGone) => Ok(()),
                printed => printed,
            },
            Item::Problem(problem) => {
                say(&problem.failure);
                first_problem.get_or_insert(problem.failure.code.into());
                Ok(())
            }
            Item::Version(_)
            | Item::Deleted(_)
            | Item::Usage(_)
            | Item::Prune(_)
            | Item::Pin(_)
            | Item::Repaired(_)
            | Item::Orphan(_)
            | Item::Found(_) => Ok(()),
        })?;
        if format == Format::Json {
            print_json(&rows)?;
        }
        match first_problem {
            Some(exit) => Err(Stop::Reported(exit)),
            None => Ok(()),
        }
    }

    fn request(&self) -> Result<(Home, RestoreRequest), Stop> {
        let vault = self.vault.vault.as_deref();
        let mut home: Option<Home> = None;
        let mut sources = Vec::new();
        for path in &self.paths {
            let found = place(path, vault)?;
            same_vault(&mut home, found.home, path)?;
            sources.push(RestoreSource {
                path: WirePath(found.id),
                version: self.version.clone().or(found.version),
            });
        }
        let to = match &self.to {
            None => None,
            Some(path) => {
                let found = place(path, vault).map_err(|_| outside(path))?;
                same_vault(&mut home, found.home, path).map_err(|_| outside(path))?;
                Some(WirePath(found.id))
            }
        };
        if let Some(version) = &self.version {
            version
                .parse::<VersionIdPrefix>()
                .map_err(|error| stop(ErrorCode::BadInput, error.to_string()))?;
            if sources.len() > 1 {
                return Err(stop(
                    ErrorCode::BadInput,
                    "--version is of one file: give one PATH with it",
                ));
            }
        }
        let ends_with_slash = self
            .to
            .as_ref()
            .is_some_and(|to| to.as_os_str().as_encoded_bytes().ends_with(b"/"));
        let home = home.ok_or_else(|| stop(ErrorCode::BadInput, "no PATH given"))?;
        let request = RestoreRequest {
            sources,
            to,
            into_directory: switch(ends_with_slash),
            dry_run: switch(self.dry_run),
            overwrite: switch(self.overwrite),
        };
        Ok((home, request))
    }
}

fn switch(given: bool) -> Switch {
    match given {
        true => Switch::On,
        false => Switch::Off,
    }
}

fn outside(path: &Path) -> Stop {
    stop(
        ErrorCode::BadInput,
        format!(
            "{}: --to must be in the same mount; use cp from .versions or .deleted for any other place",
            path.display()
        ),
    )
}

fn same_vault(home: &mut Option<Home>, found: Home, path: &Path) -> Outcome {
    match home {
        Some(known) if *known != found => Err(stop(
            ErrorCode::BadInput,
            format!(
                "{}: is in another vault: one vault at a time",
                path.display()
            ),
        )),
        _ => {
            *home = Some(found);
            Ok(())
        }
    }
}

fn sentence(row: &RestoredRow) -> String {
    let verb = match row.version_id {
        Some(_) => "restored",
        None => "would restore",
    };
    let source = match row.path == row.to {
        true => String::new(),
        false => format!(" from {}", row.path.0),
    };
    format!(
        "{verb} {}{source} ({}, version {})",
        row.to.0,
        size(row.size),
        row.restored_from
    )
}
