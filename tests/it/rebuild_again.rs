//! A rebuild that was interrupted and comes to its end another day, when the question or the
//! live tree have changed; and what becomes of the store, and of what it says of this machine.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use rustix::io::Errno;

use crate::harness::{files_below, noise, not_run, text};
use crate::proxy::Proxy;
use crate::rebuild::{lose, packs_of_one_file, rebuild, rebuilt, vault_in};
use crate::servers::{BucketServer, Kind, kinds};

#[test]
fn another_instant_leaves_nothing_of_the_first_attempt_and_all_that_people_made() {
    if cfg!(not(debug_assertions)) {
        return not_run(
            "an interrupted rebuild",
            "a release build has no named points",
        );
    }
    let server = BucketServer::start(Kind::S3);
    let mut m = vault_in(&server).start();
    m.mkdir("d");
    m.write("d/gone", "was there");
    m.write("changed", "then");
    m.write("kept", "as ever");
    m.run("\"$KEEPFS\" wait .");
    let at = m.run("date -u +%Y-%m-%dT%H:%M:%S.%NZ");
    m.remove("d/gone");
    m.write("changed", "now");
    m.write("edited", "before");
    m.run("\"$KEEPFS\" wait .");
    lose(&mut m);
    let mut env = server.environment();
    env.push(("KEEPFS_CRASH_AT", "rebuild.filled"));
    let killed = rebuild(&m, &server.url("p"), &["--live", "--at", at.trim()], &env);
    assert!(killed.status.code().is_none(), "{killed:?}");
    let live = m.vault.join("live");
    assert_eq!(fs::read(live.join("d/gone")).unwrap(), b"was there");
    fs::write(live.join("mine"), "made meanwhile").unwrap();
    rebuilt(&m, &server, &["--live"]);
    assert!(!live.join("d").exists());
    assert_eq!(fs::read(live.join("mine")).unwrap(), b"made meanwhile");
    assert!(!m.vault.join("rebuild.written").exists());
    m.remount();
    m.run("\"$KEEPFS\" scan .");
    assert_eq!(m.list(""), ["changed", "edited", "kept", "mine"]);
    assert_eq!(m.texts("changed"), ["then", "now"]);
    assert_eq!(m.texts("kept"), ["as ever"]);
    assert_eq!(m.deleted(), ["d/gone".to_owned()].into());
}

#[test]
fn what_was_deleted_for_good_stays_so_when_the_machine_is_lost_at_once() {
    let server = BucketServer::start(Kind::S3);
    let setup = vault_in(&server).config("pack_age_max", "\"1h\"");
    let mut m = setup.start();
    m.write("kept", noise(1, 50_000));
    m.write("secret", noise(2, 50_000));
    m.run("\"$KEEPFS\" wait .");
    m.remove("secret");
    m.run("\"$KEEPFS\" wait .; \"$KEEPFS\" purge --yes secret");
    lose(&mut m);
    rebuilt(&m, &server, &["--live"]);
    m.remount();
    m.run("\"$KEEPFS\" check --read-data .");
    assert!(m.deleted().is_empty(), "{:?}", m.deleted());
    m.rename("kept", "secret");
    assert_eq!(m.contents("secret"), [noise(1, 50_000)]);
}

#[test]
fn what_was_rewritten_after_the_journal_is_found_where_it_is_now() {
    let mut server = BucketServer::start(Kind::S3);
    let mut m = vault_in(&server).start();
    m.write("stays", noise(1, 100_000));
    m.write("goes", noise(2, 100_000));
    m.run("\"$KEEPFS\" wait .");
    let journal = server.bucket().join("p/catalog");
    let objects = |files: Vec<PathBuf>| -> BTreeMap<PathBuf, Vec<u8>> {
        let files = files.into_iter();
        files.map(|f| (f.clone(), fs::read(f).unwrap())).collect()
    };
    let before = objects(files_below(&journal));
    let packs = files_below(&server.bucket().join("p/packs"));
    m.remove("goes");
    m.run("\"$KEEPFS\" purge --yes goes; \"$KEEPFS\" wait .");
    let now = files_below(&server.bucket().join("p/packs"));
    assert!(packs.iter().all(|pack| !now.contains(pack)), "{packs:?}");
    lose(&mut m);
    for file in files_below(&journal) {
        fs::remove_file(file).unwrap();
    }
    for (file, bytes) in before {
        fs::write(file, bytes).unwrap();
    }
    server.restart();
    let args = ["--live", "--json"];
    let done = rebuild(&m, &server.url("p"), &args, &server.environment());
    assert_eq!(done.status.code(), Some(5), "{done:?}");
    let summary: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
    let failed = summary["live_failed"].as_array().unwrap();
    let failed: Vec<_> = failed.iter().map(|file| &file["path"]).collect();
    assert_eq!(failed, ["goes"]);
    assert_eq!(
        fs::read(m.vault.join("live/stays")).unwrap(),
        noise(1, 100_000)
    );
    m.expect_damage();
}

