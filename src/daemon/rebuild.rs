//! A vault out of nothing but its store, on a machine that never had it.
//!
//! The journal becomes a catalog, the catalog is compared with the packs that are there,
//! and on request the live tree is filled: before the comparison where nothing was under way
//! when the journal was written, for the list of packs takes its time. The surprise: nothing
//! is written to the store, not even the lease: the first mount takes that over. A rebuild
//! that was interrupted leaves a mark, by which no command takes the vault for a whole one.

use std::path::{Component, Path, PathBuf};
use std::thread;

use super::error::DaemonError;
use super::key::{Ask, unlock_document, write_document};
use super::lock::Purpose;
use super::opened::{Opened, SETTINGS, VAULT_NAME, mark_clean};
use crate::catalog::sqlite::SqliteCatalog;
use crate::catalog::{Catalog, Durability, PackState, Totals};
use crate::config::{Config, InitOptions, Origin};
use crate::model::failpoint::reach;
use crate::model::{
    Clock, Fence, PackId, StorePlace, SystemClock, Timestamp, VersionSeq, WriteClaim,
};
use crate::store::{
    Gap, Listing, Replayed, Secret, VaultKey, key_document_at, list_packs, note_replayed,
    reconcile, replay, versions_in_packs,
};
use crate::vault::{Materialised, Settled, Trust, VaultError, settle_rebuilt};

mod site;

use self::site::Site;
pub(super) use self::site::UNFINISHED;

/// What to rebuild, and where.
#[derive(Debug)]
pub struct RebuildRequest {
    /// The vault; must be empty or not there yet.
    pub vault_dir: PathBuf,
    /// The store.
    pub place: StorePlace,
    /// Whose journal is read. `None`: the newest writer's.
    pub writer: Option<Fence>,
    /// What is done where an object of the journal is missing or damaged.
    pub gap: Gap,
    /// Where the live tree is. `None`: where the settings say.
    pub live_dir: Option<PathBuf>,
    /// What becomes of the live tree.
    pub live: LiveAsOf,
    /// What opens an encrypted vault. `None`: what environment or a person have.
    pub secret: Option<Secret>,
}

/// What the live tree shall hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LiveAsOf {
    /// Nothing, or what is there.
    Untouched,
    /// All that was live when the journal was last written.
    LastUpload,
    /// All that was live at an instant.
    At(Timestamp),
}

/// A vault that was rebuilt.
#[derive(Debug)]
pub struct Rebuilt {
    /// Its settings.
    pub config: Config,
    /// What of the journal was used.
    pub replayed: Replayed,
    /// What the lost machine took with it.
    pub settled: Settled,
    /// Packs that were in the store and are gone.
    pub packs_missing: usize,
    /// Packs that are in the store and cannot be read, or not all of them.
    pub packs_damaged: usize,
    /// Versions that need one of these.
    pub versions_hurt: usize,
    /// What it has.
    pub totals: Totals,
    /// What is in the live tree. `None`: it was not touched.
    pub live: Option<Materialised>,
    /// Why nothing can be written to the store before it is taken over. `None`: it can.
    pub held_by: Option<String>,
}

/// Rebuilds a vault. `ask` is asked for a passphrase that no file has; `progress` hears
/// how many bytes of the live tree are there, and of how many.
///
/// # Errors
/// When the directory is in use, the store has no journal or does not answer, or the disk
/// says no. The same request goes on where it was.
pub fn rebuild(
    request: &RebuildRequest,
    ask: Ask<'_>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Rebuilt, DaemonError> {
    let key = key_of(request, ask)?;
    let site = Site::begin(&request.vault_dir)?;
    let mut rebuilt = thread::scope(|scope| {
        // A store may take its time for a long list.
        let listing = scope.spawn(|| list_packs(&request.place));
        // A failure shows where it is asked for again.
        let listing = || listing.join().ok().and_then(Result::ok);
        let made = match make_catalog(request, key.as_ref(), listing) {
            Ok(made) => made,
            Err(error) => {
                site.give_up();
                return Err(error);
            }
        };
        if let Some(key) = &key {
            write_document(&made.config, key)?;
        }
        reach("rebuild.settled");
        site.claim_live(&made.config, request.live)?;
        fill(request, made, key, progress)
    })?;
    site.finish()?;
    rebuilt.config.write_claim = WriteClaim::Keep;
    Ok(rebuilt)
}

