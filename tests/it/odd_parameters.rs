//! Parameters that say something which is not done here, or done otherwise than one may think:
//! they are refused, or do what they say, and never less or more.

use std::process::Command;

use serde_json::{Value, json};

use crate::harness::{Setup, output};
use crate::http::{Answer, Served, test_servers};

/// A vault with these files, each with its own name as content.
fn served(names: &[&str]) -> Served {
    let served = Served::start(Setup::new());
    for name in names {
        served.mount.write(name, name);
    }
    served
}

#[track_caller]
fn assert_refused(answer: &Answer, words: &str) {
    assert_eq!(answer.status, 400, "{}", answer.text());
    assert!(answer.text().contains(words), "{}", answer.text());
}

/// What a line of Python says with the SDK.
#[track_caller]
fn python(served: &Served, line: &str) -> String {
    let mut command = Command::new(test_servers().join("python/bin/python"));
    let program = format!("from cloudinary import api, uploader, Search\n{line}");
    let done = output(
        command
            .args(["-c", &program])
            .env("CLOUDINARY_URL", served.url()),
    );
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    text(&done.stdout) + &text(&done.stderr)
}

#[test]
fn a_deletion_of_derived_files_keeps_the_originals() {
    let served = served(&["a.png", "b.png"]);
    served.done(
        "POST",
        "/v1_1/demo/image/tags",
        Some(&json!({ "public_ids": ["a"], "tag": "t", "command": "add" })),
    );
    for line in [
        "api.delete_derived_by_transformation(['a'], [{'width': 100}])",
        "api.delete_resources(['a'], keep_original=True)",
        "api.delete_resources(['a'], transformations=[{'width': 100}])",
        "api.delete_all_resources(keep_original=True)",
        "api.delete_resources_by_tag('t', keep_original=True)",
        "api.delete_resources_by_prefix('a', transformations=['w_100'])",
    ] {
        let said = python(&served, line);
        assert!(said.contains("nothing was deleted"), "{line}: {said}");
    }
    let details = served.done("GET", "/v1_1/demo/resources/image/upload/a", None);
    let ids = json!({ "asset_ids": [details["asset_id"]], "keep_original": true });
    let refused = served.call("DELETE", "/v1_1/demo/resources", Some(&ids));
    assert_refused(&refused, "nothing was deleted");
    assert!(served.mount.path("a.png").exists() && served.mount.path("b.png").exists());
    let plain = "api.delete_resources(['a'], keep_original=False)";
    python(&served, plain);
    assert!(!served.mount.path("a.png").exists());
}

#[test]
fn assets_of_another_type_are_not_those_of_the_type_upload() {
    let served = served(&["a.txt"]);
    let calls = [
        (
            "rename",
            json!({ "from_public_id": "a.txt", "to_public_id": "b.txt", "type": "private" }),
        ),
        (
            "rename",
            json!({ "from_public_id": "a.txt", "to_public_id": "b.txt", "to_type": "authenticated" }),
        ),
        (
            "destroy",
            json!({ "public_id": "a.txt", "type": "private" }),
        ),
        (
            "explicit",
            json!({ "public_id": "a.txt", "type": "private", "tags": "t" }),
        ),
        (
            "tags",
            json!({ "public_ids": ["a.txt"], "type": "private", "tag": "t", "command": "add" }),
        ),
        (
            "context",
            json!({ "public_ids": ["a.txt"], "type": "private", "context": "k=v", "command": "add" }),
        ),
    ];
    for (call, body) in calls {
        let answer = served.call("POST", &format!("/v1_1/demo/raw/{call}"), Some(&body));
        assert_refused(&answer, "assets here are of the type upload");
    }
    let details = served.done("GET", "/v1_1/demo/resources/raw/upload/a.txt", None);
    assert_eq!(details["tags"], json!([]));
    assert_eq!(details.get("context"), None);
    let body = json!({ "public_id": "a.txt", "type": "upload" });
    let destroyed = served.done("POST", "/v1_1/demo/raw/destroy", Some(&body));
    assert_eq!(destroyed["result"], "ok");
}