#[test]
fn nothing_is_written_to_a_bucket_not_even_whose_it_is() {
    let mut server = BucketServer::start(Kind::S3);
    let mut m = vault_in(&server).start();
    m.write("a", "one");
    m.run("\"$KEEPFS\" wait .");
    m.unmount();
    let objects = |server: &BucketServer| -> BTreeMap<PathBuf, Vec<u8>> {
        let files = files_below(&server.bucket()).into_iter();
        files.map(|f| (f.clone(), fs::read(f).unwrap())).collect()
    };
    for missing in [&[][..], &["vault.json"], &["lease.json"]] {
        lose(&mut m);
        for name in missing {
            fs::remove_file(server.bucket().join("p").join(name)).unwrap();
        }
        server.restart();
        let before = objects(&server);
        rebuilt(&m, &server, &["--live"]);
        server.restart();
        let after = objects(&server);
        assert!(before.keys().eq(after.keys()), "{before:?}\n{after:?}");
        assert!(before == after, "an object was changed");
        assert_eq!(fs::read(m.vault.join("live/a")).unwrap(), b"one");
    }
    m.remount();
    assert_eq!(m.texts("a"), ["one"]);
}

#[test]
fn a_rebuild_sends_no_bucket_a_request_that_could_change_it() {
    for kind in kinds(&[Kind::S3]) {
        let server = BucketServer::start(kind);
        // It outlives the vault, which is checked through it at the end.
        let proxy = Proxy::before(server.port());
        let mut m = vault_in(&server).start();
        m.write("a", "one");
        m.run("\"$KEEPFS\" wait .");
        m.unmount();
        lose(&mut m);
        let url = server.url_through(proxy.port(), "p");
        let done = rebuild(&m, &url, &["--live"], &server.environment());
        assert!(done.status.success(), "{kind:?}: {done:?}");
        assert_eq!(fs::read(m.vault.join("live/a")).unwrap(), b"one");
        assert!(proxy.requests("GET", "") > 0, "{kind:?}");
        for method in ["PUT", "POST", "PATCH", "DELETE"] {
            let seen = proxy.seen();
            assert_eq!(proxy.requests(method, ""), 0, "{kind:?}: {seen:?}");
        }
    }
}

#[test]
fn a_rebuild_needs_no_leave_of_the_owner_and_the_mount_that_writes_does() {
    let mut server = BucketServer::start(Kind::S3);
    let mut m = vault_in(&server).start();
    m.write("a", "one");
    m.run("\"$KEEPFS\" wait .");
    lose(&mut m);
    let marker = server.bucket().join(".wellknown/keepfs/photos");
    fs::remove_file(&marker).unwrap();
    server.restart();
    rebuilt(&m, &server, &["--live"]);
    assert_eq!(fs::read(m.vault.join("live/a")).unwrap(), b"one");
    let refused = m.try_remount().unwrap_err();
    assert!(refused.contains("aws s3api put-object"), "{refused}");
    fs::write(&marker, "").unwrap();
    server.restart();
    m.remount();
    assert_eq!(m.texts("a"), ["one"]);
}

#[test]
fn a_pack_that_is_cut_short_keeps_its_versions_and_brings_them_back_when_it_is_mended() {
    let mut server = BucketServer::start(Kind::S3);
    let mut m = vault_in(&server).config("pack_bytes", "\"64KiB\"").start();
    let second = packs_of_one_file(&server, &m);
    lose(&mut m);
    let copies: Vec<_> = second.iter().map(|pack| fs::read(pack).unwrap()).collect();
    for (pack, bytes) in second.iter().zip(&copies) {
        fs::write(pack, &bytes[..100]).unwrap();
    }
    server.restart();
    let env = server.environment();
    let done = rebuild(&m, &server.url("p"), &["--live", "--json"], &env);
    assert_eq!(done.status.code(), Some(5), "{done:?}");
    let summary: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(summary["packs_missing"], 0, "{summary}");
    assert_eq!(summary["packs_damaged"], second.len(), "{summary}");
    assert_eq!(summary["versions_hurt"], 1, "{summary}");
    assert_eq!(summary["versions_dropped"], 0, "{summary}");
    m.remount();
    assert_eq!(m.read("whole"), noise(1, 100_000));
    let [version] = &m.versions("hurt")[..] else {
        panic!("{:?}", m.versions("hurt"))
    };
    let version = m.version_path("hurt", version);
    let error = fs::read(&version).unwrap_err();
    assert_eq!(Errno::from_io_error(&error), Some(Errno::IO), "{error}");
    let checked = m.keepfs(&["check"]);
    assert_eq!(checked.status.code(), Some(5), "{checked:?}");
    assert!(
        text(&checked.stderr).contains("hurt: version"),
        "{checked:?}"
    );
    m.unmount();
    for (pack, bytes) in second.iter().zip(&copies) {
        fs::write(pack, bytes).unwrap();
    }
    server.restart();
    m.remount();
    assert_eq!(fs::read(&version).unwrap(), noise(2, 100_000));
    m.run("\"$KEEPFS\" check --read-data .");
}
