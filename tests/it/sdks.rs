//! The official SDKs, unmodified, the page in a real browser, and a crowd of generated
//! calls: the programs that others wrote, in `sdk/`.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::harness::{Setup, output};
use crate::http::{Served, test_servers};

fn sdk(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/it/sdk")
        .join(name)
}

/// Runs a program with the SDKs' environment; it must end well.
#[track_caller]
pub fn run(served: &Served, command: &mut Command) -> String {
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
fn a_generated_crowd_of_calls_meets_no_server_error_and_what_the_document_says() {
    let served = Served::start(Setup::new());
    served.mount.write("a", b"1");
    let mut command = Command::new(test_servers().join("python/bin/schemathesis"));
    command
        .arg("run")
        .arg(format!("http://{}/openapi.json", served.address))
        .args(["--url", &format!("http://{}", served.address)])
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
    assert_eq!(document["servers"][0]["url"], "/");
    let mut calls = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        let path = path
            .replace("{file}", "page.css")
            .replace("{resource_type}", "raw")
            .replace("{asset_id}", &"0".repeat(32))
            .replace(['{', '}'], "");
        for method in methods.as_object().unwrap().keys() {
            let method = method.to_uppercase();
            let answer = served.call(&method, &path, Some(&json!({})));
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
