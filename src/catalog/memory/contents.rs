//! Contents, chunks, packs and totals in memory. References are counted, not kept.

use std::collections::BTreeSet;

use super::{Content, Facts, invariant};
use crate::catalog::{
    ChunkRecord, ChunkUse, ContentUse, PackRecord, PackState, PackUse, Result, Standing, Totals,
};
use crate::model::{ChunkHash, ContentId, PackId, VersionSeq, VersionState};

impl Facts {
    pub(super) fn content_by_hash(&self, blake3: &ChunkHash, size: u64) -> Option<ContentId> {
        self.contents
            .iter()
            .find(|(_, content)| content.blake3 == *blake3 && content.size == size)
            .map(|(id, _)| *id)
    }

    pub(super) fn require_content(&self, id: ContentId, blake3: &ChunkHash) -> Result<()> {
        match self.contents.get(&id) {
            Some(content) if content.blake3 == *blake3 => Ok(()),
            _ => invariant(format!("no content {} with that hash", id.0)),
        }
    }

    pub(super) fn add_content(
        &mut self,
        blake3: &ChunkHash,
        size: u64,
        chunks: &[ChunkHash],
    ) -> Result<ContentId> {
        if self.content_by_hash(blake3, size).is_some() {
            return invariant(format!("content {blake3} is known"));
        }
        if let Some(hash) = chunks.iter().find(|hash| !self.chunks.contains_key(hash)) {
            return invariant(format!("chunk {hash} is not known"));
        }
        self.last_content += 1;
        let id = ContentId(self.last_content);
        let content = Content {
            blake3: *blake3,
            size,
            chunks: chunks.to_vec(),
        };
        self.contents.insert(id, content);
        Ok(id)
    }

    pub(super) fn content_chunks(&self, id: ContentId) -> Result<Vec<ChunkRecord>> {
        match self.contents.get(&id) {
            Some(content) => Ok(content
                .chunks
                .iter()
                .map(|hash| self.chunks[hash])
                .collect()),
            None => invariant(format!("no content {}", id.0)),
        }
    }

    pub(super) fn content_use(&self, id: ContentId) -> Result<ContentUse> {
        let Some(content) = self.contents.get(&id) else {
            return invariant(format!("no content {}", id.0));
        };
        let times = |content: &Content, hash: &ChunkHash| {
            content.chunks.iter().filter(|one| *one == hash).count() as u64
        };
        let unique: BTreeSet<ChunkHash> = content.chunks.iter().copied().collect();
        Ok(ContentUse {
            versions: self
                .versions
                .values()
                .filter(|version| {
                    matches!(version.state, VersionState::Stored { content, .. } if content == id)
                })
                .count() as u64,
            chunks: unique
                .into_iter()
                .map(|hash| ChunkUse {
                    hash,
                    stored_bytes: self.chunks[&hash].stored_bytes,
                    listed: times(content, &hash),
                    refs: self.contents.values().map(|one| times(one, &hash)).sum(),
                })
                .collect(),
        })
    }

    fn referenced(&self) -> BTreeSet<ChunkHash> {
        self.contents
            .values()
            .flat_map(|content| content.chunks.iter().copied())
            .collect()
    }

    pub(super) fn pack(&self, id: PackId) -> Option<&PackRecord> {
        self.packs.iter().find(|pack| pack.id == id)
    }

    pub(super) fn add_pack(&mut self, pack: &PackRecord) -> Result<()> {
        if self.pack(pack.id).is_some() {
            return invariant(format!("pack {} is known", pack.id));
        }
        self.packs.push(*pack);
        Ok(())
    }

    pub(super) fn set_pack(&mut self, pack: &PackRecord) -> Result<()> {
        match self.packs.iter_mut().find(|known| known.id == pack.id) {
            Some(known) => {
                *known = *pack;
                Ok(())
            }
            None => invariant(format!("pack {} is not known", pack.id)),
        }
    }

