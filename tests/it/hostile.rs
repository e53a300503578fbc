//! A bucket that answers anything: it can cost availability, never the live tree, a wrong
//! byte, memory without bound or the daemon.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::io::Errno;

use crate::faults::{Line, write};
use crate::harness::{Mount, Random, count, files_below, noise, seed, text};
use crate::proxy::{Answer, Fault};
use crate::servers::Kind;

/// More than the daemon of these small vaults ever needs.
const MEMORY_BYTES_MAX: u64 = 600 << 20;

fn memory_peak_bytes(m: &Mount) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", m.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1));
    kib.unwrap().parse::<u64>().unwrap() << 10
}

/// All objects below the vault's prefix and beside it, with their bytes.
fn objects(bucket: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let files = files_below(bucket).into_iter();
    files
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect()
}

fn do_harm(random: &mut Random, path: &Path, bytes: &[u8], other: &[u8]) {
    let mut harmed = bytes.to_vec();
    match random.below(8) {
        0 => harmed = noise(random.next(), random.below(5_000)),
        1 => harmed.truncate(random.below(harmed.len() + 1)),
        2 => harmed = other.to_vec(),
        3 => harmed.extend(noise(random.next(), 100)),
        4 => harmed = vec![b'['; 60_000],
        5 => harmed = b"{\"format\": 99999999999999999999, \"vault\": \"\", \"id\": \"\"}".to_vec(),
        6 => {
            for _ in 0..3 {
                if !harmed.is_empty() {
                    let at = random.below(harmed.len());
                    harmed[at] = random.next() as u8;
                }
            }
        }
        _ => {
            // As long as a file may be, without a byte of it on the disk.
            let file = fs::File::options().write(true).open(path).unwrap();
            // Sparse, and no longer than a server can hash in seconds.
            return file.set_len(1 << (20 + random.below(13))).unwrap();
        }
    }
    fs::write(path, harmed).unwrap();
}

/// What can be read of history is right.
fn assert_right_or_gone(m: &Mount, versions: &[(PathBuf, Vec<u8>)]) {
    for (path, content) in versions {
        match fs::read(path) {
            Ok(bytes) => assert!(bytes == *content, "wrong bytes of {path:?}"),
            Err(error) => {
                assert_eq!(Errno::from_io_error(&error), Some(Errno::IO), "{error}");
            }
        }
    }
    assert!(m.is_running(), "{}", m.log());
}

#[test]
fn any_bytes_in_any_object_cost_availability_and_nothing_else() {
    let seed = seed();
    let mut random = Random::new(seed);
    let mut line = Line::with(Kind::S3, |setup| {
        setup.config("cache_bytes_max", "\"64KiB\"")
    });
    let old: Vec<_> = (0..6)
        .map(|n| (format!("f{n}"), noise(n, 90_000)))
        .collect();
    let new: Vec<_> = (0..6)
        .map(|n| (format!("f{n}"), noise(n + 50, 70_000)))
        .collect();
    for files in [&old, &new] {
        for (name, content) in files {
            line.m.write(name, content);
        }
    }
    line.m.run("\"$KEEPFS\" wait .");
    let versions: Vec<_> = old
        .iter()
        .map(|(name, content)| {
            let id = line.m.versions(name)[0].clone();
            (line.m.version_path(name, &id), content.clone())
        })
        .collect();
    let bucket = line.server.bucket();
    let whole = objects(&bucket);
    let others: Vec<_> = whole.values().cloned().collect();
    for round in 0..count(5, 60) {
        line.m.unmount();
        line.m.remount();
        for (path, bytes) in &whole {
            if random.below(2) == 0 {
                let other = &others[random.below(others.len())];
                do_harm(&mut random, path, bytes, other);
            }
        }
        eprintln!("round {round}");
        line.server.restart();
        assert_right_or_gone(&line.m, &versions);
        let done = line.m.keepfs(&["check", "--read-data", "."]);
        assert!(
            matches!(done.status.code(), Some(0 | 5 | 6)),
            "{done:?}\n{}",
            line.m.log()
        );
        line.m
            .write("meanwhile", noise(1_000 + round as u64, 30_000));
        line.m.try_run("\"$KEEPFS\" wait --timeout 5s .");
        for (name, content) in &new {
            assert!(line.m.read(name) == *content, "the live file {name}");
        }
        assert!(memory_peak_bytes(&line.m) < MEMORY_BYTES_MAX);
        // Without its identity or the owner's word, nothing is mounted, in one line.
        line.m.crash();
        if let Err(log) = line.m.try_remount() {
            assert!(!log.contains("panicked"), "{log}");
        } else {
            assert_right_or_gone(&line.m, &versions);
            line.m.crash();
        }
        for (path, bytes) in &whole {
            fs::write(path, bytes).unwrap();
        }
        line.server.restart();
        line.m.remount();
        for (path, content) in &versions {
            assert!(
                fs::read(path).unwrap() == *content,
                "round {round}: {path:?}"
            );
        }
        line.m
            .run("\"$KEEPFS\" wait .; \"$KEEPFS\" check --read-data .");
    }
}

