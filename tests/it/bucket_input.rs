//! Buckets that are not as they should be: one clear line each, and nothing lost.
//!
//! Beside `buckets.rs`, which has those that a first `init` meets, and `hostile.rs`, which
//! has arbitrary bytes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::buckets::{allow, setup};
use crate::faults::{Line, write};
use crate::harness::{
    Disk, Mount, Setup, files_below, keepfs_binary, noise, output, text, wait_for,
};
use crate::proxy::{Answer, Fault};
use crate::servers::{BucketServer, Kind};

/// One line, with these words and without secrets.
#[track_caller]
fn assert_line(done: &Output, code: i32, words: &[&str]) {
    let said = text(&done.stderr);
    assert_eq!(done.status.code(), Some(code), "{said}");
    assert_eq!(said.trim_end().lines().count(), 1, "{said}");
    for word in words {
        assert!(said.contains(word), "no '{word}' in: {said}");
    }
    assert!(!said.contains("<Error>"), "{said}");
}

/// What `keepfs mount` says where it refuses.
fn refused_mount(m: &mut Mount) -> Output {
    let mut command = m.command("timeout");
    command.current_dir("/").arg("60").arg(keepfs_binary());
    output(command.args(["mount", "-f"]).arg(&m.vault).arg(&m.root))
}

/// `keepfs wait` that gives up within a second, after the bucket has refused once: on a busy
/// machine the second may be over before.
fn wait_in_vain(m: &Mount) -> Output {
    let wait = || m.keepfs(&["wait", "--timeout", "1s", "."]);
    wait();
    m.wait_for_log("stays in the spool");
    wait()
}

fn forbidden(code: &'static str) -> Fault {
    Fault::Answer(403, code)
}

#[test]
fn credentials_that_are_taken_back_are_named_and_nothing_is_lost() {
    let line = Line::with(Kind::S3, |setup| setup);
    let denied = "<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code>\
        <Message>Access Denied.</Message><RequestId>1</RequestId></Error>";
    line.proxy
        .fault("PUT", "/packs/", usize::MAX, forbidden(denied));
    let files = [("a", noise(1, 90_000)), ("b", noise(2, 400_000))];
    write(&line.m, &files);
    let done = wait_in_vain(&line.m);
    assert_line(
        &done,
        6,
        &["refuses the credentials", "AccessDenied: Access Denied."],
    );
    line.proxy.heal();
    line.assert_whole(&files);
}

#[test]
fn a_clock_that_the_bucket_does_not_believe_is_named() {
    let line = Line::with(Kind::S3, |setup| setup);
    let skewed = "<?xml version=\"1.0\"?><Error><Code>RequestTimeTooSkewed</Code><Message>The \
        difference between the request time and the server's time is too large.</Message></Error>";
    line.proxy
        .fault("*", "/packs/", usize::MAX, forbidden(skewed));
    let files = [("a", noise(1, 90_000))];
    write(&line.m, &files);
    // The second time it looks first whether the pack arrived after all.
    for _ in 0..2 {
        let done = wait_in_vain(&line.m);
        assert_line(
            &done,
            6,
            &["RequestTimeTooSkewed", "set this machine's clock"],
        );
    }
    assert!(line.proxy.requests("HEAD", "/packs/") > 0);
    line.proxy.heal();
    line.assert_whole(&files);
}

#[test]
fn a_prune_by_a_clock_that_the_bucket_contradicts_drops_nothing() {
    let line = Line::new(Kind::S3);
    for n in 0..3 {
        line.m.write("a", noise(n, 20_000));
    }
    line.m.run("\"$KEEPFS\" wait .");
    line.m.set_retention("keep_within = \"1s\"");
    wait_for("the versions to be old", || {
        (line.m.json(&["prune", "--dry-run"])["dropped"] == 2).then_some(())
    });
    let forge = |answer: &mut Answer| answer.set("date", "Sun, 06 Nov 1994 08:49:37 GMT");
    line.proxy
        .fault("GET", "lease.json", usize::MAX, Fault::Forge(forge));
    let refused = line.m.keepfs(&["prune"]);
    let words = ["nothing is pruned", "1994-11-06T08:49:37Z", "--trust-clock"];
    assert_line(&refused, 4, &words);
    assert_eq!(line.m.versions("a").len(), 3);
    line.m.run("\"$KEEPFS\" prune --trust-clock .");
    assert_eq!(line.m.contents("a"), [noise(2, 20_000)]);
    line.proxy.heal();
    line.m.run("\"$KEEPFS\" prune .");
}

