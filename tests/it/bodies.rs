//! Bodies of calls that are too long or too slow, and who may send how much.

use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use crate::bad_calls::assert_refused;
use crate::harness::{Setup, noise, not_run, wait_for};
use crate::http::{Answer, Served, multipart, read};

#[test]
fn parameters_in_many_fields_have_one_limit_together() {
    let served = Served::start(Setup::new());
    let text = "x".repeat(1 << 20);
    let fields: Vec<_> = (0..9).map(|_| ("context", text.as_str())).collect();
    let (content_type, body) = multipart(&fields, "x", b"x");
    let authorization = served.authorization();
    let known = [
        ("authorization", authorization.as_str()),
        ("content-type", content_type.as_str()),
    ];
    for path in [
        "/raw/tags",
        "/raw/destroy",
        "/resources/search",
        "/raw/upload",
    ] {
        let answer = served.raw("POST", &format!("/v1_1/demo{path}"), &known, &body);
        assert_refused(&served, &answer, path);
        assert!(answer.text().contains("too long"), "{}", answer.text());
    }
    // Whoever is not known yet has less.
    let (content_type, body) = multipart(&fields[..2], "x", b"x");
    let stranger = [("content-type", content_type.as_str())];
    for path in ["/v1_1/demo/raw/tags", "/v1_1/demo/raw/upload", "/session"] {
        let answer = served.raw("POST", path, &stranger, &body);
        assert_refused(&served, &answer, path);
        assert!(answer.text().contains("too long"), "{}", answer.text());
    }
}

#[test]
fn a_text_as_file_is_read_for_nobody_who_has_not_proved_who_it_is() {
    if cfg!(not(debug_assertions)) {
        return not_run("bodies that stand still", "a release build waits a minute");
    }
    let setup = Setup::new().env("KEEPFS_TEST_PATIENCE_MS", "500");
    let served = Served::start(setup);
    let text = format!("data:x/y;base64,{}", "A".repeat(12 << 20));
    let fields = [("public_id", "a.bin"), ("file", text.as_str())];
    let (content_type, body) = multipart(&fields, "x", b"x");
    let mut stream = served.connect();
    let head = format!(
        "POST /v1_1/demo/raw/upload HTTP/1.1\r\nhost: x\r\n\
         content-type: {content_type}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).expect("a head");
    // Too little to be the whole text, and nothing follows: it is not waited for.
    stream.write_all(&body[..2 << 20]).expect("a part");
    let answer = read(&mut stream);
    assert_eq!(answer.status, 401, "{}", answer.text());
    // With a proof it may be longer than parameters.
    let authorization = served.authorization();
    let known = [
        ("authorization", authorization.as_str()),
        ("content-type", content_type.as_str()),
    ];
    let end = body.windows(3).rposition(|bytes| bytes == b"AAA").unwrap() + 3;
    let whole = [&body[..end], b"\r\n------keepfs-test-boundary--\r\n"].concat();
    let answer = served.raw("POST", "/v1_1/demo/raw/upload", &known, &whole);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json()["bytes"], 9 << 20);
}

#[test]
fn more_tricklers_than_there_are_places_keep_nobody_out_for_long() {
    if cfg!(not(debug_assertions)) {
        return not_run("callers who trickle", "a release build waits a minute");
    }
    const TRICKLERS: usize = 540;
    let setup = Setup::new().env("KEEPFS_TEST_PATIENCE_MS", "2000");
    let served = Served::start(setup);
    let head = "POST /v1_1/demo/raw/upload HTTP/1.1\r\nhost: x\r\n\
         content-type: multipart/form-data; boundary=b\r\ncontent-length: 100000\r\n\r\n\
         --b\r\ncontent-disposition: form-data; name=\"tags\"\r\n\r\n";
    let (come, coming) = std::sync::mpsc::channel::<TcpStream>();
    let trickling = std::thread::spawn(move || {
        let mut tricklers = Vec::new();
        let trickle = |tricklers: &mut Vec<TcpStream>| {
            // Those who were turned away do not come back.
            tricklers.retain_mut(|stream| stream.write_all(b"x").is_ok());
        };
        loop {
            match coming.recv_timeout(Duration::from_millis(100)) {
                Ok(stream) => tricklers.push(stream),
                Err(RecvTimeoutError::Timeout) => trickle(&mut tricklers),
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if tricklers.len() % 50 == 0 {
                trickle(&mut tricklers);
            }
        }
    });
    for _ in 0..TRICKLERS {
        let mut stream = served.connect();
        stream.write_all(head.as_bytes()).expect("a head");
        come.send(stream).expect("somebody who trickles");
    }
    let answer = served.upload("raw", &[("public_id", "quick.bin")], "x", b"quick");
    assert_eq!(answer.status, 200, "{}", answer.text());
    drop(come);
    trickling.join().expect("they end");
}

/// Sends the first part of an upload, and never another.
fn abandon(served: &Served, id: &str, bytes: usize) -> Answer {
    let (content_type, body) = multipart(&[("public_id", "a.bin")], "a", &noise(1, bytes));
    let authorization = served.authorization();
    let range = format!("bytes 0-{}/-1", bytes - 1);
    let headers = [
        ("authorization", authorization.as_str()),
        ("content-type", content_type.as_str()),
        ("x-unique-upload-id", id),
        ("content-range", range.as_str()),
    ];
    served.raw("POST", "/v1_1/demo/raw/upload", &headers, &body)
}

/// Files that have no name any more and are held open.
fn nameless(served: &Served) -> usize {
    let open = fs::read_dir(format!("/proc/{}/fd", served.mount.pid())).unwrap();
    let open = open.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    let live = served.mount.vault.join("live");
    open.filter(|link| link.starts_with(&live) && link.to_string_lossy().ends_with("(deleted)"))
        .count()
}

#[test]
fn abandoned_uploads_make_room_for_others_and_give_their_space_back() {
    if cfg!(not(debug_assertions)) {
        return not_run(
            "abandoned uploads",
            "a release build keeps them for an hour",
        );
    }
    let setup = Setup::new().env("KEEPFS_TEST_PATIENCE_MS", "10000");
    let served = Served::start(setup);
    for number in 0..100 {
        let kept = abandon(&served, &number.to_string(), 1000);
        assert_eq!(kept.status, 200, "{}", kept.text());
    }
    assert_eq!(nameless(&served), 100);
    let refused = abandon(&served, "one more", 1000);
    assert_eq!(refused.status, 429, "{}", refused.text());
    wait_for("the abandoned ones to be dropped", || {
        (nameless(&served) == 0).then_some(())
    });
    let kept = abandon(&served, "one more", 1000);
    assert_eq!(kept.status, 200, "{}", kept.text());
}