#[test]
fn an_exclusive_tag_is_on_the_named_assets_and_on_no_others() {
    let served = served(&["a.png", "b.png", "c.txt", "gone.txt"]);
    let tag = |kind: &str, ids: Value, tag: &str, command: &str| {
        let body = json!({ "public_ids": ids, "tag": tag, "command": command });
        served.done("POST", &format!("/v1_1/demo/{kind}/tags"), Some(&body))
    };
    tag("image", json!(["a", "b"]), "other,cover", "add");
    tag("image", json!(["a"]), "cover", "remove");
    tag("raw", json!(["c.txt", "gone.txt"]), "cover,kept", "add");
    served.mount.remove("gone.txt");
    python(&served, "uploader.add_tag('cover', ['a'], exclusive=True)");
    let tags = |kind: &str, name: &str| {
        let path = format!("/v1_1/demo/resources/{kind}/upload/{name}");
        served.done("GET", &path, None)["tags"].clone()
    };
    assert_eq!(tags("image", "a"), json!(["other", "cover"]));
    assert_eq!(tags("image", "b"), json!(["other"]));
    assert_eq!(tags("raw", "c.txt"), json!(["kept"]));
    assert_eq!(
        tags("raw", "gone.txt"),
        json!(["kept"]),
        "nor after a restore"
    );
    // Nobody has it instead, so nobody loses it.
    let changed = tag("image", json!(["none"]), "cover", "set_exclusive");
    assert_eq!(changed["public_ids"], json!([]));
    assert_eq!(tags("image", "a"), json!(["other", "cover"]));
    let without = json!({ "public_ids": ["a"], "command": "set_exclusive" });
    let refused = served.call("POST", "/v1_1/demo/image/tags", Some(&without));
    assert_refused(&refused, "Missing required parameter - tag");
}

#[test]
fn a_deletion_of_some_versions_is_an_answer_that_each_sdk_reads() {
    let served = served(&["a.txt"]);
    served.mount.write("a.txt", "more");
    let path = "/v1_1/demo/resources/raw/upload/a.txt?versions=true";
    let details = served.done("GET", path, None);
    let ids = [0, 1].map(|n| details["versions"][n]["version_id"].as_str().unwrap());
    let asset_id = details["asset_id"].as_str().unwrap();
    let wrong = "0".repeat(32);
    let python = python(
        &served,
        &format!(
            "print(api.delete_backed_up_assets('{asset_id}', ['{}', '{wrong}']))",
            ids[0]
        ),
    );
    assert!(
        python.contains("'failures': [{") && python.contains(ids[0]),
        "{python}"
    );
    let program = format!(
        "require('cloudinary').v2.api.delete_backed_up_assets('{asset_id}', ['{}', '{wrong}'])\
         .then(answer => console.log(JSON.stringify(answer)), error => console.log(error))",
        ids[1]
    );
    let node = output(
        Command::new("node")
            .args(["-e", &program])
            .env("NODE_PATH", test_servers().join("node/node_modules"))
            .env("CLOUDINARY_URL", served.url()),
    );
    let node: Value =
        serde_json::from_slice(&node.stdout).unwrap_or_else(|error| panic!("{error}: {node:?}"));
    assert_eq!(node["deleted_version_ids"], json!([ids[1]]));
    assert_eq!(node["failures"][0]["version_id"], json!(wrong));
}

#[test]
fn a_deleted_asset_has_the_size_in_a_row_that_it_was_found_by() {
    let served = served(&[]);
    served.mount.write("a.txt", "12345");
    served.mount.remove("a.txt");
    let found = |expression: &str| {
        let body = json!({ "expression": expression });
        served.done("POST", "/v1_1/demo/resources/search", Some(&body))["resources"].clone()
    };
    assert_eq!(found("status=deleted AND bytes>4")[0]["bytes"], 5);
    assert_eq!(found("status=deleted AND bytes<5"), json!([]));
    let details = served.done("GET", "/v1_1/demo/resources/raw/upload/a.txt", None);
    assert_eq!(details["bytes"], 0, "a placeholder");
}