/// A catalog that the live tree can be filled from.
struct Made<L> {
    config: Config,
    replayed: Replayed,
    settled: Settled,
    packs: Packs<L>,
}

/// How the catalog stands to the packs that are listed.
enum Packs<L> {
    Compared(Compared),
    /// Nothing was under way when the journal was written: most likely they agree, and the
    /// live tree can be filled while the list is on its way.
    Expected(L),
}

/// What the comparison came to.
struct Compared {
    missing: usize,
    damaged: usize,
    versions_hurt: usize,
    never_put: Vec<PackId>,
    relocated: u64,
}

fn key_of(request: &RebuildRequest, ask: Ask<'_>) -> Result<Option<VaultKey>, DaemonError> {
    let place = &request.place;
    let Some(document) = key_document_at(place).map_err(VaultError::from)? else {
        // A store that was encrypted does not become plain by losing an object.
        return match &request.secret {
            None => Ok(None),
            Some(_) => Err(DaemonError::NotEncrypted {
                place: place.to_string(),
            }),
        };
    };
    unlock_document(&document, &place.to_string(), request.secret.as_ref(), ask).map(Some)
}

fn make_catalog<L: FnOnce() -> Option<Listing>>(
    request: &RebuildRequest,
    key: Option<&VaultKey>,
    listing: L,
) -> Result<Made<L>, DaemonError> {
    let path = request.vault_dir.join("catalog.db");
    let cipher = key.map(|key| &**key.cipher());
    let place = &request.place;
    let replayed =
        replay(place, request.writer, request.gap, cipher, &path).map_err(VaultError::from)?;
    reach("rebuild.replayed");
    let mut catalog = SqliteCatalog::open(&path).map_err(VaultError::from)?;
    let catalog: &mut dyn Catalog = &mut catalog;
    note_replayed(catalog, &replayed).map_err(VaultError::from)?;
    let packs = match was_at_rest(catalog)? {
        true => Packs::Expected(listing),
        false => Packs::Compared(compare(place, catalog, listing())?),
    };
    let never_put = match &packs {
        Packs::Compared(compared) => &compared.never_put[..],
        Packs::Expected(_) => &[],
    };
    let settled = settle_rebuilt(catalog, never_put, SystemClock.now())?;
    let mut setting = |key| catalog.setting(key).map_err(VaultError::from);
    let text = match setting(SETTINGS)? {
        Some(text) => text,
        None => Config::default_text(&InitOptions::default())?,
    };
    let name = setting(VAULT_NAME)?.unwrap_or_else(|| "keepfs".into());
    catalog
        .commit(Durability::Power)
        .map_err(VaultError::from)?;
    let live_dir = request.live_dir.as_deref();
    let origin = match key {
        Some(_) => Origin::Owner,
        None => Origin::Anybody,
    };
    let config = Config::rebuild(&request.vault_dir, &text, &name, place, live_dir, origin)?;
    // Whoever can write to the store must not choose where this machine is written to.
    if live_dir.is_none() && !is_inside(&config.live_dir, &config.vault_dir) {
        return Err(DaemonError::LiveElsewhere {
            path: config.live_dir,
        });
    }
    config.validate_layout(None)?;
    Ok(Made {
        config,
        replayed,
        settled,
        packs,
    })
}

/// True when every version's bytes were in packs that had been put.
fn was_at_rest(catalog: &mut dyn Catalog) -> Result<bool, VaultError> {
    let packs = catalog.packs()?;
    let sealed = catalog.sealed_versions(VersionSeq(0), 1)?;
    Ok(sealed.is_empty() && packs.iter().all(|pack| pack.state == PackState::Stored))
}

