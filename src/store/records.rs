//! What a store says of itself beside its packs: whose it is, who writes, with which key,
//! and the journal. Looked through by a check, and written anew by a repair.
//!
//! The surprise: of these the vault has everything, so nothing in them can be lost for good
//! while there is a vault; but without them a rebuild fails.

use super::error::{Result, StoreError};
use super::journal::{self, AuditDepth};
use super::{CheckDepth, Store, admission, key_object, membership};

/// Something wrong with an object that is no pack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordFlaw {
    /// Its key in the store.
    pub object: String,
    /// In one line.
    pub problem: String,
}

impl std::fmt::Display for RecordFlaw {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.object, self.problem)
    }
}

impl Store {
    /// What is wrong with what the store says of itself. Of the journal every byte is read
    /// unless only the `Listing` is wanted.
    ///
    /// # Errors
    /// When the store gives no answer, or the catalog fails.
    pub fn check_records(&self, depth: CheckDepth) -> Result<Vec<RecordFlaw>> {
        let shared = &*self.shared;
        let depth = match depth {
            CheckDepth::Listing => AuditDepth::Names,
            CheckDepth::ReadData | CheckDepth::Sample(_) => AuditDepth::Objects,
        };
        let mut flaws = Vec::new();
        flaws.extend(membership::flaw(shared)?);
        flaws.extend(shared.lease.flaw(&shared.backend())?);
        flaws.extend(key_object::flaw(shared)?);
        flaws.extend(journal::audit(shared, depth)?);
        for flaw in &flaws {
            log::error!("{flaw}");
        }
        Ok(flaws)
    }

    /// Writes anew what [`check_records`](Self::check_records) found wrong, out of what the
    /// vault knows. What is another vault's or another machine's is left alone.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] when another machine writes there, and what the store answers.
    pub fn repair_records(&self) -> Result<()> {
        let shared = &*self.shared;
        admission::require(shared)?;
        match membership::sign_again(shared) {
            // Another check names it again.
            Err(StoreError::OtherVault { .. } | StoreError::BadPlace { .. }) => {}
            signed => signed?,
        }
        key_object::put_again(shared)?;
        journal::publish_anew(shared)
    }
}
