//! A catalog that was made anew, and the packs that are really in the store.
//!
//! The journal may say less than the store has, or more: packs that were still growing
//! when it was written, others that were rewritten after it. The surprise: nothing is
//! read but tables. A chunk is believed to be where a table says; its bytes are checked
//! against its name when somebody reads it, as ever. And a pack whose table cannot be read
//! counts as stored all the same: whoever mends it brings its versions back.

use std::collections::{HashMap, HashSet};

use super::backend::Backend;
use super::check::read_table;
use super::error::{Result, StoreError};
use super::pack::PACK_BYTES_MAX;
use crate::catalog::{Catalog, ChunkRecord, PackRecord, PackState, atomically};
use crate::model::{ChunkHash, PackId, StorePlace, VersionSeq};

/// Packs that the catalog needs and the store does not have, or not whole.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Reconciled {
    /// They were never put: what is in them was on its way when the machine was lost.
    pub never_put: Vec<PackId>,
    /// They were put, and are gone.
    pub missing: Vec<PackId>,
    /// They are there, but not as they were written.
    pub damaged: Vec<PackId>,
    /// Chunks that lay in other packs than the catalog said, which says it now.
    pub relocated: u64,
}

/// The packs that lie in a store, and their bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing(HashMap<PackId, u64>);

impl Listing {
    fn of(backend: &Backend, known: usize) -> Result<Self> {
        backend.list(known).map(Self)
    }

    /// True when it has all that the catalog knows.
    fn has_all(&self, packs: &[PackRecord]) -> bool {
        packs
            .iter()
            .all(|pack| match (self.0.get(&pack.id), pack.state) {
                (Some(&bytes), PackState::Stored) => bytes == pack.bytes,
                (Some(_), PackState::Open) => true,
                (None, _) => false,
            })
    }
}

/// What [`reconcile`] has to know, asked for while there is other work. How many packs are
/// known is not known yet.
///
/// # Errors
/// What the store answers, and where there are very many packs.
pub fn list_packs(place: &StorePlace) -> Result<Listing> {
    Listing::of(&Backend::open(place, false)?, 0)
}

/// Brings the packs of a catalog into line with what lies at `place`, where nothing is
/// changed. `listing` is of some moment before; where it lacks anything, the store is asked
/// again.
///
/// # Errors
/// What the store answers, and when the catalog fails.
pub fn reconcile(
    place: &StorePlace,
    catalog: &mut dyn Catalog,
    listing: Option<Listing>,
) -> Result<Reconciled> {
    let backend = Backend::open(place, false)?;
    let packs = catalog.packs()?;
    let Listing(mut listing) = match listing.filter(|listing| listing.has_all(&packs)) {
        Some(listing) => listing,
        None => Listing::of(&backend, packs.len())?,
    };
    // Nothing is taken for lost because a listing is not up to date.
    for pack in &packs {
        if !listing.contains_key(&pack.id) {
            let bytes = backend.pack_bytes(pack.id)?;
            listing.extend(bytes.map(|bytes| (pack.id, bytes)));
        }
    }
    let mut known = HashSet::new();
    let mut wanting = Vec::new();
    let mut wanted = HashMap::new();
    let mut elsewhere = HashMap::new();
    for pack in packs {
        known.insert(pack.id);
        let taken = match (listing.get(&pack.id), pack.state) {
            (Some(&bytes), PackState::Stored) if bytes == pack.bytes => continue,
            // Cut short, or another one: none of it is relied on.
            (Some(_), PackState::Stored) => Some(Vec::new()),
            (Some(&bytes), PackState::Open) => take_as_stored(&backend, catalog, pack.id, bytes)?,
            (None, _) => None,
        };
        let standing = taken.is_none().then_some(pack.state);
        let entries = taken.unwrap_or_default();
        let by_hash: HashMap<_, _> = entries.iter().map(|entry| (entry.hash, entry)).collect();
        let mut lacking = catalog.pack_chunks(pack.id)?;
        lacking.retain(|chunk| by_hash.get(&chunk.hash) != Some(&chunk));
        if standing.is_some() || !lacking.is_empty() {
            wanting.push((pack.id, standing));
        }
        wanted.extend(lacking.into_iter().map(|chunk| (chunk.hash, chunk)));
        note_elsewhere(catalog, entries, &mut elsewhere)?;
    }
    let mut reconciled = Reconciled::default();
    let elsewhere = elsewhere.into_values().collect();
    reconciled.relocated += take_found(catalog, None, elsewhere, &mut wanted)?;
    let strangers = listing.iter().filter(|(pack, _)| !known.contains(pack));
    for (&id, &bytes) in strangers {
        if wanted.is_empty() {
            break;
        }
        if let Some(entries) = table(&backend, id, bytes)? {
            let state = PackState::Stored;
            let pack = PackRecord { id, state, bytes };
            reconciled.relocated += take_found(catalog, Some(&pack), entries, &mut wanted)?;
        }
    }
    for (pack, standing) in wanting {
        catalog.remove_dead_chunks(pack)?;
        let chunks = catalog.pack_chunks(pack)?;
        if chunks.is_empty() {
            catalog.remove_pack(pack)?;
        }
        if !chunks.iter().any(|chunk| wanted.contains_key(&chunk.hash)) {
            continue;
        }
        match standing {
            Some(PackState::Open) => reconciled.never_put.push(pack),
            Some(PackState::Stored) => reconciled.missing.push(pack),
            None => reconciled.damaged.push(pack),
        }
    }
    Ok(reconciled)
}

