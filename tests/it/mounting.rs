//! The mount itself: making, finding, leaving and replacing it.

use std::fs;
use std::process::Command;

use crate::harness::{
    Mount, Setup, is_mounted, is_root, keepfs_binary, not_run, output, text, wait_for,
};

#[test]
fn mount_makes_what_is_missing_and_returns_when_the_mount_answers() {
    let m = Setup::new().unmounted();
    let home = m.vault.parent().unwrap();
    let (vault, root) = (home.join("new/vault"), home.join("new/mount"));
    let done = output(
        Command::new(keepfs_binary())
            .arg("mount")
            .arg(&vault)
            .arg(&root),
    );
    assert!(done.status.success(), "{done:?}");
    assert!(is_mounted(&root));
    assert!(root.join(".versions").is_dir());
    assert!(vault.join("keepfs.toml").is_file());
    let said = text(&done.stdout) + &text(&done.stderr);
    assert!(said.contains(".versions"), "it says what to try: {said}");
    let script = format!(
        "cd {0}; echo 1 > a; [[ $(ls .versions/a | wc -l) -eq 1 ]]",
        root.display()
    );
    let work = output(Command::new("bash").args(["-ec", &script]));
    assert!(work.status.success(), "{work:?}");
    let done = output(Command::new(keepfs_binary()).arg("umount").arg(&root));
    assert!(done.status.success(), "{done:?}");
    assert!(!is_mounted(&root));
}

#[test]
fn a_plain_umount_drains_as_well() {
    let mut m = Mount::new();
    for n in 0..200 {
        m.write(format!("f{n}"), format!("{n}"));
    }
    let program = if is_root() { "umount" } else { "fusermount3" };
    let mut command = Command::new(program);
    if !is_root() {
        command.arg("-u");
    }
    let done = output(command.arg(&m.root));
    assert!(done.status.success(), "{done:?}");
    let status = m.wait_for_exit();
    assert!(status.success(), "{status}");
    m.check();
    m.remount();
    for n in 0..200 {
        assert_eq!(m.texts(format!("f{n}")), [format!("{n}")]);
    }
}

#[test]
fn a_termination_signal_ends_the_daemon_in_order() {
    let mut m = Mount::new();
    m.write("a", "x");
    let done = output(Command::new("kill").arg(m.pid().to_string()));
    assert!(done.status.success());
    let status = m.wait_for_exit();
    assert!(status.success(), "{status}\n{}", m.log());
    wait_for("the mount to be gone", || {
        (!is_mounted(&m.root)).then_some(())
    });
    m.remount();
    assert_eq!(m.texts("a"), ["x"]);
}

#[test]
fn a_stale_mountpoint_of_a_dead_daemon_is_replaced() {
    let mut m = Mount::new();
    m.write("a", "x");
    m.kill();
    assert!(is_mounted(&m.root), "the dead mount is still in the table");
    m.remount();
    assert_eq!(m.read("a"), b"x");
    // The close may have been on its way when the daemon was killed: the scan finds it.
    assert!(m.keepfs(&["scan"]).status.success());
    assert_eq!(m.texts("a"), ["x"]);
}

#[test]
fn a_read_only_mount_reads_everything_and_writes_nothing() {
    let mut m = Mount::new();
    m.write("a", "x");
    m.write("gone", "y");
    m.remove("gone");
    m.unmount();
    let done = output(
        Command::new(keepfs_binary())
            .args(["mount", "-o", "ro"])
            .arg(&m.vault)
            .arg(&m.root),
    );
    assert!(done.status.success(), "{done:?}");
    let refused = m.try_run("echo y > a");
    assert!(text(&refused.stderr).contains("Read-only"), "{refused:?}");
    m.run("[[ $(cat a) == x && $(cat .versions/a/latest) == x && $(cat .deleted/gone) == y ]]; ! rm a; ! mkdir d; ! mv .deleted/gone gone");
    let done = m.keepfs(&["umount", m.root.to_str().unwrap()]);
    assert!(done.status.success(), "{done:?}");
}

