//! What history may show: a version that could be the same content as the one before
//! it is an open question, and is answered before anyone lists it.

use crate::model::{ChunkHash, NodeId, Origin, Version, VersionState};
use crate::store::StoreError;

use super::seal::hash_file;
use super::{Result, Vault, VaultError, lock};

/// True when the store takes nothing for a while, and that is nobody's fault here.
fn cannot_store_now(error: &StoreError) -> bool {
    matches!(
        error,
        StoreError::SpoolAtBound { .. } | StoreError::PackUnknown { .. }
    )
}

impl Vault {
    /// Settles what history shows of an asset: each sealed version that may be the same
    /// content as the one before it is ingested now. Where the spool is at its bound or the
    /// bucket away, the bytes are compared where they are.
    ///
    /// # Errors
    /// When one could not be ingested for another reason.
    pub fn settle(&self, asset: NodeId) -> Result<()> {
        for (before, version) in self.open_questions(asset)? {
            let ingested = self
                .ingest_now(before.seq)
                .and_then(|()| self.ingest_now(version.seq));
            match ingested {
                Err(VaultError::Store(error)) if cannot_store_now(&error) => {
                    if self.differ(&before, &version)? {
                        lock(&self.distinct).insert(version.seq);
                    } else {
                        // Rather one too many for a while than a history that nobody sees.
                        log::debug!("the same content may be shown twice: {error}");
                    }
                }
                other => other?,
            }
        }
        Ok(())
    }

    /// The sealed versions, oldest first, that may equal the one before, each behind that.
    fn open_questions(&self, asset: NodeId) -> Result<Vec<(Version, Version)>> {
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
                questions.push((before.clone(), version.clone()));
            }
        }
        Ok(questions)
    }

    /// True when two versions are known to hold different bytes.
    fn differ(&self, one: &Version, other: &Version) -> Result<bool> {
        Ok(matches!(
            (self.hash_of(one)?, self.hash_of(other)?),
            (Some(one), Some(other)) if one != other
        ))
    }

    /// `None`: the bytes are nowhere.
    fn hash_of(&self, version: &Version) -> Result<Option<ChunkHash>> {
        if let VersionState::Stored { blake3, .. } = version.state {
            return Ok(Some(blake3));
        }
        loop {
            let Some((file, from_spool)) = self.open_sealed(version)? else {
                return Ok(None);
            };
            let hash = hash_file(&file, version.size)
                .map_err(|error| VaultError::io("reading a sealed version", error))?;
            // Whoever was about to change the file put the bytes into the spool first.
            if from_spool || !self.in_spool(version.seq)? {
                return Ok(Some(hash));
            }
        }
    }
}
