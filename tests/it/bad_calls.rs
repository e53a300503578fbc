//! Callers of the API that do not behave: names that want out, calls too long, too many and
//! too slow. Each is refused in one line that says nothing of this machine, and leaves nothing.

use std::fs;
use std::io::{Read, Write};

use serde_json::{Value, json};

use crate::harness::{Setup, noise, not_run, wait_for};
use crate::http::{Answer, Served, multipart, names, read};

/// Names that lead out of the vault, or into its own, or nowhere.
fn tricks() -> Vec<String> {
    let mut tricks: Vec<String> = [
        "..",
        "../keepfs.toml",
        "a/../../keepfs.toml",
        "/etc/passwd",
        "a//b",
        "a/",
        "./a",
        "a/.",
        "a/./b",
        ".versions/a.txt",
        ".deleted/a.txt",
        ".versions",
        "a\0b",
        "\0",
    ]
    .map(str::to_owned)
    .to_vec();
    tricks.push("x".repeat(4_000));
    tricks.push("x/".repeat(5_000) + "x");
    tricks
}

/// Refused, in the SDKs' form and one line, without a path of this machine.
#[track_caller]
pub fn assert_refused(served: &Served, answer: &Answer, what: &str) {
    let text = answer.text();
    assert!(
        matches!(answer.status, 400 | 404),
        "{what}: {} {text}",
        answer.status
    );
    let message = answer.json()["error"]["message"]
        .as_str()
        .map(str::to_owned);
    let message = message.unwrap_or_else(|| panic!("{what}: {text}"));
    assert!(!message.contains('\n'), "{what}: {message}");
    let vault = served
        .mount
        .vault
        .parent()
        .unwrap()
        .to_str()
        .unwrap()
        .to_owned();
    for secret in [vault.as_str(), "keepfs.db", "panicked", ".rs:", "os error"] {
        assert!(!message.contains(secret), "{what}: {message}");
    }
}

