//! Two things at once: a writer, ingest, a rename, a deletion, a scan, a crash between.
//! The order that was once harmful is played by hand.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;

use crate::catalog::Durability;
use crate::model::{Origin, Override, PublicId, VersionSeq};
use crate::store::AtBound;

use super::super::testing::{TestVault, id};
use super::super::{Clobber, RenameMode, Restore, Survey, VaultError, WriteIntent, live};

fn creating() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create(true);
    options
}

fn sealed(vault: &TestVault) -> Vec<VersionSeq> {
    let page = vault
        .vault
        .catalog()
        .sealed_versions(VersionSeq(0), 100)
        .unwrap();
    page.iter().map(|version| version.seq).collect()
}

#[test]
fn a_move_onto_a_live_asset_keeps_the_versions_that_an_append_left_in_the_inode() {
    let vault = TestVault::new();
    vault.write("b", b"one\n");
    vault.append("b", b"two\n");
    vault.write("a", b"target");
    vault.rename("b", "a").unwrap();
    vault.ingest_all();
    assert_eq!(vault.versions("b"), ["one\n"]);
    assert_eq!(vault.versions("a"), ["target", "one\ntwo\n"]);
}

#[test]
fn an_empty_file_that_goes_while_its_equal_is_ingested_holds_nobody_up() {
    let vault = TestVault::new();
    vault.write("f", b"data");
    vault.write("x", b"");
    vault.write("y", b"");
    for seq in sealed(&vault) {
        vault.vault.ingest_one(seq, AtBound::Wait).unwrap();
    }
    vault.remove("x");
    vault.vault.finish_batch().unwrap();
    vault.ingest_all();
    assert_eq!(vault.versions("y"), [""]);
    vault.write("f", b"new data");
    assert_eq!(vault.versions("f"), ["data", "new data"]);
    vault.assert_sound();
}

#[test]
fn a_rename_lost_in_a_crash_does_not_cost_the_version_that_waited_for_ingest() {
    for (from, to, file) in [("x", "y", "y"), ("d", "e", "e/x")] {
        let vault = TestVault::new();
        vault.write(if from == "d" { "d/x" } else { "x" }, b"precious");
        vault.vault.commit(Durability::Power).unwrap();
        vault.rename(from, to).unwrap();
        let vault = vault.crash();
        vault.vault.begin_recovery().unwrap();
        for seq in sealed(&vault) {
            assert!(
                vault.vault.ingest_now(seq).is_err(),
                "it waits for the scan"
            );
        }
        vault.vault.recover().unwrap();
        vault.ingest_all();
        assert_eq!(vault.versions(file), ["precious"]);
        vault.assert_sound();
    }
}

#[test]
fn a_directory_made_anew_has_neither_the_override_nor_the_mode_of_the_old_one() {
    use std::os::unix::fs::PermissionsExt;
    let vault = TestVault::new();
    vault.write("build/f", b"1");
    vault
        .vault
        .override_changed(&id("build"), Some(Override::Off), None)
        .unwrap();
    vault.remove("build/f");
    fs::remove_dir(vault.path("build")).unwrap();
    fs::create_dir(vault.path("build")).unwrap();
    fs::set_permissions(vault.path("build"), fs::Permissions::from_mode(0o700)).unwrap();
    let directory = File::open(vault.path("build")).unwrap();
    vault
        .vault
        .directory_made(&id("build"), directory.as_fd())
        .unwrap();
    vault.write("build/precious", b"bytes");
    assert_eq!(vault.versions("build/precious"), ["bytes"]);
    let mut catalog = vault.vault.catalog();
    let node = vault
        .vault
        .directory_node(catalog.as_mut(), &id("build"))
        .unwrap()
        .unwrap();
    let record = catalog.directory(node).unwrap().unwrap();
    assert_eq!(record.attributes.mode, 0o700);
}

#[test]
fn a_directory_takes_the_place_of_one_that_had_an_override() {
    let vault = TestVault::new();
    fs::create_dir(vault.path("build")).unwrap();
    vault
        .vault
        .override_changed(&id("build"), Some(Override::Off), None)
        .unwrap();
    fs::remove_dir(vault.path("build")).unwrap();
    vault.write("new/f", b"x");
    vault.rename("new", "build").unwrap();
    vault.write("build/f", b"more");
    assert_eq!(vault.versions("build/f"), ["x", "more"]);
}

