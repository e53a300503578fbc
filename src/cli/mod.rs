//! The command line: one file a command.
//!
//! Arguments become a value, the value becomes an exit code. Everything that fails says
//! so in one line on standard error, and every kind of failure has its exit code
//! ([`Exit`]). Nothing here decides what a version is.

mod access;
mod api_key;
mod arguments;
mod backup;
mod check;
mod completions;
mod confirm;
mod delete_version;
mod deleted;
mod exit;
mod fstab;
mod init;
mod interrupt;
mod key;
mod man;
mod mount;
mod notice;
mod output;
mod pin;
mod place;
mod policy;
mod progress;
mod prune;
mod purge;
mod rebuild;
mod restore;
mod scan;
mod search;
mod secret;
mod serve;
mod space;
mod start;
mod status;
mod store;
mod store_migrate;
mod table;
#[cfg(test)]
mod tests;
mod through_mount;
mod umount;
mod unpin;
mod usage;
mod vault_settings;
mod versions;
mod wait;
mod walk;

pub use exit::Exit;
pub use start::main;
