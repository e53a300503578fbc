//! Delete and restore (design 1.4).

use std::fs;
use std::os::unix::fs::PermissionsExt;

use rustix::io::Errno;

use crate::harness::{Mount, assert_read_only, errno, is_id, text, xattr};

#[test]
fn an_unlinked_asset_appears_in_deleted_and_keeps_its_history() {
    let m = Mount::new();
    m.mkdir("d");
    m.write("d/a", "one");
    m.write("d/a", "two");
    assert!(m.deleted().is_empty());
    m.remove("d/a");
    assert_eq!(m.deleted().into_iter().collect::<Vec<_>>(), ["d/a"]);
    assert_eq!(m.read_deleted("d/a"), "two");
    assert_eq!(m.texts("d/a"), ["one", "two"]);
    assert!(!m.exists("d/a"));
}

#[test]
fn writing_a_deleted_name_again_continues_its_history() {
    let m = Mount::new();
    m.write("a", "one");
    m.remove("a");
    m.write("a", "two");
    assert_eq!(m.texts("a"), ["one", "two"]);
    assert!(m.deleted().is_empty());
}

#[test]
fn a_removed_tree_is_restored_by_cp() {
    let m = Mount::new();
    m.run(
        "mkdir -p d/e; echo a > d/a; chmod 750 d; chmod 600 d/a; echo b > d/e/b; touch -d @1000000000 d/a
         cp -a d \"$HOME/before\"; rm -r d; cp -a .deleted/d .; diff -r \"$HOME/before\" d",
    );
    assert!(m.deleted().is_empty(), "{:?}", m.deleted());
    assert_eq!(m.read("d/a"), b"a\n");
    let versions = m.texts("d/a");
    assert!(versions.iter().all(|v| v == "a\n"), "{versions:?}");
    m.run("chmod u+w d/a; echo more >> d/a");
    assert_eq!(m.texts("d/a").last().unwrap(), "a\nmore\n");
}

#[test]
fn mv_out_of_deleted_onto_its_own_place_undeletes() {
    let m = Mount::new();
    m.mkdir("d");
    m.run("echo one > d/x; echo two > d/x; chmod 640 d/x; setfattr -n user.color -v red d/x; echo three > d/x; rm d/x; mv .deleted/d/x d/x");
    assert_eq!(m.read("d/x"), b"three\n");
    assert!(m.deleted().is_empty());
    let texts = m.texts("d/x");
    assert_eq!(texts[..3], ["one\n", "two\n", "three\n"]);
    assert_eq!(texts.last().unwrap(), "three\n");
    assert_eq!(
        crate::harness::mode(&m.path("d/x")),
        0o640,
        "as it was deleted"
    );
    assert_eq!(xattr(&m.path("d/x"), "user.color").as_deref(), Some("red"));
    m.write("d/x", "four");
    assert_eq!(m.texts("d/x").last().unwrap(), "four");
}

#[test]
fn mv_out_of_deleted_anywhere_else_is_refused() {
    let m = Mount::new();
    m.mkdir("d");
    m.write("x", "x");
    m.write("y", "y");
    m.remove("x");
    for target in ["z", "d/x", "y"] {
        assert_eq!(
            errno(m.try_rename(".deleted/x", target)),
            Errno::PERM,
            "{target}"
        );
    }
    assert_read_only("into .versions", m.try_rename(".deleted/x", ".versions/z"));
    assert_eq!(m.read("y"), b"y");
    assert_eq!(m.read_deleted("x"), "x");
}

#[test]
fn what_was_never_backed_up_leaves_nothing() {
    let m = Mount::new();
    for name in [
        ".a.swp",
        "sedAb3dE9",
        "x.crdownload",
        ".DS_Store",
        "app.db-journal",
        "#auto#",
    ] {
        m.write(name, "transient");
        m.remove(name);
    }
    m.mkdir("off");
    crate::harness::set_xattr(&m.path("off"), "user.keepfs.backup", "off").unwrap();
    m.write("off/a", "x");
    m.remove("off/a");
    assert!(m.deleted().is_empty(), "{:?}", m.deleted());
    assert!(m.list(".versions").is_empty(), "{:?}", m.list(".versions"));
    // And reserves nothing.
    m.write("b", "b");
    m.rename("b", "off/a");
}

#[test]
fn a_file_that_never_held_a_byte_leaves_no_trace() {
    let m = Mount::new();
    m.run(": > 4913; rm 4913; touch empty; chmod 600 empty; rm empty");
    assert!(m.deleted().is_empty(), "{:?}", m.deleted());
    assert!(m.list(".versions").is_empty(), "{:?}", m.list(".versions"));
    m.write("b", "b");
    m.rename("b", "4913");
    assert_eq!(m.texts("4913"), ["b"]);
}

#[test]
fn a_directory_made_anew_continues_the_histories_in_it() {
    let mut m = Mount::new();
    m.mkdir("d/e");
    m.write("d/e/a", "one");
    m.run("rm -r d");
    assert_eq!(m.texts("d/e/a"), ["one"]);
    m.unmount();
    m.remount();
    m.mkdir("d/e");
    m.write("d/e/a", "two");
    assert_eq!(m.texts("d/e/a"), ["one", "two"]);
    assert!(m.deleted().is_empty());
}

#[test]
fn deleting_right_after_the_close_keeps_that_content() {
    let m = Mount::new();
    for n in 0..200 {
        m.write("a", format!("{n}"));
        m.remove("a");
        assert_eq!(m.read_deleted("a"), format!("{n}"));
    }
    assert_eq!(m.versions("a").len(), 200);
}

