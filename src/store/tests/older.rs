//! A catalog that knows less than the journal in its store: what a power failure takes, and
//! what an older copy of it, put back, must not destroy.

use std::fs;
use std::path::{Path, PathBuf};

use super::journal::Journaled;
use crate::catalog::sqlite::SqliteCatalog;
use crate::catalog::{Catalog, ChangeMark, Durability, JournalPosition};
use crate::model::{Fence, WriteClaim};
use crate::store::backend::Backend;
use crate::store::journal::draw;
use crate::store::membership::Answer;
use crate::store::testing::noise;
use crate::store::{AtBound, CheckDepth, Gap, LEASE_NAME, Store, StoreError, Tail, note_replayed};

pub(super) fn position(vault: &Journaled) -> JournalPosition {
    let mut catalog = vault.catalog.lock().unwrap();
    catalog.unpublished().unwrap().unwrap().position
}

/// Takes back that the catalog heard of what it published.
pub(super) fn forget_since(vault: &Journaled, position: &JournalPosition) {
    let mut catalog = vault.catalog.lock().unwrap();
    catalog.set_published(ChangeMark(0), position).unwrap();
    catalog.commit(Durability::Process).unwrap();
}

fn keep_copy(directory: &Path) {
    fs::copy(directory.join("catalog.db"), directory.join("before.db")).unwrap();
}

fn put_copy_back(directory: &Path) {
    fs::rename(directory.join("before.db"), directory.join("catalog.db")).unwrap();
}

/// Two settings are in a copy of the catalog and four in the journal.
fn with_a_copy() -> Journaled {
    let vault = Journaled::new();
    for key in ["a", "b"] {
        vault.set(key);
        vault.publish();
    }
    let vault = vault.reopened_after(keep_copy);
    for key in ["c", "d"] {
        vault.set(key);
        vault.publish();
    }
    vault
}

fn contents(files: &[PathBuf]) -> Vec<(PathBuf, Vec<u8>)> {
    let read = |file: &PathBuf| (file.clone(), fs::read(file).unwrap());
    files.iter().map(read).collect()
}

fn setting(catalog: &mut SqliteCatalog, key: &str) -> Option<String> {
    catalog.setting(key).unwrap()
}

#[track_caller]
fn assert_older(error: &StoreError) {
    assert!(
        matches!(error, StoreError::CatalogIsOlder { .. }),
        "{error}"
    );
    let said = error.to_string();
    for words in [
        "older copy",
        "keepfs rebuild --store",
        "--writer 1",
        "--take-over",
    ] {
        assert!(said.contains(words), "{said}");
    }
    assert!(!said.contains('\n'));
}

#[test]
fn what_the_catalog_forgot_by_a_power_failure_is_said_again_behind_it() {
    let vault = Journaled::new();
    vault.set("a");
    vault.publish();
    let before = position(&vault);
    vault.set("b");
    vault.publish();
    forget_since(&vault, &before);
    let vault = vault.reopened_after(|_| ());
    vault.set("c");
    vault.publish();
    let objects = vault.objects();
    assert_eq!(objects.len(), 1);
    assert!(objects[0].ends_with("0000000003.snapshot"), "{objects:?}");
    vault.assert_replays();
}

/// Another machine that looks in between finds the new number 3 and the old number 4.
#[test]
fn what_was_said_before_a_power_failure_is_no_sequel_to_what_is_said_after() {
    let vault = Journaled::new();
    for key in ["a", "b"] {
        vault.set(key);
        vault.publish();
    }
    let before = position(&vault);
    for key in ["c", "d"] {
        vault.set_to(key, "old");
        vault.publish();
    }
    let objects = vault.objects();
    let (last, bytes) = (objects[3].clone(), fs::read(&objects[3]).unwrap());
    forget_since(&vault, &before);
    let vault = vault.reopened_after(|_| {
        fs::remove_file(&objects[2]).unwrap();
        fs::remove_file(&objects[3]).unwrap();
    });
    vault.set("e");
    vault.publish();
    fs::write(last, bytes).unwrap();
    assert_eq!(vault.objects().len(), 4);
    let (replayed, mut other) = vault.replayed(Gap::Refuse).unwrap();
    assert_eq!(replayed.number, 3);
    assert_eq!(setting(&mut other, "e"), Some("set".into()));
}

