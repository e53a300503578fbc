//! Who may do what through the API and the page, and callers that do not behave.

use std::fs;
use std::io::Write;
use std::process::Command;
use std::time::Duration;

use serde_json::json;

use crate::harness::{Setup, keepfs_binary, noise, output, wait_for};
use crate::http::{Served, multipart};

#[test]
fn private_files_are_for_those_who_have_a_key() {
    use std::os::unix::fs::PermissionsExt;
    let served = Served::start(Setup::new());
    let path = served.mount.root.join("p.png");
    fs::write(&path, noise(1, 1000)).unwrap();
    let get =
        |headers: &[(&str, &str)]| served.raw("GET", "/demo/image/upload/v1/p.png", headers, b"");
    let whole = get(&[]);
    assert_eq!((whole.status, whole.body.len()), (200, 1000));
    assert_eq!(whole.header("content-type"), Some("image/png"));
    let etag = whole.header("etag").unwrap().to_owned();
    let part = get(&[("range", "bytes=10-19")]);
    assert_eq!(
        (part.status, &part.body[..]),
        (206, &noise(1, 1000)[10..20])
    );
    assert_eq!(get(&[("if-none-match", &etag)]).status, 304);
    assert_eq!(get(&[("range", "bytes=1000-")]).status, 416);
    fs::write(&path, noise(2, 1000)).unwrap();
    assert_eq!(get(&[("if-none-match", &etag)]).status, 200, "it changed");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(get(&[]).status, 401);
    let known = [("authorization", served.authorization())];
    let known = known
        .each_ref()
        .map(|(name, value)| (*name, value.as_str()));
    assert_eq!(get(&known).status, 200);
    // A file is as private as the most private directory around it.
    fs::create_dir_all(served.mount.root.join("a/b")).unwrap();
    fs::write(served.mount.root.join("a/b/p.png"), noise(1, 1000)).unwrap();
    let inside =
        |headers: &[(&str, &str)]| served.raw("GET", "/demo/image/upload/a/b/p.png", headers, b"");
    for (directory, closed) in [("a/b", 0o700), ("a", 0o744), (".", 0o750)] {
        let directory = served.mount.root.join(directory);
        assert_eq!(inside(&[]).status, 200, "{directory:?} is open");
        fs::set_permissions(&directory, fs::Permissions::from_mode(closed)).unwrap();
        assert_eq!(inside(&[]).status, 401, "{directory:?} is closed");
        assert_eq!(inside(&known).status, 200);
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o711)).unwrap();
    }
    for path in [
        "/demo/image/upload/../../etc/passwd.png",
        "/demo/raw/upload/.versions/p.png",
    ] {
        let answer = served.raw("GET", path, &[], b"");
        assert!(
            matches!(answer.status, 400 | 404),
            "{path}: {}",
            answer.status
        );
    }
}

#[test]
fn what_a_browser_would_run_is_never_run_in_our_origin() {
    let served = Served::start(Setup::new());
    for (name, script) in [
        ("x.html", "<script>1</script>"),
        ("x.svg", "<svg onload=alert(1)/>"),
    ] {
        fs::write(served.mount.root.join(name), script).unwrap();
        let kind = if name.ends_with("svg") {
            "image"
        } else {
            "raw"
        };
        let path = format!("/v1_1/demo/resources/{kind}/upload/{name}?versions=true");
        let details = served.done("GET", &path, None);
        let ids = [&details["asset_id"], &details["versions"][0]["version_id"]];
        let [asset_id, version_id] = ids.map(|id| id.as_str().unwrap());
        let version = format!("asset_id={asset_id}&version_id={version_id}");
        for address in [
            format!("/demo/{kind}/upload/{name}"),
            format!("/v1_1/demo/download_backup?{version}&disposition=inline"),
            format!("/v1_1/demo/download_backup?{version}"),
        ] {
            let answer = served.call("GET", &address, None);
            assert_eq!((answer.status, answer.text()), (200, script.into()));
            let policy = answer.header("content-security-policy").unwrap();
            assert!(
                policy.contains("sandbox") && policy.contains("default-src 'none'"),
                "{policy}"
            );
            assert!(!policy.contains("allow-"), "{policy}");
            assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
            assert!(!answer.header("content-type").unwrap().contains("html"));
        }
    }
}

