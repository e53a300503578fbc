//! The admin API: the official SDKs, unmodified, and callers that do not behave.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::crash::crash_points;
use crate::harness::{Setup, keepfs_binary, noise, not_run, output, wait_for, xattr};
use crate::http::{Served, free_port, make_key, multipart, names, test_servers};

fn sdk(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/it/sdk")
        .join(name)
}

/// Runs a program with the SDKs' environment; it must end well.
#[track_caller]
fn run(served: &Served, command: &mut Command) -> String {
    let home = served
        .mount
        .vault
        .parent()
        .expect("a directory")
        .join("home");
    fs::create_dir_all(&home).expect("a home");
    let done = output(
        command
            .env("CLOUDINARY_URL", served.url())
            .env("CLOUDINARY_HOME", &home)
            .env("HOME", &home)
            .env("NODE_PATH", test_servers().join("node/node_modules"))
            .env("PYTHONDONTWRITEBYTECODE", "1"),
    );
    let stdout = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(
        done.status.success(),
        "{command:?}: {}\n{stdout}\n{}\n{}",
        done.status,
        String::from_utf8_lossy(&done.stderr),
        served.mount.log()
    );
    stdout
}

#[test]
fn the_python_sdk_drives_every_flow() {
    let served = Served::start(Setup::new());
    let mut command = Command::new(test_servers().join("python/bin/python"));
    command.arg(sdk("flows.py")).arg(&served.mount.root);
    let told = run(&served, &mut command);
    assert!(told.ends_with("all flows passed\n"), "{told}");
}

#[test]
fn the_node_sdk_drives_every_flow() {
    let served = Served::start(Setup::new());
    let mut command = Command::new("node");
    command.arg(sdk("flows.cjs")).arg(&served.mount.root);
    let told = run(&served, &mut command);
    assert!(told.ends_with("all flows passed\n"), "{told}");
}

#[test]
fn the_page_does_by_hand_what_the_sdks_do() {
    let served = Served::start(Setup::new());
    let pictures = served.mount.vault.parent().unwrap().join("pictures");
    fs::create_dir(&pictures).unwrap();
    let mut command = Command::new("node");
    command
        .arg(sdk("page.cjs"))
        .arg(&served.mount.root)
        .args([
            served.address.to_string(),
            served.key.clone(),
            served.secret.clone(),
        ])
        .arg(&pictures)
        .env("CHROMIUM", "/usr/bin/chromium");
    let told = run(&served, &mut command);
    assert!(told.ends_with("all flows passed\n"), "{told}");
    assert!(fs::read_dir(&pictures).unwrap().count() >= 10);
    if let Some(kept) = std::env::var_os("KEEPFS_TEST_PICTURES") {
        for picture in fs::read_dir(&pictures).unwrap() {
            let picture = picture.unwrap();
            fs::copy(picture.path(), Path::new(&kept).join(picture.file_name())).unwrap();
        }
    }
}

#[test]
fn the_command_line_of_the_sdk_uploads_searches_restores_and_deletes() {
    let served = Served::start(Setup::new());
    let cld = |arguments: &[&str]| -> Value {
        let mut command = Command::new(test_servers().join("python/bin/cld"));
        let told = run(&served, command.args(arguments));
        let start = told
            .find('{')
            .unwrap_or_else(|| panic!("no JSON in {told}"));
        let mut values = serde_json::Deserializer::from_str(&told[start..]).into_iter();
        values.next().expect("a value").expect("JSON")
    };
    let file = served.mount.vault.parent().unwrap().join("c.txt");
    fs::write(&file, "one").unwrap();
    let file = file.to_str().unwrap();
    assert_eq!(cld(&["ping"])["status"], "ok");
    for text in ["one", "two"] {
        fs::write(file, text).unwrap();
        cld(&[
            "uploader",
            "upload",
            file,
            "public_id=c.txt",
            "resource_type=raw",
        ]);
    }
    let live = served.mount.root.join("c.txt");
    assert_eq!(fs::read_to_string(&live).unwrap(), "two");
    cld(&["admin", "delete_resources", "c.txt", "resource_type=raw"]);
    assert!(!live.exists());
    let found = cld(&["search", "status=deleted AND resource_type:raw", "-n", "5"]);
    let asset_id = found["resources"][0]["asset_id"]
        .as_str()
        .unwrap()
        .to_owned();
    let details = cld(&[
        "admin",
        "resource",
        "c.txt",
        "resource_type=raw",
        "versions=true",
    ]);
    let version = details["versions"][0]["version_id"]
        .as_str()
        .unwrap()
        .to_owned();
    let versions = format!("versions={version}");
    cld(&["admin", "restore", "c.txt", "resource_type=raw", &versions]);
    assert_eq!(fs::read_to_string(&live).unwrap(), "one");
    let gone = cld(&["admin", "delete_backed_up_assets", &asset_id, &version]);
    assert_eq!(gone["deleted_version_ids"], json!([version]));
    cld(&["uploader", "rename", "c.txt", "d.txt", "resource_type=raw"]);
    assert!(served.mount.root.join("d.txt").exists());
}