#[test]
fn a_bucket_that_became_read_only_delays_nobody_and_loses_nothing() {
    let mut server = BucketServer::start(Kind::S3);
    allow(&server, "photos");
    let m = setup(&server, "p")
        .config("pack_bytes", "\"64KiB\"")
        .start();
    m.write("before", "kept before");
    m.run("\"$KEEPFS\" wait .");
    server.stop();
    server.run_read_only();
    for n in 0..5 {
        m.write(format!("f{n}"), noise(n, 90_000));
    }
    // What rclone answers then; another server says 403, as a test above.
    let words = ["storing a pack: the bucket", "500 Internal Server Error"];
    assert_line(&wait_in_vain(&m), 6, &words);
    assert_eq!(m.texts("before"), ["kept before"]);
    assert_eq!(m.contents("f3"), [noise(3, 90_000)]);
    server.stop();
    server.run();
    m.run("\"$KEEPFS\" wait .; \"$KEEPFS\" check --read-data .");
    assert_eq!(m.contents("f3"), [noise(3, 90_000)]);
}

#[test]
fn a_marker_that_its_owner_took_away_stops_the_next_start() {
    let mut server = BucketServer::start(Kind::S3);
    allow(&server, "photos");
    let mut m = setup(&server, "p").start();
    m.write("a", "kept");
    m.unmount();
    fs::remove_file(server.bucket().join(".wellknown/keepfs/photos")).unwrap();
    server.restart();
    let done = refused_mount(&mut m);
    assert_line(&done, 4, &["keepfs store allow", "--name photos"]);
    allow(&server, "photos");
    m.remount();
    assert_eq!(m.texts("a"), ["kept"]);
}

/// A start while the bucket is away, `change` before it answers, and what is said then where
/// it gets nothing written.
fn refused_when_it_answers(
    server: &mut BucketServer,
    m: &mut Mount,
    change: impl FnOnce(&Path),
) -> Output {
    server.stop();
    m.remount();
    m.write("b", "sealed meanwhile");
    change(&server.bucket());
    server.run();
    let before = files_below(&server.bucket());
    let done = m.keepfs(&["wait", "--timeout", "20s", "."]);
    let after = files_below(&server.bucket());
    assert_eq!(before, after, "something was written");
    done
}

#[test]
fn a_marker_that_went_while_the_bucket_was_away_lets_nothing_be_written() {
    let mut server = BucketServer::start(Kind::S3);
    allow(&server, "photos");
    let mut m = setup(&server, "p").config("pack_age_max", "\"1s\"").start();
    m.write("a", "kept");
    m.unmount();
    let done = refused_when_it_answers(&mut server, &mut m, |bucket| {
        fs::remove_file(bucket.join(".wellknown/keepfs/photos")).unwrap();
    });
    assert_line(&done, 4, &["keepfs store allow", "--name photos"]);
    m.wait_for_log("stays in the spool: s3://bucket/p");
    wait_for("the status to say so", || {
        let blocked = m.json(&["status"])["blocked"].clone();
        blocked
            .as_str()?
            .contains("keepfs store allow")
            .then_some(())
    });
    assert_eq!(m.texts("b"), ["sealed meanwhile"]);
    allow(&server, "photos");
    m.run("\"$KEEPFS\" wait .; \"$KEEPFS\" check --read-data .");
}

