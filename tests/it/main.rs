//! Every test that needs a real mount, in one binary.
//!
//! `cargo test --test it` runs it as who you are; `scripts/as-user` is the runner that
//! repeats it as an ordinary user through fusermount3. Environment:
//! `KEEPFS_TEST_FULL=1` takes the long counts, `KEEPFS_TEST_SEED=N` repeats a random run,
//! `KEEPFS_TEST_KEEP=1` keeps the vault of a failed test.

#![forbid(unsafe_code)]

mod harness;

mod api;
mod api_access;
mod api_commands;
mod api_uploads;
mod away;
mod backup;
mod bad_calls;
mod bad_input;
mod bodies;
mod bucket_crash;
mod bucket_input;
mod bucket_rules;
mod buckets;
mod check;
mod cld;
mod commit_remote;
mod crash;
mod credentials;
mod deleted;
mod encryption;
mod faults;
mod fetching;
mod history;
mod hostile;
mod http;
mod journal;
mod lease;
mod metrics;
mod migrate;
mod model;
mod mounting;
mod namesakes;
mod odd_parameters;
mod policy;
mod proxy;
mod prune;
mod rebuild;
mod rebuild_again;
mod renames;
mod sdks;
mod semantics;
mod servers;
mod smtp;
mod telling;
mod tools;
mod unanswered;
mod usage;
mod versions;