fn body(answer: &Answer) -> String {
    text(&answer.body)
}

#[test]
fn sizes_that_nothing_has_are_not_believed() {
    let mut line = Line::with(Kind::S3, |setup| setup);
    let files: Vec<_> = ["a", "b"]
        .into_iter()
        .zip([noise(1, 90_000), noise(2, 90_000)])
        .collect();
    write(&line.m, &files);
    line.m.run("\"$KEEPFS\" wait .");
    let huge_in_listing = |answer: &mut Answer| {
        let parts = body(answer);
        let mut parts = parts.split("<Size>");
        let mut forged = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let rest = part.trim_start_matches(|c: char| c.is_ascii_digit());
            forged += &format!("<Size>18446744073709551615{rest}");
        }
        answer.body = forged.into_bytes();
    };
    let huge_object = |answer: &mut Answer| answer.set("content-length", "18446744073709551615");
    // Of strangers' packs the sizes are added up, and shown.
    let bucket = line.server.bucket();
    for digit in ["a", "b"] {
        let stranger = format!("p/packs/{digit}{digit}/{}.pack", digit.repeat(32));
        fs::create_dir_all(bucket.join(&stranger).parent().unwrap()).unwrap();
        fs::write(bucket.join(&stranger), "x").unwrap();
    }
    line.proxy.fault(
        "GET",
        "list-type=2",
        usize::MAX,
        Fault::Forge(huge_in_listing),
    );
    let listed = line.m.keepfs(&["check", "."]);
    assert_eq!(listed.status.code(), Some(0), "{listed:?}");
    line.proxy
        .fault("HEAD", "/packs/", usize::MAX, Fault::Forge(huge_object));
    let claimed = line.m.keepfs(&["check", "."]);
    assert_ne!(claimed.status.code(), Some(0), "{claimed:?}");
    assert!(line.m.is_running(), "{}", line.m.log());
    // A start after a kill takes packs up by the size of their objects.
    line.m.crash();
    line.m.remount();
    line.proxy.heal();
    for (name, content) in &files {
        assert_eq!(line.m.contents(name), std::slice::from_ref(content));
    }
    line.m.unmount();
    line.m.remount();
    for (name, content) in &files {
        assert_eq!(line.m.contents(name), std::slice::from_ref(content));
    }
    line.m.run("\"$KEEPFS\" check --read-data .");
}

