//! The store moves: between directories and buckets, while files are being written, over
//! kills and interruptions. Nothing is lost, and the old store is left as it is.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::harness::{
    Mount, Setup, files_below, keepfs_binary, noise, not_run, output, spawn, text, wait_for,
};
use crate::journal::{live_files, rebuilt_from};
use crate::proxy::{Fault, Proxy};
use crate::servers::{BucketServer, Kind};

/// A directory beside the vault.
fn beside(m: &Mount, name: &str) -> PathBuf {
    m.vault.parent().expect("its directory").join(name)
}

/// A vault that can talk to these servers, which allow it.
fn setup(servers: &[&BucketServer]) -> Setup {
    let mut setup = Setup::new()
        .init(&["--name", "photos"])
        .config("pack_bytes", "\"64KiB\"");
    for server in servers {
        let mut command = std::process::Command::new(keepfs_binary());
        command.args(["store", "allow", &server.url("p"), "--name", "photos"]);
        let done = output(command.envs(server.environment()));
        assert!(done.status.success(), "{done:?}");
        for (name, value) in server.environment() {
            setup = setup.env(name, value);
        }
    }
    setup
}

/// Writes versions, and waits until they are in the store.
fn fill(m: &Mount, files: u64) {
    for n in 0..files {
        m.write(format!("f{n}"), noise(n, 30_000));
        m.write(format!("f{n}"), noise(n + 10_000, 30_000));
    }
    m.run("\"$KEEPFS\" wait .");
}

fn verify(m: &Mount, files: u64) {
    for n in 0..files {
        let expected = [noise(n, 30_000), noise(n + 10_000, 30_000)];
        assert_eq!(m.contents(format!("f{n}")), expected, "f{n}");
    }
}

/// All files with their bytes.
fn snapshot(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    read_all(files_below(directory))
}

fn read_all(files: Vec<PathBuf>) -> BTreeMap<PathBuf, Vec<u8>> {
    let files = files.into_iter();
    files
        .map(|file| (file.clone(), fs::read(file).expect("a file")))
        .collect()
}

/// The packs of a store with their bytes. Its journal may go on meanwhile.
fn packs(store: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = files_below(store);
    files.retain(|file| file.extension().is_some_and(|end| end == "pack"));
    read_all(files)
}

/// The line of the settings.
fn store_line(m: &Mount) -> String {
    let settings = fs::read_to_string(m.vault.join("keepfs.toml")).expect("keepfs.toml");
    let line = settings.lines().find(|line| line.starts_with("store = "));
    line.expect("a store line").to_owned()
}

#[track_caller]
fn migrate(m: &Mount, to: &str) -> serde_json::Value {
    m.json(&["store", "migrate", to])
}

/// Starts the command and does not wait for it.
fn begin(m: &Mount, to: &str) -> Child {
    // Whoever runs tests in the background of a shell has them ignore Ctrl-C.
    let mut command = m.command("env");
    command.arg("--default-signal=INT").arg(keepfs_binary());
    command.current_dir("/").args(["store", "migrate", to]);
    command.arg(&m.root);
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    spawn(&mut command).expect("keepfs store migrate")
}

fn status(m: &Mount) -> serde_json::Value {
    m.json(&["status"])["migration"].clone()
}

/// Sets the flag also when it goes while panicking.
struct Flag<'a>(&'a AtomicBool);

impl Drop for Flag<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Runs `work` while files `new{n}` are written and read back. Returns the number of the
/// next one, too.
fn while_writing<T>(m: &Mount, first: u64, work: impl FnOnce() -> T) -> (T, u64) {
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let over = Flag(&is_over);
        let writer = scope.spawn(|| {
            let mut next = first;
            while !is_over.load(Ordering::SeqCst) {
                let content = noise(next + 50_000, 20_000);
                m.write(format!("new{next}"), &content);
                assert_eq!(m.contents(format!("new{next}")), [content]);
                next += 1;
            }
            next
        });
        let done = work();
        drop(over);
        (done, writer.join().expect("the writer"))
    })
}

