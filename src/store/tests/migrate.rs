//! Moving a store: everything is there afterwards, checked; until the switch nothing has
//! changed, and what was interrupted goes on.

use std::cell::Cell;
use std::fs;
use std::io;
use std::ops::ControlFlow;
use std::path::PathBuf;

use super::Bench;
use crate::catalog::Catalog;
use crate::model::{StorePlace, VersionSeq};
use crate::store::testing::noise;
use crate::store::{CheckDepth, Copied, Migrated, StoreError};

const PACK_BYTES: u64 = 64 << 10;

/// Packs of one content each, so that each pack has a content of its own.
fn bench_with(contents: u64) -> Bench {
    let bench = Bench::with_pack_bytes(PACK_BYTES);
    for seed in 0..contents {
        bench.write(&content(seed));
    }
    bench.store().flush().unwrap();
    bench
}

fn content(seed: u64) -> Vec<u8> {
    noise(PACK_BYTES as usize + seed as usize, seed)
}

fn place(bench: &Bench, name: &str) -> StorePlace {
    StorePlace::Directory(bench.directory.path().join(name))
}

/// Moves to `name` with nothing in the way.
fn migrate(bench: &Bench, name: &str) -> crate::store::Result<Migrated> {
    let watch = &mut |_, _| ControlFlow::Continue(());
    bench
        .store()
        .migrate(&place(bench, name), &|| Ok(()), watch)
}

fn moved(outcome: crate::store::Result<Migrated>) -> Copied {
    match outcome.unwrap() {
        Migrated::Moved(copied) => copied,
        damaged => panic!("{damaged:?}"),
    }
}

/// Every file of a store with its bytes.
fn snapshot(bench: &Bench, store: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let files = bench.files(store).into_iter();
    files
        .map(|file| (file.clone(), fs::read(&file).unwrap()))
        .collect()
}

/// The packs of a store, by name.
fn packs(bench: &Bench, store: &str) -> Vec<String> {
    let files = bench.files(store).into_iter();
    let mut names: Vec<_> = files
        .map(|file| file.file_name().unwrap().to_str().unwrap().to_owned())
        .filter(|name| name.ends_with(".pack"))
        .collect();
    names.sort();
    names
}

#[test]
fn everything_is_at_the_new_place_and_the_old_store_is_as_it_was() {
    let mut bench = bench_with(5);
    let before = snapshot(&bench, "store");
    let reader = bench.store().reader(crate::model::ContentId(1)).unwrap();
    let copied = moved(migrate(&bench, "new"));
    assert_eq!((copied.packs, copied.copied_packs), (5, 5));
    assert_eq!(bench.store().place(), place(&bench, "new"));
    assert_eq!(bench.store().migration().unwrap(), None);
    let mut bytes = vec![0; PACK_BYTES as usize];
    reader.read_at(0, &mut bytes).unwrap();
    assert_eq!(bytes, content(0));

    // From now on the old one is nobody's.
    let later = bench.write(&content(9));
    bench.store().flush().unwrap();
    assert_eq!(snapshot(&bench, "store"), before);
    assert_eq!(packs(&bench, "new").len(), 6);
    fs::remove_dir_all(bench.directory.path().join("store")).unwrap();
    bench.config.place = place(&bench, "new");
    bench.reopen();
    assert_eq!(bench.read(later).unwrap(), content(9));
    assert_eq!(bench.damages(CheckDepth::ReadData), []);
}

#[test]
fn packs_that_come_while_it_runs_are_taken_along() {
    let bench = bench_with(8);
    let written = Cell::new(0);
    let watch = &mut |_, _| {
        if written.get() < 6 {
            written.set(written.get() + 1);
            bench.write(&content(100 + written.get()));
            bench.store().flush().unwrap();
        }
        ControlFlow::Continue(())
    };
    // Between the last copy and the switch nothing can come.
    let at_the_switch = Cell::new(0);
    let switch = || {
        bench.write(&content(200));
        at_the_switch.set(packs(&bench, "store").len());
        Ok(())
    };
    moved(bench.store().migrate(&place(&bench, "new"), &switch, watch));
    assert_eq!(packs(&bench, "store").len(), at_the_switch.get());
    bench.store().flush().unwrap();
    assert_eq!(packs(&bench, "new").len(), 8 + 6 + 1);
    assert_eq!(bench.damages(CheckDepth::ReadData), []);
}

