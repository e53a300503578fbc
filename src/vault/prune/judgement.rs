//! Verdicts for one history, from the catalog's rows.

use std::collections::HashSet;

use crate::catalog::{AssetRecord, Standing};
use crate::model::{ContentId, Hold, NodeId, PublicId, Version, VersionSeq, VersionState};
use crate::policy::{Bytes, Candidate, DropReason, FileState, Verdict, judge};
use crate::store::AtBound;
use crate::vault::{Result, Vault};

use super::Run;

/// A history and its verdicts.
pub(super) struct Judgement {
    pub path: PublicId,
    pub file: FileState,
    pub versions: Vec<Version>,
    pub verdicts: Vec<Verdict>,
}

/// What the catalog has of one history at one moment.
struct History {
    path: PublicId,
    file: FileState,
    versions: Vec<Version>,
    holds: HashSet<VersionSeq>,
}

impl History {
    fn sealed(&self) -> Vec<VersionSeq> {
        let is_sealed = |version: &&Version| matches!(version.state, VersionState::Sealed { .. });
        let sealed = self.versions.iter().filter(is_sealed);
        sealed.map(|version| version.seq).collect()
    }
}

impl Judgement {
    /// The versions that are to go.
    pub fn doomed(&self) -> impl Iterator<Item = (&Version, &DropReason)> {
        self.versions
            .iter()
            .zip(&self.verdicts)
            .filter_map(|(version, verdict)| match verdict {
                Verdict::Drop(reason) => Some((version, reason)),
                Verdict::Keep(_) => None,
            })
    }
}

impl Vault {
    /// Judges the history of an asset. `None`: it is gone.
    pub(super) fn judge_asset(&self, run: &Run<'_>, asset: NodeId) -> Result<Option<Judgement>> {
        let mut facts = self.history_of(asset)?;
        let sealed = facts.as_ref().map(History::sealed).unwrap_or_default();
        if !sealed.is_empty() {
            self.store_now(&sealed);
            facts = self.history_of(asset)?;
        }
        let Some(History {
            path,
            file,
            versions,
            holds,
        }) = facts
        else {
            return Ok(None);
        };
        let candidates: Vec<Candidate> = versions
            .iter()
            .map(|version| Candidate {
                id: version.id,
                kept_at: version.kept_at,
                hold: match holds.contains(&version.seq) {
                    true => Hold::On,
                    false => Hold::Off,
                },
                bytes: match version.state {
                    VersionState::Stored { .. } => Bytes::Stored,
                    VersionState::Sealed { .. } => Bytes::OnTheirWay,
                },
            })
            .collect();
        let verdicts = judge(run.retention.rules_for(&path), &candidates, file, run.now);
        Ok(Some(Judgement {
            path,
            file,
            versions,
            verdicts,
        }))
    }

    fn history_of(&self, asset: NodeId) -> Result<Option<History>> {
        let mut catalog = self.catalog();
        let (Some(record), Some(path)) = (catalog.asset(asset)?, catalog.path_of(asset)?) else {
            return Ok(None);
        };
        Ok(Some(History {
            path,
            file: file_state(&record),
            versions: catalog.versions(asset)?,
            holds: catalog.holds(asset)?.into_iter().collect(),
        }))
    }

    /// What cannot be stored now stays where it is, and is not pruned.
    fn store_now(&self, sealed: &[VersionSeq]) {
        let stored = sealed
            .iter()
            .try_for_each(|seq| self.ingest_one(*seq, AtBound::Refuse));
        if let Err(error) = stored.and_then(|()| self.finish_batch()) {
            log::warn!("versions that are not stored yet are not pruned: {error}");
        }
    }
}

/// Whether the file of an asset is there.
pub(super) fn file_state(record: &AssetRecord) -> FileState {
    match record.standing {
        Standing::Live => FileState::Live,
        Standing::Deleted => FileState::DeletedSince(record.since),
    }
}

/// What a stored version holds.
pub(super) fn content_of(version: &Version) -> Option<ContentId> {
    match version.state {
        VersionState::Stored { content, .. } => Some(content),
        VersionState::Sealed { .. } => None,
    }
}
