//! Vaults whose packs lie in a bucket, on real servers.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::harness::{
    Mount, Setup, files_below, keepfs_binary, noise, output, text, wait_for, xattr,
};
use crate::servers::{BucketServer, KEY, Kind, SECRET, kinds, objects};

/// The owner's marker for a vault.
pub fn allow(server: &BucketServer, vault: &str) {
    let mut command = Command::new(keepfs_binary());
    command.args(["store", "allow", &server.url("p"), "--name", vault]);
    let done = output(command.envs(server.environment()));
    assert!(done.status.success(), "{done:?}");
}

/// A vault `photos` with its packs under a prefix.
pub fn setup(server: &BucketServer, prefix: &str) -> Setup {
    let mut setup = Setup::new().init(&["--store", &server.url(prefix), "--name", "photos"]);
    for (name, value) in server.environment() {
        setup = setup.env(name, value);
    }
    setup
}

/// Writes, waits, starts anew without any cache, and reads everything back.
fn history_survives_in(kind: Kind) {
    let server = BucketServer::start(kind);
    allow(&server, "photos");
    let mut m = setup(&server, "p").config("pack_bytes", "\"1MiB\"").start();
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
fn history_survives_in_every_kind_of_bucket() {
    for kind in kinds(&[Kind::S3, Kind::Azure, Kind::Google]) {
        history_survives_in(kind);
    }
}

/// Packs beyond what one request takes go up in parts.
#[test]
fn a_pack_in_parts_comes_back_whole() {
    for kind in kinds(&[Kind::S3, Kind::Azure, Kind::Google]) {
        let server = BucketServer::start(kind);
        allow(&server, "photos");
        let setup = setup(&server, "p").config("pack_bytes", "\"64MiB\"");
        let mut m = setup.config("ingest_threads", "1").start();
        let large = noise(1, 45 << 20);
        m.write("large", &large);
        m.run("\"$KEEPFS\" wait .");
        m.unmount();
        m.remount();
        assert!(m.contents("large")[0] == large, "{kind:?}");
        m.run("\"$KEEPFS\" check --read-data .");
    }
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
    // As it stands there, a shell takes it: the URL has a '&' in it.
    let command = said.split('`').nth(1).unwrap_or_default();
    let words = output(Command::new("sh").args(["-c", &format!("printf '%s|' {command}")]));
    assert_eq!(
        text(&words.stdout),
        format!("keepfs|store|allow|{}|--name|photos|", server.url("p"))
    );
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
    let mut first = setup(&server, "p").start();
    first.write("a", "one");
    first.unmount();
    let vault = tempfile::tempdir().unwrap();
    let mut command = Command::new(keepfs_binary());
    command.arg("init").arg(vault.path().join("v"));
    command.args(["--store", &server.url("p"), "--name", "photos"]);
    let done = output(command.envs(server.environment()));
    assert_eq!(done.status.code(), Some(4), "{done:?}");
    let said = text(&done.stderr);
    assert!(said.contains("belongs to the vault 'photos'"), "{said}");
    // Who lost that vault may have meant to get it back.
    let rebuild = format!("`keepfs rebuild --store '{}' VAULT`", server.url("p"));
    assert!(said.contains(&rebuild), "{said}");
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
    assert!(said.contains("take the right key"), "{said}");
    assert!(!said.contains(&wrong), "{said}");
    assert_eq!(said.trim_end().lines().count(), 1, "{said}");
}

#[test]
fn a_bucket_that_is_not_there_is_named() {
    let server = BucketServer::start(Kind::S3);
    let url = server.url("p").replace("//bucket", "//nobody");
    let vault = tempfile::tempdir().unwrap();
    let place = vault.path().join("v");
    let place = place.to_str().unwrap();
    for args in [
        &["store", "allow", &url, "--name", "photos"][..],
        &["init", place, "--store", &url, "--name", "photos"],
    ] {
        let mut command = Command::new(keepfs_binary());
        let done = output(command.args(args).envs(server.environment()));
        let said = text(&done.stderr);
        assert_eq!(done.status.code(), Some(4), "{done:?}");
        assert_eq!(said.trim_end().lines().count(), 1, "{said}");
        let words = "there is no bucket 'nobody'";
        assert!(said.contains(words), "{args:?}: {said}");
    }
}

fn pending(m: &Mount) -> u64 {
    let status = m.json(&["status"]);
    status["packs_pending"].as_u64().unwrap() + status["versions_pending"].as_u64().unwrap()
}

#[test]
fn a_bucket_that_is_away_delays_nobody_and_gets_everything_when_it_is_back() {
    for kind in kinds(&[Kind::S3]) {
        comes_and_goes(kind);
    }
}

fn comes_and_goes(kind: Kind) {
    let mut server = BucketServer::start(kind);
    allow(&server, "photos");
    let mut m = setup(&server, "p")
        .config("pack_bytes", "\"64KiB\"")
        .start();
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
    assert!(m.json(&["status"])["packs"].as_u64().unwrap() > 10);
    m.run("\"$KEEPFS\" check --read-data .");
    assert_eq!(m.texts("during"), ["kept while it was away"]);
    fs::metadata(m.vault.join("spool")).unwrap();
}

#[test]
fn a_wait_with_a_timeout_ends_in_time_while_the_bucket_is_silent() {
    let server = BucketServer::start(Kind::S3);
    allow(&server, "photos");
    let m = setup(&server, "p").start();
    m.mkdir("d");
    m.write("d/early", "kept early");
    m.run("\"$KEEPFS\" wait d");
    let state = |path: &str| {
        let id = m.versions(path).remove(0);
        xattr(&m.version_path(path, &id), "user.keepfs.state")
    };
    assert_eq!(state("d/early").as_deref(), Some("uploaded"));
    assert!(m.json(&["status"])["last_success"].is_string());
    server.freeze();
    m.write("late", "kept late");
    let since = Instant::now();
    let done = m.keepfs(&["wait", "--timeout", "2s", "."]);
    assert_eq!(done.status.code(), Some(6), "{done:?}");
    assert!(
        text(&done.stderr).contains("not in the store yet"),
        "{done:?}"
    );
    assert!(since.elapsed() < Duration::from_secs(15), "{since:?}");
    assert_eq!(state("late").as_deref(), Some("stored"));
    let typo = m.keepfs(&["wait", "--timeout", "2s", "d/earl"]);
    assert_eq!(typo.status.code(), Some(3), "{typo:?}");
    server.thaw();
    m.run("\"$KEEPFS\" wait .");
    assert_eq!(state("late").as_deref(), Some("uploaded"));
}

#[test]
fn history_is_read_from_a_bucket_once_and_then_from_the_cache_on_disk() {
    let mut server = BucketServer::start(Kind::S3);
    allow(&server, "photos");
    let mut m = setup(&server, "p").start();
    let large = noise(1, 30_000_000);
    m.write("large", &large);
    m.write("other", "kept");
    m.run("\"$KEEPFS\" wait .");
    let read_anew = |m: &mut Mount| {
        m.unmount();
        m.remount();
        assert_eq!(m.contents("large"), std::slice::from_ref(&large));
        m.json(&["status"])["disk_cache"].clone()
    };
    let first = read_anew(&mut m);
    let requests = first["read_requests"].as_u64().unwrap();
    assert!((1..=15).contains(&requests), "{first}");
    wait_for("the cache to be written", || {
        let kept = m.json(&["status"])["disk_cache"]["bytes"].as_u64()?;
        (kept > 30_000_000).then_some(())
    });
    let second = read_anew(&mut m);
    assert_eq!(second["read_requests"], 0, "{second}");
    // A pack that the bucket lost: what is nowhere else is in the cache.
    m.remove("large");
    let bucket = server.bucket().join("p/packs");
    let lost = objects(&bucket).remove(0);
    // The server remembers what it listed.
    server.stop();
    fs::remove_file(bucket.join(lost)).unwrap();
    server.run();
    assert_eq!(m.keepfs(&["check", "."]).status.code(), Some(5));
    m.run("\"$KEEPFS\" check --repair .; \"$KEEPFS\" check --read-data .");
    assert_eq!(fs::read(m.path(".deleted/large")).unwrap(), large);
    // Deleted for good, it is in no file of the vault.
    m.run("\"$KEEPFS\" purge --yes large");
    let needle = &large[10_000_000..10_000_032];
    for file in files_below(&m.vault) {
        let bytes = fs::read(&file).unwrap_or_default();
        let found = bytes.windows(needle.len()).any(|window| window == needle);
        assert!(!found, "{}", file.display());
    }
}

#[test]
fn what_is_purged_is_in_no_object_of_the_bucket_and_in_no_file_of_the_vault() {
    let server = BucketServer::start(Kind::S3);
    allow(&server, "photos");
    let mut m = setup(&server, "p").start();
    let (secret, kept) = (noise(1, 200_000), noise(2, 200_000));
    // In one pack, so that it has to be rewritten.
    m.write("secret", &secret);
    m.write("kept", &kept);
    m.run("\"$KEEPFS\" wait .");
    m.unmount();
    m.remount();
    assert_eq!(m.contents("secret"), std::slice::from_ref(&secret));
    m.remove("secret");
    let holds = |content: &[u8]| {
        let piece = &content[100_000..100_064];
        let places = [server.bucket(), m.vault.clone()];
        let files = places.iter().flat_map(|place| files_below(place));
        let is_in = |file: &PathBuf| {
            let bytes = fs::read(file).unwrap_or_default();
            bytes.windows(piece.len()).any(|window| window == piece)
        };
        files.filter(is_in).collect::<Vec<_>>()
    };
    assert!(!holds(&secret).is_empty(), "the search finds what is there");
    m.run("\"$KEEPFS\" purge --yes secret");
    assert_eq!(holds(&secret), Vec::<PathBuf>::new());
    assert!(!holds(&kept).is_empty());
    assert_eq!(m.contents("kept"), [kept]);
    m.run("\"$KEEPFS\" check --read-data .");
}