#[test]
fn a_file_renamed_before_its_close_has_its_version_at_the_close() {
    let vault = TestVault::new();
    let mut file = vault
        .open(".report.swp", &creating(), WriteIntent::Change)
        .unwrap();
    file.write_all(b"AAAA").unwrap();
    vault.rename(".report.swp", "report").unwrap();
    file.write_all_at(b"BB", 0).unwrap();
    vault.ingest_all();
    file.write_all_at(b"CCCCC", 0).unwrap();
    vault.close("report", &file).unwrap();
    vault.ingest_all();
    assert_eq!(vault.versions("report"), ["CCCCC"]);
}

#[test]
fn moving_a_copy_onto_its_original_never_shows_the_same_bytes_twice() {
    let vault = TestVault::new();
    vault.write("a", b"same");
    vault.ingest_all();
    vault.write("b", b"same");
    vault.rename("b", "a").unwrap();
    assert_eq!(vault.versions("a"), ["same"]);
}

#[test]
fn an_exchange_with_a_transient_file_is_a_save() {
    let vault = TestVault::new();
    vault.write("foo", b"old");
    vault.write(".foo.swp", b"new!");
    vault
        .rename_with(".foo.swp", "foo", RenameMode::Exchange)
        .unwrap();
    assert_eq!(vault.versions("foo"), ["old", "new!"]);
    assert_eq!(vault.live_assets(), ["foo"]);
}

#[test]
fn an_exchange_of_files_leaves_directories_of_the_past_alone() {
    let vault = TestVault::new();
    vault.write("x/deep", b"1");
    vault.remove("x/deep");
    fs::remove_dir(vault.path("x")).unwrap();
    vault.write("x", b"file x");
    vault.write("y", b"file y");
    vault.rename_with("x", "y", RenameMode::Exchange).unwrap();
    assert_eq!(vault.deleted(), ["x/deep"]);
    assert_eq!(vault.versions("x"), ["file y"]);
}

#[test]
fn a_scan_leaves_a_file_to_the_writer_that_came_in_between() {
    let vault = TestVault::new();
    vault.write("f", b"one");
    vault.ingest_all();
    fs::write(vault.path("f"), b"outside").unwrap();
    let file = File::open(vault.path("f")).unwrap();
    let writer = OpenOptions::new()
        .write(true)
        .open(vault.path("f"))
        .unwrap();
    let inode = live::facts_of(writer.as_fd()).unwrap().inode;
    vault
        .vault
        .before_write(inode, writer.as_fd(), WriteIntent::Change)
        .unwrap();
    (&writer).write_all(b"HALF").unwrap();
    let kept = vault
        .vault
        .keep_present(&id("f"), file.as_fd(), Origin::Recovered);
    assert_eq!(kept.unwrap(), None);
    (&writer).write_all(b" and WHOLE").unwrap();
    vault.close("f", &writer).unwrap();
    assert_eq!(vault.versions("f"), ["one", "HALF and WHOLE"]);
}

#[test]
fn a_hard_link_made_while_writing_has_its_version_at_the_close() {
    let vault = TestVault::new();
    let mut file = vault.open("a", &creating(), WriteIntent::Change).unwrap();
    file.write_all(b"AAAA").unwrap();
    vault.link("a", "b").unwrap();
    vault.close("a", &file).unwrap();
    assert_eq!(vault.versions("a"), ["AAAA"]);
    assert_eq!(vault.versions("b"), ["AAAA"]);
}

#[test]
fn a_rewrite_goes_on_when_ingest_stores_the_version_while_it_is_copied() {
    let vault = TestVault::new();
    vault.write("f", &vec![7u8; 32 << 20]);
    let seq = sealed(&vault)[0];
    vault.vault.ingest_one(seq, AtBound::Wait).unwrap();
    let part = vault
        .vault
        .config()
        .spool_dir
        .join(format!("{}.part", seq.0));
    std::thread::scope(|scope| {
        let rewrite = scope.spawn(|| vault.try_write("f", b"next"));
        while !part.exists() && !rewrite.is_finished() {
            std::hint::spin_loop();
        }
        vault.vault.finish_batch().unwrap();
        rewrite.join().unwrap().unwrap();
    });
    assert_eq!(vault.vault.versions_of(&id("f")).unwrap().len(), 2);
    vault.assert_sound();
}

