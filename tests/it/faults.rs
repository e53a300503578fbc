//! Backups and reads over a line that fails: `proxy.rs` before real servers.
//!
//! Every test ends with everything in the bucket and `check --read-data` clean; what was
//! read meanwhile were the right bytes or a clean error.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::io::Errno;

use crate::harness::{Mount, Setup, files_below, keepfs_binary, noise, output, text, wait_for};
use crate::journal::{live_files, rebuilt_from};
use crate::proxy::{Fault, Proxy};
use crate::servers::{BucketServer, Kind, kinds, objects};

const SLOW_DOWN: &str = "<?xml version=\"1.0\"?><Error><Code>SlowDown</Code><Message>Please \
     reduce your request rate.</Message></Error>";
const INTERNAL: &str = "<?xml version=\"1.0\"?><Error><Code>InternalError</Code></Error>";

/// A server, the faulty line to it, and a vault whose store is there.
pub struct Line {
    pub m: Mount,
    pub proxy: Proxy,
    pub server: BucketServer,
}

impl Line {
    pub fn new(kind: Kind) -> Self {
        Self::with(kind, |setup| setup)
    }

    pub fn with(kind: Kind, more: impl FnOnce(Setup) -> Setup) -> Self {
        let server = BucketServer::start(kind);
        let proxy = Proxy::before(server.port());
        let mut allow = Command::new(keepfs_binary());
        allow.args(["store", "allow", &server.url("p"), "--name", "photos"]);
        let done = output(allow.envs(server.environment()));
        assert!(done.status.success(), "{done:?}");
        let url = server.url_through(proxy.port(), "p");
        let mut setup = Setup::new().init(&["--store", &url, "--name", "photos"]);
        for (name, value) in server.environment() {
            setup = setup.env(name, value);
        }
        let setup = setup
            // Servers that never answer are given up sooner than by people.
            .env("KEEPFS_TEST_PATIENCE_MS", "1000")
            .config("pack_bytes", "\"256KiB\"");
        Self {
            m: more(setup).start(),
            proxy,
            server,
        }
    }

    /// Everything is in the bucket, byte for byte, and nothing waits.
    #[track_caller]
    pub fn assert_whole(&self, files: &[(&str, Vec<u8>)]) {
        self.m.run("\"$KEEPFS\" wait --timeout 100s .");
        wait_for("nothing to be on the way", || {
            let status = self.m.json(&["status"]);
            (status["packs_pending"] == 0 && status["versions_pending"] == 0).then_some(())
        });
        self.proxy.heal();
        self.m.run("\"$KEEPFS\" check --read-data .");
        for (name, content) in files {
            assert_eq!(self.m.contents(name).last(), Some(content), "{name}");
        }
    }
}

fn files(seed: u64) -> Vec<(&'static str, Vec<u8>)> {
    let names = ["a", "b", "c", "d", "e", "f"];
    let contents = (seed..).map(|seed| noise(seed, 150_000));
    names.into_iter().zip(contents).collect()
}

pub fn write(m: &Mount, files: &[(&str, Vec<u8>)]) {
    for (name, content) in files {
        m.write(name, content);
    }
}

/// A backup whose puts meet a fault.
fn backup_through(kind: Kind, fault: Fault) {
    let line = Line::new(kind);
    let files = files(1);
    line.proxy.fault("PUT", "/packs/", 3, fault);
    write(&line.m, &files);
    line.assert_whole(&files);
    assert_eq!(line.proxy.hit(), 3, "{:?}", line.proxy.seen());
}

#[test]
fn a_backup_gets_through_when_the_bucket_fails() {
    for kind in kinds(&[Kind::S3, Kind::Azure]) {
        backup_through(kind, Fault::Answer(500, INTERNAL));
    }
}

#[test]
fn a_backup_gets_through_when_the_bucket_asks_to_slow_down() {
    for kind in kinds(&[Kind::S3, Kind::Azure]) {
        backup_through(kind, Fault::Answer(503, SLOW_DOWN));
    }
}

#[test]
fn a_backup_gets_through_when_nobody_answers() {
    backup_through(Kind::S3, Fault::Silence);
}

#[test]
fn a_backup_gets_through_when_requests_are_cut() {
    for kind in kinds(&[Kind::S3, Kind::Azure]) {
        backup_through(kind, Fault::CutRequest);
    }
}

