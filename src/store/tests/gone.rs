//! A store whose directory vanishes, or comes up empty: nothing is written to what is in its
//! place, and when it is back everything goes on.

use std::fs;
use std::path::PathBuf;

use super::Bench;
use crate::catalog::Catalog;
use crate::model::{StorePlace, WriteClaim};
use crate::store::testing::{noise, vault_key};
use crate::store::{CheckDepth, Result, Store, StoreError};

/// The store's directory, and where it is while it is away.
fn places(bench: &Bench) -> (PathBuf, PathBuf) {
    let place = |name| bench.directory.path().join(name);
    (place("store"), place("away"))
}

fn is_away<T: std::fmt::Debug>(result: Result<T>) -> bool {
    matches!(result.unwrap_err(), StoreError::DirectoryAway { .. })
}

fn is_empty(directory: &PathBuf) -> bool {
    fs::read_dir(directory).unwrap().next().is_none()
}

fn open(bench: &Bench, write_claim: WriteClaim) -> Result<Store> {
    let config = crate::store::StoreConfig {
        write_claim,
        ..bench.config.clone()
    };
    let clock = std::sync::Arc::new(crate::model::ManualClock::at_seconds(1_700_000_000));
    Store::open(&config, bench.facts.shared(), clock)
}

fn is_refused_as_empty(bench: &Bench, write_claim: WriteClaim) -> bool {
    matches!(open(bench, write_claim), Err(StoreError::Emptied { .. }))
}

fn lease(bench: &Bench) -> serde_json::Value {
    let bytes = fs::read(places(bench).0.join("lease.json")).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

#[test]
fn while_the_directory_is_away_nothing_is_put_and_when_it_is_back_all_goes_on() {
    let bench = Bench::new();
    let stored = bench.write(&noise(300_000, 1));
    bench.store().flush().unwrap();
    let (store, away) = places(&bench);
    fs::rename(&store, &away).unwrap();
    for is_mountpoint_left in [false, true] {
        if is_mountpoint_left {
            fs::create_dir(&store).unwrap();
        }
        let waiting = bench.write(&noise(100_000, 2));
        assert!(is_away(bench.store().flush()));
        assert!(is_away(
            bench.store().check(CheckDepth::Listing, &mut |_, _| {})
        ));
        assert!(is_away(bench.store().repair_records()));
        assert!(bench.store().unstored().packs > 0);
        assert_eq!(bench.read(waiting).unwrap(), noise(100_000, 2));
        match is_mountpoint_left {
            true => assert!(is_empty(&store)),
            false => assert!(!store.exists()),
        }
    }
    fs::remove_dir(&store).unwrap();
    fs::rename(&away, &store).unwrap();
    bench.store().flush().unwrap();
    assert_eq!(bench.store().unstored().packs, 0);
    assert_eq!(bench.read(stored).unwrap(), noise(300_000, 1));
    assert_eq!(bench.damages(CheckDepth::ReadData), []);
    assert_eq!(lease(&bench)["fence"], 1);
}

#[test]
fn an_old_version_is_not_missing_while_the_directory_is_away() {
    let mut bench = Bench::new();
    let stored = bench.write(&noise(300_000, 1));
    bench.store().flush().unwrap();
    bench.reopen();
    let (store, away) = places(&bench);
    fs::rename(&store, &away).unwrap();
    fs::create_dir(&store).unwrap();
    assert!(is_away(bench.read(stored)));
    fs::remove_dir(&store).unwrap();
    fs::rename(&away, &store).unwrap();
    assert_eq!(bench.read(stored).unwrap(), noise(300_000, 1));
}

#[test]
fn a_start_over_an_empty_mountpoint_is_refused_and_leaves_it_empty() {
    for has_packs in [true, false] {
        let mut bench = Bench::new();
        if has_packs {
            bench.write(&noise(300_000, 1));
            bench.store().flush().unwrap();
        }
        bench.close();
        let (store, away) = places(&bench);
        fs::rename(&store, &away).unwrap();
        let gone = open(&bench, WriteClaim::Keep).unwrap_err().to_string();
        assert!(gone.contains("is its disk mounted?"), "{gone}");
        fs::create_dir(&store).unwrap();
        for claim in [WriteClaim::Keep, WriteClaim::TakeOver, WriteClaim::ReadOnly] {
            assert!(is_refused_as_empty(&bench, claim), "{claim:?}");
            assert!(is_empty(&store));
        }
        fs::remove_dir(&store).unwrap();
        fs::rename(&away, &store).unwrap();
        bench.reopen();
        assert_eq!(lease(&bench)["fence"], 1);
    }
}

#[test]
fn a_store_that_lost_everything_is_begun_anew_when_somebody_says_so() {
    for key in [None, Some(vault_key())] {
        let mut bench = Bench::with(16 << 20, key);
        bench.write(&noise(300_000, 1));
        bench.store().flush().unwrap();
        bench.close();
        let (store, _) = places(&bench);
        fs::remove_dir_all(&store).unwrap();
        assert!(open(&bench, WriteClaim::AcceptEmpty).is_err());
        fs::create_dir(&store).unwrap();
        drop(open(&bench, WriteClaim::AcceptEmpty).unwrap());
        assert_eq!(lease(&bench)["fence"], 2);
        bench.reopen();
        // What is lost is not relied on.
        let again = bench.write(&noise(300_000, 1));
        bench.store().flush().unwrap();
        assert_eq!(bench.read(again).unwrap(), noise(300_000, 1));
    }
}

#[test]
fn to_accept_an_empty_store_takes_none_over() {
    let bench = Bench::new();
    let mut text = lease(&bench);
    text["holder"] = "somebody".into();
    fs::write(places(&bench).0.join("lease.json"), text.to_string()).unwrap();
    let refused = open(&bench, WriteClaim::AcceptEmpty);
    assert!(matches!(refused, Err(StoreError::LeaseHeld(_))));
}

#[test]
fn a_store_that_lost_its_small_objects_only_is_still_the_store() {
    let mut bench = Bench::new();
    let stored = bench.write(&noise(300_000, 1));
    bench.store().flush().unwrap();
    bench.close();
    for name in ["vault.json", "lease.json"] {
        fs::remove_file(places(&bench).0.join(name)).unwrap();
    }
    bench.reopen();
    assert_eq!(bench.read(stored).unwrap(), noise(300_000, 1));
}

#[test]
fn a_store_that_is_emptied_while_it_is_in_use_gets_no_new_lease() {
    let bench = Bench::new();
    bench.write(&noise(300_000, 1));
    bench.store().flush().unwrap();
    let (store, _) = places(&bench);
    for name in ["packs", "catalog"] {
        let _ = fs::remove_dir_all(store.join(name));
    }
    for name in ["vault.json", "lease.json"] {
        fs::remove_file(store.join(name)).unwrap();
    }
    let refused = bench.store().repair_records().unwrap_err();
    assert!(matches!(refused, StoreError::Emptied { .. }), "{refused}");
    bench.write(&noise(100_000, 2));
    let refused = bench.store().flush().unwrap_err();
    assert!(matches!(refused, StoreError::Emptied { .. }), "{refused}");
    assert!(is_empty(&store));
}

#[test]
fn a_vault_that_stored_nothing_yet_may_be_given_another_place() {
    let mut bench = Bench::new();
    bench.close();
    bench.config.place = StorePlace::Directory(bench.directory.path().join("other"));
    bench.reopen();
    let joined = bench.facts.clone().setting("store_joined").unwrap();
    assert_eq!(joined, Some(bench.config.place.to_string()));
}
