//! Each rename is a move or a save: the table of design 1.3, row by row.

use std::fs;

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use crate::harness::{Mount, errno, set_xattr};

fn rename_with(m: &Mount, from: &str, to: &str, flags: RenameFlags) -> std::io::Result<()> {
    renameat_with(CWD, m.path(from), CWD, m.path(to), flags).map_err(Into::into)
}

// --- save in ----------------------------------------------------------------

#[test]
fn save_in_from_a_transient_name_is_the_next_version() {
    let m = Mount::new();
    m.write("a", "one");
    for (n, name) in [
        "sedAb3dE9",
        ".goutputstream-AB12CD",
        ".a.Xy1Zq9",
        "lu12345abc.tmp",
        "a___jb_tmp___",
        "a.part",
    ]
    .iter()
    .enumerate()
    {
        m.write(name, format!("save {n}"));
        m.rename(name, "a");
        assert_eq!(m.versions("a").len(), n + 2, "{name}");
        assert_eq!(m.read("a"), format!("save {n}").as_bytes());
        assert!(m.versions(name).is_empty(), "{name} left a history");
    }
    assert!(m.deleted().is_empty(), "{:?}", m.deleted());
}

#[test]
fn save_in_from_a_file_that_is_not_backed_up_is_the_next_version() {
    let m = Mount::new();
    m.write("a", "one");
    m.mkdir("off");
    set_xattr(&m.path("off"), "user.keepfs.backup", "off").unwrap();
    m.write("off/b", "two");
    assert!(m.versions("off/b").is_empty());
    m.rename("off/b", "a");
    assert_eq!(m.texts("a"), ["one", "two"]);
    assert!(m.deleted().is_empty());
}

#[test]
fn save_in_from_a_tools_name_for_the_target_takes_its_version_along() {
    let m = Mount::new();
    m.mkdir("d");
    for (n, source) in [
        "t.lock",
        "t.tmp",
        "t.new",
        "t.part",
        ".t.Xy1Zq9",
        "t.oXy1Zq9",
    ]
    .iter()
    .enumerate()
    {
        let target = format!("d/{n}");
        let source = format!("d/{}", source.replace('t', &n.to_string()));
        m.write(&target, "old");
        m.write(&source, "new");
        m.rename(&source, &target);
        assert_eq!(m.texts(&target), ["old", "new"], "{source}");
        assert!(m.versions(&source).is_empty(), "{source} is free again");
        assert!(!m.deleted().contains(&source), "{source} is not deleted");
        // Free again: anything may be moved there.
        m.write("d/other", "other");
        m.rename("d/other", &source);
        assert_eq!(m.read(&source), b"other");
        m.remove(&source);
    }
}

#[test]
fn save_in_is_allowed_onto_a_reserved_name() {
    let m = Mount::new();
    for (n, source) in [".a.Xy1Zq9", "a.lock", "a.tmp", "a.new", "a.part"]
        .iter()
        .enumerate()
    {
        m.write("a", format!("old {n}"));
        m.remove("a");
        assert!(m.deleted().contains("a"));
        m.write(source, format!("new {n}"));
        m.rename(source, "a");
        assert_eq!(m.versions("a").len(), 2 * n + 2, "{source}");
        assert_eq!(m.texts("a").last().unwrap(), &format!("new {n}"));
        assert!(m.deleted().is_empty(), "{:?}", m.deleted());
    }
}

#[test]
fn a_lock_file_is_no_save_for_another_name() {
    let m = Mount::new();
    m.write("a", "x");
    m.remove("a");
    m.write("b.tmp", "y");
    assert_eq!(errno(m.try_rename("b.tmp", "a")), Errno::EXIST);
    assert_eq!(m.read("b.tmp"), b"y");
}

// --- save away --------------------------------------------------------------

