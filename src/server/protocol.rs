//! The lines of the control socket, as types.
//!
//! A client sends one [`Request`] a line. The answer is any number of [`Event`]
//! lines, then one line with either `ok` (a [`Reply`]) or `error` (a `Failure`).
//! Long lists come as events, so that no line grows with the vault.

use serde::{Deserialize, Serialize};

use super::checked::{CheckRequest, SampleRow};
use super::draining::DrainRequest;
use super::event::Event;
use super::failure::Failure;
use super::found::SearchRequest;
use super::migrate::MigrateSummary;
use super::restored::RestoreRequest;
use super::retention::{PruneRequest, PruneSummary};
use super::usage::{UsageRequest, UsageTotal};
use super::wire_path::WirePath;
use crate::vault::Status;

/// What a client asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// The state of the vault.
    Status,
    /// The versions of an asset, as items.
    Versions {
        /// The asset.
        path: WirePath,
    },
    /// The deleted assets at and below a path, as items.
    Deleted {
        /// The path.
        path: WirePath,
    },
    /// How much space history takes, with rows as items.
    Usage(UsageRequest),
    /// Whether and why a path is backed up.
    Policy {
        /// The path.
        path: WirePath,
    },
    /// Bring content back; each file is an item.
    Restore(RestoreRequest),
    /// Take up existing files, and wait until they are stored.
    Backup {
        /// Where to begin.
        path: WirePath,
        /// Somebody watches, and wants to know how much there is in all.
        #[serde(default)]
        is_watched: bool,
    },
    /// Take up changes made behind the mount's back.
    Scan {
        /// Where to begin.
        path: WirePath,
    },
    /// Compare the catalog with itself and with the store; problems, repairs and orphans
    /// are items.
    Check(CheckRequest),
    /// Delete versions for good.
    DeleteVersions {
        /// The asset.
        path: WirePath,
        /// Version id prefixes.
        versions: Vec<String>,
    },
    /// Delete whole histories for good.
    Purge {
        /// The asset, or the directory with the deleted assets.
        path: WirePath,
    },
    /// Keep versions on purpose; each is an item.
    Pin {
        /// The asset.
        path: WirePath,
        /// Version id prefixes. None: the latest version.
        versions: Vec<String>,
    },
    /// Leave versions to the rules again; each is an item.
    Unpin {
        /// The asset.
        path: WirePath,
        /// Version id prefixes. None: all versions.
        versions: Vec<String>,
    },
    /// Drop what no rule keeps; versions are items.
    Prune(PruneRequest),
    /// Move the store; damage that keeps it from moving is items.
    Migrate {
        /// Where to, as a URL.
        to: String,
    },
    /// Find assets; each is an item.
    Search(SearchRequest),
    /// Wait until what is sealed is in the store.
    Drain(DrainRequest),
}

/// On or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum Switch {
    /// Yes.
    On,
    /// No.
    #[default]
    Off,
}

/// The answer to a request that went through.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// Everything was in the items, or there is nothing to say.
    Done,
    /// The state of the vault.
    Status(Box<Status>),
    /// How much space history takes in all.
    Usage(Box<UsageTotal>),
    /// Whether a path is backed up.
    Policy {
        /// `on` or `off`.
        kept: String,
        /// The rule that says so.
        reason: String,
    },
    /// What a walk found.
    Scanned {
        /// Regular files seen.
        files: u64,
        /// Their bytes.
        bytes: u64,
        /// New versions.
        versions: u64,
        /// Assets recognised at a new name.
        moved: u64,
        /// Assets that count as deleted now.
        deleted: u64,
        /// What could not be read; each is in the log.
        unreadable: u64,
    },
    /// What a check looked at.
    Checked {
        /// Versions.
        versions: u64,
        /// Bytes of packs.
        bytes: u64,
        /// Problems, each an item.
        problems: u64,
        /// Repairs, each an item.
        #[serde(default)]
        repaired: u64,
        /// Orphans, each an item.
        #[serde(default)]
        orphans: u64,
        /// What was read of a sample. `None`: none was asked for.
        #[serde(default)]
        sample: Option<SampleRow>,
    },
    /// What was deleted for good.
    Purged {
        /// Assets whose history is gone whole.
        assets: u64,
        /// Versions.
        versions: u64,
        /// Bytes.
        freed_bytes: u64,
        /// An unfinished copy of the store, which may have them still.
        #[serde(default)]
        copy_at: Option<String>,
    },
    /// What a prune came to.
    Pruned(PruneSummary),
    /// The store is at another place.
    Migrated(MigrateSummary),
    /// How many assets a search found.
    Found {
        /// All that match.
        total_count: u64,
        /// Where the next page begins.
        next_cursor: Option<String>,
    },
}

/// One line from the daemon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Line {
    /// More follows.
    Event(Event),
    /// The end: it went through.
    Ok(Reply),
    /// The end: it did not.
    Error(Failure),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::PublicId;
    use crate::server::{ErrorCode, Progress, RestoreSource, Switch, UsageList};

    fn path(bytes: &[u8]) -> WirePath {
        WirePath(PublicId::new(bytes).unwrap())
    }

    #[test]
    fn requests_and_answers_come_back_as_they_went_each_on_one_line() {
        let requests = [
            Request::Status,
            Request::Versions {
                path: path(b"a\n\xff"),
            },
            Request::Restore(RestoreRequest {
                sources: vec![RestoreSource {
                    path: path(b"x"),
                    version: Some("0193".into()),
                }],
                to: Some(path(b"y")),
                into_directory: Switch::Off,
                dry_run: Switch::On,
                overwrite: Switch::Off,
            }),
            Request::Check(CheckRequest {
                read_data: Switch::Off,
                sample: Some("1%".into()),
                repair: Switch::On,
            }),
            Request::Usage(UsageRequest {
                path: path(b"d"),
                list: UsageList::Top { count: 3 },
            }),
            Request::Drain(DrainRequest {
                path: Some(path(b"d")),
                timeout_seconds: Some(3),
            }),
        ];
        for request in requests {
            let line = serde_json::to_string(&request).unwrap();
            assert!(!line.contains('\n'));
            assert_eq!(serde_json::from_str::<Request>(&line).unwrap(), request);
        }
        let lines = [
            Line::Event(Event::Progress(Progress::Waiting { versions: 3 })),
            Line::Ok(Reply::Done),
            Line::Error(Failure::new(ErrorCode::NotFound, "a: not found")),
        ];
        for line in lines {
            let text = serde_json::to_string(&line).unwrap();
            assert_eq!(serde_json::from_str::<Line>(&text).unwrap(), line);
        }
    }

    #[test]
    fn the_form_of_the_lines_is_what_other_programs_rely_on() {
        let request = Request::Versions { path: path(b"a") };
        assert_eq!(
            serde_json::to_string(&request).unwrap(),
            r#"{"command":"versions","path":"a"}"#
        );
        let error = Line::Error(Failure::new(ErrorCode::NotFound, "gone"));
        assert_eq!(
            serde_json::to_string(&error).unwrap(),
            r#"{"error":{"code":"not_found","message":"gone"}}"#
        );
    }
}
