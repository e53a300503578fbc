//! Versions in memory: one map by row.

use super::{Facts, invariant};
use crate::catalog::{NodeKind, Result};
use crate::model::{
    ChunkHash, ContentId, Hold, InodeKey, Location, NodeId, Version, VersionId, VersionSeq,
    VersionState,
};

impl Facts {
    pub(super) fn add_version(&mut self, version: &Version) -> Result<VersionSeq> {
        self.entry_of(version.asset, NodeKind::Asset)?;
        if self.versions.values().any(|known| known.id == version.id) {
            return invariant(format!("version_id {} is taken", version.id));
        }
        if let VersionState::Stored { content, blake3 } = &version.state {
            self.require_content(*content, blake3)?;
        }
        self.last_seq += 1;
        let seq = VersionSeq(self.last_seq);
        let version = Version {
            seq,
            ..version.clone()
        };
        self.versions.insert(seq, version);
        Ok(seq)
    }

    pub(super) fn version_mut(&mut self, seq: VersionSeq) -> Result<&mut Version> {
        match self.versions.get_mut(&seq) {
            Some(version) => Ok(version),
            None => invariant(format!("no version {}", seq.0)),
        }
    }

    /// Oldest first.
    pub(super) fn versions(&self, asset: NodeId) -> Vec<Version> {
        let mut versions: Vec<Version> = self
            .versions
            .values()
            .filter(|version| version.asset == asset)
            .cloned()
            .collect();
        versions.sort_by_key(|version| version.id);
        versions
    }

    pub(super) fn sealed(&self) -> impl Iterator<Item = &Version> {
        self.versions
            .values()
            .filter(|version| matches!(version.state, VersionState::Sealed { .. }))
    }

    pub(super) fn sealed_on_inode(&self, inode: InodeKey) -> Vec<Version> {
        self.versions
            .values()
            .filter(|version| match &version.state {
                VersionState::Sealed { file, location } => {
                    file.inode == inode && *location != Location::SpoolCopy
                }
                VersionState::Stored { .. } => false,
            })
            .cloned()
            .collect()
    }

    pub(super) fn set_location(&mut self, seq: VersionSeq, to: Location) -> Result<()> {
        match &mut self.version_mut(seq)?.state {
            VersionState::Sealed { location, .. } => {
                *location = to;
                Ok(())
            }
            VersionState::Stored { .. } => invariant(format!("version {} is stored", seq.0)),
        }
    }

    pub(super) fn set_stored(
        &mut self,
        seq: VersionSeq,
        content: ContentId,
        blake3: ChunkHash,
    ) -> Result<()> {
        self.require_content(content, &blake3)?;
        let version = self.version_mut(seq)?;
        if matches!(version.state, VersionState::Stored { .. }) {
            return invariant(format!("version {} is stored", seq.0));
        }
        version.state = VersionState::Stored { content, blake3 };
        Ok(())
    }

    pub(super) fn move_version(
        &mut self,
        seq: VersionSeq,
        to: NodeId,
        id: VersionId,
    ) -> Result<()> {
        self.entry_of(to, NodeKind::Asset)?;
        if self
            .versions
            .values()
            .any(|other| other.id == id && other.seq != seq)
        {
            return invariant(format!("version id {id} is taken"));
        }
        let version = self.version_mut(seq)?;
        version.asset = to;
        version.id = id;
        Ok(())
    }

    pub(super) fn version_with_content(
        &self,
        asset: NodeId,
        wanted: ContentId,
        below: VersionId,
    ) -> Option<VersionId> {
        let has_it = |version: &&Version| {
            version.asset == asset
                && version.id < below
                && matches!(version.state, VersionState::Stored { content, .. } if content == wanted)
        };
        self.versions
            .values()
            .filter(has_it)
            .map(|version| version.id)
            .max()
    }

    pub(super) fn remove_version(&mut self, seq: VersionSeq) -> Result<()> {
        let Some(version) = self.versions.remove(&seq) else {
            return invariant(format!("no version {}", seq.0));
        };
        self.holds.remove(&seq);
        if let VersionState::Stored { content, .. } = version.state {
            self.remove_content_if_unused(content);
        }
        Ok(())
    }

    pub(super) fn set_hold(&mut self, seq: VersionSeq, hold: Hold) -> Result<()> {
        self.version_mut(seq)?;
        match hold {
            Hold::On => self.holds.insert(seq),
            Hold::Off => self.holds.remove(&seq),
        };
        Ok(())
    }

    pub(super) fn holds_of(&self, asset: NodeId) -> Vec<VersionSeq> {
        let is_its_own = |seq: &&VersionSeq| self.versions[*seq].asset == asset;
        self.holds.iter().filter(is_its_own).copied().collect()
    }

    pub(super) fn version_id_from(&self, from: VersionId) -> Option<VersionId> {
        let ids = self.versions.values().map(|version| version.id);
        ids.filter(|id| *id >= from).min()
    }

    pub(super) fn remove_content_if_unused(&mut self, content: ContentId) {
        if !self.uses(content) {
            self.contents.remove(&content);
        }
    }

    pub(super) fn remove_unused_contents(&mut self) -> u64 {
        let before = self.contents.len();
        let all: Vec<ContentId> = self.contents.keys().copied().collect();
        for content in all {
            self.remove_content_if_unused(content);
        }
        (before - self.contents.len()) as u64
    }

    fn uses(&self, wanted: ContentId) -> bool {
        self.versions.values().any(|version| {
            matches!(version.state, VersionState::Stored { content, .. } if content == wanted)
        })
    }
}