#[test]
fn a_store_moves_from_disk_to_bucket_and_back_while_files_are_written() {
    let server = BucketServer::start(Kind::S3);
    let mut m = setup(&[&server]).start();
    fill(&m, 20);
    let local = m.vault.join("store");
    let home = beside(&m, "home");
    let before = packs(&local);
    let (done, first) = while_writing(&m, 0, || migrate(&m, &server.url("p")));
    assert!(
        done["packs"].as_u64().unwrap() >= before.len() as u64,
        "{done}"
    );
    assert_eq!(done["packs"], done["copied_packs"]);
    let left = snapshot(&local);
    for (file, bytes) in &before {
        assert_eq!(left.get(file), Some(bytes), "{file:?}");
    }
    let (back, written) = while_writing(&m, first, || migrate(&m, home.to_str().unwrap()));
    assert_eq!(back["from"], server.url("p"));
    m.run("\"$KEEPFS\" wait .");
    assert_eq!(
        snapshot(&local),
        left,
        "the old store changed after the switch"
    );
    assert_eq!(status(&m), serde_json::Value::Null);
    assert_eq!(store_line(&m), format!("store = \"{}\"", home.display()));
    // Neither of the old ones is needed.
    fs::remove_dir_all(&local).unwrap();
    drop(server);
    m.run("\"$KEEPFS\" check --read-data .");
    m.unmount();
    m.remount();
    verify(&m, 20);
    assert!(
        written > first && first > 0,
        "{first} and {written} files were written"
    );
    for n in 0..written {
        assert_eq!(m.contents(format!("new{n}")), [noise(n + 50_000, 20_000)]);
    }
    assert!(!home.join("migration.json").exists());
}

#[test]
fn a_store_moves_from_one_cloud_to_another() {
    let (s3, azure) = (
        BucketServer::start(Kind::S3),
        BucketServer::start(Kind::Azure),
    );
    let mut m = setup(&[&s3, &azure])
        .init(&["--store", &s3.url("p")])
        .start();
    fill(&m, 10);
    let before = snapshot(&s3.bucket());
    let done = migrate(&m, &azure.url("p"));
    assert_eq!(done["to"], azure.url("p"));
    m.write("later", "after the move");
    m.run("\"$KEEPFS\" wait .; \"$KEEPFS\" check --read-data .");
    assert_eq!(snapshot(&s3.bucket()), before);
    drop(s3);
    m.unmount();
    m.remount();
    verify(&m, 10);
    assert_eq!(m.texts("later"), ["after the move"]);
}

#[test]
fn a_bucket_whose_owner_did_not_allow_it_or_that_holds_something_gets_nothing() {
    let mut server = BucketServer::start(Kind::S3);
    let mut setup = Setup::new().init(&["--name", "photos"]);
    for (name, value) in server.environment() {
        setup = setup.env(name, value);
    }
    let m = setup.start();
    let refused = m.keepfs(&["store", "migrate", &server.url("p")]);
    assert_eq!(refused.status.code(), Some(4), "{refused:?}");
    assert!(
        text(&refused.stderr).contains("keepfs store allow"),
        "{refused:?}"
    );
    assert!(snapshot(&server.bucket()).is_empty());
    // Allowed, but the prefix is somebody's. The server keeps listings in memory.
    server.stop();
    let marker = server.bucket().join(".wellknown/keepfs/photos");
    let other = server.bucket().join("p/other/thing");
    for file in [&marker, &other] {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, "").unwrap();
    }
    server.run();
    let refused = m.keepfs(&["store", "migrate", &server.url("p")]);
    assert_eq!(refused.status.code(), Some(4), "{refused:?}");
    assert!(
        text(&refused.stderr).contains("there is 'other'"),
        "{refused:?}"
    );
    assert_eq!(snapshot(&server.bucket()).len(), 2);
    assert_eq!(status(&m), serde_json::Value::Null);
}

