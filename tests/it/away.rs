//! A store on a disk that is not there: nothing is written to what is in its place, and
//! when the disk is back all goes on by itself.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::{Disk, Mount, Setup, files_below, output, text, wait_for, xattr};

const BLOCKED: Option<i32> = Some(6);

/// A disk that can be unplugged and plugged in.
struct Plugged {
    _disk: Disk,
    content: PathBuf,
    place: PathBuf,
}

impl Plugged {
    fn new(directory: &Path) -> Option<Self> {
        let (content, place) = (directory.join("disk"), directory.join("mnt"));
        let disk = Disk::mount("a disk that is unplugged", &content, "16m")?;
        fs::create_dir(&place).unwrap();
        let plugged = Self {
            _disk: disk,
            content,
            place,
        };
        plugged.plug();
        Some(plugged)
    }

    fn plug(&self) {
        let mut mount = Command::new("mount");
        let done = output(mount.arg("--bind").arg(&self.content).arg(&self.place));
        assert!(done.status.success(), "{done:?}");
    }

    fn unplug(&self) {
        let done = output(Command::new("umount").arg("-l").arg(&self.place));
        assert!(done.status.success(), "{done:?}");
    }
}

impl Drop for Plugged {
    fn drop(&mut self) {
        output(Command::new("umount").arg("-l").arg(&self.place));
    }
}

/// A vault with its store on the disk, below its mountpoint or right there.
fn vault_on(disk: &Plugged, below: &str) -> Mount {
    let store = disk.place.join(below);
    let setup = Setup::new().init(&["--store", store.to_str().unwrap()]);
    setup.config("pack_age_max", "\"1s\"").start()
}

fn state_of_the_last(m: &Mount, name: &str) -> Option<String> {
    let id = m.versions(name).pop().unwrap();
    xattr(&m.version_path(name, &id), "user.keepfs.state")
}

#[test]
fn a_disk_that_goes_while_its_store_is_in_use_gets_nothing_written_to_its_mountpoint() {
    for below in ["packs", ""] {
        let directory = tempfile::tempdir().unwrap();
        let Some(disk) = Plugged::new(directory.path()) else {
            return;
        };
        let m = vault_on(&disk, below);
        m.write("a", "one");
        m.run("\"$KEEPFS\" wait .");
        disk.unplug();
        m.write("b", "two");
        let waited = m.keepfs(&["wait", "--timeout", "2s", m.root.to_str().unwrap()]);
        assert_eq!(waited.status.code(), BLOCKED, "{waited:?}");
        assert!(
            text(&waited.stderr).contains("is its disk mounted?"),
            "{waited:?}"
        );
        wait_for("the status to say so", || {
            let blocked = m.json(&["status"])["blocked"].clone();
            let blocked = blocked.as_str()?.to_owned();
            blocked.contains("is its disk mounted?").then_some(())
        });
        assert_eq!(m.texts("b"), ["two"]);
        assert_ne!(state_of_the_last(&m, "b").as_deref(), Some("uploaded"));
        assert_eq!(fs::read_dir(&disk.place).unwrap().count(), 0, "{below}");
        disk.plug();
        wait_for("it to catch up", || {
            let status = m.json(&["status"]);
            (status["packs_pending"] == 0 && status["journal_pending"] == false).then_some(())
        });
        assert_eq!(state_of_the_last(&m, "b").as_deref(), Some("uploaded"));
        assert_eq!(m.texts("a"), ["one"]);
        m.run("\"$KEEPFS\" check --read-data .");
        drop(m);
    }
}

#[test]
fn a_start_without_the_disk_is_refused_and_leaves_the_mountpoint_empty() {
    for below in ["packs", ""] {
        let directory = tempfile::tempdir().unwrap();
        let Some(disk) = Plugged::new(directory.path()) else {
            return;
        };
        let mut m = vault_on(&disk, below);
        m.write("a", "one");
        m.unmount();
        disk.unplug();
        let said = m.try_remount().unwrap_err();
        assert!(said.contains("is its disk mounted?"), "{said}");
        let looked = m.on_vault(&["status"]);
        assert!(!looked.status.success(), "{looked:?}");
        assert_eq!(files_below(&disk.place), Vec::<PathBuf>::new(), "{below}");
        disk.plug();
        m.remount();
        assert_eq!(m.texts("a"), ["one"]);
        drop(m);
    }
}

#[test]
fn a_store_that_was_lost_is_begun_anew_and_gets_what_is_live() {
    let directory = tempfile::tempdir().unwrap();
    let store = directory.path().join("packs");
    let mut m = Setup::new()
        .init(&["--store", store.to_str().unwrap()])
        .start();
    m.write("a", "one");
    m.unmount();
    fs::remove_dir_all(&store).unwrap();
    fs::create_dir(&store).unwrap();
    let said = m.try_remount().unwrap_err();
    assert!(said.contains("`keepfs mount --accept-empty`"), "{said}");
    let (vault, root) = (m.vault.to_str().unwrap(), m.root.to_str().unwrap());
    let done = m.keepfs(&["mount", "--accept-empty", vault, root]);
    assert!(done.status.success(), "{done:?}");
    m.run("\"$KEEPFS\" check --repair .");
    let done = m.keepfs(&["umount", m.root.to_str().unwrap()]);
    assert!(done.status.success(), "{done:?}");
    m.remount();
    assert_eq!(m.texts("a"), ["one"]);
}
