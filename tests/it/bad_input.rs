//! Bad input, and what it gets: one clear line that names the thing and the way out, the
//! right exit code or errno, nothing lost, no panic.

use std::ffi::OsStr;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use rustix::io::Errno;

use crate::harness::{
    Disk, Mount, Setup, errno, files_below, is_mounted, is_root, keepfs_binary, noise, not_run,
    output, text,
};

/// The command failed, with words on standard error and without a panic.
#[track_caller]
fn assert_refused(done: &Output, words: &[&str]) {
    let said = text(&done.stderr);
    assert!(!done.status.success(), "it succeeded: {done:?}");
    assert!(done.status.code().is_some(), "a signal ended it: {done:?}");
    assert!(!said.contains("panicked"), "{said}");
    assert!(
        !said.trim().is_empty(),
        "it failed without a word: {done:?}"
    );
    for word in words {
        assert!(
            said.to_lowercase().contains(&word.to_lowercase()),
            "'{word}' is not in: {said}"
        );
    }
}

fn keepfs(args: &[&OsStr]) -> Output {
    output(Command::new(keepfs_binary()).args(args))
}

fn mount(m: &Mount, extra: &[&str]) -> Output {
    mount_at(m, &m.root, extra)
}

/// Tries a mount that must be refused. Where it is not, the mount is taken away at once:
/// some of these would hang everything that looks at them.
fn mount_at(m: &Mount, root: &Path, extra: &[&str]) -> Output {
    let mut command = Command::new(keepfs_binary());
    let done = output(command.arg("mount").args(extra).arg(&m.vault).arg(root));
    if done.status.success() {
        let (program, flag) = match is_root() {
            true => ("umount", "-l"),
            false => ("fusermount3", "-uz"),
        };
        output(Command::new(program).arg(flag).arg(root));
    }
    done
}

#[test]
fn an_unknown_command_flag_or_option_is_named() {
    let m = Setup::new().unmounted();
    assert_refused(&keepfs(&["frobnicate".as_ref()]), &["frobnicate"]);
    assert_refused(
        &keepfs(&["status".as_ref(), "--frob".as_ref()]),
        &["--frob"],
    );
    assert_refused(&mount(&m, &["-o", "frob=1"]), &["frob"]);
    assert_refused(&mount(&m, &["-o", "history=maybe"]), &["history"]);
    assert_refused(&mount(&m, &["--backup", "maybe"]), &["maybe"]);
    assert_refused(&keepfs(&["mount".as_ref()]), &["missing", "--help"]);
    assert!(!is_mounted(&m.root));
}

#[test]
fn a_vault_of_a_newer_format_is_refused() {
    let mut m = Setup::new().unmounted();
    m.expect_damage();
    sql(&m, "pragma user_version = 4000");
    assert_refused(&mount(&m, &[]), &["newer"]);
    assert!(!is_mounted(&m.root));
}

/// Runs SQL on the closed catalog.
fn sql(m: &Mount, sql: &str) {
    if !m.vault.join("catalog.db").exists() {
        // The catalog is made by the first mount.
        let mut first = Command::new(keepfs_binary());
        let done = output(first.arg("mount").arg(&m.vault).arg(&m.root));
        assert!(done.status.success(), "{done:?}");
        let done = output(Command::new(keepfs_binary()).arg("umount").arg(&m.root));
        assert!(done.status.success(), "{done:?}");
    }
    let done = output(
        Command::new("sqlite3")
            .arg(m.vault.join("catalog.db"))
            .arg(sql),
    );
    assert!(done.status.success(), "{done:?}");
}

#[test]
fn a_mountpoint_inside_the_live_tree_is_refused() {
    let m = Setup::new().unmounted();
    let inside = m.vault.join("live/inside");
    fs::create_dir_all(&inside).unwrap();
    let done = mount_at(&m, &inside, &[]);
    assert_refused(&done, &["inside"]);
    assert!(!is_mounted(&inside));
    let done = mount_at(&m, &m.vault.join("live"), &[]);
    assert_refused(&done, &[]);
}

#[test]
fn a_vault_inside_its_own_mountpoint_is_refused() {
    let m = Setup::new().unmounted();
    let above = m.vault.parent().unwrap();
    let done = mount_at(&m, above, &[]);
    assert_refused(&done, &[]);
    assert!(!is_mounted(above));
}

