//! Contents: lists of chunks, shared by the versions that have the same bytes.
//!
//! A chunk counts how often contents list it, twice in one list as two. Its pack
//! keeps the sum of the stored bytes of chunks that count anything and of those
//! that do not, so that finding packs worth a rewrite reads one row per pack.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::codec::{each_chunk, pack_chunks, unpack_chunks};
use super::namespace::require_one;
use super::packs::{Known, chunk_from, select_chunk};
use super::transaction::values;
use super::{SqliteCatalog, invariant};
use crate::catalog::{CatalogError, ChunkRecord, ChunkUse, ContentExtent, ContentUse, Result};
use crate::model::{ChunkHash, ContentId};

/// A chunk as it is now, and how often one list has it.
struct Listed {
    chunk: Known,
    times: i64,
}

impl SqliteCatalog {
    pub(super) fn find_content(&self, blake3: &ChunkHash, size: u64) -> Result<Option<ContentId>> {
        self.one(
            "SELECT id FROM content WHERE blake3 = ?1 AND size = ?2",
            (&blake3.0[..], size.cast_signed()),
            |row| Ok(ContentId(row.get(0)?)),
        )
    }

    /// Fails unless the content is known under that hash.
    pub(super) fn require_content(&self, content: ContentId, blake3: &ChunkHash) -> Result<()> {
        let found = self.one(
            "SELECT blake3 FROM content WHERE id = ?1",
            [content.0],
            |row| row.get(0),
        )?;
        match found {
            Some(hash) if ChunkHash(hash) == *blake3 => Ok(()),
            Some(_) => invariant(format!("content {} has another hash", content.0)),
            None => invariant(format!("no content {}", content.0)),
        }
    }

    pub(super) fn insert_content(
        &mut self,
        blake3: &ChunkHash,
        size: u64,
        chunks: &[ChunkHash],
    ) -> Result<ContentId> {
        let mut rows = Vec::with_capacity(chunks.len());
        let mut listed: BTreeMap<i64, Listed> = BTreeMap::new();
        for hash in chunks {
            let Some(chunk) = self.known_chunk(hash)? else {
                return invariant(format!("chunk {hash} is not known"));
            };
            rows.push(chunk.row);
            let entry = listed.entry(chunk.row);
            entry.or_insert(Listed { chunk, times: 0 }).times += 1;
        }
        let content = self.insert_list(blake3, size, &rows)?;
        self.count_references(&listed, 1)?;
        Ok(content)
    }

    /// A chunk that nobody knows yet, and the content that it is alone.
    pub(super) fn insert_content_with(
        &mut self,
        blake3: &ChunkHash,
        size: u64,
        chunk: &ChunkRecord,
    ) -> Result<Option<ContentId>> {
        let (stored, plain) = (i64::from(chunk.stored_bytes), i64::from(chunk.plain_bytes));
        let pack = chunk.pack.0.to_vec();
        // Ignored: a hash that is known, and a pack that is not.
        let added = self.write(
            "INSERT OR IGNORE INTO chunk
                    (pack, offset, stored_bytes, plain_bytes, codec, hash, refs)
             VALUES ((SELECT id FROM pack WHERE name = ?1), ?2, ?3, ?4, ?5, ?6, 1)",
            values![
                pack.clone(),
                chunk.offset.cast_signed(),
                stored,
                plain,
                i64::from(chunk.codec.number()),
                chunk.hash.0.to_vec()
            ],
        )?;
        if added == 0 {
            return Ok(None);
        }
        let row = self.connection.last_insert_rowid();
        let counted = self.write(
            "UPDATE pack SET live_bytes = live_bytes + ?2 WHERE name = ?1",
            values![pack, stored],
        )?;
        require_one(counted, "pack of chunk", row)?;
        self.state.unique_bytes += plain;
        self.insert_list(blake3, size, &[row]).map(Some)
    }

    fn insert_list(&mut self, blake3: &ChunkHash, size: u64, chunks: &[i64]) -> Result<ContentId> {
        let row = self.insert(
            "INSERT INTO content (blake3, size, chunks) VALUES (?1, ?2, ?3)",
            values![blake3.0.to_vec(), size.cast_signed(), pack_chunks(chunks)],
        )?;
        Ok(ContentId(row))
    }

    /// Every chunk counts `step` references more for each time it is listed. In the order
    /// of the rows: neighbours share a page, and the same changes give the same file.
    fn count_references(&mut self, listed: &BTreeMap<i64, Listed>, step: i64) -> Result<()> {
        // Stored bytes that came to life, per pack.
        let mut woken: BTreeMap<i64, i64> = BTreeMap::new();
        for (row, Listed { chunk, times }) in listed {
            let after = chunk.refs + step * times;
            self.write(
                "UPDATE chunk SET refs = ?2 WHERE id = ?1",
                values![*row, after],
            )?;
            let life = i64::from(after > 0) - i64::from(chunk.refs > 0);
            if life != 0 {
                *woken.entry(chunk.pack).or_default() += life * chunk.stored;
            }
        }
        for (pack, bytes) in woken {
            self.add_to_pack(pack, bytes, -bytes)?;
        }
        Ok(())
    }

