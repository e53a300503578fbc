//! `keepfs check`: damage is named and repaired, through the daemon and without one.

use std::fs;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Output;

use crate::harness::{Mount, errno, files_below, noise, text};

const DAMAGED: Option<i32> = Some(5);

/// What happens to a pack.
type Harm = fn(&Path);

fn packs(m: &Mount) -> Vec<PathBuf> {
    let is_pack = |path: &PathBuf| path.extension().is_some_and(|end| end == "pack");
    let mut packs = files_below(&m.vault.join("store"));
    packs.retain(is_pack);
    packs
}

/// What is written is in the store, in a pack of its own.
fn store(m: &mut Mount) {
    m.unmount();
    m.remount();
}

fn pack_id(path: &Path) -> String {
    path.file_stem().unwrap().to_str().unwrap().into()
}

fn writable(path: &Path) -> fs::File {
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    fs::File::options()
        .read(true)
        .write(true)
        .open(path)
        .unwrap()
}

fn said(output: &Output) -> String {
    text(&output.stdout) + &text(&output.stderr)
}

/// The new pack that `write` comes to.
fn new_pack(m: &mut Mount, write: impl FnOnce(&Mount)) -> PathBuf {
    let before = packs(m);
    write(m);
    store(m);
    let mut new = packs(m);
    new.retain(|pack| !before.contains(pack));
    assert_eq!(new.len(), 1, "{new:?}");
    new.remove(0)
}

#[test]
fn flipped_cut_and_missing_packs_are_repaired_from_the_live_files_while_mounted() {
    let mut m = Mount::new();
    let damages: [(&str, Harm); 3] = [
        ("flipped", |pack| {
            writable(pack).write_all_at(b"XX", 20_000).unwrap()
        }),
        ("cut", |pack| writable(pack).set_len(20_000).unwrap()),
        ("missing", |pack| fs::remove_file(pack).unwrap()),
    ];
    for (seed, (name, damage)) in (0..).zip(damages) {
        let bytes = noise(seed, 50_000);
        let pack = new_pack(&mut m, |m| m.write(name, &bytes));
        damage(&pack);
        let found = m.keepfs(&["check", "--read-data"]);
        assert_eq!(found.status.code(), DAMAGED, "{found:?}");
        let version = m.versions(name)[0].clone();
        for word in [&pack_id(&pack), name, &version] {
            assert!(said(&found).contains(word), "{name}: {}", said(&found));
        }
        let repaired = m.keepfs(&["check", "--read-data", "--repair"]);
        assert!(repaired.status.success(), "{name}: {repaired:?}");
        assert!(
            said(&repaired).contains(&format!("{name}: version {version} is whole again")),
            "{repaired:?}"
        );
        assert_eq!(m.contents(name), [bytes]);
        let again = m.keepfs(&["check", "--read-data"]);
        assert!(said(&again).contains("no problems"), "{again:?}");
    }
}

#[test]
fn what_no_live_file_holds_stays_lost_and_is_named_version_by_version() {
    let mut m = Mount::new();
    let pack = new_pack(&mut m, |m| {
        m.write("kept", noise(1, 50_000));
        m.write("changed", noise(2, 50_000));
        m.write("removed", noise(3, 50_000));
    });
    m.write("changed", "other");
    m.remove("removed");
    store(&mut m);
    m.unmount();
    m.expect_damage();
    fs::remove_file(&pack).unwrap();
    let repaired = m.on_vault(&["check", "--repair", "--json"]);
    assert_eq!(repaired.status.code(), DAMAGED, "{repaired:?}");
    let report: serde_json::Value = serde_json::from_slice(&repaired.stdout).unwrap();
    let named = |key: &str| {
        let rows = report[key].as_array().unwrap().iter();
        let mut paths: Vec<_> = rows.filter_map(|row| row["path"].as_str()).collect();
        paths.sort_unstable();
        paths.join(" ")
    };
    assert_eq!(named("repaired"), "kept");
    assert_eq!(named("problems"), "changed removed");
    let again = m.on_vault(&["check", "--read-data"]);
    assert_eq!(again.status.code(), DAMAGED);
    assert!(said(&again).contains(&pack_id(&pack)), "{again:?}");
    assert!(!said(&again).contains("kept"), "{again:?}");
    m.remount();
    assert_eq!(m.contents("kept"), [noise(1, 50_000)]);
    let latest = m.version_path("changed", "latest");
    assert_eq!(fs::read(latest).unwrap(), b"other");
    let lost = m.version_path("removed", &m.versions("removed")[0]);
    assert_eq!(errno(fs::read(lost)), rustix::io::Errno::IO);
}

#[test]
fn content_is_never_deduplicated_against_a_pack_that_went_missing_under_the_mount() {
    let mut m = Mount::new();
    let bytes = noise(1, 50_000);
    let pack = new_pack(&mut m, |m| m.write("a", &bytes));
    // The daemon has seen the pack; then it goes, and a check notices.
    m.write("b", &bytes);
    assert_eq!(m.contents("b"), std::slice::from_ref(&bytes));
    fs::remove_file(pack).unwrap();
    assert_eq!(m.keepfs(&["check"]).status.code(), DAMAGED);
    m.write("c", &bytes);
    store(&mut m);
    for name in ["a", "b", "c"] {
        assert_eq!(m.contents(name), std::slice::from_ref(&bytes), "{name}");
    }
    let found = m.keepfs(&["check", "--read-data"]);
    assert!(found.status.success(), "{found:?}");
}

#[test]
fn a_pack_that_the_catalog_does_not_know_is_told_without_being_damage() {
    let mut m = Mount::new();
    let pack = new_pack(&mut m, |m| m.write("a", "a"));
    let stranger = "000000000000000000000000000000ff";
    let directory = m.vault.join("store/packs/ff");
    fs::create_dir_all(&directory).unwrap();
    fs::copy(&pack, directory.join(format!("{stranger}.pack"))).unwrap();
    let found = m.keepfs(&["check"]);
    assert!(found.status.success(), "{found:?}");
    assert!(said(&found).contains(stranger), "{found:?}");
    let report = m.json(&["check", "--read-data"]);
    assert_eq!(report["orphans"][0]["pack"], stranger);
    assert_eq!(report["problems"].as_array().unwrap().len(), 0);
}

#[test]
fn daily_samples_find_the_damage_within_a_round_whoever_has_the_vault() {
    let mut m = Mount::new();
    for seed in 0..4 {
        new_pack(&mut m, |m| m.write(format!("f{seed}"), noise(seed, 50_000)));
    }
    let damaged = packs(&m).remove(0);
    writable(&damaged).write_all_at(b"XX", 20_000).unwrap();
    let mut runs: Vec<Output> = Vec::new();
    for _ in 0..2 {
        runs.push(m.keepfs(&["check", "--sample", "25%"]));
    }
    m.unmount();
    m.expect_damage();
    for _ in 0..2 {
        runs.push(m.on_vault(&["check", "--sample", "25%"]));
    }
    let found: Vec<_> = runs.iter().filter(|run| !run.status.success()).collect();
    assert_eq!(found.len(), 1, "{runs:?}");
    assert!(said(found[0]).contains(&pack_id(&damaged)), "{found:?}");
    for run in &runs {
        assert!(said(run).contains(" of 4 packs read ("), "{run:?}");
        assert!(said(run).contains("seed "), "{run:?}");
    }
    let refused = m.on_vault(&["check", "--sample", "0%"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(said(&refused).contains("write a share like 1%"));
}
