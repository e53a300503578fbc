//! Waiting for the store: for what, how long, and what keeps it from being there.

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::testing::{TestVault, id};
use super::super::{DrainScope, UploadProgress, Vault, VaultError, Workers, lock};
use crate::catalog::Durability;
use crate::model::{Deadline, VersionSeq};
use crate::store::{AtBound, Tail};

/// Version `one` of `gone` cannot be read: its file went behind the mount's back, and the
/// scan that may find it under another name has not passed.
fn with_an_unreadable_version() -> (Arc<Vault>, tempfile::TempDir) {
    let vault = TestVault::new();
    vault.write("gone", b"one");
    vault.write("d/other", b"two!");
    vault.vault.begin_recovery().unwrap();
    fs::remove_file(vault.path("gone")).unwrap();
    (Arc::new(vault.vault), vault.directory)
}

fn drain(vault: &Vault, scope: &DrainScope) -> super::super::Result<()> {
    vault.drain(scope, Deadline::after(Duration::from_secs(60)), &mut |_| {})
}

#[test]
fn a_version_that_cannot_be_read_keeps_no_other_but_is_not_called_stored() {
    let (vault, directory) = with_an_unreadable_version();
    let workers = Workers::start(vault.clone()).unwrap();
    let error = drain(&vault, &DrainScope::Everything).unwrap_err();
    assert!(
        matches!(error, VaultError::Unreadable { versions: 1, .. }),
        "{error}"
    );
    let text = error.to_string();
    assert!(text.contains("gone: the file of version"), "{text}");
    assert_eq!(lock(&vault.ingest.queue).postponed.len(), 1);
    assert_eq!(vault.catalog().totals().unwrap().versions_sealed, 1);
    assert!(vault.status().unwrap().blocked.is_some());
    drop(workers);
    drop(directory);
}

#[test]
fn who_waits_for_a_directory_does_not_wait_for_what_is_elsewhere() {
    let (vault, directory) = with_an_unreadable_version();
    let workers = Workers::start(vault.clone()).unwrap();
    drain(&vault, &DrainScope::Below(id("d"))).unwrap();
    let version = vault.choose_version(&id("d/other"), None).unwrap().version;
    assert_eq!(
        vault.progress_of(&version).unwrap(),
        UploadProgress::Uploaded
    );
    let error = drain(&vault, &DrainScope::Below(id("gone"))).unwrap_err();
    assert!(matches!(error, VaultError::Unreadable { .. }), "{error}");
    let error = drain(&vault, &DrainScope::Below(id("no"))).unwrap_err();
    assert!(matches!(error, VaultError::NotFound { .. }), "{error}");
    drop(workers);
    drop(directory);
}

#[test]
fn a_wait_ends_at_its_deadline_though_nobody_works() {
    let vault = TestVault::new();
    vault.write("f", b"one");
    let since = Instant::now();
    let deadline = Deadline::after(Duration::from_millis(30));
    let error = vault
        .vault
        .drain(&DrainScope::Everything, deadline, &mut |_| {})
        .unwrap_err();
    assert!(
        matches!(error, VaultError::NotInTime { versions: 1 }),
        "{error}"
    );
    assert!(since.elapsed() < Duration::from_secs(20));
}

#[test]
fn a_version_is_sealed_then_stored_then_uploaded_and_the_last_put_outlives_a_crash() {
    let vault = TestVault::new();
    vault.write("f", b"one");
    let progress = |vault: &TestVault| {
        let version = vault.vault.choose_version(&id("f"), None).unwrap().version;
        vault.vault.progress_of(&version).unwrap()
    };
    assert_eq!(progress(&vault), UploadProgress::Sealed);
    vault.ingest_all();
    assert_eq!(progress(&vault), UploadProgress::Stored);
    assert_eq!(vault.vault.status().unwrap().last_success, None);
    vault.vault.store().flush().unwrap();
    vault.vault.commit(Durability::Power).unwrap();
    assert_eq!(progress(&vault), UploadProgress::Uploaded);
    let put = vault.vault.status().unwrap().last_success;
    assert!(put.is_some());
    let vault = vault.crash();
    assert_eq!(vault.vault.status().unwrap().last_success, put);
}

#[test]
fn a_pack_goes_at_its_age_though_more_is_always_on_the_way() {
    let TestVault {
        vault, directory, ..
    } = TestVault::with_settings(|config| {
        config.pack_age_max = Duration::from_millis(20);
    });
    let vault = Arc::new(vault);
    // As if somebody closed a file at every moment.
    lock(&vault.ingest.queue)
        .active
        .insert(VersionSeq(i64::MAX));
    let pack = vault
        .store()
        .write(&mut &b"important"[..], Tail::Whole, AtBound::Wait);
    let content = pack.unwrap().content;
    assert!(!vault.store().is_uploaded(content).unwrap());
    let workers = Workers::start(vault.clone()).unwrap();
    let deadline = Deadline::after(Duration::from_secs(60));
    while !vault.store().is_uploaded(content).unwrap() {
        assert!(!deadline.has_passed(), "the pack waits for a quiet moment");
        std::thread::yield_now();
    }
    lock(&vault.ingest.queue).active.clear();
    drop(workers);
    drop(directory);
}