#[test]
fn a_backup_gets_through_when_answers_are_lost_or_late() {
    for kind in kinds(&[Kind::S3, Kind::Azure]) {
        backup_through(kind, Fault::LoseAnswer);
    }
    backup_through(Kind::S3, Fault::Late(Duration::from_millis(1500)));
}

#[test]
fn retries_are_spread_and_come_to_an_end() {
    let line = Line::new(Kind::S3);
    line.proxy
        .fault("PUT", "/packs/", usize::MAX, Fault::Answer(503, SLOW_DOWN));
    let begun = Instant::now();
    write(&line.m, &files(1)[..1]);
    let done = line.m.keepfs(&["wait", "--timeout", "1s", "."]);
    assert_eq!(done.status.code(), Some(6), "{done:?}");
    let said = text(&done.stderr);
    assert_eq!(said.trim_end().lines().count(), 1, "{said}");
    // The pauses double: in so many seconds there are few requests.
    let seconds = begun.elapsed().as_secs() + 1;
    let puts = line.proxy.requests("PUT", "/packs/");
    assert!(puts as u64 <= 6 + 2 * seconds, "{puts} in {seconds} s");
    line.proxy.heal();
    line.assert_whole(&files(1)[..1]);
}

#[test]
fn a_pack_whose_answer_was_lost_is_recognised_and_not_sent_again() {
    let line = Line::new(Kind::S3);
    // The server has it, and the client is told otherwise in words that it does not retry.
    let forge = |answer: &mut crate::proxy::Answer| {
        answer.status_line = "HTTP/1.1 400 Fault".into();
        answer.body.clear();
    };
    line.proxy.fault("PUT", "/packs/", 1, Fault::Forge(forge));
    let files = files(1);
    write(&line.m, &files[..1]);
    line.m.try_run("\"$KEEPFS\" wait .");
    line.assert_whole(&files[..1]);
    assert_eq!(line.proxy.hit(), 1);
    assert_eq!(
        line.proxy.requests("PUT", "/packs/"),
        1,
        "{:?}",
        line.proxy.seen()
    );
}

#[test]
fn a_slow_line_is_slow_and_not_broken() {
    let line = Line::new(Kind::S3);
    // Longer than the patience with a server that says nothing, several times over.
    line.proxy
        .fault("PUT", "/packs/", usize::MAX, Fault::SlowRequest(100_000));
    let files = files(1);
    write(&line.m, &files[..2]);
    line.assert_whole(&files[..2]);
    let packs = objects(&line.server.bucket().join("p/packs")).len();
    assert_eq!(line.proxy.requests("PUT", "/packs/"), packs);
}

/// Reads all history while answers meet a fault: right bytes or EIO.
fn history_through(kind: Kind, fault: Fault) {
    let mut line = Line::with(kind, |setup| setup.config("cache_bytes_max", "\"64KiB\""));
    let first = files(1);
    write(&line.m, &first);
    write(&line.m, &files(100));
    line.m.run("\"$KEEPFS\" wait .");
    line.m.unmount();
    line.m.remount();
    let mut read = 0;
    let mut failed = 0;
    for (name, content) in &first {
        line.proxy.fault("GET", "/packs/", 2, fault.clone());
        let id = line.m.versions(name)[0].clone();
        match fs::read(line.m.version_path(name, &id)) {
            Ok(bytes) => {
                assert!(bytes == *content, "{fault:?}: wrong bytes of {name}");
                read += 1;
            }
            Err(error) => {
                assert_eq!(Errno::from_io_error(&error), Some(Errno::IO), "{error}");
                failed += 1;
            }
        }
    }
    eprintln!("{fault:?}: {read} read, {failed} failed");
    assert!(line.proxy.hit() > 0);
    line.proxy.heal();
    for (name, content) in &first {
        assert_eq!(line.m.contents(name)[0], *content, "{fault:?}");
    }
    line.m.run("\"$KEEPFS\" check --read-data .");
}

#[test]
fn history_is_right_or_an_error_when_answers_are_cut() {
    for kind in kinds(&[Kind::S3, Kind::Azure]) {
        history_through(kind, Fault::CutAnswer);
    }
}

#[test]
fn history_is_right_or_an_error_when_answers_lie_about_their_length() {
    for kind in kinds(&[Kind::S3, Kind::Azure]) {
        history_through(kind, Fault::ShortAnswer);
    }
}

