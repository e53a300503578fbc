//! Retention on a real mount: pins, rules, readers, and a kill in every gap of a prune.

use std::fs::File;
use std::os::unix::fs::FileExt;

use crate::harness::{Disk, Mount, Setup, files_below, noise, not_run, text, wait_for};

fn write_all(m: &Mount, path: &str, contents: &[&str]) {
    for content in contents {
        m.write(path, content);
    }
}

#[track_caller]
fn ok(m: &Mount, args: &[&str]) -> String {
    let done = m.keepfs(args);
    assert!(done.status.success(), "{args:?}: {done:?}");
    text(&done.stdout)
}

#[test]
fn a_dry_run_explains_each_version_and_a_prune_drops_what_it_said() {
    let m = Mount::new();
    write_all(&m, "a", &["1", "22", "333", "4444"]);
    m.mkdir("keep");
    write_all(&m, "keep/a", &["1", "2", "3"]);
    let ids = m.versions("a");
    assert!(ok(&m, &["prune", "--dry-run"]).contains("nothing to prune"));
    // Without a new mount: the rules are read at each prune.
    m.set_retention("keep_last = 2\n[[retention.path]]\npattern = \"keep/\"");
    let pinned = ok(&m, &["pin", "a", &ids[0]]);
    assert_eq!(pinned, format!("pinned a {}\n", ids[0]));
    let said = ok(&m, &["prune", "--dry-run"]);
    for (id, words) in ids.iter().zip([
        "keep     pinned",
        "drop     no rule keeps it",
        "keep     last 2",
        "keep     head, last 2",
    ]) {
        let line = said.lines().find(|line| line.contains(id.as_str()));
        assert!(line.is_some_and(|line| line.contains(words)), "{said}");
    }
    assert!(
        said.contains("would drop 1 of 7 versions, in 1 file"),
        "{said}"
    );
    assert_eq!(m.versions("a").len(), 4);
    let json = m.json(&["prune", "--dry-run"]);
    assert_eq!(json["versions"].as_array().unwrap().len(), 7);
    assert_eq!((&json["dropped"], &json["judged"]), (&1.into(), &7.into()));
    let said = ok(&m, &["prune"]);
    assert!(said.contains(&ids[1]) && !said.contains(&ids[2]), "{said}");
    assert_eq!(m.versions("a"), [&ids[0][..], &ids[2], &ids[3]]);
    assert_eq!(m.versions("keep/a").len(), 3);
    assert!(
        m.log().contains("pruned a: dropped 1 of 4 versions"),
        "{}",
        m.log()
    );
    let again = ok(&m, &["prune"]);
    assert!(again.contains("dropped 0 of 6 versions"), "{again}");
}

#[test]
fn pins_are_shown_and_can_be_taken_off() {
    let m = Mount::new();
    write_all(&m, "a", &["1", "2"]);
    let ids = m.versions("a");
    ok(&m, &["pin", &format!(".versions/a/{}", ids[0])]);
    let attribute =
        |id: &str| crate::harness::xattr(&m.path(".versions/a").join(id), "user.keepfs.pinned");
    assert_eq!(attribute(&ids[0]).as_deref(), Some("yes"));
    assert_eq!(attribute(&ids[1]), None);
    let listed = ok(&m, &["versions", "a"]);
    assert!(
        listed.lines().nth(1).unwrap().ends_with("stored, pinned"),
        "{listed}"
    );
    let pinned = |m: &Mount| -> Vec<bool> {
        let json = m.json(&["versions", "a"]);
        let rows = json.as_array().unwrap().iter();
        rows.map(|row| row["pinned"].as_bool().unwrap()).collect()
    };
    assert_eq!(pinned(&m), [true, false]);
    // Renames take pins along, and so does a deletion.
    m.rename("a", "b");
    m.remove("b");
    let unpinned = ok(&m, &["unpin", "b"]);
    assert_eq!(unpinned, format!("unpinned b {}\n", ids[0]));
    let refused = m.keepfs(&["pin", "nothing"]);
    assert_eq!(refused.status.code(), Some(3), "{refused:?}");
    let refused = m.keepfs(&["pin", "b", "ffffffff"]);
    assert!(
        text(&refused.stderr).contains("version ffffffff not found"),
        "{refused:?}"
    );
}

