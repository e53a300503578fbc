//! The journal in the bucket: what a rebuild lives on is there, is looked after, and says
//! no more than what is true, over lines that fail and kills.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::buckets::{allow, setup};
use crate::faults::{Line, write};
use crate::harness::{
    Mount, Setup, files_below, keepfs_binary, noise, not_run, output, text, wait_for, xattr,
};
use crate::proxy::Fault;
use crate::servers::{BucketServer, Kind};

const DAMAGED: Option<i32> = Some(5);

fn state(m: &Mount, path: &str) -> Option<String> {
    let id = m.versions(path).pop()?;
    xattr(&m.version_path(path, &id), "user.keepfs.state")
}

/// The live files that a machine with nothing but the store makes of it, and its history
/// is whole.
#[track_caller]
pub fn rebuilt_from(m: &Mount, env: &[(&str, &str)], url: &str) -> BTreeMap<PathBuf, Vec<u8>> {
    let there = tempfile::tempdir().expect("a directory");
    let (vault, live) = (there.path().join("vault"), there.path().join("live"));
    let run = |command: &mut Command| {
        let done = output(command.envs(env.iter().copied()));
        assert!(
            done.status.success(),
            "{}\n{}\n{}",
            text(&done.stdout),
            text(&done.stderr),
            m.log()
        );
    };
    run(Command::new(keepfs_binary())
        .args(["rebuild", "--store", url, "--live", "--live-dir"])
        .args([&live, &vault]));
    run(Command::new(keepfs_binary())
        .args(["check", "--read-data", "--vault"])
        .arg(&vault));
    let files = files_below(&live).into_iter();
    files
        .map(|file| {
            let name = file.strip_prefix(&live).expect("below it").to_path_buf();
            (name, fs::read(file).expect("a file"))
        })
        .collect()
}

/// What is in the mount and is kept, to compare with that.
pub fn live_files(m: &Mount) -> BTreeMap<PathBuf, Vec<u8>> {
    let is_temporary = |file: &PathBuf| {
        let name = file.file_name().unwrap_or_default();
        name.as_encoded_bytes().starts_with(b".")
    };
    let files = files_below(&m.root).into_iter();
    files
        .filter(|file| !is_temporary(file))
        .map(|file| {
            let name = file.strip_prefix(&m.root).expect("below it").to_path_buf();
            (name, fs::read(file).expect("a file"))
        })
        .collect()
}

fn contents(seed: u64) -> Vec<(&'static str, Vec<u8>)> {
    let names = ["a", "b", "c"];
    let contents = (seed..).map(|seed| noise(seed, 40_000));
    names.into_iter().zip(contents).collect()
}

#[test]
fn a_version_is_uploaded_when_the_journal_in_the_bucket_names_it() {
    let line = Line::with(Kind::S3, |setup| setup.config("pack_age_max", "\"1h\""));
    let m = &line.m;
    let forbidden = Fault::Answer(403, "<Error><Code>AccessDenied</Code></Error>");
    line.proxy.fault("PUT", "/catalog/", usize::MAX, forbidden);
    m.write("f", noise(1, 300_000));
    // The packs get through, and the journal does not.
    let done = m.keepfs(&["wait", "--timeout", "1s", m.root.to_str().unwrap()]);
    assert_eq!(done.status.code(), Some(6), "{done:?}");
    wait_for("the packs to be in the bucket", || {
        (m.json(&["status"])["packs_pending"] == 0).then_some(())
    });
    assert_eq!(state(m, "f").as_deref(), Some("stored"));
    let status = m.json(&["status"]);
    assert_eq!(status["journal_pending"], true, "{status}");
    assert!(status["journal_pending_since"].is_string(), "{status}");
    assert!(status["waiting_seconds"].is_number(), "{status}");
    wait_for("the journal to be late", || {
        let late = m.keepfs(&["status", "--max-age", "1s", m.root.to_str().unwrap()]);
        (late.status.code() == Some(6)).then_some(())
    });
    line.proxy.heal();
    m.run("\"$KEEPFS\" wait .");
    assert_eq!(state(m, "f").as_deref(), Some("uploaded"));
    let status = m.json(&["status"]);
    assert_eq!(status["journal_pending"], false, "{status}");
    assert_eq!(status["waiting_seconds"], serde_json::Value::Null);
}

