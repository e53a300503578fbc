//! What a store says of itself beside its packs: flaws are named, and written anew.

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use super::journal::{Journaled, KEYS};
use crate::model::StorePlace;
use crate::store::{CheckDepth, Gap, LEASE_NAME, StoreError};

/// A snapshot and three changes.
fn published() -> Journaled {
    let vault = Journaled::new();
    for (round, key) in KEYS.iter().enumerate() {
        vault.make_assets(round as u32 * 10, 10);
        vault.set(key);
        vault.publish();
    }
    vault
}

/// What is found wrong, a line each.
fn flaws(vault: &Journaled, depth: CheckDepth) -> Vec<String> {
    let flaws = vault.store.check_records(depth).unwrap();
    flaws.iter().map(ToString::to_string).collect()
}

#[track_caller]
fn assert_flawless(vault: &Journaled) {
    for depth in [CheckDepth::Listing, CheckDepth::ReadData] {
        assert_eq!(flaws(vault, depth), [""; 0]);
    }
}

#[track_caller]
fn assert_repairs(vault: &Journaled) {
    vault.store.repair_records().unwrap();
    assert_flawless(vault);
    vault.assert_replays();
    vault.set_to("a", "later");
    vault.publish();
    assert_flawless(vault);
    vault.assert_replays();
}

fn flip(file: &Path) {
    let mut bytes = fs::read(file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::remove_file(file).unwrap();
    fs::write(file, bytes).unwrap();
}

#[test]
fn what_was_written_as_it_should_be_has_no_flaw() {
    let vault = Journaled::new();
    assert_flawless(&vault);
    vault.set("a");
    vault.publish();
    assert_flawless(&vault);
    vault.make_assets(0, 30_000);
    vault.publish();
    assert!(vault.objects().len() > 2, "of several objects");
    assert_flawless(&vault);
    vault.set("b");
    assert_flawless(&vault);
    let vault = vault.reopened_after(|_| ());
    vault.set("c");
    vault.publish();
    assert_flawless(&vault);
}

#[test]
fn an_object_of_the_journal_that_is_gone_is_named_and_the_journal_written_anew() {
    for at in 0..4 {
        let vault = published();
        let gone = vault.objects().remove(at);
        fs::remove_file(&gone).unwrap();
        for depth in [CheckDepth::Listing, CheckDepth::ReadData] {
            let flaws = flaws(&vault, depth);
            assert_eq!(flaws.len(), 1, "{flaws:?}");
            let name = match at {
                0 => "catalog/0000000001: there is no snapshot".into(),
                _ => format!("catalog/0000000001/000000000{}", at + 1),
            };
            assert!(flaws[0].starts_with(&name), "{flaws:?}");
        }
        assert_repairs(&vault);
    }
}

#[test]
fn a_flipped_bit_in_the_journal_is_found_by_reading_it() {
    for at in 0..4 {
        let vault = published();
        flip(&vault.objects()[at]);
        let found = flaws(&vault, CheckDepth::ReadData);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains("checksum"), "{found:?}");
        assert_repairs(&vault);
    }
}

#[test]
fn an_object_that_does_not_follow_the_one_before_it_is_found() {
    let vault = published();
    let objects = vault.objects();
    let old = fs::read(&objects[3]).unwrap();
    let vault = vault.reopened_after(|_| ());
    // A journal that was begun anew, and an object of the old one among it.
    vault.store.repair_records().unwrap();
    for key in KEYS {
        vault.set_to(key, "again");
        vault.publish();
    }
    assert_flawless(&vault);
    let last = vault.objects().pop().unwrap();
    fs::remove_file(&last).unwrap();
    fs::write(&last, old).unwrap();
    let found = flaws(&vault, CheckDepth::ReadData);
    assert!(found[0].contains("another name"), "{found:?}");
    assert_repairs(&vault);
}

#[test]
fn a_lease_that_is_gone_is_named_and_taken_again() {
    let vault = published();
    fs::remove_file(vault.directory.path().join("store").join(LEASE_NAME)).unwrap();
    let found = flaws(&vault, CheckDepth::Listing);
    assert!(
        found[0].starts_with("lease.json: it is not there"),
        "{found:?}"
    );
    vault.store.repair_records().unwrap();
    assert_flawless(&vault);
}

#[test]
fn the_lease_of_another_machine_is_named_and_left_alone() {
    let vault = published();
    let lease = vault.directory.path().join("store").join(LEASE_NAME);
    let text = fs::read_to_string(&lease).unwrap();
    let mut theirs: serde_json::Value = serde_json::from_str(&text).unwrap();
    theirs["holder"] = "somebody".into();
    theirs["host"] = "elsewhere".into();
    fs::remove_file(&lease).unwrap();
    fs::write(&lease, theirs.to_string()).unwrap();
    let found = flaws(&vault, CheckDepth::Listing);
    assert!(found[0].contains("elsewhere writes there"), "{found:?}");
    let error = vault.store.repair_records().unwrap_err();
    assert!(matches!(error, StoreError::Fenced(_)), "{error}");
    assert_eq!(fs::read_to_string(&lease).unwrap(), theirs.to_string());
}

#[test]
fn a_store_can_be_rebuilt_from_before_it_is_used() {
    let vault = published();
    let new = StorePlace::Directory(vault.directory.path().join("new"));
    let config = crate::store::StoreConfig {
        place: new.clone(),
        ..vault.config.clone()
    };
    let watch = &mut |_, _| ControlFlow::Continue(());
    let switch = || {
        let path = vault.directory.path().join("at the switch.db");
        let replayed = crate::store::replay(&config.place, None, Gap::Refuse, None, &path);
        assert!(replayed.is_ok(), "{replayed:?}");
        // And then the disk of the settings is full.
        Err(std::io::ErrorKind::StorageFull.into())
    };
    vault.store.migrate(&new, &switch, watch).unwrap_err();
    // The old one is the store still, and its journal goes on.
    vault.set_to("d", "after");
    vault.publish();
    assert_flawless(&vault);
    vault.assert_replays();
    let vault = vault.reopened_after(|_| ());
    vault.set_to("c", "after");
    vault.publish();
    assert_flawless(&vault);
    vault.assert_replays();
}

#[test]
fn since_when_the_journal_lags_is_known_also_after_a_kill() {
    let vault = published();
    assert_eq!(vault.store.unpublished_since().unwrap(), None);
    vault.set_to("a", "new");
    let since = vault.store.unpublished_since().unwrap();
    assert!(since.is_some());
    vault.clock.advance(Duration::from_secs(60));
    vault.set_to("b", "new");
    assert_eq!(vault.store.unpublished_since().unwrap(), since);
    vault.commit_rows();
    let vault = vault.reopened_after(|_| ());
    assert_eq!(vault.store.unpublished_since().unwrap(), since);
    vault.publish();
    assert_eq!(vault.store.unpublished_since().unwrap(), None);
}