#[test]
fn a_vault_is_served_without_a_mount_by_the_same_rules() {
    let mount = Setup::new().init(&["--name", "demo"]).unmounted();
    let (key, secret) = make_key(&mount.vault);
    let address = format!("127.0.0.1:{}", free_port());
    let mut server = crate::harness::spawn(
        Command::new(keepfs_binary())
            .args(["serve", "--listen", &address])
            .arg(&mount.vault)
            .stdout(std::process::Stdio::null()),
    )
    .unwrap();
    let address = address.parse().unwrap();
    wait_for("the server to listen", || {
        std::net::TcpStream::connect(address).ok()
    });
    let served = Served {
        mount,
        address,
        key,
        secret,
    };
    let upload = |name: &str, text: &[u8]| {
        let answer = served.upload("raw", &[("public_id", name)], "x", text);
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    };
    upload("a/one.txt", b"1");
    upload("a/one.txt", b"22");
    upload("two.txt", b"x");
    let rename = json!({ "from_public_id": "a/one.txt", "to_public_id": "b/one.txt" });
    served.done("POST", "/v1_1/demo/raw/rename", Some(&rename));
    let two = json!({ "public_ids": ["two.txt"] });
    served.done("DELETE", "/v1_1/demo/resources/raw/upload", Some(&two));
    let onto = json!({ "from_public_id": "b/one.txt", "to_public_id": "two.txt" });
    assert_eq!(
        served
            .call("POST", "/v1_1/demo/raw/rename", Some(&onto))
            .status,
        400
    );
    let details = served.done(
        "GET",
        "/v1_1/demo/resources/raw/upload/b/one.txt?versions=true",
        None,
    );
    assert_eq!(details["versions"].as_array().unwrap().len(), 2);
    rustix::process::kill_process(
        rustix::process::Pid::from_child(&server),
        rustix::process::Signal::TERM,
    )
    .unwrap();
    assert!(server.wait().unwrap().success());
    let mut mount = served.mount;
    mount.remount();
    assert_eq!(fs::read(mount.root.join("b/one.txt")).unwrap(), b"22");
    assert!(mount.root.join(".deleted/two.txt").exists());
}

#[test]
fn an_upload_that_breaks_off_leaves_nothing() {
    let served = Served::start(Setup::new());
    let (content_type, body) = multipart(&[("public_id", "half.bin")], "x", &noise(1, 4 << 20));
    for sent in [1000, body.len() / 2, body.len() - 10] {
        drop(served.begin_upload(&content_type, &body, sent));
    }
    // The next call is answered after the server noticed that the others are gone.
    wait_for("the broken uploads to be over", || {
        let text = served.call("GET", "/metrics", None).text();
        let refused = text.lines().find_map(|line| {
            line.strip_prefix("keepfs_requests_total{code=\"400\"} ")?
                .parse::<u64>()
                .ok()
        });
        (refused.unwrap_or(0) >= 3 || !text.contains("code=\"200\""))
            .then_some(())
            .or_else(|| {
                // A connection that is gone may end without an answer to count.
                let listed = served.done("GET", "/v1_1/demo/resources/raw", None);
                (listed["resources"] == json!([])).then_some(())
            })
    });
    assert_eq!(names(&served.mount.root), Vec::<String>::new());
    assert_eq!(
        names(&served.mount.vault.join("live")),
        Vec::<String>::new()
    );
    let missing = served.call("GET", "/v1_1/demo/resources/raw/upload/half.bin", None);
    assert_eq!(missing.status, 404);
}

#[test]
fn a_kill_at_any_point_of_an_upload_leaves_the_old_content_or_the_new_one() {
    let mut points = crash_points();
    points.retain(|point| point.starts_with("upload."));
    if cfg!(not(debug_assertions)) {
        return not_run("named points of an upload", "a release build has none");
    }
    assert!(points.len() >= 2, "{points:?}");
    let shm = tempfile::tempdir_in("/dev/shm").expect("another filesystem");
    let elsewhere = shm.path().join("live");
    fs::create_dir(&elsewhere).unwrap();
    let apart = Setup::new().init(&["--live", elsewhere.to_str().unwrap()]);
    let beside = Served::start(Setup::new());
    let live = beside.mount.vault.join("live");
    kill_uploads_at(&points, beside, &live);
    kill_uploads_at(&points, Served::start(apart), &elsewhere);
}