#[test]
fn an_answer_that_is_too_long_is_an_error_in_bounded_memory() {
    let line = Line::with(Kind::S3, |setup| setup);
    let files = [("a", noise(1, 90_000))];
    write(&line.m, &files);
    line.m.run("\"$KEEPFS\" wait .");
    let long: fn(&mut Answer) = |answer| answer.body.resize(200 << 20, b' ');
    let claims: fn(&mut Answer) = |answer| {
        answer.set("x-forged", "yes");
        answer.set("content-length", "999999999999999");
    };
    for forge in [long, claims] {
        line.proxy
            .fault("GET", "list-type=2", usize::MAX, Fault::Forge(forge));
        let done = line.m.keepfs(&["check", "."]);
        assert_eq!(done.status.code(), Some(6), "{done:?}");
        assert_eq!(text(&done.stderr).trim_end().lines().count(), 1, "{done:?}");
        line.proxy.heal();
        // The same instead of an object, and of its refusal.
        line.proxy.fault("GET", "/packs/", 4, Fault::Forge(forge));
        let done = line.m.keepfs(&["check", "--read-data", "."]);
        assert!(matches!(done.status.code(), Some(0 | 5 | 6)), "{done:?}");
        line.proxy.heal();
    }
    assert!(line.m.is_running(), "{}", line.m.log());
    let peak = memory_peak_bytes(&line.m);
    assert!(peak < MEMORY_BYTES_MAX, "{peak}");
    line.m.run("\"$KEEPFS\" check --read-data .");
}

/// One more page of names, and another one behind it.
fn goes_on(answer: &mut Answer) {
    static PAGES: AtomicUsize = AtomicUsize::new(0);
    let page = PAGES.fetch_add(1, Ordering::Relaxed);
    let mut more = String::from("<NextContinuationToken>more</NextContinuationToken>");
    for number in 0..20_000 {
        more += &format!(
            "<Contents><Key>p/catalog/0000000001/{page}.{number}.{}</Key><Size>1</Size>\
             <LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>e</ETag></Contents>",
            "x".repeat(900)
        );
    }
    let ended = body(answer).replace("<IsTruncated>false<", "<IsTruncated>true<");
    let forged = ended.replace("</ListBucketResult>", &(more + "</ListBucketResult>"));
    assert!(forged.contains("<IsTruncated>true<"), "{}", body(answer));
    answer.body = forged.into_bytes();
}

#[test]
fn a_listing_without_an_end_is_an_error_in_bounded_memory() {
    let line = Line::with(Kind::S3, |setup| setup);
    write(&line.m, &[("a", noise(1, 90_000))]);
    line.m.run("\"$KEEPFS\" wait .");
    let endless = Fault::Forge(goes_on);
    line.proxy
        .fault("GET", "prefix=p/catalog/", usize::MAX, endless);
    let done = line.m.keepfs(&["check", "."]);
    let said = text(&done.stderr);
    assert_eq!(done.status.code(), Some(1), "{done:?}");
    assert!(
        said.contains("more is listed than a vault can have"),
        "{said}"
    );
    assert_eq!(said.trim_end().lines().count(), 1, "{said}");
    assert!(line.proxy.hit() > 2);
    let peak = memory_peak_bytes(&line.m);
    assert!(peak < MEMORY_BYTES_MAX, "{peak}");
    line.proxy.heal();
    line.m.run("\"$KEEPFS\" check .");
}

/// So many packs that are not there, by a number of the page.
fn add_packs(answer: &mut Answer, page: usize, packs: usize) {
    let mut more = String::new();
    for number in 0..packs {
        more += &format!(
            "<Contents><Key>p/packs/aa/{page:016x}{number:016x}.pack</Key><Size>1</Size>\
             <LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>e</ETag></Contents>"
        );
    }
    let forged = body(answer).replace("</ListBucketResult>", &(more + "</ListBucketResult>"));
    answer.body = forged.into_bytes();
}

fn lists_packs(answer: &mut Answer) {
    add_packs(answer, 0, 3_000);
}

