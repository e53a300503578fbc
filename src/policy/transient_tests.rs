//! Names of tools and names of people.

use proptest::prelude::*;

use super::*;

fn tool_of(path: &[u8]) -> Option<&'static str> {
    transient_rule(&PublicId::new(path).unwrap()).map(|rule| rule.tool)
}

#[test]
fn temporary_names_of_tools_are_transient() {
    let table: &[(&[u8], &str)] = &[
        (b".notes.txt.swp", "vim"),
        (b".notes.txt.swo", "vim"),
        (b".notes.txt.swx", "vim"),
        (b"..bashrc.swp", "vim"),
        (b"#notes.txt#", "emacs"),
        (b".#notes.txt", "emacs"),
        (b".~lock.letter.odt#", "LibreOffice"),
        (b"lu1880i9p8g.tmp", "LibreOffice"),
        (b"lu35jzv6.tmp", "LibreOffice"),
        (b"~$letter.docx", "Office"),
        (b"~WRL0001.tmp", "Office"),
        (b"~WRD0000.tmp", "Office"),
        (b"~wrf0002.TMP", "Office"),
        (b".goutputstream-AB12CD", "GNOME"),
        (b".Trash-1000", "GNOME"),
        (b".Trash-1000/files/cat.jpg", "GNOME"),
        (b"usb/.Trash-0/info/cat.jpg.trashinfo", "GNOME"),
        (b".notes.txt.kate-swp", "KDE"),
        (b"Main.java___jb_tmp___", "JetBrains"),
        (b"Main.java___jb_old___", "JetBrains"),
        (b"sedGx2b0Q", "sed"),
        (b"sed1234aB", "sed"),
        (b".git/objects/4b/tmp_obj_x7Zq1P", "git"),
        (b".git/objects/pack/tmp_pack_f0OBar", "git"),
        (b".git/objects/pack/tmp_idx_f0OBar", "git"),
        (b".cat.jpg.Xy12Zq", "rsync"),
        (b".bashrc.k3JmQ9", "rsync"),
        (b"photos/.\xff\xfe.jpg.aB3dE6", "rsync"),
        (b"photos/.~tmp~/cat.jpg", "rsync"),
        (b".~tmp~/a/b/cat.jpg", "rsync"),
        (b"film.mkv.partial", "rclone"),
        (b"film.mkv.1a2b3c4d.partial", "rclone"),
        (b".syncthing.cat.jpg.tmp", "Syncthing"),
        (b"Unconfirmed 1234.crdownload", "Chrome"),
        (b"debian.iso.part", "Firefox"),
        (b"upload.zip.filepart", "WinSCP"),
        (b"talk.mp4.ytdl", "yt-dlp"),
        (b"debian.iso.aria2", "aria2"),
        (b".fuse_hidden0000000300000002", "FUSE"),
        (b".nfs000000000123abcd00000001", "NFS"),
        (b".DS_Store", "macOS"),
        (b"a/b/.DS_Store", "macOS"),
        (b"._cat.jpg", "macOS"),
        (b"Thumbs.db", "Windows"),
        (b"thumbs.db", "Windows"),
        (b"desktop.ini", "Windows"),
        (b"Desktop.ini", "Windows"),
        (b"library.db-journal", "SQLite"),
        (b"library.db-wal", "SQLite"),
        (b"library.sqlite3-shm", "SQLite"),
        (b".cache.db-wal", "SQLite"),
        (b".keepfs-rebuild.42", "keepfs"),
        (b"a/.keepfs-rebuild.1", "keepfs"),
    ];
    for (path, tool) in table {
        assert_eq!(
            tool_of(path),
            Some(*tool),
            "{}",
            String::from_utf8_lossy(path)
        );
    }
}

#[test]
fn names_that_people_make_are_not_transient() {
    for path in [
        &b".env.sample"[..],
        b".env.development",
        b".env.123456",
        b"sedentary",
        b"sed",
        b"sedimentary.txt",
        b"sed-tricks",
        b"sed123456",
        b"my.partial.notes.txt",
        b"partial",
        b"x.part1",
        b"party",
        b"notes-wal",
        b"travel-journal",
        b".private-journal",
        b"2026.11.23-journal",
        b"Dr. Smith-journal",
        b"end.-wal",
        b"a.lock",
        b"Cargo.lock",
        b"draft.tmp",
        b"lunch.tmp",
        b"lu 1.tmp",
        b"notes.txt~",
        b"notes.txt.bak",
        b"notes.txt.orig",
        b"notes.txt.old",
        b"notes.txt.new",
        b".bashrc.backup",
        b".bashrc",
        b".gitignore",
        b"film.swp",
        b".sw",
        b"swp",
        b"#1 hits.txt",
        b"#",
        b"wr0001.tmp",
        b"~wr.txt",
        b"~notes",
        b"a#",
        b".~lock",
        b"~tmp~",
        b".~tmp~",
        b".Trash",
        b"Trash-1000/cat.jpg",
        b"syncthing.cat.tmp",
        b".syncthing.tmp",
        b"tmp_objects",
        b"tmp_package",
        b"DS_Store",
        b"_cat.jpg",
        b"Thumbs.dbx",
        b"my desktop.ini.txt",
        b"Main.java",
        b"goutputstream-1",
        b"fuse_hidden",
        b"4913",
        b".keepfs-rebuild.",
        b".keepfs-rebuild.log",
        b"keepfs-rebuild.1",
        b"\xff\xfe",
        b"cat.jpg.Xy12Zq",
    ] {
        assert_eq!(tool_of(path), None, "{}", String::from_utf8_lossy(path));
    }
}

#[test]
fn only_directory_rules_look_at_directories() {
    for path in [
        &b"#old#/notes.txt"[..],
        b"film.part/scene.mkv",
        b"sedGx2b0Q/notes.txt",
        b".notes.swp/a",
        b"._x/a",
        b"~$x/a",
    ] {
        assert_eq!(tool_of(path), None, "{}", String::from_utf8_lossy(path));
    }
    assert_eq!(transient_rule(&PublicId::root()), None);
}

#[test]
fn each_pattern_is_listed_once() {
    for (index, rule) in TRANSIENT_RULES.iter().enumerate() {
        let again = TRANSIENT_RULES
            .iter()
            .skip(index + 1)
            .any(|other| other.pattern == rule.pattern);
        assert!(!again, "{} is listed twice", rule.pattern);
    }
}

proptest! {
    #[test]
    fn a_name_is_judged_alike_in_every_ordinary_directory(
        name in prop_oneof!["[ -.0-~]{1,20}", "[.#~][a-zA-Z0-9.]{1,12}[.#~a-zA-Z0-9]{0,7}"],
        directory in "[a-z]{1,8}(/[a-z]{1,8}){0,3}",
    ) {
        prop_assume!(name != "." && name != "..");
        let alone = PublicId::new(name.as_bytes()).unwrap();
        let inside = PublicId::new(format!("{directory}/{name}").as_bytes()).unwrap();
        prop_assert_eq!(transient_rule(&alone), transient_rule(&inside));
    }
}