fn kill_uploads_at(points: &[String], mut served: Served, live: &Path) {
    let spool = served.mount.vault.join("spool");
    let left_in = |directory: &Path| {
        let names = names(directory).into_iter();
        names.filter(|name| name.contains("upload")).count()
    };
    let contents = [noise(1, 5000), noise(2, 5000)];
    for point in points {
        served.mount.write("a.bin", &contents[0]);
        served.mount.unmount();
        served.mount.set_env("KEEPFS_CRASH_AT", point);
        served.mount.remount();
        let (content_type, body) = multipart(&[("public_id", "a.bin")], "x", &contents[1]);
        let mut stream = served.connect();
        let head = format!(
            "POST /v1_1/demo/raw/upload HTTP/1.1\r\nhost: x\r\nauthorization: {}\r\n\
             content-type: {content_type}\r\ncontent-length: {}\r\n\r\n",
            served.authorization(),
            body.len()
        );
        let _ = stream.write_all(head.as_bytes());
        let _ = stream.write_all(&body);
        assert!(served.mount.ends_soon(), "{point}: it was never reached");
        served.mount.crash();
        served.mount.clear_env();
        let left = left_in(&spool) + left_in(live);
        assert!(
            point != "upload.linked" || left > 0,
            "the point is elsewhere"
        );
        // One that says anything else than a note of ours does.
        fs::write(spool.join("upload-0.note"), "/a.bin").unwrap();
        fs::write(spool.join("upload-1.note"), "/../keepfs.toml").unwrap();
        served.mount.remount();
        served.mount.run("\"$KEEPFS\" scan .");
        let content = served.mount.read("a.bin");
        assert!(contents.contains(&content), "{point}");
        let versions = served.mount.versions("a.bin");
        let latest = served.mount.version_path("a.bin", versions.last().unwrap());
        assert!(
            fs::read(latest).unwrap() == content,
            "{point}: the live content is kept"
        );
        let listed = served.done("GET", "/v1_1/demo/resources/raw", None);
        assert_eq!(listed["resources"].as_array().unwrap().len(), 1, "{point}");
        assert_eq!(names(&served.mount.root), ["a.bin"], "{point}");
        assert_eq!(left_in(&spool) + left_in(live), 0, "{point}");
    }
}

#[test]
fn uploads_of_one_name_at_once_are_each_a_version() {
    let served = Served::start(Setup::new());
    thread::scope(|scope| {
        for number in 0..8 {
            let served = &served;
            scope.spawn(move || {
                let content = noise(number, 200_000);
                let answer = served.upload("raw", &[("public_id", "same.bin")], "x", &content);
                assert_eq!(answer.status, 200, "{}", answer.text());
            });
        }
    });
    let details = served.done(
        "GET",
        "/v1_1/demo/resources/raw/upload/same.bin?versions=true",
        None,
    );
    assert_eq!(details["versions"].as_array().unwrap().len(), 8);
    let live = fs::read(served.mount.root.join("same.bin")).unwrap();
    assert!((0..8).any(|number| live == noise(number, 200_000)));
}

