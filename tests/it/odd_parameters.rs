//! Parameters that say something which is not done here, or done otherwise than one may think:
//! they are refused, or do what they say, and never less or more.

use std::process::Command;

use serde_json::json;

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
