//! keepfs: a filesystem that never forgets a file.
//!
//! The tour, in layer order; each module imports only from those below it
//! (`tests/architecture.rs` holds it to that):
//!
//! - [`catalog`] keeps facts, [`store`] keeps bytes, [`policy`] judges names,
//!   all three on the plain values of [`model`];
//! - [`vault`] is the rules: what a close, a rename, a delete and a restore mean;
//! - [`history`] shows the past as read-only trees of plain values;
//! - [`mount`] is the kernel's side, [`server`] the control socket's;
//! - [`daemon`] puts one vault together and runs it, [`cli`] is what people type.
//!
//! [`config`] is the settings file, read once and checked; [`notify`] tells somebody how
//! long work ended.

#![forbid(unsafe_code)]
#![warn(missing_docs)]
// A lock that lives on in the arms of a `match` is a deadlock waiting for its second taker.
#![warn(clippy::significant_drop_in_scrutinee)]

pub mod catalog;
pub mod cli;
pub mod config;
pub mod daemon;
pub mod history;
pub mod model;
pub mod mount;
pub mod notify;
pub mod policy;
pub mod search;
pub mod server;
pub mod store;
pub mod vault;
