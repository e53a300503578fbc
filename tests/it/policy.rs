//! What is an asset (design 1.2).

use crate::harness::{Mount, Setup, errno, set_xattr, text, xattr};

const BACKUP: &str = "user.keepfs.backup";

#[test]
fn a_vault_with_backup_off_keeps_nothing_until_it_is_turned_on() {
    let m = Setup::new().init(&["--backup", "off"]).start();
    m.mkdir("d");
    m.write("d/a", "one");
    m.write("d/a", "two");
    m.write("b", "b");
    m.remove("b");
    assert!(m.list(".versions").is_empty());
    assert!(m.deleted().is_empty());
    m.write("gone", "x");
    m.remove("gone");
    m.write("free", "y");
    m.rename("free", "gone");
}

#[test]
fn keepfs_backup_takes_the_files_that_are_already_there() {
    let m = Setup::new().init(&["--backup", "off"]).start();
    m.mkdir("d/e");
    for n in 0..50 {
        m.write(format!("d/e/{n}"), format!("content {n}"));
    }
    set_xattr(&m.path("d"), BACKUP, "on").unwrap();
    let done = m.keepfs(&["backup", "d"]);
    assert!(done.status.success(), "{done:?}");
    for n in 0..50 {
        assert_eq!(m.texts(format!("d/e/{n}")), [format!("content {n}")]);
    }
    let path = m.path(".versions/d/e/0/latest");
    assert_eq!(
        xattr(&path, "user.keepfs.origin").as_deref(),
        Some("backup")
    );
    // Again: nothing new.
    assert!(m.keepfs(&["backup", "d"]).status.success());
    assert_eq!(m.versions("d/e/0").len(), 1);
}

