//! What a bucket does by itself is said where it harms a backup.
//!
//! No server here knows life-cycle rules and locks, so one that answers nothing but the
//! questions about them stands in, and for a mount a proxy before a real one: they speak as
//! the S3 API reference says.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Command;

use crate::buckets::allow;
use crate::harness::{Mount, Setup, keepfs_binary, output, text, wait_for};
use crate::proxy::{Fault, Proxy};
use crate::servers::{BucketServer, Kind};

const ANSWERS: [(&str, &str); 4] = [
    (
        "GET /bucket?lifecycle ",
        "<LifecycleConfiguration><Rule><Status>Enabled</Status><Expiration><Days>30</Days>\
         </Expiration></Rule></LifecycleConfiguration>",
    ),
    (
        "GET /bucket?versioning ",
        "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>",
    ),
    (
        "GET /bucket?object-lock ",
        "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule>\
         <DefaultRetention><Mode>GOVERNANCE</Mode><Days>1</Days></DefaultRetention></Rule>\
         </ObjectLockConfiguration>",
    ),
    ("PUT /bucket/.wellknown/keepfs/photos ", ""),
];
/// In the order of the answers.
const WARNINGS: [&str; 3] = [
    "a life-cycle rule of the bucket removes or moves objects",
    "the bucket keeps old object versions",
    "the bucket locks objects against deletion",
];

/// Answers until the test ends; returns its port.
fn server() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("its number").port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a client");
            let (mut head, mut byte) = (Vec::new(), [0]);
            while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
                head.push(byte[0]);
            }
            let head = String::from_utf8_lossy(&head).into_owned();
            let signed = head
                .to_lowercase()
                .contains("authorization: aws4-hmac-sha256");
            let found = ANSWERS
                .iter()
                .find(|(start, _)| head.starts_with(start) && signed);
            let (status, body) = match found {
                Some((_, body)) => ("200 OK", *body),
                None => ("404 Not Found", ""),
            };
            let length = body.len();
            let _ = write!(
                stream,
                "HTTP/1.1 {status}\r\nETag: \"1\"\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
            );
        }
    });
    port
}

#[test]
fn rules_of_an_s3_bucket_that_harm_a_backup_are_named_to_its_owner() {
    let url = format!("s3://bucket/p?endpoint=http://127.0.0.1:{}", server());
    let mut command = Command::new(keepfs_binary());
    command
        .args(["store", "allow", &url, "--name", "photos"])
        .env("AWS_ACCESS_KEY_ID", "key")
        .env("AWS_SECRET_ACCESS_KEY", "secret");
    let done = output(&mut command);
    assert!(done.status.success(), "{done:?}");
    let said = String::from_utf8_lossy(&done.stderr);
    let warnings: Vec<&str> = said.lines().collect();
    assert_eq!(warnings.len(), WARNINGS.len(), "{said}");
    for (warning, words) in warnings.iter().zip(WARNINGS) {
        assert!(warning.contains(words), "{said}");
    }
}

fn has_harmful_rules(proxy: &Proxy) {
    for (question, answer) in &ANSWERS[..WARNINGS.len()] {
        let (method, target) = question.trim_end().split_once(' ').unwrap();
        proxy.fault(method, target, usize::MAX, Fault::Answer(200, answer));
    }
}

fn with_credentials(setup: Setup, server: &BucketServer) -> Setup {
    let environment = server.environment().into_iter();
    environment.fold(setup, |setup, (name, value)| setup.env(name, value))
}

fn warnings_when_they_come(m: &Mount) -> Vec<serde_json::Value> {
    wait_for("the bucket to be asked", || {
        let warnings = m.json(&["status"])["warnings"].as_array()?.clone();
        (!warnings.is_empty()).then_some(warnings)
    })
}

#[test]
fn a_bucket_that_was_away_at_the_start_is_looked_at_when_it_answers() {
    let mut server = BucketServer::start(Kind::S3);
    let proxy = Proxy::before(server.port());
    allow(&server, "photos");
    let url = server.url_through(proxy.port(), "p");
    let setup = Setup::new().init(&["--store", &url, "--name", "photos"]);
    let mut m = with_credentials(setup, &server).unmounted();
    server.stop();
    m.remount();
    server.run();
    has_harmful_rules(&proxy);
    m.write("a", "one");
    m.run("\"$KEEPFS\" wait .");
    assert_eq!(warnings_when_they_come(&m).len(), WARNINGS.len());
}

#[test]
fn the_bucket_that_a_store_was_moved_to_is_looked_at() {
    let server = BucketServer::start(Kind::S3);
    let proxy = Proxy::before(server.port());
    has_harmful_rules(&proxy);
    allow(&server, "photos");
    let setup = Setup::new().init(&["--name", "photos"]);
    let m = with_credentials(setup, &server).start();
    m.write("a", "one");
    let moved = m.keepfs(&["store", "migrate", &server.url_through(proxy.port(), "p")]);
    assert!(moved.status.success(), "{moved:?}");
    assert_eq!(warnings_when_they_come(&m).len(), WARNINGS.len());
}

#[test]
fn a_mount_warns_of_rules_that_harm_a_backup_and_the_status_shows_them() {
    let server = BucketServer::start(Kind::S3);
    let proxy = Proxy::before(server.port());
    has_harmful_rules(&proxy);
    allow(&server, "photos");
    let url = server.url_through(proxy.port(), "p");
    let setup = Setup::new().init(&["--store", &url, "--name", "photos"]);
    let mut m = with_credentials(setup, &server).start();
    let shown = warnings_when_they_come(&m);
    assert_eq!(shown.len(), WARNINGS.len(), "{shown:?}");
    let status = text(&m.keepfs(&["status"]).stdout);
    for (warning, shown) in WARNINGS.iter().zip(&shown) {
        assert!(shown.as_str().unwrap().contains(warning), "{shown}");
        let mut lines = status.lines().filter(|line| line.starts_with("warning "));
        assert!(lines.any(|line| line.contains(warning)), "{status}");
        m.wait_for_log(warning);
    }
    // Taken off, they are not spoken of any more.
    m.unmount();
    proxy.heal();
    m.remount();
    wait_for("the bucket to be asked", || {
        let asked = proxy.requests("GET", "?object-lock");
        (asked >= 2).then_some(())
    });
    assert_eq!(m.json(&["status"])["warnings"], serde_json::json!([]));
}
