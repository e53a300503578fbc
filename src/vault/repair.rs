//! Repair of damaged packs: the live tree is searched for what is missing.
//!
//! Where the bytes may be is a rule and stands here; storing them anew is the store's.
//! The surprise: a live file that has changed since is searched, too. It may still have
//! the one chunk that is missing.

use std::collections::{BTreeSet, HashSet};

use crate::catalog::{Durability, Standing};
use crate::model::{ChunkHash, NodeId, PackId, PublicId, VersionSeq};
use crate::store::{AtBound, Damage, Repair, StoreError, Tail};

use super::{Result, Vault, live};

/// What a repair did not find.
#[derive(Debug, Default)]
pub(super) struct Lost {
    /// The packs that still lack a chunk.
    pub(super) packs: HashSet<PackId>,
    /// The versions that need one.
    pub(super) versions: HashSet<VersionSeq>,
}

impl Vault {
    /// Stores anew whatever of the damaged packs can be found: in themselves, in the
    /// readers' cache, in the files of the live tree whose versions need it.
    ///
    /// # Errors
    /// When the store or the catalog takes nothing.
    pub(super) fn repair(&self, damages: &[Damage]) -> Result<Lost> {
        self.ingest_sealed()?;
        let packs = damages.iter().map(|damage| damage.pack).collect();
        let mut repair = self.store.repair(&packs)?;
        for path in self.live_files_with(repair.missing())? {
            if repair.missing().is_empty() {
                break;
            }
            self.search(&path, &mut repair)?;
        }
        let missing = repair.finish()?;
        self.commit(Durability::Power)?;
        let lost = self.lost_with(missing)?;
        log::warn!(
            "repair: {} damaged packs, {} of them lack bytes that are lost; {} versions are hurt",
            damages.len(),
            lost.packs.len(),
            lost.versions.len()
        );
        Ok(lost)
    }

    /// What is sealed may be just what is missing, and is nowhere else by now.
    fn ingest_sealed(&self) -> Result<()> {
        let mut after = VersionSeq(0);
        loop {
            let page = self.catalog().sealed_versions(after, 1000)?;
            let Some(last) = page.last() else {
                return self.finish_batch();
            };
            after = last.seq;
            for version in page {
                if let Err(error) = self.ingest_one(version.seq, AtBound::Refuse) {
                    log::warn!("a sealed version was not searched for lost bytes: {error}");
                }
            }
        }
    }

    fn search(&self, path: &PublicId, repair: &mut Repair<'_>) -> Result<()> {
        // The end of a file was cut in one of two ways; what is lost is among those.
        for tail in [Tail::Whole, Tail::Fine] {
            let searched = match self.live.open_file(path) {
                Ok(mut file) => repair.look_in(&mut file, tail),
                Err(error) if live::is_absent(&error) => return Ok(()),
                Err(error) => Err(StoreError::Source(error)),
            };
            match searched {
                Err(StoreError::Source(error)) => {
                    log::warn!("{path}: not searched for lost bytes: {error}");
                    return Ok(());
                }
                other => other?,
            }
        }
        Ok(())
    }

    /// The live files of the assets that have versions with one of these chunks.
    fn live_files_with(&self, chunks: &HashSet<ChunkHash>) -> Result<Vec<PublicId>> {
        let chunks: Vec<ChunkHash> = chunks.iter().copied().collect();
        let versions = self.catalog().versions_with_chunks(&chunks)?;
        // There may be many: the catalog is locked for each anew.
        let mut assets: BTreeSet<NodeId> = BTreeSet::new();
        for seq in versions {
            assets.extend(self.catalog().version(seq)?.map(|version| version.asset));
        }
        let mut paths = Vec::new();
        for asset in assets {
            let mut catalog = self.catalog();
            let record = catalog.asset(asset)?;
            if record.is_some_and(|record| record.standing == Standing::Live) {
                paths.extend(catalog.path_of(asset)?);
            }
        }
        Ok(paths)
    }

    fn lost_with(&self, missing: HashSet<ChunkHash>) -> Result<Lost> {
        let missing: Vec<ChunkHash> = missing.into_iter().collect();
        let mut catalog = self.catalog();
        let mut lost = Lost::default();
        for hash in &missing {
            lost.packs
                .extend(catalog.chunk(hash)?.map(|chunk| chunk.pack));
        }
        lost.versions
            .extend(catalog.versions_with_chunks(&missing)?);
        Ok(lost)
    }
}
