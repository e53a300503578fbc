//! A vault out of nothing but its store: everything local is removed, and comes back.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::buckets::{allow, setup};
use crate::crash::crash_points;
use crate::harness::{
    Mount, Setup, files_below, keepfs_binary, noise, not_run, output, set_xattr, text, xattr,
};
use crate::servers::{BucketServer, Kind, kinds};

/// What can be seen of a file or directory, in history or live.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    mode: u32,
    owner: (u32, u32),
    /// Of files: when it was changed, its tag, how long it is, and a hash of its bytes.
    file: Option<(i64, Option<String>, usize, u64)>,
}

/// All there is below a directory of the mount.
fn seen_below(top: &Path) -> BTreeMap<PathBuf, Seen> {
    let mut seen = BTreeMap::new();
    let mut todo = vec![top.to_path_buf()];
    while let Some(directory) = todo.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            let metadata = fs::symlink_metadata(&path).unwrap();
            let file = metadata.is_file().then(|| {
                let mtime = metadata.mtime() * 1_000_000_000 + metadata.mtime_nsec();
                let bytes = fs::read(&path).unwrap();
                let mut hasher = DefaultHasher::new();
                bytes.hash(&mut hasher);
                let tag = xattr(&path, "user.tag");
                (mtime, tag, bytes.len(), hasher.finish())
            });
            if metadata.is_dir() {
                todo.push(path.clone());
            }
            let value = Seen {
                mode: metadata.mode() & 0o7777,
                owner: (metadata.uid(), metadata.gid()),
                file,
            };
            seen.insert(path.strip_prefix(top).unwrap().to_path_buf(), value);
        }
    }
    seen
}

/// Everything that a vault shows: the live tree, versions, and what was deleted.
fn everything(m: &Mount) -> [BTreeMap<PathBuf, Seen>; 3] {
    ["", ".versions", ".deleted"].map(|top| seen_below(&m.path(top)))
}

#[track_caller]
fn assert_same(before: &[BTreeMap<PathBuf, Seen>; 3], after: &[BTreeMap<PathBuf, Seen>; 3]) {
    for (before, after) in before.iter().zip(after) {
        let names: BTreeSet<&PathBuf> = before.keys().chain(after.keys()).collect();
        for name in names {
            assert_eq!(before.get(name), after.get(name), "{name:?}");
        }
    }
}

/// The machine is lost: nothing of the vault is left on it.
pub fn lose(m: &mut Mount) {
    if m.is_running() {
        m.crash();
    }
    fs::remove_dir_all(&m.vault).unwrap();
}

/// `keepfs rebuild` of a bucket's vault at the place of the lost one.
pub fn rebuild(m: &Mount, url: &str, args: &[&str], env: &[(&str, &str)]) -> Output {
    let mut command = Command::new(keepfs_binary());
    command.args(["rebuild", "--store", url]).args(args);
    command.arg(&m.vault).envs(env.iter().copied());
    output(&mut command)
}

#[track_caller]
pub fn rebuilt(m: &Mount, server: &BucketServer, args: &[&str]) -> String {
    let done = rebuild(m, &server.url("p"), args, &server.environment());
    assert!(
        done.status.success(),
        "{}\n{}",
        text(&done.stdout),
        text(&done.stderr)
    );
    text(&done.stdout)
}

/// One line on standard error, and the exit code.
#[track_caller]
pub fn refused(done: &Output, code: i32, problem: &str) {
    let said = text(&done.stderr);
    assert_eq!(done.status.code(), Some(code), "{done:?}");
    assert_eq!(said.trim_end().lines().count(), 1, "{said}");
    assert!(said.contains(problem), "{said}");
}

/// A vault in a bucket that takes its store over whenever it is mounted.
pub fn vault_in(server: &BucketServer) -> Setup {
    allow(server, "photos");
    setup(server, "p").mount(&["--take-over"])
}

