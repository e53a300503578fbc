//! Uploads by address: from real servers on loopback, which a debug build lets in when
//! `KEEPFS_TEST_ALLOW_LOOPBACK_FETCH` is set. Only 127.0.0.1 is let in, so that what must
//! be refused can listen beside it.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;

use serde_json::json;

use crate::harness::{Setup, noise, not_run, xattr};
use crate::http::{Answer, Served, names};

/// Answers each call as `answer` says, which gets its path.
struct Origin {
    address: SocketAddr,
    calls: Arc<AtomicUsize>,
}

impl Origin {
    fn on(host: &str, answer: impl Fn(&str, &mut TcpStream) + Send + 'static) -> Self {
        let listener = TcpListener::bind((host, 0)).expect("a port");
        let address = listener.local_addr().expect("its address");
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&calls);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.expect("a caller");
                counted.fetch_add(1, Ordering::SeqCst);
                let mut lines = BufReader::new(stream.try_clone().expect("a stream")).lines();
                let first = lines.next().and_then(Result::ok).unwrap_or_default();
                let headers = lines.map_while(Result::ok);
                headers.take_while(|line| !line.is_empty()).for_each(drop);
                let path = first.split(' ').nth(1).unwrap_or_default();
                answer(path, &mut stream);
            }
        });
        Self { address, calls }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }
}

fn send(stream: &mut TcpStream, head: &str, body: &[u8]) {
    // Whoever refuses what is sent may be gone before its end.
    let _ = stream.write_all(format!("HTTP/1.1 {head}\r\nconnection: close\r\n\r\n").as_bytes());
    let _ = stream.write_all(body);
}

fn send_whole(stream: &mut TcpStream, body: &[u8]) {
    let head = format!("200 OK\r\ncontent-length: {}", body.len());
    send(stream, &head, body);
}

fn redirect(stream: &mut TcpStream, to: &str) {
    let head = format!("302 Found\r\nlocation: {to}\r\ncontent-length: 0");
    send(stream, &head, b"");
}

/// `None` where the build cannot be told to fetch from here.
fn served(setup: Setup, settings: &str) -> Option<Served> {
    if cfg!(not(debug_assertions)) {
        not_run("fetching from loopback", "a release build never does");
        return None;
    }
    let setup = setup.env("KEEPFS_TEST_ALLOW_LOOPBACK_FETCH", "1");
    let settings = format!("allow_fetch = true\n{settings}");
    Some(Served::with_settings(setup, &settings))
}

fn ask(served: &Served, kind: &str, address: &str, public_id: &str) -> Answer {
    let body = json!({ "file": address, "public_id": public_id });
    served.call("POST", &format!("/v1_1/demo/{kind}/upload"), Some(&body))
}

/// Nothing is left anywhere of an upload that was refused.
#[track_caller]
fn assert_nothing_came(served: &Served) {
    for directory in [served.mount.root.clone(), served.mount.vault.join("live")] {
        assert_eq!(names(&directory), Vec::<String>::new());
    }
    let listed = served.done("GET", "/v1_1/demo/resources/raw", None);
    assert_eq!(listed["resources"], json!([]));
}

#[test]
fn what_is_at_an_address_arrives_in_the_mount_and_says_where_it_is_from() {
    let Some(served) = served(Setup::new(), "") else {
        return;
    };
    let content = noise(1, 3_000_000);
    let sent = content.clone();
    let origin = Origin::on("127.0.0.1", move |path, stream| match path {
        "/moved" => redirect(stream, "deeper/film.mp4?x=1"),
        _ => send_whole(stream, &sent),
    });
    let answer = ask(&served, "auto", &origin.url("/moved"), "trip/film");
    assert_eq!(answer.status, 200, "{}", answer.text());
    let answer = answer.json();
    assert_eq!(
        (
            &answer["resource_type"],
            &answer["format"],
            &answer["bytes"]
        ),
        (&json!("video"), &json!("mp4"), &json!(3_000_000))
    );
    assert_eq!(answer["original_filename"], "film");
    let file = served.mount.root.join("trip/film.mp4");
    assert!(fs::read(&file).unwrap() == content);
    assert_eq!(served.mount.versions("trip/film.mp4").len(), 1);
    let from = xattr(&file, "user.xdg.origin.url");
    assert_eq!(from, Some(origin.url("/moved")));
}

#[test]
fn skip_fetched_leaves_what_was_fetched_out_unless_the_upload_asks_for_it() {
    let setup = Setup::new().config("skip_fetched", "true");
    let Some(served) = served(setup, "") else {
        return;
    };
    let origin = Origin::on("127.0.0.1", |_, stream| send_whole(stream, b"fetched"));
    let unkept = ask(&served, "raw", &origin.url("/a"), "a.txt");
    assert_eq!(unkept.status, 200, "{}", unkept.text());
    assert_eq!(unkept.json()["backup"], false);
    assert_eq!(served.mount.read("a.txt"), b"fetched");
    assert!(served.mount.versions("a.txt").is_empty());
    let body = json!({ "file": origin.url("/b"), "public_id": "b.txt", "backup": true });
    let kept = served.done("POST", "/v1_1/demo/raw/upload", Some(&body));
    assert_eq!(kept["backup"], true);
    assert_eq!(served.mount.texts("b.txt"), ["fetched"]);
    let own = served.upload("raw", &[("public_id", "c.txt")], "c.txt", b"sent");
    assert_eq!(own.json()["backup"], true);
}