#[test]
fn a_store_inside_the_live_tree_is_refused() {
    let m = Setup::new().unmounted();
    let home = m.vault.parent().unwrap();
    let live = home.join("mine");
    fs::create_dir(&live).unwrap();
    let done = output(
        Command::new(keepfs_binary())
            .arg("init")
            .arg(home.join("v2"))
            .arg("--live")
            .arg(&live)
            .arg("--store")
            .arg(live.join("store")),
    );
    assert_refused(&done, &["store"]);
}

#[test]
fn a_second_mount_of_a_mounted_vault_is_refused_with_the_process() {
    let m = Mount::new();
    let elsewhere = m.vault.parent().unwrap().join("m2");
    fs::create_dir(&elsewhere).unwrap();
    let done = mount_at(&m, &elsewhere, &[]);
    assert_refused(&done, &[&m.pid().to_string()]);
    assert!(!is_mounted(&elsewhere));
    m.write("a", "x");
    assert_eq!(m.texts("a"), ["x"]);
}

#[test]
fn a_live_directory_that_already_holds_a_history_name_is_refused() {
    for name in [".versions", ".deleted"] {
        let mut m = Setup::new().unmounted();
        m.expect_damage();
        let live = m.vault.parent().unwrap().join("mine");
        fs::create_dir_all(live.join(name)).unwrap();
        let mut init = Command::new(keepfs_binary());
        let vault = m.vault.parent().unwrap().join("v2");
        let done = output(init.arg("init").arg(&vault).arg("--live").arg(&live));
        assert_refused(&done, &[name]);
        fs::create_dir_all(m.vault.join("live").join(name)).unwrap();
        assert_refused(&mount(&m, &[]), &[name]);
    }
}

#[test]
fn a_corrupt_or_missing_configuration_is_named() {
    let m = Setup::new().unmounted();
    let path = m.vault.join("keepfs.toml");
    let good = fs::read(&path).unwrap();
    fs::write(&path, "this is = = not toml").unwrap();
    assert_refused(&mount(&m, &[]), &["keepfs.toml"]);
    fs::write(&path, [&good[..], b"\nfrobnicate = 7\n"].concat()).unwrap();
    assert_refused(&mount(&m, &[]), &["keepfs.toml", "frobnicate"]);
    fs::remove_file(&path).unwrap();
    assert_refused(&m.on_vault(&["status"]), &["keepfs.toml"]);
    fs::write(&path, good).unwrap();
    let mut m = m;
    m.remount();
}

#[test]
fn a_damaged_catalog_is_refused_and_the_live_tree_stays() {
    let mut m = Mount::new();
    for n in 0..300 {
        m.write(format!("file-{n}"), format!("{n}"));
    }
    m.unmount();
    m.expect_damage();
    let path = m.vault.join("catalog.db");
    let len = fs::metadata(&path).unwrap().len();
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    for at in (4096..len).step_by(4096) {
        file.write_all_at(&[0x5a; 512], at).unwrap();
    }
    drop(file);
    let done = mount(&m, &[]);
    assert_refused(&done, &["catalog"]);
    assert_eq!(fs::read(m.live("file-7")).unwrap(), b"7");
    fs::write(
        &path,
        "no database at all, by any means, whatever one reads in it",
    )
    .unwrap();
    assert_refused(&mount(&m, &[]), &["catalog"]);
}

/// The packs in the store.
fn packs(m: &Mount) -> Vec<PathBuf> {
    let packs = files_below(&m.vault.join("store/packs"));
    assert!(!packs.is_empty(), "no pack in the store");
    packs
}

/// A vault with one stored version whose pack then takes damage. Reads must be right or EIO.
fn damaged_pack(damage: impl Fn(&PathBuf)) {
    let mut m = Mount::new();
    let bytes = noise(42, 3 << 20);
    m.write("a", &bytes);
    m.unmount();
    m.expect_damage();
    let whole = packs(&m)
        .into_iter()
        .max_by_key(|p| fs::metadata(p).unwrap().len())
        .unwrap();
    let mut permissions = fs::metadata(&whole).unwrap().permissions();
    permissions.set_mode(0o600);
    fs::set_permissions(&whole, permissions).unwrap();
    damage(&whole);
    let checked = m.on_vault(&["check", "--read-data"]);
    let said = text(&checked.stdout) + &text(&checked.stderr);
    assert!(!checked.status.success(), "check found nothing: {said}");
    assert!(!said.contains("panicked"), "{said}");
    let name = whole.file_name().unwrap().to_str().unwrap();
    let stem = name.split('.').next().unwrap();
    assert!(
        said.contains(stem),
        "check does not name the pack {name}: {said}"
    );
    m.remount();
    let id = m.versions("a").pop().unwrap();
    match fs::read(m.version_path("a", &id)) {
        Ok(read) => assert!(read == bytes, "wrong bytes were handed out"),
        Err(e) => {
            assert_eq!(Errno::from_io_error(&e), Some(Errno::IO));
            let log = m.log();
            assert!(log.contains(stem), "the log does not name the pack: {log}");
        }
    }
    assert!(
        m.read("a") == bytes,
        "the live file has nothing to do with it"
    );
    m.write("a", "goes on");
    assert_eq!(m.versions("a").len(), 2);
}

