//! One writer at a time: who gets the lease, who loses it, and what he may do then.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use futures_util::FutureExt;
use object_store::ObjectStoreExt;

use crate::catalog::Catalog;
use crate::model::{ManualClock, StorePlace, VersionSeq, WriteClaim};
use crate::store::backend::object_path;
use crate::store::testing::{Answered, Asked, Bench, Facts, noise};
use crate::store::{AtBound, CheckDepth, Result, Store, StoreConfig, StoreError, Tail};

/// Another directory of the same vault: a copy without its catalog, or one that was rebuilt.
struct Other {
    directory: tempfile::TempDir,
    facts: Facts,
    config: StoreConfig,
}

impl Other {
    fn beside(bench: &Bench) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut facts = Facts::default();
        let id = bench.facts.clone().setting("vault_id").unwrap();
        facts.set_setting("vault_id", id.as_deref()).unwrap();
        Self {
            config: StoreConfig {
                vault_dir: directory.path().into(),
                spool_dir: directory.path().join("spool"),
                ..bench.config.clone()
            },
            directory,
            facts,
        }
    }

    fn open(&self, write_claim: WriteClaim) -> Result<Store> {
        let config = StoreConfig {
            write_claim,
            ..self.config.clone()
        };
        // Its own draws, or both were the same vault.
        let clock = ManualClock::at_seconds(1_700_000_100);
        crate::model::Clock::random(&clock);
        Store::open(&config, self.facts.shared(), Arc::new(clock))
    }
}

fn lease_file(bench: &Bench) -> PathBuf {
    match &bench.config.place {
        StorePlace::Directory(root) => root.join("lease.json"),
        StorePlace::Bucket(_) => unreachable!("benches use directories"),
    }
}

fn lease(bench: &Bench) -> serde_json::Value {
    serde_json::from_slice(&fs::read(lease_file(bench)).unwrap()).unwrap()
}

fn is_fenced<T: std::fmt::Debug>(result: Result<T>) -> bool {
    matches!(result.unwrap_err(), StoreError::Fenced(_))
}

#[test]
fn the_first_to_open_a_store_gets_number_one_and_keeps_it() {
    let mut bench = Bench::new();
    let first = lease(&bench);
    assert_eq!((&first["format"], &first["fence"]), (&1.into(), &1.into()));
    assert_eq!(first["since"], "2023-11-14T22:13:20Z");
    assert_eq!(first["holder"].as_str().unwrap().len(), 64);
    bench.reopen();
    bench.facts.lose_uncommitted();
    bench.reopen();
    assert_eq!(lease(&bench), first);
    let fence = bench.facts.clone().setting("local.store_fence").unwrap();
    assert_eq!(fence.as_deref(), Some("1"));
}

#[test]
fn another_vault_is_refused_with_the_name_of_the_writer_and_the_way_out() {
    let bench = Bench::new();
    let before = lease(&bench);
    let other = Other::beside(&bench);
    let error = other.open(WriteClaim::Keep).unwrap_err();
    assert!(matches!(error, StoreError::LeaseHeld(_)), "{error}");
    let said = error.to_string();
    for words in [
        before["host"].as_str().unwrap(),
        "since 2023-11-14T22:13:20Z (fence 1)",
        "`keepfs mount --take-over`",
        "rebuild from the store first",
    ] {
        assert!(said.contains(words), "{said}");
    }
    assert!(!said.contains('\n'));
    assert_eq!(lease(&bench), before);
}

#[test]
fn a_directory_belongs_to_one_vault_whatever_it_claims() {
    let bench = Bench::new();
    let mut stranger = Other::beside(&bench);
    stranger.facts = Facts::default();
    let before = lease(&bench);
    for claim in [WriteClaim::Keep, WriteClaim::TakeOver, WriteClaim::ReadOnly] {
        let error = stranger.open(claim).unwrap_err();
        assert!(matches!(error, StoreError::Namesake { .. }), "{error}");
    }
    assert_eq!(lease(&bench), before);
}

#[test]
fn a_directory_from_before_there_was_a_name_in_it_gets_one_from_who_may_write() {
    let mut bench = Bench::new();
    let name = lease_file(&bench).with_file_name("vault.json");
    let before = fs::read(&name).unwrap();
    bench.close();
    fs::remove_file(&name).unwrap();
    let copy = Other::beside(&bench);
    drop(copy.open(WriteClaim::ReadOnly).unwrap());
    assert!(!name.exists(), "to look changes nothing");
    bench.reopen();
    assert_eq!(fs::read(&name).unwrap(), before);
}