/// A bit of everything that a catalog has to say.
fn live_a_little(m: &Mount) {
    m.mkdir("photos");
    m.mkdir("photos/2026");
    m.mkdir("private");
    fs::set_permissions(m.path("private"), fs::Permissions::from_mode(0o700)).unwrap();
    for n in 0..30 {
        m.write(format!("photos/2026/{n}.jpg"), noise(n, 20_000));
    }
    m.write("photos/large", noise(100, 3_000_000));
    m.write("photos/empty", "");
    m.write("private/diary", "first");
    m.write("private/diary", "second");
    fs::set_permissions(m.path("private/diary"), fs::Permissions::from_mode(0o640)).unwrap();
    m.write("tagged", "with an attribute");
    set_xattr(&m.path("tagged"), "user.tag", "blue").unwrap();
    m.append("tagged", b" and more");
    m.run("touch -d 2001-02-03T04:05:06Z photos/empty photos/large");
    let odd = OsStr::from_bytes(b"odd \xff\n name");
    m.write(odd, "bytes, not text");
    m.write("moved", "went elsewhere");
    m.rename("moved", "photos/arrived");
    m.rename("photos/2026", "photos/last year");
    m.remove("photos/last year/7.jpg");
    m.write("gone", "one");
    m.write("gone", "two");
    m.remove("gone");
    m.mkdir("off");
    set_xattr(&m.path("off"), "user.keepfs.backup", "off").unwrap();
    m.write("off/unkept", "never a version");
    let pinned = &m.versions("private/diary")[0];
    let path = m.path("private/diary");
    let done = m.keepfs(&["pin", path.to_str().unwrap(), pinned]);
    assert!(done.status.success(), "{done:?}");
}

fn everything_comes_back_from(kind: Kind) {
    let server = BucketServer::start(kind);
    let mut m = vault_in(&server)
        .config("pack_bytes", "\"256KiB\"")
        .config("exclude", "[\"*.o\"]")
        .start();
    live_a_little(&m);
    let listed = |m: &Mount| {
        let versions = m.path("private/diary");
        let listed = m.keepfs(&["versions", "--json", versions.to_str().unwrap()]);
        text(&listed.stdout)
    };
    m.run("\"$KEEPFS\" wait .");
    let mut before = everything(&m);
    // Never backed up, so not in the store.
    before[0].remove(Path::new("off/unkept"));
    let diary = listed(&m);
    lose(&mut m);

    let said = rebuilt(&m, &server, &["--live"]);
    assert!(said.contains("keepfs mount --take-over"), "{said}");
    let settings = fs::read_to_string(m.vault.join("keepfs.toml")).unwrap();
    assert!(settings.contains("exclude = [\"*.o\"]"), "{settings}");
    m.remount();
    assert_same(&before, &everything(&m));
    assert_eq!(listed(&m), diary);
    let off = xattr(&m.path("off"), "user.keepfs.backup");
    assert_eq!(off.as_deref(), Some("off"));
    let status = m.json(&["status"]);
    assert_eq!(status["versions_pending"], 0, "nothing is new: {status}");

    // History goes on where it was.
    m.write("new", "x");
    assert!(m.try_rename("new", "gone").is_err(), "the name is reserved");
    m.write("private/diary", "third");
    assert_eq!(m.texts("private/diary"), ["first", "second", "third"]);
    m.write("gone", "three");
    assert_eq!(m.texts("gone"), ["one", "two", "three"]);
    m.write("off/unkept", "still off");
    assert!(!m.exists(".versions/off"));
    m.run("\"$KEEPFS\" wait .; \"$KEEPFS\" check --read-data .");
}

#[test]
fn everything_comes_back_from_the_bucket_alone() {
    for kind in kinds(&[Kind::S3]) {
        everything_comes_back_from(kind);
    }
}

#[test]
fn a_store_on_another_disk_is_enough_and_is_not_written_to() {
    let disk = tempfile::tempdir().unwrap();
    let store = disk.path().join("packs");
    let url = store.to_str().unwrap();
    let mut m = Setup::new()
        .init(&["--store", url])
        .mount(&["--take-over"])
        .start();
    live_a_little(&m);
    m.run("\"$KEEPFS\" wait .");
    let mut before = everything(&m);
    before[0].remove(Path::new("off/unkept"));
    m.unmount();
    lose(&mut m);
    let contents = |top: &Path| -> Vec<(PathBuf, Vec<u8>)> {
        let files = files_below(top).into_iter();
        files.map(|f| (f.clone(), fs::read(f).unwrap())).collect()
    };
    let packs = contents(&store);
    let done = rebuild(&m, url, &["--live", "--json"], &[]);
    assert!(done.status.success(), "{done:?}");
    let summary: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(summary["held_elsewhere"], true);
    assert_eq!(summary["versions_dropped"], 0);
    assert!(contents(&store) == packs, "the store was written to");
    m.remount();
    assert_same(&before, &everything(&m));
}