#[test]
fn the_config_says_nothing_that_is_not_known() {
    let served = served(&[]);
    let config = served.done("GET", "/v1_1/demo/config", None);
    assert_eq!(config["cloud_name"], "demo");
    assert_eq!(config.get("created_at"), None);
}

#[test]
fn a_listing_begins_at_a_time_and_has_the_fields_that_were_asked_for() {
    let served = served(&["a.txt", "b.txt"]);
    let list = |query: &str| {
        let path = format!("/v1_1/demo/resources/raw/upload?{query}");
        served.done("GET", &path, None)["resources"].clone()
    };
    assert_eq!(list("start_at=2000-01-01").as_array().unwrap().len(), 2);
    assert_eq!(list("start_at=2199-01-01%2000:00:00"), json!([]));
    let wrong = served.call("GET", "/v1_1/demo/resources/raw?start_at=soon", None);
    assert_refused(&wrong, "parameter start_at");
    let listed = list("fields=bytes,tags");
    let row = listed[0].as_object().unwrap();
    assert!(row.contains_key("bytes") && row.contains_key("tags"));
    assert!(
        row.contains_key("public_id") && !row.contains_key("url"),
        "{row:?}"
    );
    let body = json!({ "expression": "public_id:b*", "fields": ["url"] });
    let found = served.done("POST", "/v1_1/demo/resources/search", Some(&body));
    let row = found["resources"][0].as_object().unwrap();
    assert!(
        row.contains_key("url") && !row.contains_key("bytes"),
        "{row:?}"
    );
    let said = python(
        &served,
        "print(Search().expression('a').aggregate('format').execute())",
    );
    assert!(said.contains("Invalid aggregate"), "{said}");
}

#[test]
fn usage_of_a_day_is_that_day_or_refused() {
    let served = served(&[]);
    let today = python(
        &served,
        "import datetime; today = datetime.datetime.now(datetime.timezone.utc).date()\n\
         print(api.usage(date=today)['plan'])",
    );
    assert_eq!(today, "keepfs\n");
    for day in ["01-01-2020", "rubbish"] {
        let answer = served.call("GET", &format!("/v1_1/demo/usage/{day}"), None);
        assert_refused(&answer, day);
    }
}

#[test]
fn folders_come_in_pages_where_they_were_asked_for() {
    let served = served(&[]);
    for name in ["a", "b", "c", "d", "e"] {
        served.mount.mkdir(name);
    }
    let said = python(
        &served,
        "names, cursor = [], None\n\
         while True:\n  \
           page = api.root_folders(max_results=2, next_cursor=cursor)\n  \
           names.append(''.join(folder['name'] for folder in page['folders']))\n  \
           cursor = page.get('next_cursor')\n  \
           if not cursor: break\n\
         print(names, page['total_count'])",
    );
    assert_eq!(said, "['ab', 'cd', 'e'] 5\n");
    let all = served.done("GET", "/v1_1/demo/folders", None);
    assert_eq!(all["folders"].as_array().unwrap().len(), 5);
    let wrong = served.call("GET", "/v1_1/demo/folders?next_cursor=%21", None);
    assert_refused(&wrong, "next_cursor");
}

#[test]
fn an_upload_of_a_format_that_is_not_allowed_is_refused_and_leaves_nothing() {
    let served = served(&[]);
    for (kind, name, allowed, is_taken) in [
        ("image", "a.gif", "png,jpg", false),
        ("image", "a.jpeg", "png,jpg", true),
        ("raw", "a.exe", "txt", false),
        ("raw", "a.txt", "txt", true),
    ] {
        let (stem, _) = name.split_once('.').unwrap();
        let public_id = if kind == "raw" { name } else { stem };
        let fields = [("public_id", public_id), ("allowed_formats", allowed)];
        let answer = served.upload(kind, &fields, name, b"x");
        assert_eq!(answer.status == 200, is_taken, "{name}: {}", answer.text());
        assert_eq!(served.mount.path(name).exists(), is_taken, "{name}");
    }
}