#[test]
fn what_was_copied_before_it_was_stopped_is_not_copied_again() {
    let mut bench = bench_with(12);
    let stop = &mut |bytes, _| match bytes {
        0 => ControlFlow::Continue(()),
        _ => ControlFlow::Break(()),
    };
    let stopped = bench
        .store()
        .migrate(&place(&bench, "new"), &|| Ok(()), stop);
    assert!(matches!(stopped, Err(StoreError::MigrationStopped)));
    let there = packs(&bench, "new").len();
    assert!((1..12).contains(&there), "{there} packs were copied");
    assert_eq!(bench.store().place(), place(&bench, "store"));
    let unfinished = bench.store().migration().unwrap().unwrap();
    assert_eq!(unfinished.copied, None);
    // One that was cut short there, and a put that was killed.
    let copy = bench
        .files("new")
        .into_iter()
        .find(|file| is_pack(file))
        .unwrap();
    fs::set_permissions(&copy, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let file = fs::File::options().write(true).open(&copy).unwrap();
    file.set_len(100).unwrap();
    fs::write(copy.with_extension("pack#1"), b"half").unwrap();
    bench.reopen();
    let copied = moved(migrate(&bench, "new"));
    assert_eq!(copied.copied_packs as usize, 12 - there + 1);
    assert_eq!(packs(&bench, "new"), packs(&bench, "store"));
    assert_eq!(bench.damages(CheckDepth::ReadData), []);
}

#[test]
fn a_copy_of_an_earlier_run_that_reads_back_damaged_is_copied_again() {
    let bench = bench_with(6);
    let stop = &mut |bytes, _| match bytes {
        0 => ControlFlow::Continue(()),
        _ => ControlFlow::Break(()),
    };
    let new = place(&bench, "new");
    let stopped = bench.store().migrate(&new, &|| Ok(()), stop);
    assert!(matches!(stopped, Err(StoreError::MigrationStopped)));
    let there = packs(&bench, "new").len();
    let copy = bench.files("new").into_iter().find(|file| is_pack(file));
    let copy = copy.unwrap();
    let mut bytes = fs::read(&copy).unwrap();
    bytes[1000] ^= 1;
    fs::remove_file(&copy).unwrap();
    fs::write(&copy, bytes).unwrap();
    let copied = moved(migrate(&bench, "new"));
    assert_eq!(copied.copied_packs as usize, 6 - there + 1);
    assert_eq!(packs(&bench, "new"), packs(&bench, "store"));
    assert_eq!(bench.damages(CheckDepth::ReadData), []);
}

fn is_pack(file: &std::path::Path) -> bool {
    file.extension()
        .is_some_and(|extension| extension == "pack")
}

#[test]
fn a_damaged_pack_is_named_and_keeps_the_store_where_it_is_until_it_is_whole() {
    let bench = bench_with(4);
    let file = bench.files("store")[2].clone();
    let whole = fs::read(&file).unwrap();
    let mut damaged = whole.clone();
    damaged[1000] ^= 1;
    let overwrite = |bytes: &[u8]| {
        fs::remove_file(&file).unwrap();
        fs::write(&file, bytes).unwrap();
    };
    overwrite(&damaged);
    let Migrated::Damaged(damages) = migrate(&bench, "new").unwrap() else {
        panic!("it was moved");
    };
    assert_eq!(damages.len(), 1);
    let id = file.file_stem().unwrap().to_str().unwrap();
    assert_eq!(damages[0].pack.to_string(), id);
    assert_eq!(damages[0].versions.len(), 1);
    assert_eq!(bench.store().place(), place(&bench, "store"));
    // The others are there: only the damaged one is left.
    assert_eq!(packs(&bench, "new").len(), 3);
    overwrite(&whole);
    assert_eq!(moved(migrate(&bench, "new")).copied_packs, 1);
    assert_eq!(bench.damages(CheckDepth::ReadData), []);
}

#[test]
fn a_missing_pack_is_damage_and_one_that_nobody_needs_any_more_is_none() {
    let bench = bench_with(3);
    let file = bench.files("store")[0].clone();
    let bytes = fs::read(&file).unwrap();
    fs::remove_file(&file).unwrap();
    let Migrated::Damaged(damages) = migrate(&bench, "new").unwrap() else {
        panic!("it was moved");
    };
    assert_eq!(damages[0].detail, "missing from the store");
    fs::write(&file, bytes).unwrap();
    remove_version(&bench, 1);
    bench.store().reclaim().unwrap();
    assert_eq!(moved(migrate(&bench, "new")).packs, 2);
    assert_eq!(bench.damages(CheckDepth::ReadData), []);
}

fn remove_version(bench: &Bench, number: i64) {
    let shared = bench.facts.shared();
    shared
        .lock()
        .unwrap()
        .remove_version(VersionSeq(number))
        .unwrap();
}

#[test]
fn what_is_purged_while_it_runs_is_not_at_the_new_place() {
    let bench = Bench::with_pack_bytes(4 * PACK_BYTES);
    for seed in 0..24 {
        bench.write(&content(seed));
    }
    bench.store().flush().unwrap();
    let needle = &bench.trace_of(&content(5))[..];
    let was_copied = Cell::new(false);
    let watch = &mut |bytes, bytes_total| {
        if bytes == bytes_total && bytes > 0 && !was_copied.get() {
            was_copied.set(bench.files("new").iter().any(|file| {
                let bytes = fs::read(file).unwrap();
                bytes.windows(needle.len()).any(|window| window == needle)
            }));
            remove_version(&bench, 6);
            bench.store().reclaim().unwrap();
        }
        ControlFlow::Continue(())
    };
    moved(
        bench
            .store()
            .migrate(&place(&bench, "new"), &|| Ok(()), watch),
    );
    assert!(was_copied.get(), "the test purged too early");
    for file in bench.files("new") {
        let bytes = fs::read(file).unwrap();
        assert!(!bytes.windows(needle.len()).any(|window| window == needle));
    }
    assert_eq!(bench.damages(CheckDepth::ReadData), []);
}

#[test]
fn a_place_that_holds_something_else_is_refused_and_left_alone() {
    let bench = bench_with(1);
    let new = bench.directory.path().join("new");
    fs::create_dir(&new).unwrap();
    fs::create_dir(new.join("lost+found")).unwrap();
    fs::write(new.join("photo.jpg"), "mine").unwrap();
    let error = migrate(&bench, "new").unwrap_err();
    assert!(matches!(&error, StoreError::NotEmpty { found, .. } if found == "photo.jpg"));
    assert_eq!(bench.files("new"), [new.join("photo.jpg")]);
    fs::remove_file(new.join("photo.jpg")).unwrap();
    moved(migrate(&bench, "new"));
    // The old store is no empty place either.
    let error = migrate(&bench, "store").unwrap_err();
    assert!(matches!(error, StoreError::NotEmpty { .. }), "{error}");
}

#[test]
fn another_vaults_unfinished_copy_is_refused() {
    let one = bench_with(8);
    let stop = &mut |_, _| ControlFlow::Break(());
    let stopped = one.store().migrate(&place(&one, "new"), &|| Ok(()), stop);
    assert!(stopped.is_err());
    let other = bench_with(1);
    let mut facts = other.facts.clone();
    facts
        .set_setting("vault_id", Some("drawn otherwise"))
        .unwrap();
    let watch = &mut |_, _| ControlFlow::Continue(());
    let refused = other
        .store()
        .migrate(&place(&one, "new"), &|| Ok(()), watch);
    assert!(
        matches!(refused, Err(StoreError::OtherVault { .. })),
        "{refused:?}"
    );
}

#[test]
fn only_one_runs_at_a_time_and_none_while_the_store_is_closed() {
    let bench = bench_with(2);
    let watch = &mut |_, _| {
        let runs = bench.store().migration().unwrap().unwrap();
        assert!(runs.copied.is_some(), "{runs:?}");
        let second = migrate(&bench, "second");
        assert!(matches!(second, Err(StoreError::MigrationRuns { .. })));
        ControlFlow::Continue(())
    };
    moved(
        bench
            .store()
            .migrate(&place(&bench, "new"), &|| Ok(()), watch),
    );
    bench.store().stop_migrations();
    assert!(matches!(
        migrate(&bench, "third"),
        Err(StoreError::MigrationStopped)
    ));
}

#[test]
fn when_the_switch_fails_the_old_store_is_used_on_and_puts_go_on() {
    let mut bench = bench_with(2);
    let watch = &mut |_, _| ControlFlow::Continue(());
    let refuse = || Err(io::Error::other("read-only"));
    let error = bench.store().migrate(&place(&bench, "new"), &refuse, watch);
    assert!(error.is_err_and(|error| error.to_string().contains("read-only")));
    assert_eq!(bench.store().place(), place(&bench, "store"));
    let later = bench.write(&content(7));
    bench.store().flush().unwrap();
    assert_eq!(bench.read(later).unwrap(), content(7));
    assert_eq!(packs(&bench, "store").len(), 3);
    // Who writes the new place into the settings by hand does not lose what came later.
    bench.close();
    bench.config.place = place(&bench, "new");
    let opened = crate::store::Store::open(
        &bench.config,
        bench.facts.shared(),
        std::sync::Arc::new(crate::model::SystemClock),
    );
    assert!(opened.is_err_and(|error| error.to_string().contains("did not finish")));
    bench.config.place = place(&bench, "store");
    bench.reopen();
    assert_eq!(moved(migrate(&bench, "new")).copied_packs, 1);
    assert_eq!(bench.read(later).unwrap(), content(7));
}

#[test]
fn a_kill_after_the_switch_is_tidied_up_and_one_before_leaves_a_copy_that_is_no_store() {
    let mut bench = bench_with(8);
    let stop = &mut |bytes, _| match bytes {
        0 => ControlFlow::Continue(()),
        _ => ControlFlow::Break(()),
    };
    let _ = bench
        .store()
        .migrate(&place(&bench, "new"), &|| Ok(()), stop);
    bench.close();
    bench.config.place = place(&bench, "new");
    let opened = crate::store::Store::open(
        &bench.config,
        bench.facts.shared(),
        std::sync::Arc::new(crate::model::SystemClock),
    );
    assert!(opened.is_err_and(|error| error.to_string().contains("did not finish")));

    bench.config.place = place(&bench, "store");
    bench.reopen();
    let mark = bench.directory.path().join("new/migration.json");
    let marked = fs::read(&mark).unwrap();
    moved(migrate(&bench, "new"));
    bench.close();
    // As it was a moment after the switch.
    fs::write(&mark, marked).unwrap();
    let copied = format!("{} copied", place(&bench, "new"));
    let shared = bench.facts.shared();
    let set = |value| {
        shared
            .lock()
            .unwrap()
            .set_setting("store.migration", value)
            .unwrap()
    };
    set(Some(&*copied));
    bench.config.place = place(&bench, "new");
    bench.reopen();
    assert!(!mark.exists());
    assert_eq!(bench.store().migration().unwrap(), None);
    assert_eq!(bench.damages(CheckDepth::ReadData), []);
}