#[test]
fn a_bucket_that_was_made_anew_while_it_was_away_gets_nothing_written() {
    let mut server = BucketServer::start(Kind::S3);
    allow(&server, "photos");
    let mut m = setup(&server, "p").start();
    m.write("a", "kept");
    m.unmount();
    let aside = m.vault.with_file_name("aside");
    let done = refused_when_it_answers(&mut server, &mut m, |bucket| {
        fs::rename(bucket.join("p"), &aside).unwrap();
    });
    assert_line(&done, 4, &["holds nothing of this vault", "--accept-empty"]);
    m.crash();
    let done = refused_mount(&mut m);
    assert_line(&done, 4, &["holds nothing of this vault"]);
    server.stop();
    fs::rename(&aside, server.bucket().join("p")).unwrap();
    server.run();
    m.remount();
    m.run("\"$KEEPFS\" wait .; \"$KEEPFS\" check --read-data .");
    assert_eq!(m.texts("b"), ["sealed meanwhile"]);
}

#[test]
fn a_prefix_with_a_vault_of_another_name_is_refused_and_left_alone() {
    let server = BucketServer::start(Kind::S3);
    allow(&server, "photos");
    allow(&server, "music");
    let mut m = setup(&server, "p").start();
    m.write("a", "kept");
    m.unmount();
    let before = files_below(&server.bucket());
    let other = tempfile::tempdir().unwrap();
    let mut command = Command::new(keepfs_binary());
    command.arg("init").arg(other.path().join("v"));
    command.args(["--store", &server.url("p"), "--name", "music"]);
    let done = output(command.envs(server.environment()));
    assert_line(&done, 4, &["belongs to the vault 'photos'", "prefix"]);
    assert_eq!(files_below(&server.bucket()), before);
}

#[test]
fn an_identity_that_is_newer_or_somebody_elses_stops_the_start_until_it_is_back() {
    let mut server = BucketServer::start(Kind::S3);
    allow(&server, "photos");
    let mut m = setup(&server, "p").start();
    m.write("a", "kept");
    m.unmount();
    let identity = server.bucket().join("p/vault.json");
    let ours = fs::read(&identity).unwrap();
    let newer = text(&ours).replacen("\"format\":1", "\"format\":99", 1);
    assert_ne!(newer.as_bytes(), ours);
    let stranger = text(&ours).replacen("\"id\":\"", "\"id\":\"0", 1);
    for (bytes, code, word) in [
        (newer.as_bytes(), 2, "update keepfs"),
        (stranger.as_bytes(), 4, "belongs to the vault 'photos'"),
        (
            &b"\x7fELF strangers' bytes"[..],
            2,
            "is not what keepfs wrote",
        ),
        (&b""[..], 2, "is not what keepfs wrote"),
    ] {
        fs::write(&identity, bytes).unwrap();
        server.restart();
        let done = refused_mount(&mut m);
        assert_line(&done, code, &["s3://bucket/p", word]);
        assert_eq!(fs::read(&identity).unwrap(), bytes);
        assert_eq!(fs::read(m.live("a")).unwrap(), b"kept");
    }
    fs::write(&identity, ours).unwrap();
    server.restart();
    m.remount();
    assert_eq!(m.texts("a"), ["kept"]);
}

#[test]
fn an_identity_whose_answer_was_cut_is_asked_for_again() {
    let mut line = Line::with(Kind::S3, |setup| setup);
    line.m.write("a", "kept");
    line.m.unmount();
    line.proxy.fault("GET", "vault.json", 1, Fault::ShortAnswer);
    line.m.remount();
    assert_eq!(line.proxy.hit(), 1);
    assert_eq!(line.m.texts("a"), ["kept"]);
}

fn pack_files(server: &BucketServer) -> Vec<PathBuf> {
    files_below(&server.bucket().join("p/packs"))
}