#[test]
fn deleting_while_a_writer_is_still_open_keeps_what_was_closed_before() {
    let m = Mount::new();
    m.run("echo old > a; exec 3>a; echo half >&3; rm a; echo rest >&3; exec 3>&-");
    assert_eq!(m.texts("a").first().unwrap(), "old\n");
    assert!(m.deleted().contains("a"));
}

#[test]
fn removing_one_of_two_hard_links_deletes_that_asset_only() {
    let m = Mount::new();
    m.run("echo x > a; ln a b; rm a");
    assert!(m.deleted().contains("a"));
    assert!(!m.deleted().contains("b"));
    assert_eq!(m.read("b"), b"x\n");
    assert_eq!(m.read_deleted("a"), "x\n");
}

#[test]
fn keepfs_restore_brings_back_files_versions_and_directories() {
    let m = Mount::new();
    m.mkdir("d");
    m.write("d/a", "one");
    m.write("d/a", "two");
    m.write("d/b", "b");
    let first = m.versions("d/a")[0].clone();
    m.run("rm -r d");
    let dry = m.keepfs(&["restore", "d", "--dry-run"]);
    assert!(dry.status.success(), "{dry:?}");
    assert!(!m.exists("d"), "a dry run restores nothing");
    m.run("\"$KEEPFS\" restore d");
    assert_eq!(m.read("d/a"), b"two");
    assert_eq!(m.read("d/b"), b"b");
    assert!(m.deleted().is_empty());
    // An older version beside the live file.
    let done = m.keepfs(&["restore", "d/a", "--version", &first[..], "--to", "old"]);
    assert!(done.status.success(), "{done:?}");
    assert_eq!(m.read("old"), b"one");
    // Over the live file: not without being told to.
    let refused = m.keepfs(&["restore", "d/a", "--version", &first]);
    assert!(!refused.status.success());
    assert!(text(&refused.stderr).contains("--overwrite"), "{refused:?}");
    assert_eq!(m.read("d/a"), b"two");
    let done = m.keepfs(&["restore", "d/a", "--version", &first, "--overwrite"]);
    assert!(done.status.success(), "{done:?}");
    assert_eq!(m.texts("d/a").last().unwrap(), "one");
    let latest = m.path(".versions/d/a/latest");
    assert_eq!(xattr(&latest, "user.keepfs.restored_from"), Some(first));
    assert_eq!(
        xattr(&latest, "user.keepfs.origin").as_deref(),
        Some("restore")
    );
}

#[test]
fn the_commands_list_versions_and_deleted_as_text_and_json() {
    let m = Mount::new();
    m.mkdir("d");
    m.write("d/a", "one");
    m.write("d/a", "three");
    m.write("d/gone", "x");
    m.remove("d/gone");
    let ids = m.versions("d/a");
    let listed = m.run("\"$KEEPFS\" versions d/a");
    assert!(
        ids.iter().all(|id| listed.contains(id.as_str())),
        "{listed}"
    );
    let json = m.json(&["versions", "d/a"]).to_string();
    assert!(ids.iter().all(|id| json.contains(id.as_str())), "{json}");
    assert!(m.run("\"$KEEPFS\" deleted").contains("d/gone"));
    assert!(m.json(&["deleted", "d"]).to_string().contains("gone"));
    assert!(m.json(&["status"]).is_object());
    m.run("cd d; \"$KEEPFS\" versions a; \"$KEEPFS\" status; \"$KEEPFS\" policy a");
}

#[test]
fn delete_version_and_purge_are_real() {
    let mut m = Mount::new();
    let secret = "a-very-secret-marker-".repeat(40);
    m.write("a", &secret);
    m.write("a", "harmless");
    m.write("b", "stays");
    let ids = m.versions("a");
    assert!(is_id(&ids[0]));
    // Wait for the ingest by reading through the store after a remount.
    m.unmount();
    m.remount();
    let done = m.keepfs(&["delete-version", "a", &ids[0], "--yes"]);
    assert!(done.status.success(), "{done:?}");
    assert_eq!(m.texts("a"), ["harmless"]);
    m.unmount();
    m.check();
    let kept: Vec<_> = crate::harness::files_below(&m.vault)
        .into_iter()
        .filter(|p| fs::read(p).is_ok_and(|b| b.windows(42).any(|w| w == &secret.as_bytes()[..42])))
        .collect();
    assert!(kept.is_empty(), "the bytes are still in {kept:?}");
    m.remount();
    m.remove("a");
    let done = m.keepfs(&["purge", "a", "--yes"]);
    assert!(done.status.success(), "{done:?}");
    assert!(m.versions("a").is_empty());
    assert!(m.deleted().is_empty());
    // Purged: the name is free.
    m.rename("b", "a");
    assert_eq!(m.texts("a"), ["stays"]);
    m.unmount();
    let vault = m.vault.to_str().unwrap().to_owned();
    let purge = ["purge", "--vault", &vault, "a", "--yes"];
    assert!(m.keepfs(&purge).status.success());
    let log = fs::read_to_string(m.vault.join("audit.log")).unwrap();
    let lines: Vec<serde_json::Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 3, "mounted, and not mounted: {log}");
    assert_eq!(lines[0]["path"], "a");
    assert_eq!(lines[0]["version_ids"], serde_json::json!([ids[0]]));
    let mode = fs::metadata(m.vault.join("audit.log"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
}
