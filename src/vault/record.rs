//! Recording: what ingest wrote is made durable, becomes the versions' content, and
//! their pins end.
//!
//! The surprise: a version can turn out to be the same content as the one before it;
//! it is taken back then, and was never counted.

use std::time::Instant;

use crate::catalog::{Catalog, Durability, atomically};
use crate::model::{Origin, Version, VersionSeq, VersionState, failpoint};
use crate::store::Written;

use super::ingest_queue::{Lacking, Postponed, RETRY_WAIT};
use super::{Result, Vault, lock};

/// What became of one entry of a batch.
enum Recorded {
    /// It is stored; its pin ends.
    Done(Version),
    /// It was deleted for good while it was written.
    NoVersion,
    /// Its equals were deleted while it waited, and the content with them.
    NoContent,
}

impl Vault {
    /// Makes everything written so far durable, records it, and ends the pins.
    pub(super) fn finish_batch(&self) -> Result<()> {
        let batch = {
            let mut queue = lock(&self.ingest.queue);
            queue.written_bytes = 0;
            queue.written_since = None;
            // Those at work stay visible as active until they are recorded.
            let batch = std::mem::take(&mut queue.written);
            queue.active.extend(batch.iter().map(|(seq, _)| *seq));
            batch
        };
        if batch.is_empty() {
            return Ok(());
        }
        let result = self.record_batch(&batch);
        let mut queue = lock(&self.ingest.queue);
        for (seq, _) in &batch {
            queue.active.remove(seq);
        }
        if result.is_err() {
            queue.waiting.extend(batch.iter().map(|(seq, _)| *seq));
        }
        if queue.is_idle() {
            self.ingest.settled.notify_all();
        }
        drop(queue);
        self.ingest.changed.notify_all();
        result
    }

    fn record_batch(&self, batch: &[(VersionSeq, Written)]) -> Result<()> {
        self.store.sync()?;
        failpoint::reach("ingest.synced");
        let mut done = Vec::with_capacity(batch.len());
        let mut again = Vec::new();
        let mut ownerless = Vec::new();
        let committed = {
            let mut catalog = self.catalog();
            let catalog = catalog.as_mut();
            for (seq, written) in batch {
                match self.record_one(catalog, *seq, written) {
                    Ok(Recorded::Done(version)) => done.push(version),
                    Ok(Recorded::NoVersion) => ownerless.push(written.content),
                    Ok(Recorded::NoContent) => again.push(Postponed {
                        seq: *seq,
                        retry_at: Instant::now() + RETRY_WAIT,
                        reason: "equal content was deleted for good meanwhile".into(),
                        lacks: Lacking::Bytes,
                    }),
                    Err(error) => {
                        log::error!("version row {}: {error}", seq.0);
                        again.push(Postponed::of(*seq, &error));
                    }
                }
            }
            // Deleted for good meanwhile: their bytes must not outlive them.
            for content in ownerless {
                catalog.remove_content_if_unused(content)?;
            }
            self.commit_locked(catalog, Durability::Power)
        };
        failpoint::reach("ingest.recorded");
        lock(&self.ingest.queue).postponed.extend(again);
        committed?;
        for version in &done {
            self.end_pin(version);
        }
        Ok(())
    }

    fn record_one(
        &self,
        catalog: &mut dyn Catalog,
        seq: VersionSeq,
        written: &Written,
    ) -> Result<Recorded> {
        atomically(catalog, |catalog| {
            let Some(version) = catalog.version(seq)? else {
                return Ok(Recorded::NoVersion);
            };
            if matches!(version.state, VersionState::Sealed { .. }) {
                let content = catalog.content_by_hash(&written.blake3, written.size)?;
                if content != Some(written.content) {
                    return Ok(Recorded::NoContent);
                }
                self.record_stored(catalog, &version, written)?;
            }
            Ok(Recorded::Done(version))
        })
    }

    fn record_stored(
        &self,
        catalog: &mut dyn Catalog,
        version: &Version,
        written: &Written,
    ) -> Result<()> {
        let before = catalog.version_before(version.asset, version.id)?;
        let same_as_before = before.as_ref().is_some_and(|before| holds(before, written));
        if same_as_before && version.origin != Origin::Restore && version.origin != Origin::Link {
            return Ok(catalog.remove_version(version.seq)?);
        }
        if matches!(version.origin, Origin::Write | Origin::Restore) {
            // Of a first version nothing has to be asked.
            let source = match before {
                Some(_) => {
                    catalog.version_with_content(version.asset, written.content, version.id)?
                }
                None => None,
            };
            let origin = match source {
                Some(_) => Origin::Restore,
                None => Origin::Write,
            };
            if (origin, source) != (version.origin, version.restored_from) {
                catalog.set_origin(version.seq, origin, source)?;
            }
        }
        Ok(catalog.set_stored(version.seq, written.content, written.blake3)?)
    }

    pub(super) fn end_pin(&self, version: &Version) {
        lock(&self.distinct).remove(&version.seq);
        if let VersionState::Sealed { file, .. } = version.state {
            self.pins.release(file.inode, version.seq);
        }
        if let Err(error) = self.spool.discard(version.seq) {
            log::warn!("spool file {} stays: {error}", version.seq.0);
        }
    }
}

fn holds(version: &Version, written: &Written) -> bool {
    matches!(version.state, VersionState::Stored { content, .. } if content == written.content)
}
