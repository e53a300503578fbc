//! What there is of the API on the command line: keys, and searches in the same language.

use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::harness::{Setup, keepfs_binary, output, text};
use crate::http::Served;

fn found(output: &Output) -> Vec<String> {
    assert!(output.status.success(), "{output:?}");
    let document: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let rows = document["resources"].as_array().expect("rows");
    let path = |row: &Value| row["path"].as_str().expect("a path").to_owned();
    let mut paths: Vec<String> = rows.iter().map(path).collect();
    paths.sort();
    paths
}

#[test]
fn a_search_finds_the_same_on_the_command_line_as_in_the_api_mounted_or_not() {
    let mut served = Served::start(Setup::new());
    for name in ["a.png", "b.txt", "c.txt"] {
        served.mount.write(name, vec![b'x'; name.len() * 1_000]);
    }
    served.mount.write("gone.txt", "gone");
    served.mount.remove("gone.txt");
    let body = json!({ "public_ids": ["b.txt"], "tag": "t", "command": "add" });
    served.done("POST", "/v1_1/demo/raw/tags", Some(&body));
    let expressions = [
        ("", vec!["a.png", "b.txt", "c.txt"]),
        ("status:deleted", vec!["gone.txt"]),
        ("tags:t OR format=png", vec!["a.png", "b.txt"]),
        ("resource_type:raw AND -tags:t", vec!["c.txt"]),
        ("no_such_field:x", vec![]),
    ];
    for (expression, expected) in &expressions {
        let output = served.mount.keepfs(&["search", expression, "--json"]);
        assert_eq!(&found(&output), expected, "{expression}");
        let body = json!({ "expression": expression, "sort_by": [{ "public_id": "asc" }] });
        let answer = served.done("POST", "/v1_1/demo/resources/search", Some(&body));
        assert_eq!(answer["total_count"], expected.len(), "{expression}");
    }
    let table = served.mount.keepfs(&["search", "status:deleted"]);
    assert!(text(&table.stdout).contains("gone.txt"), "{table:?}");
    let first = served.mount.keepfs(&[
        "search",
        "",
        "--json",
        "--max",
        "1",
        "--sort",
        "public_id:desc",
    ]);
    assert_eq!(found(&first), ["c.txt"]);
    let refused = served.mount.keepfs(&["search", "(format=png"]);
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    let said = text(&refused.stderr);
    assert!(
        said.contains("position 1") && said.lines().count() == 1,
        "{said}"
    );
    served.mount.unmount();
    for (expression, expected) in &expressions {
        let output = served.mount.on_vault(&["search", expression, "--json"]);
        assert_eq!(&found(&output), expected, "{expression}, not mounted");
    }
    served.mount.remount();
}

#[test]
fn keys_are_listed_without_their_secrets() {
    let served = Served::start(Setup::new());
    let list = |arguments: &[&str]| {
        let mut command = Command::new(keepfs_binary());
        command.args(["api-key", "list"]).args(arguments);
        let listed = output(command.arg(&served.mount.vault));
        assert!(listed.status.success(), "{listed:?}");
        text(&listed.stdout)
    };
    for listed in [list(&[]), list(&["--json"])] {
        assert!(listed.contains(&served.key), "{listed}");
        assert!(!listed.contains(&served.secret), "{listed}");
    }
}

#[test]
fn a_large_file_goes_in_and_out_without_being_held() {
    let served = Served::start(Setup::new());
    let most = || {
        let path = format!("/proc/{}/status", served.mount.pid());
        let status = std::fs::read_to_string(path).expect("the daemon's status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
        kibibytes
            .expect("a size")
            .trim()
            .parse::<u64>()
            .expect("a number")
            >> 10
    };
    let there_and_back = |name: &str, length: usize| {
        let content = vec![name.as_bytes()[0]; length];
        let answer = served.upload("raw", &[("public_id", name)], "x", &content);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let original = served.call("GET", &format!("/demo/raw/upload/{name}"), None);
        assert!(original.body == content);
    };
    // Once, so that what is held for any upload, and for its packs, is there.
    there_and_back("small", 128 << 20);
    let before = most();
    there_and_back("large", 384 << 20);
    let grown = most() - before;
    assert!(grown < 64, "{grown} MiB more for a file of 384");
}

#[test]
fn whoever_listens_beyond_this_machine_hears_what_that_means() {
    let mount = Setup::new().unmounted();
    // No address of this machine, so that nothing is opened after the word.
    let elsewhere = "192.0.2.1:8787";
    for command in ["serve", "mount"] {
        let mut keepfs = Command::new(keepfs_binary());
        keepfs
            .args([command, "--listen", elsewhere])
            .arg(&mount.vault);
        if command == "mount" {
            keepfs.arg(&mount.root);
        }
        let done = output(&mut keepfs);
        assert!(!done.status.success(), "{command}: {done:?}");
        let said = text(&done.stderr);
        assert!(said.contains("without TLS"), "{command}: {said}");
    }
}
