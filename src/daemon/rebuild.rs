//! A vault out of nothing but its store, on a machine that never had it.
//!
//! The journal becomes a catalog, the catalog is compared with the packs that are there,
//! and on request the live tree is filled. The surprise: nothing is written to the store,
//! not even the lease: the first mount takes that over. A rebuild that was interrupted
//! leaves a mark, by which no command takes the vault for a whole one.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};
use std::thread;

use super::create::make_private_directory;
use super::error::DaemonError;
use super::key::{Ask, unlock_document, write_document};
use super::lock::Purpose;
use super::opened::{Opened, SETTINGS, VAULT_NAME, mark_clean};
use crate::catalog::sqlite::SqliteCatalog;
use crate::catalog::{Catalog, Durability, Totals};
use crate::config::{Config, FILE_NAME, InitOptions, Origin};
use crate::model::failpoint::reach;
use crate::model::{Clock, Fence, StorePlace, SystemClock, Timestamp, WriteClaim};
use crate::store::{
    Gap, Replayed, Secret, VaultKey, key_document_at, list_packs, reconcile, replay,
    versions_in_packs,
};
use crate::vault::{Materialised, Settled, Trust, VaultError, settle_rebuilt};

/// Present in a vault while it is being rebuilt. Says which live tree is ours, and of which
/// store it is made.
pub(super) const UNFINISHED: &str = "rebuild.unfinished";
/// Which of the live files it wrote.
const WRITTEN: &str = "rebuild.written";
const LIVE_IS_OURS: &str = "the live tree was empty\n";

/// What to rebuild, and where.
#[derive(Debug)]
pub struct RebuildRequest {
    /// The vault; must be empty or not there yet.
    pub vault_dir: PathBuf,
    /// The store.
    pub place: StorePlace,
    /// Whose journal is read. `None`: the newest writer's.
    pub writer: Option<Fence>,
    /// What is done where an object of the journal is missing.
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
    let (config, found) = match make_catalog(request, key.as_ref()) {
        Ok(made) => made,
        Err(error) => {
            site.give_up();
            return Err(error);
        }
    };
    if let Some(key) = &key {
        write_document(&config, key)?;
    }
    reach("rebuild.settled");
    site.claim_live(&config, request.live)?;
    let mut rebuilt = fill(request, config, key, found, progress)?;
    site.finish()?;
    rebuilt.config.write_claim = WriteClaim::Keep;
    Ok(rebuilt)
}

