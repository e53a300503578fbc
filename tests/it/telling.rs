//! Who asked to be told hears how an initial backup or a restore ended: by mail through a
//! real server, and by a call that the SDK verifies.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Command;
use std::thread;

use serde_json::{Value, json};

use crate::harness::{PATIENCE, Setup, keepfs_binary, not_run, output, wait_for};
use crate::http::{Served, test_servers};
use crate::smtp::SmtpServer;

const SMTP: &str = "[notify]\nsmtp_host = \"localhost\"\nsmtp_security = \"off\"\n\
                    from = \"keepfs <keepfs@example.com>\"\nto = [\"owner@example.com\"]\n";

fn with_mail(smtp: &SmtpServer, setup: Setup) -> Served {
    let port = smtp.port;
    Served::with_settings(setup, &format!("{SMTP}smtp_port = {port}\n"))
}

fn start_backup(served: &Served, body: &Value) -> String {
    let started = served.done("POST", "/v1_1/demo/operations/initial_backup", Some(body));
    started["id"].as_str().expect("an id").to_owned()
}

#[test]
fn a_mail_says_how_an_initial_backup_ended() {
    let smtp = SmtpServer::plain();
    let served = with_mail(&smtp, Setup::new().mount(&["--backup", "on"]));
    for name in ["a.txt", "b.txt"] {
        fs::write(served.mount.vault.join("live").join(name), name).unwrap();
    }
    start_backup(&served, &json!({ "email": "me@example.com" }));
    let mail = smtp.mail();
    assert_eq!(mail["from"], "keepfs@example.com");
    assert_eq!(mail["to"], json!(["me@example.com"]));
    assert_eq!(mail["submitted"], "auto-generated");
    assert_eq!(
        mail["subject"],
        "keepfs demo: initial backup completed: 2 files"
    );
    let text = mail["text"].as_str().unwrap();
    assert!(text.contains("\"processed_assets_count\": 2"), "{text}");
    start_backup(&served, &json!({}));
    wait_for("the second one to end", || {
        let listed = served.done("GET", "/v1_1/demo/operations/initial_backup", None);
        (listed["initial_backups"][0]["status"] == "completed").then_some(())
    });
    smtp.assert_no_mail();
}

#[test]
fn a_mail_says_which_of_several_restores_went_wrong() {
    let smtp = SmtpServer::plain();
    let served = with_mail(&smtp, Setup::new());
    served.mount.write("a.txt", "a");
    served.mount.remove("a.txt");
    let path = "/v1_1/demo/resources/raw/upload/restore";
    let one = json!({ "public_ids": ["a.txt"], "email": "me@example.com" });
    served.done("POST", path, Some(&one));
    assert_eq!(served.mount.read("a.txt"), b"a");
    let mail = smtp.mail();
    assert_eq!(mail["to"], json!(["me@example.com"]));
    assert_eq!(
        mail["subject"],
        "keepfs demo: restore completed: 1 of 1 came back"
    );
    let two = json!({ "public_ids": ["a.txt", "none.txt"], "email": "me@example.com" });
    served.done("POST", path, Some(&two));
    let mail = smtp.mail();
    assert_eq!(
        mail["subject"],
        "keepfs demo: restore failed: 1 of 2 came back"
    );
    let text = mail["text"].as_str().unwrap();
    assert!(text.contains("\"error\": \"no_backup\""), "{text}");
}

#[test]
fn whoever_cannot_be_written_to_is_refused_before_the_work_begins() {
    let smtp = SmtpServer::plain();
    let served = with_mail(&smtp, Setup::new().mount(&["--backup", "on"]));
    let without = Served::start(Setup::new().mount(&["--backup", "on"]));
    for served in [&served, &without] {
        served.mount.write("a.txt", "a");
        served.mount.remove("a.txt");
    }
    for (served, email, words) in [
        (&served, "nobody", "Invalid email nobody"),
        (&served, "a@b\r\nBcc: c@d", "Invalid email"),
        (&without, "me@example.com", "says no mail server"),
    ] {
        for (path, body) in [
            ("/operations/initial_backup", json!({ "email": email })),
            (
                "/resources/raw/upload/restore",
                json!({ "public_ids": ["a.txt"], "email": email }),
            ),
        ] {
            let answer = served.call("POST", &format!("/v1_1/demo{path}"), Some(&body));
            assert_eq!(answer.status, 400, "{path}: {}", answer.text());
            assert!(answer.text().contains(words), "{}", answer.text());
        }
        assert!(!served.mount.path("a.txt").exists());
    }
    smtp.assert_no_mail();
}

