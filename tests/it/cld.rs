//! `cld`, the command line of the official SDK, unmodified: each flow of "Backups and
//! version management", and a folder kept in step by `cld sync`.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::harness::{Setup, output};
use crate::http::{Served, test_servers};
use crate::sdks::run;

/// What `cld` prints.
#[track_caller]
fn cld_text(served: &Served, arguments: &[&str]) -> String {
    let mut command = Command::new(test_servers().join("python/bin/cld"));
    run(served, command.args(arguments))
}

/// The JSON in it.
#[track_caller]
fn cld(served: &Served, arguments: &[&str]) -> Value {
    let told = cld_text(served, arguments);
    let start = told
        .find('{')
        .unwrap_or_else(|| panic!("no JSON in {told}"));
    let mut values = serde_json::Deserializer::from_str(&told[start..]).into_iter();
    values.next().expect("a value").expect("JSON")
}

/// What it says when the server refuses.
#[track_caller]
fn refused(served: &Served, arguments: &[&str]) -> String {
    let home = served.mount.vault.parent().expect("a directory");
    let done = output(
        Command::new(test_servers().join("python/bin/cld"))
            .args(arguments)
            .env("CLOUDINARY_URL", served.url())
            .env("CLOUDINARY_HOME", home.join("home"))
            .env("HOME", home.join("home")),
    );
    assert!(!done.status.success(), "{arguments:?}: {done:?}");
    format!(
        "{}{}",
        String::from_utf8_lossy(&done.stdout),
        String::from_utf8_lossy(&done.stderr)
    )
}

/// Uploads a text as a raw asset.
#[track_caller]
fn upload(served: &Served, name: &str, text: &str, more: &[&str]) -> Value {
    let file = served.mount.vault.parent().expect("a directory").join("up");
    fs::write(&file, text).unwrap();
    let (file, public_id) = (file.to_str().unwrap(), format!("public_id={name}"));
    let mut arguments = vec!["uploader", "upload", file, &public_id, "resource_type=raw"];
    arguments.extend(more);
    cld(served, &arguments)
}

#[track_caller]
fn details(served: &Served, name: &str) -> Value {
    let resource = ["admin", "resource", name, "resource_type=raw"];
    cld(served, &[&resource[..], &["versions=true"]].concat())
}

fn version_of(details: &Value, place: usize) -> String {
    let id = details["versions"][place]["version_id"].as_str();
    id.unwrap_or_else(|| panic!("no version {place}: {details}"))
        .to_owned()
}

fn asset_id_of(details: &Value) -> String {
    details["asset_id"].as_str().expect("an id").to_owned()
}

#[test]
fn the_command_line_of_the_sdk_backs_up_or_not_as_an_upload_says() {
    let served = Served::start(Setup::new());
    assert_eq!(cld(&served, &["ping"])["status"], "ok");
    let unkept = upload(&served, "no.txt", "1", &["backup=false"]);
    assert_eq!(
        (&unkept["backup"], &unkept["version_id"]),
        (&json!(false), &Value::Null)
    );
    assert!(served.mount.versions("no.txt").is_empty());
    assert_eq!(details(&served, "no.txt")["versions"], json!([]));
    let kept = upload(&served, "no.txt", "2", &["backup=true"]);
    assert_eq!(kept["backup"], true);
    assert_eq!(served.mount.texts("no.txt"), ["2"]);
    let off = json!({ "backup": "off" });
    served.done("PUT", "/v1_1/demo/backup/settings", Some(&off));
    upload(&served, "yes.txt", "3", &["backup=true"]);
    upload(&served, "none.txt", "4", &[]);
    assert_eq!(served.mount.texts("yes.txt"), ["3"]);
    assert!(served.mount.versions("none.txt").is_empty());
}

#[test]
fn the_command_line_of_the_sdk_lists_downloads_restores_and_deletes_versions() {
    let served = Served::start(Setup::new());
    for text in ["one", "two", "three"] {
        upload(&served, "c.txt", text, &[]);
    }
    let live = served.mount.root.join("c.txt");
    let read = || fs::read_to_string(&live).unwrap();
    let known = details(&served, "c.txt");
    let sizes: Vec<_> = known["versions"].as_array().unwrap().iter().collect();
    let sizes: Vec<_> = sizes.iter().map(|version| &version["size"]).collect();
    assert_eq!(sizes, [&json!(3), &json!(3), &json!(5)]);
    let asset_id = asset_id_of(&known);
    let (first, second) = (version_of(&known, 0), version_of(&known, 1));

    let download = ["utils", "download_backedup_asset", &asset_id, &first];
    let address = cld_text(&served, &download);
    let path = address.trim().split_once(&served.address.to_string());
    let (_, path) = path.unwrap_or_else(|| panic!("{address}"));
    assert_eq!(served.raw("GET", path, &[], b"").text(), "one");

    let version = format!("versions={first}");
    let restore = ["admin", "restore", "c.txt", "resource_type=raw", &version];
    assert_eq!(cld(&served, &restore)["c.txt"]["bytes"], 3);
    assert_eq!(read(), "one");
    let version = format!("versions={second}");
    let restore = ["admin", "restore_by_asset_ids", &asset_id, &version];
    assert_eq!(cld(&served, &restore)[&asset_id]["public_id"], "c.txt");
    assert_eq!(read(), "two");

    let before = served.mount.versions("c.txt").len();
    let delete = ["admin", "delete_backed_up_assets", &asset_id];
    let gone = cld(&served, &[&delete[..], &[&first, &second]].concat());
    assert_eq!(gone["deleted_version_ids"], json!([first, second]));
    assert_eq!(served.mount.versions("c.txt").len(), before - 2);
    assert_eq!(read(), "two", "the live file stays");
    let (third, unknown) = (version_of(&known, 2), "a".repeat(32));
    let mixed = cld(&served, &[&delete[..], &[&third, &unknown]].concat());
    assert_eq!(mixed["deleted_version_ids"], json!([third]));
    assert_eq!(mixed["failures"][0]["version_id"], unknown);
    assert_eq!(served.mount.versions("c.txt").len(), before - 3);
}

