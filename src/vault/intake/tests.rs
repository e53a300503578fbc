//! What a first backup takes in, and what it leaves to others.

mod stores;

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::fd::AsFd;

use rustix::fs::XattrFlags;

use super::{FILE_BYTES_MAX, Intake, NewFile, TakenIn, UNRECORDED_FILES_MAX};
use crate::catalog::Durability;
use crate::model::{Clock, Origin, PublicId, SystemClock, VersionState};
use crate::store::AtBound;
use crate::vault::leftovers::Left;
use crate::vault::live::facts_of;
use crate::vault::testing::{TestVault, id};
use crate::vault::{Result, ScanReport, Survey, VaultError, WriteIntent};

/// Bytes that nothing makes smaller, other ones for each seed.
fn noise(size: usize, seed: u64) -> Vec<u8> {
    let mut bytes = vec![0; size];
    let mut source = blake3::Hasher::new();
    source.update(&seed.to_le_bytes());
    source.finalize_xof().fill(&mut bytes);
    bytes
}

fn backup(vault: &TestVault) -> ScanReport {
    vault
        .vault
        .scan(&PublicId::root(), Survey::Backup, &mut |_| {})
        .unwrap()
}

/// Takes in one file, and does something between its reading and its version. Returns how
/// many versions came of it.
fn take_in(vault: &TestVault, path: &str, meanwhile: impl FnOnce()) -> u64 {
    let taken = try_take_in(vault, path, || {
        meanwhile();
        Ok(())
    });
    let taken = taken.unwrap();
    assert_eq!(taken.unreadable, 0);
    taken.versions
}

fn try_take_in(
    vault: &TestVault,
    path: &str,
    meanwhile: impl FnOnce() -> Result<()>,
) -> Result<TakenIn> {
    Intake::run(&vault.vault, |intake| {
        let file = File::open(vault.path(path)).unwrap();
        let facts = facts_of(file.as_fd()).unwrap();
        let new = NewFile {
            id: id(path),
            facts,
        };
        intake.add([new])?;
        while intake.unrecorded.lock().unwrap().files.is_empty() {
            intake.found.check()?;
            std::thread::yield_now();
        }
        meanwhile()
    })
}

fn unused_contents(vault: &TestVault) -> u64 {
    vault.vault.catalog().remove_unused_contents().unwrap()
}

fn states(vault: &TestVault, path: &str) -> Vec<&'static str> {
    let versions = vault.vault.versions_of(&id(path)).unwrap_or_default();
    let state = versions.iter().map(|version| match version.state {
        VersionState::Sealed { .. } => "sealed",
        VersionState::Stored { .. } => "stored",
    });
    state.collect()
}

#[test]
fn files_of_every_size_get_their_first_version() {
    let vault = TestVault::new();
    let sizes = [
        0,
        1,
        4096,
        256 << 10,
        (256 << 10) + 1,
        FILE_BYTES_MAX as usize,
    ];
    for (number, size) in sizes.into_iter().enumerate() {
        fs::write(
            vault.path(&format!("f{number}")),
            noise(size, number as u64),
        )
        .unwrap();
    }
    let large = noise(FILE_BYTES_MAX as usize + 1, 99);
    fs::write(vault.path("large"), &large).unwrap();
    let report = backup(&vault);
    assert_eq!((report.files, report.versions), (7, 7));
    for (number, size) in sizes.into_iter().enumerate() {
        let path = format!("f{number}");
        assert_eq!(states(&vault, &path), ["stored"], "{size}");
        let expected = noise(size, number as u64);
        assert_eq!(vault.versions(&path), [String::from_utf8_lossy(&expected)]);
        let versions = vault.vault.versions_of(&id(&path)).unwrap();
        assert_eq!(versions[0].origin, Origin::Backup);
    }
    assert_eq!(states(&vault, "large"), ["sealed"]);
    vault.ingest_all();
    assert_eq!(vault.versions("large"), [String::from_utf8_lossy(&large)]);
    assert_eq!(backup(&vault).versions, 0);
    vault.assert_sound();
}