#[test]
fn history_is_right_or_an_error_when_answers_stand_still_or_fail() {
    history_through(Kind::S3, Fault::StallAnswer);
    history_through(Kind::S3, Fault::Silence);
    history_through(Kind::S3, Fault::LoseAnswer);
    history_through(Kind::S3, Fault::Answer(500, INTERNAL));
    history_through(Kind::S3, Fault::Answer(503, SLOW_DOWN));
}

#[test]
fn history_is_right_or_an_error_when_bytes_are_flipped() {
    let flip = |answer: &mut crate::proxy::Answer| {
        let middle = answer.body.len() / 2;
        answer.body[middle] ^= 0x40;
    };
    history_through(Kind::S3, Fault::Forge(flip));
}

#[test]
fn a_check_with_a_stale_listing_names_nothing_as_lost() {
    let line = Line::new(Kind::S3);
    line.m.write("early", noise(1, 50_000));
    line.m.run("\"$KEEPFS\" wait .");
    line.proxy
        .fault("GET", "list-type=2", usize::MAX, Fault::Stale);
    let before = line.m.run("\"$KEEPFS\" check --read-data .");
    assert!(before.contains("no problems"), "{before}");
    let files = files(1);
    write(&line.m, &files);
    line.m.run("\"$KEEPFS\" wait .");
    let after = line.m.run("\"$KEEPFS\" check --read-data .");
    assert!(after.contains("no problems"), "{after}");
    // Nor does it name as strangers' the packs that are gone since.
    line.m.run("\"$KEEPFS\" purge --yes early");
    let purged = line.m.run("\"$KEEPFS\" check --read-data .");
    assert!(purged.contains("no problems"), "{purged}");
    assert!(line.proxy.hit() > 2);
    line.assert_whole(&files);
}

/// As beside a vault in use: journal and listing are read, then a prune moves what they say.
#[test]
fn a_rebuild_finds_what_moved_after_it_had_listed_the_packs() {
    let mut line = Line::new(Kind::S3);
    let m = &line.m;
    m.write("kept", noise(1, 50_000));
    m.write("changed", noise(2, 150_000));
    m.write("changed", noise(3, 40_000));
    m.run("\"$KEEPFS\" wait .");
    line.proxy.fault("GET", "prefix=p/packs", 2, Fault::Stale);
    m.run("\"$KEEPFS\" check .");
    let journal = line.server.bucket().join("p/catalog");
    let (before, after) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let put = |from: &Path, to: &Path| {
        let _ = fs::remove_dir_all(to);
        let done = output(Command::new("cp").arg("-r").arg(from).arg(to));
        assert!(done.status.success(), "{done:?}");
    };
    put(&journal, before.path());
    let packs = || files_below(&line.server.bucket().join("p/packs"));
    let listed = packs();
    m.set_retention("keep_last = 1");
    m.run("\"$KEEPFS\" prune .");
    m.run("\"$KEEPFS\" wait .");
    assert!(packs().iter().all(|pack| !listed.contains(pack)));
    line.m.unmount();
    line.server.stop();
    put(&journal, after.path());
    put(before.path(), &journal);
    line.server.run();
    let there = tempfile::tempdir().unwrap();
    let url = line.server.url_through(line.proxy.port(), "p");
    let mut rebuild = Command::new(keepfs_binary());
    rebuild.args(["rebuild", "--store", &url, "--live"]);
    let done = output(
        rebuild
            .arg(there.path().join("v"))
            .envs(line.server.environment()),
    );
    // What the prune dropped is named, for the journal that was read knows it still.
    assert_eq!(done.status.code(), Some(5), "{done:?}");
    let said = text(&done.stdout);
    assert!(said.contains("the live tree has 2 files"), "{said}");
    assert_eq!(line.proxy.hit(), 2, "{:?}", line.proxy.seen());
    for (name, content) in [("kept", noise(1, 50_000)), ("changed", noise(3, 40_000))] {
        let live = fs::read(there.path().join("v/live").join(name)).unwrap();
        assert!(live == content, "{name}");
    }
    line.server.stop();
    put(after.path(), &journal);
    line.server.run();
}

