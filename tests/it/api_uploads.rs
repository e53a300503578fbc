//! Uploads through the API that end badly, come at once, or meet a program at work.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::thread;
use std::time::Duration;

use serde_json::json;

use crate::crash::crash_points;
use crate::harness::{Disk, Setup, noise, not_run, wait_for};
use crate::http::{Served, multipart, names, read};

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
        let _stream = served.begin_upload(&content_type, &body, body.len());
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
fn an_upload_that_the_disk_does_not_take_leaves_nothing_whatever_its_length() {
    let home = tempfile::tempdir().unwrap();
    let place = home.path().join("disk");
    let Some(disk) = Disk::mount("a full disk under the live tree", &place, "4m") else {
        return;
    };
    let live = place.join("live");
    fs::create_dir(&live).unwrap();
    let served = Served::start(Setup::new().init(&["--live", live.to_str().unwrap()]));
    let upload = |name, bytes: usize| {
        let bytes = noise(bytes as u64, bytes);
        let answer = served.upload("raw", &[("public_id", name)], "x", &bytes);
        if answer.status != 200 {
            assert!(answer.text().contains("disk is full"), "{}", answer.text());
        }
        (answer.status, fs::read(live.join(name)).ok() == Some(bytes))
    };
    assert_eq!(upload("first.bin", (4 << 20) - (300 << 10)), (200, true));
    for bytes in [400 << 10, 1 << 20, 6 << 20] {
        assert_eq!(upload("more.bin", bytes), (500, false), "{bytes}");
        assert_eq!(names(&live), ["first.bin"], "{bytes}");
    }
    let missing = served.call("GET", "/v1_1/demo/resources/raw/upload/more.bin", None);
    assert_eq!(missing.status, 404);
    assert_eq!(upload("more.bin", 100 << 10), (200, true));
    drop(served);
    drop(disk);
}

/// The connection is good for another call, however late the last bytes of the body come:
/// those that tell that it is over come after the last part.
#[test]
fn a_body_that_ends_late_leaves_its_connection_open() {
    let served = Served::start(Setup::new());
    let (content_type, body) = multipart(&[("public_id", "a.bin")], "x", b"content");
    let mut stream = served.connect();
    let head = |method: &str, path: &str, more: &str| {
        let authorization = served.authorization();
        format!(
            "{method} {path} HTTP/1.1\r\nhost: x\r\nauthorization: {authorization}\r\n{more}\r\n"
        )
    };
    let chunked = format!("content-type: {content_type}\r\ntransfer-encoding: chunked\r\n");
    let begun = head("POST", "/v1_1/demo/raw/upload", &chunked);
    stream.write_all(begun.as_bytes()).unwrap();
    let mut chunk = format!("{:x}\r\n", body.len()).into_bytes();
    chunk.extend(&body);
    chunk.extend(b"\r\n");
    stream.write_all(&chunk).unwrap();
    // Late for whoever does not wait for it; whoever does has all the time.
    thread::sleep(Duration::from_millis(200));
    stream.write_all(b"0\r\n\r\n").unwrap();
    assert_eq!(read(&mut stream).status, 200);
    let ping = head("GET", "/v1_1/demo/ping", "");
    stream.write_all(ping.as_bytes()).unwrap();
    assert_eq!(read(&mut stream).status, 200);
}
