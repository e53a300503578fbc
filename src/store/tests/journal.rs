//! The journal: what is left of a vault when nothing but its store is.

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::Bench;
use crate::catalog::sqlite::SqliteCatalog;
use crate::catalog::{Catalog, Durability, SharedCatalog};
use crate::model::{AssetId, Fence, ManualClock, Name, ROOT, StorePlace, Timestamp, WriteClaim};
use crate::store::{Gap, Replayed, Store, StoreConfig, StoreError, replay};

/// A store with a catalog in a file.
pub(super) struct Journaled {
    pub(super) directory: tempfile::TempDir,
    pub(super) config: StoreConfig,
    pub(super) clock: Arc<ManualClock>,
    pub(super) catalog: SharedCatalog,
    pub(super) store: Store,
}

pub(super) fn try_open(
    directory: &Path,
    config: &StoreConfig,
    clock: &Arc<ManualClock>,
) -> Result<(SharedCatalog, Store), StoreError> {
    let catalog = SqliteCatalog::open(&directory.join("catalog.db")).unwrap();
    let catalog: SharedCatalog = Arc::new(Mutex::new(Box::new(catalog)));
    let store = Store::open(config, catalog.clone(), clock.clone())?;
    Ok((catalog, store))
}

impl Journaled {
    pub(super) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let config = StoreConfig {
            place: StorePlace::Directory(directory.path().join("store")),
            spool_dir: directory.path().join("spool"),
            vault_dir: directory.path().into(),
            ..Bench::new().config.clone()
        };
        let clock = Arc::new(ManualClock::at_seconds(1_700_000_000));
        let (catalog, store) = try_open(directory.path(), &config, &clock).unwrap();
        Self {
            directory,
            config,
            clock,
            catalog,
            store,
        }
    }

    /// Ends it, does something to its directory, and opens it anew.
    pub(super) fn reopened_after(self, work: impl FnOnce(&Path)) -> Self {
        self.claimed_after(WriteClaim::Keep, work).unwrap()
    }

    /// The same, with a claim. An error leaves nothing of it.
    pub(super) fn claimed_after(
        self,
        write_claim: WriteClaim,
        work: impl FnOnce(&Path),
    ) -> Result<Self, (tempfile::TempDir, StoreError)> {
        let Self {
            directory,
            config,
            clock,
            catalog,
            store,
        } = self;
        drop((store, catalog));
        work(directory.path());
        let config = StoreConfig {
            write_claim,
            ..config
        };
        match try_open(directory.path(), &config, &clock) {
            Ok((catalog, store)) => Ok(Self {
                directory,
                config,
                clock,
                catalog,
                store,
            }),
            Err(error) => Err((directory, error)),
        }
    }

    pub(super) fn set(&self, key: &str) {
        self.set_to(key, "set");
    }

    pub(super) fn set_to(&self, key: &str, value: &str) {
        let mut catalog = self.catalog.lock().unwrap();
        catalog.set_setting(key, Some(value)).unwrap();
    }

    pub(super) fn make_assets(&self, from: u32, count: u32) {
        let mut catalog = self.catalog.lock().unwrap();
        for number in from..from + count {
            let name = Name::new(format!("asset {number}").as_bytes()).unwrap();
            let id = AssetId((u128::from(number) << 64).to_be_bytes());
            let now = Timestamp::from_nanos(1);
            catalog.create_asset(ROOT, &name, id, None, now).unwrap();
        }
    }

    pub(super) fn commit_rows(&self) {
        let commit = self.catalog.lock().unwrap().commit(Durability::Process);
        commit.unwrap();
    }

    pub(super) fn publish(&self) {
        self.store.publish().unwrap();
    }

    /// The objects of the journal, in order.
    pub(super) fn objects(&self) -> Vec<PathBuf> {
        let journal = self.directory.path().join("store/catalog/0000000001");
        let mut objects: Vec<_> = fs::read_dir(journal)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        objects.sort();
        objects
    }

    /// What another machine makes of the store alone.
    pub(super) fn replayed(&self, gap: Gap) -> Result<(Replayed, SqliteCatalog), StoreError> {
        self.replayed_of(None, gap)
    }

    /// The same of one writer.
    pub(super) fn replayed_of(
        &self,
        writer: Option<Fence>,
        gap: Gap,
    ) -> Result<(Replayed, SqliteCatalog), StoreError> {
        let path = self.directory.path().join("other.db");
        for suffix in ["", "-wal", "-shm"] {
            let _ = fs::remove_file(format!("{}{suffix}", path.display()));
        }
        let cipher = self.config.key.as_ref().map(|key| &**key.cipher());
        let replayed = replay(&self.config.place, writer, gap, cipher, &path)?;
        Ok((replayed, SqliteCatalog::open(&path).unwrap()))
    }

    pub(super) fn assert_replays(&self) {
        let (_, mut other) = self.replayed(Gap::Refuse).unwrap();
        let mut catalog = self.catalog.lock().unwrap();
        assert_eq!(other.totals().unwrap(), catalog.totals().unwrap());
        for key in KEYS {
            assert_eq!(
                other.setting(key).unwrap(),
                catalog.setting(key).unwrap(),
                "{key}"
            );
        }
        assert_eq!(
            other.children(ROOT, None, usize::MAX >> 1).unwrap(),
            catalog.children(ROOT, None, usize::MAX >> 1).unwrap()
        );
    }
}

