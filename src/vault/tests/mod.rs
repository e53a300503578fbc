//! The rules, shown on a vault in a temporary directory without a mount.

mod budget;
mod checking;
mod committing;
mod deleting;
mod draining;
mod interleaving;
mod materialising;
mod pruning;
mod renaming;
mod restoring;
mod scanning;
mod sealing;
mod usage;
