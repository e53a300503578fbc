//! The grammar of the command line; what a command takes stands in its own file.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use super::output::Format;
use super::{
    api_key, backup, check, completions, delete_version, deleted, exit, init, key, man, mount, pin,
    policy, prune, purge, rebuild, restore, scan, search, serve, space, status, store, umount,
    unpin, versions, wait,
};
use crate::model::WriteClaim;

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

/// What is done where the store is not plainly this vault's to write to.
#[derive(Debug, Clone, Copy, Args)]
pub struct Writing {
    /// Take the store over from the machine that writes to it now
    ///
    /// A store has one writer. After this it is this vault, and the other one cannot write or
    /// delete anything there any more: it says so, and keeps what it has in its spool. Use it
    /// when that machine is gone, or will not mount the vault again; never in fstab or a unit.
    /// Versions that only the other one has are not in this vault's catalog.
    #[arg(long)]
    take_over: bool,
    /// Begin anew in a store that has lost everything
    ///
    /// A place where nothing is left of what this vault has stored there is refused: as a
    /// rule its disk is not mounted. Use this only when what was there is lost for good;
    /// never in fstab or a unit. keepfs check --repair then stores anew what the live files
    /// still have.
    #[arg(long, conflicts_with = "take_over")]
    accept_empty: bool,
}

impl Writing {
    /// As the store takes it.
    pub fn claim(self) -> WriteClaim {
        match (self.take_over, self.accept_empty) {
            (true, _) => WriteClaim::TakeOver,
            (false, true) => WriteClaim::AcceptEmpty,
            (false, false) => WriteClaim::Keep,
        }
    }

    /// The same words for another process.
    pub fn arguments(self) -> impl Iterator<Item = OsString> {
        let given = [
            (self.take_over, "--take-over"),
            (self.accept_empty, "--accept-empty"),
        ];
        let given = given.into_iter().filter(|(is_given, _)| *is_given);
        given.map(|(_, word)| word.into())
    }
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