#[test]
fn a_pack_that_is_listed_but_gone_is_named_with_what_it_hurts() {
    let mut line = Line::with(Kind::S3, |setup| {
        setup.config("cache_bytes_max", "\"64KiB\"")
    });
    write(&line.m, &[("hurt", noise(1, 90_000))]);
    line.m.run("\"$KEEPFS\" wait .");
    line.m.unmount();
    line.m.remount();
    line.proxy
        .fault("GET", "list-type=2", usize::MAX, Fault::Stale);
    line.m.run("\"$KEEPFS\" check .");
    let packs = pack_files(&line.server);
    let bytes = fs::read(&packs[0]).unwrap();
    fs::remove_file(&packs[0]).unwrap();
    line.server.restart();
    let done = line.m.keepfs(&["check", "."]);
    let said = text(&done.stdout) + &text(&done.stderr);
    assert_eq!(done.status.code(), Some(5), "{said}");
    let name = packs[0].file_stem().unwrap().to_str().unwrap();
    for word in [name, "missing from the store", "hurt"] {
        assert!(said.contains(word), "{said}");
    }
    fs::write(&packs[0], bytes).unwrap();
    line.server.restart();
    line.m.run("\"$KEEPFS\" check --read-data .");
}

#[test]
fn a_pack_with_strangers_bytes_is_named_and_stored_anew_from_the_live_file() {
    let line = Line::with(Kind::S3, |setup| setup);
    let files = [("a", noise(1, 90_000))];
    write(&line.m, &files);
    line.m.run("\"$KEEPFS\" wait .");
    let packs = pack_files(&line.server);
    let length = fs::metadata(&packs[0]).unwrap().len() as usize;
    fs::write(&packs[0], noise(9, length)).unwrap();
    let done = line.m.keepfs(&["check", "--read-data", "."]);
    assert_eq!(done.status.code(), Some(5), "{done:?}");
    let name = packs[0].file_stem().unwrap().to_str().unwrap();
    assert!(text(&done.stderr).contains(name), "{done:?}");
    line.m.run("\"$KEEPFS\" check --read-data --repair .");
    line.assert_whole(&files);
}

#[test]
fn a_full_spool_holds_up_nobody_and_everything_goes_up_when_the_bucket_is_back() {
    let mut server = BucketServer::start(Kind::S3);
    allow(&server, "photos");
    let m = setup(&server, "p")
        .config("pack_bytes", "\"4MiB\"")
        .config("spool_bytes_max", "\"64MiB\"")
        .start();
    server.stop();
    let base = noise(1, 5 << 20);
    let files: Vec<_> = (0..16).map(|n| (n, variant(&base, n))).collect();
    for (n, bytes) in &files {
        m.write(format!("f{n}"), bytes);
    }
    for (n, bytes) in &files {
        assert!(m.read(format!("f{n}")) == *bytes);
    }
    let words = ["none is lost", "storing a pack: the bucket does not answer"];
    assert_line(&wait_in_vain(&m), 6, &words);
    server.run();
    everything_is_up(&m, &files);
}

#[test]
fn at_the_spools_bound_readers_wait_for_nobody_and_the_status_names_it() {
    let server = BucketServer::start(Kind::S3);
    allow(&server, "photos");
    let m = setup(&server, "p")
        .config("pack_bytes", "\"4MiB\"")
        .config("spool_bytes_max", "\"64MiB\"")
        .start();
    let base = noise(1, 5 << 20);
    m.write("early", "in the store");
    m.run("\"$KEEPFS\" wait .");
    // It answers nobody, and nobody knows for how long.
    server.freeze();
    let mut files: Vec<_> = (0..18).map(|n| (n, variant(&base, n))).collect();
    for (n, bytes) in &files {
        m.write(format!("f{n}"), bytes);
    }
    let blocked = wait_for("the status to name the bound", || {
        let blocked = m.json(&["status"])["blocked"].as_str()?.to_owned();
        blocked
            .contains("64 MiB (spool_bytes_max)")
            .then_some(blocked)
    });
    assert!(blocked.contains("sealed versions wait"), "{blocked}");
    m.wait_for_log("the spool is at its bound");
    // Of the same length: whether it is the same content, nobody can say yet.
    files.push((17, variant(&base, 99)));
    m.write("f17", &files[18].1);
    m.run("for f in early f0 f16 f17; do timeout 10 ls -l .versions/$f/; done");
    for n in [0, 16, 17] {
        m.run(&format!(
            "timeout 10 cat .versions/f{n}/latest | cmp - f{n}"
        ));
    }
    server.thaw();
    everything_is_up(&m, &files);
    m.wait_for_log("the spool has room again");
    assert_eq!(m.json(&["status"])["blocked"], serde_json::Value::Null);
}