#[test]
fn save_away_leaves_the_history_with_the_name() {
    for suffix in ["~", ".bak", ".orig", ".old"] {
        let m = Mount::new();
        let backup = format!("a{suffix}");
        m.write("a", "one");
        m.write("a", "two");
        m.rename("a", &backup);
        assert_eq!(m.texts("a"), ["one", "two"], "{backup}");
        assert!(m.deleted().contains("a"), "a counts as deleted");
        assert_eq!(m.read(&backup), b"two");
        match suffix {
            "~" => assert!(m.versions(&backup).is_empty(), "a~ is no asset by this way"),
            _ => assert_eq!(m.texts(&backup), ["two"]),
        }
        m.write("a", "three");
        assert_eq!(m.texts("a"), ["one", "two", "three"]);
        assert!(m.deleted().is_empty(), "{:?}", m.deleted());
        // The same dance again, onto the backup of last time.
        m.rename("a", &backup);
        m.write("a", "four");
        assert_eq!(m.texts("a"), ["one", "two", "three", "four"]);
        if suffix != "~" {
            assert_eq!(m.texts(&backup), ["two", "three"]);
        }
        assert_eq!(m.read(&backup), b"three");
    }
}

#[test]
fn save_away_and_save_in_as_editors_do_it_keep_one_history() {
    let m = Mount::new();
    m.write("a", "one");
    m.write("a.tmp", "two");
    m.rename("a", "a~");
    m.rename("a.tmp", "a");
    m.remove("a~");
    assert_eq!(m.texts("a"), ["one", "two"]);
    assert!(m.deleted().is_empty(), "{:?}", m.deleted());
    assert!(m.versions("a.tmp").is_empty());
}

#[test]
fn moving_the_saved_away_file_back_brings_the_name_back() {
    let m = Mount::new();
    m.write("a", "one");
    m.rename("a", "a~");
    m.rename("a~", "a");
    assert_eq!(m.texts("a"), ["one"]);
    assert!(m.deleted().is_empty());
    assert_eq!(m.read("a"), b"one");
}

// --- move -------------------------------------------------------------------

#[test]
fn a_move_onto_a_free_name_takes_the_history_along_and_frees_the_old_name() {
    let m = Mount::new();
    m.mkdir("d");
    m.write("a", "one");
    m.write("a", "two");
    m.rename("a", "d/b");
    assert_eq!(m.texts("d/b"), ["one", "two"]);
    assert!(m.versions("a").is_empty());
    assert!(m.deleted().is_empty());
    m.write("c", "three");
    m.rename("c", "a");
    assert_eq!(m.texts("a"), ["three"]);
    m.run("mv d/b d/c; mv d/c .");
    assert_eq!(m.texts("c"), ["one", "two"]);
}

#[test]
fn a_move_right_after_the_close_takes_that_version_along() {
    let m = Mount::new();
    for n in 0..200 {
        m.write("a", format!("{n}"));
        m.rename("a", format!("b{n}"));
        assert_eq!(m.texts(format!("b{n}")), [format!("{n}")]);
    }
}

#[test]
fn a_move_onto_a_live_asset_is_its_next_version() {
    let m = Mount::new();
    m.write("a", "a1");
    m.write("b", "b1");
    m.rename("b", "a");
    assert_eq!(m.texts("a"), ["a1", "b1"]);
    assert_eq!(m.read("a"), b"b1");
    assert!(m.deleted().is_empty(), "{:?}", m.deleted());
    assert!(m.versions("b").is_empty());
}

#[test]
fn a_move_onto_a_live_asset_leaves_older_versions_of_the_source_as_a_deleted_asset() {
    let m = Mount::new();
    m.write("a", "a1");
    for content in ["b1", "b2", "b3"] {
        m.write("b", content);
    }
    m.rename("b", "a");
    assert_eq!(m.texts("a"), ["a1", "b3"]);
    assert_eq!(m.texts("b"), ["b1", "b2"]);
    assert_eq!(m.read_deleted("b"), "b2");
    assert_eq!(
        errno({
            m.write("c", "c");
            m.try_rename("c", "b")
        }),
        Errno::EXIST
    );
}

#[test]
fn a_move_onto_a_reserved_name_is_refused_and_changes_nothing() {
    let m = Mount::new();
    m.write("a", "old");
    m.remove("a");
    m.write("b", "young");
    assert_eq!(errno(m.try_rename("b", "a")), Errno::EXIST);
    assert!(!m.exists("a"));
    assert_eq!(m.read("b"), b"young");
    assert_eq!(m.texts("a"), ["old"]);
    assert_eq!(m.texts("b"), ["young"]);
    assert_eq!(m.deleted().into_iter().collect::<Vec<_>>(), ["a"]);
    let log = m.log();
    assert!(
        log.contains("restore") && log.contains("cp"),
        "the log names the ways out: {log}"
    );
}