#[test]
fn a_bucket_that_lets_nothing_be_removed_is_told_of_once() {
    let mut line = Line::with(Kind::S3, |setup| setup.config("pack_age_max", "\"1s\""));
    let forbidden = Fault::Answer(403, "<Error><Code>AccessDenied</Code></Error>");
    line.proxy.fault("DELETE", "/packs/", usize::MAX, forbidden);
    for number in 0..40 {
        line.m.write(format!("f{number}"), noise(number, 1000));
        line.m.run("\"$KEEPFS\" wait .");
    }
    line.m.wait_for_log("small packs stay small");
    let refused = line.proxy.hit();
    wait_for("two more attempts", || {
        (line.proxy.hit() >= 3 * refused.max(1)).then_some(())
    });
    let told = line.m.log().matches("small packs stay small").count();
    assert_eq!(told, 1, "{}", line.m.log());
    line.proxy.heal();
    line.m.unmount();
}

#[test]
fn a_check_whose_bucket_fails_says_so_and_names_no_damage() {
    let line = Line::new(Kind::S3);
    let files = &files(1)[..1];
    write(&line.m, files);
    line.m.run("\"$KEEPFS\" wait .");
    for repair in [&[][..], &["--repair"][..]] {
        // Behind trailer, table, header and trailer comes the chunk; it is looked at twice.
        for _ in 0..2 {
            let forbidden = Fault::Answer(403, "<Error><Code>AccessDenied</Code></Error>");
            line.proxy.fault_after(4, "GET", "/packs/", 1, forbidden);
        }
        let args = [&["check", "--read-data"][..], repair, &["."][..]].concat();
        let done = line.m.keepfs(&args);
        assert_eq!(done.status.code(), Some(6), "{done:?}");
        let said = text(&done.stderr);
        assert!(said.contains("refuses the credentials"), "{said}");
        assert_eq!(said.trim_end().lines().count(), 1, "{said}");
        assert!(!said.contains("damaged"), "{said}");
        line.proxy.heal();
    }
    line.assert_whole(files);
}

/// Versions go for good, and packs are rewritten, while requests meet faults.
fn prune_through(method: &'static str, part: &'static str, fault: Fault) {
    let line = Line::new(Kind::S3);
    let kept = files(1);
    for n in 0..4 {
        write(&line.m, &files(100 * n));
        line.m.write("secret", noise(7 + n, 60_000));
        line.m.write("small", noise(77 + n, 20_000));
    }
    write(&line.m, &kept);
    line.m.run("\"$KEEPFS\" wait .");
    line.m.set_retention("keep_last = 1");
    line.proxy.fault_after(1, method, part, 4, fault.clone());
    // Either way is fine, if the next time goes through.
    line.m.try_run("\"$KEEPFS\" purge --yes secret");
    line.proxy.fault(method, part, 4, fault.clone());
    line.m.try_run("\"$KEEPFS\" prune .");
    line.proxy.heal();
    line.m.run("\"$KEEPFS\" check --read-data .");
    line.m.run("\"$KEEPFS\" prune .");
    assert!(line.proxy.hit() > 0, "{fault:?}: {:?}", line.proxy.seen());
    line.assert_whole(&kept);
    for (name, content) in &kept {
        assert_eq!(line.m.contents(name), std::slice::from_ref(content));
    }
    assert_eq!(line.m.versions("secret"), Vec::<String>::new());
}

#[test]
fn a_prune_loses_nothing_when_its_puts_fail() {
    prune_through("PUT", "/packs/", Fault::Answer(403, ""));
    prune_through("PUT", "/packs/", Fault::LoseAnswer);
}

#[test]
fn a_prune_loses_nothing_when_its_reads_fail() {
    prune_through("GET", "/packs/", Fault::ShortAnswer);
    prune_through("GET", "/packs/", Fault::CutAnswer);
    prune_through("GET", "/packs/", Fault::Answer(403, ""));
}

#[test]
fn a_prune_loses_nothing_when_its_removals_fail() {
    prune_through("DELETE", "/packs/", Fault::Answer(403, ""));
    prune_through("DELETE", "/packs/", Fault::LoseAnswer);
}

#[test]
fn parts_of_a_pack_that_could_not_be_put_are_given_up() {
    let line = Line::with(Kind::S3, |setup| {
        let setup = setup.config("pack_bytes", "\"64MiB\"");
        setup.config("ingest_threads", "1")
    });
    let denied = Fault::Answer(403, "<Error><Code>AccessDenied</Code></Error>");
    line.proxy
        .fault_after(2, "PUT", "partNumber", usize::MAX, denied);
    let files = [("large", noise(1, 45 << 20))];
    write(&line.m, &files);
    let done = line.m.try_run("\"$KEEPFS\" wait --timeout 10s .");
    assert_eq!(done.status.code(), Some(6), "{done:?}");
    wait_for("the parts to be given up", || {
        (line.proxy.requests("DELETE", "uploadId") > 0).then_some(())
    });
    line.proxy.heal();
    line.assert_whole(&files);
}