#[test]
fn more_files_than_one_batch_holds_are_all_kept() {
    let vault = TestVault::new();
    let count = UNRECORDED_FILES_MAX + 100;
    for number in 0..count {
        let directory = vault.path(&format!("d{}/e", number / 50));
        fs::create_dir_all(&directory).unwrap();
        // Every tenth is like the one before.
        let text = format!("content {}", number - usize::from(number % 10 == 1));
        fs::write(directory.join(format!("f{number}")), text).unwrap();
    }
    let report = backup(&vault);
    assert_eq!(report.versions, count as u64);
    for number in [0, 1, 10, 11, count - 1] {
        let text = format!("content {}", number - usize::from(number % 10 == 1));
        let path = format!("d{}/e/f{number}", number / 50);
        assert_eq!(vault.versions(&path), [text]);
        assert_eq!(states(&vault, &path), ["stored"]);
    }
    assert_eq!(backup(&vault).versions, 0);
    vault.assert_sound();
}

#[test]
fn a_file_that_changes_after_it_was_read_is_kept_as_it_is_then() {
    let vault = TestVault::new();
    fs::write(vault.path("a"), "read").unwrap();
    let taken = take_in(&vault, "a", || fs::write(vault.path("a"), "then").unwrap());
    assert_eq!(taken, 1);
    assert_eq!(vault.versions("a"), ["then"]);
    vault.ingest_all();
    assert_eq!(vault.versions("a"), ["then"]);
    vault.assert_sound();
}

#[test]
fn a_file_that_is_gone_after_it_was_read_has_no_version() {
    let vault = TestVault::new();
    fs::write(vault.path("a"), "read").unwrap();
    let taken = take_in(&vault, "a", || fs::remove_file(vault.path("a")).unwrap());
    assert_eq!(taken, 0);
    assert_eq!(vault.live_assets(), [""; 0]);
    assert_eq!(vault.vault.remove_leftovers().unwrap(), Left::Nothing);
    assert_eq!(unused_contents(&vault), 0);
    vault.assert_sound();
}

#[test]
fn a_file_that_somebody_writes_is_left_to_the_close() {
    let vault = TestVault::new();
    for early in [true, false] {
        let path = format!("early-{early}");
        fs::write(vault.path(&path), "before").unwrap();
        let open = || {
            let mut options = OpenOptions::new();
            options.write(true);
            vault.open(&path, &options, WriteIntent::Change).unwrap()
        };
        let mut writer = match early {
            true => {
                let writer = open();
                assert_eq!(backup(&vault).versions, 0);
                writer
            }
            false => {
                let mut writer = None;
                assert_eq!(take_in(&vault, &path, || writer = Some(open())), 0);
                writer.unwrap()
            }
        };
        assert_eq!(states(&vault, &path), [""; 0]);
        writer.write_all(b"after!").unwrap();
        vault.close(&path, &writer).unwrap();
        assert_eq!(vault.versions(&path), ["after!"]);
    }
}

#[test]
fn a_version_that_a_close_made_meanwhile_is_not_made_twice() {
    let vault = TestVault::new();
    fs::write(vault.path("a"), "same").unwrap();
    let taken = take_in(&vault, "a", || {
        vault.write("a", b"other");
    });
    assert_eq!(taken, 0);
    assert_eq!(vault.versions("a"), ["other"]);
    vault.ingest_all();
    vault.assert_sound();
}

#[test]
fn content_that_somebody_else_came_to_meanwhile_stays() {
    let vault = TestVault::new();
    fs::write(vault.path("a"), "the same bytes").unwrap();
    let taken = take_in(&vault, "a", || {
        vault.write("b", b"the same bytes");
        let versions = vault.vault.versions_of(&id("b")).unwrap();
        // Read and stored, not recorded yet.
        let stored = vault.vault.ingest_one(versions[0].seq, AtBound::Wait);
        stored.unwrap();
        fs::write(vault.path("a"), "others").unwrap();
    });
    assert_eq!(taken, 1);
    vault.vault.remove_leftovers().unwrap();
    vault.vault.finish_batch().unwrap();
    assert_eq!(states(&vault, "b"), ["stored"]);
    vault.ingest_all();
    vault.vault.remove_leftovers().unwrap();
    assert_eq!(vault.versions("b"), ["the same bytes"]);
    assert_eq!(vault.versions("a"), ["others"]);
    vault.assert_sound();
}