#[test]
fn a_wait_with_a_timeout_ends_in_time_while_the_journal_hangs() {
    let line = Line::with(Kind::S3, |setup| setup.config("pack_age_max", "\"1h\""));
    let m = &line.m;
    m.write("f", noise(1, 50_000));
    line.proxy
        .fault("PUT", "/catalog/", usize::MAX, Fault::Silence);
    let begun = Instant::now();
    let done = m.keepfs(&["wait", "--timeout", "2s", m.root.to_str().unwrap()]);
    assert_eq!(done.status.code(), Some(6), "{done:?}");
    let said = text(&done.stderr);
    assert!(said.contains("journal is on the way"), "{said}");
    assert_eq!(said.trim_end().lines().count(), 1, "{said}");
    assert!(begun.elapsed() < Duration::from_secs(8));
    line.proxy.heal();
    m.run("\"$KEEPFS\" wait .");
    assert_eq!(state(m, "f").as_deref(), Some("uploaded"));
}

/// The journal's puts meet a fault while versions are made.
fn journal_through(fault: Fault) {
    let line = Line::new(Kind::S3);
    write(&line.m, &contents(1));
    line.m.run("\"$KEEPFS\" wait .");
    for round in 0..3 {
        line.proxy.fault("PUT", "/catalog/", 2, fault.clone());
        write(&line.m, &contents(10 * round + 10));
        line.m.try_run("\"$KEEPFS\" wait --timeout 20s .");
        assert!(line.proxy.hit() > 0, "{fault:?}: {:?}", line.proxy.seen());
        line.proxy.heal();
    }
    let files = contents(99);
    write(&line.m, &files);
    line.assert_whole(&files);
    let url = line.server.url("p");
    assert_eq!(
        rebuilt_from(&line.m, &line.server.environment(), &url),
        live_files(&line.m)
    );
}

#[test]
fn a_journal_whose_puts_fail_is_whole_in_the_end() {
    journal_through(Fault::Answer(403, ""));
    journal_through(Fault::Answer(503, ""));
}

#[test]
fn a_journal_whose_puts_are_cut_or_whose_answers_are_lost_is_whole_in_the_end() {
    journal_through(Fault::CutRequest);
    journal_through(Fault::LoseAnswer);
}

/// A rebuild through a line that fails: all of it, or an error that a second one mends.
fn rebuild_through(part: &'static str, fault: Fault) {
    let line = Line::new(Kind::S3);
    for round in 0..3 {
        write(&line.m, &contents(10 * round));
        line.m.run("\"$KEEPFS\" wait .");
    }
    let there = tempfile::tempdir().unwrap();
    let url = line.server.url_through(line.proxy.port(), "p");
    let rebuild = || {
        let mut command = Command::new(keepfs_binary());
        command.args(["rebuild", "--store", &url, "--live", "--live-dir"]);
        command.args(["live", "vault"].map(|name| there.path().join(name)));
        command.env("KEEPFS_TEST_PATIENCE_MS", "1000");
        output(command.envs(line.server.environment()))
    };
    line.proxy.fault_after(1, "GET", part, 2, fault.clone());
    let first = rebuild();
    assert!(line.proxy.hit() > 0, "{fault:?}: {:?}", line.proxy.seen());
    line.proxy.heal();
    if !first.status.success() {
        let said = text(&first.stderr);
        assert_eq!(said.trim_end().lines().count(), 1, "{said}");
        let again = rebuild();
        assert!(again.status.success(), "{fault:?}: {said}\n{again:?}");
    }
    for (name, content) in contents(20) {
        let found = fs::read(there.path().join("live").join(name)).unwrap();
        assert!(found == content, "{fault:?}: {name}");
    }
}

#[test]
fn a_rebuild_over_a_line_that_fails_is_right_or_an_error() {
    for part in ["/catalog/", "/packs/"] {
        rebuild_through(part, Fault::CutAnswer);
        rebuild_through(part, Fault::ShortAnswer);
        rebuild_through(part, Fault::Answer(500, ""));
    }
    rebuild_through("/packs/", Fault::Silence);
}

#[test]
fn a_rebuild_over_listings_of_another_day_brings_what_they_lack() {
    let line = Line::new(Kind::S3);
    write(&line.m, &contents(0));
    line.m.run("\"$KEEPFS\" wait .");
    for part in ["prefix=p/catalog/&", "prefix=p/catalog/0", "prefix=p/packs"] {
        line.proxy.fault("GET", part, usize::MAX, Fault::Stale);
    }
    let there = tempfile::tempdir().unwrap();
    let url = line.server.url_through(line.proxy.port(), "p");
    let rebuild = |name: &str| {
        let home = there.path().join(name);
        let mut command = Command::new(keepfs_binary());
        command
            .args(["rebuild", "--store", &url, "--live"])
            .arg(&home);
        let done = output(command.envs(line.server.environment()));
        assert!(done.status.success(), "{done:?}");
        home.join("live")
    };
    rebuild("early");
    let listed = line.proxy.hit();
    assert!(listed >= 2, "{:?}", line.proxy.seen());
    for seed in [20, 30] {
        write(&line.m, &contents(seed));
        line.m.run("\"$KEEPFS\" wait .");
    }
    let live = rebuild("late");
    assert!(line.proxy.hit() > listed);
    for (name, content) in contents(30) {
        assert!(fs::read(live.join(name)).unwrap() == content, "{name}");
    }
}

