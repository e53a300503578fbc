//! What a check of the store is asked for, and what it found: plain values.
//!
//! The check itself is `check`.

#[cfg(doc)]
use super::Store;
use super::{Orphan, Sampled, Share};
use crate::model::{PackId, VersionSeq};

/// How deep [`Store::check`] looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckDepth {
    /// Every pack is there with its size, and its table agrees with the catalog.
    Listing,
    /// Every chunk is read and hashed, and what stands around the chunks is compared
    /// with what was written.
    ReadData,
    /// As `Listing`, and the next packs in turn as `ReadData`: so much of the bytes.
    /// Runs of it read every pack in time.
    Sample(Share),
}

/// What [`Store::check`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Findings {
    /// What is not as it was written.
    pub damages: Vec<Damage>,
    /// Packs that nobody needs, as far as the catalog knows.
    pub orphans: Vec<Orphan>,
    /// What was read of a sample. `None`: the check was of no sample.
    pub sampled: Option<Sampled>,
}

/// Damage that [`Store::check`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The pack.
    pub pack: PackId,
    /// What is wrong with it, in one line.
    pub detail: String,
    /// The versions that cannot be read whole; none when only bytes are damaged that
    /// the catalog has too.
    pub versions: Vec<VersionSeq>,
}
