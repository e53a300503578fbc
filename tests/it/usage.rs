//! How much space history takes: `keepfs usage`.

use serde_json::Value;

use crate::harness::{Mount, is_root, noise, not_run, text, wait_for};

/// The answer once nothing is on the way to the store any more.
fn settled(m: &Mount, args: &[&str]) -> Value {
    wait_for("everything to be stored", || {
        let answer = m.json(args);
        (answer["total"]["versions_pending"] == 0).then_some(answer)
    })
}

fn row<'a>(answer: &'a Value, path: &str) -> &'a Value {
    let rows = answer["rows"].as_array().unwrap();
    let found = rows.iter().find(|row| row["path"] == path);
    found.unwrap_or_else(|| panic!("no row {path} in {answer}"))
}

/// A file that is in two directories, a second version of one, and a deleted file.
fn filled() -> Mount {
    let m = Mount::new();
    m.mkdir("d/e");
    m.mkdir("f");
    m.write("d/e/a", noise(1, 60_000));
    m.write("f/b", noise(1, 60_000));
    m.write("f/b", noise(2, 20_000));
    m.write("gone", noise(3, 5_000));
    m.remove("gone");
    m
}

#[test]
fn shared_content_counts_in_both_directories_and_once_in_all() {
    let m = filled();
    let answer = settled(&m, &["usage"]);
    let (d, f) = (row(&answer, "d"), row(&answer, "f"));
    assert_eq!(d["kind"], "directory");
    assert_eq!((&d["versions"], &f["versions"]), (&1.into(), &2.into()));
    assert_eq!(d["unique_bytes"], 0, "f has it, too");
    assert_eq!(f["unique_bytes"], 20_000);
    let stored = |row: &Value| row["stored_bytes"].as_u64().unwrap();
    assert!(stored(d) >= 60_000, "{answer}");
    let total = &answer["total"];
    assert_eq!(total["logical_bytes"], 145_000);
    assert_eq!(total["unique_bytes"], 85_000);
    let deleted = total["deleted_stored_bytes"].as_u64().unwrap();
    let twice = stored(d) + stored(f) + deleted - stored(total);
    assert_eq!(twice, stored(d), "{answer}");
    assert_eq!(answer["ages"][0]["kept"], "last_day");
    assert_eq!(answer["ages"][0]["stored_bytes"], total["stored_bytes"]);
}

#[test]
fn a_vault_says_the_same_mounted_and_unmounted() {
    let mut m = filled();
    let args = ["usage", "--depth", "9", "--assets"];
    let mounted = settled(&m, &args);
    let paths: Vec<_> = mounted["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["path"].clone())
        .collect();
    assert_eq!(paths, ["d", "d/e", "d/e/a", "f", "f/b", "gone"]);
    m.unmount();
    let done = m.on_vault(&["usage", "--depth", "9", "--assets", "--json"]);
    assert!(done.status.success(), "{done:?}");
    assert_eq!(
        serde_json::from_slice::<Value>(&done.stdout).unwrap(),
        mounted
    );
    let done = m.on_vault(&["usage", "d/e", "--json"]);
    let part: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(part["path"], "d/e");
    assert_eq!(part["total"]["unique_bytes"], 0);
    m.remount();
}

#[test]
fn people_read_a_table_with_deleted_files_marked_and_the_largest_first() {
    let m = filled();
    settled(&m, &["usage"]);
    let table = m.run(
        "\"$KEEPFS\" usage --top 2 --by-age; \"$KEEPFS\" usage gone; cd d; \"$KEEPFS\" usage --all",
    );
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines[1].ends_with(" f/b"), "{table}");
    assert!(lines[2].ends_with(" d/e/a"), "{table}");
    assert!(lines[3].ends_with(" total"), "{table}");
    assert!(table.contains("in the last day"), "{table}");
    assert!(table.contains("100%  gone (deleted)"), "{table}");
    assert!(table.contains(" d/e/\n"), "{table}");
}

#[test]
fn names_are_told_to_root_and_to_who_mounted_and_to_nobody_else() {
    let m = filled();
    let missing = m.keepfs(&["usage", "missing"]);
    assert_eq!(missing.status.code(), Some(3), "{missing:?}");
    assert!(text(&missing.stderr).contains("missing"), "{missing:?}");
    if !is_root() {
        return not_run("usage as another user", "needs root");
    }
    let other = format!(
        "setpriv --reuid=65534 --regid=65534 --clear-groups \"$KEEPFS\" usage --vault {}",
        m.vault.display()
    );
    let refused = m.try_run(&other);
    assert!(!refused.status.success(), "{refused:?}");
    assert!(!text(&refused.stdout).contains("d/e"), "{refused:?}");
}
