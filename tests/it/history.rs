//! What the history trees show, and that nothing changes them (design 1, 1.4, 1.5).

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use crate::harness::{
    Mount, Setup, assert_read_only, closing, errno, is_id, is_root, mode, noise, not_run,
    set_xattr, text, wait_for, xattr,
};

fn latest(m: &Mount, relative: &str) -> PathBuf {
    m.version_path(relative, m.versions(relative).last().expect("a version"))
}

#[test]
fn nothing_can_be_written_in_a_history_tree() {
    let m = Mount::new();
    m.mkdir("d");
    m.write("d/a", "kept");
    m.write("d/gone", "gone");
    m.remove("d/gone");
    let version = latest(&m, "d/a");
    for tree in [".versions", ".deleted"] {
        let dir = m.path(tree).join("d");
        let file = match tree {
            ".versions" => version.clone(),
            _ => dir.join("gone"),
        };
        let name = file.display();
        assert_read_only(
            &format!("open {name} for writing"),
            OpenOptions::new().write(true).open(&file),
        );
        assert_read_only(
            &format!("truncating open of {name}"),
            OpenOptions::new().write(true).truncate(true).open(&file),
        );
        assert_read_only(&format!("append to {name}"), {
            OpenOptions::new().append(true).open(&file)
        });
        assert_read_only(&format!("unlink {name}"), fs::remove_file(&file));
        assert_read_only("create", File::create(dir.join("new")));
        assert_read_only("mkdir", fs::create_dir(dir.join("new")));
        assert_read_only("rmdir", fs::remove_dir(&dir));
        assert_read_only("symlink", std::os::unix::fs::symlink("x", dir.join("new")));
        assert_read_only("link in", fs::hard_link(m.path("d/a"), dir.join("new")));
        assert_read_only("link out", fs::hard_link(&file, m.path("new")));
        assert_read_only("rename in", fs::rename(m.path("d/a"), dir.join("new")));
        assert_read_only("rename within", fs::rename(&file, dir.join("new")));
        assert_read_only(
            "chmod",
            fs::set_permissions(&file, fs::Permissions::from_mode(0o777)),
        );
        assert_read_only("setxattr", set_xattr(&file, "user.color", "red"));
        assert_read_only(
            "truncate",
            m.try_run(&format!(
                "python3 -c 'import os; os.truncate(\"{name}\", 0)'"
            ))
            .status
            .success()
            .then_some(())
            .ok_or_else(|| Errno::ROFS.into()),
        );
    }
    assert_read_only("rename out", fs::rename(&version, m.path("d/stolen")));
    assert_eq!(m.texts("d/a"), ["kept"]);
    assert_eq!(m.read("d/a"), b"kept");
    assert_eq!(m.read_deleted("d/gone"), "gone");
}

#[test]
fn the_history_names_are_reserved_at_the_root_and_nowhere_else() {
    let m = Mount::new();
    m.write("a", "x");
    for name in [".versions", ".deleted", ".at"] {
        assert!(fs::create_dir(m.path(name)).is_err(), "mkdir {name}");
        assert!(File::create(m.path(name)).is_err(), "create {name}");
        assert!(m.try_rename("a", name).is_err(), "rename to {name}");
        assert!(
            std::os::unix::fs::symlink("a", m.path(name)).is_err(),
            "symlink {name}"
        );
        assert!(fs::hard_link(m.path("a"), m.path(name)).is_err());
        assert!(fs::remove_dir(m.path(name)).is_err(), "rmdir {name}");
        assert!(!m.live(name).exists(), "{name} reached the live tree");
        m.mkdir(format!("d/{name}"));
        m.write(format!("d/{name}/file"), "mine");
        assert_eq!(m.texts(format!("d/{name}/file")), ["mine"]);
    }
    assert_eq!(m.read("a"), b"x");
    assert_eq!(m.versions("a").len(), 1);
}

#[test]
fn listings_leave_the_history_names_out() {
    let m = Mount::new();
    m.mkdir("d");
    m.write("d/a", "x");
    assert_eq!(m.list(""), ["d"]);
    assert_eq!(m.run("find . | sort | tr '\\n' ' '"), ". ./d ./d/a ");
    m.run("rsync -a ./ \"$HOME/copy/\"");
    assert_eq!(
        m.run("cd \"$HOME/copy\"; find . | sort | tr '\\n' ' '"),
        ". ./d ./d/a "
    );
    assert_eq!(m.run("ls -A | wc -l").trim(), "1");
    assert_eq!(m.list(".versions"), ["d"]);
}

#[test]
fn history_visible_lists_the_names_at_the_root() {
    let m = Setup::new().mount(&["-o", "history=visible"]).start();
    m.mkdir("d");
    m.write("d/a", "x");
    let names = m.list("");
    for name in [".versions", ".deleted", "d"] {
        assert!(names.contains(&name.to_string()), "{names:?}");
    }
    assert_eq!(m.list("d"), ["a"]);
}

