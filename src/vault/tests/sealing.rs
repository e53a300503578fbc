//! When a close makes a version, and that its bytes are safe from what follows.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;

use crate::config::InitOptions;
use crate::model::{Origin, Override};

use super::super::WriteIntent;
use super::super::testing::{TestVault, id};

#[test]
fn each_close_with_new_content_makes_a_version() {
    let vault = TestVault::new();
    assert!(vault.write("a", b"one").is_some());
    assert!(vault.write("a", b"two, longer").is_some());
    assert_eq!(vault.versions("a"), ["one", "two, longer"]);
    vault.ingest_all();
    assert_eq!(vault.versions("a"), ["one", "two, longer"]);
    vault.assert_sound();
}

#[test]
fn the_same_bytes_again_make_no_version() {
    let vault = TestVault::new();
    vault.write("a", b"same");
    assert_eq!(vault.write("a", b"same"), None);
    vault.ingest_all();
    assert_eq!(vault.write("a", b"same"), None);
    assert_eq!(vault.versions("a"), ["same"]);
    assert!(vault.write("a", b"diff").is_some());
    assert_eq!(vault.write("a", b"diff"), None);
    assert_eq!(vault.versions("a"), ["same", "diff"]);
}

#[test]
fn a_large_file_of_the_same_size_is_settled_before_anyone_sees_its_versions() {
    let vault = TestVault::new();
    let same = vec![b'x'; 300_000];
    let mut other = same.clone();
    other[150_000] = b'y';
    vault.write("big", &same);
    vault.write("big", &same);
    assert_eq!(vault.vault.versions_of(&id("big")).unwrap().len(), 1);
    vault.write("big", &other);
    vault.write("big", &other);
    assert_eq!(vault.vault.versions_of(&id("big")).unwrap().len(), 2);
    vault.assert_sound();
}

#[test]
fn a_rewrite_before_ingest_loses_no_version() {
    let vault = TestVault::new();
    for content in ["first", "second!", "third, of course"] {
        vault.write("a", content.as_bytes());
    }
    // Overwritten in place, not truncated first.
    let file = vault
        .open("a", OpenOptions::new().write(true), WriteIntent::Change)
        .unwrap();
    file.write_all_at(b"THIRD", 0).unwrap();
    vault.close("a", &file).unwrap();
    assert_eq!(
        vault.versions("a"),
        ["first", "second!", "third, of course", "THIRD, of course"]
    );
    vault.assert_sound();
}

#[test]
fn appends_keep_each_length_as_a_version_without_copies() {
    let vault = TestVault::new();
    vault.write("log", b"1\n");
    vault.append("log", b"2\n");
    vault.append("log", b"3\n");
    assert_eq!(vault.append("log", b""), None);
    assert_eq!(vault.vault.spool.recover().unwrap(), []);
    assert_eq!(vault.versions("log"), ["1\n", "1\n2\n", "1\n2\n3\n"]);
    vault.assert_sound();
}

#[test]
fn several_names_of_one_file_each_have_the_new_version() {
    let vault = TestVault::new();
    vault.write("a", b"one");
    vault.link("a", "b").unwrap();
    vault.write("a", b"two!");
    assert_eq!(vault.versions("a"), ["one", "two!"]);
    assert_eq!(vault.versions("b"), ["one", "two!"]);
    vault.ingest_all();
    vault.assert_sound();
}

#[test]
fn a_file_that_is_unlinked_before_its_close_makes_no_version() {
    let vault = TestVault::new();
    let mut file = vault
        .open(
            "a",
            OpenOptions::new().write(true).create(true),
            WriteIntent::Change,
        )
        .unwrap();
    file.write_all(b"gone").unwrap();
    std::fs::remove_file(vault.path("a")).unwrap();
    assert_eq!(vault.vault.closed(None, file.as_fd()).unwrap(), None);
    assert_eq!(vault.live_assets(), Vec::<String>::new());
}

#[test]
fn backup_off_keeps_nothing_and_an_override_keeps_the_present_content_at_once() {
    let vault = TestVault::with(&InitOptions {
        backup: Some(Override::Off),
        ..InitOptions::default()
    });
    assert_eq!(vault.write("dir/a", b"one"), None);
    assert_eq!(vault.versions("dir/a"), Vec::<String>::new());
    let file = std::fs::File::open(vault.path("dir/a")).unwrap();
    rustix::fs::fsetxattr(
        &file,
        "user.keepfs.backup",
        b"on",
        rustix::fs::XattrFlags::empty(),
    )
    .unwrap();
    vault
        .vault
        .override_changed(&id("dir/a"), Some(Override::On), Some(file.as_fd()))
        .unwrap();
    assert_eq!(vault.versions("dir/a"), ["one"]);
    vault
        .vault
        .override_changed(&id("dir"), Some(Override::On), None)
        .unwrap();
    vault.write("dir/below/b", b"by its directory");
    assert_eq!(vault.versions("dir/below/b"), ["by its directory"]);
    assert_eq!(vault.write("elsewhere", b"no"), None);
}

#[test]
fn writing_an_older_content_again_names_the_version_it_brought_back() {
    let vault = TestVault::new();
    let first = vault.write("a", b"original").unwrap();
    vault.write("a", b"spoilt, alas");
    vault.write("a", b"original");
    vault.ingest_all();
    let versions = vault.vault.versions_of(&id("a")).unwrap();
    assert_eq!(versions.len(), 3);
    assert_eq!(versions[2].origin, Origin::Restore);
    assert_eq!(versions[2].restored_from, Some(first));
    assert_eq!(versions[1].origin, Origin::Write);
}

#[test]
fn what_was_sealed_and_committed_survives_a_kill_whether_ingested_or_not() {
    let vault = TestVault::new();
    vault.write("a", b"one");
    vault.write("a", b"two!");
    vault.write("gone", b"deleted");
    vault.remove("gone");
    vault
        .vault
        .commit(crate::catalog::Durability::Process)
        .unwrap();
    let vault = vault.crash();
    assert_eq!(vault.versions("a"), ["one", "two!"]);
    assert_eq!(vault.versions("gone"), ["deleted"]);
    assert_eq!(vault.deleted(), ["gone"]);
    vault.ingest_all();
    assert_eq!(vault.vault.spool.recover().unwrap(), []);
    vault.assert_sound();
}
