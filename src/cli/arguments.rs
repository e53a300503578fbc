//! The grammar of the command line; what a command takes stands in its own file.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use super::output::Format;
use super::{
    api_key, backup, check, completions, delete_version, deleted, exit, init, key, man, mount, pin,
    policy, prune, purge, rebuild, restore, scan, search, serve, space, status, store, umount,
    unpin, versions, wait,
};

const LONG_ABOUT: &str = "A filesystem that never forgets a file.

Mount a vault and work in it with the tools you already use. Every time a file is written \
and closed, its new content is kept as a version. Old versions and deleted files are read \
back with ls and cp:

  ls -l  MOUNTPOINT/.versions/photos/cat.jpg/
  cp -a  MOUNTPOINT/.deleted/photos/old.jpg  MOUNTPOINT/photos/";

const EXAMPLES: &str = "Examples:
  keepfs mount ~/vault ~/assets      make a vault and mount it
  keepfs versions ~/assets/cat.jpg   list what was kept of a file
  keepfs restore ~/assets/photos     bring back everything deleted below
  keepfs umount ~/assets             store what waits, then unmount";

/// keepfs.
#[derive(Debug, Parser)]
#[command(
    name = "keepfs",
    version,
    about = "A filesystem that never forgets a file",
    long_about = LONG_ABOUT,
    after_help = format!("{EXAMPLES}\n\n{}", exit::table()),
    max_term_width = 100,
    disable_help_subcommand = true
)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    Init(init::Init),
    Mount(mount::Mount),
    Umount(umount::Umount),
    Status(status::Status),
    Wait(wait::Wait),
    Versions(versions::Versions),
    Deleted(deleted::Deleted),
    Usage(space::Usage),
    Search(search::Search),
    Restore(restore::Restore),
    Backup(backup::Backup),
    Policy(policy::Policy),
    Scan(scan::Scan),
    Check(check::Check),
    Pin(pin::Pin),
    Unpin(unpin::Unpin),
    Prune(prune::Prune),
    DeleteVersion(delete_version::DeleteVersion),
    Purge(purge::Purge),
    Store(store::Store),
    Rebuild(rebuild::Rebuild),
    Key(key::Key),
    Serve(serve::Serve),
    ApiKey(api_key::ApiKey),
    Completions(completions::Completions),
    Man(man::Man),
}

/// How to reach a vault that is not mounted, or not by its mount.
#[derive(Debug, Args)]
pub struct InVault {
    /// The vault directory; PATH is a public_id then (a path relative to the mount root)
    #[arg(long, value_name = "DIR")]
    pub vault: Option<PathBuf>,
}

/// For scripts.
#[derive(Debug, Args)]
pub struct Json {
    /// Print one JSON document; in paths, '%' and what is not plain text is percent-encoded
    #[arg(long)]
    json: bool,
}

impl Json {
    /// What to print.
    pub fn format(&self) -> Format {
        match self.json {
            true => Format::Json,
            false => Format::Text,
        }
    }
}