#[test]
fn a_journal_that_is_to_begin_anew_is_the_catalogs_own_after_a_kill() {
    let vault = Journaled::new();
    for key in ["a", "b"] {
        vault.set(key);
        vault.publish();
    }
    {
        let mut published = vault.store.shared.published.lock().unwrap();
        let mut catalog = vault.catalog.lock().unwrap();
        published.begin_anew(&mut **catalog).unwrap();
        catalog.commit(Durability::Process).unwrap();
    }
    let vault = vault.reopened_after(|_| ());
    vault.publish();
    assert_eq!(vault.objects().len(), 1);
    vault.assert_replays();
    let vault = vault.reopened_after(|_| ());
    vault.set("c");
    vault.publish();
    vault.assert_replays();
}

#[test]
fn an_older_catalog_is_refused_and_nothing_that_a_newer_one_said_is_lost() {
    let vault = with_a_copy();
    let before = contents(&vault.objects());
    let (directory, error) = vault
        .claimed_after(WriteClaim::Keep, put_copy_back)
        .err()
        .unwrap();
    assert_older(&error);
    let after: Vec<_> = before.iter().map(|(file, _)| file.clone()).collect();
    assert_eq!(contents(&after), before);
    assert_eq!(
        fs::read_dir(directory.path().join("store/catalog"))
            .unwrap()
            .count(),
        1
    );
}

/// Each attempt to publish draws a number, also where it fails half-way.
#[test]
fn what_was_begun_before_many_failures_is_still_the_catalogs_own() {
    let vault = Journaled::new();
    vault.set("a");
    vault.publish();
    let before = position(&vault);
    vault.set("b");
    vault.publish();
    forget_since(&vault, &before);
    for _ in 0..200 {
        let mut catalog = vault.catalog.lock().unwrap();
        draw(&mut **catalog, &*vault.store.shared.clock).unwrap();
        catalog.commit(Durability::Process).unwrap();
    }
    let vault = vault.reopened_after(|_| ());
    vault.set("c");
    vault.publish();
    vault.assert_replays();
}

#[test]
fn an_older_catalog_is_refused_where_the_lease_is_gone_too() {
    let vault = with_a_copy();
    let refused = vault.claimed_after(WriteClaim::Keep, |directory| {
        put_copy_back(directory);
        fs::remove_file(directory.join("store").join(LEASE_NAME)).unwrap();
    });
    let (directory, error) = refused.err().unwrap();
    assert_older(&error);
    assert!(!directory.path().join("store").join(LEASE_NAME).exists());
}

#[test]
fn to_look_at_an_older_catalog_names_it_and_changes_nothing() {
    let vault = with_a_copy();
    let before = contents(&vault.objects());
    let vault = vault.claimed_after(WriteClaim::ReadOnly, put_copy_back);
    let vault = vault.unwrap_or_else(|(_, error)| panic!("{error}"));
    assert_older(&vault.store.taken_over().unwrap());
    let flaws = vault.store.check_records(CheckDepth::Listing).unwrap();
    assert_eq!(flaws.len(), 1, "{flaws:?}");
    assert!(flaws[0].to_string().contains("older copy"), "{flaws:?}");
    assert_older(&vault.store.repair_records().unwrap_err());
    vault.set("e");
    assert_older(&vault.store.publish().unwrap_err());
    assert_eq!(contents(&vault.objects()), before);
}

#[test]
fn an_older_catalog_whose_bucket_was_away_at_the_start_stops_before_it_writes() {
    let vault = with_a_copy();
    let before = contents(&vault.objects());
    let Journaled {
        directory,
        config,
        clock,
        catalog,
        store,
    } = vault;
    drop((store, catalog));
    put_copy_back(directory.path());
    let catalog = SqliteCatalog::open(&directory.path().join("catalog.db")).unwrap();
    let catalog: crate::catalog::SharedCatalog =
        std::sync::Arc::new(std::sync::Mutex::new(Box::new(catalog)));
    let backend = Backend::open(&config.place, false).unwrap();
    let store = Store::start_over(
        &config,
        catalog.clone(),
        clock.clone(),
        backend,
        Answer::None,
    )
    .unwrap();
    assert!(store.taken_over().is_none());
    store
        .write(&mut &*noise(1000, 1), Tail::Whole, AtBound::Wait)
        .unwrap();
    assert_older(&store.flush().unwrap_err());
    assert_older(&store.publish().unwrap_err());
    assert_older(&store.reclaim().unwrap_err());
    assert_older(&store.taken_over().unwrap());
    let vault = Journaled {
        directory,
        config,
        clock,
        catalog,
        store,
    };
    assert_eq!(contents(&vault.objects()), before);
}

