//! `keepfs usage`: how much space history takes, by asset, directory and age.
//!
//! The command is not in `usage.rs`, which is about wrong usage.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::access::run;
use super::arguments::{InVault, Json};
use super::output::{Format, Outcome, count, print, print_json, size};
use super::place::place;
use super::status::unexpected;
use super::table::{Align, Table};
use crate::server::{
    Item, Reply, Request, UsageAge, UsageAgeName, UsageKind, UsageList, UsageRequest, UsageRow,
    UsageSums, UsageTotal, WirePath,
};

/// Show how much space history takes, by directory, file and age
///
/// Counts the versions at and below PATH, those of deleted files included:
///
///   VERSIONS  how many there are
///   LOGICAL   the sum of their sizes
///   UNIQUE    bytes of content that nothing else in the vault has, before compression
///   STORED    bytes in packs that they need, compressed, repeated content once
///   DELETED   the part of STORED that only deleted files need
///
/// Content that two directories share counts in STORED of both, once in their total, and
/// in UNIQUE of neither.
#[derive(Debug, Args)]
#[command(
    verbatim_doc_comment,
    after_help = "Examples:
  keepfs usage ~/assets
  keepfs usage ~/assets/photos --depth 2 --assets
  keepfs usage ~/assets --top 20
  keepfs usage ~/assets --by-age
  keepfs usage --vault /srv/vault photos --json | jq .total.stored_bytes"
)]
pub struct Usage {
    /// A file or a directory; it may be deleted
    #[arg(default_value = ".")]
    path: PathBuf,
    /// List directories so many levels deep; 0 is the total only
    #[arg(short, long, value_name = "N", default_value_t = 1)]
    depth: u32,
    /// List files, too
    #[arg(short, long, visible_alias = "all")]
    assets: bool,
    /// List only the N files that need the most bytes in packs
    #[arg(long, value_name = "N", conflicts_with_all = ["depth", "assets"])]
    top: Option<usize>,
    /// Show also when it was kept: in the last day, week, month, year, or earlier
    #[arg(long)]
    by_age: bool,
    #[command(flatten)]
    vault: InVault,
    #[command(flatten)]
    json: Json,
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Document<'a> {
    path: &'a WirePath,
    rows: &'a [UsageRow],
    total: &'a UsageSums,
    ages: &'a [UsageAge],
}

impl Usage {
    /// Shows it.
    pub fn run(self) -> Outcome {
        let place = place(&self.path, self.vault.vault.as_deref())?;
        let path = WirePath(place.id);
        let request = Request::Usage(UsageRequest {
            path: path.clone(),
            list: self.list(),
        });
        let mut rows = Vec::new();
        let reply = run(&place.home, &request, &mut |item| {
            if let Item::Usage(row) = item {
                rows.push(row);
            }
            Ok(())
        })?;
        let Reply::Usage(total) = reply else {
            return Err(unexpected(&reply));
        };
        match self.json.format() {
            Format::Json => print_json(&Document {
                path: &path,
                rows: &rows,
                total: &total.usage,
                ages: &total.ages,
            }),
            Format::Text => {
                let mut text = render(&rows, &total);
                if self.by_age {
                    text.push('\n');
                    text.push_str(&render_ages(&total.ages));
                }
                print(text)
            }
        }
    }

    fn list(&self) -> UsageList {
        match (self.top, self.assets) {
            (Some(count), _) => UsageList::Top { count },
            (None, true) => UsageList::Assets { depth: self.depth },
            (None, false) => UsageList::Directories { depth: self.depth },
        }
    }
}

fn render(rows: &[UsageRow], total: &UsageTotal) -> String {
    let mut table = Table::new(&[
        ("VERSIONS", Align::Right),
        ("LOGICAL", Align::Right),
        ("UNIQUE", Align::Right),
        ("STORED", Align::Right),
        ("DELETED", Align::Right),
        ("PATH", Align::Left),
    ]);
    let mut line = |sums: &UsageSums, path: String| {
        table.row(vec![
            sums.versions.to_string(),
            size(sums.logical_bytes),
            size(sums.unique_bytes),
            size(sums.stored_bytes),
            share(sums.deleted_stored_bytes, sums.stored_bytes),
            path,
        ]);
    };
    for row in rows {
        let path = &row.path.0;
        let shown = match row.kind {
            UsageKind::Directory => format!("{path}/"),
            UsageKind::Asset => path.to_string(),
            UsageKind::DeletedAsset => format!("{path} (deleted)"),
        };
        line(&row.usage, shown);
    }
    line(&total.usage, "total".into());
    let mut text = table.render();
    if total.usage.versions_pending > 0 {
        text.push_str(&format!(
            "{} on the way to the store: in VERSIONS and LOGICAL only\n",
            count(total.usage.versions_pending, "version", "versions")
        ));
    }
    text
}

