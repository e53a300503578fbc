//! A journal that lost something, or has what was not written there: it is named, and what is
//! before it can be taken.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::journal::{Journaled, KEYS};
use super::older::{forget_since, position};
use crate::catalog::sqlite::SqliteCatalog;
use crate::catalog::{Catalog, JournalPosition};
use crate::model::Fence;
use crate::store::journal::remove_older;
use crate::store::{Gap, Replayed, StoreError};

/// A snapshot and three changes.
fn published() -> Journaled {
    let vault = Journaled::new();
    for key in KEYS {
        vault.clock.advance(Duration::from_secs(1));
        vault.set(key);
        vault.publish();
    }
    vault
}

fn replace(file: &Path, bytes: &[u8]) {
    // It is write-protected.
    let _ = fs::remove_file(file);
    fs::write(file, bytes).unwrap();
}

fn flip(file: &Path) {
    let mut bytes = fs::read(file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    replace(file, &bytes);
}

#[track_caller]
fn assert_refused(vault: &Journaled, words: &[&str]) {
    let refused = vault.replayed(Gap::Refuse).map(|(replayed, _)| replayed);
    let error = refused.unwrap_err();
    assert!(matches!(error, StoreError::JournalGap { .. }), "{error}");
    let said = error.to_string();
    for words in words.iter().chain(&["--accept-gap"]) {
        assert!(said.contains(words), "{words}: {said}");
    }
}

#[track_caller]
fn accepted(vault: &Journaled, words: &str) -> (Replayed, SqliteCatalog) {
    let (replayed, catalog) = vault.replayed(Gap::Accept).unwrap();
    assert_eq!(replayed.flaws.len(), 1, "{replayed:?}");
    assert!(replayed.flaws[0].contains(words), "{replayed:?}");
    (replayed, catalog)
}

/// How many of the settings are there.
fn settings(catalog: &mut SqliteCatalog) -> usize {
    let set = KEYS
        .iter()
        .filter(|key| catalog.setting(key).unwrap().is_some());
    set.count()
}

#[test]
fn changes_that_are_not_what_was_written_are_a_gap_too() {
    let vault = published();
    let objects = vault.objects();
    flip(&objects[2]);
    assert_refused(&vault, &["0000000003.changes", "checksum"]);
    let (replayed, mut catalog) = accepted(&vault, "0000000003.changes");
    assert_eq!((replayed.number, replayed.missing), (2, Some(3)));
    assert_eq!(settings(&mut catalog), 2);
    // Of somebody who knows how to make a checksum.
    replace(&objects[2], &fs::read(&objects[1]).unwrap());
    assert_refused(&vault, &["0000000003.changes", "another name"]);
    let (replayed, _) = accepted(&vault, "another name");
    assert_eq!(replayed.number, 2);
}

/// A snapshot that follows another one and its changes, which lie there still.
fn with_two_snapshots() -> Journaled {
    let vault = published();
    let before: Vec<_> = vault
        .objects()
        .into_iter()
        .map(|file| (file.clone(), fs::read(file).unwrap()))
        .collect();
    vault.make_assets(0, 30_000);
    forget_since(
        &vault,
        &JournalPosition {
            format: 0,
            ..position(&vault)
        },
    );
    vault.publish();
    assert!(vault.objects().len() > 2, "of several objects");
    vault.assert_replays();
    for (file, bytes) in before {
        replace(&file, &bytes);
    }
    vault.assert_replays();
    vault
}

#[test]
fn a_snapshot_that_is_damaged_is_named_and_the_one_before_it_can_be_taken() {
    // Its first object, one in the middle, the last one; gone or damaged.
    for at in [4, 5, usize::MAX] {
        for harm in [flip, |file: &Path| fs::remove_file(file).unwrap()] {
            let vault = with_two_snapshots();
            let objects = vault.objects();
            let file = &objects[at.min(objects.len() - 1)];
            let is_last = at == usize::MAX;
            harm(file);
            let is_gone = !file.exists();
            if is_last && is_gone {
                // As a kill leaves it: nobody was told that it is there.
                let (replayed, mut catalog) = vault.replayed(Gap::Refuse).unwrap();
                assert_eq!((replayed.number, settings(&mut catalog)), (4, 4));
                continue;
            }
            let name = file.file_name().unwrap().to_str().unwrap();
            assert_refused(&vault, &[name]);
            let (replayed, mut catalog) = accepted(&vault, name);
            assert_eq!((replayed.number, settings(&mut catalog)), (4, 4));
            assert_eq!(catalog.totals().unwrap().assets_live, 0);
        }
    }
}

#[test]
fn a_journal_with_nothing_before_the_damage_is_not_called_empty() {
    let vault = published();
    flip(&vault.objects()[0]);
    assert_refused(&vault, &["0000000001.snapshot", "checksum"]);
    let error = vault.replayed(Gap::Accept).map(|(replayed, _)| replayed);
    let error = error.unwrap_err();
    assert!(matches!(error, StoreError::JournalGap { .. }), "{error}");
    fs::remove_file(&vault.objects()[0]).unwrap();
    assert_refused(&vault, &["catalog/0000000001", "no whole snapshot"]);
}

/// Somebody puts an object back that was overwritten: what came after the right one does not
/// follow it.
#[test]
fn what_cannot_be_reached_any_more_is_a_gap_and_no_end() {
    let vault = Journaled::new();
    vault.set("a");
    vault.publish();
    let before = position(&vault);
    vault.set_to("b", "old");
    vault.publish();
    let old = fs::read(&vault.objects()[1]).unwrap();
    forget_since(&vault, &before);
    for key in ["b", "c", "d"] {
        vault.clock.advance(Duration::from_secs(1));
        vault.set(key);
        vault.publish();
    }
    assert_eq!(vault.objects().len(), 4);
    vault.assert_replays();
    replace(&vault.objects()[1], &old);
    assert_refused(&vault, &["0000000003.changes", "does not follow"]);
    let (replayed, mut catalog) = accepted(&vault, "does not follow");
    assert_eq!(replayed.number, 2);
    assert_eq!(catalog.setting("b").unwrap(), Some("old".into()));
    // Also where the last one alone is left, by its time.
    fs::remove_file(&vault.objects()[3]).unwrap();
    assert_refused(&vault, &["0000000003.changes", "does not follow"]);
}

#[test]
fn what_strangers_put_behind_a_journal_can_be_left_out() {
    for number in ["0000000007", "0000999999", "18446744073709551615"] {
        for kind in ["changes", "snapshot"] {
            let vault = published();
            let directory = vault.objects()[0].parent().unwrap().to_owned();
            fs::write(directory.join(format!("{number}.{kind}")), "x").unwrap();
            vault.replayed(Gap::Refuse).map(|_| ()).unwrap_err();
            let (replayed, mut catalog) = vault.replayed(Gap::Accept).unwrap();
            assert_eq!((replayed.number, settings(&mut catalog)), (4, 4));
            assert!(!replayed.flaws.is_empty());
        }
    }
}

#[test]
fn what_a_snapshot_replaces_goes_only_when_the_snapshot_can_be_read() {
    let vault = with_two_snapshots();
    let objects = vault.objects();
    let at = position(&vault);
    let shared = &vault.store.shared;
    let remove = || remove_older(shared, &shared.backend(), Fence(1), 5..at.number, at.group);
    let whole = fs::read(&objects[5]).unwrap();
    for harm in [flip, |file: &Path| fs::remove_file(file).unwrap()] {
        harm(&objects[5]);
        remove().unwrap_err();
        assert!(objects[..5].iter().all(|file| file.exists()));
        replace(&objects[5], &whole);
    }
    remove().unwrap();
    assert_eq!(vault.objects(), objects[4..]);
    vault.assert_replays();
}
