//! Two machines and one store: only one of them writes, and the other says so.
//!
//! The second machine is a copy of the vault directory: for the store it is another
//! writer, as it would be on another host.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::buckets::{allow, setup};
use crate::harness::{Mount, Setup, keepfs_binary, output, text, wait_for};
use crate::journal::rebuilt_from;
use crate::servers::{BucketServer, Kind, objects};

const REFUSED: Option<i32> = Some(4);

/// A second vault directory beside the first, and where it is mounted.
struct Twin<'a> {
    server: &'a BucketServer,
    vault: PathBuf,
    root: PathBuf,
}

impl<'a> Twin<'a> {
    fn of(m: &Mount, server: &'a BucketServer) -> Self {
        let beside = |name: &str| m.vault.with_file_name(name);
        let (vault, root) = (beside("twin"), beside("n"));
        let copied = output(Command::new("cp").arg("-a").arg(&m.vault).arg(&vault));
        assert!(copied.status.success(), "{copied:?}");
        Self {
            server,
            vault,
            root,
        }
    }

    fn keepfs(&self, args: &[&str], paths: &[&Path]) -> Output {
        let mut command = Command::new(keepfs_binary());
        command.args(args).args(paths);
        output(command.envs(self.server.environment()))
    }

    fn mount(&self, args: &[&str]) -> Output {
        self.keepfs(&[&["mount"], args].concat(), &[&self.vault, &self.root])
    }

    fn unmount(&self) {
        let done = self.keepfs(&["umount"], &[&self.root]);
        assert!(done.status.success(), "{done:?}");
    }
}

