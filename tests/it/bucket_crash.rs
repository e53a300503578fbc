//! kill -9 at the named points of upload, journal and prune, with the packs in a bucket: the
//! vault mounts again, catches up, `check --read-data` is clean, and a rebuild from the bucket
//! alone is the same.
//!
//! The load and what it promises are those of `crash.rs`.

use std::cell::Cell;

use crate::buckets::{allow, setup};
use crate::crash::{crash_points, kill_at_each};
use crate::harness::{Mount, count, not_run, wait_for};
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

fn a_kill_loses_nothing_in(kind: Kind, times: &[usize]) {
    if cfg!(not(debug_assertions)) {
        return not_run("named crash points on buckets", "a release build has none");
    }
    let mut points = crash_points();
    points.retain(|point| THEMES.iter().any(|theme| point.starts_with(theme)));
    // Where the pack is a file that is linked into a directory.
    points.retain(|point| point != "store.ended");
    let server = BucketServer::start(kind);
    allow(&server, "photos");
    // The load repairs nothing.
    points.retain(|point| point != "journal.before-anew");
    // Each vault has a prefix of its own in the one bucket.
    let vaults = Cell::new(0);
    let prefix = || format!("vault{}", vaults.get());
    let settled = |m: &Mount| {
        catches_up(m);
        if m.json(&["status"])["store"] != server.url(&prefix()) {
            // The load moved it away.
            return;
        }
        assert_eq!(
            rebuilt_from(m, &server.environment(), &server.url(&prefix())),
            live_files(m)
        );
    };
    kill_at_each(&points, times, settled, || {
        vaults.set(vaults.get() + 1);
        setup(&server, &prefix()).config("pack_bytes", "\"256KiB\"")
    });
}

#[test]
fn a_kill_at_each_point_of_upload_and_prune_loses_nothing_in_a_bucket() {
    for kind in kinds(&[Kind::S3]) {
        a_kill_loses_nothing_in(kind, &[1, 2, 5][..count(1, 3)]);
    }
}
