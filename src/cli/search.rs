//! `keepfs search`: assets by an expression, live or deleted.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::access::run;
use super::arguments::{InVault, Json};
use super::output::{Format, Outcome, print, print_json, say, size, stop};
use super::place::place;
use super::table::{Align, Table};
use crate::server::{ErrorCode, FoundRow, Item, Reply, Request, SearchRequest};

/// Find assets, live or deleted, by an expression
///
/// The language is that of the API and of the page: fields with values, AND, OR, NOT and
/// parentheses; docs/search.md has all of it. Without a status, what is deleted is left out.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  keepfs search 'status:deleted AND folder:photos/*' ~/assets
  keepfs search 'tags:invoice AND created_at>4w'
  keepfs search 'bytes>100m' --sort bytes:desc --max 20
  keepfs search 'format:(png OR jpg)' --json | jq -r '.resources[].path'")]
pub struct Search {
    /// What to look for; '' finds every live asset
    expression: String,
    /// Anywhere in the mount
    #[arg(default_value = ".")]
    path: PathBuf,
    #[command(flatten)]
    vault: InVault,
    /// What comes first: FIELD:asc or FIELD:desc; may be repeated
    #[arg(long, value_name = "FIELD:WAY", value_parser = parse_key)]
    sort: Vec<(String, String)>,
    /// Rows at most
    #[arg(long, value_name = "ROWS", default_value_t = 500)]
    max: usize,
    /// Go on where an earlier search ended
    #[arg(long, value_name = "CURSOR")]
    after: Option<String>,
    #[command(flatten)]
    json: Json,
}

#[derive(Debug, Serialize)]
struct Document {
    total_count: u64,
    resources: Vec<FoundRow>,
    next_cursor: Option<String>,
}

fn parse_key(text: &str) -> Result<(String, String), String> {
    let (field, way) = text.split_once(':').unwrap_or((text, "asc"));
    Ok((field.to_owned(), way.to_owned()))
}

impl Search {
    /// Searches.
    pub fn run(self) -> Outcome {
        let place = place(&self.path, self.vault.vault.as_deref())?;
        let request = Request::Search(SearchRequest {
            expression: self.expression,
            sort_by: self.sort,
            max_results: self.max,
            next_cursor: self.after,
        });
        let mut rows = Vec::new();
        let reply = run(&place.home, &request, &mut |item| {
            if let Item::Found(row) = item {
                rows.push(row);
            }
            Ok(())
        })?;
        let Reply::Found {
            total_count,
            next_cursor,
        } = reply
        else {
            return Err(stop(
                ErrorCode::Failed,
                "the daemon answered something else",
            ));
        };
        if self.json.format() == Format::Json {
            return print_json(&Document {
                total_count,
                resources: rows,
                next_cursor,
            });
        }
        print(render(&rows))?;
        if let Some(cursor) = next_cursor {
            let shown = rows.len();
            say(format_args!(
                "{shown} of {total_count}; go on with --after {cursor}"
            ));
        }
        Ok(())
    }
}

fn render(rows: &[FoundRow]) -> String {
    let mut table = Table::new(&[
        ("STATUS", Align::Left),
        ("SIZE", Align::Right),
        ("UPLOADED", Align::Left),
        ("PATH", Align::Left),
        ("TAGS", Align::Left),
    ]);
    for row in rows {
        table.row(vec![
            row.status.clone(),
            size(row.bytes),
            row.uploaded_at.clone(),
            row.path.0.to_string(),
            row.tags.join(","),
        ]);
    }
    table.render()
}
