//! A catalog that was made anew, and the packs that are really in the store.
//!
//! The journal may say less than the store has, or more: packs that were still growing
//! when it was written, others that were rewritten after it. The surprise: nothing is
//! read but tables. A chunk is believed to be where a table says; its bytes are checked
//! against its name when somebody reads it, as ever.

use std::collections::{HashMap, HashSet};

use super::backend::Backend;
use super::check::{flaw_of_table, read_table};
use super::error::{Result, StoreError};
use crate::catalog::{Catalog, ChunkRecord, PackRecord, PackState, atomically};
use crate::model::{ChunkHash, PackId, StorePlace};

/// Packs that the catalog needs and the store does not have.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Reconciled {
    /// They were never put: what is in them was on its way when the machine was lost.
    pub never_put: Vec<PackId>,
    /// They were put, and are gone.
    pub missing: Vec<PackId>,
}

/// Brings the packs of a catalog into line with what lies at `place`, where nothing is
/// changed.
///
/// # Errors
/// What the store answers, and when the catalog fails.
pub fn reconcile(place: &StorePlace, catalog: &mut dyn Catalog) -> Result<Reconciled> {
    let backend = Backend::open(place, false)?;
    let listing: HashMap<PackId, u64> = backend.list()?.into_iter().collect();
    let mut known = HashSet::new();
    let mut absent = Vec::new();
    for pack in catalog.packs()? {
        known.insert(pack.id);
        let is_there = match listing.get(&pack.id) {
            None => false,
            Some(_) if pack.state == PackState::Stored => true,
            Some(&bytes) => take_as_stored(&backend, catalog, pack.id, bytes)?,
        };
        if !is_there {
            absent.push(pack);
        }
    }
    let mut wanted = HashMap::new();
    for pack in &absent {
        let chunks = catalog.pack_chunks(pack.id)?;
        wanted.extend(chunks.into_iter().map(|chunk| (chunk.hash, chunk)));
    }
    let strangers = listing.iter().filter(|(pack, _)| !known.contains(pack));
    for (&pack, &bytes) in strangers {
        if wanted.is_empty() {
            break;
        }
        find_in(
            &backend,
            catalog,
            PackRecord {
                id: pack,
                state: PackState::Stored,
                bytes,
            },
            &mut wanted,
        )?;
    }
    let mut reconciled = Reconciled::default();
    for pack in absent {
        catalog.remove_dead_chunks(pack.id)?;
        if catalog.pack_chunks(pack.id)?.is_empty() {
            catalog.remove_pack(pack.id)?;
            continue;
        }
        match pack.state {
            PackState::Open => reconciled.never_put.push(pack.id),
            PackState::Stored => reconciled.missing.push(pack.id),
        }
    }
    Ok(reconciled)
}

/// A pack that was growing when the journal was written, and was put since.
fn take_as_stored(
    backend: &Backend,
    catalog: &mut dyn Catalog,
    id: PackId,
    bytes: u64,
) -> Result<bool> {
    let chunks = catalog.pack_chunks(id)?;
    match table(backend, id, bytes)? {
        Some(entries) if flaw_of_table(&entries, &chunks).is_none() => {
            let state = PackState::Stored;
            catalog.set_pack(&PackRecord { id, state, bytes })?;
            Ok(true)
        }
        _ => Ok(false),
    }
}

/// Looks in a pack that the catalog does not know for chunks that it needs.
fn find_in(
    backend: &Backend,
    catalog: &mut dyn Catalog,
    pack: PackRecord,
    wanted: &mut HashMap<ChunkHash, ChunkRecord>,
) -> Result<()> {
    let Some(entries) = table(backend, pack.id, pack.bytes)? else {
        return Ok(());
    };
    let is_wanted = |entry: &ChunkRecord| {
        let wanted = wanted.get(&entry.hash);
        wanted.is_some_and(|chunk| chunk.plain_bytes == entry.plain_bytes)
    };
    let found: Vec<ChunkRecord> = entries.into_iter().filter(is_wanted).collect();
    if found.is_empty() {
        return Ok(());
    }
    for chunk in &found {
        wanted.remove(&chunk.hash);
    }
    atomically(catalog, |catalog| {
        catalog.add_pack(&pack)?;
        catalog.put_chunks(&found)?;
        Ok::<_, StoreError>(())
    })
}

/// The table of a pack. `None`: it has none that can be read.
fn table(backend: &Backend, id: PackId, bytes: u64) -> Result<Option<Vec<ChunkRecord>>> {
    let read = backend
        .source(id)
        .and_then(|source| read_table(backend, &source, id, bytes));
    match read {
        Ok(entries) => Ok(Some(entries)),
        Err(error @ (StoreError::PackDamaged { .. } | StoreError::PackMissing { .. })) => {
            log::warn!("{error}");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
