//! Chunks and packs: where the bytes are.
//!
//! Which contents use a chunk is in `contents`. The surprise: no index leads from
//! a pack or a chunk to its versions; who asks reads every chunk list, because only
//! damage makes anybody ask.

use std::collections::{HashMap, HashSet};

use rusqlite::Row;

use super::codec::each_chunk;
use super::namespace::require_one;
use super::transaction::values;
use super::{SqliteCatalog, invariant};
use crate::catalog::{ChunkRecord, Codec, PackRecord, PackState, PackUse, Result};
use crate::model::{ChunkHash, PackId, VersionSeq};

/// The columns of [`chunk_from`].
macro_rules! select_chunk {
    () => {
        "SELECT chunk.hash, pack.name, chunk.offset, chunk.stored_bytes, chunk.plain_bytes,
                chunk.codec
         FROM chunk CROSS JOIN pack ON pack.id = chunk.pack"
    };
}
pub(super) use select_chunk;

pub(super) fn chunk_from(row: &Row<'_>) -> rusqlite::Result<ChunkRecord> {
    Ok(ChunkRecord {
        hash: ChunkHash(row.get(0)?),
        pack: PackId(row.get(1)?),
        offset: row.get::<_, i64>(2)?.cast_unsigned(),
        stored_bytes: row.get(3)?,
        plain_bytes: row.get(4)?,
        // A number that stands for none reads as damage.
        codec: Codec::from_number(row.get(5)?).unwrap_or(Codec::Zstd),
    })
}

fn pack_from(row: &Row<'_>) -> rusqlite::Result<PackRecord> {
    Ok(PackRecord {
        id: PackId(row.get(0)?),
        state: if row.get::<_, i64>(1)? == 0 {
            PackState::Open
        } else {
            PackState::Stored
        },
        bytes: row.get::<_, i64>(2)?.cast_unsigned(),
    })
}

fn state_number(state: PackState) -> i64 {
    match state {
        PackState::Open => 0,
        PackState::Stored => 1,
    }
}

/// The columns of [`Known::from_row`].
macro_rules! select_known {
    ($where:literal) => {
        concat!(
            "SELECT id, pack, stored_bytes, plain_bytes, refs FROM chunk WHERE ",
            $where
        )
    };
}

/// What is known of a chunk already.
pub(super) struct Known {
    pub row: i64,
    pub pack: i64,
    pub stored: i64,
    pub plain: i64,
    pub refs: i64,
}

impl Known {
    fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            row: row.get(0)?,
            pack: row.get(1)?,
            stored: row.get(2)?,
            plain: row.get(3)?,
            refs: row.get(4)?,
        })
    }
}

impl SqliteCatalog {
    pub(super) fn find_chunk(&self, hash: &ChunkHash) -> Result<Option<ChunkRecord>> {
        self.one(
            concat!(select_chunk!(), " WHERE chunk.hash = ?1"),
            [&hash.0[..]],
            chunk_from,
        )
    }

    fn pack_row(&self, pack: PackId) -> Result<Option<i64>> {
        self.one(
            "SELECT id FROM pack WHERE name = ?1",
            [&pack.0[..]],
            |row| row.get(0),
        )
    }

    fn require_pack(&self, pack: PackId) -> Result<i64> {
        match self.pack_row(pack)? {
            Some(row) => Ok(row),
            None => invariant(format!("pack {pack} is not known")),
        }
    }

    pub(super) fn insert_pack(&mut self, pack: &PackRecord) -> Result<()> {
        self.write(
            "INSERT INTO pack (name, state, bytes, live_bytes, dead_bytes)
             VALUES (?1, ?2, ?3, 0, 0)",
            values![
                pack.id.0.to_vec(),
                state_number(pack.state),
                pack.bytes.cast_signed()
            ],
        )?;
        self.state.packs += 1;
        self.state.pack_bytes += pack.bytes.cast_signed();
        Ok(())
    }