#[test]
fn a_reader_of_a_dropped_version_reads_on_and_its_bytes_go_when_it_closed() {
    let m = Setup::new().mount(&["--cache-bytes-max", "64KiB"]).start();
    let old = noise(7, 3_000_000);
    m.write("a", &old);
    m.write("a", "new");
    let id = m.versions("a")[0].clone();
    wait_for("the packs", || {
        (m.json(&["status"])["versions_pending"] == 0).then_some(())
    });
    let reader = File::open(m.path(".versions/a").join(&id)).expect("the version");
    m.set_retention("keep_last = 1");
    let json = m.json(&["prune"]);
    assert_eq!(
        (&json["dropped"], &json["freed_bytes"]),
        (&1.into(), &0.into())
    );
    assert!(json["dead_bytes"].as_u64().unwrap() >= 3_000_000, "{json}");
    assert_eq!(m.versions("a").len(), 1);
    assert!(File::open(m.path(".versions/a").join(&id)).is_err());
    let mut found = vec![0; old.len()];
    reader.read_exact_at(&mut found, 0).expect("reading on");
    assert!(found == old);
    drop(reader);
    // The kernel tells of the close when it likes.
    wait_for("the bytes to go", || {
        let freed = m.json(&["prune"])["freed_bytes"].as_u64();
        (freed? >= 3_000_000).then_some(())
    });
}

#[test]
fn a_prune_needs_room_for_one_pack_however_many_it_rewrites() {
    const PACK_BYTES: u64 = 1 << 20;
    let home = tempfile::tempdir().unwrap();
    let place = home.path().join("disk");
    let Some(disk) = Disk::mount("a prune on a full disk", &place, "32m") else {
        return;
    };
    let store = place.join("packs");
    let setup = Setup::new().init(&["--store", store.to_str().unwrap()]);
    let mut m = setup.config("pack_bytes", "\"1MiB\"").start();
    let kept: Vec<_> = (0..80).map(|n| noise(1000 + n, 40_000)).collect();
    for (n, bytes) in (0..).zip(&kept) {
        m.write("dropped", noise(n, 100_000));
        m.write(format!("kept{n}"), bytes);
    }
    m.run("\"$KEEPFS\" wait .");
    m.set_retention("keep_last = 1");
    let free = rustix::fs::statvfs(&place).expect("statvfs");
    let free = free.f_bavail * free.f_frsize;
    let filler = vec![0; (free - PACK_BYTES - PACK_BYTES / 2) as usize];
    std::fs::write(place.join("filler"), filler).expect("the filler");
    let freed = m.json(&["prune"])["freed_bytes"].as_u64();
    assert!(freed > Some(7_500_000), "{freed:?}");
    let left: u64 = files_below(&store)
        .iter()
        .map(|path| path.metadata().expect("a file of the store").len())
        .sum();
    assert!(left > 3 * PACK_BYTES, "all at once would not have fitted");
    assert!(left < 5 * PACK_BYTES, "{left}");
    for (n, bytes) in kept.iter().enumerate() {
        assert!(m.contents(format!("kept{n}")) == [&bytes[..]], "kept{n}");
    }
    m.unmount();
    m.check();
    drop(m);
    drop(disk);
}

#[test]
fn an_unmounted_vault_is_pruned_too() {
    let mut m = Mount::new();
    write_all(&m, "a", &["1", "2", "3"]);
    m.set_retention("keep_last = 1");
    m.unmount();
    let done = m.on_vault(&["prune", "."]);
    assert!(done.status.success(), "{done:?}");
    m.check();
    m.remount();
    assert_eq!(m.texts("a"), ["3"]);
}

#[test]
fn files_are_written_read_and_deleted_while_a_prune_runs() {
    let m = Mount::new();
    m.set_retention("keep_last = 2\nkeep_deleted_for = \"1s\"");
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writers: Vec<_> = ["a", "b"]
            .map(|name| {
                let m = &m;
                scope.spawn(move || {
                    for round in 0..60 {
                        let bytes = noise(round / 2, 20_000);
                        m.write(name, &bytes);
                        assert!(m.read(name) == bytes);
                        if round % 20 == 19 {
                            m.remove(name);
                        }
                        let latest = m.path(".versions").join(name).join("latest");
                        if let Ok(latest) = std::fs::read(&latest) {
                            assert!(latest == bytes, "{name}, round {round}");
                        }
                    }
                    m.write(name, "the end");
                })
            })
            .into();
        scope.spawn(|| {
            while !done.load(std::sync::atomic::Ordering::SeqCst) {
                ok(&m, &["prune"]);
            }
        });
        for writer in writers {
            writer.join().unwrap();
        }
        done.store(true, std::sync::atomic::Ordering::SeqCst);
    });
    ok(&m, &["prune"]);
    for name in ["a", "b"] {
        assert_eq!(m.read(name), b"the end");
        let versions = m.contents(name);
        assert!(versions.len() <= 2, "{} versions of {name}", versions.len());
        assert_eq!(versions.last().unwrap(), b"the end");
    }
    m.check();
}

