//! What can be stored while a bucket does not say what it has.
//!
//! Only a file that shares bytes with a pack of an earlier run needs an answer; all others
//! are stored meanwhile.

use crate::faults::Line;
use crate::harness::{Mount, noise, text, wait_for, xattr};
use crate::proxy::Fault;
use crate::servers::Kind;

const ARCHIVED: &str = "<?xml version=\"1.0\"?><Error><Code>InvalidObjectState</Code><Message>The \
     operation is not valid for the object's storage class</Message></Error>";

/// Long enough for several chunks; the first of them do not depend on the end.
fn long(seed: u64, end: &str) -> Vec<u8> {
    let mut content = noise(seed, 600_000);
    content.extend(end.bytes());
    content
}

fn state(m: &Mount, path: &str) -> Option<String> {
    let id = m.versions(path).pop()?;
    xattr(&m.version_path(path, &id), "user.keepfs.state")
}

/// Four files in the bucket, and a start after which nobody has looked at their packs.
fn with_old_files() -> (Line, Vec<String>) {
    let mut line = Line::with(Kind::S3, |setup| setup.config("ingest_threads", "1"));
    let names: Vec<_> = (0..4).map(|n| format!("old{n}")).collect();
    for (seed, name) in (0..).zip(&names) {
        line.m.write(name, long(seed, "one"));
    }
    line.m.run("\"$KEEPFS\" wait .");
    line.m.unmount();
    line.m.remount();
    (line, names)
}

#[test]
fn new_files_do_not_wait_for_those_that_share_bytes_with_a_silent_bucket() {
    let (line, names) = with_old_files();
    let m = &line.m;
    line.proxy.fault("*", "/packs/", usize::MAX, Fault::Silence);
    for (seed, name) in (0..).zip(&names) {
        m.write(name, long(seed, "two"));
    }
    m.write("new", noise(77, 50_000));
    wait_for("the new file to be stored", || {
        (state(m, "new").as_deref() == Some("stored")).then_some(())
    });
    // Of the same size as before: what history shows must be settled without the bucket.
    for (seed, name) in (0..).zip(&names) {
        assert_eq!(m.versions(name).len(), 2, "{name}");
        let newest = m.versions(name).pop().unwrap();
        let read = std::fs::read(m.version_path(name, &newest)).unwrap();
        assert!(read == long(seed, "two"), "{name}");
    }
    let waited = m.keepfs(&["wait", "--timeout", "2s", "."]);
    assert_eq!(waited.status.code(), Some(6), "{waited:?}");
    line.proxy.heal();
    let files: Vec<_> = (0..)
        .zip(&names)
        .map(|(seed, name)| (name.as_str(), long(seed, "two")))
        .collect();
    line.assert_whole(&files);
}

#[test]
fn a_pack_that_the_bucket_archived_is_named_and_what_is_in_it_is_stored_anew() {
    let (line, names) = with_old_files();
    let m = &line.m;
    let archived = Fault::Answer(403, ARCHIVED);
    line.proxy.fault("GET", ".pack", usize::MAX, archived);
    let checked = m.keepfs(&["check", "."]);
    let said = text(&checked.stdout) + &text(&checked.stderr);
    assert_eq!(checked.status.code(), Some(5), "{said}");
    assert!(said.contains("moved it to an archive"), "{said}");
    for name in &names {
        assert!(said.contains(name.as_str()), "{name}: {said}");
    }
    for (seed, name) in (0..).zip(&names) {
        m.write(name, long(seed, "two"));
    }
    m.run("\"$KEEPFS\" wait --timeout 100s .");
    line.proxy.heal();
    let files: Vec<_> = (0..)
        .zip(&names)
        .map(|(seed, name)| (name.as_str(), long(seed, "two")))
        .collect();
    line.assert_whole(&files);
}