    fn chunk_list(&self, content: ContentId) -> Result<Vec<u8>> {
        let list = self.one(
            "SELECT chunks FROM content WHERE id = ?1",
            [content.0],
            |row| row.get(0),
        )?;
        match list {
            Some(list) => Ok(list),
            None => invariant(format!("no content {}", content.0)),
        }
    }

    pub(super) fn chunk_rows(&self, content: ContentId) -> Result<Vec<i64>> {
        unpack_chunks(&self.chunk_list(content)?).ok_or_else(|| self.unreadable(content))
    }

    fn unreadable(&self, content: ContentId) -> CatalogError {
        self.corrupt(format!("chunk list of content {}", content.0))
    }

    fn listed_chunk(&self, content: ContentId, row: i64) -> Result<ChunkRecord> {
        self.one(
            concat!(select_chunk!(), " WHERE chunk.id = ?1"),
            [row],
            chunk_from,
        )?
        .ok_or_else(|| self.corrupt(format!("content {} lists no chunk {row}", content.0)))
    }

    pub(super) fn chunks_of(&self, content: ContentId) -> Result<Vec<ChunkRecord>> {
        let rows = self.chunk_rows(content)?.into_iter();
        rows.map(|row| self.listed_chunk(content, row)).collect()
    }

    pub(super) fn extent_of(&self, content: ContentId) -> Result<ContentExtent> {
        self.extent_of_list(content, &self.chunk_list(content)?)
    }

    /// The same where the list was read already.
    pub(super) fn extent_of_list(&self, content: ContentId, list: &[u8]) -> Result<ContentExtent> {
        let mut extent = Ok(ContentExtent::default());
        // Whoever lists one chunk a million times asks for it once.
        let mut last = None;
        let read = each_chunk(list, |row| {
            let Ok(so_far) = extent else { return };
            let chunk = match last {
                Some((known, chunk)) if known == row => Ok(chunk),
                _ => self.listed_chunk(content, row),
            };
            last = chunk.as_ref().ok().map(|chunk| (row, *chunk));
            extent = chunk.map(|chunk| so_far.and(&chunk));
        });
        read.ok_or_else(|| self.unreadable(content))?;
        extent
    }

    pub(super) fn use_of(&self, content: ContentId) -> Result<ContentUse> {
        let mut listed: BTreeMap<i64, u64> = BTreeMap::new();
        for row in self.chunk_rows(content)? {
            *listed.entry(row).or_default() += 1;
        }
        let mut chunks = Vec::with_capacity(listed.len());
        for (row, listed) in listed {
            let found = self.one(
                "SELECT hash, stored_bytes, refs FROM chunk WHERE id = ?1",
                [row],
                |row| {
                    Ok(ChunkUse {
                        hash: ChunkHash(row.get(0)?),
                        stored_bytes: row.get(1)?,
                        listed,
                        refs: row.get::<_, i64>(2)?.cast_unsigned(),
                    })
                },
            )?;
            match found {
                Some(found) => chunks.push(found),
                None => {
                    let detail = format!("content {} lists no chunk {row}", content.0);
                    return Err(self.corrupt(detail));
                }
            }
        }
        chunks.sort_unstable();
        let versions: Option<i64> = self.one(
            "SELECT count(*) FROM version WHERE content = ?1",
            [content.0],
            |row| row.get(0),
        )?;
        Ok(ContentUse {
            versions: versions.unwrap_or(0).cast_unsigned(),
            chunks,
        })
    }

    pub(super) fn drop_content_if_unused(&mut self, content: ContentId) -> Result<()> {
        let used = self.one(
            "SELECT 1 FROM version WHERE content = ?1 LIMIT 1",
            [content.0],
            |_| Ok(()),
        )?;
        if used.is_some() || !self.has_content(content)? {
            return Ok(());
        }
        let mut listed: BTreeMap<i64, Listed> = BTreeMap::new();
        for row in self.chunk_rows(content)? {
            match listed.entry(row) {
                Entry::Occupied(known) => known.into_mut().times += 1,
                Entry::Vacant(place) => {
                    let Some(chunk) = self.chunk_in_row(row)? else {
                        return invariant(format!("no chunk {row}"));
                    };
                    place.insert(Listed { chunk, times: 1 });
                }
            }
        }
        self.write("DELETE FROM content WHERE id = ?1", values![content.0])?;
        self.count_references(&listed, -1)
    }

    fn has_content(&self, content: ContentId) -> Result<bool> {
        let row = self.one("SELECT 1 FROM content WHERE id = ?1", [content.0], |_| {
            Ok(())
        })?;
        Ok(row.is_some())
    }

    pub(super) fn drop_unused_contents(&mut self) -> Result<u64> {
        let unused = self.many(
            "SELECT id FROM content
             WHERE NOT EXISTS (SELECT 1 FROM version WHERE version.content = content.id)",
            [],
            |row| row.get(0).map(ContentId),
        )?;
        for content in &unused {
            self.drop_content_if_unused(*content)?;
        }
        Ok(unused.len() as u64)
    }
}