#[test]
fn a_missing_pack_is_an_error_and_never_wrong_bytes() {
    damaged_pack(|pack| fs::remove_file(pack).unwrap());
}

#[test]
fn a_truncated_pack_is_an_error_and_never_wrong_bytes() {
    damaged_pack(|pack| {
        let file = OpenOptions::new().write(true).open(pack).unwrap();
        let len = file.metadata().unwrap().len();
        file.set_len(len / 3).unwrap();
    });
}

#[test]
fn one_flipped_bit_in_a_pack_is_an_error_and_never_wrong_bytes() {
    damaged_pack(|pack| {
        let mut bytes = fs::read(pack).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x10;
        fs::write(pack, bytes).unwrap();
    });
}

#[test]
fn a_full_disk_loses_nothing_and_the_live_tree_stays_readable() {
    if !is_root() {
        return not_run("a full disk", "needs root to mount a loop image");
    }
    let mut m = Setup::new().unmounted();
    let home = m.vault.parent().unwrap().to_path_buf();
    let disk = home.join("disk");
    let script = format!(
        "cd {0}; truncate -s 64M img; mkfs.ext4 -q -m 0 -F img; mkdir disk; mount -o loop img disk",
        home.display()
    );
    let done = output(Command::new("bash").args(["-ec", &script]));
    if !done.status.success() {
        return not_run("a full disk", "no loop devices here");
    }
    let end = Unmount(disk.clone());
    // Spool, catalog and store are on the small disk, the live tree is not.
    let vault = disk.join("v");
    let live = home.join("mine");
    fs::create_dir(&live).unwrap();
    let done = output(
        Command::new(keepfs_binary())
            .arg("init")
            .arg(&vault)
            .arg("--live")
            .arg(&live),
    );
    assert!(done.status.success(), "{done:?}");
    m.vault = vault;
    m.remount();
    m.write("before", "kept");
    assert_eq!(m.versions("before").len(), 1);
    for n in 0..20u64 {
        // Some of these cannot be kept; each must work or fail with ENOSPC.
        let path = m.path(format!("big{}", n % 4));
        let written = crate::harness::closing(|| fs::write(&path, noise(n, 8 << 20)));
        if let Err(e) = written {
            assert_eq!(Errno::from_io_error(&e), Some(Errno::NOSPC), "{e}");
        }
    }
    assert!(m.is_running(), "{}", m.log());
    assert_eq!(m.read("before"), b"kept");
    assert_eq!(m.texts("before"), ["kept"]);
    let status = m.keepfs(&["status"]);
    assert!(status.status.success(), "{status:?}");
    // With room again, what waits gets done.
    for n in 0..4 {
        let _ = fs::remove_file(m.path(format!("big{n}")));
    }
    m.write("after", "also kept");
    assert_eq!(m.read("after"), b"also kept");
    m.crash();
    m.expect_damage();
    drop(m);
    drop(end);
}