    pub(super) fn update_pack(&mut self, pack: &PackRecord) -> Result<()> {
        let before = self.pack_bytes(pack.id)?;
        self.write(
            "UPDATE pack SET state = ?2, bytes = ?3 WHERE name = ?1",
            values![
                pack.id.0.to_vec(),
                state_number(pack.state),
                pack.bytes.cast_signed()
            ],
        )?;
        self.state.pack_bytes += pack.bytes.cast_signed() - before;
        Ok(())
    }

    fn pack_bytes(&self, pack: PackId) -> Result<i64> {
        let row = self.require_pack(pack)?;
        let bytes = self.one("SELECT bytes FROM pack WHERE id = ?1", [row], |row| {
            row.get(0)
        })?;
        Ok(bytes.unwrap_or(0))
    }

    pub(super) fn add_to_pack(&mut self, row: i64, live: i64, dead: i64) -> Result<()> {
        if live == 0 && dead == 0 {
            return Ok(());
        }
        let rows = self.write(
            "UPDATE pack SET live_bytes = live_bytes + ?2, dead_bytes = dead_bytes + ?3
             WHERE id = ?1",
            values![row, live, dead],
        )?;
        require_one(rows, "pack", row)
    }

    pub(super) fn record_chunks(&mut self, chunks: &[ChunkRecord]) -> Result<()> {
        let mut packs: HashMap<PackId, i64> = HashMap::new();
        // (live, dead) bytes more, per pack.
        let mut sums: HashMap<i64, (i64, i64)> = HashMap::new();
        let mut add = |pack: i64, refs: i64, bytes: i64| {
            let sum = sums.entry(pack).or_default();
            *(if refs > 0 { &mut sum.0 } else { &mut sum.1 }) += bytes;
        };
        for chunk in chunks {
            let pack = match packs.get(&chunk.pack) {
                Some(row) => *row,
                None => self.require_pack(chunk.pack)?,
            };
            packs.insert(chunk.pack, pack);
            let (stored, plain) = (i64::from(chunk.stored_bytes), i64::from(chunk.plain_bytes));
            let mut values = values![
                pack,
                chunk.offset.cast_signed(),
                stored,
                plain,
                i64::from(chunk.codec.number())
            ];
            if let Some(known) = self.known_chunk(&chunk.hash)? {
                add(known.pack, known.refs, -known.stored);
                add(pack, known.refs, stored);
                self.state.unique_bytes += plain - known.plain;
                values.push(known.row.into());
                self.write(
                    "UPDATE chunk SET pack = ?1, offset = ?2, stored_bytes = ?3,
                            plain_bytes = ?4, codec = ?5
                     WHERE id = ?6",
                    values,
                )?;
            } else {
                add(pack, 0, stored);
                self.state.unique_bytes += plain;
                values.push(chunk.hash.0.to_vec().into());
                self.write(
                    "INSERT INTO chunk (pack, offset, stored_bytes, plain_bytes, codec, hash, refs)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0)",
                    values,
                )?;
            }
        }
        for (pack, (live, dead)) in sums {
            self.add_to_pack(pack, live, dead)?;
        }
        Ok(())
    }

    pub(super) fn known_chunk(&self, hash: &ChunkHash) -> Result<Option<Known>> {
        self.one(select_known!("hash = ?1"), [&hash.0[..]], Known::from_row)
    }

    pub(super) fn chunk_in_row(&self, row: i64) -> Result<Option<Known>> {
        self.one(select_known!("id = ?1"), [row], Known::from_row)
    }

    pub(super) fn all_packs(&self) -> Result<Vec<PackRecord>> {
        self.many(
            "SELECT name, state, bytes FROM pack ORDER BY id",
            [],
            pack_from,
        )
    }