#[test]
fn what_never_reached_the_bucket_is_gone_and_the_rest_is_as_of_the_last_upload() {
    let mut server = BucketServer::start(Kind::S3);
    let mut m = vault_in(&server).start();
    m.write("a", "uploaded");
    m.write("b", "uploaded too");
    m.run("\"$KEEPFS\" wait .");
    server.stop();
    m.write("a", "on its way");
    m.write("c", "never seen");
    assert_eq!(m.versions("a").len(), 2);
    lose(&mut m);
    server.run();
    rebuilt(&m, &server, &["--live"]);
    m.remount();
    assert_eq!(m.texts("a"), ["uploaded"]);
    assert_eq!(m.read("a"), b"uploaded");
    assert_eq!(m.read("b"), b"uploaded too");
    assert!(!m.exists("c") && !m.exists(".versions/c"));
    m.write("c", "a free name");
    assert_eq!(m.texts("c"), ["a free name"]);
}

#[test]
fn the_live_tree_can_be_that_of_an_instant_and_history_says_so() {
    let server = BucketServer::start(Kind::S3);
    let mut m = vault_in(&server).start();
    m.mkdir("d");
    m.write("d/changed", "then");
    m.write("d/deleted", "was there");
    m.write("d/same", "as ever");
    m.write("d/moved", "followed");
    m.run("\"$KEEPFS\" wait .");
    // To the nanosecond, behind all of it.
    let at = m.run("date -u +%Y-%m-%dT%H:%M:%S.%NZ");
    m.write("d/changed", "now");
    m.remove("d/deleted");
    m.write("d/new", "was not there");
    m.rename("d/moved", "d/elsewhere");
    m.run("\"$KEEPFS\" wait .");
    lose(&mut m);
    rebuilt(&m, &server, &["--live", "--at", at.trim()]);
    m.remount();
    m.run("\"$KEEPFS\" scan .");
    assert_eq!(m.list("d"), ["changed", "deleted", "moved", "same"]);
    assert_eq!(m.read("d/changed"), b"then");
    assert_eq!(m.texts("d/changed"), ["then", "now", "then"]);
    assert_eq!(m.read("d/deleted"), b"was there");
    assert_eq!(m.texts("d/moved"), ["followed"]);
    assert_eq!(m.texts("d/same"), ["as ever"]);
    assert_eq!(m.deleted(), ["d/new".to_owned()].into());
}

#[test]
fn without_live_everything_waits_in_deleted_or_is_recognised_in_a_tree_that_survived() {
    let server = BucketServer::start(Kind::S3);
    let outside = tempfile::tempdir().unwrap();
    let live = outside.path().join("live");
    fs::create_dir(&live).unwrap();
    let mut m = vault_in(&server)
        .init(&["--live", live.to_str().unwrap()])
        .start();
    m.write("kept", "as it was");
    m.write("changed", "before");
    m.write("lost", "to be found in .deleted");
    m.run("\"$KEEPFS\" wait .");
    lose(&mut m);
    fs::write(live.join("changed"), "after").unwrap();
    fs::remove_file(live.join("lost")).unwrap();

    refused(
        &rebuild(
            &m,
            &server.url("p"),
            &["--live", "--live-dir", live.to_str().unwrap()],
            &server.environment(),
        ),
        4,
        "is not empty",
    );
    assert!(!m.vault.exists());
    // As somebody tries it out while the tree is in use.
    let elsewhere = outside.path().join("tried");
    let live_dir = elsewhere.to_str().unwrap();
    rebuilt(&m, &server, &["--live", "--live-dir", live_dir]);
    assert_eq!(
        fs::read(elsewhere.join("lost")).unwrap(),
        b"to be found in .deleted"
    );
    fs::remove_dir_all(&m.vault).unwrap();

    rebuilt(&m, &server, &["--live-dir", live.to_str().unwrap()]);
    m.remount();
    m.run("\"$KEEPFS\" scan .");
    assert_eq!(m.texts("kept"), ["as it was"]);
    assert_eq!(m.texts("changed"), ["before", "after"]);
    assert_eq!(m.deleted(), ["lost".to_owned()].into());
}

