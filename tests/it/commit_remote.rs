//! `commit = remote`: a close or fsync returns when the version is in the bucket.

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use crate::buckets::{allow, setup};
use crate::harness::{Mount, text, xattr};
use crate::servers::{BucketServer, Kind, objects};

fn start(server: &BucketServer, timeout: &str) -> Mount {
    allow(server, "photos");
    let setup = setup(server, "p").config("commit", "\"remote\"");
    setup
        .config("commit_timeout", &format!("\"{timeout}\""))
        .start()
}

fn state(m: &Mount, path: &str) -> Option<String> {
    let id = m.versions(path).pop()?;
    xattr(&m.version_path(path, &id), "user.keepfs.state")
}

fn packs(server: &BucketServer) -> usize {
    objects(&server.bucket().join("p/packs")).len()
}

#[test]
fn closes_return_when_their_versions_are_in_the_bucket_and_share_its_packs() {
    let server = BucketServer::start(Kind::S3);
    let m = start(&server, "10m");
    m.write("first", "one");
    assert_eq!(state(&m, "first").as_deref(), Some("uploaded"));
    assert_eq!(packs(&server), 1);
    server.freeze();
    let (done, closed) = mpsc::channel();
    thread::scope(|scope| {
        // More than there are threads that answer the kernel.
        for n in 0..10 {
            let (m, done) = (&m, done.clone());
            scope.spawn(move || {
                m.write(format!("f{n}"), format!("content {n}"));
                done.send(n).unwrap();
            });
        }
        let early = closed.recv_timeout(Duration::from_secs(2));
        assert_eq!(early, Err(mpsc::RecvTimeoutError::Timeout));
        // Nobody else is held up.
        assert_eq!(m.read("first"), b"one");
        assert!(m.list("").contains(&"f3".to_owned()));
        server.thaw();
        for _ in 0..10 {
            closed.recv_timeout(Duration::from_secs(60)).unwrap();
        }
    });
    for n in 0..10 {
        let path = format!("f{n}");
        assert_eq!(state(&m, &path).as_deref(), Some("uploaded"));
        assert_eq!(m.texts(&path), [format!("content {n}")]);
    }
    assert!(packs(&server) <= 5, "{} packs", packs(&server));
}

#[test]
fn a_close_that_waited_too_long_fails_and_the_version_is_kept_all_the_same() {
    let server = BucketServer::start(Kind::S3);
    let m = start(&server, "2s");
    server.freeze();
    let since = Instant::now();
    let said = m.python(
        "import errno
f = open('f', 'w'); f.write('kept')
try: f.close()
except OSError as e: print(errno.errorcode[e.errno])",
    );
    assert_eq!(said, "ETIMEDOUT\n");
    assert!(since.elapsed() < Duration::from_secs(30));
    assert_eq!(m.read("f"), b"kept");
    assert_eq!(m.texts("f"), ["kept"]);
    server.thaw();
    m.run("\"$KEEPFS\" wait f");
    assert_eq!(state(&m, "f").as_deref(), Some("uploaded"));
    assert_eq!(m.texts("f"), ["kept"]);
}

#[test]
fn closes_of_copied_descriptors_leave_one_version_of_the_whole() {
    let server = BucketServer::start(Kind::S3);
    let m = start(&server, "10m");
    for _ in 0..2 {
        m.run("(echo a; bash -c 'echo b'; (echo c)) > shared; \"$KEEPFS\" wait .");
        assert_eq!(m.texts("shared"), ["a\nb\nc\n"]);
    }
    m.run(
        "exec 3> slow; echo first >&3; bash -c : ; echo second >&3; exec 3>&-; \"$KEEPFS\" wait .",
    );
    assert_eq!(m.texts("slow"), ["first\nsecond\n"]);
    assert_eq!(state(&m, "slow").as_deref(), Some("uploaded"));
    m.run("echo 1 > n; echo 2 > n; echo 3 >> n; : > n; \"$KEEPFS\" wait .");
    assert_eq!(m.texts("n"), ["1\n", "2\n", "2\n3\n", ""]);
}

#[test]
fn an_fsync_waits_too_and_what_it_made_gives_way_to_the_last_close() {
    let server = BucketServer::start(Kind::S3);
    let m = start(&server, "10m");
    let said = m.python(
        "import os
f = open('f', 'w'); f.write('half'); f.flush(); os.fsync(f.fileno())
[half] = os.listdir('.versions/f')
print(os.getxattr(f'.versions/f/{half}', 'user.keepfs.state').decode())
f.write(' and whole'); f.close()
os.rename('f', 'd'); d = os.open('.', os.O_RDONLY); os.fsync(d)",
    );
    assert_eq!(said, "uploaded\n");
    m.run("\"$KEEPFS\" wait .");
    assert_eq!(m.texts("d"), ["half and whole"]);
    assert!(!text(&m.keepfs(&["status", "."]).stdout).contains("blocked"));
}