#[test]
fn the_command_line_of_the_sdk_finds_restores_and_reserves_what_was_deleted() {
    let served = Served::start(Setup::new());
    let root = &served.mount.root;
    for name in ["a.txt", "b.txt", "other.txt"] {
        upload(&served, name, name, &[]);
    }
    cld(
        &served,
        &["admin", "delete_resources", "a.txt", "resource_type=raw"],
    );
    let destroy = ["uploader", "destroy", "b.txt", "resource_type=raw"];
    assert_eq!(cld(&served, &destroy), json!({ "result": "ok" }));
    assert_eq!(cld(&served, &destroy), json!({ "result": "not found" }));
    assert!(!root.join("a.txt").exists() && !root.join("b.txt").exists());
    let search = ["search", "status=deleted AND resource_type:raw"];
    let found = cld(
        &served,
        &[&search[..], &["-s", "public_id", "asc", "-n", "5"]].concat(),
    );
    let rows = found["resources"].as_array().unwrap();
    let names: Vec<_> = rows.iter().map(|row| &row["public_id"]).collect();
    assert_eq!(names, ["a.txt", "b.txt"]);
    let gone = details(&served, "a.txt");
    assert_eq!(gone["placeholder"], true);

    for overwrite in ["overwrite=false", "overwrite=true"] {
        let rename = ["uploader", "rename", "other.txt", "a.txt"];
        let said = refused(
            &served,
            &[&rename[..], &["resource_type=raw", overwrite]].concat(),
        );
        assert!(said.contains("belongs to a deleted asset"), "{said}");
    }
    assert!(root.join("other.txt").exists() && !root.join("a.txt").exists());

    let several = r#"["a.txt", "b.txt", "nobody.txt"]"#;
    let restore = ["admin", "restore", several, "resource_type=raw"];
    let restored = cld(&served, &restore);
    assert_eq!(restored["nobody.txt"], json!({ "error": "no_backup" }));
    assert_eq!(restored["a.txt"]["asset_id"], gone["asset_id"]);
    for name in ["a.txt", "b.txt"] {
        assert_eq!(fs::read_to_string(root.join(name)).unwrap(), name);
    }
    let rename = ["uploader", "rename", "a.txt", "d.txt", "resource_type=raw"];
    assert_eq!(cld(&served, &rename)["asset_id"], gone["asset_id"]);
    assert!(root.join("d.txt").exists() && !root.join("a.txt").exists());
}

/// The files below a directory, with their texts.
fn tree(directory: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut left = vec![directory.to_owned()];
    while let Some(next) = left.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                left.push(path);
                continue;
            }
            let name = path.strip_prefix(directory).unwrap().to_str().unwrap();
            found.insert(name.to_owned(), fs::read_to_string(&path).unwrap());
        }
    }
    found
}

#[test]
fn the_command_line_of_the_sdk_keeps_a_folder_in_step_both_ways() {
    let served = Served::start(Setup::new());
    let (local, back) = (
        served.mount.vault.parent().unwrap().join("local"),
        served.mount.vault.parent().unwrap().join("back"),
    );
    fs::create_dir_all(local.join("deep")).unwrap();
    fs::create_dir(&back).unwrap();
    fs::write(local.join("a.txt"), "a").unwrap();
    fs::write(local.join("deep/b.txt"), "b").unwrap();
    fs::write(local.join("deep/c"), "c").unwrap();
    // Without `cname` it builds addresses of Cloudinary's own for what it downloads.
    let configuration = format!("{}&cname={}", served.url(), served.address);
    let sync = |directory: &Path, folder: &str, way: &str| {
        let directory = directory.to_str().unwrap();
        let how = ["-c", &configuration, "sync", directory, folder, way, "-F"];
        cld_text(&served, &how)
    };
    sync(&local, "album", "--push");
    assert_eq!(tree(&served.mount.root.join("album")), tree(&local));
    let changed_at = || {
        let facts = fs::metadata(served.mount.root.join("album/a.txt")).unwrap();
        (facts.ctime(), facts.ctime_nsec())
    };
    let before = changed_at();
    sync(&local, "album", "--push");
    assert_eq!(changed_at(), before, "what is the same is not sent again");

    fs::write(local.join("a.txt"), "A").unwrap();
    fs::remove_file(local.join("deep/b.txt")).unwrap();
    sync(&local, "album", "--push");
    assert_eq!(served.mount.texts("album/a.txt"), ["a", "A"]);
    assert!(served.mount.deleted().contains("album/deep/b.txt"));

    sync(&back, "album", "--pull");
    assert_eq!(tree(&back), tree(&local));
    served.mount.write("top.txt", "top");
    sync(&back, "", "--pull");
    let expected: BTreeMap<_, _> = tree(&local)
        .into_iter()
        .map(|(name, text)| (format!("album/{name}"), text))
        .chain([("top.txt".to_owned(), "top".to_owned())])
        .collect();
    assert_eq!(tree(&back), expected);
}