/// A key that may not delete, or a lock on the objects.
#[test]
fn a_bucket_that_lets_nothing_be_deleted_gets_every_backup_and_a_purge_says_so() {
    let line = Line::with(Kind::S3, |setup| setup.config("pack_age_max", "\"1s\""));
    let m = &line.m;
    m.write("secret", noise(1, 60_000));
    m.run("\"$KEEPFS\" wait .");
    let denied = Fault::Answer(403, "<Error><Code>AccessDenied</Code></Error>");
    line.proxy.fault("DELETE", "/packs/", usize::MAX, denied);
    let files = files(5);
    write(m, &files);
    m.run("\"$KEEPFS\" wait .");
    let done = m.keepfs(&["purge", "--yes", m.path("secret").to_str().unwrap()]);
    let said = text(&done.stderr);
    assert_ne!(done.status.code(), Some(0), "{done:?}");
    assert_eq!(said.trim_end().lines().count(), 1, "{said}");
    assert!(said.contains("refuses"), "{said}");
    line.proxy.heal();
    // As soon as it may, it finishes that by itself.
    let bucket = line.server.bucket().join("p/packs");
    let secret = &noise(1, 60_000)[30_000..30_064];
    wait_for("the bytes to be gone", || {
        let is_gone = files_below(&bucket).iter().all(|file| {
            let bytes = fs::read(file).unwrap_or_default();
            !bytes.windows(secret.len()).any(|window| window == secret)
        });
        is_gone.then_some(())
    });
    line.assert_whole(&files);
}

/// A move into a bucket through a line that fails: the whole store, or a line that says that
/// the same command goes on.
fn move_through(method: &'static str, part: &'static str, fault: Fault) {
    let server = BucketServer::start(Kind::S3);
    let proxy = Proxy::before(server.port());
    let mut setup = Setup::new()
        .init(&["--name", "photos"])
        .env("KEEPFS_TEST_PATIENCE_MS", "1000")
        .config("pack_bytes", "\"64KiB\"");
    for (name, value) in server.environment() {
        setup = setup.env(name, value);
    }
    crate::buckets::allow(&server, "photos");
    let m = setup.start();
    let files = files(1);
    write(&m, &files);
    m.run("\"$KEEPFS\" wait .");
    let url = server.url_through(proxy.port(), "moved");
    let go = || m.keepfs(&["store", "migrate", &url]);
    proxy.fault(method, part, 2, fault.clone());
    let first = go();
    assert!(proxy.hit() > 0, "{fault:?}: {:?}", proxy.seen());
    proxy.heal();
    if !first.status.success() {
        let said = text(&first.stderr);
        assert!(
            said.contains("the same command goes on"),
            "{fault:?}: {said}"
        );
        assert!(
            m.json(&["status"])["store"]
                .as_str()
                .unwrap()
                .starts_with("file:")
        );
        assert_eq!(m.contents("a")[0], files[0].1);
        let again = go();
        assert!(again.status.success(), "{fault:?}: {again:?}");
    }
    assert!(
        m.json(&["status"])["store"]
            .as_str()
            .unwrap()
            .starts_with("s3:")
    );
    fs::remove_dir_all(m.vault.join("store")).unwrap();
    m.run("\"$KEEPFS\" check --read-data .");
    for (name, content) in &files {
        assert_eq!(m.contents(name), std::slice::from_ref(content));
    }
    assert_eq!(
        rebuilt_from(&m, &server.environment(), &server.url("moved")),
        live_files(&m)
    );
}

#[test]
fn a_move_over_a_line_that_fails_is_whole_or_goes_on() {
    let flip = |answer: &mut crate::proxy::Answer| {
        let middle = answer.body.len() / 2;
        answer.body[middle] ^= 0x40;
    };
    for fault in [Fault::CutRequest, Fault::LoseAnswer, Fault::Answer(403, "")] {
        move_through("PUT", "/packs/", fault.clone());
        move_through("PUT", "/catalog/", fault);
    }
    move_through("GET", "/packs/", Fault::Forge(flip));
    move_through("GET", "/packs/", Fault::ShortAnswer);
    move_through("PUT", "/packs/", Fault::Silence);
}