fn escaped(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

#[test]
fn names_that_want_out_are_refused_by_every_call() {
    let served = Served::start(Setup::new());
    served.mount.write("a.txt", "a");
    let before = fs::read(served.mount.vault.join("keepfs.toml")).unwrap();
    for trick in tricks() {
        let what = trick.chars().take(30).collect::<String>();
        let answer = served.upload("raw", &[("public_id", &trick)], "x", b"x");
        assert_refused(&served, &answer, &format!("upload {what:?}"));
        let calls = [
            (
                "POST",
                "/raw/rename",
                json!({ "from_public_id": "a.txt", "to_public_id": trick }),
            ),
            (
                "POST",
                "/raw/rename",
                json!({ "from_public_id": trick, "to_public_id": "b.txt" }),
            ),
            ("POST", "/raw/destroy", json!({ "public_id": trick })),
            (
                "POST",
                "/raw/explicit",
                json!({ "public_id": trick, "tags": "t" }),
            ),
            (
                "POST",
                "/raw/tags",
                json!({ "public_ids": ["a.txt", trick], "tag": "t", "command": "add" }),
            ),
            (
                "DELETE",
                "/resources/raw/upload",
                json!({ "public_ids": ["a.txt", trick] }),
            ),
        ];
        for (method, path, body) in calls {
            let answer = served.call(method, &format!("/v1_1/demo{path}"), Some(&body));
            assert_refused(&served, &answer, &format!("{path} {what:?}"));
        }
        let body = json!({ "public_ids": [trick] });
        let restored = served.done(
            "POST",
            "/v1_1/demo/resources/raw/upload/restore",
            Some(&body),
        );
        assert!(
            restored[&trick]["error"].is_string(),
            "restore {what:?}: {restored}"
        );
        if trick.len() < 1_000 {
            // Escaped to the last letter, and once more: the path is decoded once.
            for name in [escaped(&trick), escaped(&escaped(&trick))] {
                for path in [
                    format!("/v1_1/demo/resources/raw/upload/{name}"),
                    format!("/demo/raw/upload/{name}"),
                    format!("/demo/image/upload/{name}.png"),
                    format!("/page/{name}"),
                ] {
                    let answer = served.call("GET", &path, None);
                    assert_refused(&served, &answer, &format!("GET {path}"));
                }
            }
        }
        assert_eq!(names(&served.mount.root), ["a.txt"], "{what:?}");
    }
    assert_eq!(
        fs::read(served.mount.vault.join("keepfs.toml")).unwrap(),
        before
    );
    assert_eq!(served.mount.versions("a.txt").len(), 1);
    let details = served.done("GET", "/v1_1/demo/resources/raw/upload/a.txt", None);
    assert_eq!(details["tags"], json!([]), "nothing was done by half");
}

#[test]
fn a_folder_parameter_leads_nowhere_else_than_a_public_id() {
    let served = Served::start(Setup::new());
    for folder in ["..", "../..", ".versions", "a/../..", "a//b"] {
        for name in ["folder", "asset_folder"] {
            let fields = [(name, folder), ("public_id", "x.txt")];
            let answer = served.upload("raw", &fields, "x.txt", b"x");
            assert_refused(&served, &answer, folder);
        }
        let query = escaped(folder);
        let answer = served.call("GET", &format!("/v1_1/demo/folders?path={query}"), None);
        assert!(
            answer.status != 200 || answer.json()["folders"] == json!([]),
            "{folder}"
        );
    }
    assert!(names(&served.mount.root).is_empty());
}

#[test]
fn a_file_where_a_folder_is_and_a_folder_where_a_file_is_are_refused() {
    let served = Served::start(Setup::new());
    served.mount.write("file", "file");
    served.mount.mkdir("dir");
    for name in ["file/inside", "file/deep/er", "dir"] {
        let answer = served.upload("raw", &[("public_id", name)], "x", b"x");
        assert_refused(&served, &answer, name);
        served.mount.write("moving", "moving");
        let body = json!({ "from_public_id": "moving", "to_public_id": name, "overwrite": true });
        let answer = served.call("POST", "/v1_1/demo/raw/rename", Some(&body));
        assert_refused(&served, &answer, name);
        assert_eq!(served.mount.read("moving"), b"moving");
    }
    for body in [
        json!({ "public_id": "dir" }),
        json!({ "public_id": "file/inside" }),
    ] {
        let destroyed = served.done("POST", "/v1_1/demo/raw/destroy", Some(&body));
        assert_eq!(destroyed["result"], "not found");
    }
    let left = served.mount.run("find . | sort");
    assert_eq!(left, ".\n./dir\n./file\n./moving\n");
}

#[test]
fn more_than_an_upload_may_have_is_refused_in_whatever_form_it_comes() {
    let setup = Setup::new();
    let served = Served::with_settings(setup, "upload_bytes_max = \"1 MiB\"");
    let most = 1 << 20;
    let upload = |length: usize| {
        let content = noise(1, length);
        served.upload("raw", &[("public_id", "a.bin")], "a", &content)
    };
    let refused = upload(most + 1);
    assert_refused(&served, &refused, "multipart");
    assert!(
        refused.text().contains("Maximum is 1048576"),
        "{}",
        refused.text()
    );
    let data = "A".repeat((most / 3 + 1) * 4);
    let body = json!({ "public_id": "a.bin", "file": format!("data:x/y;base64,{data}") });
    let refused = served.call("POST", "/v1_1/demo/raw/upload", Some(&body));
    assert_refused(&served, &refused, "data URI");
    // Each part is small enough; together they are not.
    let part = |first: usize, last: usize| {
        let content = noise(1, last - first + 1);
        let (content_type, body) = multipart(&[("public_id", "a.bin")], "a", &content);
        let authorization = served.authorization();
        let range = format!("bytes {first}-{last}/-1");
        let headers = [
            ("authorization", authorization.as_str()),
            ("content-type", content_type.as_str()),
            ("x-unique-upload-id", "one"),
            ("content-range", range.as_str()),
        ];
        served.raw("POST", "/v1_1/demo/raw/upload", &headers, &body)
    };
    assert_eq!(part(0, 599_999).status, 200);
    let refused = part(600_000, 1_199_999);
    assert_refused(&served, &refused, "parts");
    assert!(names(&served.mount.root).is_empty());
    assert_eq!(upload(most).status, 200, "exactly as much as it may have");
}

#[test]
fn calls_that_name_thousands_of_assets_are_refused_and_do_nothing() {
    let served = Served::start(Setup::new());
    served.mount.write("a.txt", "a");
    let ids: Vec<String> = std::iter::once("a.txt".to_owned())
        .chain((0..50_000).map(|number| format!("many/{number}")))
        .collect();
    let asset = served.done(
        "GET",
        "/v1_1/demo/resources/raw/upload/a.txt?versions=1",
        None,
    );
    let asset_ids: Vec<&Value> = std::iter::repeat_n(&asset["asset_id"], 50_000).collect();
    let calls = [
        (
            "DELETE",
            "/resources/raw/upload",
            json!({ "public_ids": ids }),
        ),
        ("DELETE", "/resources", json!({ "asset_ids": asset_ids })),
        (
            "POST",
            "/resources/raw/upload/restore",
            json!({ "public_ids": ids }),
        ),
        (
            "POST",
            "/resources/restore",
            json!({ "asset_ids": asset_ids }),
        ),
        (
            "POST",
            "/raw/tags",
            json!({ "public_ids": ids, "tag": "t", "command": "add" }),
        ),
        (
            "POST",
            "/raw/context",
            json!({ "public_ids": ids, "context": "k=v", "command": "add" }),
        ),
    ];
    for (method, path, body) in calls {
        let answer = served.call(method, &format!("/v1_1/demo{path}"), Some(&body));
        assert_refused(&served, &answer, path);
        assert!(
            answer.text().contains("at most"),
            "{path}: {}",
            answer.text()
        );
    }
    let version = &asset["versions"][0]["version_id"];
    let wrong: Vec<Value> = (0..50_000)
        .map(|number| json!(format!("{number:032x}")))
        .collect();
    let path = format!(
        "/v1_1/demo/resources/backup/{}",
        asset["asset_id"].as_str().unwrap()
    );
    let answer = served.call("DELETE", &path, Some(&json!({ "version_ids": wrong })));
    assert_refused(&served, &answer, "versions");
    let all = served.done(
        "GET",
        "/v1_1/demo/resources/raw/upload/a.txt?versions=1",
        None,
    );
    assert_eq!(&all["versions"][0]["version_id"], version);
    assert_eq!(all["tags"], json!([]));
    assert_eq!(served.mount.read("a.txt"), b"a");
}

/// A client that finds the connection closed while it sends may not look for the answer.
#[test]
fn a_refusal_arrives_although_a_long_body_is_on_its_way() {
    let served = Served::start(Setup::new());
    let (content_type, body) = multipart(&[("public_id", "x")], "x", &noise(1, 8 << 20));
    let good = served.authorization();
    for (path, authorization, status) in [
        ("/v1_1/another/raw/upload", good.as_str(), 401),
        ("/v1_1/demo/raw/nothing", good.as_str(), 404),
        ("/v1_1/demo/resources/search", "Basic eDp5", 401),
        ("/v1_1/demo/raw/upload", "Basic eDp5", 401),
    ] {
        let mut stream = served.connect();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: {authorization}\r\n\
             content-type: {content_type}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).expect("a head");
        let sent = stream.write_all(&body);
        sent.unwrap_or_else(|error| panic!("{path}: the body was not taken: {error}"));
        let answer = read(&mut stream);
        assert_eq!(answer.status, status, "{path}: {}", answer.text());
    }
}

