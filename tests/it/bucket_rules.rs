//! What a bucket does by itself is said where it harms a backup.
//!
//! No server here knows life-cycle rules and locks, so one that answers nothing but the
//! questions about them stands in: it speaks as the S3 API reference says.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Command;

use crate::harness::{keepfs_binary, output};

const ANSWERS: [(&str, &str); 3] = [
    (
        "GET /bucket?lifecycle ",
        "<LifecycleConfiguration><Rule><Status>Enabled</Status><Expiration><Days>30</Days>\
         </Expiration></Rule></LifecycleConfiguration>",
    ),
    (
        "GET /bucket?versioning ",
        "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>",
    ),
    ("PUT /bucket/.wellknown/keepfs/photos ", ""),
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
    assert_eq!(warnings.len(), 2, "{said}");
    assert!(warnings[0].contains("a life-cycle rule"), "{said}");
    assert!(warnings[1].contains("old object versions"), "{said}");
}