#[test]
fn a_call_that_the_sdk_verifies_says_how_a_restore_ended() {
    if cfg!(not(debug_assertions)) {
        return not_run("calls to loopback", "a release build makes none");
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let hook = format!("http://{}/hook", listener.local_addr().unwrap());
    let inner = TcpListener::bind("127.0.0.2:0").unwrap();
    let private = format!("http://{}/", inner.local_addr().unwrap());
    let setup = Setup::new().env("KEEPFS_TEST_ALLOW_LOOPBACK_FETCH", "1");
    let served = Served::start(setup);
    served.mount.write("a.txt", "a");
    served.mount.remove("a.txt");
    let told = thread::spawn(move || {
        // The first call is not answered as it should be, so there is a second.
        let (mut stream, _) = listener.accept().unwrap();
        read_call(&mut stream);
        stream
            .write_all(b"HTTP/1.1 500 No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            .unwrap();
        drop(stream);
        let (mut stream, _) = listener.accept().unwrap();
        let text = read_call(&mut stream);
        stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
            .unwrap();
        text
    });
    let restore = |url: &str| {
        let body = json!({ "public_ids": ["a.txt"], "notification_url": url });
        served.call(
            "POST",
            "/v1_1/demo/resources/raw/upload/restore",
            Some(&body),
        )
    };
    assert_eq!(restore("file:///etc/passwd").status, 400);
    assert!(!served.mount.path("a.txt").exists());
    assert_eq!(restore(&hook).status, 200);
    let told = told.join().unwrap();
    let (head, body) = told.split_once("\r\n\r\n").unwrap();
    let header = |name: &str| {
        let mut lines = head.lines().filter_map(|line| line.split_once(": "));
        let found = lines.find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.expect("the header").1.to_owned()
    };
    let mut command = Command::new(test_servers().join("python/bin/python"));
    let verified = output(
        command
            .args([
                "-c",
                "import sys; from cloudinary import utils; \
                 print(utils.verify_notification_signature(sys.argv[1], int(sys.argv[2]), sys.argv[3]))",
            ])
            .args([body, &header("x-cld-timestamp"), &header("x-cld-signature")])
            .env("CLOUDINARY_URL", served.url()),
    );
    assert_eq!(verified.stdout, b"True\n", "{verified:?}");
    let body: Value = serde_json::from_str(body).unwrap();
    assert_eq!(body["notification_type"], "restore_asset_version");
    assert_eq!(body["status"], "completed");
    assert_eq!(body["resources"]["a.txt"]["bytes"], 1);

    assert_eq!(
        restore(&private).status,
        200,
        "the restore itself went well"
    );
    wait_for("the log to say that nobody was told", || {
        served.mount.log().contains("was not told").then_some(())
    });
    inner.set_nonblocking(true).unwrap();
    assert!(inner.accept().is_err(), "nobody so much as connected");
}

#[test]
fn what_is_told_for_a_key_that_only_logs_in_has_no_signature() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let hook = format!("http://{}/hook", listener.local_addr().unwrap());
    let settings = format!("notification_url = \"{hook}\"");
    let mut served = Served::with_settings(Setup::new(), &settings);
    let mut command = Command::new(keepfs_binary());
    let made = output(
        command
            .args(["api-key", "create", "--log-in", "--json"])
            .arg(&served.mount.vault),
    );
    let made: Value = serde_json::from_slice(&made.stdout).expect("JSON");
    served.key = made["key"].as_str().expect("a key").to_owned();
    served.secret = made["secret"].as_str().expect("a secret").to_owned();
    served.mount.write("a.txt", "a");
    served.mount.remove("a.txt");
    let told = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let text = read_call(&mut stream);
        stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
            .unwrap();
        text
    });
    let path = "/v1_1/demo/resources/raw/upload/restore";
    let asked = json!({ "public_ids": ["a.txt"], "notification_url": "http://127.0.0.1:9/" });
    let refused = served.call("POST", path, Some(&asked));
    assert_eq!(refused.status, 400, "{}", refused.text());
    assert!(
        refused.text().contains("only logs in"),
        "{}",
        refused.text()
    );
    assert!(!served.mount.path("a.txt").exists(), "nothing was begun");
    served.done("POST", path, Some(&json!({ "public_ids": ["a.txt"] })));
    let told = told.join().unwrap().to_ascii_lowercase();
    assert!(told.contains("restore_asset_version"), "{told}");
    assert!(!told.contains("x-cld-"), "{told}");
}

/// One call, to the end of its body.
fn read_call(stream: &mut impl Read) -> String {
    let mut text = String::new();
    let mut buffer = [0; 4096];
    let end = std::time::Instant::now() + PATIENCE;
    loop {
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.to_ascii_lowercase();
            let length = length.split_once("content-length: ").expect("a length").1;
            let length = length.lines().next().and_then(|length| length.parse().ok());
            if body.len() >= length.expect("a number") {
                return text;
            }
        }
        let count = stream.read(&mut buffer).expect("a call");
        assert!(count > 0 && std::time::Instant::now() < end, "{text}");
        text.push_str(&String::from_utf8_lossy(&buffer[..count]));
    }
}
