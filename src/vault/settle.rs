//! What history may show: a version that could be the same content as the one before
//! it is an open question, and is answered before anyone lists it.

use crate::model::{NodeId, Origin, Version, VersionSeq, VersionState};

use super::{Result, Vault, VaultError, lock};
use crate::store::StoreError;

impl Vault {
    /// Settles what history shows of an asset: each sealed version that may be the same
    /// content as the one before it is ingested now.
    ///
    /// # Errors
    /// When one could not be ingested.
    pub fn settle(&self, asset: NodeId) -> Result<()> {
        for seq in self.open_questions(asset)? {
            match self.ingest_now(seq) {
                // Rather a version too many for a while than a history that cannot be seen.
                Err(VaultError::Store(error @ StoreError::SpoolAtBound { .. })) => {
                    log::debug!("what is shown may be the same content twice: {error}");
                }
                settled => settled?,
            }
        }
        Ok(())
    }

    /// The sealed versions, oldest first, that must be known before the history can be
    /// shown: those that may equal the one before, and what they are compared with.
    fn open_questions(&self, asset: NodeId) -> Result<Vec<VersionSeq>> {
        let is_sealed = |version: &Version| matches!(version.state, VersionState::Sealed { .. });
        let mut count = 2;
        let recent = loop {
            let recent = self.catalog().latest_versions(asset, count)?;
            // What is sealed is recent: a stored version ends the search.
            if recent.len() < count || recent.last().is_some_and(|oldest| !is_sealed(oldest)) {
                break recent;
            }
            count *= 4;
        };
        let distinct = lock(&self.distinct);
        let mut questions = Vec::new();
        for pair in recent.windows(2).rev() {
            let [version, before] = pair else { continue };
            let open = is_sealed(version)
                && version.origin != Origin::Restore
                && version.size == before.size
                && !distinct.contains(&version.seq);
            if open {
                questions.extend([before.seq, version.seq]);
            }
        }
        questions.dedup();
        Ok(questions)
    }
}
