//! The table of renames, each row with the names that tools use.

use super::super::testing::{TestVault, id};
use super::super::{RenameMode, VaultError};

#[test]
fn a_move_onto_a_free_name_takes_the_history_along_and_frees_the_old_name() {
    let vault = TestVault::new();
    vault.write("a", b"one");
    vault.write("a", b"two!");
    vault.rename("a", "d/b").unwrap();
    assert_eq!(vault.versions("d/b"), ["one", "two!"]);
    assert_eq!(vault.versions("a"), Vec::<String>::new());
    vault.write("c", b"another");
    vault.rename("c", "a").unwrap();
    assert_eq!(vault.versions("a"), ["another"]);
    vault.ingest_all();
    vault.assert_sound();
}

#[test]
fn a_move_onto_a_live_asset_becomes_its_next_version_and_leaves_the_older_ones() {
    let vault = TestVault::new();
    vault.write("b", b"b1");
    vault.write("b", b"b2, the second");
    vault.write("a", b"a1");
    vault.rename("b", "a").unwrap();
    assert_eq!(vault.versions("a"), ["a1", "b2, the second"]);
    assert_eq!(vault.versions("b"), ["b1"]);
    assert_eq!(vault.deleted(), ["b"]);
    assert_eq!(vault.live("a").unwrap(), "b2, the second");
    vault.ingest_all();
    assert_eq!(vault.versions("a"), ["a1", "b2, the second"]);
    vault.assert_sound();
}

#[test]
fn a_move_of_an_asset_with_one_version_onto_a_live_one_frees_its_name() {
    let vault = TestVault::new();
    vault.write("b", b"bee");
    vault.write("a", b"a");
    vault.rename("b", "a").unwrap();
    assert_eq!(vault.deleted(), Vec::<String>::new());
    assert_eq!(vault.versions("a"), ["a", "bee"]);
}

#[test]
fn versions_stay_in_order_when_an_older_file_is_moved_onto_a_newer_one() {
    let vault = TestVault::new();
    vault.write("old", b"written first");
    vault.write("new", b"n1");
    vault.write("new", b"n2!");
    vault.rename("old", "new").unwrap();
    assert_eq!(vault.versions("new"), ["n1", "n2!", "written first"]);
}

#[test]
fn a_move_onto_a_reserved_name_is_refused_however_young_the_source_is() {
    let vault = TestVault::new();
    vault.write("a", b"one");
    vault.remove("a");
    vault.write("b", b"two!");
    assert!(matches!(
        vault.rename("b", "a"),
        Err(VaultError::NameReserved { path }) if path == id("a")
    ));
    assert_eq!(vault.live("b").unwrap(), "two!");
    assert_eq!(vault.versions("b"), ["two!"]);
    assert_eq!(vault.deleted(), ["a"]);
    // The ways out: an upload, or a restore.
    vault.write("a", b"three");
    assert_eq!(vault.versions("a"), ["one", "three"]);
}

#[test]
fn a_tools_temporary_file_saves_into_its_target_live_free_or_reserved() {
    for temporary in [
        "a.lock",
        "a.tmp",
        "a.new",
        "a.part",
        ".a.Xy12Zq",
        "sedAb3dEf",
        ".goutputstream-ABC123",
        "a___jb_tmp___",
    ] {
        let vault = TestVault::new();
        vault.write("a", b"one");
        vault.write(temporary, b"two!");
        vault.rename(temporary, "a").unwrap();
        assert_eq!(vault.versions("a"), ["one", "two!"], "{temporary}");
        vault.remove("a");
        vault.write(temporary, b"three");
        vault.rename(temporary, "a").unwrap();
        assert_eq!(vault.versions("a"), ["one", "two!", "three"], "{temporary}");
        assert_eq!(vault.deleted(), Vec::<String>::new(), "{temporary}");
        assert_eq!(
            vault.versions(temporary),
            Vec::<String>::new(),
            "{temporary}"
        );
        // The temporary name is free for the next save, and for anything else.
        vault.write("free", b"f");
        vault.rename("free", temporary).unwrap();
        vault.ingest_all();
        vault.assert_sound();
    }
}

#[test]
fn a_save_with_the_same_bytes_makes_no_version() {
    let vault = TestVault::new();
    vault.write("a", b"one");
    vault.write("a.tmp", b"one");
    vault.rename("a.tmp", "a").unwrap();
    vault.ingest_all();
    assert_eq!(vault.versions("a"), ["one"]);
}

#[test]
fn a_backup_copy_by_rename_leaves_the_history_with_the_name() {
    let vault = TestVault::new();
    vault.write("a", b"one");
    vault.rename("a", "a~").unwrap();
    assert_eq!(vault.deleted(), ["a"]);
    vault.write("a", b"two!");
    assert_eq!(vault.versions("a"), ["one", "two!"]);
    assert_eq!(vault.versions("a~"), Vec::<String>::new());
    vault.ingest_all();
    vault.assert_sound();
}

#[test]
fn sed_with_a_backup_suffix_gives_the_copy_versions_of_its_own() {
    let vault = TestVault::new();
    vault.write("a", b"one");
    for (draw, content) in [("sedAb3dEf", "two!"), ("sedQr7tUv", "three")] {
        vault.write(draw, content.as_bytes());
        vault.rename("a", "a.bak").unwrap();
        vault.rename(draw, "a").unwrap();
    }
    assert_eq!(vault.versions("a"), ["one", "two!", "three"]);
    assert_eq!(vault.versions("a.bak"), ["one", "two!"]);
    vault.ingest_all();
    assert_eq!(vault.versions("a.bak"), ["one", "two!"]);
    vault.assert_sound();
}