pub(super) const KEYS: [&str; 4] = ["a", "b", "c", "d"];

fn refused(result: Result<(Replayed, SqliteCatalog), StoreError>) -> StoreError {
    result.map(|(replayed, _)| replayed).unwrap_err()
}

#[test]
fn another_machine_learns_from_the_store_alone_what_the_catalog_knew() {
    let vault = Journaled::new();
    for (round, key) in KEYS.iter().enumerate() {
        vault.make_assets(round as u32 * 10, 10);
        vault.set(key);
        vault.publish();
        vault.assert_replays();
    }
    let (replayed, _) = vault.replayed(Gap::Refuse).unwrap();
    assert_eq!((replayed.fence, replayed.number), (Fence(1), 4));
}

#[test]
fn what_was_removed_is_gone_on_the_other_machine_too() {
    let vault = Journaled::new();
    vault.set("a");
    vault.make_assets(0, 2);
    vault.publish();
    {
        let mut catalog = vault.catalog.lock().unwrap();
        catalog.set_setting("a", None).unwrap();
        let name = Name::new(b"asset 0").unwrap();
        let asset = catalog.asset_at(ROOT, &name).unwrap().unwrap().asset;
        catalog
            .forget_asset(asset, Timestamp::from_nanos(2))
            .unwrap();
    }
    vault.publish();
    vault.assert_replays();
}

#[test]
fn what_is_of_this_machine_alone_stays_here() {
    let vault = Journaled::new();
    vault.set("a");
    vault.publish();
    let before = vault.objects();
    vault.set("local.a");
    vault.set("clean_stop");
    vault.publish();
    assert_eq!(vault.objects(), before);
    vault.set("b");
    vault.publish();
    let (_, mut other) = vault.replayed(Gap::Refuse).unwrap();
    assert_eq!(other.setting("local.a").unwrap(), None);
    assert_eq!(other.setting("b").unwrap(), Some("set".into()));
}

#[test]
fn nothing_new_is_nothing_written() {
    let vault = Journaled::new();
    vault.set("a");
    vault.publish();
    let before = vault.objects();
    vault.publish();
    assert_eq!(vault.objects(), before);
}

#[test]
fn what_a_kill_kept_from_the_journal_is_published_by_the_next_run() {
    let vault = Journaled::new();
    vault.set("a");
    vault.publish();
    vault.set("b");
    vault.make_assets(0, 3);
    vault.commit_rows();
    let vault = vault.reopened_after(|_| ());
    vault.publish();
    vault.assert_replays();
}