#[test]
fn latest_previous_and_the_extension_resolve_but_are_not_listed() {
    let m = Mount::new();
    for content in ["one", "two", "three"] {
        m.write("cat.jpg", content);
    }
    let ids = m.versions("cat.jpg");
    let dir = m.path(".versions/cat.jpg");
    let read = |name: &str| text(&fs::read(dir.join(name)).unwrap());
    assert_eq!(read("latest"), "three");
    assert_eq!(read("previous"), "two");
    for (id, content) in ids.iter().zip(["one", "two", "three"]) {
        assert_eq!(read(id), content);
        assert_eq!(read(&format!("{id}.jpg")), content);
    }
    assert_eq!(m.list(".versions/cat.jpg"), ids);
    m.write("cat.jpg", "four");
    assert_eq!(read("latest"), "four");
    assert_eq!(read("previous"), "three");
    for wrong in ["nonsense", &ids[0][..8], &"0".repeat(32), ".jpg"] {
        assert_eq!(
            errno(fs::metadata(dir.join(wrong))),
            Errno::NOENT,
            "{wrong}"
        );
    }
}

#[test]
fn previous_of_a_single_version_is_not_there() {
    let m = Mount::new();
    m.write("a", "only");
    assert_eq!(
        errno(fs::metadata(m.path(".versions/a/previous"))),
        Errno::NOENT
    );
}

#[test]
fn plain_ls_is_in_time_order() {
    let m = Mount::new();
    for n in 0..40 {
        m.write("a", format!("{n}"));
    }
    assert_eq!(
        m.run("for v in $(ls .versions/a); do cat .versions/a/$v; echo; done"),
        (0..40).map(|n| format!("{n}\n")).collect::<String>()
    );
}

#[test]
fn a_version_shows_owner_mode_and_time_of_the_file_without_write_bits() {
    let m = Mount::new();
    m.run("umask 022; echo x > a; chmod 640 a; touch -d '2001-02-03T04:05:06.123456789Z' a; exec 3>>a; echo y >&3; touch -d '2001-02-03T04:05:06.123456789Z' a; exec 3>&-");
    let stat = fs::metadata(latest(&m, "a")).unwrap();
    assert_eq!(stat.mode() & 0o7777, 0o440);
    assert!(stat.file_type().is_file());
    assert_eq!(stat.len(), 4);
    let live = fs::metadata(m.path("a")).unwrap();
    assert_eq!((stat.uid(), stat.gid()), (live.uid(), live.gid()));
    assert_eq!(
        (stat.mtime(), stat.mtime_nsec()),
        (live.mtime(), live.mtime_nsec())
    );
    assert!(
        stat.ctime() >= live.ctime() - 5,
        "ctime is when it was kept"
    );
}

#[test]
fn a_version_keeps_the_owner_of_its_time() {
    if !is_root() {
        return not_run("owners of other users", "needs root to chown");
    }
    let m = Mount::new();
    m.run("echo x > a; chown 1234:2345 a; chmod 4750 a; echo y >> a");
    let stat = fs::metadata(latest(&m, "a")).unwrap();
    assert_eq!((stat.uid(), stat.gid()), (1234, 2345));
    assert_eq!(stat.mode() & 0o222, 0);
    m.remove("a");
    let stat = fs::metadata(m.path(".deleted/a")).unwrap();
    assert_eq!((stat.uid(), stat.gid()), (1234, 2345));
}

#[test]
fn a_closed_directory_protects_its_history_too() {
    let m = Mount::new();
    m.run("mkdir -m 700 private; echo secret > private/a; echo gone > private/b; rm private/b");
    for tree in [".versions/private", ".deleted/private"] {
        assert_eq!(mode(&m.path(tree)) & 0o077, 0, "{tree}");
        let stat = fs::metadata(m.path(tree)).unwrap();
        assert_eq!(stat.uid(), fs::metadata(m.path("private")).unwrap().uid());
    }
    m.run("chmod 755 private");
    assert_eq!(mode(&m.path(".versions/private")) & 0o055, 0o055);
    m.run("chmod 700 private; rm private/a; rmdir private");
    assert_eq!(mode(&m.path(".versions/private")) & 0o077, 0, "last known");
}

#[test]
fn with_allow_other_the_kernel_keeps_strangers_out_of_history() {
    if !is_root() {
        return not_run(
            "allow_other",
            "needs root, or user_allow_other in /etc/fuse.conf",
        );
    }
    let m = Setup::new().mount(&["-o", "allow_other"]).start();
    m.run("chmod 755 . ; umask 022; mkdir -m 700 private; echo secret > private/a; echo mine > closed; chmod 600 closed; echo all > open; rm private/a; echo again > private/a");
    // The temporary directory itself is closed to others: enter it as root, then step down.
    let stranger = |script: &str| {
        m.try_run(&format!(
            "setpriv --reuid=65534 --regid=65534 --clear-groups bash -c '{script}'"
        ))
    };
    assert_eq!(
        text(&stranger("cat open .versions/open/latest").stdout),
        "all\nall\n"
    );
    for closed in [
        "cat private/a",
        "ls .versions/private",
        "cat .versions/private/a/latest",
        "cat .versions/closed/latest",
        "ls .deleted/private",
    ] {
        let done = stranger(closed);
        assert!(!done.status.success(), "{closed}");
    }
}