#[test]
fn jetbrains_and_office_dances_keep_the_history_with_the_document() {
    let vault = TestVault::new();
    vault.write("Main.java", b"one");
    vault.write("Main.java___jb_tmp___", b"two!");
    vault.rename("Main.java", "Main.java___jb_old___").unwrap();
    vault.rename("Main.java___jb_tmp___", "Main.java").unwrap();
    vault.remove("Main.java___jb_old___");
    assert_eq!(vault.versions("Main.java"), ["one", "two!"]);

    vault.write("report.docx", b"uno");
    vault.write("~WRD0000.tmp", b"dos!");
    vault.rename("report.docx", "~WRL0001.tmp").unwrap();
    vault.rename("~WRD0000.tmp", "report.docx").unwrap();
    vault.remove("~WRL0001.tmp");
    assert_eq!(vault.versions("report.docx"), ["uno", "dos!"]);
    assert_eq!(vault.deleted(), Vec::<String>::new());
    vault.ingest_all();
    vault.assert_sound();
}

#[test]
fn a_directory_takes_all_history_below_along() {
    let vault = TestVault::new();
    vault.write("d/sub/a", b"one");
    vault.write("d/gone", b"deleted");
    vault.remove("d/gone");
    vault.rename("d", "e/f").unwrap();
    assert_eq!(vault.versions("e/f/sub/a"), ["one"]);
    assert_eq!(vault.deleted(), ["e/f/gone"]);
    assert_eq!(vault.versions("d/sub/a"), Vec::<String>::new());
    vault.write("e/f/sub/a", b"two!");
    assert_eq!(vault.versions("e/f/sub/a"), ["one", "two!"]);
    vault.ingest_all();
    vault.assert_sound();
}

#[test]
fn a_directory_onto_reserved_names_is_refused_whole_or_merged_whole() {
    let vault = TestVault::new();
    vault.write("d/a", b"one");
    vault.write("d/only", b"kept");
    vault.remove("d/a");
    vault.remove("d/only");
    std::fs::remove_dir(vault.path("d")).unwrap();
    vault.write("e/a", b"other");
    assert!(matches!(
        vault.rename("e", "d"),
        Err(VaultError::NameReserved { path }) if path == id("d/a")
    ));
    assert_eq!(vault.versions("e/a"), ["other"]);
    vault.rename("e/a", "e/b").unwrap();
    vault.rename("e", "d").unwrap();
    assert_eq!(vault.versions("d/b"), ["other"]);
    assert_eq!(vault.deleted(), ["d/a", "d/only"]);
    assert_eq!(vault.versions("d/a"), ["one"]);
    vault.assert_sound();
}

#[test]
fn an_exchange_swaps_assets_with_their_histories() {
    let vault = TestVault::new();
    vault.write("a", b"a1");
    vault.write("a", b"a2!");
    vault.write("d/b", b"b1b1");
    vault.rename_with("a", "d/b", RenameMode::Exchange).unwrap();
    assert_eq!(vault.versions("d/b"), ["a1", "a2!"]);
    assert_eq!(vault.versions("a"), ["b1b1"]);
    vault.rename_with("d", "a", RenameMode::Exchange).unwrap();
    assert_eq!(vault.versions("a/b"), ["a1", "a2!"]);
    assert_eq!(vault.versions("d"), ["b1b1"]);
    vault.ingest_all();
    vault.assert_sound();
}

#[test]
fn no_replace_is_exact() {
    let vault = TestVault::new();
    vault.write("a", b"a");
    vault.write("b", b"bee");
    let refused = vault.rename_with("a", "b", RenameMode::NoReplace);
    assert!(
        matches!(refused, Err(VaultError::Io { error, .. }) if error.raw_os_error() == Some(libc::EEXIST))
    );
    assert_eq!(vault.versions("b"), ["bee"]);
    assert_eq!(vault.versions("a"), ["a"]);
    vault.rename_with("a", "c", RenameMode::NoReplace).unwrap();
    assert_eq!(vault.versions("c"), ["a"]);
}

#[test]
fn a_rename_that_the_filesystem_refuses_changes_no_history() {
    let vault = TestVault::new();
    vault.write("a", b"one");
    vault.write("b", b"two!");
    let (from, to) = (id("a"), id("b"));
    let refused = vault.vault.rename(
        &super::super::Rename {
            from: &from,
            source: vault.party("a"),
            to: &to,
            target: vault.party("b"),
            mode: RenameMode::Replace,
        },
        &mut || Err(std::io::Error::from_raw_os_error(libc::EXDEV)),
    );
    assert!(refused.is_err());
    assert_eq!(vault.versions("a"), ["one"]);
    assert_eq!(vault.versions("b"), ["two!"]);
    assert_eq!(vault.live_assets(), ["a", "b"]);
    vault.assert_sound();
}

#[test]
fn a_hard_link_onto_a_reserved_name_is_refused() {
    let vault = TestVault::new();
    vault.write("a", b"one");
    vault.remove("a");
    vault.write("b", b"two!");
    assert!(matches!(
        vault.link("b", "a"),
        Err(VaultError::NameReserved { .. })
    ));
    assert_eq!(vault.live("a"), None);
}