#[test]
fn a_kill_at_any_point_of_a_rebuild_is_taken_up_by_the_same_command() {
    let mut points = crash_points();
    points.retain(|point| point.starts_with("rebuild."));
    if cfg!(not(debug_assertions)) {
        return not_run("named points of a rebuild", "a release build has none");
    }
    assert!(points.len() >= 4, "{points:?}");
    let server = BucketServer::start(Kind::S3);
    let mut m = vault_in(&server).start();
    live_a_little(&m);
    m.run("\"$KEEPFS\" wait .");
    let mut before = everything(&m);
    before[0].remove(Path::new("off/unkept"));
    m.unmount();
    for point in points {
        lose(&mut m);
        let mut env = server.environment();
        env.push(("KEEPFS_CRASH_AT", &point));
        let killed = rebuild(&m, &server.url("p"), &["--live"], &env);
        assert!(killed.status.code().is_none(), "{point}: {killed:?}");
        let done = m.on_vault(&["status"]);
        assert!(!done.status.success(), "{point}: {done:?}");
        assert!(m.try_remount().is_err(), "{point}");
        rebuilt(&m, &server, &["--live"]);
        m.remount();
        eprintln!("killed at {point}");
        assert_same(&before, &everything(&m));
        m.unmount();
        m.check();
    }
}

/// Stores the files `whole` and `hurt`; returns the packs of the latter alone.
pub fn packs_of_one_file(server: &BucketServer, m: &Mount) -> Vec<PathBuf> {
    let packs = server.bucket().join("p/packs");
    m.write("whole", noise(1, 100_000));
    m.run("\"$KEEPFS\" wait .");
    let first = files_below(&packs);
    m.write("hurt", noise(2, 100_000));
    m.run("\"$KEEPFS\" wait .");
    let mut second = files_below(&packs);
    second.retain(|pack| !first.contains(pack));
    second
}

#[test]
fn a_damaged_bucket_is_told_and_what_can_come_back_does() {
    let mut server = BucketServer::start(Kind::S3);
    let mut m = vault_in(&server).config("pack_bytes", "\"64KiB\"").start();
    let second = packs_of_one_file(&server, &m);
    lose(&mut m);
    for pack in &second {
        fs::remove_file(pack).unwrap();
    }
    server.restart();
    let done = rebuild(
        &m,
        &server.url("p"),
        &["--live", "--json"],
        &server.environment(),
    );
    assert_eq!(done.status.code(), Some(5), "{done:?}");
    assert!(
        text(&done.stderr).contains("hurt: not brought back"),
        "{done:?}"
    );
    let summary: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(summary["packs_missing"], second.len());
    assert_eq!(summary["versions_hurt"], 1);
    m.expect_damage();
    m.remount();
    assert_eq!(m.read("whole"), noise(1, 100_000));
    assert_eq!(m.versions("hurt").len(), 1);
    let checked = m.keepfs(&["check"]);
    assert!(
        text(&checked.stderr).contains("hurt: version"),
        "{checked:?}"
    );
}

#[test]
fn a_gap_in_the_journal_is_refused_and_can_be_accepted() {
    let mut server = BucketServer::start(Kind::S3);
    let mut m = vault_in(&server).start();
    for n in 0..4 {
        m.write("a", format!("{n}"));
        m.run("\"$KEEPFS\" wait .");
    }
    lose(&mut m);
    let mut journal = files_below(&server.bucket().join("p/catalog"));
    journal.retain(|part| part.extension() == Some(OsStr::new("changes")));
    fs::remove_file(&journal[journal.len() - 2]).unwrap();
    server.restart();
    let done = rebuild(&m, &server.url("p"), &["--live"], &server.environment());
    refused(&done, 5, "--accept-gap");
    assert!(!m.vault.exists());
    let said = rebuilt(&m, &server, &["--live", "--accept-gap"]);
    assert!(said.contains(".changes is missing"), "{said}");
    m.remount();
    let versions = m.texts("a");
    assert!((1..4).contains(&versions.len()), "{versions:?}");
}