fn lease(server: &BucketServer) -> serde_json::Value {
    let bytes = fs::read(server.bucket().join("p/lease.json")).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

#[test]
fn a_second_machine_is_refused_until_it_takes_over_and_then_the_first_writes_nothing_more() {
    let server = BucketServer::start(Kind::S3);
    allow(&server, "photos");
    let mut m = setup(&server, "p").start();
    m.write("a", "one");
    m.write("secret", "to be purged");
    m.unmount();
    let twin = Twin::of(&m, &server);

    // Also where the first one is not mounted: nobody knows when it comes back.
    let before = lease(&server);
    assert_eq!(before["fence"], 1);
    let refused = twin.mount(&[]);
    assert_eq!(refused.status.code(), REFUSED, "{refused:?}");
    let said = text(&refused.stderr);
    let host = before["host"].as_str().unwrap();
    assert!(
        said.contains(&format!("{host} writes there since")),
        "{said}"
    );
    assert!(said.contains("`keepfs mount --take-over`"), "{said}");
    assert_eq!(said.trim_end().lines().count(), 1, "{said}");
    // To look is free.
    let checked = twin.keepfs(&["check", "--read-data", "--vault"], &[&twin.vault]);
    assert!(checked.status.success(), "{checked:?}");
    assert_eq!(lease(&server), before);

    m.remount();
    let taken = twin.mount(&["--take-over"]);
    assert!(taken.status.success(), "{taken:?}");
    assert_eq!(lease(&server)["fence"], 2);
    fs::write(twin.root.join("b"), "of the twin").unwrap();
    twin.unmount();
    let packs = server.bucket().join("p/packs");
    let theirs = objects(&packs);

    // What deletes, asks first.
    m.remove("secret");
    let purged = m.keepfs(&["purge", "--yes", m.path("secret").to_str().unwrap()]);
    assert_eq!(purged.status.code(), Some(6), "{purged:?}");
    assert!(
        text(&purged.stderr).contains("took the store over"),
        "{purged:?}"
    );
    m.write("a", "two");
    m.write("a", "three");
    assert_eq!(m.texts("a"), ["one", "two", "three"]);
    let blocked = wait_for("the status to say it", || {
        m.json(&["status"])["blocked"].as_str().map(str::to_owned)
    });
    assert!(blocked.contains("took the store over"), "{blocked}");
    m.wait_for_log("took the store over");
    let late = m.keepfs(&["wait", "--timeout", "5s", "."]);
    assert_eq!(late.status.code(), Some(6), "{late:?}");
    assert_eq!(objects(&packs), theirs);
    m.crash();
    assert!(m.try_remount().unwrap_err().contains("--take-over"));
    assert_eq!(objects(&packs), theirs);
    // What it sealed is still in its spool; the purge left pieces behind.
    m.expect_damage();
}

#[test]
fn a_bucket_that_is_away_at_the_start_is_asked_for_the_lease_before_the_first_write() {
    let mut server = BucketServer::start(Kind::S3);
    allow(&server, "photos");
    let mut m = setup(&server, "p").start();
    m.write("a", "one");
    m.unmount();
    server.stop();
    m.remount();
    m.write("a", "two");
    // While nobody looked, another one took over.
    let file = server.bucket().join("p/lease.json");
    let mut lease = lease(&server);
    lease["holder"] = "another".into();
    lease["host"] = "elsewhere".into();
    lease["fence"] = 7.into();
    fs::write(&file, lease.to_string()).unwrap();
    let packs = objects(&server.bucket().join("p/packs"));
    server.run();
    wait_for("the status to say who writes", || {
        let _ = m.keepfs(&["wait", "--timeout", "1s", "."]);
        let status = m.json(&["status"]);
        let blocked = status["blocked"].as_str()?;
        blocked
            .contains("elsewhere writes there since")
            .then_some(())
    });
    assert_eq!(objects(&server.bucket().join("p/packs")), packs);
    assert_eq!(m.texts("a"), ["one", "two"]);
    m.crash();
}

#[test]
fn an_older_catalog_that_is_put_back_is_refused_and_the_newer_journal_brings_everything() {
    let mut m = Setup::new().start();
    m.write("a", "one");
    m.run("\"$KEEPFS\" wait .");
    m.unmount();
    let (catalog, older) = (m.vault.join("catalog.db"), m.vault.with_file_name("older"));
    fs::copy(&catalog, &older).unwrap();
    m.remount();
    m.write("a", "two");
    m.run("\"$KEEPFS\" wait .");
    m.unmount();
    fs::copy(&older, &catalog).unwrap();
    let said = m.try_remount().unwrap_err();
    for words in [
        "older copy",
        "`keepfs rebuild --store",
        "`keepfs mount --take-over`",
    ] {
        assert!(said.contains(words), "{said}");
    }
    let status = m.on_vault(&["status", "--json"]);
    let status: serde_json::Value = serde_json::from_slice(&status.stdout).unwrap();
    let blocked = status["blocked"].as_str().unwrap_or_default();
    assert!(blocked.contains("older copy"), "{status}");
    let store = m.vault.join("store").display().to_string();
    let live = |files: BTreeMap<PathBuf, Vec<u8>>| files[Path::new("a")].clone();
    assert_eq!(live(rebuilt_from(&m, &[], &store)), b"two");
    // Who goes on with it all the same takes nothing away.
    let [vault, root] = [&m.vault, &m.root].map(|path| path.to_str().unwrap().to_owned());
    let taken = m.keepfs(&["mount", "--take-over", &vault, &root]);
    assert!(taken.status.success(), "{taken:?}");
    m.write("a", "three");
    m.run("\"$KEEPFS\" wait .");
    let ended = m.keepfs(&["umount", &root]);
    assert!(ended.status.success(), "{ended:?}");
    assert_eq!(live(rebuilt_from(&m, &[], &store)), b"three");
    let there = tempfile::tempdir().unwrap();
    let to = |name: &str| there.path().join(name).display().to_string();
    let rebuild = [
        "rebuild",
        "--store",
        &store,
        "--writer",
        "1",
        "--live",
        "--live-dir",
    ];
    let done = m.keepfs(&[&rebuild[..], &[&to("live"), &to("vault")]].concat());
    assert!(done.status.success(), "{done:?}");
    assert_eq!(fs::read(to("live/a")).unwrap(), b"two");
    m.remount();
    m.run("\"$KEEPFS\" check --read-data .");
}