#[test]
fn a_kill_in_each_gap_of_a_prune_leaves_a_vault_that_is_whole() {
    if cfg!(not(debug_assertions)) {
        return not_run("named crash points", "a release build has none");
    }
    for point in [
        "prune.removed",
        "prune.released",
        "prune.committed",
        "prune.before-repack",
        "store.reclaim.after-put",
        "store.reclaim.after-commit",
        "store.reclaim.after-delete",
        "prune.after-repack",
    ] {
        let mut m = Setup::new()
            .env("KEEPFS_CRASH_AT", point)
            .config("pack_age_max", "\"1h\"")
            .start();
        let contents: Vec<Vec<u8>> = (0..6).map(|seed| noise(seed, 100_000)).collect();
        for content in &contents {
            m.write("a", content);
        }
        m.write("b", "stays");
        m.remove("b");
        m.set_retention("keep_last = 1");
        let killed = m.keepfs(&["prune"]);
        assert!(!killed.status.success(), "{point}: {killed:?}");
        assert!(!m.crashed().success(), "{point} was not reached");
        m.clear_env();
        m.remount();
        let done = m.keepfs(&["scan"]);
        assert!(done.status.success(), "{point}: {done:?}");
        let left = m.contents("a");
        assert!(left.last() == contents.last(), "{point}: the head is there");
        m.unmount();
        m.check();
        m.remount();
        // The next prune finishes what was interrupted.
        ok(&m, &["prune"]);
        assert_eq!(m.versions("a").len(), 1, "{point}");
        assert_eq!(m.read_deleted("b"), "stays");
        let stored = m.json(&["status"])["stored_bytes"].as_u64().unwrap();
        assert!(stored < 250_000, "{point}: {stored} bytes are left");
        m.unmount();
        m.check();
    }
}

#[test]
fn a_kill_in_each_gap_of_a_deletion_for_good_is_made_up_for_at_the_next_start() {
    if cfg!(not(debug_assertions)) {
        return not_run("named crash points", "a release build has none");
    }
    let secret = noise(1, 100_000);
    for point in [
        "purge.audited",
        "purge.removed",
        "purge.reclaimed",
        "purge.published",
    ] {
        let mut m = Setup::new()
            .env("KEEPFS_CRASH_AT", point)
            .config("pack_age_max", "\"1h\"")
            .start();
        m.write("secret", &secret);
        m.write("stays", noise(2, 100_000));
        m.remove("secret");
        m.run("\"$KEEPFS\" wait .");
        let killed = m.keepfs(&["purge", "--yes", "secret"]);
        assert!(!killed.status.success(), "{point}: {killed:?}");
        assert!(!m.crashed().success(), "{point} was not reached");
        m.clear_env();
        m.remount();
        ok(&m, &["scan"]);
        let audited = std::fs::read_to_string(m.vault.join("audit.log")).unwrap();
        assert_eq!(audited.matches("\"path\":\"secret\"").count(), 1, "{point}");
        let is_left = !m.deleted().is_empty();
        assert_eq!(is_left, point == "purge.audited", "{point}");
        if is_left {
            ok(&m, &["purge", "--yes", "secret"]);
        }
        wait_for("the bytes to be gone", || {
            let is_gone = files_below(&m.vault.join("store/packs"))
                .iter()
                .all(|pack| {
                    let bytes = std::fs::read(pack).unwrap_or_default();
                    !bytes
                        .windows(64)
                        .any(|part| part == &secret[50_000..50_064])
                });
            is_gone.then_some(())
        });
        assert!(m.contents("stays") == [noise(2, 100_000)], "{point}");
        m.unmount();
        m.check();
    }
}