#[test]
fn a_file_that_a_program_writes_is_not_replaced_under_it() {
    let served = Served::start(Setup::new());
    let path = served.mount.root.join("open.txt");
    let mut file = fs::File::create(&path).unwrap();
    file.write_all(b"half").unwrap();
    let answer = served.upload("raw", &[("public_id", "open.txt")], "x", b"upload");
    assert_eq!(answer.status, 400, "{}", answer.text());
    assert!(
        answer.text().contains("open for writing"),
        "{}",
        answer.text()
    );
    crate::harness::closing(|| drop(file));
    wait_for("the close to be worked on", || {
        let answer = served.upload("raw", &[("public_id", "open.txt")], "x", b"upload");
        (answer.status == 200).then_some(())
    });
    assert_eq!(fs::read(&path).unwrap(), b"upload");
}

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
    assert_eq!(
        get(&[("authorization", &served.authorization())]).status,
        200
    );
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
        let answer = served.raw("GET", &format!("/demo/{kind}/upload/{name}"), &[], b"");
        assert_eq!(answer.status, 200);
        let policy = answer.header("content-security-policy").unwrap();
        assert!(
            policy.contains("sandbox") && policy.contains("default-src 'none'"),
            "{policy}"
        );
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert!(!answer.header("content-type").unwrap().contains("html"));
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
fn the_backup_switch_and_an_assets_own_are_those_of_the_mount() {
    let mut served = Served::start(Setup::new());
    let off = json!({ "backup": "off" });
    served.done("PUT", "/v1_1/demo/backup/settings", Some(&off));
    fs::write(served.mount.root.join("a.txt"), "a").unwrap();
    let details = |served: &Served| {
        served.done(
            "GET",
            "/v1_1/demo/resources/raw/upload/a.txt?versions=true",
            None,
        )
    };
    for (name, backup, kept) in [("no.txt", None, false), ("yes.txt", Some("1"), true)] {
        let fields = [Some(("public_id", name)), backup.map(|on| ("backup", on))];
        let fields: Vec<_> = fields.into_iter().flatten().collect();
        let answer = served.upload("raw", &fields, name, b"x");
        assert_eq!(answer.json()["backup"], kept, "{}", answer.text());
        assert_eq!(served.mount.versions(name).len(), usize::from(kept));
    }
    let unkept = details(&served);
    assert_eq!(
        (&unkept["versions"], &unkept["backup"]),
        (&json!([]), &json!(false))
    );
    let path = format!(
        "/v1_1/demo/resources/{}/backup",
        unkept["asset_id"].as_str().unwrap()
    );
    let said = served.done("PUT", &path, Some(&json!({ "override": "on" })));
    assert_eq!(
        (&said["backup_override"], &said["backup_effective"]),
        (&json!("on"), &json!(true))
    );
    wait_for("the file to be kept", || {
        (details(&served)["versions"].as_array().unwrap().len() == 1).then_some(())
    });
    let refused = served.call(
        "POST",
        "/v1_1/demo/operations/initial_backup",
        Some(&json!({})),
    );
    assert_eq!(refused.status, 400);
    assert!(
        refused.text().contains("isn't enabled"),
        "{}",
        refused.text()
    );
    served.mount.unmount();
    served.mount.remount();
    let kept = served.done("GET", "/v1_1/demo/backup/settings", None);
    assert_eq!(kept["backup"], "off", "it is in the settings file");
}

#[test]
fn an_initial_backup_is_started_followed_and_told_of() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let hook = format!("http://{}/hook", listener.local_addr().unwrap());
    let setup = Setup::new().mount(&["--backup", "on"]);
    let served = Served::with_settings(setup, &format!("notification_url = \"{hook}\""));
    let live = served.mount.vault.join("live");
    for number in 0..50 {
        fs::write(live.join(format!("{number}.txt")), noise(number, 100)).unwrap();
    }
    let told = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(30)))
            .unwrap();
        let mut buffer = vec![0; 65536];
        let mut text = String::new();
        while !text.contains("processed_assets_count") {
            use std::io::Read;
            let count = stream.read(&mut buffer).unwrap();
            assert!(count > 0, "{text}");
            text.push_str(&String::from_utf8_lossy(&buffer[..count]));
        }
        stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
            .unwrap();
        text
    });
    let started = served.done(
        "POST",
        "/v1_1/demo/operations/initial_backup",
        Some(&json!({})),
    );
    let path = format!(
        "/v1_1/demo/operations/initial_backup/{}",
        started["id"].as_str().unwrap()
    );
    let ended = wait_for("the backup to end", || {
        let run = served.done("GET", &path, None);
        (run["status"] != "active").then_some(run)
    });
    assert_eq!(
        (&ended["status"], &ended["processed_assets_count"]),
        (&json!("completed"), &json!(50))
    );
    let told = told.join().unwrap();
    let (head, body) = told.split_once("\r\n\r\n").unwrap();
    let header = |name: &str| {
        let line = head
            .lines()
            .find(|line| line.to_ascii_lowercase().starts_with(name));
        line.unwrap().split_once(": ").unwrap().1.to_owned()
    };
    // As the SDKs verify it: sha1 of the body, the timestamp and the secret.
    let mut command = Command::new("python3");
    let program =
        "import hashlib,sys; print(hashlib.sha1(''.join(sys.argv[1:]).encode()).hexdigest())";
    let sum = output(command.args([
        "-c",
        program,
        body,
        &header("x-cld-timestamp"),
        &served.secret,
    ]));
    let sum = String::from_utf8(sum.stdout).unwrap();
    assert_eq!(sum.trim(), header("x-cld-signature"));
    let listed = served.done("GET", "/v1_1/demo/operations/initial_backup", None);
    assert_eq!(listed["initial_backups"][0]["status"], "completed");
    let unknown = served.call("GET", "/v1_1/demo/operations/initial_backup/none", None);
    assert_eq!(unknown.status, 404);
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
fn a_monitor_reads_what_is_pending_and_what_went_wrong() {
    let served = Served::start(Setup::new());
    served.mount.write("a", b"1");
    let text = served.call("GET", "/metrics", None).text();
    for name in [
        "keepfs_requests_total",
        "keepfs_commits_total",
        "keepfs_pending_bytes",
        "keepfs_pending_age_seconds",
        "keepfs_last_success_timestamp_seconds",
        "keepfs_store_errors_total",
        "keepfs_cache_hits_total",
    ] {
        assert!(
            text.contains(&format!("# TYPE {name} ")),
            "{name} in\n{text}"
        );
    }
    assert!(
        text.lines().any(|line| line == "keepfs_versions 1"),
        "{text}"
    );
    let page = include_str!("../../docs/operating.md");
    for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, _) = line.split_once(' ').expect("a name and a kind");
        assert!(page.contains(&format!("`{name}")), "{name} is explained");
    }
    assert_eq!(served.raw("GET", "/metrics", &[], b"").status, 401);
}