fn compare(
    place: &StorePlace,
    catalog: &mut dyn Catalog,
    listing: Option<Listing>,
) -> Result<Compared, VaultError> {
    let reconciled = reconcile(place, catalog, listing)?;
    let unreadable = [&reconciled.missing[..], &reconciled.damaged].concat();
    Ok(Compared {
        missing: reconciled.missing.len(),
        damaged: reconciled.damaged.len(),
        versions_hurt: versions_in_packs(catalog, &unreadable)?.len(),
        never_put: reconciled.never_put,
        relocated: reconciled.relocated,
    })
}

/// True for a place below a directory by its words alone: `..` can lead anywhere.
fn is_inside(place: &Path, directory: &Path) -> bool {
    place.strip_prefix(directory).is_ok_and(|rest| {
        let mut parts = rest.components();
        parts.all(|part| matches!(part, Component::Normal(_)))
    })
}

fn fill<L: FnOnce() -> Option<Listing>>(
    request: &RebuildRequest,
    made: Made<L>,
    key: Option<VaultKey>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Rebuilt, DaemonError> {
    let mut config = made.config;
    config.write_claim = WriteClaim::ReadOnly;
    // Each byte is read once.
    let disk_cache_bytes_max = std::mem::replace(&mut config.disk_cache_bytes_max, 0);
    // A journal that is encrypted was written by who has the key; any other one perhaps not.
    let trust = match &key {
        Some(_) => Trust::Full,
        None => Trust::Bytes,
    };
    let opened = Opened::open(config.clone(), key, Purpose::Rebuild, &mut |_| {})?;
    let vault = opened.vault();
    if trust == Trust::Bytes {
        vault.distrust_modes()?;
    }
    let records = site::records_in(&vault.config().vault_dir);
    let mut fill_live = || match request.live {
        LiveAsOf::Untouched => Ok(None),
        LiveAsOf::LastUpload => vault.materialise(None, trust, &records, progress).map(Some),
        LiveAsOf::At(at) => vault
            .materialise(Some(at), trust, &records, progress)
            .map(Some),
    };
    let mut live = fill_live()?;
    reach("rebuild.filled");
    let lacks_files = live.as_ref().is_some_and(|live| !live.failed.is_empty());
    let compared = match made.packs {
        Packs::Compared(compared) if !lacks_files => compared,
        packs => {
            let listing = match packs {
                Packs::Expected(listing) => listing(),
                Packs::Compared(_) => None,
            };
            // Where the vault is in use, a pack may have moved since it was listed.
            let listing = listing.filter(|_| !lacks_files);
            let compared = compare(&request.place, vault.catalog().as_mut(), listing)?;
            if compared.relocated > 0 && lacks_files {
                live = fill_live()?;
            }
            compared
        }
    };
    let totals = vault.catalog().totals().map_err(VaultError::from)?;
    let held_by = vault.store().taken_over().map(|_| config.store.to_string());
    if request.live == LiveAsOf::LastUpload && is_whole(live.as_ref()) {
        mark_clean(vault)?;
    }
    opened.close()?;
    config.disk_cache_bytes_max = disk_cache_bytes_max;
    Ok(Rebuilt {
        config,
        replayed: made.replayed,
        settled: made.settled,
        packs_missing: compared.missing,
        packs_damaged: compared.damaged,
        versions_hurt: compared.versions_hurt,
        totals,
        live,
        held_by,
    })
}

/// True for a live tree that has every file.
fn is_whole(live: Option<&Materialised>) -> bool {
    live.is_some_and(|live| live.failed.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_live_tree_is_inside_by_its_words_alone() {
        let vault = Path::new("/srv/vault");
        for (place, expected) in [
            ("/srv/vault/live", true),
            ("/srv/vault/a/b", true),
            ("/srv/vault/../../etc", false),
            ("/srv/vault/live/../../../etc", false),
            ("/etc", false),
            ("/srv/vaults", false),
        ] {
            assert_eq!(is_inside(Path::new(place), vault), expected, "{place}");
        }
    }
}