#[test]
fn the_issues_own_lines_behave_as_they_say() {
    let m = Mount::new();
    let done = m.try_run("echo 1 > a; rm a; echo 2 > b; mv b a");
    assert!(!done.status.success());
    // The words are mv's own: it is told that a file exists and then finds none.
    assert_eq!(errno(m.try_rename("b", "a")), Errno::EXIST);
    m.run("cp b a");
    assert_eq!(m.texts("a"), ["1\n", "2\n"]);
    m.run("rm a; rsync b a");
    m.run("mkdir \"$HOME/s\"; echo 3 > \"$HOME/s/a\"; rm a; rsync \"$HOME/s/a\" a");
    m.run("echo 4 > \"$HOME/s/a\"; tar cf \"$HOME/t.tar\" -C \"$HOME/s\" a; rm a; tar xf \"$HOME/t.tar\"");
    m.run("rm a; echo 5 > a");
    let texts = m.texts("a");
    assert_eq!(texts[texts.len() - 3..], ["3\n", "4\n", "5\n"]);
    assert!(m.deleted().is_empty());
}

#[test]
fn moving_what_is_no_asset_onto_a_free_name_makes_it_one() {
    let m = Mount::new();
    m.write(".a.swp", "swap");
    m.rename(".a.swp", "rescued");
    assert_eq!(m.texts("rescued"), ["swap"]);
}

#[test]
fn symlinks_and_fifos_move_freely_but_not_onto_reserved_names() {
    let m = Mount::new();
    m.run("ln -s x s; mv s t; [[ -L t ]]; mkfifo p; mv p q; [[ -p q ]]");
    assert!(m.deleted().is_empty());
    assert!(m.list(".versions").is_empty());
}

// --- directories ------------------------------------------------------------

#[test]
fn a_directory_move_takes_all_history_below_along() {
    let mut m = Mount::new();
    m.mkdir("d/e");
    m.write("d/a", "a1");
    m.write("d/a", "a2");
    m.write("d/e/b", "b1");
    m.write("d/e/gone", "g1");
    m.remove("d/e/gone");
    m.rename("d", "n");
    for round in 0..2 {
        assert_eq!(m.texts("n/a"), ["a1", "a2"]);
        assert_eq!(m.texts("n/e/b"), ["b1"]);
        assert!(m.versions("d/a").is_empty());
        assert!(m.deleted().contains("n/e/gone"), "{:?}", m.deleted());
        assert!(!m.deleted().contains("d/e/gone"));
        if round == 0 {
            m.unmount();
            m.remount();
        }
    }
    m.mkdir("d");
    m.write("d/a", "new life");
    assert_eq!(m.texts("d/a"), ["new life"]);
    m.write("n/a", "a3");
    assert_eq!(m.texts("n/a"), ["a1", "a2", "a3"]);
}

#[test]
fn a_directory_move_onto_reserved_names_is_refused_whole() {
    let m = Mount::new();
    m.mkdir("old/sub");
    m.write("old/sub/x", "reserved");
    m.run("rm -r old");
    m.mkdir("new/sub");
    m.write("new/sub/x", "young");
    m.write("new/y", "young");
    assert_eq!(errno(m.try_rename("new", "old")), Errno::EXIST);
    assert_eq!(m.texts("new/sub/x"), ["young"]);
    assert_eq!(m.texts("new/y"), ["young"]);
    assert_eq!(m.texts("old/sub/x"), ["reserved"]);
    assert!(!m.exists("old"));
    // Without the one file in the way, the same move is fine, and both histories meet.
    m.remove("new/sub/x");
    m.rename("new/sub", "elsewhere");
    m.rename("new", "old");
    assert_eq!(m.texts("old/y"), ["young"]);
    assert_eq!(m.texts("old/sub/x"), ["reserved"]);
}

#[test]
fn a_directory_move_onto_an_empty_directory_works_and_onto_a_full_one_does_not() {
    let m = Mount::new();
    m.mkdir("d");
    m.mkdir("empty");
    m.mkdir("full");
    m.write("d/a", "x");
    m.write("full/b", "y");
    assert_eq!(errno(m.try_rename("d", "full")), Errno::NOTEMPTY);
    m.rename("d", "empty");
    assert_eq!(m.texts("empty/a"), ["x"]);
    assert_eq!(m.texts("full/b"), ["y"]);
}

