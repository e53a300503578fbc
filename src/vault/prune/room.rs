//! How much room drops make: which stored bytes nothing would need any more, counted
//! before anything goes; and which versions the size budget drops.

use std::collections::HashMap;

use crate::catalog::{Catalog, PackUse};
use crate::model::{ChunkHash, ContentId, PublicId, VersionId, VersionSeq, VersionState};
use crate::vault::{Result, Vault, VaultError};

use super::judgement::{Judgement, content_of};
use super::{BATCH, PruneMode, Run};

/// Bytes of a chunk in its pack beside the stored ones: its record's header and its entry
/// in the table.
const CHUNK_FRAME_BYTES: u64 = 48 + 56;

/// What a list of drops sets free, as if they were done.
#[derive(Debug, Default)]
pub(super) struct Room {
    versions_of: HashMap<ContentId, u64>,
    references_to: HashMap<ChunkHash, u64>,
    bytes: u64,
}

impl Room {
    /// Bytes, in all.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// One drop more. Chunks that something else needs count nothing.
    pub(super) fn add(
        &mut self,
        catalog: &mut dyn Catalog,
        seq: VersionSeq,
        content: ContentId,
    ) -> Result<()> {
        let is_known = catalog.version(seq)?.is_some_and(
            |version| matches!(version.state, VersionState::Stored { content: c, .. } if c == content),
        );
        if !is_known {
            return Ok(());
        }
        let used = catalog.content_use(content)?;
        let dropped = self.versions_of.entry(content).or_default();
        *dropped += 1;
        if *dropped < used.versions {
            return Ok(());
        }
        for chunk in used.chunks {
            let gone = self.references_to.entry(chunk.hash).or_default();
            *gone += chunk.listed;
            if *gone >= chunk.refs {
                self.bytes += u64::from(chunk.stored_bytes) + CHUNK_FRAME_BYTES;
            }
        }
        Ok(())
    }
}

/// Bytes of packs that rewriting them would leave out, frames in proportion; all of a pack
/// with nothing alive.
fn wasted_bytes(packs: &[PackUse]) -> u64 {
    let of_pack = |usage: &PackUse| {
        let [all, live, dead] =
            [usage.pack.bytes, usage.live_bytes, usage.dead_bytes].map(u128::from);
        match live {
            0 => usage.pack.bytes,
            _ => u64::try_from(all * dead / (live + dead)).unwrap_or(u64::MAX),
        }
    };
    packs.iter().map(of_pack).sum()
}

impl Vault {
    /// Counts what the drops of one history would set free.
    pub(super) fn add_doomed(&self, judgement: &Judgement, room: &mut Room) -> Result<()> {
        let contents: Vec<(VersionSeq, ContentId)> = judgement
            .doomed()
            .filter_map(|(version, _)| content_of(version).map(|content| (version.seq, content)))
            .collect();
        for batch in contents.chunks(BATCH) {
            let mut catalog = self.catalog();
            for (seq, content) in batch {
                room.add(catalog.as_mut(), *seq, *content)?;
            }
        }
        Ok(())
    }

    /// Chooses what goes because the store is over its budget: the oldest versions that
    /// rules alone keep, until the rest fits.
    ///
    /// # Errors
    /// [`VaultError::NotRemoved`] before any is chosen: a store that lets nothing go stays
    /// over its budget however many versions are dropped.
    pub(super) fn choose_for_budget(&self, run: &mut Run<'_>, budget: u64) -> Result<()> {
        if run.mode == PruneMode::Drop {
            self.remove_emptied_packs()?;
        }
        let mut room = Room::default();
        let mut yielding: Vec<(VersionId, VersionSeq, ContentId)> = Vec::new();
        self.for_each_asset(&PublicId::root(), &mut |_, asset, _| {
            let Some(judgement) = self.judge_asset(run, asset)? else {
                return Ok(());
            };
            self.add_doomed(&judgement, &mut room)?;
            for (version, verdict) in judgement.versions.iter().zip(&judgement.verdicts) {
                if let Some(content) = content_of(version)
                    && verdict.yields_to_budget()
                {
                    yielding.push((version.id, version.seq, content));
                }
            }
            Ok(())
        })?;
        let needed = {
            let mut catalog = self.catalog();
            let stored = catalog.totals()?.pack_bytes;
            let wasted = wasted_bytes(&catalog.pack_use()?);
            stored.saturating_sub(wasted).saturating_sub(budget)
        };
        yielding.sort_unstable();
        for batch in yielding.chunks(BATCH) {
            let mut catalog = self.catalog();
            for (_, seq, content) in batch {
                if room.bytes() >= needed {
                    break;
                }
                room.add(catalog.as_mut(), *seq, *content)?;
                run.over_budget.insert(*seq);
            }
        }
        run.pruned.over_budget_bytes = needed.saturating_sub(room.bytes());
        run.pruned.freed_bytes = room.bytes();
        run.room = None;
        Ok(())
    }

    fn remove_emptied_packs(&self) -> Result<()> {
        let packs = self.catalog().pack_use()?;
        if packs.iter().any(|usage| usage.live_bytes == 0) {
            self.store.repack(0).map_err(VaultError::NotRemoved)?;
        }
        Ok(())
    }
}
