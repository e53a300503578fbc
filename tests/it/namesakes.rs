//! Files that differ by their extension only share a public_id. Whatever is asked of it is
//! done to the one that can be meant, or to none.

use std::fs;

use serde_json::{Value, json};

use crate::harness::{Setup, closing, wait_for};
use crate::http::Served;

const RESTORE: &str = "/v1_1/demo/resources/image/upload/restore";

/// A vault with these files, each with its own name as content.
fn served(names: &[&str]) -> Served {
    let served = Served::start(Setup::new());
    for name in names {
        served.mount.write(name, name);
    }
    served
}

fn read(served: &Served, name: &str) -> Option<String> {
    fs::read_to_string(served.mount.path(name)).ok()
}

#[track_caller]
fn assert_live(served: &Served, expected: &[(&str, Option<&str>)]) {
    for (name, content) in expected {
        assert_eq!(read(served, name).as_deref(), *content, "{name}");
    }
}

/// Every call that names an asset by its public_id, and would do something to it.
fn changes(public_id: &str) -> Vec<(&'static str, String, Value)> {
    let ids = json!([public_id]);
    vec![
        (
            "POST",
            "/image/rename".into(),
            json!({ "from_public_id": public_id, "to_public_id": "elsewhere" }),
        ),
        (
            "POST",
            "/image/destroy".into(),
            json!({ "public_id": public_id }),
        ),
        (
            "DELETE",
            "/resources/image/upload".into(),
            json!({ "public_ids": ["other", public_id] }),
        ),
        (
            "POST",
            "/image/tags".into(),
            json!({ "public_ids": ["other", public_id], "tag": "t", "command": "add" }),
        ),
        (
            "POST",
            "/image/context".into(),
            json!({ "public_ids": ids, "context": "k=v", "command": "add" }),
        ),
        (
            "POST",
            "/image/explicit".into(),
            json!({ "public_id": public_id, "tags": "t" }),
        ),
        (
            "POST",
            format!("/resources/image/upload/{public_id}"),
            json!({ "tags": "t" }),
        ),
        (
            "GET",
            format!("/resources/image/upload/{public_id}"),
            json!({}),
        ),
    ]
}

#[test]
fn what_could_mean_either_of_two_files_is_refused_and_names_both() {
    let served = served(&["a.jpg", "a.png", "other.gif"]);
    for (method, path, body) in changes("a") {
        let answer = served.call(method, &format!("/v1_1/demo{path}"), Some(&body));
        assert_eq!(answer.status, 400, "{method} {path}: {}", answer.text());
        let text = answer.text();
        assert!(text.contains("a.jpg, a.png"), "{method} {path}: {text}");
    }
    let answer = served.done(
        "POST",
        RESTORE,
        Some(&json!({ "public_ids": ["a", "other"] })),
    );
    assert_eq!(answer["a"]["error"], "failed");
    let message = answer["a"]["message"].as_str().unwrap();
    assert!(message.contains("a.jpg, a.png"), "{message}");
    assert_eq!(answer["other"]["format"], "gif", "the others are restored");
    let names = ["a.jpg", "a.png", "other.gif"];
    assert_live(&served, &names.map(|name| (name, Some(name))));
    for name in names {
        let details = served.done(
            "GET",
            &format!("/v1_1/demo/resources/image/upload/{name}"),
            None,
        );
        assert_eq!(details["tags"], json!([]), "{name}");
        assert_eq!(details["context"], Value::Null, "{name}");
    }
    let listed = served.done(
        "GET",
        "/v1_1/demo/resources/image/upload?public_ids[]=a",
        None,
    );
    let formats = listed["resources"].as_array().unwrap();
    assert_eq!(formats.len(), 2, "a listing shows both");
}

#[test]
fn each_of_them_is_reached_by_its_whole_name() {
    for (method, path, body) in changes("a.png") {
        let served = served(&["a.jpg", "a.png", "other.gif"]);
        let answer = served.done(method, &format!("/v1_1/demo{path}"), Some(&body));
        assert_eq!(
            read(&served, "a.jpg").as_deref(),
            Some("a.jpg"),
            "{path}: {answer}"
        );
        let jpg = served.done("GET", "/v1_1/demo/resources/image/upload/a.jpg", None);
        assert_eq!(
            (&jpg["tags"], &jpg["format"]),
            (&json!([]), &json!("jpg")),
            "{path}"
        );
    }
    let served = served(&["a.jpg", "a.png"]);
    let destroy = |public_id: &str| {
        let body = json!({ "public_id": public_id });
        served.done("POST", "/v1_1/demo/image/destroy", Some(&body))["result"].clone()
    };
    assert_eq!(destroy("a.png"), "ok");
    assert_live(&served, &[("a.png", None), ("a.jpg", Some("a.jpg"))]);
    assert_eq!(destroy("a"), "ok", "now only one can be meant");
    assert_live(&served, &[("a.jpg", None)]);
    assert_eq!(destroy("a"), "not found");
    // A public_id that looks like a name is a public_id first.
    served.mount.write("b.png", "plain");
    served.mount.write("b.png.jpg", "double");
    assert_eq!(destroy("b.png"), "ok");
    assert_live(&served, &[("b.png", Some("plain")), ("b.png.jpg", None)]);
    assert_eq!(
        destroy("b.png"),
        "not found",
        "a deleted asset has that public_id"
    );
    assert_live(&served, &[("b.png", Some("plain"))]);
}

