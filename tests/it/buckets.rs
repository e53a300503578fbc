//! Vaults whose packs lie in a bucket, on real servers.

use std::fs;
use std::process::Command;

use crate::harness::{Mount, Setup, keepfs_binary, noise, output, text, wait_for};
use crate::servers::{BucketServer, KEY, Kind, SECRET, objects};

/// The owner's marker for a vault.
pub fn allow(server: &BucketServer, vault: &str) {
    let mut command = Command::new(keepfs_binary());
    command.args(["store", "allow", &server.url("p"), "--name", vault]);
    let done = output(command.envs(server.environment()));
    assert!(done.status.success(), "{done:?}");
}

/// A vault `photos` with its packs under `p`.
pub fn setup(server: &BucketServer) -> Setup {
    let mut setup = Setup::new().init(&["--store", &server.url("p"), "--name", "photos"]);
    for (name, value) in server.environment() {
        setup = setup.env(name, value);
    }
    setup
}

/// Writes, waits, starts anew without any cache, and reads everything back.
fn history_survives_in(kind: Kind) {
    let server = BucketServer::start(kind);
    allow(&server, "photos");
    let mut m = setup(&server).config("pack_bytes", "\"1MiB\"").start();
    let large = noise(1, 3_000_000);
    m.write("large", &large);
    for n in 0..20 {
        m.write("small", format!("content {n}"));
    }
    m.remove("large");
    m.run("\"$KEEPFS\" wait .");
    let status = m.json(&["status"]);
    assert_eq!(status["versions_pending"], 0);
    assert_eq!(status["packs_pending"], 0, "{status}");
    m.unmount();
    m.remount();
    assert_eq!(m.texts("small").len(), 20);
    assert_eq!(m.texts("small")[7], "content 7");
    assert_eq!(m.contents("large"), std::slice::from_ref(&large));
    m.run("cp -a .deleted/large .; \"$KEEPFS\" check --read-data .");
    assert_eq!(m.read("large"), large);
}

#[test]
fn history_survives_in_an_s3_bucket() {
    history_survives_in(Kind::S3);
}

#[test]
fn history_survives_in_an_azure_container() {
    history_survives_in(Kind::Azure);
}

#[test]
fn without_the_owners_marker_nothing_is_written_and_the_way_out_is_named() {
    let server = BucketServer::start(Kind::S3);
    let vault = tempfile::tempdir().unwrap();
    let init = || {
        let mut command = Command::new(keepfs_binary());
        command.arg("init").arg(vault.path().join("v"));
        command.args(["--store", &server.url("p"), "--name", "photos"]);
        output(command.envs(server.environment()))
    };
    let done = init();
    let said = text(&done.stderr);
    assert_eq!(done.status.code(), Some(4), "{done:?}");
    assert!(said.contains("keepfs store allow s3://bucket/p"), "{said}");
    assert!(
        said.contains("aws s3api put-object --bucket bucket --key '.wellknown/keepfs/photos'"),
        "{said}"
    );
    assert_eq!(said.trim_end().lines().count(), 1, "{said}");
    assert!(objects(&server.bucket()).is_empty());
    allow(&server, "photos");
    assert!(init().status.success());
    assert_eq!(
        objects(&server.bucket()),
        [".wellknown/keepfs/photos", "p/lease.json", "p/vault.json"]
    );
}

#[test]
fn a_prefix_belongs_to_one_vault() {
    let server = BucketServer::start(Kind::S3);
    allow(&server, "photos");
    let mut first = setup(&server).start();
    first.write("a", "one");
    first.unmount();
    let vault = tempfile::tempdir().unwrap();
    let mut command = Command::new(keepfs_binary());
    command.arg("init").arg(vault.path().join("v"));
    command.args(["--store", &server.url("p"), "--name", "photos"]);
    let done = output(command.envs(server.environment()));
    assert_eq!(done.status.code(), Some(4), "{done:?}");
    assert!(text(&done.stderr).contains("belongs to the vault 'photos'"));
}

#[test]
fn wrong_credentials_are_one_line_without_the_secret() {
    let server = BucketServer::start(Kind::S3);
    let mut command = Command::new(keepfs_binary());
    command.args(["store", "allow", &server.url("p"), "--name", "photos"]);
    command.env("AWS_ACCESS_KEY_ID", KEY);
    let wrong = format!("{SECRET}-wrong");
    let done = output(command.env("AWS_SECRET_ACCESS_KEY", &wrong));
    let said = text(&done.stderr);
    assert_eq!(done.status.code(), Some(6), "{said}");
    assert!(said.contains("refuses the credentials"), "{said}");
    assert!(!said.contains(&wrong), "{said}");
    assert_eq!(said.trim_end().lines().count(), 1, "{said}");
}

#[test]
fn a_bucket_that_is_not_there_is_named() {
    let server = BucketServer::start(Kind::S3);
    let url = server.url("p").replace("//bucket", "//nobody");
    let mut command = Command::new(keepfs_binary());
    command.args(["store", "allow", &url, "--name", "photos"]);
    let done = output(command.envs(server.environment()));
    assert!(!done.status.success(), "{done:?}");
    assert_eq!(text(&done.stderr).trim_end().lines().count(), 1, "{done:?}");
}

fn pending(m: &Mount) -> u64 {
    let status = m.json(&["status"]);
    status["packs_pending"].as_u64().unwrap() + status["versions_pending"].as_u64().unwrap()
}

#[test]
fn a_bucket_that_is_away_delays_nobody_and_gets_everything_when_it_is_back() {
    let mut server = BucketServer::start(Kind::S3);
    allow(&server, "photos");
    let mut m = setup(&server).config("pack_bytes", "\"64KiB\"").start();
    m.write("before", "kept before");
    m.run("\"$KEEPFS\" wait .");
    server.stop();
    for n in 0..30 {
        m.write(format!("f{n}"), noise(n, 20_000));
        m.write(format!("f{n}"), noise(n + 100, 20_000));
    }
    assert_eq!(m.contents("f7"), [noise(7, 20_000), noise(107, 20_000)]);
    let late = m.keepfs(&["wait", "--timeout", "1s", "."]);
    assert_eq!(late.status.code(), Some(6), "{late:?}");
    let status = m.keepfs(&["status", "--max-age", "0s", "."]);
    assert_eq!(status.status.code(), Some(6), "{status:?}");
    assert!(pending(&m) > 0);
    // The daemon may even end and start again meanwhile.
    m.crash();
    m.remount();
    assert_eq!(m.contents("f7"), [noise(7, 20_000), noise(107, 20_000)]);
    m.write("during", "kept while it was away");
    server.run();
    m.run("\"$KEEPFS\" wait .");
    wait_for("nothing to be on the way", || {
        (pending(&m) == 0).then_some(())
    });
    let packs = server.bucket().join("p/packs");
    assert!(objects(&packs).len() > 10);
    m.run("\"$KEEPFS\" check --read-data .");
    assert_eq!(m.texts("during"), ["kept while it was away"]);
    fs::metadata(m.vault.join("spool")).unwrap();
}
