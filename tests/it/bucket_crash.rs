//! kill -9 at the named points of upload, journal, prune and first backup, with the packs in a
//! bucket: the vault mounts again, catches up, `check --read-data` is clean, and a rebuild from
//! the bucket alone is the same.
//!
//! The load and what it promises are those of `crash.rs`; a first backup has its own.

use std::cell::Cell;
use std::fs;

use crate::buckets::{allow, setup};
use crate::crash::{crash_points, kill_at_each};
use crate::harness::{Mount, closing, count, noise, not_run, wait_for};
use crate::journal::{live_files, rebuilt_from};
use crate::servers::{BucketServer, Kind, kinds};

/// The points of the way into a bucket, and of what is removed from it.
const THEMES: [&str; 4] = ["ingest.", "store.", "prune.", "journal."];

fn catches_up(m: &Mount) {
    m.run("\"$KEEPFS\" wait .");
    wait_for("nothing to be on the way", || {
        let status = m.json(&["status"]);
        (status["packs_pending"] == 0 && status["versions_pending"] == 0).then_some(())
    });
    m.run("\"$KEEPFS\" check --read-data .");
}

/// Who can read the bucket.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Readers {
    Anybody,
    OnlyTheKeysOwner,
}

fn a_kill_loses_nothing_in(kind: Kind, readers: Readers, themes: &[&str], times: &[usize]) {
    if cfg!(not(debug_assertions)) {
        return not_run("named crash points on buckets", "a release build has none");
    }
    let mut points = crash_points();
    points.retain(|point| themes.iter().any(|theme| point.starts_with(theme)));
    // Where the pack is a file that is linked into a directory.
    points.retain(|point| point != "store.ended");
    let server = BucketServer::start(kind);
    allow(&server, "photos");
    // The load repairs nothing.
    points.retain(|point| point != "journal.before-anew");
    // Each vault has a prefix of its own in the one bucket.
    let vaults = Cell::new(0);
    let prefix = || format!("vault{}", vaults.get());
    let keys = tempfile::tempdir().expect("a directory");
    let key_file = || format!("{}/{}.key", keys.path().display(), prefix());
    let settled = |m: &Mount| {
        catches_up(m);
        if m.json(&["status"])["store"] != server.url(&prefix()) {
            // The load moved it away.
            return;
        }
        let mut env = server.environment();
        let key_file = key_file();
        if readers == Readers::OnlyTheKeysOwner {
            env.push(("KEEPFS_KEY_FILE", &key_file));
        }
        assert_eq!(rebuilt_from(m, &env, &server.url(&prefix())), live_files(m));
    };
    kill_at_each(&points, times, settled, || {
        vaults.set(vaults.get() + 1);
        let setup = setup(&server, &prefix()).config("pack_bytes", "\"256KiB\"");
        match readers {
            Readers::Anybody => setup,
            Readers::OnlyTheKeysOwner => setup.init(&["--encrypt", "--key-file", &key_file()]),
        }
    });
}

#[test]
fn a_kill_at_each_point_of_upload_and_prune_loses_nothing_in_a_bucket() {
    for kind in kinds(&[Kind::S3]) {
        let times = &[1, 2, 5][..count(1, 3)];
        a_kill_loses_nothing_in(kind, Readers::Anybody, &THEMES, times);
    }
}

#[test]
fn a_kill_at_each_point_of_the_journal_loses_nothing_of_an_encrypted_vault() {
    let themes = match count(0, 1) {
        0 => &["journal."][..],
        _ => &THEMES,
    };
    a_kill_loses_nothing_in(Kind::S3, Readers::OnlyTheKeysOwner, themes, &[1]);
}

#[test]
fn a_kill_at_each_point_of_a_first_backup_loses_nothing_in_a_bucket() {
    if cfg!(not(debug_assertions)) {
        return not_run(
            "a kill in the middle of a first backup into a bucket",
            "a release build has no crash points",
        );
    }
    let mut points = crash_points();
    points.retain(|point| point.starts_with("intake."));
    assert!(points.len() >= 3, "{points:?}");
    // Some packs are in the bucket by then, and some are not.
    points.extend(["intake.written:4", "store.after-put:2"].map(Into::into));
    for kind in kinds(&[Kind::S3]) {
        let server = BucketServer::start(kind);
        allow(&server, "photos");
        for (number, point) in points.iter().enumerate() {
            let prefix = format!("backup{number}");
            let setup = setup(&server, &prefix).config("pack_bytes", "\"64KiB\"");
            let mut m = setup.env("KEEPFS_CRASH_AT", point).start();
            closing(|| {
                for seed in 0..200 {
                    let directory = m.live(format!("d{}", seed % 7));
                    fs::create_dir_all(&directory).unwrap();
                    fs::write(directory.join(format!("f{seed}")), noise(seed, 3_000)).unwrap();
                }
                fs::write(m.live("large"), noise(1_000, 2_000_000)).unwrap();
            });
            let killed = m.keepfs(&["backup"]);
            assert_eq!(killed.status.code(), Some(1), "{point}: {killed:?}");
            m.crashed();
            m.forget_env("KEEPFS_CRASH_AT");
            m.remount();
            m.run("\"$KEEPFS\" backup .");
            catches_up(&m);
            assert_eq!(m.json(&["status"])["versions"], 201, "{point}");
            let live = live_files(&m);
            // It could merge small packs while the rebuilt vault is checked.
            m.unmount();
            let rebuilt = rebuilt_from(&m, &server.environment(), &server.url(&prefix));
            assert_eq!(rebuilt, live, "{point}");
        }
    }
}