#[test]
fn the_fstab_helper_name_mounts() {
    if !is_root() {
        return not_run("mount.keepfs", "fstab is root's");
    }
    let m = Setup::new().unmounted();
    let helper = m.vault.parent().unwrap().join("mount.keepfs");
    std::os::unix::fs::symlink(keepfs_binary(), &helper).unwrap();
    // As mount(8) calls it: DEVICE DIRECTORY [-sfnv] -o OPTIONS.
    let done = output(
        Command::new(&helper)
            .arg(&m.vault)
            .arg(&m.root)
            .args(["-o", "rw,allow_other,noatime,_netdev"]),
    );
    assert!(done.status.success(), "{done:?}");
    assert!(is_mounted(&m.root));
    m.run("echo x > a; [[ $(ls .versions/a | wc -l) -eq 1 ]]");
    let table = fs::read_to_string("/proc/mounts").unwrap();
    let line = table
        .lines()
        .find(|l| l.contains(m.root.to_str().unwrap()))
        .unwrap();
    assert!(line.contains("fuse.keepfs"), "{line}");
    let done = m.keepfs(&["umount", m.root.to_str().unwrap()]);
    assert!(done.status.success(), "{done:?}");
}

#[test]
fn unmounting_a_busy_mount_says_so_and_leaves_it_working() {
    let m = Mount::new();
    m.write("a", "x");
    let holder = fs::File::open(m.path("a")).unwrap();
    let done = m.keepfs(&["umount", m.root.to_str().unwrap()]);
    assert!(!done.status.success(), "{done:?}");
    assert!(
        text(&done.stderr).contains("files are open there"),
        "{done:?}"
    );
    assert!(m.is_running());
    m.write("a", "y");
    assert_eq!(m.versions("a").len(), 2);
    drop(holder);
}

#[test]
fn statfs_and_df_show_the_disk_below() {
    let m = Mount::new();
    let blocks = |p| m.run(&format!("stat -f -c %b:%S {p}"));
    assert_eq!(blocks("."), blocks("\"$V\""));
}

#[test]
fn statfs_is_that_of_the_live_tree_where_the_vault_is_on_another_disk() {
    let Ok(elsewhere) = tempfile::tempdir_in("/dev/shm") else {
        return not_run("statfs of a live tree elsewhere", "no /dev/shm");
    };
    let live = elsewhere.path().join("live");
    fs::create_dir(&live).unwrap();
    let m = Setup::new()
        .init(&["--live", live.to_str().unwrap()])
        .start();
    m.write("a", vec![7; 100_000]);
    let blocks = |p: &str| m.run(&format!("stat -f -c %b:%S {p}"));
    assert_eq!(blocks("."), blocks(live.to_str().unwrap()));
}

#[test]
fn a_walk_works_within_a_small_descriptor_limit() {
    let mut m = Setup::new().unmounted();
    let dirs = crate::harness::count(1_200, 5_000);
    for n in 0..dirs {
        let dir = m.vault.join(format!("live/{}/{n}", n % 7));
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("f"), "x").unwrap();
    }
    // The limit is the daemon's: start it from a shell that lowers its own.
    let script = format!(
        "ulimit -n 256; exec {} mount {} {}",
        keepfs_binary().display(),
        m.vault.display(),
        m.root.display()
    );
    let done = output(Command::new("bash").args(["-ec", &script]));
    assert!(done.status.success(), "{done:?}");
    for _ in 0..2 {
        assert_eq!(m.run("find . -type f | wc -l").trim(), dirs.to_string());
        m.run("du -s . > /dev/null; cat */*/f > /dev/null; ls .versions > /dev/null");
    }
    m.run("for d in */*; do echo y > $d/f; done");
    let done = m.keepfs(&["umount", m.root.to_str().unwrap()]);
    assert!(done.status.success(), "{done:?}");
    m.remount();
}