#[test]
fn an_upload_that_stands_still_is_given_up_and_leaves_nothing() {
    if cfg!(not(debug_assertions)) {
        return not_run("uploads that stand still", "a release build waits a minute");
    }
    let setup = Setup::new().env("KEEPFS_TEST_PATIENCE_MS", "500");
    let served = Served::start(setup);
    let (content_type, body) = multipart(&[("public_id", "slow.bin")], "x", &noise(1, 1 << 20));
    for sent in [0, 60, body.len() / 2, body.len() - 10] {
        let mut stream = served.begin_upload(&content_type, &body, sent);
        let answer = read(&mut stream);
        assert_refused(&served, &answer, &format!("after {sent} bytes"));
        assert!(answer.text().contains("stood still"), "{}", answer.text());
    }
    assert!(names(&served.mount.root).is_empty());
    assert!(names(&served.mount.vault.join("live")).is_empty());
    // Whoever is slow keeps nobody else waiting.
    let answer = served.upload("raw", &[("public_id", "quick.bin")], "x", b"quick");
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[test]
fn a_signed_address_cannot_be_used_for_more_than_it_says() {
    let served = Served::start(Setup::new());
    served.mount.write("a.txt", "a");
    let details = served.done(
        "GET",
        "/v1_1/demo/resources/raw/upload/a.txt?versions=1",
        None,
    );
    let mut command =
        std::process::Command::new(crate::http::test_servers().join("python/bin/python"));
    let address = crate::harness::output(
        command
            .args([
                "-c",
                "import sys; from cloudinary import utils; \
                 print(utils.download_backedup_asset(sys.argv[1], sys.argv[2]))",
            ])
            .arg(details["asset_id"].as_str().unwrap())
            .arg(details["versions"][0]["version_id"].as_str().unwrap())
            .env("CLOUDINARY_URL", served.url()),
    );
    let address = String::from_utf8(address.stdout).unwrap();
    let (_, query) = address.trim().split_once('?').expect("a query");
    let get = |query: &str| {
        let path = format!("/v1_1/demo/download_backup?{query}");
        served.raw("GET", &path, &[], b"")
    };
    assert_eq!(get(query).body, b"a");
    assert_eq!(get(&format!("{query}&version_id=0")).status, 401);
    let json_headers = [("content-type", "application/json")];
    for body in [
        r#"{"public_id":"a.txt"}"#,
        r#"{"from_public_id":"a.txt","to_public_id":"b"}"#,
    ] {
        for call in ["destroy", "rename", "explicit"] {
            let path = format!("/v1_1/demo/raw/{call}?{query}");
            let answer = served.raw("POST", &path, &json_headers, body.as_bytes());
            assert!(
                matches!(answer.status, 400 | 401),
                "{call}: {}",
                answer.text()
            );
        }
    }
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let path = format!("/v1_1/demo/raw/destroy?{query}");
    let answer = served.raw("POST", &path, &form, b"public_id=a.txt");
    assert_eq!(answer.status, 401, "{}", answer.text());
    assert_eq!(served.mount.read("a.txt"), b"a");
}

#[test]
fn a_mistake_in_a_search_is_named_with_its_position() {
    let served = Served::start(Setup::new());
    for (expression, position) in [("(format=png", 1), ("format:*x", 8), ("a AND AND b", 7)] {
        let body = json!({ "expression": expression });
        let answer = served.call("POST", "/v1_1/demo/resources/search", Some(&body));
        assert_refused(&served, &answer, expression);
        let words = format!("at position {position}");
        assert!(
            answer.text().contains(&words),
            "{expression}: {}",
            answer.text()
        );
    }
    let deep = "(".repeat(100_000);
    let answer = served.call(
        "POST",
        "/v1_1/demo/resources/search",
        Some(&json!({ "expression": deep })),
    );
    assert_refused(&served, &answer, "a hundred thousand parentheses");
}

#[test]
fn a_name_as_deep_as_names_can_be_is_a_name_like_any_other() {
    let served = Served::start(Setup::new());
    let deep = "x/".repeat(2_000) + "x";
    let answer = served.upload("raw", &[("public_id", &deep)], "x", b"deep");
    assert_eq!(answer.status, 200, "{}", answer.text());
    let path = format!("/v1_1/demo/resources/raw/upload/{deep}?versions=1");
    assert_eq!(
        served.done("GET", &path, None)["versions"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    let ids = json!({ "public_ids": [deep] });
    let path = "/v1_1/demo/resources/raw/upload";
    served.done("DELETE", path, Some(&ids));
    let restored = served.done("POST", &format!("{path}/restore"), Some(&ids));
    assert_eq!(restored[&deep]["bytes"], 4, "{restored}");
    served.mount.run("rm -r x");
    let restored = served.done("POST", &format!("{path}/restore"), Some(&ids));
    assert_eq!(restored[&deep]["bytes"], 4, "{restored}");
    // What cleans up after the test cannot go so deep.
    served.mount.run("rm -r x");
}

#[test]
fn however_many_are_slow_nobody_else_waits_for_them() {
    if cfg!(not(debug_assertions)) {
        return not_run("callers who are slow", "a release build waits a minute");
    }
    // Longer than the calls below need, shorter than the test may take.
    let setup = Setup::new().env("KEEPFS_TEST_PATIENCE_MS", "15000");
    let served = Served::start(setup);
    // More than any buffer on the way has.
    served.mount.write("large.bin", vec![7; 32 << 20]);
    let (content_type, body) = multipart(&[("public_id", "slow.bin")], "x", &noise(1, 1 << 20));
    let mut slow = Vec::new();
    for _ in 0..100 {
        slow.push(served.begin_upload(&content_type, &body, body.len() / 2));
        let mut stream = served.connect();
        let head = "GET /demo/raw/upload/large.bin HTTP/1.1\r\nhost: x\r\n\r\n";
        stream.write_all(head.as_bytes()).unwrap();
        slow.push(stream);
    }
    let began = std::time::Instant::now();
    let answer = served.upload("raw", &[("public_id", "quick.bin")], "x", b"quick");
    assert_eq!(answer.status, 200, "{}", answer.text());
    served.done(
        "GET",
        "/v1_1/demo/resources/raw/upload/quick.bin?versions=1",
        None,
    );
    let took = began.elapsed();
    assert!(took < std::time::Duration::from_secs(10), "{took:?}");
    // Those who read nothing are dropped: what comes is not the whole.
    // The first of them: the last ones may not have waited long enough yet.
    let mut first = slow.swap_remove(1);
    let mut bytes = Vec::new();
    wait_for("the server to give the slow ones up", || {
        let sockets = format!("/proc/{}/fd", served.mount.pid());
        let sockets = fs::read_dir(sockets).unwrap().filter_map(Result::ok);
        let sockets = sockets.filter_map(|entry| fs::read_link(entry.path()).ok());
        let count = sockets
            .filter(|link| link.to_string_lossy().starts_with("socket:"))
            .count();
        (count < 20).then_some(())
    });
    let _ = first.read_to_end(&mut bytes);
    assert!(bytes.len() < 32 << 20, "{}", bytes.len());
}
