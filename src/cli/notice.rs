//! What is said about a backup that ended, well or badly.

use std::time::Duration;

use super::output::{Stop, count, size};
use super::walk::Summary;
use crate::config::Config;
use crate::model::{PublicId, Timestamp};
use crate::notify::{Ending, Notice};
use crate::server::Progress;

/// A backup under way.
pub struct Account<'a> {
    /// Of the vault.
    pub config: &'a Config,
    /// What is backed up, with all below.
    pub id: &'a PublicId,
    /// When it began.
    pub begun: Timestamp,
    /// What was seen so far.
    seen: Summary,
}

/// How it ended.
#[derive(Debug, Clone, Copy)]
pub enum End<'a> {
    /// It went through.
    Done(&'a Summary),
    /// It did not.
    Failed(&'a Stop),
    /// A signal came, and ends it.
    Interrupted,
}

impl<'a> End<'a> {
    /// That of work which came to its end.
    pub fn of(outcome: &'a Result<Summary, Stop>) -> Self {
        match outcome {
            Ok(summary) => End::Done(summary),
            Err(stop) => End::Failed(stop),
        }
    }
}

impl<'a> Account<'a> {
    /// Nothing was seen yet.
    pub fn new(config: &'a Config, id: &'a PublicId, begun: Timestamp) -> Self {
        Self {
            config,
            id,
            begun,
            seen: Summary::default(),
        }
    }

    /// Takes note of how far it is: all that is known of a backup that fails.
    pub fn watch(&mut self, progress: &Progress) {
        if let Progress::Scanned { files, bytes, .. } = progress {
            (self.seen.files, self.seen.bytes) = (*files, *bytes);
        }
    }

    /// What is to be said after it took so long on that host.
    pub fn notice(&self, end: End<'_>, took: Duration, host: &str) -> Notice {
        let (ending, result, summary) = match end {
            End::Done(summary) => (Ending::Done, result(summary), summary),
            End::Failed(_) => (Ending::Failed, "failed".into(), &self.seen),
            End::Interrupted => (Ending::Failed, "interrupted".into(), &self.seen),
        };
        let name = &self.config.name;
        let subject = format!("keepfs: backup of {name} on {host} {result}");
        let path = match self.id.is_root() {
            true => "everything".into(),
            false => self.id.to_string(),
        };
        let mut lines = vec![
            (
                "vault",
                format!("{name} ({})", self.config.vault_dir.display()),
            ),
            ("host", host.into()),
            ("path", path),
            ("result", result),
        ];
        if let End::Failed(stop) = end {
            lines.push(("error", words(stop)));
        }
        lines.extend([
            ("begun", self.begun.to_string()),
            ("duration", spent(took)),
            ("files", count(summary.files, "file seen", "files seen")),
            (
                "bytes",
                format!("{} ({})", summary.bytes, size(summary.bytes)),
            ),
        ]);
        match end {
            End::Done(_) => lines.push(("versions", format!("{} new", summary.versions))),
            End::Failed(_) | End::Interrupted => lines.push((
                "next",
                "run the same command again: it goes on where it was".into(),
            )),
        }
        let text = lines
            .into_iter()
            .map(|(key, value)| format!("{key:<10} {value}\n"))
            .collect();
        Notice {
            ending,
            subject,
            text,
        }
    }
}

fn result(summary: &Summary) -> String {
    match summary.unreadable {
        0 => "done".into(),
        unreadable => format!("done, but {unreadable} not readable, see keepfs.log"),
    }
}

fn words(stop: &Stop) -> String {
    match stop {
        Stop::Failure(failure) => failure.message.clone(),
        Stop::Reported(_) | Stop::ReaderGone => "see its output".into(),
    }
}

/// `1 h 2 min 3 s`.
fn spent(took: Duration) -> String {
    let seconds = took.as_secs();
    let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{rest} s"),
        (0, _) => format!("{minutes} min {rest} s"),
        _ => format!("{hours} h {minutes} min {rest} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::output::stop;
    use crate::config::InitOptions;
    use crate::server::ErrorCode;

    #[test]
    fn a_notice_says_what_was_done_or_why_not_and_how_far_it_came() {
        let directory = tempfile::tempdir().unwrap();
        let vault = directory.path().join("photos");
        let config = Config::create(&vault, &InitOptions::default()).unwrap();
        let id = PublicId::new(b"2026").unwrap();
        let begun = Timestamp::from_parts(1_795_514_400, 0);
        let mut account = Account::new(&config, &id, begun);
        account.watch(&Progress::Scanned {
            files: 7,
            bytes: 2048,
            bytes_waiting: 0,
            bytes_total: None,
        });
        let failed: Result<Summary, Stop> = Err(stop(ErrorCode::Blocked, "no space left"));
        let took = Duration::from_secs(3723);
        let notice = account.notice(End::of(&failed), took, "here");
        assert_eq!(notice.subject, "keepfs: backup of photos on here failed");
        assert_eq!(notice.ending, Ending::Failed);
        for line in [
            "path       2026\n",
            "result     failed\n",
            "error      no space left\n",
            "begun      2026-11-24T10:00:00Z\n",
            "duration   1 h 2 min 3 s\n",
            "files      7 files seen\n",
            "bytes      2048 (2.0 KiB)\n",
        ] {
            assert!(notice.text.contains(line), "{line}{}", notice.text);
        }
        let notice = account.notice(End::Interrupted, took, "here");
        assert_eq!(
            notice.subject,
            "keepfs: backup of photos on here interrupted"
        );
        assert_eq!(notice.ending, Ending::Failed);
        assert!(notice.text.contains("it goes on where it was"));
        assert!(!notice.text.contains("error"));
        let mut summary = Summary {
            files: 9,
            versions: 4,
            ..Summary::default()
        };
        let notice = account.notice(End::Done(&summary), took, "here");
        assert_eq!(notice.subject, "keepfs: backup of photos on here done");
        assert!(
            notice.text.contains("versions   4 new\n"),
            "{}",
            notice.text
        );
        assert!(!notice.text.contains("error"));
        summary.unreadable = 2;
        let notice = account.notice(End::Done(&summary), took, "here");
        assert!(
            notice
                .subject
                .ends_with("done, but 2 not readable, see keepfs.log")
        );
    }
}