#[test]
fn getfattr_shows_what_the_catalog_knows() {
    let m = Mount::new();
    m.run("echo x > a; setfattr -n user.color -v red a; echo y >> a");
    let path = latest(&m, "a");
    let id = m.versions("a").pop().unwrap();
    let get = |name: &str| xattr(&path, name);
    assert_eq!(get("user.keepfs.version_id"), Some(id));
    assert!(is_id(&get("user.keepfs.asset_id").unwrap()));
    assert_eq!(get("user.keepfs.origin").as_deref(), Some("write"));
    assert_eq!(get("user.keepfs.restored_from"), None);
    assert_eq!(get("user.color").as_deref(), Some("red"));
    assert!(get("user.keepfs.state").is_some());
    wait_for("the ingest", || get("user.keepfs.blake3"));
    assert_eq!(
        get("user.keepfs.blake3"),
        Some(blake3::hash(b"x\ny\n").to_hex().to_string())
    );
    let listed = m.run("getfattr -m - -d .versions/a/latest");
    for name in ["version_id", "asset_id", "origin", "blake3", "state"] {
        assert!(listed.contains(&format!("user.keepfs.{name}=")), "{listed}");
    }
}

#[test]
fn the_asset_id_stays_through_renames_deletion_and_restore() {
    let m = Mount::new();
    m.write("a", "x");
    let asset = |path: &Path| xattr(path, "user.keepfs.asset_id").unwrap();
    let first = asset(&latest(&m, "a"));
    m.rename("a", "b");
    assert_eq!(asset(&latest(&m, "b")), first);
    m.remove("b");
    assert_eq!(asset(&m.path(".deleted/b")), first);
    m.write("b", "again");
    assert_eq!(asset(&latest(&m, "b")), first);
    m.write("a", "another asset");
    assert_ne!(asset(&latest(&m, "a")), first);
}

#[test]
fn history_is_read_by_range_and_equals_the_file() {
    let mut m = Mount::new();
    let bytes = noise(11, 20_000_000);
    m.write("big", &bytes);
    for round in 0..2 {
        let file = File::open(latest(&m, "big")).unwrap();
        for at in [0usize, 1, 4095, 1_048_575, 7_000_001, 19_999_990] {
            let mut part = vec![0; 100_000.min(bytes.len() - at)];
            file.read_exact_at(&mut part, at as u64).unwrap();
            assert!(part == bytes[at..at + part.len()], "at {at}, round {round}");
        }
        assert_eq!(file.read_at(&mut [0; 10], 20_000_000).unwrap(), 0);
        m.run("cmp big .versions/big/latest");
        m.python(
            "import mmap, glob
f = open(glob.glob('.versions/big/*')[0], 'rb')
assert mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)[:] == open('big', 'rb').read()",
        );
        if round == 0 {
            drop(file);
            m.unmount();
            m.remount();
        }
    }
}

#[test]
fn long_listings_are_complete() {
    let m = Mount::new();
    m.mkdir("d");
    for n in 0..3000 {
        m.write(format!("d/file-{n:05}"), "x");
    }
    assert_eq!(m.list("d").len(), 3000);
    assert_eq!(m.list(".versions/d").len(), 3000);
    m.run("rm -r d");
    assert_eq!(m.deleted().len(), 3000);
    m.run("[[ $(ls .deleted/d | wc -l) -eq 3000 ]]");
}

#[test]
fn inode_numbers_of_history_are_stable_and_distinct() {
    let m = Mount::new();
    m.write("a", "one");
    m.write("a", "two");
    let inodes = || -> Vec<u64> {
        m.versions("a")
            .iter()
            .map(|id| fs::metadata(m.version_path("a", id)).unwrap().ino())
            .collect()
    };
    let first = inodes();
    assert_ne!(first[0], first[1]);
    assert_eq!(first, inodes());
    // tar and cp see one file under one inode number only.
    m.run(
        "tar cf \"$HOME/t.tar\" .versions && [[ $(tar tvf \"$HOME/t.tar\" | grep -c ^h) -eq 0 ]]",
    );
}

#[test]
fn the_mount_below_a_subdirectory_sees_history_only_at_the_root() {
    let m = Mount::new();
    m.mkdir("d");
    m.write("d/a", "x");
    assert_eq!(
        errno(fs::metadata(m.path("d/.versions"))),
        Errno::NOENT,
        "history names are answered at the root only"
    );
}

#[test]
fn an_open_version_can_be_read_while_the_asset_goes_on() {
    let m = Mount::new();
    let bytes = noise(5, 3_000_000);
    m.write("a", &bytes);
    let file = File::open(latest(&m, "a")).unwrap();
    for n in 0..5 {
        m.write("a", format!("{n}"));
    }
    m.remove("a");
    let mut seen = vec![0; bytes.len()];
    file.read_exact_at(&mut seen, 0).unwrap();
    assert!(seen == bytes);
    closing(|| drop(file));
}
