//! Changes that nobody announced: behind the mount's back, or lost in a crash.

use std::fs;

use crate::model::{Origin, PublicId};

use super::super::Survey;
use super::super::testing::{TestVault, id};

fn recover(vault: &TestVault) -> super::super::ScanReport {
    vault
        .vault
        .scan(&PublicId::root(), Survey::Recover, &mut |_| {})
        .unwrap()
}

#[test]
fn a_scan_takes_up_new_changed_moved_and_deleted_files() {
    let vault = TestVault::new();
    vault.write("changed", b"one");
    vault.write("moved", b"goes along");
    vault.write("gone", b"deleted");
    vault.ingest_all();
    fs::write(vault.path("changed"), b"two, outside").unwrap();
    fs::create_dir(vault.path("d")).unwrap();
    fs::rename(vault.path("moved"), vault.path("d/there")).unwrap();
    fs::remove_file(vault.path("gone")).unwrap();
    fs::write(vault.path("new"), b"never seen").unwrap();
    let report = recover(&vault);
    assert_eq!((report.versions, report.moved, report.deleted), (2, 1, 1));
    assert_eq!(vault.versions("changed"), ["one", "two, outside"]);
    assert_eq!(vault.versions("d/there"), ["goes along"]);
    assert_eq!(vault.versions("moved"), Vec::<String>::new());
    assert_eq!(vault.deleted(), ["gone"]);
    assert_eq!(vault.versions("new"), ["never seen"]);
    let versions = vault.vault.versions_of(&id("new")).unwrap();
    assert_eq!(versions[0].origin, Origin::Recovered);
    let again = recover(&vault);
    assert_eq!((again.versions, again.moved, again.deleted), (0, 0, 0));
    vault.assert_sound();
}

#[test]
fn a_rename_lost_in_a_crash_is_recognised_by_the_inode() {
    let vault = TestVault::new();
    vault.write("d/a", b"one");
    vault.write("d/a", b"two!");
    vault.ingest_all();
    vault.rename("d", "e").unwrap();
    let vault = vault.crash();
    let report = recover(&vault);
    assert_eq!((report.moved, report.versions, report.deleted), (1, 0, 0));
    assert_eq!(vault.versions("e/a"), ["one", "two!"]);
    assert_eq!(vault.deleted(), Vec::<String>::new());
}

#[test]
fn the_first_backup_takes_existing_files_once() {
    let vault = TestVault::new();
    fs::create_dir(vault.path("d")).unwrap();
    fs::write(vault.path("d/a"), b"was here").unwrap();
    fs::write(vault.path("b"), b"too").unwrap();
    let survey = |top: &str| {
        let top = PublicId::new(top.as_bytes()).unwrap();
        vault
            .vault
            .scan(&top, Survey::Backup, &mut |_| {})
            .unwrap()
            .versions
    };
    assert_eq!(survey("d"), 1);
    assert_eq!(survey(""), 1);
    assert_eq!(survey(""), 0);
    assert_eq!(vault.versions("d/a"), ["was here"]);
    let versions = vault.vault.versions_of(&id("b")).unwrap();
    assert_eq!(versions[0].origin, Origin::Backup);
}

#[test]
fn a_first_backup_says_how_far_it_is_within_one_directory() {
    let vault = TestVault::new();
    for number in 0..100 {
        fs::write(vault.path(&format!("{number}")), b"was here").unwrap();
    }
    let mut heard = Vec::new();
    let mut progress = |progress: &super::super::ScanProgress| heard.push(progress.seen.files);
    let scanned = vault
        .vault
        .scan(&PublicId::root(), Survey::Backup, &mut progress);
    assert_eq!(scanned.unwrap().files, 100);
    assert!(
        heard.iter().any(|files| (1..100).contains(files)),
        "{heard:?}"
    );
    assert_eq!(heard.last(), Some(&100));
}