#[test]
fn an_interrupted_move_says_so_and_goes_on_where_it_was() {
    let mut server = BucketServer::start(Kind::S3);
    let proxy = Proxy::before(server.port());
    let url = server.url_through(proxy.port(), "p");
    let m = setup(&[&server]).start();
    fill(&m, 400);
    // Slow enough to be interrupted on any machine.
    let late = Fault::Late(Duration::from_millis(100));
    proxy.fault("PUT", "/packs/", usize::MAX, late);
    // Not read: the server's own temporary files are gone before they could be.
    let packs = |server: &BucketServer| {
        let mut files = files_below(&server.bucket().join("p/packs"));
        files.retain(|file| file.extension().is_some_and(|end| end == "pack"));
        files.len()
    };
    let has_some = |server: &BucketServer, more_than: usize| {
        wait_for("some packs in the bucket", || {
            let there = server.bucket().join("p/packs").exists();
            (there && packs(server) > more_than).then_some(())
        });
    };
    // Ctrl-C.
    let child = begin(&m, &url);
    has_some(&server, 3);
    let running = m.json(&["status"])["migration"].clone();
    assert_eq!(running["running"], true, "{running}");
    assert!(running["percent"].as_u64().unwrap() < 100, "{running}");
    assert!(m.run("\"$KEEPFS\" status .").contains("moving to"));
    let second = m.keepfs(&["store", "migrate", "/nowhere"]);
    assert_eq!(second.status.code(), Some(4), "{second:?}");
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let _ = child.wait_with_output();
    wait_for("the daemon to notice", || {
        (status(&m)["running"] == false).then_some(())
    });
    let text = m.run("\"$KEEPFS\" status .");
    assert!(
        text.contains("unfinished: keepfs store migrate goes on"),
        "{text}"
    );
    assert_eq!(store_line(&m), "store = \"store\"");
    let there = packs(&server);
    let all = snapshot(&m.vault.join("store")).len();
    assert!(there + 10 < all, "it was too fast to be interrupted");
    proxy.heal();
    // The server is away for a moment, in the middle.
    let child = begin(&m, &url);
    has_some(&server, there + 3);
    server.stop();
    m.write("meanwhile", "nobody waits");
    assert_eq!(m.texts("meanwhile"), ["nobody waits"]);
    server.run();
    let done = child.wait_with_output().unwrap();
    assert!(done.status.success(), "{done:?}");
    m.run("\"$KEEPFS\" wait .; \"$KEEPFS\" check --read-data .");
    verify(&m, 20);
}

#[test]
fn a_terminal_shows_how_far_a_move_is_and_how_long_it_takes() {
    let server = BucketServer::start(Kind::S3);
    let proxy = Proxy::before(server.port());
    let url = server.url_through(proxy.port(), "p");
    let m = setup(&[&server]).start();
    fill(&m, 60);
    let late = Fault::Late(Duration::from_millis(300));
    proxy.fault("PUT", "/packs/", usize::MAX, late);
    let go = "stty cols 100; exec \"$KEEPFS\" store migrate \"$URL\" \"$ROOT\"";
    let mut command = m.command("script");
    command.current_dir("/").args(["-qec", go, "/dev/null"]);
    command
        .env("TERM", "xterm")
        .env("URL", &url)
        .env("ROOT", &m.root);
    let done = output(&mut command);
    let shown = text(&done.stdout);
    assert!(done.status.success(), "{shown}");
    let bars: Vec<_> = shown
        .split('\r')
        .filter(|line| line.contains("copying ["))
        .collect();
    let is_under_way = |bar: &&str| {
        let has_begun = bar.contains("=>") && bar.contains("MiB/3.");
        has_begun && bar.trim_end().ends_with("s left")
    };
    assert!(bars.iter().any(is_under_way), "{bars:?}");
    // The bar is gone before it is said what was done.
    let said = shown.rsplit("\u{1b}[2K").next().unwrap_or_default();
    assert!(said.starts_with("the store is at s3://bucket/p"), "{said}");
}

#[test]
fn an_unmount_stops_a_move_and_the_vault_that_is_not_mounted_can_go_on_with_it() {
    let server = BucketServer::start(Kind::S3);
    let mut m = setup(&[&server]).start();
    fill(&m, 150);
    let child = begin(&m, &server.url("p"));
    wait_for("it to run", || {
        (status(&m)["running"] == true).then_some(())
    });
    m.unmount();
    let done = child.wait_with_output().unwrap();
    assert_eq!(done.status.code(), Some(1), "{done:?}");
    assert!(
        text(&done.stderr).contains("the same command goes on"),
        "{done:?}"
    );
    let done = m.on_vault(&["store", "migrate", &server.url("p")]);
    let said = text(&done.stdout);
    assert!(done.status.success(), "{done:?}");
    let rest = format!("rm -r '{}'\n", m.vault.join("store").display());
    assert!(said.ends_with(&rest), "{said}");
    assert!(store_line(&m).contains("s3://bucket/p?endpoint="));
    m.remount();
    fs::remove_dir_all(m.vault.join("store")).unwrap();
    verify(&m, 150);
}