#[test]
fn many_changes_become_a_snapshot_and_the_old_journal_goes() {
    let vault = Journaled::new();
    let noise: String = crate::store::testing::noise(2 << 20, 1)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    vault.set("a");
    vault.publish();
    vault.set_to("b", &noise);
    vault.publish();
    assert_eq!(vault.objects().len(), 2);
    vault.set("b");
    vault.publish();
    let objects = vault.objects();
    assert_eq!(objects.len(), 1);
    assert!(objects[0].ends_with("0000000003.snapshot"), "{objects:?}");
    vault.assert_replays();
}

#[test]
fn a_journal_of_many_objects_makes_sense_only_whole() {
    let vault = Journaled::new();
    vault.set("a");
    vault.publish();
    vault.make_assets(0, 30_000);
    vault.set("b");
    vault.publish();
    let objects = vault.objects();
    assert!(objects.len() > 2, "{objects:?}");
    vault.assert_replays();
    // As if the machine had been lost while it published.
    fs::remove_file(objects.last().unwrap()).unwrap();
    let (replayed, mut other) = vault.replayed(Gap::Refuse).unwrap();
    assert_eq!(replayed.number, 1);
    assert_eq!(other.setting("b").unwrap(), None);
    assert_eq!(other.totals().unwrap().assets_live, 0);
}

#[test]
fn a_gap_is_refused_by_name_and_can_be_accepted() {
    let vault = Journaled::new();
    for key in KEYS {
        vault.set(key);
        vault.publish();
    }
    fs::remove_file(&vault.objects()[2]).unwrap();
    let error = refused(vault.replayed(Gap::Refuse));
    assert!(matches!(error, StoreError::JournalGap { .. }), "{error}");
    let error = error.to_string();
    assert!(
        error.contains("catalog/0000000001/0000000003.changes"),
        "{error}"
    );
    let (replayed, mut other) = vault.replayed(Gap::Accept).unwrap();
    assert_eq!((replayed.number, replayed.missing), (2, Some(3)));
    assert_eq!(other.setting("b").unwrap(), Some("set".into()));
    assert_eq!(other.setting("c").unwrap(), None);
}

#[test]
fn a_store_that_was_moved_to_has_a_journal_of_its_own() {
    let vault = Journaled::new();
    vault.set("a");
    vault.publish();
    let new = StorePlace::Directory(vault.directory.path().join("new"));
    let watch = &mut |_, _| ControlFlow::Continue(());
    vault.store.migrate(&new, &|| Ok(()), watch).unwrap();
    let vault = Journaled {
        config: StoreConfig {
            place: new,
            ..vault.config
        },
        ..vault
    };
    vault.assert_replays();
    vault.set("b");
    vault.publish();
    vault.assert_replays();
    assert_eq!(
        vault.objects().len(),
        1,
        "the old journal is left as it was"
    );
}

#[test]
fn damage_is_named_and_an_empty_store_is_called_empty() {
    let vault = Journaled::new();
    let error = refused(vault.replayed(Gap::Refuse));
    assert!(matches!(error, StoreError::NoJournal { .. }), "{error}");
    vault.set("a");
    vault.publish();
    vault.set("b");
    vault.publish();
    let object = vault.objects().pop().unwrap();
    let mut bytes = fs::read(&object).unwrap();
    bytes[90] ^= 1;
    fs::remove_file(&object).unwrap();
    fs::write(&object, bytes).unwrap();
    let error = refused(vault.replayed(Gap::Refuse)).to_string();
    assert!(error.contains("0000000002.changes"), "{error}");
    assert!(error.contains("checksum"), "{error}");
}

#[test]
fn an_object_under_another_objects_name_is_refused() {
    let vault = Journaled::new();
    for key in KEYS {
        vault.set(key);
        vault.publish();
    }
    let objects = vault.objects();
    fs::rename(&objects[3], &objects[2]).unwrap();
    let error = refused(vault.replayed(Gap::Refuse)).to_string();
    assert!(error.contains("another name"), "{error}");
}