#[test]
fn a_deep_directory_can_be_moved_while_files_in_it_are_open() {
    let m = Mount::new();
    m.mkdir("d/e");
    m.run("exec 3> d/e/f; echo one >&3; mv d n; echo two >&3; exec 3>&-");
    assert_eq!(m.texts("n/e/f"), ["one\ntwo\n"]);
    assert!(m.versions("d/e/f").is_empty());
}

// --- flags and links --------------------------------------------------------

#[test]
fn noreplace_is_exact() {
    let m = Mount::new();
    m.write("a", "a");
    m.write("b", "b");
    let refuse = |from, to| errno(rename_with(&m, from, to, RenameFlags::NOREPLACE));
    assert_eq!(refuse("a", "b"), Errno::EXIST);
    assert_eq!(m.read("b"), b"b");
    rename_with(&m, "a", "c", RenameFlags::NOREPLACE).unwrap();
    assert_eq!(m.texts("c"), ["a"]);
    m.remove("b");
    assert_eq!(refuse("c", "b"), Errno::EXIST);
}

#[test]
fn exchange_swaps_the_assets_with_their_histories() {
    let m = Mount::new();
    for (name, content) in [("a", "a1"), ("a", "a2"), ("b", "b1")] {
        m.write(name, content);
    }
    rename_with(&m, "a", "b", RenameFlags::EXCHANGE).unwrap();
    assert_eq!(m.read("a"), b"b1");
    assert_eq!(m.read("b"), b"a2");
    assert_eq!(m.texts("a"), ["b1"]);
    assert_eq!(m.texts("b"), ["a1", "a2"]);
    m.write("b", "a3");
    assert_eq!(m.texts("b"), ["a1", "a2", "a3"]);
    assert!(m.deleted().is_empty());
    assert_eq!(
        errno(rename_with(&m, "a", "missing", RenameFlags::EXCHANGE)),
        Errno::NOENT
    );
}

#[test]
fn exchange_of_directories_swaps_all_history_below() {
    let m = Mount::new();
    m.mkdir("d");
    m.mkdir("e");
    m.write("d/x", "dx");
    m.write("e/x", "ex");
    rename_with(&m, "d", "e", RenameFlags::EXCHANGE).unwrap();
    assert_eq!(m.texts("d/x"), ["ex"]);
    assert_eq!(m.texts("e/x"), ["dx"]);
}

#[test]
fn a_link_onto_a_reserved_name_is_refused() {
    let m = Mount::new();
    m.write("a", "a");
    m.remove("a");
    m.write("b", "b");
    assert_eq!(errno(fs::hard_link(m.path("b"), m.path("a"))), Errno::EXIST);
    assert!(!m.exists("a"));
    fs::hard_link(m.path("b"), m.path("c")).unwrap();
    assert_eq!(m.read("c"), b"b");
}

#[test]
fn renaming_a_file_onto_its_own_hard_link_does_nothing() {
    let m = Mount::new();
    m.write("a", "x");
    m.run("ln a b");
    m.rename("a", "b");
    assert!(
        m.exists("a") && m.exists("b"),
        "rename(2): same inode, nothing happens"
    );
    assert_eq!(m.read("a"), b"x");
}

#[test]
fn renaming_a_file_onto_itself_does_nothing() {
    let m = Mount::new();
    m.write("a", "x");
    m.rename("a", "a");
    assert_eq!(m.texts("a"), ["x"]);
    assert!(m.deleted().is_empty());
}

#[test]
fn a_file_and_a_directory_do_not_replace_each_other() {
    let m = Mount::new();
    m.mkdir("d");
    m.write("a", "x");
    assert_eq!(errno(m.try_rename("a", "d")), Errno::ISDIR);
    assert_eq!(errno(m.try_rename("d", "a")), Errno::NOTDIR);
    assert_eq!(m.texts("a"), ["x"]);
}

#[test]
fn a_directory_may_take_the_name_of_a_deleted_file_and_both_histories_show() {
    let m = Mount::new();
    m.write("x", "was a file");
    m.remove("x");
    m.mkdir("x");
    m.write("x/inside", "in a directory");
    assert_eq!(m.texts("x/inside"), ["in a directory"]);
    assert_eq!(m.versions("x").len(), 1);
    assert_eq!(m.texts("x"), ["was a file"]);
}
