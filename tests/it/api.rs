//! What the admin API does to a vault, with a mount and without one.

use std::fs;
use std::io::Write;
use std::process::Command;
use std::thread;
use std::time::Duration;

use serde_json::json;

use crate::harness::{Setup, keepfs_binary, noise, output, wait_for, xattr};
use crate::http::{Served, free_port, make_key};

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
fn a_search_says_of_each_file_its_format_and_its_md5_where_that_is_cheap() {
    let served = Served::start(Setup::new().mount(&["--backup", "off"]));
    served.mount.write("a.txt", "a");
    let large = fs::File::create(served.mount.path("b.bin")).unwrap();
    large.set_len(65 << 20).unwrap();
    drop(large);
    served.mount.write("c.png", "c");
    let body = json!({ "sort_by": [{ "public_id": "asc" }] });
    let found = || served.done("POST", "/v1_1/demo/resources/search", Some(&body));
    let facts = |found: serde_json::Value| {
        let rows = found["resources"].as_array().unwrap().clone();
        let facts = rows
            .iter()
            .map(|row| (row["format"].clone(), row["etag"].clone()));
        assert!(
            rows.iter().all(|row| row.get("format").is_some()),
            "{rows:?}"
        );
        facts.collect::<Vec<_>>()
    };
    let (a, c) = (
        json!("0cc175b9c0f1b6a831c399e269772661"),
        json!("4a8a08f09d37b73795649038408b5f33"),
    );
    let null = serde_json::Value::Null;
    assert_eq!(
        facts(found()),
        [
            (null.clone(), a.clone()),
            (null.clone(), null.clone()),
            (json!("png"), c.clone())
        ]
    );
    // What was found out elsewhere is known here.
    let details = served.done("GET", "/v1_1/demo/resources/raw/upload/b.bin", None);
    assert_eq!(facts(found())[1].1, details["etag"]);
}

#[test]
fn a_restore_that_fails_says_why_for_each_file() {
    let served = Served::start(Setup::new());
    served.mount.mkdir("d");
    for name in ["d/a.txt", "b.txt", "c.txt"] {
        served.mount.write(name, name);
        served.mount.remove(name);
    }
    fs::remove_dir(served.mount.path("d")).unwrap();
    served.mount.write("d", "a file");
    let restore = |body: serde_json::Value| {
        let path = "/v1_1/demo/resources/raw/upload/restore";
        served.done("POST", path, Some(&body))
    };
    let unknown = "0".repeat(32);
    let answer = restore(json!({
        "public_ids": ["d/a.txt", "b.txt", "c.txt"],
        "versions": [only_version(&served, "d/a.txt"), unknown, "no version"],
    }));
    for (name, words) in [
        ("d/a.txt", "a file is where a folder would be"),
        ("b.txt", "Specified version does not exist"),
        ("c.txt", "Illegal id"),
    ] {
        assert_eq!(answer[name]["error"], "failed", "{answer}");
        let message = answer[name]["message"].as_str();
        assert!(message.is_some_and(|text| text.contains(words)), "{answer}");
    }
    let latest = restore(json!({ "public_ids": ["d/a.txt", "b.txt"] }));
    assert!(latest["d/a.txt"]["message"].is_string(), "{latest}");
    assert_eq!(latest["b.txt"]["bytes"], 5, "the others come back");
}

/// The one version of a deleted file.
fn only_version(served: &Served, name: &str) -> serde_json::Value {
    let path = format!("/v1_1/demo/resources/raw/upload/{name}?versions=true");
    served.done("GET", &path, None)["versions"][0]["version_id"].clone()
}

#[test]
fn a_deletion_of_more_than_a_thousand_says_that_it_is_partial_and_can_go_on() {
    const FILES: usize = 1003;
    let served = Served::start(Setup::new());
    let mount = &served.mount;
    mount.mkdir("many");
    mount.write("stays.txt", "stays");
    let count = || crate::http::names(&mount.path("many")).len();
    let path = "/v1_1/demo/resources/raw/upload";
    let everything = json!({ "prefix": "many/" });
    for number in 0..FILES {
        mount.write(format!("many/{number}.txt"), "x");
    }
    let first = served.done("DELETE", path, Some(&everything));
    assert_eq!(first["partial"], true);
    assert_eq!(first["deleted"].as_object().unwrap().len(), 1000);
    assert_eq!(count(), FILES - 1000);
    let mut go_on = everything.clone();
    go_on["next_cursor"] = first["next_cursor"].clone();
    assert!(go_on["next_cursor"].is_string(), "{}", go_on["next_cursor"]);
    let rest = served.done("DELETE", path, Some(&go_on));
    assert_eq!(
        (&rest["partial"], rest.get("next_cursor")),
        (&json!(false), None)
    );
    assert_eq!(rest["deleted"].as_object().unwrap().len(), FILES - 1000);
    let known = |part: &serde_json::Value, name: &str| part["deleted"].get(name).is_some();
    for number in 0..FILES {
        let name = format!("many/{number}.txt");
        assert!(known(&first, &name) != known(&rest, &name), "{name}");
    }
    assert_eq!(count(), 0);
    assert!(mount.path("stays.txt").exists());
    assert_eq!(mount.deleted().len(), FILES, "each can be restored");
    let nothing = served.done("DELETE", path, Some(&everything));
    assert_eq!(nothing["deleted"], json!({}));
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
fn an_initial_backup_says_how_far_it_is_while_it_runs() {
    const FILES: u64 = 2000;
    let mut served = Served::start(Setup::new());
    served.mount.unmount();
    let live = served.mount.vault.join("live");
    for number in 0..FILES {
        fs::write(live.join(format!("{number}.txt")), noise(number, 100)).unwrap();
    }
    served.mount.remount();
    let path = "/v1_1/demo/operations/initial_backup";
    let started = served.done("POST", path, Some(&json!({})));
    let path = format!("{path}/{}", started["id"].as_str().unwrap());
    let mut seen = std::collections::BTreeSet::new();
    let ended = wait_for("the backup to end", || {
        let run = served.done("GET", &path, None);
        let count = run["processed_assets_count"].as_u64().unwrap();
        if run["status"] == "active" {
            assert_eq!(run["completion_time"], serde_json::Value::Null);
            seen.insert(count);
        }
        (run["status"] != "active").then_some(run)
    });
    assert_eq!(ended["processed_assets_count"], FILES, "{ended}");
    let between = seen.iter().filter(|count| (1..FILES).contains(*count));
    assert!(between.count() > 0, "it grows while it runs: {seen:?}");
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

#[test]
fn what_was_closed_in_the_mount_is_in_the_next_answer() {
    let served = Served::start(Setup::new());
    thread::scope(|scope| {
        for writer in 0..16 {
            let served = &served;
            scope.spawn(move || {
                for number in 0..20 {
                    let name = format!("f{writer}-{number}.txt");
                    served.mount.write(&name, name.as_bytes());
                    let path = format!("/v1_1/demo/resources/raw/upload/{name}?versions=true");
                    let details = served.done("GET", &path, None);
                    assert_eq!(details["versions"].as_array().unwrap().len(), 1, "{name}");
                }
            });
        }
    });
}