#[test]
fn the_page_may_load_nothing_from_elsewhere_and_be_in_nobodys_frame() {
    let served = Served::start(Setup::new());
    for path in ["/", "/page/app.js"] {
        let answer = served.raw("GET", path, &[], b"");
        assert_eq!(answer.status, 200);
        let policy = answer.header("content-security-policy").unwrap();
        for rule in [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "connect-src 'self'",
            "form-action 'self'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
        ] {
            assert!(policy.split("; ").any(|known| known == rule), "{policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    }
}

#[test]
fn the_page_changes_things_only_with_its_own_token() {
    let served = Served::start(Setup::new());
    fs::write(served.mount.root.join("a.txt"), "a").unwrap();
    let log_in = |secret: &str| {
        let body = json!({ "api_key": served.key, "api_secret": secret }).to_string();
        let headers = [("content-type", "application/json")];
        served.raw("POST", "/session", &headers, body.as_bytes())
    };
    assert_eq!(log_in("wrong").status, 401);
    let begun = log_in(&served.secret);
    assert_eq!(begun.status, 200, "{}", begun.text());
    let cookie = begun.header("set-cookie").unwrap();
    assert!(
        cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"),
        "{cookie}"
    );
    let cookie = cookie.split(';').next().unwrap().to_owned();
    let token = begun.json()["csrf_token"].as_str().unwrap().to_owned();
    let with = |method: &str, path: &str, token: &str, body: &str| {
        let headers = [
            ("cookie", cookie.as_str()),
            ("x-csrf-token", token),
            ("content-type", "application/json"),
        ];
        served.raw(method, path, &headers, body.as_bytes())
    };
    assert_eq!(with("GET", "/v1_1/demo/ping", "", "").status, 200);
    let everything = "/v1_1/demo/resources/raw/upload";
    let all = r#"{"public_ids":["a.txt"]}"#;
    assert_eq!(with("DELETE", everything, "", all).status, 403);
    assert_eq!(with("DELETE", everything, "0000", all).status, 403);
    assert!(served.mount.root.join("a.txt").exists());
    assert_eq!(with("DELETE", everything, &token, all).status, 200);
    assert!(!served.mount.root.join("a.txt").exists());
    let (content_type, body) = multipart(&[("public_id", "up.txt")], "up.txt", b"up");
    for (sent, status) in [("", 403), ("0000", 403), (token.as_str(), 200)] {
        let headers = [
            ("cookie", cookie.as_str()),
            ("x-csrf-token", sent),
            ("content-type", content_type.as_str()),
        ];
        let answer = served.raw("POST", "/v1_1/demo/raw/upload", &headers, &body);
        assert_eq!(answer.status, status, "{}", answer.text());
        assert_eq!(served.mount.root.join("up.txt").exists(), status == 200);
    }
    assert_eq!(with("DELETE", "/session", &token, "").status, 200);
    assert_eq!(with("GET", "/v1_1/demo/ping", "", "").status, 401);
}

#[test]
fn the_cookie_of_a_page_behind_https_goes_nowhere_else() {
    for (url, is_secure) in [("https://a.example", true), ("http://a.example", false)] {
        let served = Served::with_settings(Setup::new(), &format!("public_url = \"{url}\""));
        let body = json!({ "api_key": served.key, "api_secret": served.secret }).to_string();
        let headers = [("content-type", "application/json")];
        let begun = served.raw("POST", "/session", &headers, body.as_bytes());
        let cookie = begun.header("set-cookie").unwrap();
        assert_eq!(cookie.contains("; Secure"), is_secure, "{cookie}");
    }
}

#[test]
fn slow_and_unbounded_callers_are_turned_away() {
    let served = Served::start(Setup::new());
    let long = vec![b' '; 9 << 20];
    let answer = served.raw(
        "POST",
        "/v1_1/demo/resources/search",
        &[
            ("authorization", &served.authorization()),
            ("content-type", "application/json"),
        ],
        &long,
    );
    assert_eq!(answer.status, 400, "{}", answer.text());
    assert!(answer.text().contains("too long"), "{}", answer.text());
    let mut stream = served.connect();
    stream.write_all(b"GET / HTTP/1.1\r\n").unwrap();
    // Its headers never end: the connection does.
    wait_for("the connection to be closed", || {
        use std::io::Read;
        let mut byte = [0; 512];
        stream
            .set_read_timeout(Some(Duration::from_secs(30)))
            .unwrap();
        match stream.read(&mut byte) {
            Ok(0) | Err(_) => Some(()),
            Ok(_) => None,
        }
    });
    let many: String = (0..11_000).map(|n| format!("x{n}=1&")).collect();
    let refused = served.call("GET", &format!("/v1_1/demo/resources/raw?{many}"), None);
    assert!(
        matches!(refused.status, 400 | 414 | 431),
        "{}",
        refused.status
    );
}

#[test]
fn a_key_that_was_revoked_opens_nothing() {
    let served = Served::start(Setup::new());
    assert_eq!(served.call("GET", "/v1_1/demo/ping", None).status, 200);
    let mut command = Command::new(keepfs_binary());
    let done = output(
        command
            .args(["api-key", "revoke"])
            .arg(&served.mount.vault)
            .arg(&served.key),
    );
    assert!(done.status.success(), "{done:?}");
    assert_eq!(served.call("GET", "/v1_1/demo/ping", None).status, 401);
    let secrets = fs::metadata(served.mount.vault.join("api-keys.json")).unwrap();
    use std::os::unix::fs::MetadataExt;
    assert_eq!(secrets.mode() & 0o077, 0);
}