#[test]
fn a_copy_of_a_vault_directory_is_another_vault() {
    let bench = Bench::new();
    let mut copy = Other::beside(&bench);
    copy.facts = bench.facts.clone();
    let error = copy.open(WriteClaim::Keep).unwrap_err();
    assert!(matches!(error, StoreError::LeaseHeld(_)), "{error}");
    assert!(copy.directory.path().is_dir());
}

#[test]
fn who_was_taken_over_puts_and_deletes_nothing_more_and_can_still_read() {
    let bench = Bench::new();
    let stored = bench.write(&noise(300_000, 1));
    let doomed = bench.write(&noise(5_000, 2));
    bench.store().flush().unwrap();
    let packs = bench.files("store");
    let other = Other::beside(&bench);
    let theirs = other.open(WriteClaim::TakeOver).unwrap();
    assert_eq!(lease(&bench)["fence"], 2);
    assert!(theirs.taken_over().is_none());
    // Nobody told the first one; deleting makes it ask.
    bench
        .facts
        .clone()
        .remove_version(VersionSeq(doomed.0))
        .unwrap();
    assert!(bench.store().taken_over().is_none());
    assert!(is_fenced(bench.store().reclaim()));
    let said = bench.store().taken_over().unwrap().to_string();
    assert!(said.contains("took the store over"), "{said}");
    let waiting = bench.write(&noise(200_000, 3));
    assert!(is_fenced(bench.store().flush()));
    assert_eq!(bench.files("store"), packs);
    assert_eq!(bench.read(waiting).unwrap(), noise(200_000, 3));
    assert_eq!(bench.read(stored).unwrap(), noise(300_000, 1));
    assert!(bench.store().unstored().packs > 0);
    // The new one writes on.
    theirs
        .write(&mut &*noise(100_000, 4), Tail::Whole, AtBound::Wait)
        .unwrap();
    theirs.flush().unwrap();
    assert_eq!(bench.files("store").len(), packs.len() + 1);
}

#[test]
fn who_is_taken_over_while_it_rewrites_deletes_nothing() {
    let bench = Bench::in_a_bucket();
    let objects = bench.objects.clone().unwrap();
    let object = |key: &str| objects.get(&key.into()).now_or_never().unwrap();
    let doomed = bench.write(&noise(300_000, 1));
    let kept = bench.write(&noise(300_000, 2));
    bench.store().flush().unwrap();
    let before = bench.facts.all_packs();
    bench
        .facts
        .clone()
        .remove_version(VersionSeq(doomed.0))
        .unwrap();
    let taken = r#"{"format":1,"fence":2,"holder":"another","host":"attic","since":"now"}"#;
    let theirs = objects.clone();
    bench.faults.judge_by(move |asked, key| {
        // The pack that is to take the place of the old one.
        if asked == Asked::Put && key.starts_with("packs/") {
            let lease = "lease.json".into();
            let put = theirs.put(&lease, taken.into()).now_or_never();
            put.unwrap().unwrap();
        }
        Answered::Well
    });
    assert!(is_fenced(bench.store().reclaim()));
    for pack in &before {
        object(object_path(pack.id).as_ref()).unwrap();
    }
    assert_eq!(bench.read(kept).unwrap(), noise(300_000, 2));
}

#[test]
fn what_waited_goes_to_the_store_when_the_lease_is_taken_back() {
    let mut bench = Bench::new();
    let other = Other::beside(&bench);
    drop(other.open(WriteClaim::TakeOver).unwrap());
    let content = bench.write(&noise(100_000, 1));
    assert!(is_fenced(
        bench
            .store()
            .shared
            .lease
            .require(&bench.store().shared.backend())
    ));
    assert!(is_fenced(bench.store().flush()));
    bench.close();
    bench.config.write_claim = WriteClaim::TakeOver;
    bench.reopen().flush().unwrap();
    assert_eq!(lease(&bench)["fence"], 3);
    assert_eq!(bench.files("store").len(), 1);
    assert_eq!(bench.read(content).unwrap(), noise(100_000, 1));
    // Taking over what is one's own changes nothing.
    bench.reopen();
    assert_eq!(lease(&bench)["fence"], 3);
}