#[test]
fn what_is_deleted_while_not_even_the_catalog_has_room_is_there_after_the_next_mount() {
    for ends_by_kill in [false, true] {
        let home = tempfile::tempdir().unwrap();
        let disk = home.path().join("disk");
        let Some(end) = Disk::mount("deletions on a full disk", &disk, "8m") else {
            return;
        };
        let mut m = Setup::new().unmounted();
        m.vault = disk.join("v");
        let done = output(Command::new(keepfs_binary()).arg("init").arg(&m.vault));
        assert!(done.status.success(), "{done:?}");
        m.set_config("commit_interval_ms", "60000");
        m.remount();
        m.mkdir("d");
        let contents: Vec<_> = (0..3).map(|n| noise(n, 1 << 20)).collect();
        // What was there when a sealed file was written anew is on record.
        for (name, bytes) in ["again", "again", "d/gone"].iter().zip(&contents) {
            m.write(name, bytes);
        }
        let filled = crate::harness::closing(|| fs::write(m.path("filler"), noise(9, 8 << 20)));
        assert_eq!(errno(filled), Errno::NOSPC);
        m.remove("d/gone");
        fs::remove_dir(m.path("d")).unwrap();
        m.remove("again");
        fs::File::create(m.path("again")).expect("an empty file");
        assert!(fs::read(m.path(".deleted/d/gone")).unwrap() == contents[2]);
        match ends_by_kill {
            true => m.crash(),
            false => {
                let done = m.keepfs(&["umount", m.root.to_str().unwrap()]);
                assert!(text(&done.stderr).contains("no space left for the catalog"));
                assert!(!m.wait_for_exit().success());
            }
        }
        let larger = ["-o", "remount,size=64m"];
        let done = output(Command::new("mount").args(larger).arg(&disk));
        assert!(done.status.success(), "{done:?}");
        m.remount();
        assert!(m.read("d/gone") == contents[2]);
        // What is new after a stop that was not clean is looked for in the background.
        m.run("\"$KEEPFS\" scan .");
        assert!(m.contents("d/gone") == contents[2..]);
        let names = m.list("");
        let [second] = &names
            .iter()
            .filter(|name| name.starts_with("again.recovered-"))
            .collect::<Vec<_>>()[..]
        else {
            panic!("{names:?}");
        };
        assert!(m.read(second) == contents[1]);
        assert!(m.contents("again")[0] == contents[0]);
        m.wait_for_log("d/gone: deleted while the disk was full");
        m.unmount();
        m.check();
        drop(m);
        drop(end);
    }
}

#[test]
fn a_full_disk_of_the_store_is_named_with_the_way_out() {
    let home = tempfile::tempdir().unwrap();
    let disk = home.path().join("disk");
    let Some(end) = Disk::mount("a full disk of the store", &disk, "4m") else {
        return;
    };
    let store = disk.join("packs");
    let setup = Setup::new().init(&["--store", store.to_str().unwrap()]);
    let mut m = setup.config("pack_bytes", "\"1MiB\"").start();
    m.write("large", noise(1, 8 << 20));
    let done = m.keepfs(&["wait", "--timeout", "2s", "."]);
    let said = text(&done.stderr);
    assert_eq!(done.status.code(), Some(6), "{said}");
    assert_eq!(said.trim_end().lines().count(), 1, "{said}");
    let line = format!(
        "no space left for the store in {}: free some space on its disk",
        store.display()
    );
    assert!(said.contains(&line), "{said}");
    let larger = ["-o", "remount,size=64m"];
    let done = output(Command::new("mount").args(larger).arg(&disk));
    assert!(done.status.success(), "{done:?}");
    m.run("\"$KEEPFS\" wait .");
    m.unmount();
    m.check();
    drop(m);
    drop(end);
}

struct Unmount(PathBuf);

impl Drop for Unmount {
    fn drop(&mut self) {
        output(Command::new("umount").arg("-l").arg(&self.0));
    }
}

#[test]
fn any_name_that_the_kernel_takes_has_a_history() {
    let mut m = Mount::new();
    let long = "x".repeat(255);
    let names: [&[u8]; 12] = [
        b"with\nnewline",
        b"\xff\xfe not text",
        b"tab\there",
        b"-rf",
        b" leading and trailing ",
        b"'\"$`\\",
        b"...",
        b"*",
        "\u{1f408} \u{e4}".as_bytes(),
        b"\x01\x7f",
        b"latest",
        long.as_bytes(),
    ];
    m.mkdir("d");
    for name in names {
        let path = PathBuf::from("d").join(OsStr::from_bytes(name));
        m.write(&path, name);
        m.write(&path, [name, b" again"].concat());
        assert_eq!(
            m.contents(&path),
            [name.to_vec(), [name, b" again"].concat()]
        );
        m.remove(&path);
        let deleted = m.path(".deleted").join(&path);
        assert_eq!(fs::read(deleted).unwrap(), [name, b" again"].concat());
    }
    assert_eq!(
        fs::read_dir(m.path(".deleted/d")).unwrap().count(),
        names.len()
    );
    m.unmount();
    m.remount();
    m.run("cp -a .deleted/d .");
    assert_eq!(fs::read_dir(m.path("d")).unwrap().count(), names.len());
    assert!(m.deleted().is_empty());
    assert_eq!(
        errno(fs::write(m.path("d").join("y".repeat(256)), "x")),
        Errno::NAMETOOLONG
    );
}