/// What happens to an object.
type Harm = fn(&Path);

/// Whether a repair mends it.
enum Mended {
    Yes,
    ByHand,
}

fn remove(file: &Path) {
    fs::remove_file(file).unwrap();
}

fn overwrite(file: &Path) {
    fs::write(file, "somebody else's bytes".repeat(20)).unwrap();
}

#[test]
fn a_check_names_what_a_rebuild_would_miss_and_a_repair_writes_it_anew() {
    let mut server = BucketServer::start(Kind::S3);
    allow(&server, "photos");
    let m = setup(&server, "p").start();
    let bucket = server.bucket();
    for round in 0..3 {
        write(&m, &contents(10 * round));
        m.run("\"$KEEPFS\" wait .");
    }
    let below = |name: &str| bucket.join("p").join(name);
    let newest = || {
        let mut objects = files_below(&below("catalog"));
        objects.sort();
        objects.pop().unwrap()
    };
    let harms: [(Harm, &str, &str, Mended); 5] = [
        (remove, "newest", "it is not there", Mended::Yes),
        (
            overwrite,
            "newest",
            "it is no part of a journal",
            Mended::Yes,
        ),
        (
            remove,
            "vault.json",
            "vault.json: it is not there",
            Mended::Yes,
        ),
        (
            remove,
            "lease.json",
            "lease.json: it is not there",
            Mended::Yes,
        ),
        // Whose place it is, people decide.
        (overwrite, "vault.json", "vault.json", Mended::ByHand),
    ];
    for (harm, name, words, mended) in harms {
        let file = match name {
            "newest" => newest(),
            name => below(name),
        };
        let before = fs::read(&file).unwrap();
        // The server remembers what it has seen of a file.
        server.stop();
        harm(&file);
        server.run();
        let done = m.keepfs(&["check", "--read-data", m.root.to_str().unwrap()]);
        let said = text(&done.stderr);
        assert_eq!(done.status.code(), DAMAGED, "{name}: {done:?}");
        assert!(said.contains(words), "{name}: {said}");
        let repaired = m.keepfs(&["check", "--repair", m.root.to_str().unwrap()]);
        match mended {
            Mended::Yes => {
                assert!(repaired.status.success(), "{name}: {repaired:?}");
                assert!(text(&repaired.stderr).contains("repaired"), "{repaired:?}");
            }
            Mended::ByHand => {
                assert_eq!(repaired.status.code(), DAMAGED, "{repaired:?}");
                server.stop();
                fs::write(&file, before).unwrap();
                server.run();
            }
        }
        m.run("\"$KEEPFS\" check --read-data .");
        assert_eq!(
            rebuilt_from(&m, &server.environment(), &server.url("p")),
            live_files(&m)
        );
    }
}

#[test]
fn a_kill_in_a_repair_of_the_journal_leaves_one_that_can_be_repaired() {
    if cfg!(not(debug_assertions)) {
        return not_run("a kill in a repair", "a release build has no crash points");
    }
    for point in [
        "journal.before-anew",
        "journal.before-put:4",
        "journal.after-put:4",
    ] {
        let mut m = Setup::new().env("KEEPFS_CRASH_AT", point).start();
        for round in 0..3 {
            write(&m, &contents(10 * round));
            m.run("\"$KEEPFS\" wait .");
        }
        let mut objects = files_below(&m.vault.join("store/catalog"));
        objects.sort();
        fs::remove_file(&objects[1]).unwrap();
        m.keepfs(&["check", "--repair", m.root.to_str().unwrap()]);
        assert!(!m.crashed().success(), "{point}");
        m.clear_env();
        m.remount();
        m.try_run("\"$KEEPFS\" check --repair .");
        m.run("\"$KEEPFS\" check --read-data .");
        let store = m.vault.join("store").display().to_string();
        assert_eq!(rebuilt_from(&m, &[], &store), live_files(&m), "{point}");
    }
}
