//! `keepfs prune`: drops the versions that no rule keeps.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::access::run;
use super::arguments::{InVault, Json};
use super::output::{Format, Outcome, Stop, count, print, print_json, print_line, say, size};
use super::place::place;
use super::status::unexpected;
use super::table::{Align, Table};
use crate::server::{Item, PruneRequest, PruneRow, PruneSummary, Reply, Request, Switch, WirePath};

/// Drop the versions that no rule of retention keeps
///
/// The rules are in keepfs.toml, under [retention]; without any, everything is kept. What a
/// file holds now and what was pinned (keepfs pin) always stays. Then packs are rewritten
/// of which little is still needed. Programs that have a dropped version open read on.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  keepfs prune ~/assets --dry-run       what would go, and which rule keeps the others
  keepfs prune ~/assets
  keepfs prune --vault /srv/vault logs  only below a directory; the size budget waits
  systemctl enable --now keepfs-prune@photos.timer")]
pub struct Prune {
    /// A file, or a directory with all below, deleted files too
    #[arg(default_value = ".")]
    path: PathBuf,
    /// Only say what would be done, and why, version by version
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// The clock is right, although nothing was kept for a long time, or later than now
    #[arg(long)]
    trust_clock: bool,
    #[command(flatten)]
    vault: InVault,
    #[command(flatten)]
    json: Json,
}

#[derive(Debug, Serialize)]
struct Document {
    dry_run: bool,
    versions: Vec<PruneRow>,
    #[serde(flatten)]
    summary: PruneSummary,
}

impl Prune {
    /// Prunes.
    pub fn run(self) -> Outcome {
        let place = place(&self.path, self.vault.vault.as_deref())?;
        let switch = |on| match on {
            true => Switch::On,
            false => Switch::Off,
        };
        let request = Request::Prune(PruneRequest {
            path: WirePath(place.id),
            dry_run: switch(self.dry_run),
            trust_clock: switch(self.trust_clock),
        });
        let format = self.json.format();
        // Of one file in text, of all in JSON: a document has one end.
        let mut rows: Vec<PruneRow> = Vec::new();
        let reply = run(&place.home, &request, &mut |item| {
            let Item::Prune(row) = item else {
                return Ok(());
            };
            if format == Format::Text && rows.last().is_some_and(|last| last.path != row.path) {
                let printed = print(history(&rows));
                rows.clear();
                // What is done goes on when nobody reads of it any more.
                if self.dry_run || !matches!(printed, Err(Stop::ReaderGone)) {
                    printed?;
                }
            }
            rows.push(row);
            Ok(())
        })?;
        let Reply::Pruned(summary) = reply else {
            return Err(unexpected(&reply));
        };
        match format {
            Format::Json => print_json(&Document {
                dry_run: self.dry_run,
                versions: rows,
                summary,
            }),
            Format::Text => {
                if !rows.is_empty() {
                    print(history(&rows))?;
                }
                if summary.over_budget_bytes > 0 {
                    say(format_args!(
                        "the size budget is not reached, {} too much: what is left is what files hold now, and what is pinned",
                        size(summary.over_budget_bytes)
                    ));
                }
                print_line(sentence(&summary, switch(self.dry_run)))
            }
        }
    }
}

/// The versions of one file.
fn history(rows: &[PruneRow]) -> String {
    let Some(first) = rows.first() else {
        return String::new();
    };
    let mut table = Table::new(&[
        ("  VERSION", Align::Left),
        ("AGE", Align::Right),
        ("SIZE", Align::Right),
        ("VERDICT", Align::Left),
        ("RULE", Align::Left),
    ]);
    for row in rows {
        table.row(vec![
            format!("  {}", row.version_id),
            age(row.age_seconds),
            size(row.size),
            row.verdict.clone(),
            row.rules.join(", "),
        ]);
    }
    format!("{}\n{}", first.path.0, table.render())
}

/// The largest unit that fits.
fn age(seconds: u64) -> String {
    match seconds {
        86_400.. => format!("{}d", seconds / 86_400),
        3_600.. => format!("{}h", seconds / 3_600),
        60.. => format!("{}m", seconds / 60),
        _ => format!("{seconds}s"),
    }
}

fn sentence(summary: &PruneSummary, dry_run: Switch) -> String {
    if !summary.has_rules {
        return "nothing to prune: keepfs.toml has no rule under [retention], so every version is kept"
            .into();
    }
    let (would_drop, freed) = match dry_run {
        Switch::On => ("would drop", "not needed any more"),
        Switch::Off => ("dropped", "freed"),
    };
    let mut text = format!(
        "{would_drop} {} of {}, in {}; {} {freed}",
        summary.dropped,
        count(summary.judged, "version", "versions"),
        count(summary.files, "file", "files"),
        size(summary.freed_bytes),
    );
    if summary.dead_bytes > 0 {
        text.push_str(&format!(
            ", {} to be freed when their packs are worth a rewrite",
            size(summary.dead_bytes)
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::PublicId;

    #[test]
    fn each_version_is_explained_below_its_file() {
        let row = |digit: &str, age_seconds, verdict: &str, rules: &[&str]| PruneRow {
            path: WirePath(PublicId::new(b"photos/cat.jpg").unwrap()),
            version_id: digit.repeat(32),
            kept_at: "2026-11-23T10:00:00Z".into(),
            age_seconds,
            size: 1536,
            verdict: verdict.into(),
            rules: rules.iter().map(ToString::to_string).collect(),
        };
        insta::assert_snapshot!(history(&[
            row("1", 3_000_000, "drop", &["no rule keeps it"]),
            row("2", 7300, "keep", &["pinned"]),
            row("3", 59, "keep", &["head", "last 3", "daily 2026-11-23"]),
        ]));
    }

    #[test]
    fn the_summary_says_what_was_done_or_would_be() {
        let mut summary = PruneSummary {
            has_rules: true,
            judged: 10,
            dropped: 3,
            files: 1,
            files_ended: 0,
            freed_bytes: 2048,
            dead_bytes: 0,
            over_budget_bytes: 0,
        };
        assert_eq!(
            sentence(&summary, Switch::On),
            "would drop 3 of 10 versions, in 1 file; 2.0 KiB not needed any more"
        );
        summary.dead_bytes = 5;
        assert_eq!(
            sentence(&summary, Switch::Off),
            "dropped 3 of 10 versions, in 1 file; 2.0 KiB freed, 5 B to be freed when their packs are worth a rewrite"
        );
        summary.has_rules = false;
        assert!(sentence(&summary, Switch::Off).contains("[retention]"));
    }
}