#[test]
fn an_existing_directory_can_be_the_live_tree() {
    let m = Mount::new();
    m.mkdir("photos");
    m.write("photos/a", "was there before");
    m.run(
        "cp -r \"$V/live\" \"$HOME/mine\"; mkdir \"$HOME/m2\"
         \"$KEEPFS\" init \"$HOME/v2\" --live \"$HOME/mine\"
         \"$KEEPFS\" mount \"$HOME/v2\" \"$HOME/m2\"
         cat \"$HOME/m2/photos/a\" | grep -q before
         \"$KEEPFS\" backup \"$HOME/m2\"
         [[ $(cat \"$HOME/m2/.versions/photos/a/latest\") == 'was there before' ]]
         echo new > \"$HOME/m2/photos/b\"; [[ $(cat \"$HOME/mine/photos/b\") == new ]]
         \"$KEEPFS\" umount \"$HOME/m2\"; [[ $(cat \"$HOME/mine/photos/b\") == new ]]",
    );
}

#[test]
fn the_attribute_on_a_file_overrides_the_vault() {
    let m = Mount::new();
    m.write("a", "one");
    set_xattr(&m.path("a"), BACKUP, "off").unwrap();
    m.write("a", "two");
    assert_eq!(m.texts("a"), ["one"]);
    set_xattr(&m.path("a"), BACKUP, "on").unwrap();
    assert_eq!(m.texts("a"), ["one", "two"], "kept at once");
    m.run("setfattr -x user.keepfs.backup a");
    m.write("a", "three");
    assert_eq!(m.versions("a").len(), 3);
}

#[test]
fn a_file_that_was_closed_before_its_override_changed_is_kept_by_the_former_one() {
    let m = Mount::new();
    for n in 0..300 {
        let (name, directory) = (format!("{n}"), format!("d{n}"));
        m.write(&name, "kept");
        set_xattr(&m.path(&name), BACKUP, "off").unwrap();
        m.mkdir(&directory);
        m.write(format!("{directory}/a"), "kept");
        set_xattr(&m.path(&directory), BACKUP, "off").unwrap();
    }
    for n in 0..300 {
        assert_eq!(m.texts(format!("{n}")), ["kept"], "file {n}");
        assert_eq!(m.texts(format!("d{n}/a")), ["kept"], "file d{n}/a");
    }
}

#[test]
fn the_attribute_set_to_on_keeps_the_present_content_at_once() {
    let m = Setup::new().init(&["--backup", "off"]).start();
    m.write("a", "one");
    assert!(m.versions("a").is_empty());
    set_xattr(&m.path("a"), BACKUP, "on").unwrap();
    assert_eq!(m.texts("a"), ["one"]);
    m.write("a", "two");
    assert_eq!(m.texts("a"), ["one", "two"]);
    m.write("b", "b");
    assert!(m.versions("b").is_empty());
}

#[test]
fn the_attribute_on_a_directory_holds_for_all_below_it_and_the_nearest_wins() {
    let mut m = Mount::new();
    m.mkdir("d/e/f");
    set_xattr(&m.path("d"), BACKUP, "off").unwrap();
    set_xattr(&m.path("d/e/f"), BACKUP, "on").unwrap();
    for round in 0..2 {
        let name = format!("x{round}");
        m.write(format!("d/{name}"), "x");
        m.write(format!("d/e/{name}"), "x");
        m.write(format!("d/e/f/{name}"), "x");
        assert!(m.versions(format!("d/{name}")).is_empty());
        assert!(m.versions(format!("d/e/{name}")).is_empty());
        assert_eq!(m.versions(format!("d/e/f/{name}")).len(), 1);
        if round == 0 {
            m.unmount();
            m.remount();
        }
    }
}

#[test]
fn the_attribute_takes_on_and_off_only() {
    let m = Mount::new();
    m.write("a", "x");
    for wrong in ["", "yes", "ON", "on "] {
        let answer = set_xattr(&m.path("a"), BACKUP, wrong);
        assert_eq!(errno(answer), rustix::io::Errno::INVAL, "{wrong:?}");
    }
}

#[test]
fn transient_names_are_no_assets_and_names_of_people_are() {
    let m = Mount::new();
    m.mkdir(".~tmp~");
    for transient in [
        ".f.swp",
        ".f.swo",
        "#f#",
        ".~lock.f.odt#",
        "lu123abc.tmp",
        "~$f.docx",
        "~wrd0001.tmp",
        ".goutputstream-AB12CD",
        "f.kate-swp",
        "f___jb_tmp___",
        "sedAb3dE9",
        "tmp_obj_a1B2c3",
        ".f.Ab3dE9",
        "f.crdownload",
        "f.part",
        "f.ytdl",
        ".fuse_hidden0001",
        ".nfs0001",
        ".DS_Store",
        "._f",
        "Thumbs.db",
        "desktop.ini",
        "app.db-journal",
        "app.db-wal",
    ] {
        m.write(transient, "x");
        assert!(m.versions(transient).is_empty(), "{transient} is transient");
    }
    for mine in [
        ".env.sample",
        "sedentary",
        "Cargo.lock",
        "f~",
        "f.bak",
        "f.orig",
        "f.tmp",
        "notes.sw",
        "README-wal",
        ".config.123456",
        ".a.abcdef",
        "part",
        "x.db",
    ] {
        m.write(mine, "x");
        assert_eq!(m.versions(mine).len(), 1, "{mine} is somebody's file");
    }
}

#[test]
fn patterns_in_the_configuration_exclude_derived_files() {
    let m = Setup::new()
        .config("exclude", "[\"*.o\", \"build/\", \"!keep.o\"]")
        .start();
    m.mkdir("build/sub");
    for (name, kept) in [("a.o", 0), ("keep.o", 1), ("build/sub/x", 0), ("a.c", 1)] {
        m.write(name, "x");
        assert_eq!(m.versions(name).len(), kept, "{name}");
    }
    let why = m.keepfs(&["policy", "a.o"]);
    assert!(text(&why.stdout).contains("*.o"), "{why:?}");
}

#[test]
fn skip_fetched_leaves_downloads_out() {
    let m = Setup::new().config("skip_fetched", "true").start();
    m.run("setfattr --version > /dev/null; touch film; setfattr -n user.xdg.origin.url -v https://example.org/film film; echo x > film; echo y > mine");
    // The empty file had no mark yet when touch closed it.
    assert_eq!(m.texts("film"), [""]);
    assert_eq!(m.versions("mine").len(), 1);
    let usual = Mount::new();
    usual.run("touch film; setfattr -n user.xdg.origin.url -v https://example.org/film film; echo x > film");
    assert_eq!(usual.texts("film").last().unwrap(), "x\n");
}

#[test]
fn keepfs_policy_says_why() {
    let m = Mount::new();
    m.mkdir("off");
    set_xattr(&m.path("off"), BACKUP, "off").unwrap();
    for (name, word) in [("a", "vault"), (".a.swp", "vim"), ("off/b", "off")] {
        m.write(name, "x");
        let done = m.keepfs(&["policy", name]);
        let said = text(&done.stdout).to_lowercase();
        assert!(said.contains(word), "{name}: {done:?}");
    }
    m.json(&["policy", "a"]);
}

#[test]
fn mounting_with_backup_off_keeps_nothing_new() {
    let m = Setup::new().mount(&["--backup", "off"]).start();
    m.write("a", "x");
    assert!(m.versions("a").is_empty());
}