/// A part in percent; `-` for nothing.
fn share(part: u64, whole: u64) -> String {
    let percent = u128::from(part) * 100 / u128::from(whole.max(1));
    match (part, percent) {
        (0, _) => "-".into(),
        (_, 0) => "<1%".into(),
        _ => format!("{percent}%"),
    }
}

fn render_ages(ages: &[UsageAge]) -> String {
    let mut table = Table::new(&[
        ("VERSIONS", Align::Right),
        ("LOGICAL", Align::Right),
        ("STORED", Align::Right),
        ("KEPT", Align::Left),
    ]);
    for age in ages {
        let kept = match age.kept {
            UsageAgeName::LastDay => "in the last day",
            UsageAgeName::LastWeek => "in the last week",
            UsageAgeName::LastMonth => "in the last month",
            UsageAgeName::LastYear => "in the last year",
            UsageAgeName::Older => "older",
        };
        table.row(vec![
            age.versions.to_string(),
            size(age.logical_bytes),
            size(age.stored_bytes),
            kept.into(),
        ]);
    }
    table.render()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::PublicId;

    fn sums(number: u64) -> UsageSums {
        UsageSums {
            assets: number,
            assets_deleted: number / 2,
            versions: 3 * number,
            versions_pending: number / 10,
            logical_bytes: number << 20,
            unique_bytes: number << 10,
            stored_bytes: number << 12,
            deleted_stored_bytes: (number / 2) << 11,
        }
    }

    fn row(path: &str, kind: UsageKind, number: u64) -> UsageRow {
        UsageRow {
            path: WirePath(PublicId::new(path.as_bytes()).unwrap()),
            kind,
            usage: sums(number),
        }
    }

    fn answer() -> (Vec<UsageRow>, UsageTotal) {
        let rows = vec![
            row("old.jpg", UsageKind::DeletedAsset, 1),
            row("photos", UsageKind::Directory, 8),
            row("photos/100%.jpg", UsageKind::Asset, 2),
        ];
        let names = [
            UsageAgeName::LastDay,
            UsageAgeName::LastWeek,
            UsageAgeName::LastMonth,
            UsageAgeName::LastYear,
            UsageAgeName::Older,
        ];
        let ages = names.iter().enumerate().map(|(index, kept)| UsageAge {
            kept: *kept,
            versions: index as u64,
            logical_bytes: 1 << (8 * index),
            stored_bytes: 1 << (5 * index),
        });
        let total = UsageTotal {
            usage: sums(10),
            ages: ages.collect(),
        };
        (rows, total)
    }

    #[test]
    fn usage_is_listed_under_headings_with_a_total_and_what_waits() {
        let (rows, total) = answer();
        insta::assert_snapshot!(render(&rows, &total));
        insta::assert_snapshot!("ages", render_ages(&total.ages));
    }

    #[test]
    fn the_json_document_is_what_scripts_rely_on() {
        let (rows, total) = answer();
        let document = Document {
            path: &WirePath(PublicId::root()),
            rows: &rows[..1],
            total: &total.usage,
            ages: &total.ages[..1],
        };
        insta::assert_snapshot!(serde_json::to_string_pretty(&document).unwrap());
    }

    #[test]
    fn a_share_is_never_shown_as_nothing_or_all_where_it_is_not() {
        for (part, whole, text) in [
            (0, 0, "-"),
            (0, 5, "-"),
            (1, 1000, "<1%"),
            (999, 1000, "99%"),
            (u64::MAX, u64::MAX, "100%"),
        ] {
            assert_eq!(share(part, whole), text);
        }
    }
}