/// The stored versions that need one of these packs. All packs at once, for each time reads
/// the chunk list of every content.
///
/// # Errors
/// When the catalog fails.
pub fn versions_in_packs(catalog: &mut dyn Catalog, packs: &[PackId]) -> Result<Vec<VersionSeq>> {
    let mut chunks = Vec::new();
    for &pack in packs {
        let here = catalog.pack_chunks(pack)?.into_iter();
        chunks.extend(here.map(|chunk| chunk.hash));
    }
    Ok(catalog.versions_with_chunks(&chunks)?)
}

/// A pack that was growing when the journal was written, and is listed now: its table, or
/// nothing where that cannot be read. `None`: it is gone after all.
fn take_as_stored(
    backend: &Backend,
    catalog: &mut dyn Catalog,
    id: PackId,
    bytes: u64,
) -> Result<Option<Vec<ChunkRecord>>> {
    let entries = table(backend, id, bytes)?;
    if entries.is_none() && backend.pack_bytes(id)?.is_none() {
        return Ok(None);
    }
    let state = PackState::Stored;
    // A listing may claim anything.
    let bytes = bytes.min(PACK_BYTES_MAX);
    catalog.set_pack(&PackRecord { id, state, bytes })?;
    Ok(Some(entries.unwrap_or_default()))
}

/// Notes chunks in the table of a pack that the catalog has in another place, one place each.
/// A store may have any number of tables, but what is kept of them is no more than the
/// catalog knows.
pub(super) fn note_elsewhere(
    catalog: &mut dyn Catalog,
    entries: Vec<ChunkRecord>,
    elsewhere: &mut HashMap<ChunkHash, ChunkRecord>,
) -> Result<()> {
    for entry in entries {
        let known = catalog.chunk(&entry.hash)?;
        if known.is_some_and(|known| known.plain_bytes == entry.plain_bytes && known != entry) {
            elsewhere.entry(entry.hash).or_insert(entry);
        }
    }
    Ok(())
}

/// Takes what is wanted of the table of a pack: of `stranger`, if the catalog does not know it.
/// Returns of how many chunks that was.
fn take_found(
    catalog: &mut dyn Catalog,
    stranger: Option<&PackRecord>,
    mut entries: Vec<ChunkRecord>,
    wanted: &mut HashMap<ChunkHash, ChunkRecord>,
) -> Result<u64> {
    entries.retain(|entry| {
        let wanted = wanted.get(&entry.hash);
        wanted.is_some_and(|chunk| chunk.plain_bytes == entry.plain_bytes)
    });
    if entries.is_empty() {
        return Ok(0);
    }
    for chunk in &entries {
        wanted.remove(&chunk.hash);
    }
    atomically(catalog, |catalog| {
        if let Some(pack) = stranger {
            catalog.add_pack(pack)?;
        }
        catalog.put_chunks(&entries)?;
        Ok::<_, StoreError>(())
    })?;
    Ok(entries.len() as u64)
}

/// The table of a pack. `None`: it has none that can be read.
fn table(backend: &Backend, id: PackId, bytes: u64) -> Result<Option<Vec<ChunkRecord>>> {
    let read = backend
        .source(id)
        .and_then(|source| read_table(backend, &source, id, bytes));
    match read {
        Ok(entries) => Ok(Some(entries)),
        Err(error) if error.is_no_answer() => Err(error),
        // Damage, or a bad place on the disk.
        Err(error) => {
            log::warn!("{error}");
            Ok(None)
        }
    }
}