/// Noise that shares no chunk with the base.
fn variant(base: &[u8], n: u64) -> Vec<u8> {
    let mut bytes = base.to_vec();
    for part in bytes.chunks_mut(64 << 10) {
        part[..8].copy_from_slice(&n.to_le_bytes());
    }
    bytes
}

#[track_caller]
fn everything_is_up(m: &Mount, files: &[(u64, Vec<u8>)]) {
    wait_for("nothing to be on the way", || {
        m.try_run("\"$KEEPFS\" wait --timeout 20s .");
        let status = m.json(&["status"]);
        (status["packs_pending"] == 0 && status["versions_pending"] == 0).then_some(())
    });
    for (n, bytes) in files {
        assert!(m.contents(format!("f{n}")).contains(bytes), "f{n}");
    }
    m.run("\"$KEEPFS\" check --read-data .");
}

#[test]
fn a_full_disk_of_the_spool_loses_nothing_when_the_bucket_is_away() {
    let home = tempfile::tempdir().unwrap();
    let disk = home.path().join("disk");
    let live = home.path().join("mine");
    fs::create_dir(&live).unwrap();
    let Some(end) = Disk::mount("a full disk of the spool", &disk, "12m") else {
        return;
    };
    let mut server = BucketServer::start(Kind::S3);
    allow(&server, "photos");
    let mut m = Setup::new().unmounted();
    {
        let vault = disk.join("v");
        let mut init = Command::new(keepfs_binary());
        init.arg("init").arg(&vault).arg("--live").arg(&live);
        init.args(["--store", &server.url("p"), "--name", "photos"]);
        let done = output(init.envs(server.environment()));
        assert!(done.status.success(), "{done:?}");
        m.vault = vault;
        m.set_config("pack_age_max", "\"1s\"");
        for (name, value) in server.environment() {
            m.set_env(name, value);
        }
        m.remount();
    }
    server.stop();
    let base = noise(1, 1 << 20);
    let files: Vec<_> = (0..20).map(|n| (n, variant(&base, n))).collect();
    for (n, bytes) in &files {
        m.write(format!("f{n}"), bytes);
    }
    let line = format!(
        "no space left for the spool in {}: free some space on its disk",
        m.vault.join("spool").display()
    );
    wait_for("the status to name the full disk", || {
        let blocked = m.json(&["status"])["blocked"].as_str()?.to_owned();
        blocked.contains(&line).then_some(())
    });
    let done = m.keepfs(&["wait", "--timeout", "1s", "."]);
    assert_line(&done, 6, &["none is lost", &line]);
    for (n, bytes) in &files {
        assert!(m.read(format!("f{n}")) == *bytes);
    }
    assert!(m.is_running(), "{}", m.log());
    server.run();
    everything_is_up(&m, &files);
    m.unmount();
    m.check();
    drop(m);
    drop(end);
}

#[test]
fn words_of_a_bucket_stay_one_line_and_without_secrets() {
    let line = Line::with(Kind::S3, |setup| setup);
    let forge: fn(&mut Answer) = |answer| {
        answer.status_line = "HTTP/1.1 403 Fault".into();
        answer.body = format!(
            "<Error><Code>Some\nCode</Code><Message>{}\u{1b}[31m https://u:p@h/x?X-Amz-Signature=SECRET</Message></Error>",
            "word ".repeat(5_000)
        )
        .into_bytes();
    };
    line.proxy
        .fault("GET", "list-type=2", usize::MAX, Fault::Forge(forge));
    let done = line.m.keepfs(&["check", "."]);
    line.proxy.heal();
    assert_line(
        &done,
        6,
        &["refuses the credentials", "Some Code: word word"],
    );
    let said = text(&done.stderr);
    assert!(said.len() < 1_000, "{said}");
    assert!(
        !said.contains("SECRET") && !said.contains('\u{1b}'),
        "{said}"
    );
}