#[test]
fn more_than_an_upload_may_have_is_not_fetched() {
    let Some(served) = served(Setup::new(), "upload_bytes_max = \"1 MiB\"") else {
        return;
    };
    let origin = Origin::on("127.0.0.1", |path, stream| match path {
        // Without a length nobody can know before.
        "/endless" => send(stream, "200 OK", &noise(1, 3 << 20)),
        _ => send_whole(stream, &noise(1, (1 << 20) + 1)),
    });
    for path in ["/long", "/endless"] {
        let answer = ask(&served, "raw", &origin.url(path), "a.bin");
        assert_eq!(answer.status, 400, "{path}: {}", answer.text());
        assert!(answer.text().contains("too large"), "{}", answer.text());
    }
    assert_nothing_came(&served);
}

#[test]
fn a_redirect_to_a_private_address_is_not_followed() {
    let Some(served) = served(Setup::new(), "") else {
        return;
    };
    let inner = Origin::on("127.0.0.2", |_, stream| send_whole(stream, b"secret"));
    let to = inner.url("/secret");
    let origin = Origin::on("127.0.0.1", move |path, stream| match path {
        "/in" => redirect(stream, &to),
        "/cloud" => redirect(stream, "http://169.254.169.254/latest/meta-data/"),
        "/file" => redirect(stream, "file:///etc/passwd"),
        "/nowhere" => send(stream, "302 Found\r\ncontent-length: 0", b""),
        _ => redirect(stream, path),
    });
    for (path, words) in [
        ("/in", "not a public one"),
        ("/cloud", "not a public one"),
        ("/file", "only http and https"),
        ("/nowhere", "redirects to nowhere"),
        ("/round", "redirects too often"),
    ] {
        let answer = ask(&served, "raw", &origin.url(path), "a.txt");
        assert_eq!(answer.status, 400, "{path}: {}", answer.text());
        assert!(answer.text().contains(words), "{path}: {}", answer.text());
        assert!(!answer.text().contains("secret\""), "{}", answer.text());
    }
    let direct = ask(&served, "raw", &inner.url("/secret"), "a.txt");
    assert_eq!(direct.status, 400, "{}", direct.text());
    assert_eq!(inner.calls(), 0, "nobody so much as connected");
    assert_nothing_came(&served);
}

#[test]
fn a_server_that_hangs_or_cuts_off_leaves_nothing() {
    let setup = Setup::new().env("KEEPFS_TEST_PATIENCE_MS", "500");
    let Some(served) = served(setup, "") else {
        return;
    };
    let (hung, held) = mpsc::channel();
    let origin = Origin::on("127.0.0.1", move |path, stream| match path {
        "/silent" => hung.send(stream.try_clone().unwrap()).unwrap(),
        "/stalls" => {
            send(stream, "200 OK\r\ncontent-length: 1000", &[0; 500]);
            hung.send(stream.try_clone().unwrap()).unwrap();
        }
        "/cut" => send(stream, "200 OK\r\ncontent-length: 1000", &[0; 500]),
        "/chunk" => {
            let head = "200 OK\r\ntransfer-encoding: chunked";
            send(stream, head, b"5\r\nabcde\r\n10\r\nabc");
        }
        "/gone" => {}
        _ => send(stream, "503 Busy\r\ncontent-length: 4", b"busy"),
    });
    for (path, words) in [
        ("/silent", "does not answer"),
        ("/stalls", "was broken off"),
        ("/cut", "was broken off"),
        ("/chunk", "was broken off"),
        ("/gone", "does not answer"),
        ("/busy", "it answered 503"),
    ] {
        let answer = ask(&served, "raw", &origin.url(path), "a.txt");
        assert_eq!(answer.status, 400, "{path}: {}", answer.text());
        assert!(answer.text().contains(words), "{path}: {}", answer.text());
    }
    drop(held);
    assert_nothing_came(&served);
}

#[test]
fn only_http_is_fetched_and_only_where_the_owner_allowed_it() {
    let Some(served) = served(Setup::new(), "") else {
        return;
    };
    for address in [
        "file:///etc/passwd",
        "/etc/passwd",
        "ftp://127.0.0.1/x",
        "http://",
    ] {
        let answer = ask(&served, "raw", address, "a.txt");
        assert_eq!(answer.status, 400, "{address}: {}", answer.text());
    }
    let setup = Setup::new().env("KEEPFS_TEST_ALLOW_LOOPBACK_FETCH", "1");
    let closed = Served::start(setup);
    let origin = Origin::on("127.0.0.1", |_, stream| send_whole(stream, b"x"));
    let answer = ask(&closed, "raw", &origin.url("/x"), "a.txt");
    assert!(
        answer.text().contains("not fetched here")
            && answer.text().contains("under [api] in keepfs.toml"),
        "{}",
        answer.text()
    );
    assert_eq!(origin.calls(), 0);
    assert_nothing_came(&served);
    assert_nothing_came(&closed);
}