/// What was found while the catalog was made.
struct Found {
    replayed: Replayed,
    settled: Settled,
    packs_missing: usize,
    packs_damaged: usize,
    versions_hurt: usize,
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

fn make_catalog(
    request: &RebuildRequest,
    key: Option<&VaultKey>,
) -> Result<(Config, Found), DaemonError> {
    let path = request.vault_dir.join("catalog.db");
    let cipher = key.map(VaultKey::cipher);
    let place = &request.place;
    let (replayed, listing) = thread::scope(|scope| {
        // A store may take its time for a long list.
        let listing = scope.spawn(|| list_packs(place));
        let cipher = cipher.map(|c| &**c);
        let replayed = replay(place, request.writer, request.gap, cipher, &path);
        (replayed, listing.join())
    });
    let replayed = replayed.map_err(VaultError::from)?;
    // A failure shows where it is asked for again.
    let listing = listing.ok().and_then(Result::ok);
    reach("rebuild.replayed");
    let mut catalog = SqliteCatalog::open(&path).map_err(VaultError::from)?;
    let catalog: &mut dyn Catalog = &mut catalog;
    let reconciled = reconcile(place, catalog, listing).map_err(VaultError::from)?;
    let settled = settle_rebuilt(catalog, &reconciled.never_put, SystemClock.now())?;
    let unreadable = [&reconciled.missing[..], &reconciled.damaged].concat();
    let hurt = versions_in_packs(catalog, &unreadable).map_err(VaultError::from)?;
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
    let found = Found {
        replayed,
        settled,
        packs_missing: reconciled.missing.len(),
        packs_damaged: reconciled.damaged.len(),
        versions_hurt: hurt.len(),
    };
    Ok((config, found))
}

/// True for a place below a directory by its words alone: `..` can lead anywhere.
fn is_inside(place: &Path, directory: &Path) -> bool {
    place.strip_prefix(directory).is_ok_and(|rest| {
        let mut parts = rest.components();
        parts.all(|part| matches!(part, Component::Normal(_)))
    })
}

fn fill(
    request: &RebuildRequest,
    mut config: Config,
    key: Option<VaultKey>,
    found: Found,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Rebuilt, DaemonError> {
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
    let records = vault.config().vault_dir.join(WRITTEN);
    let live = match request.live {
        LiveAsOf::Untouched => None,
        LiveAsOf::LastUpload => Some(vault.materialise(None, trust, &records, progress)?),
        LiveAsOf::At(at) => Some(vault.materialise(Some(at), trust, &records, progress)?),
    };
    reach("rebuild.filled");
    let totals = vault.catalog().totals().map_err(VaultError::from)?;
    let held_by = vault.store().taken_over().map(|_| config.store.to_string());
    let is_as_the_catalog_says = request.live == LiveAsOf::LastUpload
        && live.as_ref().is_some_and(|live| live.failed.is_empty());
    if is_as_the_catalog_says {
        mark_clean(vault)?;
    }
    opened.close()?;
    config.disk_cache_bytes_max = disk_cache_bytes_max;
    Ok(Rebuilt {
        config,
        replayed: found.replayed,
        settled: found.settled,
        packs_missing: found.packs_missing,
        packs_damaged: found.packs_damaged,
        versions_hurt: found.versions_hurt,
        totals,
        live,
        held_by,
    })
}

/// The directory that a vault is rebuilt in.
struct Site {
    directory: PathBuf,
    mark: PathBuf,
    /// Whether this made the directory.
    is_made: bool,
    /// The mark, locked: who else would rebuild here waits outside.
    locked: fs::File,
}

impl Site {
    fn begin(directory: &Path) -> Result<Self, DaemonError> {
        let failed =
            |error: io::Error| DaemonError::io(format!("making {}", directory.display()), error);
        let is_made = make_private_directory(directory).map_err(failed)?.is_some();
        let mark = directory.join(UNFINISHED);
        if !mark.exists() {
            let mut entries = fs::read_dir(directory).map_err(failed)?;
            if entries.next().is_some() {
                return Err(DaemonError::NotEmpty {
                    path: directory.into(),
                });
            }
            fs::write(&mark, "").map_err(failed)?;
        }
        fs::set_permissions(directory, fs::Permissions::from_mode(0o700)).map_err(failed)?;
        let locked = fs::File::open(&mark).map_err(failed)?;
        locked.try_lock().map_err(|_| DaemonError::BeingRebuilt {
            path: directory.into(),
        })?;
        let site = Self {
            mark,
            directory: directory.into(),
            is_made,
            locked,
        };
        site.sync()?;
        site.remove_catalog();
        Ok(site)
    }

    /// What another attempt left of what is made anew.
    fn remove_catalog(&self) {
        for name in [
            "catalog.db",
            "catalog.db-journal",
            "catalog.db-wal",
            "catalog.db-shm",
            FILE_NAME,
            "key.json",
        ] {
            // One that cannot be removed cannot be made anew either, and is told then.
            let _ = fs::remove_file(self.directory.join(name));
        }
    }

    /// Nothing came of it: what was made goes, unless there are live files already.
    fn give_up(&self) {
        self.remove_catalog();
        let is_alone = fs::read_dir(&self.directory).is_ok_and(|entries| entries.count() == 1);
        // With anything beside it, the same command must be able to go on.
        if is_alone && fs::read_to_string(&self.mark).is_ok_and(|text| text.is_empty()) {
            let _ = fs::remove_file(&self.mark);
        }
        if self.is_made {
            let _ = fs::remove_dir(&self.directory);
        }
    }

    /// Files are written only into a live tree that was empty when that began.
    fn claim_live(&self, config: &Config, live: LiveAsOf) -> Result<(), DaemonError> {
        let directory = &config.live_dir;
        let failed =
            |error: io::Error| DaemonError::io(format!("making {}", directory.display()), error);
        fs::create_dir_all(directory).map_err(failed)?;
        let ours = format!("{LIVE_IS_OURS}{}\n{}\n", directory.display(), config.store);
        let is_ours = fs::read_to_string(&self.mark).is_ok_and(|text| text == ours);
        if live == LiveAsOf::Untouched || is_ours {
            return Ok(());
        }
        if fs::read_dir(directory).map_err(failed)?.next().is_some() {
            self.give_up();
            return Err(DaemonError::LiveNotEmpty {
                path: directory.clone(),
            });
        }
        // What was written into another one.
        self.forget_written()?;
        fs::write(&self.mark, ours).map_err(failed)?;
        self.sync()
    }

    fn forget_written(&self) -> Result<(), DaemonError> {
        let records = self.directory.join(WRITTEN);
        match fs::remove_file(&records) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(DaemonError::io(records.display().to_string(), error))
            }
            _ => Ok(()),
        }
    }

    fn finish(&self) -> Result<(), DaemonError> {
        self.forget_written()?;
        fs::remove_file(&self.mark)
            .map_err(|error| DaemonError::io(self.mark.display().to_string(), error))?;
        self.sync()
    }

    fn sync(&self) -> Result<(), DaemonError> {
        self.locked
            .sync_all()
            .and_then(|()| fs::File::open(&self.directory)?.sync_all())
            .map_err(|error| DaemonError::io(self.directory.display().to_string(), error))
    }
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