#[test]
fn a_purge_takes_the_bytes_of_a_version_that_is_being_ingested() {
    let marker = b"the secret marker of a purged file";
    let vault = TestVault::new();
    vault.write("f", marker);
    vault
        .vault
        .ingest_one(sealed(&vault)[0], AtBound::Wait)
        .unwrap();
    vault.remove("f");
    vault.vault.purge(&id("f")).unwrap();
    vault.vault.store().flush().unwrap();
    for place in ["store", "spool"] {
        for file in super::deleting::files_below(&vault.vault.config().vault_dir.join(place)) {
            let bytes = fs::read(&file).unwrap();
            assert!(!bytes.windows(marker.len()).any(|part| part == marker));
        }
    }
}

#[test]
fn a_restore_waits_for_nobody_but_refuses_to_pull_a_file_from_under_its_writer() {
    let vault = TestVault::new();
    vault.write("f", b"one");
    let mut options = OpenOptions::new();
    options.write(true).truncate(true);
    let mut file = vault.open("f", &options, WriteIntent::Change).unwrap();
    file.write_all(b"much later work").unwrap();
    let restore = Restore {
        id: id("f"),
        version: None,
        to: None,
        clobber: Clobber::Overwrite,
    };
    assert!(matches!(
        vault.vault.restore(&restore),
        Err(VaultError::BeingWritten { .. })
    ));
    vault.close("f", &file).unwrap();
    assert_eq!(vault.versions("f"), ["one", "much later work"]);
    vault.vault.restore(&restore).unwrap();
}

#[test]
fn an_fsync_after_the_close_is_remembered_for_the_bytes_that_wait() {
    let vault = TestVault::new();
    vault.write("f", b"one");
    let inode = live::facts_of(File::open(vault.path("f")).unwrap().as_fd())
        .unwrap()
        .inode;
    vault.vault.synced(Some(inode)).unwrap();
    let preserving = vault.vault.pins.begin(inode).unwrap();
    assert_eq!(preserving.held[0].promised, super::super::Promised::Durable);
}

#[test]
fn a_second_scan_finds_what_the_first_one_could_not_seal() {
    let vault = TestVault::new();
    vault.write("f", b"one");
    fs::remove_file(vault.path("f")).unwrap();
    fs::write(vault.path("f"), b"two").unwrap();
    // Ingest finds the bytes of the first version nowhere and gives it up.
    for seq in sealed(&vault) {
        vault.vault.ingest_now(seq).unwrap();
    }
    vault
        .vault
        .scan(&PublicId::root(), Survey::Recover, &mut |_| {})
        .unwrap();
    assert_eq!(vault.versions("f"), ["two"]);
}

#[test]
fn a_copy_in_the_spool_is_not_replaced_by_the_next_writers_after_a_crash() {
    let vault = TestVault::new();
    vault.write("a", b"the first content");
    vault.vault.commit(Durability::Process).unwrap();
    // The row that says that the bytes moved is lost in the crash, the copy is not.
    let mut truncating = creating();
    truncating.truncate(true);
    let mut writer = vault.open("a", &truncating, WriteIntent::Change).unwrap();
    writer.write_all(b"half").unwrap();
    let vault = vault.crash();
    vault
        .vault
        .scan(&PublicId::root(), Survey::Recover, &mut |_| {})
        .unwrap();
    vault.write("a", b"x");
    vault.ingest_all();
    assert_eq!(vault.versions("a"), ["the first content", "half", "x"]);
    vault.assert_sound();
}

#[test]
fn a_spool_file_that_is_too_short_is_a_loss_and_holds_nobody_up() {
    let vault = TestVault::new();
    vault.write("a", b"the first content");
    let seq = sealed(&vault)[0];
    vault.write("a", b"the second content");
    let spooled = vault.vault.config().spool_dir.join(seq.0.to_string());
    File::options()
        .write(true)
        .open(spooled)
        .unwrap()
        .set_len(3)
        .unwrap();
    vault.vault.ingest_one(seq, AtBound::Wait).unwrap();
    vault.ingest_all();
    assert_eq!(vault.versions("a"), ["the second content"]);
    vault.assert_sound();
}