fn lists_packs_without_an_end(answer: &mut Answer) {
    static PAGES: AtomicUsize = AtomicUsize::new(0);
    add_packs(answer, PAGES.fetch_add(1, Ordering::Relaxed), 50_000);
    let more = "<NextContinuationToken>more</NextContinuationToken></ListBucketResult>";
    let ended = body(answer).replace("<IsTruncated>false<", "<IsTruncated>true<");
    answer.body = ended.replace("</ListBucketResult>", more).into_bytes();
}

#[test]
fn packs_without_an_end_are_an_error_in_bounded_memory() {
    let line = Line::with(Kind::S3, |setup| setup);
    write(&line.m, &[("a", noise(1, 90_000))]);
    line.m.run("\"$KEEPFS\" wait .");
    let endless = Fault::Forge(lists_packs_without_an_end);
    line.proxy
        .fault("GET", "prefix=p/packs", usize::MAX, endless);
    let done = line.m.keepfs(&["check", "."]);
    let said = text(&done.stderr);
    assert_eq!(done.status.code(), Some(1), "{done:?}");
    assert!(said.contains("look who else writes there"), "{said}");
    assert_eq!(said.trim_end().lines().count(), 1, "{said}");
    let peak = memory_peak_bytes(&line.m);
    assert!(peak < MEMORY_BYTES_MAX, "{peak}");
    line.proxy.heal();
    line.m.run("\"$KEEPFS\" check .");
}

#[test]
fn many_packs_that_are_not_there_cost_few_requests() {
    let line = Line::with(Kind::S3, |setup| setup);
    write(&line.m, &[("a", noise(1, 90_000))]);
    line.m.run("\"$KEEPFS\" wait .");
    let before = line.proxy.requests("HEAD", "/packs/");
    let listing = Fault::Forge(lists_packs);
    line.proxy.fault("GET", "prefix=p/packs", 1, listing);
    let done = line.m.keepfs(&["check", "."]);
    assert!(done.status.success(), "{}", text(&done.stderr));
    assert_eq!(line.proxy.hit(), 1);
    let asked = line.proxy.requests("HEAD", "/packs/") - before;
    assert!((1_000..2_000).contains(&asked), "{asked}");
    line.proxy.heal();
    line.m.run("\"$KEEPFS\" check .");
}

/// The answer to a list of removals tells of one that was not on it.
fn tells_of_another(answer: &mut Answer) {
    let text = String::from_utf8_lossy(&answer.body).to_lowercase();
    for (word, forged) in [("content-id: 0", "content-id: 7"), (" 202 ", " 404 ")] {
        let at = text.find(word).expect("an answer to a batch");
        answer.body[at..at + word.len()].copy_from_slice(forged.as_bytes());
    }
}

#[test]
fn an_answer_to_a_removal_that_nobody_asked_for_costs_that_attempt_only() {
    let mut line = Line::with(Kind::Azure, |setup| setup.config("pack_age_max", "\"1s\""));
    // In a task of its own it is the end of one request.
    line.m.expect_panic("'keepfs-store-io'", "/object_store-");
    line.m.write("secret", noise(1, 60_000));
    line.m.run("\"$KEEPFS\" wait .");
    let files = [("a", noise(2, 60_000))];
    write(&line.m, &files);
    line.m.run("\"$KEEPFS\" wait .");
    let forged = Fault::Forge(tells_of_another);
    line.proxy.fault("POST", "comp=batch", usize::MAX, forged);
    let secret = line.m.path("secret");
    let done = line.m.keepfs(&["purge", "--yes", secret.to_str().unwrap()]);
    let said = text(&done.stderr);
    assert!(line.proxy.hit() > 0, "{:?}", line.proxy.seen());
    assert_eq!(done.status.code(), Some(6), "{done:?}");
    assert_eq!(said.trim_end().lines().count(), 1, "{said}");
    assert!(said.contains("an answer that makes no sense"), "{said}");
    line.proxy.heal();
    line.assert_whole(&files);
}
