//! `keepfs api-key`: who may use the API and the page.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde::Serialize;

use super::arguments::Json;
use super::output::{Format, Outcome, print, print_json, print_line, stop};
use super::table::{Align, Table};
use crate::config::Config;
use crate::model::{Clock, SystemClock};
use crate::server::api::{KeyRow, KeyUse, Keys};
use crate::server::{ErrorCode, Failure};

/// Make, list and revoke keys for the API and the page
///
/// They are in api-keys.json in the vault, which only its owner can read. Uploads and download
/// addresses are signed with a hash of the secret, as Cloudinary's SDKs do it, so the server
/// must have the secret of such a key. With --log-in a key serves for the admin API and the
/// page only, and its secret is kept as a hash.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  keepfs api-key create ~/vault --name laptop
  keepfs api-key create ~/vault --name page --log-in
  keepfs api-key list ~/vault
  keepfs api-key revoke ~/vault laptop

For the SDKs:
  export CLOUDINARY_URL='cloudinary://KEY:SECRET@VAULT_NAME?upload_prefix=http://127.0.0.1:8787'")]
pub struct ApiKey {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make a key; its secret is shown this once
    Create(Create),
    /// List the keys, without their secrets
    List(List),
    /// Take a key away; whoever used it is refused from now on
    Revoke(Revoke),
}

#[derive(Debug, Args)]
struct Create {
    /// The vault directory
    vault: PathBuf,
    /// What you call it
    #[arg(long, default_value = "key")]
    name: String,
    /// For the admin API and the page only
    #[arg(long)]
    log_in: bool,
    #[command(flatten)]
    json: Json,
}

#[derive(Debug, Args)]
struct List {
    /// The vault directory
    vault: PathBuf,
    #[command(flatten)]
    json: Json,
}

#[derive(Debug, Args)]
struct Revoke {
    /// The vault directory
    vault: PathBuf,
    /// The key, or its name
    key: String,
}

#[derive(Debug, Serialize)]
struct Made<'a> {
    #[serde(flatten)]
    row: &'a KeyRow,
    secret: &'a str,
}

impl ApiKey {
    /// Does it.
    pub fn run(self) -> Outcome {
        match self.action {
            Action::Create(create) => create.run(),
            Action::List(list) => list.run(),
            Action::Revoke(revoke) => revoke.run(),
        }
    }
}

impl Create {
    fn run(self) -> Outcome {
        let (keys, name) = keys_of(&self.vault)?;
        let usage = match self.log_in {
            true => KeyUse::LogIn,
            false => KeyUse::Signing,
        };
        let now = SystemClock.now().to_string();
        let (row, secret) = keys.create(&self.name, usage, now).map_err(failed)?;
        if self.json.format() == Format::Json {
            return print_json(&Made {
                row: &row,
                secret: &secret,
            });
        }
        print_line(format!("api_key     {}\napi_secret  {secret}", row.key))?;
        print_line("The secret is not shown again.")?;
        match usage {
            KeyUse::LogIn => Ok(()),
            KeyUse::Signing => print_line(format!(
                "For the SDKs:\n  export CLOUDINARY_URL='cloudinary://{}:{secret}@{name}?upload_prefix=http://127.0.0.1:8787'",
                row.key
            )),
        }
    }
}

impl List {
    fn run(self) -> Outcome {
        let (keys, _) = keys_of(&self.vault)?;
        let rows = keys.list().map_err(failed)?;
        if self.json.format() == Format::Json {
            return print_json(&rows);
        }
        let mut table = Table::new(&[
            ("KEY", Align::Left),
            ("NAME", Align::Left),
            ("USE", Align::Left),
            ("CREATED", Align::Left),
        ]);
        for row in &rows {
            let usage = match row.usage {
                KeyUse::Signing => "signing",
                KeyUse::LogIn => "log-in",
            };
            table.row(vec![
                row.key.clone(),
                row.name.clone(),
                usage.into(),
                row.created_at.clone(),
            ]);
        }
        print(table.render())
    }
}

impl Revoke {
    fn run(self) -> Outcome {
        let (keys, _) = keys_of(&self.vault)?;
        match keys.revoke(&self.key).map_err(failed)? {
            true => Ok(()),
            false => Err(stop(
                ErrorCode::NotFound,
                format!(
                    "there is no key '{}'; keepfs api-key list shows them",
                    self.key
                ),
            )),
        }
    }
}

fn keys_of(vault: &Path) -> Result<(Keys, String), super::output::Stop> {
    let config = Config::load(vault).map_err(Failure::from)?;
    Ok((Keys::of(&config.vault_dir), config.name))
}

fn failed(error: std::io::Error) -> super::output::Stop {
    stop(ErrorCode::Failed, error.to_string())
}
