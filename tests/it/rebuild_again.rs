//! A rebuild that was interrupted and comes to its end another day, when the store, the
//! question or the live tree have changed.

use std::fs;

use crate::harness::not_run;
use crate::rebuild::{lose, rebuild, rebuilt, vault_in};
use crate::servers::{BucketServer, Kind};

#[test]
fn another_instant_leaves_nothing_of_the_first_attempt_and_all_that_people_made() {
    if cfg!(not(debug_assertions)) {
        return not_run(
            "an interrupted rebuild",
            "a release build has no named points",
        );
    }
    let server = BucketServer::start(Kind::S3);
    let mut m = vault_in(&server).start();
    m.mkdir("d");
    m.write("d/gone", "was there");
    m.write("changed", "then");
    m.write("kept", "as ever");
    m.run("\"$KEEPFS\" wait .");
    let at = m.run("date -u +%Y-%m-%dT%H:%M:%S.%NZ");
    m.remove("d/gone");
    m.write("changed", "now");
    m.write("edited", "before");
    m.run("\"$KEEPFS\" wait .");
    lose(&mut m);
    let mut env = server.environment();
    env.push(("KEEPFS_CRASH_AT", "rebuild.filled"));
    let killed = rebuild(&m, &server.url("p"), &["--live", "--at", at.trim()], &env);
    assert!(killed.status.code().is_none(), "{killed:?}");
    let live = m.vault.join("live");
    assert_eq!(fs::read(live.join("d/gone")).unwrap(), b"was there");
    fs::write(live.join("mine"), "made meanwhile").unwrap();
    rebuilt(&m, &server, &["--live"]);
    assert!(!live.join("d").exists());
    assert_eq!(fs::read(live.join("mine")).unwrap(), b"made meanwhile");
    assert!(!m.vault.join("rebuild.written").exists());
    m.remount();
    m.run("\"$KEEPFS\" scan .");
    assert_eq!(m.list(""), ["changed", "edited", "kept", "mine"]);
    assert_eq!(m.texts("changed"), ["then", "now"]);
    assert_eq!(m.texts("kept"), ["as ever"]);
    assert_eq!(m.deleted(), ["d/gone".to_owned()].into());
}