/// The points of a move, in the order in which it comes past them, and whether the switch
/// has been made.
const POINTS: [(&str, bool); 8] = [
    ("migrate.prepared", false),
    ("migrate.before-put", false),
    ("migrate.after-put", false),
    ("migrate.copied", false),
    ("migrate.settled", false),
    ("migrate.published", false),
    ("migrate.switched", true),
    ("migrate.forgotten", true),
];

/// A kill at each point of a move to a directory, or to a bucket.
fn killed_at_each_point(server: Option<&BucketServer>) {
    let env = server.map_or_else(Vec::new, BucketServer::environment);
    for (at, (point, is_switched)) in POINTS.into_iter().enumerate() {
        let nth = if point.contains("put") { ":3" } else { "" };
        let crash = format!("{point}{nth}");
        let mut m = setup(server.as_slice())
            .env("KEEPFS_CRASH_AT", &crash)
            .start();
        fill(&m, 6);
        let local = m.vault.join("store");
        let before = packs(&local);
        let prefix = format!("new{at}");
        let (new, url) = match server {
            Some(server) => (server.bucket().join(&prefix), server.url(&prefix)),
            None => (
                beside(&m, &prefix),
                beside(&m, &prefix).display().to_string(),
            ),
        };
        let died = m.keepfs(&["store", "migrate", &url]);
        assert!(!died.status.success(), "{point} was not reached: {died:?}");
        assert!(!m.crashed().success(), "{point}");
        assert_eq!(packs(&local), before, "{point}");
        let line = store_line(&m);
        assert_eq!(line.contains(&prefix), is_switched, "{point}: {line}");
        // Whichever is the store, it alone is enough.
        let store = match is_switched {
            true => url.clone(),
            false => local.display().to_string(),
        };
        let rebuilt = rebuilt_from(&m, &env, &store);
        assert_eq!(rebuilt.len(), 6, "{point}");
        m.forget_env("KEEPFS_CRASH_AT");
        m.remount();
        verify(&m, 6);
        let left = status(&m);
        match is_switched {
            true => assert_eq!(left, serde_json::Value::Null, "{point}"),
            false => {
                assert_eq!(left["running"], false, "{point}: {left}");
                m.write("between", "the two attempts");
                m.run("\"$KEEPFS\" wait .");
                assert_eq!(rebuilt_from(&m, &env, &store), live_files(&m), "{point}");
                let there = packs(&new).len();
                let done = migrate(&m, &url);
                let again =
                    done["packs"].as_u64().unwrap() - done["copied_packs"].as_u64().unwrap();
                assert_eq!(again as usize, there, "{point}: {done}");
            }
        }
        assert!(!new.join("migration.json").exists(), "{point}");
        fs::remove_dir_all(&local).unwrap();
        m.unmount();
        m.check();
        m.remount();
        verify(&m, 6);
        assert_eq!(rebuilt_from(&m, &env, &url), live_files(&m), "{point}");
    }
}

#[test]
fn a_kill_at_any_point_leaves_a_vault_that_mounts_and_a_move_that_goes_on() {
    if cfg!(not(debug_assertions)) {
        return not_run("crash points of a move", "a release build has none");
    }
    killed_at_each_point(None);
    killed_at_each_point(Some(&BucketServer::start(Kind::S3)));
}