    pub(super) fn chunks_in(&self, pack: PackId) -> Result<Vec<ChunkRecord>> {
        let Some(row) = self.pack_row(pack)? else {
            return Ok(Vec::new());
        };
        self.many(
            concat!(
                select_chunk!(),
                " WHERE chunk.pack = ?1 ORDER BY chunk.offset, chunk.hash"
            ),
            [row],
            chunk_from,
        )
    }

    pub(super) fn use_of_packs(&self) -> Result<Vec<PackUse>> {
        self.many(
            "SELECT name, state, bytes, live_bytes, dead_bytes FROM pack
             WHERE state = 1 ORDER BY id",
            [],
            |row| {
                Ok(PackUse {
                    pack: pack_from(row)?,
                    live_bytes: row.get::<_, i64>(3)?.cast_unsigned(),
                    dead_bytes: row.get::<_, i64>(4)?.cast_unsigned(),
                })
            },
        )
    }

    pub(super) fn versions_needing(&self, pack: PackId) -> Result<Vec<VersionSeq>> {
        let Some(row) = self.pack_row(pack)? else {
            return Ok(Vec::new());
        };
        let chunks = self.many("SELECT id FROM chunk WHERE pack = ?1", [row], |row| {
            row.get(0)
        })?;
        self.versions_of_chunks(&chunks.into_iter().collect())
    }

    pub(super) fn versions_listing(&self, chunks: &[ChunkHash]) -> Result<Vec<VersionSeq>> {
        let mut rows = HashSet::with_capacity(chunks.len());
        for hash in chunks {
            rows.extend(self.known_chunk(hash)?.map(|known| known.row));
        }
        self.versions_of_chunks(&rows)
    }

    fn versions_of_chunks(&self, chunks: &HashSet<i64>) -> Result<Vec<VersionSeq>> {
        if chunks.is_empty() {
            return Ok(Vec::new());
        }
        // Damaged lists count as needing it: better one warning too many.
        let contents = self.many("SELECT id, chunks FROM content", [], |row| {
            let mut needs = false;
            let list = each_chunk(row.get_ref(1)?.as_blob()?, |chunk| {
                needs |= chunks.contains(&chunk);
            });
            Ok((row.get::<_, i64>(0)?, needs || list.is_none()))
        })?;
        let mut versions = Vec::new();
        for (content, _) in contents.into_iter().filter(|(_, needs)| *needs) {
            versions.extend(self.many(
                "SELECT seq FROM version WHERE content = ?1",
                [content],
                |row| Ok(VersionSeq(row.get(0)?)),
            )?);
        }
        versions.sort_unstable();
        Ok(versions)
    }

    pub(super) fn drop_dead_chunks(&mut self, pack: PackId) -> Result<u64> {
        let Some(row) = self.pack_row(pack)? else {
            return Ok(0);
        };
        let (stored, plain): (i64, i64) = self
            .one(
                "SELECT coalesce(sum(stored_bytes), 0), coalesce(sum(plain_bytes), 0)
                 FROM chunk WHERE pack = ?1 AND refs = 0",
                [row],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )?
            .unwrap_or_default();
        let gone = self.write(
            "DELETE FROM chunk WHERE pack = ?1 AND refs = 0",
            values![row],
        )?;
        self.add_to_pack(row, 0, -stored)?;
        self.state.unique_bytes -= plain;
        Ok(gone as u64)
    }

    pub(super) fn drop_pack(&mut self, pack: PackId) -> Result<()> {
        let bytes = self.pack_bytes(pack)?;
        let row = self.require_pack(pack)?;
        let held = self.one("SELECT 1 FROM chunk WHERE pack = ?1 LIMIT 1", [row], |_| {
            Ok(())
        })?;
        if held.is_some() {
            return invariant(format!("pack {pack} still holds chunks"));
        }
        self.write("DELETE FROM pack WHERE id = ?1", values![row])?;
        self.state.packs -= 1;
        self.state.pack_bytes -= bytes;
        Ok(())
    }
}