#[test]
fn a_generated_crowd_of_calls_meets_no_server_error_and_what_the_document_says() {
    let served = Served::start(Setup::new());
    served.mount.write("a", b"1");
    let mut command = Command::new(test_servers().join("python/bin/schemathesis"));
    command
        .arg("run")
        .arg(format!("http://{}/openapi.json", served.address))
        .args(["--url", &format!("http://{}/v1_1/demo", served.address)])
        .args(["--auth", &format!("{}:{}", served.key, served.secret)])
        .args(["--checks", "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"])
        .args(["--max-examples", &crate::harness::count(15, 100).to_string()])
        .args(["--seed", "1", "--no-color"])
        .current_dir(served.mount.vault.parent().unwrap());
    run(&served, &mut command);
}

#[test]
fn the_document_names_only_calls_that_are_served() {
    let served = Served::start(Setup::new());
    let document = served.raw("GET", "/openapi.json", &[], b"").json();
    assert_eq!(document["servers"][0]["url"], "/v1_1/demo");
    let mut calls = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        let path = path
            .replace("{resource_type}", "raw")
            .replace("{asset_id}", &"0".repeat(32))
            .replace(['{', '}'], "");
        for method in methods.as_object().unwrap().keys() {
            let method = method.to_uppercase();
            let answer = served.call(&method, &format!("/v1_1/demo{path}"), Some(&json!({})));
            assert!(
                !answer.text().contains("no such call"),
                "{method} {path}: {}",
                answer.text()
            );
            calls += 1;
        }
    }
    assert!(calls > 30, "{calls}");
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

#[test]
fn tags_are_attributes_of_files_and_of_nothing_else() {
    use rustix::fs::XattrFlags;
    use rustix::io::Errno;
    let served = Served::start(Setup::new());
    served.mount.write("a.txt", "a");
    served.mount.mkdir("dir");
    let set = |name: &str, value: &str, flags| {
        let path = served.mount.path(name);
        rustix::fs::setxattr(path, "user.keepfs.tags", value.as_bytes(), flags)
    };
    let any = XattrFlags::empty();
    assert_eq!(set("dir", "a", any), Err(Errno::OPNOTSUPP));
    assert_eq!(set(".", "a", any), Err(Errno::OPNOTSUPP));
    assert_eq!(xattr(&served.mount.path("dir"), "user.keepfs.tags"), None);
    let remove = |name: &str| rustix::fs::removexattr(served.mount.path(name), "user.keepfs.tags");
    assert_eq!(remove("dir"), Err(Errno::OPNOTSUPP));
    assert_eq!(remove("a.txt"), Err(Errno::NODATA));
    assert_eq!(set("a.txt", "a", XattrFlags::REPLACE), Err(Errno::NODATA));
    assert_eq!(set("a.txt", "a,b", XattrFlags::CREATE), Ok(()));
    assert_eq!(set("a.txt", "c", XattrFlags::CREATE), Err(Errno::EXIST));
    let details = served.done("GET", "/v1_1/demo/resources/raw/upload/a.txt", None);
    assert_eq!(details["tags"], json!(["a", "b"]));
    assert_eq!(remove("a.txt"), Ok(()));
    assert_eq!(xattr(&served.mount.path("a.txt"), "user.keepfs.tags"), None);
}
