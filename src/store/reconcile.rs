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

/// Packs that the catalog needs and that cannot be read.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Reconciled {
    /// They were never put: what is in them was on its way when the machine was lost.
    pub never_put: Vec<PackId>,
    /// They were put, and are gone, or damaged: a copy of the store may bring them back.
    pub missing: Vec<PackId>,
}

/// A pack of the catalog, and what the store says of it.
enum Found {
    /// It is there, as far as is known.
    There,
    /// It was growing when the journal was written, and was put since. Its table may have
    /// more chunks than the catalog knew.
    Taken(PackRecord),
    /// It is there, and is not what was written.
    Damaged(PackRecord),
    Absent(PackRecord),
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
    let (mut lost, mut taken) = (Vec::new(), Vec::new());
    for pack in catalog.packs()? {
        known.insert(pack.id);
        match find(&backend, catalog, pack, listing.get(&pack.id).copied())? {
            Found::There => {}
            Found::Taken(pack) => taken.push(pack),
            Found::Damaged(pack) | Found::Absent(pack) => lost.push(pack),
        }
    }
    let mut wanted = HashMap::new();
    for pack in &lost {
        let chunks = catalog.pack_chunks(pack.id)?;
        wanted.extend(chunks.into_iter().map(|chunk| (chunk.hash, chunk)));
    }
    let strangers = listing.iter().filter(|(pack, _)| !known.contains(pack));
    let strangers = strangers.map(|(&id, &bytes)| PackRecord {
        id,
        state: PackState::Stored,
        bytes,
    });
    for pack in taken.into_iter().chain(strangers) {
        if wanted.is_empty() {
            break;
        }
        find_in(&backend, catalog, pack, &known, &mut wanted)?;
    }
    let mut reconciled = Reconciled::default();
    for pack in lost {
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

/// `listed`: the size of the pack's object.
fn find(
    backend: &Backend,
    catalog: &mut dyn Catalog,
    pack: PackRecord,
    listed: Option<u64>,
) -> Result<Found> {
    let Some(bytes) = listed else {
        return Ok(Found::Absent(pack));
    };
    if pack.state == PackState::Stored {
        return Ok(Found::There);
    }
    let put = PackRecord {
        state: PackState::Stored,
        bytes,
        ..pack
    };
    let chunks = catalog.pack_chunks(pack.id)?;
    let entries = table(backend, pack.id, bytes)?;
    catalog.set_pack(&put)?;
    let is_whole = entries.is_some_and(|entries| flaw_of_table(&entries, &chunks).is_none());
    Ok(match is_whole {
        true => Found::Taken(put),
        false => Found::Damaged(put),
    })
}

/// Looks in a pack for chunks that the catalog needs and has elsewhere.
fn find_in(
    backend: &Backend,
    catalog: &mut dyn Catalog,
    pack: PackRecord,
    known: &HashSet<PackId>,
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
        if !known.contains(&pack.id) {
            catalog.add_pack(&pack)?;
        }
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