#[test]
fn what_a_walk_stored_that_failed_is_forgotten_in_this_run_and_in_the_next() {
    for is_killed in [false, true] {
        let vault = TestVault::new();
        fs::write(vault.path("a"), "never a version").unwrap();
        let failed = try_take_in(&vault, "a", || {
            Err(VaultError::io("the walk", std::io::ErrorKind::Other))
        });
        assert!(failed.is_err());
        let vault = match is_killed {
            true => {
                vault.vault.commit(Durability::Process).unwrap();
                vault.crash()
            }
            false => {
                assert_eq!(vault.vault.remove_leftovers().unwrap(), Left::Nothing);
                vault
            }
        };
        assert_eq!(unused_contents(&vault), 0, "killed: {is_killed}");
        assert_eq!(backup(&vault).versions, 1);
        assert_eq!(vault.versions("a"), ["never a version"]);
    }
}

#[test]
fn a_deletion_for_good_is_not_over_while_an_intake_may_share_its_bytes() {
    let vault = TestVault::new();
    fs::write(vault.path("gone"), "to be deleted for good").unwrap();
    backup(&vault);
    fs::write(vault.path("a"), "read").unwrap();
    take_in(&vault, "a", || {
        vault.remove("gone");
        let told = vault.vault.purge(&id("gone"));
        assert!(matches!(told, Err(VaultError::BytesShared)), "{told:?}");
        assert_eq!(vault.deleted(), [""; 0]);
        assert!(vault.vault.is_deletion_unfinished());
        fs::remove_file(vault.path("a")).unwrap();
    });
    vault.vault.finish_deletion().unwrap();
    assert!(!vault.vault.is_deletion_unfinished());
    assert_eq!(unused_contents(&vault), 0);
}

#[test]
fn content_that_is_deleted_for_good_meanwhile_is_stored_again() {
    let vault = TestVault::new();
    vault.write("a", b"the same bytes");
    vault.ingest_all();
    fs::write(vault.path("b"), "the same bytes").unwrap();
    let taken = take_in(&vault, "b", || {
        vault.remove("a");
        let told = vault.vault.purge(&id("a"));
        assert!(matches!(told, Err(VaultError::BytesShared)), "{told:?}");
    });
    assert_eq!(taken, 1);
    vault.ingest_all();
    assert_eq!(vault.versions("b"), ["the same bytes"]);
    vault.assert_sound();
}

#[test]
fn what_is_not_to_be_kept_is_not_stored_either() {
    let vault = TestVault::new();
    let set = |path: &str, name: &str, value: &str| {
        let file = File::open(vault.path(path)).unwrap();
        rustix::fs::fsetxattr(&file, name, value.as_bytes(), XattrFlags::empty()).unwrap();
    };
    for (path, text) in [("off", "secret"), ("tagged", "ours")] {
        fs::write(vault.path(path), text).unwrap();
    }
    set("off", "user.keepfs.backup", "off");
    set("tagged", "user.keepfs.tags", "red,blue");
    assert_eq!(backup(&vault).versions, 1);
    assert_eq!(vault.live_assets(), ["tagged"]);
    assert_eq!(vault.vault.catalog().totals().unwrap().unique_bytes, 4);
    let labels = vault.vault.labels(&id("tagged")).unwrap();
    assert_eq!(labels.tags.to_string(), "red,blue");
}

#[test]
fn a_file_that_changed_a_moment_ago_is_sealed() {
    let vault = TestVault::new();
    fs::write(vault.path("a"), "fresh").unwrap();
    let file = File::open(vault.path("a")).unwrap();
    vault.clock.set(facts_of(file.as_fd()).unwrap().ctime);
    assert_eq!(backup(&vault).versions, 1);
    assert_eq!(states(&vault, "a"), ["sealed"]);
    vault.clock.set(SystemClock.now());
}