#[test]
fn an_encrypted_vault_is_rebuilt_with_its_secret_only() {
    let server = BucketServer::start(Kind::S3);
    let outside = tempfile::tempdir().unwrap();
    let key_file = outside.path().join("photos.key");
    let wrong = outside.path().join("wrong.key");
    let key_name = key_file.to_str().unwrap();
    let mut m = vault_in(&server)
        .init(&["--encrypt", "--key-file", key_name])
        .start();
    m.write("a", "one");
    m.write("a", "two");
    m.run("\"$KEEPFS\" wait .");
    lose(&mut m);
    let attempt = |args: &[&str]| rebuild(&m, &server.url("p"), args, &server.environment());
    refused(&attempt(&["--live"]), 2, "--key-file");
    let other = tempfile::tempdir().unwrap();
    let made = output(Command::new(keepfs_binary()).arg("init").args([
        other.path().join("v").to_str().unwrap(),
        "--encrypt",
        "--key-file",
        wrong.to_str().unwrap(),
    ]));
    assert!(made.status.success(), "{made:?}");
    let done = attempt(&["--live", "--key-file", wrong.to_str().unwrap()]);
    refused(&done, 4, "does not open it");
    assert!(!m.vault.exists());
    rebuilt(&m, &server, &["--live", "--key-file", key_name]);
    m.remount();
    assert_eq!(m.texts("a"), ["one", "two"]);
    assert_eq!(m.read("a"), b"two");
}

#[test]
fn a_store_does_not_choose_where_this_machine_is_written_to_nor_what_runs_there() {
    let server = BucketServer::start(Kind::S3);
    let elsewhere = tempfile::tempdir().unwrap();
    let live = elsewhere.path().join("live");
    let mut m = vault_in(&server)
        .init(&["--live", live.to_str().unwrap()])
        .start();
    m.write("tool", "one");
    fs::set_permissions(m.path("tool"), fs::Permissions::from_mode(0o4755)).unwrap();
    m.run("\"$KEEPFS\" wait .");
    m.unmount();
    let settings = m.vault.join("keepfs.toml");
    let mut text = fs::read_to_string(&settings).unwrap();
    text.push_str("\n[api]\nnotification_url = \"http://169.254.169.254/\"\n");
    fs::write(&settings, text).unwrap();
    m.remount();
    m.write("other", "two");
    m.run("\"$KEEPFS\" wait .");
    lose(&mut m);
    fs::remove_dir_all(&live).unwrap();
    for args in [&["--live"][..], &[]] {
        let done = rebuild(&m, &server.url("p"), args, &server.environment());
        refused(&done, 4, "--live-dir");
        assert!(!live.exists() && !m.vault.exists());
    }
    let key = elsewhere.path().join("key");
    fs::write(&key, "a passphrase\n").unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    let key = ["--live", "--passphrase-file", key.to_str().unwrap()];
    let done = rebuild(&m, &server.url("p"), &key, &server.environment());
    refused(&done, 4, "is not encrypted");
    let there = live.to_str().unwrap();
    let told = rebuilt(&m, &server, &["--live", "--live-dir", there]);
    assert!(told.contains("1 file ran as its owner"), "{told}");
    let mode = fs::metadata(live.join("tool"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o7777, 0o755);
    let settings = fs::read_to_string(&settings).unwrap();
    assert!(settings.contains("\n#notification_url"), "{settings}");
    m.remount();
    assert_eq!(m.read("tool"), b"one");
    m.remove("tool");
    m.run("\"$KEEPFS\" restore tool");
    let mode = fs::metadata(live.join("tool"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o6000, 0, "not by a restore either");
}

#[test]
fn places_that_make_no_sense_are_refused_in_one_line_and_left_alone() {
    let mut m = Setup::new().unmounted();
    let empty = tempfile::tempdir().unwrap();
    let url = empty.path().to_str().unwrap();
    refused(&rebuild(&m, url, &[], &[]), 4, "is not empty");
    refused(&rebuild(&m, "ftp://x", &[], &[]), 2, "ftp");
    refused(
        &rebuild(&m, url, &["--live", "--at", "yesterday"], &[]),
        2,
        "2026-11-23T10:00:00Z",
    );
    fs::remove_dir_all(&m.vault).unwrap();
    refused(&rebuild(&m, url, &[], &[]), 3, "no journal");
    assert!(!m.vault.exists());
    m.expect_damage();
}