#[test]
fn what_is_purged_between_two_attempts_is_in_neither_store() {
    if cfg!(not(debug_assertions)) {
        return not_run("a purge between two attempts", "it needs a crash point");
    }
    let mut m = Setup::new()
        .env("KEEPFS_CRASH_AT", "migrate.copied")
        .start();
    m.write("keep", noise(1, 200_000));
    m.write("secret", noise(2, 200_000));
    m.run("\"$KEEPFS\" wait .");
    let new = beside(&m, "new");
    m.keepfs(&["store", "migrate", new.to_str().unwrap()]);
    m.crashed();
    let secret = noise(2, 200_000);
    let holds_it = |directory: &Path| {
        let files = snapshot(directory);
        files
            .values()
            .any(|file| file.windows(64).any(|part| part == &secret[5000..5064]))
    };
    assert!(holds_it(&new), "the secret was not copied");
    m.clear_env();
    m.remount();
    m.remove("secret");
    let purged = m.keepfs(&["purge", "--yes", m.path("secret").to_str().unwrap()]);
    let said = text(&purged.stderr);
    assert_eq!(purged.status.code(), Some(0), "{said}");
    assert!(
        said.contains("until keepfs store migrate goes on"),
        "{said}"
    );
    assert!(said.contains(new.to_str().unwrap()), "{said}");
    migrate(&m, new.to_str().unwrap());
    assert!(!holds_it(&new));
    assert!(!holds_it(&m.vault.join("store")));
    assert_eq!(m.contents("keep"), [noise(1, 200_000)]);
}

#[test]
fn damage_is_named_before_the_switch_with_the_way_out() {
    let mut m = Setup::new().config("pack_bytes", "\"64KiB\"").start();
    fill(&m, 4);
    let pack = packs(&m.vault.join("store")).into_keys().next();
    let pack = pack.expect("a pack");
    let mut bytes = fs::read(&pack).unwrap();
    bytes[2000] ^= 1;
    fs::remove_file(&pack).unwrap();
    fs::write(&pack, bytes).unwrap();
    let new = beside(&m, "new");
    let done = m.keepfs(&["store", "migrate", new.to_str().unwrap()]);
    let said = text(&done.stderr);
    assert_eq!(done.status.code(), Some(5), "{said}");
    let id = pack.file_stem().unwrap().to_str().unwrap();
    assert!(said.contains(&format!("pack {id}: ")), "{said}");
    assert!(said.contains("cannot be read whole"), "{said}");
    assert!(said.contains("keepfs check --read-data --repair"), "{said}");
    assert_eq!(store_line(&m), "store = \"store\"");
    // What a live file still holds is made whole; what is not is given up.
    m.try_run("\"$KEEPFS\" check --read-data --repair .");
    let done = m.keepfs(&["store", "migrate", new.to_str().unwrap()]);
    if done.status.code() == Some(5) {
        for n in 0..4 {
            let first = m.versions(format!("f{n}"))[0].clone();
            m.run(&format!("\"$KEEPFS\" delete-version --yes f{n} {first}"));
        }
        migrate(&m, new.to_str().unwrap());
    }
    assert!(store_line(&m).contains("new"));
    m.unmount();
    m.check();
}

#[test]
fn places_that_make_no_sense_are_refused_in_one_line() {
    let m = Mount::new();
    let full = beside(&m, "full");
    fs::create_dir(&full).unwrap();
    fs::write(full.join("photo"), "mine").unwrap();
    for (to, code, words) in [
        (m.vault.join("store"), 2, "is the store already"),
        (
            m.vault.join("store/inside"),
            2,
            "overlaps the present store",
        ),
        (m.vault.join("live/packs"), 2, "inside the live tree"),
        (m.root.join("packs"), 2, "inside the mount"),
        (full.clone(), 4, "there is 'photo'"),
        ("ftp://x".into(), 2, "is no store"),
    ] {
        let done = m.keepfs(&["store", "migrate", to.to_str().unwrap()]);
        let said = text(&done.stderr);
        assert_eq!(done.status.code(), Some(code), "{to:?}: {said}");
        assert!(said.contains(words), "{to:?}: {said}");
        assert_eq!(said.trim_end().lines().count(), 1, "{said}");
    }
    assert_eq!(fs::read_dir(full).unwrap().count(), 1);
    assert_eq!(status(&m), serde_json::Value::Null);
}

#[test]
fn the_settings_keep_every_other_byte() {
    let m = Mount::new();
    let path = m.vault.join("keepfs.toml");
    let before = fs::read_to_string(&path).unwrap();
    let new = beside(&m, "new");
    migrate(&m, new.to_str().unwrap());
    let expected = before.replace(
        "\nstore = \"store\"\n",
        &format!("\nstore = \"{}\"\n", new.display()),
    );
    assert_eq!(fs::read_to_string(&path).unwrap(), expected);
}