    pub(super) fn put_chunks(&mut self, chunks: &[ChunkRecord]) -> Result<()> {
        for chunk in chunks {
            if self.pack(chunk.pack).is_none() {
                return invariant(format!("pack {} is not known", chunk.pack));
            }
            self.chunks.insert(chunk.hash, *chunk);
        }
        Ok(())
    }

    pub(super) fn pack_chunks(&self, pack: PackId) -> Vec<ChunkRecord> {
        let mut chunks: Vec<ChunkRecord> = self
            .chunks
            .values()
            .filter(|chunk| chunk.pack == pack)
            .copied()
            .collect();
        chunks.sort_by_key(|chunk| (chunk.offset, chunk.hash));
        chunks
    }

    pub(super) fn pack_use(&self) -> Vec<PackUse> {
        let referenced = self.referenced();
        let sum = |pack: &PackRecord, live: bool| {
            self.chunks
                .values()
                .filter(|chunk| chunk.pack == pack.id && referenced.contains(&chunk.hash) == live)
                .map(|chunk| u64::from(chunk.stored_bytes))
                .sum()
        };
        self.packs
            .iter()
            .filter(|pack| pack.state == PackState::Stored)
            .map(|pack| PackUse {
                pack: *pack,
                live_bytes: sum(pack, true),
                dead_bytes: sum(pack, false),
            })
            .collect()
    }

    pub(super) fn versions_with_any(
        &self,
        is_meant: impl Fn(&ChunkHash) -> bool,
    ) -> Vec<VersionSeq> {
        let needs = |content: &ContentId| self.contents[content].chunks.iter().any(&is_meant);
        self.versions
            .values()
            .filter(|version| match &version.state {
                VersionState::Stored { content, .. } => needs(content),
                VersionState::Sealed { .. } => false,
            })
            .map(|version| version.seq)
            .collect()
    }

    pub(super) fn remove_dead_chunks(&mut self, pack: PackId) -> u64 {
        let (referenced, before) = (self.referenced(), self.chunks.len());
        self.chunks
            .retain(|hash, chunk| chunk.pack != pack || referenced.contains(hash));
        (before - self.chunks.len()) as u64
    }

    pub(super) fn remove_pack(&mut self, id: PackId) -> Result<()> {
        if self.pack(id).is_none() {
            return invariant(format!("pack {id} is not known"));
        }
        if !self.pack_chunks(id).is_empty() {
            return invariant(format!("pack {id} still holds chunks"));
        }
        self.packs.retain(|pack| pack.id != id);
        Ok(())
    }

    fn bytes_of(&self, pack: &PackRecord) -> u64 {
        match pack.state {
            PackState::Stored => pack.bytes,
            PackState::Open => {
                let chunks = self.pack_chunks(pack.id);
                chunks
                    .iter()
                    .map(|chunk| u64::from(chunk.stored_bytes))
                    .sum()
            }
        }
    }

    pub(super) fn totals(&self) -> Totals {
        let with = |standing| {
            self.assets
                .keys()
                .filter_map(|node| self.asset(*node))
                .filter(|asset| asset.standing == standing)
                .count() as u64
        };
        Totals {
            assets_live: with(Standing::Live),
            assets_deleted: with(Standing::Deleted),
            versions: self.versions.len() as u64,
            versions_sealed: self.sealed().count() as u64,
            sealed_bytes: self.sealed().map(|version| version.size).sum(),
            oldest_sealed_at: self.sealed().map(|version| version.kept_at).min(),
            logical_bytes: self.versions.values().map(|version| version.size).sum(),
            unique_bytes: self
                .chunks
                .values()
                .map(|chunk| u64::from(chunk.plain_bytes))
                .sum(),
            pack_bytes: self.packs.iter().map(|pack| self.bytes_of(pack)).sum(),
            packs: self.packs.len() as u64,
        }
    }
}
