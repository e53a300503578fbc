//! What `backup` and `scan` have in common: a walk, and its summary.

use serde::Serialize;

use super::access::{Watch, no_items, run_watched};
use super::output::{Format, Outcome, Stop, count, print_json, print_line, size};
use super::place::Home;
use super::status::unexpected;
use crate::server::{Reply, Request};

/// What a walk found.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Summary {
    /// Regular files seen.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// New versions.
    pub versions: u64,
    /// Assets recognised at a new name.
    pub moved: u64,
    /// Assets that count as deleted now.
    pub deleted: u64,
    /// What could not be read.
    pub unreadable: u64,
}

/// Walks and says what was found.
pub fn walk(home: &Home, request: &Request, format: Format) -> Outcome {
    report(&walk_watched(home, request, &mut |_| {})?, format)
}

/// Walks; `watch` hears how far it is.
pub fn walk_watched(home: &Home, request: &Request, watch: Watch<'_>) -> Result<Summary, Stop> {
    let reply = run_watched(home, request, &mut no_items, watch)?;
    let Reply::Scanned {
        files,
        bytes,
        versions,
        moved,
        deleted,
        unreadable,
    } = reply
    else {
        return Err(unexpected(&reply));
    };
    Ok(Summary {
        files,
        bytes,
        versions,
        moved,
        deleted,
        unreadable,
    })
}

/// Prints what was found.
pub fn report(summary: &Summary, format: Format) -> Outcome {
    match format {
        Format::Json => print_json(summary),
        Format::Text => print_line(sentence(summary)),
    }
}

fn sentence(summary: &Summary) -> String {
    let mut text = format!(
        "{} seen ({}), {}",
        count(summary.files, "file", "files"),
        size(summary.bytes),
        count(summary.versions, "new version", "new versions"),
    );
    for (number, what) in [
        (summary.moved, "found again at a new name"),
        (summary.deleted, "gone and counted as deleted"),
        (summary.unreadable, "not readable, see keepfs.log"),
    ] {
        if number > 0 {
            text.push_str(&format!(", {number} {what}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_names_only_what_happened() {
        let mut summary = Summary {
            files: 1,
            bytes: 1024,
            versions: 2,
            moved: 0,
            deleted: 0,
            unreadable: 0,
        };
        assert_eq!(sentence(&summary), "1 file seen (1.0 KiB), 2 new versions");
        summary.unreadable = 3;
        assert!(sentence(&summary).ends_with(", 3 not readable, see keepfs.log"));
    }
}
