//! `keepfs store`: what concerns the place where packs lie.

use clap::{Args, Subcommand};

use super::output::{Outcome, print_line, say, stop};
use crate::model::StorePlace;
use crate::server::ErrorCode;
use crate::store;

/// Allow a vault to write to a bucket
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  keepfs store allow s3://my-backups --name photos
  keepfs store allow --help")]
pub struct Store {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    Allow(Allow),
}

/// Put the marker into a bucket that lets a vault write there
///
/// A vault writes to a bucket only where its owner has put the empty object
/// .wellknown/keepfs/NAME at the bucket's root. This writes it, with the credentials of the
/// environment. Each vault has a marker and a prefix of its own.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  keepfs store allow s3://my-backups --name photos
  keepfs store allow 's3://b/p?endpoint=http://127.0.0.1:9000' --name photos")]
struct Allow {
    /// The bucket, as in keepfs.toml: s3://, gs:// or az://
    url: String,
    /// The vault's name: name in its keepfs.toml, else that of its directory
    #[arg(long, value_name = "VAULT")]
    name: String,
}

impl Store {
    /// Does it.
    pub fn run(self) -> Outcome {
        match self.task {
            Task::Allow(allow) => allow.run(),
        }
    }
}

impl Allow {
    fn run(self) -> Outcome {
        let place =
            StorePlace::parse(&self.url).map_err(|problem| stop(ErrorCode::BadInput, problem))?;
        let StorePlace::Bucket(place) = place else {
            return Err(stop(
                ErrorCode::BadInput,
                format!("{}: a directory needs no marker", self.url),
            ));
        };
        store::allow(&place, &self.name).map_err(|error| {
            let code = crate::server::code_of_store(&error);
            stop(code, error.to_string())
        })?;
        print_line(format_args!(
            "the vault '{}' may write to {}://{}",
            self.name,
            place.cloud.scheme(),
            place.bucket
        ))?;
        for harm in store::harms(&place) {
            say(format_args!("warning: {harm}"));
        }
        Ok(())
    }
}
