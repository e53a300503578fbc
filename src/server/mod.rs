//! The control socket: what changes a vault while a daemon has it.
//!
//! [`Request`]s are plain values; [`execute`] runs one against an open vault, whether
//! it came through the socket ([`Server`], [`Client`]) or from a command line that has
//! the vault itself. Nothing here knows of mounts: who must hear of a changed live
//! file is handed in as a closure.

pub mod api;
mod check;
mod checked;
mod client;
mod draining;
mod event;
mod execute;
mod failure;
mod found;
mod listing;
mod migrate;
mod protocol;
mod restore;
mod restored;
mod retention;
mod serve;
mod socket;
mod usage;
mod wire_path;

pub use checked::{CheckRequest, OrphanRow, RepairedRow, SampleRow};
pub use client::Client;
pub use draining::DrainRequest;
pub use event::{DeletedRow, Event, Item, ProblemRow, Progress, VersionRow};
pub use execute::{Door, execute};
pub use failure::{ErrorCode, Failure, code_of_config, code_of_store};
pub use found::{FoundRow, SearchRequest};
pub use migrate::MigrateSummary;
pub use protocol::{Reply, Request, Switch};
pub use restored::{RestoreRequest, RestoreSource, RestoredRow};
pub use retention::{PinRow, PruneRequest, PruneRow, PruneSummary};
pub use serve::Server;
pub use usage::{
    UsageAge, UsageAgeName, UsageKind, UsageList, UsageRequest, UsageRow, UsageSums, UsageTotal,
};
pub use wire_path::WirePath;