#[test]
fn a_restore_beside_a_live_namesake_brings_back_what_was_named() {
    let served = served(&["a.jpg", "a.png"]);
    let jpg = served.done(
        "GET",
        "/v1_1/demo/resources/image/upload/a.jpg?versions=true",
        None,
    );
    served.mount.remove("a.jpg");
    let details = served.done("GET", "/v1_1/demo/resources/image/upload/a", None);
    assert_eq!(details["format"], "png", "the live one is meant");
    let told = details["namesakes"].as_array().unwrap();
    assert_eq!(told.len(), 2);
    assert_eq!(
        (&told[1]["asset_id"], &told[1]["format"], &told[1]["status"]),
        (&jpg["asset_id"], &json!("jpg"), &json!("deleted"))
    );
    let restore = |body: Value| served.done("POST", RESTORE, Some(&body))["a"].clone();
    let refused = restore(json!({ "public_ids": ["a"] }));
    assert_eq!(refused["error"], "failed");
    let message = refused["message"].as_str().unwrap();
    assert!(message.contains("a.png, a.jpg (deleted)"), "{message}");
    assert_live(&served, &[("a.jpg", None)]);
    let version = &jpg["versions"][0]["version_id"];
    let restored = restore(json!({ "public_ids": ["a"], "versions": [version] }));
    assert_eq!(restored["asset_id"], jpg["asset_id"]);
    assert_live(
        &served,
        &[("a.jpg", Some("a.jpg")), ("a.png", Some("a.png"))],
    );
    served.mount.remove("a.jpg");
    let named = json!({ "public_ids": ["a.jpg"] });
    let restored = served.done("POST", RESTORE, Some(&named));
    assert_eq!(restored["a.jpg"]["asset_id"], jpg["asset_id"]);
    served.mount.remove("a.jpg");
    served.mount.remove("a.png");
    let answer = served.call("GET", "/v1_1/demo/resources/image/upload/a", None);
    assert_eq!(answer.status, 400, "two deleted ones: {}", answer.text());
    let refused = restore(json!({ "public_ids": ["a"] }));
    assert_eq!(refused["error"], "failed");
    assert_live(&served, &[("a.jpg", None), ("a.png", None)]);
}

#[test]
fn an_upload_replaces_the_namesake_of_its_format_and_no_other() {
    let served = served(&["a.jpg", "a.png"]);
    let upload = |name: &str, fields: &[(&str, &str)]| {
        let fields = [&[("public_id", "a")], fields].concat();
        served.upload("image", &fields, name, b"new")
    };
    assert_eq!(upload("x.png", &[]).json()["format"], "png");
    assert_live(&served, &[("a.jpg", Some("a.jpg")), ("a.png", Some("new"))]);
    let kept = upload("x.jpg", &[("overwrite", "0")]).json();
    assert_eq!(
        (&kept["existing"], &kept["format"]),
        (&json!(true), &json!("jpg"))
    );
    for fields in [&[][..], &[("overwrite", "0")]] {
        let refused = upload("x.gif", fields);
        assert_eq!(refused.status, 400, "{}", refused.text());
        assert!(
            refused.text().contains("a.jpg, a.png"),
            "{}",
            refused.text()
        );
    }
    assert_live(&served, &[("a.jpg", Some("a.jpg")), ("a.gif", None)]);
    // Only one is left: it goes on in the new format.
    served.mount.remove("a.jpg");
    assert_eq!(upload("x.gif", &[]).json()["format"], "gif");
    assert_live(
        &served,
        &[("a.gif", Some("new")), ("a.png", None), ("a.jpg", None)],
    );
}

#[test]
fn an_upload_in_another_format_that_fails_leaves_the_old_name() {
    let served = served(&["a.jpg"]);
    let path = served.mount.path("a.jpg");
    let file = closing(|| fs::OpenOptions::new().append(true).open(&path).unwrap());
    let upload = || served.upload("image", &[("public_id", "a")], "x.png", b"new");
    let refused = upload();
    assert_eq!(refused.status, 400, "{}", refused.text());
    assert_live(&served, &[("a.jpg", Some("a.jpg")), ("a.png", None)]);
    closing(|| drop(file));
    wait_for("the close to be worked on", || {
        (upload().status == 200).then_some(())
    });
    assert_live(&served, &[("a.jpg", None), ("a.png", Some("new"))]);
}

#[test]
fn a_rename_onto_a_shared_name_replaces_neither() {
    let served = served(&["a.jpg", "a.png", "b.png"]);
    for overwrite in [false, true] {
        let body = json!({ "from_public_id": "b", "to_public_id": "a", "overwrite": overwrite });
        let answer = served.call("POST", "/v1_1/demo/image/rename", Some(&body));
        assert_eq!(answer.status, 400, "{}", answer.text());
    }
    assert_live(
        &served,
        &["a.jpg", "a.png", "b.png"].map(|name| (name, Some(name))),
    );
    served.mount.remove("a.jpg");
    let body = json!({ "from_public_id": "b", "to_public_id": "a", "overwrite": true });
    let answer = served.call("POST", "/v1_1/demo/image/rename", Some(&body));
    assert!(answer.text().contains("reserved"), "{}", answer.text());
    assert_live(
        &served,
        &[("a.png", Some("a.png")), ("b.png", Some("b.png"))],
    );
}