#[test]
fn deep_paths_have_a_history() {
    let m = Mount::new();
    m.python(
        "import os
name = 'n' * 200
for i in range(30):           # about 6,000 bytes: deeper than one path argument can say
    os.mkdir(name); os.chdir(name)
open('f', 'w').write('deep'); open('f', 'w').write('deeper')
os.rename('f', 'g')
assert open('g').read() == 'deeper'
os.unlink('g')",
    );
    // As deep as a path argument reaches.
    m.python(
        "import os
path = '/'.join(['n' * 200] * 19)
assert 3800 < len(path) < 4000
open(path + '/f', 'w').write('deep')
os.chdir('.versions')
for part in path.split('/'): os.chdir(part)
ids = os.listdir('f')
assert len(ids) == 1, ids
assert open('f/' + ids[0]).read() == 'deep'
os.chdir('/')",
    );
}

#[test]
fn dots_in_a_public_id_are_refused() {
    let m = Mount::new();
    m.write("a", "x");
    let done = m.on_vault(&["versions", "../a"]);
    assert_refused(&done, &[".."]);
    let done = m.on_vault(&["versions", "d/../../a"]);
    assert_refused(&done, &[".."]);
}

#[test]
fn a_version_id_that_is_short_ambiguous_or_unknown_is_named() {
    let m = Mount::new();
    m.write("a", "one");
    m.write("a", "two");
    let ids = m.versions("a");
    let restore = |id: &str| m.keepfs(&["restore", "a", "--version", id, "--to", "b"]);
    assert_refused(&restore(&ids[0][..3]), &["short"]);
    // The first eight digits are time: shared within a minute.
    assert_refused(&restore(&ids[0][..4]), &["ambiguous"]);
    assert_refused(&restore("ffffffffffff"), &["not found"]);
    assert_refused(&restore("not-an-id"), &["not-an-id"]);
    assert!(!m.exists("b"));
    let done = restore(&ids[0]);
    assert!(done.status.success(), "{done:?}");
    assert_eq!(m.read("b"), b"one");
}

#[test]
fn paths_that_are_nothing_are_named() {
    let m = Mount::new();
    assert_refused(&m.keepfs(&["versions", "missing"]), &["missing"]);
    assert_refused(&m.keepfs(&["restore", "missing"]), &["missing"]);
    assert_refused(&m.keepfs(&["purge", "missing", "--yes"]), &["missing"]);
    let outside = output(Command::new(keepfs_binary()).args(["versions", "/etc/hostname"]));
    assert_refused(&outside, &["/etc/hostname"]);
    let nowhere = output(Command::new(keepfs_binary()).args(["umount", "/nonexistent"]));
    assert_refused(&nowhere, &["/nonexistent"]);
    let no_vault =
        output(Command::new(keepfs_binary()).args(["status", "--vault", "/nonexistent"]));
    assert_refused(&no_vault, &["/nonexistent"]);
}

#[test]
fn a_live_tree_changed_behind_the_mount_is_taken_up_by_scan() {
    let m = Mount::new();
    m.write("a", "one");
    m.write("gone", "x");
    // Reading a version stores it: what the live file alone has cannot survive its end.
    assert_eq!(m.texts("a"), ["one"]);
    assert_eq!(m.texts("gone"), ["x"]);
    let mut file = OpenOptions::new().append(true).open(m.live("a")).unwrap();
    file.write_all(b" more").unwrap();
    drop(file);
    fs::write(m.live("new"), "new").unwrap();
    fs::remove_file(m.live("gone")).unwrap();
    let done = m.keepfs(&["scan"]);
    assert!(done.status.success(), "{done:?}");
    assert_eq!(m.texts("a"), ["one", "one more"]);
    assert_eq!(m.texts("new"), ["new"]);
    assert!(m.deleted().contains("gone"));
    let path = m.path(".versions/a/latest");
    let origin = crate::harness::xattr(&path, "user.keepfs.origin");
    assert_eq!(origin.as_deref(), Some("recovered"));
}

#[test]
fn an_init_that_fails_over_a_vault_without_settings_leaves_its_catalog_alone() {
    let mut m = Mount::new();
    m.write("a", "one");
    let (settings, aside) = (m.vault.join("keepfs.toml"), m.vault.join("aside"));
    fs::rename(&settings, &aside).unwrap();
    let done = output(Command::new(keepfs_binary()).arg("init").arg(&m.vault));
    assert_refused(&done, &["in use"]);
    assert!(!settings.exists());
    for file in ["catalog.db", "lock"] {
        assert!(m.vault.join(file).exists(), "{file} is gone");
    }
    fs::rename(&aside, &settings).unwrap();
    m.unmount();
    m.remount();
    assert_eq!(m.texts("a"), ["one"]);
}
