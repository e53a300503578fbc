//! Checks name the versions that damage hurts, and repairs find bytes in the live tree.

use std::fs;
use std::path::PathBuf;

use crate::store::CheckDepth;

use super::super::testing::{TestVault, id};
use super::super::{CheckReport, Remedy};

fn check(vault: &TestVault, remedy: Remedy) -> CheckReport {
    let depth = CheckDepth::ReadData;
    vault.vault.check(depth, remedy, &mut |_, _| {}).unwrap()
}

fn packs(vault: &TestVault) -> Vec<PathBuf> {
    let packs = vault
        .vault
        .config()
        .store
        .directory()
        .unwrap()
        .join("packs");
    let fans = fs::read_dir(packs).unwrap();
    fans.flat_map(|fan| fs::read_dir(fan.unwrap().path()).unwrap())
        .map(|entry| entry.unwrap().path())
        .collect()
}

/// Everything is stored, and then every pack is gone.
fn lose_all_packs(vault: &TestVault) {
    vault.ingest_all();
    vault.vault.store().flush().unwrap();
    let packs = packs(vault);
    assert!(!packs.is_empty());
    for pack in packs {
        fs::remove_file(pack).unwrap();
    }
}

fn paths(named: &[(crate::model::PublicId, crate::model::VersionId)]) -> Vec<String> {
    named.iter().map(|(path, _)| path.to_string()).collect()
}

#[test]
fn a_repair_takes_from_live_files_what_they_still_hold_and_names_what_is_lost() {
    let vault = TestVault::new();
    vault.write("same", b"as it was");
    vault.write("changed", b"the lost first");
    vault.write("changed", b"the live second");
    vault.write("gone", b"deleted");
    vault.remove("gone");
    lose_all_packs(&vault);
    let found = check(&vault, Remedy::Report);
    assert_eq!(
        paths(&found.damaged),
        ["changed", "changed", "gone", "same"]
    );
    assert_eq!((found.repaired.len(), found.repairs.len()), (0, 0));
    let repaired = check(&vault, Remedy::Repair);
    assert_eq!(paths(&repaired.damaged), ["changed", "gone"]);
    assert_eq!(paths(&repaired.repaired), ["changed", "same"]);
    assert_eq!(repaired.problems.len(), 1, "{repaired:?}");
    assert_eq!(vault.versions("same"), ["as it was"]);
    let again = check(&vault, Remedy::Repair);
    assert_eq!(paths(&again.damaged), ["changed", "gone"]);
    assert_eq!(paths(&again.repaired), Vec::<String>::new());
}

#[test]
fn a_repair_finds_the_bytes_of_one_asset_in_the_live_file_of_another() {
    let vault = TestVault::new();
    vault.write("a", b"shared by two");
    vault.write("b", b"shared by two");
    vault.remove("a");
    vault.write("moved", b"goes along");
    vault.rename("moved", "d/there").unwrap();
    lose_all_packs(&vault);
    let repaired = check(&vault, Remedy::Repair);
    assert_eq!(paths(&repaired.damaged), Vec::<String>::new());
    assert_eq!(paths(&repaired.repaired), ["a", "b", "d/there"]);
    vault.assert_sound();
    assert_eq!(vault.versions("a"), ["shared by two"]);
    let vault = vault.crash();
    vault.assert_sound();
    assert_eq!(vault.versions("d/there"), ["goes along"]);
}

#[test]
fn a_live_file_that_was_changed_outside_the_mount_is_no_version_and_no_harm() {
    let vault = TestVault::new();
    vault.write("a", b"what was kept");
    lose_all_packs(&vault);
    fs::write(vault.path("a"), b"not what was kept").unwrap();
    let repaired = check(&vault, Remedy::Repair);
    assert_eq!(paths(&repaired.damaged), ["a"]);
    assert_eq!(vault.vault.versions_of(&id("a")).unwrap().len(), 1);
    // Put back, by whatever means, it is found.
    fs::write(vault.path("a"), b"what was kept").unwrap();
    let repaired = check(&vault, Remedy::Repair);
    assert_eq!(paths(&repaired.repaired), ["a"]);
    vault.assert_sound();
    assert_eq!(vault.versions("a"), ["what was kept"]);
}

#[test]
fn after_a_check_found_a_pack_missing_the_same_content_is_stored_again() {
    let vault = TestVault::new();
    vault.write("a", b"once and again");
    lose_all_packs(&vault);
    assert_eq!(paths(&check(&vault, Remedy::Report).damaged), ["a"]);
    vault.write("b", b"once and again");
    vault.ingest_all();
    assert_eq!(vault.versions("b"), ["once and again"]);
    assert_eq!(vault.versions("a"), ["once and again"]);
    vault.assert_sound();
}

#[test]
fn bytes_that_a_power_failure_took_are_looked_for_in_the_live_files_at_the_next_start() {
    let vault = TestVault::new();
    vault.write("same", b"as it was");
    vault.write("changed", b"the lost first");
    vault.write("changed", b"the live second");
    vault.ingest_all();
    // The rows reached the disk, the open pack did not.
    let spool = vault.vault.config().spool_dir.clone();
    let open = fs::read_dir(spool)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    for pack in open.filter(|path| path.extension().is_some_and(|end| end == "open")) {
        fs::remove_file(pack).unwrap();
    }
    let vault = vault.crash();
    assert_eq!(vault.vault.store().recovered_damage().len(), 1);
    vault.vault.begin_recovery().unwrap();
    vault.vault.recover().unwrap();
    assert_eq!(vault.versions("same"), ["as it was"]);
    let found = check(&vault, Remedy::Report);
    assert_eq!(paths(&found.damaged), ["changed"]);
    assert_eq!(vault.vault.versions_of(&id("changed")).unwrap().len(), 2);
}
