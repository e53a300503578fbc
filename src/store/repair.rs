//! Makes damaged packs whole again from whatever still has their bytes.
//!
//! A chunk is its hash, so any bytes with that hash will do: the pack itself where it
//! is only cut short, the readers' caches in memory and on disk, contents that the caller brings. What
//! is found is stored anew, and a pack that nothing is missing from any more is
//! rewritten. The surprise: a pack that still lacks a chunk is left where it is. Put
//! back from a copy of the store, it brings that chunk back.

use std::collections::HashSet;
use std::io::Read;
use std::sync::Arc;

use super::chunker::Tail;
use super::codec::Encoder;
use super::error::{Result, StoreError};
use super::{Store, abandoned, check, fetch, reclaim, writer};
use crate::catalog::PackRecord;
use crate::model::{ChunkHash, PackId};

/// A repair under way.
pub struct Repair<'a> {
    store: &'a Store,
    packs: Vec<PackId>,
    missing: HashSet<ChunkHash>,
    encoder: Encoder,
    buffer: Vec<u8>,
}

impl std::fmt::Debug for Repair<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Repair({} chunks missing)", self.missing.len())
    }
}

impl<'a> Repair<'a> {
    /// Stores anew what of these packs can be read from themselves or is in a cache.
    pub(super) fn begin(store: &'a Store, packs: &HashSet<PackId>) -> Result<Self> {
        let mut repair = Self {
            encoder: store
                .shared
                .coding
                .encoder(store.shared.config.zstd_level)?,
            store,
            packs: Vec::new(),
            missing: HashSet::new(),
            buffer: Vec::new(),
        };
        let mut damaged = store.shared.catalog()?.packs()?;
        damaged.retain(|pack| packs.contains(&pack.id));
        for pack in &damaged {
            repair.salvage(pack)?;
        }
        repair.packs = damaged.into_iter().map(|pack| pack.id).collect();
        Ok(repair)
    }

    fn salvage(&mut self, pack: &PackRecord) -> Result<()> {
        let shared = &*self.store.shared;
        abandoned::forget_dead(shared, pack.id)?;
        shared.sources.forget(pack.id);
        let is_sound = check::is_sound(shared, pack)?;
        let chunks = shared.catalog()?.pack_chunks(pack.id)?;
        for chunk in chunks {
            match fetch::verified(shared, &chunk) {
                Ok(_) if is_sound => {}
                // Out of a pack that no listing will call whole.
                Ok(plain) => writer::store_anew(shared, &plain, &mut self.encoder)?,
                Err(error) if error.is_no_answer() => return Err(error),
                Err(_) => {
                    let in_memory = shared.cache.get(&chunk.hash);
                    let on_disk = || fetch::from_disk_cache(shared, &chunk).map(Arc::new);
                    match in_memory.or_else(on_disk) {
                        Some(plain) => writer::store_anew(shared, &plain, &mut self.encoder)?,
                        None => drop(self.missing.insert(chunk.hash)),
                    }
                }
            }
        }
        Ok(())
    }

    /// The chunks whose bytes were not found yet.
    pub fn missing(&self) -> &HashSet<ChunkHash> {
        &self.missing
    }

    /// Looks for missing chunks in a content, cut with that kind of tail, and stores
    /// those it has.
    ///
    /// # Errors
    /// [`StoreError::Source`] when `reader` fails; what it gave until then was used.
    pub fn look_in(&mut self, reader: &mut (dyn Read + Send), tail: Tail) -> Result<()> {
        let buffer = std::mem::take(&mut self.buffer);
        let coding = &self.store.shared.coding;
        let mut chunker = coding.chunker(&[], reader, buffer, tail);
        while !self.missing.is_empty() {
            let Some(plain) = chunker.next().map_err(StoreError::Source)? else {
                break;
            };
            let hash = coding.name(plain);
            if self.missing.contains(&hash) {
                writer::store_anew(&self.store.shared, plain, &mut self.encoder)?;
                self.missing.remove(&hash);
            }
        }
        self.buffer = chunker.into_buffer();
        Ok(())
    }

    /// Puts what was stored into the store and rewrites the packs that are whole now.
    /// Returns the chunks that are lost. Durable after a commit.
    ///
    /// # Errors
    /// When the store takes no packs. What was found is kept, and used the next time.
    pub fn finish(self) -> Result<HashSet<ChunkHash>> {
        let _alone = self.store.alone();
        self.store.flush()?;
        let mut whole = HashSet::new();
        for pack in self.packs {
            let chunks = self.store.shared.catalog()?.pack_chunks(pack)?;
            if !chunks.iter().any(|c| self.missing.contains(&c.hash)) {
                whole.insert(pack);
            }
        }
        reclaim::rewrite_packs(&self.store.shared, &whole)?;
        Ok(self.missing)
    }
}