#[test]
fn who_takes_over_with_an_older_catalog_leaves_the_newer_journal_to_be_rebuilt_from() {
    let vault = with_a_copy();
    let before = contents(&vault.objects());
    let vault = vault.claimed_after(WriteClaim::TakeOver, put_copy_back);
    let vault = vault.unwrap_or_else(|(_, error)| panic!("{error}"));
    vault.set("e");
    vault.publish();
    assert_eq!(contents(&vault.objects()), before);
    vault.assert_replays();
    let (replayed, mut newest) = vault.replayed(Gap::Refuse).unwrap();
    assert_eq!(replayed.fence, Fence(2));
    assert_eq!(setting(&mut newest, "d"), None);
    let (_, mut left) = vault.replayed_of(Some(Fence(1)), Gap::Refuse).unwrap();
    assert_eq!(setting(&mut left, "d"), Some("set".into()));
    // From here on it is a vault like any other.
    let vault = vault.reopened_after(|_| ());
    vault.set("f");
    vault.publish();
    vault.assert_replays();
    assert_eq!(contents(&vault.objects()), before);
}

#[test]
fn a_catalog_that_was_made_of_the_journal_is_no_older_one() {
    let vault = with_a_copy();
    let (replayed, mut other) = vault.replayed(Gap::Refuse).unwrap();
    note_replayed(&mut other, &replayed).unwrap();
    other.commit(Durability::Process).unwrap();
    drop(other);
    let vault = vault.reopened_after(|directory| {
        fs::rename(directory.join("other.db"), directory.join("catalog.db")).unwrap();
        fs::remove_file(directory.join("store").join(LEASE_NAME)).unwrap();
    });
    vault.set("e");
    vault.publish();
    vault.assert_replays();
}

/// A copy of a whole machine has the same lease, and both run.
#[test]
fn nothing_is_written_over_what_another_one_with_the_same_lease_wrote() {
    let theirs = with_a_copy();
    let vault = Journaled::new();
    for key in ["a", "b"] {
        vault.set(key);
        vault.publish();
    }
    let position = position(&vault);
    let next = vault.objects()[0].with_file_name("0000000003.changes");
    let bytes = fs::read(&theirs.objects()[2]).unwrap();
    // Not of one of the groups that both drew with the same clock.
    let bytes = [&bytes[..32], b"another!", &bytes[40..]].concat();
    fs::write(&next, &bytes).unwrap();
    vault.set("c");
    assert_older(&vault.store.publish().unwrap_err());
    assert_eq!(fs::read(&next).unwrap(), bytes);
    // But over what an attempt of its own left.
    fs::remove_file(&next).unwrap();
    let vault = vault.reopened_after(|_| ());
    vault.set("c");
    vault.publish();
    forget_since(&vault, &position);
    vault.set("d");
    vault.publish();
    vault.assert_replays();
}

/// What a kill leaves in the spool of packs that were put, and of one that was not.
#[test]
fn a_pack_that_only_a_newer_catalog_knew_stays_whatever_the_spool_says() {
    let vault = with_a_copy();
    let write = |vault: &Journaled, seed| {
        vault
            .store
            .write(&mut &*noise(50_000, seed), Tail::Whole, AtBound::Wait)
            .unwrap();
    };
    let packs = |directory: &Path| {
        let fans = fs::read_dir(directory.join("store/packs")).unwrap();
        let files = fans.flat_map(|fan| fs::read_dir(fan.unwrap().path()).unwrap());
        files.map(|file| file.unwrap().path()).collect::<Vec<_>>()
    };
    // A pack that the copy knows, so that it is no empty catalog.
    write(&vault, 1);
    vault.store.flush().unwrap();
    vault.publish();
    let vault = vault.reopened_after(keep_copy);
    write(&vault, 2);
    vault.store.flush().unwrap();
    write(&vault, 3);
    vault.publish();
    let stored = packs(vault.directory.path());
    assert_eq!(stored.len(), 2);
    let leave_marks = |directory: &Path| {
        put_copy_back(directory);
        for pack in &stored {
            let name = pack.file_stem().unwrap().to_str().unwrap();
            fs::write(directory.join(format!("spool/{name}.open")), "").unwrap();
        }
    };
    let vault = vault.claimed_after(WriteClaim::TakeOver, leave_marks);
    let vault = vault.unwrap_or_else(|(_, error)| panic!("{error}"));
    let kept = |directory: &Path| {
        let spool = fs::read_dir(directory.join("spool")).unwrap();
        let names = spool.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.collect::<Vec<_>>()
    };
    let vault = vault.reopened_after(|_| ());
    {
        let directory = vault.directory.path();
        assert_eq!(packs(directory), stored);
        let kept = kept(directory);
        assert_eq!(kept.len(), 1, "{kept:?}");
        assert!(kept[0].ends_with(".left"), "{kept:?}");
        assert!(
            fs::metadata(directory.join("spool").join(&kept[0]))
                .unwrap()
                .len()
                > 50_000
        );
    }
}