#[test]
fn to_look_at_a_store_takes_no_lease_and_changes_nothing() {
    let bench = Bench::new();
    let content = bench.write(&noise(300_000, 1));
    bench.store().flush().unwrap();
    let before = lease(&bench);
    let mut copy = Other::beside(&bench);
    copy.facts = bench.facts.clone();
    let store = copy.open(WriteClaim::ReadOnly).unwrap();
    let found = store.check(CheckDepth::ReadData, &mut |_, _| {}).unwrap();
    assert_eq!((found.damages, found.orphans), (vec![], vec![]));
    let mut bytes = vec![0; 300_000];
    store
        .reader(content)
        .unwrap()
        .read_at(0, &mut bytes)
        .unwrap();
    assert_eq!(bytes, noise(300_000, 1));
    assert!(store.taken_over().is_some());
    assert_eq!(lease(&bench), before);

    fs::remove_file(lease_file(&bench)).unwrap();
    drop(copy.open(WriteClaim::ReadOnly).unwrap());
    assert!(!lease_file(&bench).exists());
}

#[test]
fn a_lease_that_vanished_is_taken_with_a_number_that_nobody_had() {
    let mut bench = Bench::new();
    fs::remove_file(lease_file(&bench)).unwrap();
    let shared = &bench.store().shared;
    assert_eq!(shared.lease.require(&shared.backend()).unwrap().0, 2);
    // Of a number that this vault never heard of, its catalog is left.
    let root = lease_file(&bench).parent().unwrap().to_owned();
    fs::create_dir_all(root.join("catalog/0007")).unwrap();
    fs::write(root.join("catalog/0007/x"), "").unwrap();
    fs::remove_file(lease_file(&bench)).unwrap();
    bench.reopen();
    assert_eq!(lease(&bench)["fence"], 8);
}

#[test]
fn a_lease_that_is_none_is_one_line_with_the_way_out() {
    let mut bench = Bench::new();
    bench.close();
    for (text, words) in [
        ("", "lease.json is not what keepfs wrote"),
        ("{\"format\":1,\"fence\":-3}", "not what keepfs wrote"),
        ("[1]", "not what keepfs wrote"),
        (
            "{\"format\":2,\"other\":1}",
            "newer keepfs (format 2; this one knows 1)",
        ),
        (
            "{\"format\":1,\"fence\":18446744073709551615,\"holder\":\"\",\"host\":\"\",\"since\":\"\"}",
            "not what keepfs wrote",
        ),
    ] {
        fs::write(lease_file(&bench), text).unwrap();
        let other = Other::beside(&bench);
        let error = other.open(WriteClaim::TakeOver).unwrap_err().to_string();
        assert!(error.contains(words) && !error.contains('\n'), "{error}");
        assert_eq!(fs::read_to_string(lease_file(&bench)).unwrap(), text);
    }
}

#[test]
fn what_others_wrote_into_a_lease_cannot_break_a_line() {
    let bench = Bench::new();
    let mut text = lease(&bench);
    text["host"] = format!("evil\n\u{1b}[31m{}", "x".repeat(1000)).into();
    text["holder"] = "somebody".into();
    fs::write(lease_file(&bench), text.to_string()).unwrap();
    let error = Other::beside(&bench).open(WriteClaim::Keep).unwrap_err();
    let said = error.to_string();
    assert!(
        !said.contains(char::is_control) && said.len() < 700,
        "{said}"
    );
}

#[test]
fn to_look_at_a_vault_with_packs_in_its_spool_puts_none_and_takes_no_lease() {
    let mut bench = Bench::with_pack_bytes(64 << 10);
    let (store, away) = (
        bench.directory.path().join("store"),
        bench.directory.path().join("away"),
    );
    fs::rename(&store, &away).unwrap();
    let contents: Vec<_> = (0..3)
        .map(|seed| bench.write(&noise(70_000, seed)))
        .collect();
    bench.close();
    fs::rename(&away, &store).unwrap();
    bench.config.write_claim = WriteClaim::ReadOnly;
    for has_lease in [true, false] {
        if !has_lease {
            fs::remove_file(lease_file(&bench)).unwrap();
        }
        bench.reopen();
        let refused = bench.store().flush().unwrap_err();
        assert!(matches!(refused, StoreError::LookedAt), "{refused}");
        assert!(bench.store().repair_records().is_err());
        assert_eq!(bench.files("store"), Vec::<PathBuf>::new());
        assert_eq!(lease_file(&bench).exists(), has_lease);
        assert_eq!(bench.read(contents[2]).unwrap(), noise(70_000, 2));
    }
    bench.config.write_claim = WriteClaim::Keep;
    bench.reopen().flush().unwrap();
    assert!(bench.files("store").len() >= 3);
}
