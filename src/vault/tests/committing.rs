//! Versions of files that are open still, for closes that wait for the store.

use std::fs::OpenOptions;
use std::io::{Seek, Write};
use std::os::fd::AsFd;
use std::time::SystemTime;

use super::super::WriteIntent;
use super::super::testing::{TestVault, id};
use crate::model::VersionSeq;

fn open(vault: &TestVault, path: &str) -> std::fs::File {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    vault.open(path, &options, WriteIntent::Change).unwrap()
}

fn commit(vault: &TestVault, path: &str, file: &std::fs::File) -> Option<Vec<VersionSeq>> {
    let waits = vault.vault.commit_open(&id(path), file.as_fd()).unwrap();
    waits.map(|waits| waits.into_iter().collect())
}

/// As the workers and a drain do.
fn upload(vault: &TestVault) {
    vault.ingest_all();
    vault.vault.store().flush().unwrap();
    vault.vault.drop_superseded().unwrap();
    // The pack's thread does so too, but nobody waits for it.
    vault.vault.store().publish().unwrap();
}

#[test]
fn a_close_after_which_nobody_writes_makes_the_only_version() {
    let vault = TestVault::new();
    let mut file = open(&vault, "f");
    file.write_all(b"one").unwrap();
    assert_eq!(commit(&vault, "f", &file).unwrap().len(), 1);
    assert_eq!(vault.close("f", &file).unwrap(), None);
    upload(&vault);
    assert_eq!(vault.versions("f"), ["one"]);
    assert_eq!(commit(&vault, "f", &file), None);
    vault.assert_sound();
}

#[test]
fn half_a_content_goes_when_the_whole_is_in_the_store_and_not_before() {
    let vault = TestVault::new();
    vault.write("f", b"before");
    let mut file = open(&vault, "f");
    file.write_all(b"half").unwrap();
    commit(&vault, "f", &file).unwrap();
    upload(&vault);
    assert_eq!(vault.versions("f"), ["before", "half"]);
    file.write_all(b" and whole").unwrap();
    vault.close("f", &file).unwrap();
    vault.ingest_all();
    vault.vault.drop_superseded().unwrap();
    assert_eq!(vault.versions("f"), ["before", "half", "half and whole"]);
    upload(&vault);
    assert_eq!(vault.versions("f"), ["before", "half and whole"]);
    vault.assert_sound();
}

#[test]
fn the_same_content_written_in_two_halves_is_no_new_version() {
    let vault = TestVault::new();
    vault.write("f", b"one and two");
    vault.ingest_all();
    let mut file = open(&vault, "f");
    file.write_all(b"one").unwrap();
    commit(&vault, "f", &file).unwrap();
    upload(&vault);
    file.write_all(b" and two").unwrap();
    vault.close("f", &file).unwrap();
    upload(&vault);
    assert_eq!(vault.versions("f"), ["one and two"]);
    vault.assert_sound();
}

#[test]
fn a_content_that_changes_before_it_was_read_is_nobodys_version() {
    let vault = TestVault::new();
    let mut file = open(&vault, "f");
    file.write_all(b"half").unwrap();
    commit(&vault, "f", &file).unwrap();
    // In place, and of the same size: only the time of change tells.
    file.rewind().unwrap();
    file.write_all(b"HALF").unwrap();
    file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
    vault.ingest_all();
    assert_eq!(vault.versions("f"), Vec::<String>::new());
    vault.close("f", &file).unwrap();
    upload(&vault);
    assert_eq!(vault.versions("f"), ["HALF"]);
    vault.assert_sound();
}

#[test]
fn the_last_close_replaces_what_nobody_has_read_yet() {
    let vault = TestVault::new();
    let mut file = open(&vault, "f");
    file.write_all(b"half").unwrap();
    commit(&vault, "f", &file).unwrap();
    file.rewind().unwrap();
    file.write_all(b"HALF").unwrap();
    file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
    vault.close("f", &file).unwrap();
    assert_eq!(vault.versions("f"), ["HALF"]);
    upload(&vault);
    assert_eq!(vault.versions("f"), ["HALF"]);
    vault.assert_sound();
}

#[test]
fn a_pinned_half_stays() {
    let vault = TestVault::new();
    let mut file = open(&vault, "f");
    file.write_all(b"half").unwrap();
    commit(&vault, "f", &file).unwrap();
    upload(&vault);
    let half = vault.vault.choose_version(&id("f"), None).unwrap().version;
    let mut catalog = vault.vault.catalog();
    catalog.set_hold(half.seq, crate::model::Hold::On).unwrap();
    drop(catalog);
    file.write_all(b" and whole").unwrap();
    vault.close("f", &file).unwrap();
    upload(&vault);
    assert_eq!(vault.versions("f"), ["half", "half and whole"]);
}
