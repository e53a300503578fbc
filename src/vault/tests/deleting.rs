//! What a deletion leaves: history, a reserved name, or nothing.

use crate::catalog::sqlite::SqliteCatalog;
use crate::catalog::{Catalog, Child};
use crate::config::InitOptions;
use crate::model::{Override, ROOT};
use crate::store::{Gap, replay};

use super::super::VaultError;
use super::super::testing::{TestVault, id};

#[test]
fn a_deleted_asset_keeps_its_versions_and_reserves_its_name() {
    let vault = TestVault::new();
    vault.write("d/a", b"one");
    vault.write("d/a", b"two!");
    vault.remove("d/a");
    assert_eq!(vault.deleted(), ["d/a"]);
    assert_eq!(vault.versions("d/a"), ["one", "two!"]);
    assert_eq!(vault.live("d/a"), None);
    vault.ingest_all();
    assert_eq!(vault.versions("d/a"), ["one", "two!"]);
    vault.assert_sound();
}

#[test]
fn a_new_upload_to_a_reserved_name_continues_its_history() {
    let vault = TestVault::new();
    vault.write("a", b"one");
    vault.remove("a");
    vault.write("a", b"two!");
    assert_eq!(vault.deleted(), Vec::<String>::new());
    assert_eq!(vault.versions("a"), ["one", "two!"]);
}

#[test]
fn the_same_bytes_after_a_deletion_are_a_restore_and_a_version() {
    let vault = TestVault::new();
    let first = vault.write("a", b"one").unwrap();
    vault.remove("a");
    vault.write("a", b"one");
    vault.ingest_all();
    let versions = vault.vault.versions_of(&id("a")).unwrap();
    assert_eq!(versions.len(), 2);
    assert_eq!(versions[1].restored_from, Some(first));
}

#[test]
fn an_asset_that_never_held_a_byte_leaves_no_trace() {
    let vault = TestVault::new();
    vault.write("4913", b"");
    vault.remove("4913");
    assert_eq!(vault.deleted(), Vec::<String>::new());
    assert!(matches!(
        vault.vault.versions_of(&id("4913")),
        Err(VaultError::NotFound { .. })
    ));
    vault.assert_sound();
}

#[test]
fn an_asset_that_ended_empty_but_held_bytes_once_is_kept() {
    let vault = TestVault::new();
    vault.write("a", b"once");
    vault.write("a", b"");
    vault.remove("a");
    assert_eq!(vault.deleted(), ["a"]);
    assert_eq!(vault.versions("a"), ["once", ""]);
}

#[test]
fn what_was_never_backed_up_leaves_nothing_and_reserves_nothing() {
    let vault = TestVault::with(&InitOptions {
        backup: Some(Override::Off),
        ..InitOptions::default()
    });
    vault.write("a", b"one");
    vault.remove("a");
    assert_eq!(vault.deleted(), Vec::<String>::new());
    vault.write("b", b"two");
    vault.rename("b", "a").unwrap();
}

#[test]
fn deleting_one_of_two_hard_links_keeps_the_other_and_both_histories() {
    let vault = TestVault::new();
    vault.write("a", b"shared");
    vault.link("a", "b").unwrap();
    vault.remove("a");
    vault.write("b", b"changed later");
    assert_eq!(vault.versions("a"), ["shared"]);
    assert_eq!(vault.versions("b"), ["shared", "changed later"]);
    vault.ingest_all();
    vault.assert_sound();
}

#[test]
fn a_purged_name_is_free_and_its_bytes_are_gone_from_every_file_of_the_vault() {
    let vault = TestVault::new();
    let secret = b"the-secret-marker-0123456789";
    vault.write("secret", secret);
    vault.write("other", b"stays");
    vault.ingest_all();
    vault.vault.store().flush().unwrap();
    vault.remove("secret");
    let purged = vault.vault.purge(&id("secret")).unwrap();
    assert_eq!((purged.assets, purged.versions), (1, 1));
    assert_eq!(vault.deleted(), Vec::<String>::new());
    vault.write("b", b"moves in");
    vault.rename("b", "secret").unwrap();
    assert_eq!(vault.versions("other"), ["stays"]);
    vault.assert_sound();
    for place in ["store", "spool"] {
        for file in files_below(&vault.vault.config().vault_dir.join(place)) {
            let bytes = std::fs::read(&file).unwrap();
            let found = bytes.windows(secret.len()).any(|window| window == secret);
            assert!(!found, "{} still has the bytes", file.display());
        }
    }
}

#[test]
fn a_deletion_for_good_that_was_broken_off_is_finished_after_the_next_start() {
    let vault = TestVault::new();
    let secret = b"the-secret-marker-0123456789";
    vault.write("a", secret);
    vault.write("a", b"harmless");
    vault.ingest_all();
    vault.vault.store().flush().unwrap();
    let first = vault.vault.choose_version(&id("a"), None).unwrap();
    let versions = vault.vault.versions_of(&id("a")).unwrap();
    let removed = vault
        .vault
        .remove_versions("broken off", first.asset, &versions[..1]);
    assert_eq!(removed.unwrap().assets, 0);
    let vault = vault.crash();
    vault.vault.begin_recovery().unwrap();
    vault.vault.recover().unwrap();
    assert_eq!(vault.versions("a"), ["harmless"]);
    for file in files_below(&vault.vault.config().vault_dir.join("store")) {
        let bytes = std::fs::read(&file).unwrap();
        assert!(!bytes.windows(secret.len()).any(|window| window == secret));
    }
    vault.assert_sound();
}

#[test]
fn deleting_single_versions_for_good_leaves_the_others() {
    let vault = TestVault::new();
    let first = vault.write("a", b"first").unwrap();
    vault.write("a", b"second!");
    vault.ingest_all();
    let prefix = first.to_string().parse().unwrap();
    vault.vault.delete_versions(&id("a"), &[prefix]).unwrap();
    assert_eq!(vault.versions("a"), ["second!"]);
    assert!(
        vault
            .vault
            .choose_version(&id("a"), Some(&first.to_string().parse().unwrap()))
            .is_err()
    );
    vault.assert_sound();
}

#[test]
fn what_is_deleted_for_good_is_not_in_the_journal_of_the_store_either() {
    let vault = TestVault::new();
    vault.write("kept", b"stays");
    vault.write("secret", b"one");
    vault.ingest_all();
    let store = vault.vault.store();
    store.publish().unwrap();
    vault.write("secret", b"another");
    vault.ingest_all();
    vault.remove("secret");
    store.publish().unwrap();
    let config = vault.vault.config();
    let journal = config.vault_dir.join("store/catalog");
    assert_eq!(files_below(&journal).len(), 2, "a snapshot, and changes");
    vault.vault.purge(&id("secret")).unwrap();
    let objects = files_below(&journal);
    let [object] = &objects[..] else {
        panic!("{objects:?}");
    };
    assert!(object.extension().is_some_and(|kind| kind == "snapshot"));
    let path = vault.directory.path().join("rebuilt.db");
    replay(&config.store, None, Gap::Refuse, None, &path).unwrap();
    let mut rebuilt = SqliteCatalog::open(&path).unwrap();
    let mut names = rebuilt.children(ROOT, None, 10).unwrap();
    names.retain(|child| !matches!(child, Child::Asset { name, .. } if name.as_bytes() == b"kept"));
    assert_eq!(names, []);
    assert!(rebuilt.setting("purge.unfinished").unwrap().is_some());
}

#[test]
fn a_deletion_for_good_is_not_called_done_while_the_old_journal_cannot_be_removed() {
    let vault = TestVault::new();
    vault.write("secret", b"one");
    vault.ingest_all();
    vault.vault.store().publish().unwrap();
    let journal = vault.vault.config().vault_dir.join("store/catalog");
    let [snapshot] = &files_below(&journal)[..] else {
        panic!();
    };
    let away = vault.directory.path().join("away");
    std::fs::rename(snapshot, &away).unwrap();
    // What is no file cannot be removed as one.
    std::fs::create_dir(snapshot).unwrap();
    vault.vault.purge(&id("secret")).unwrap_err();
    std::fs::remove_dir(snapshot).unwrap();
    std::fs::rename(&away, snapshot).unwrap();
    vault.vault.finish_deletion().unwrap();
    assert!(!snapshot.exists());
    assert_eq!(files_below(&journal).len(), 1);
}

#[test]
fn a_version_that_went_since_it_was_chosen_to_be_deleted_for_good_is_passed_over() {
    let vault = TestVault::new();
    vault.write("a", b"first");
    vault.write("a", b"second!");
    vault.ingest_all();
    let chosen = vault.vault.choose_version(&id("a"), None).unwrap();
    let versions = vault.vault.versions_of(&id("a")).unwrap();
    let remove = |wanted| {
        let removed = vault.vault.remove_versions("one", chosen.asset, wanted);
        removed.unwrap()
    };
    assert_eq!(remove(&versions[..1]).versions, [versions[0].seq]);
    // Chosen before, by somebody who was slower.
    let rest = remove(&versions);
    assert_eq!(
        (rest.assets, &rest.versions[..]),
        (1, &[versions[1].seq][..])
    );
    let nothing = remove(&versions);
    assert_eq!((nothing.assets, nothing.versions.len()), (0, 0));
    let audited = std::fs::read_to_string(vault.vault.config().vault_dir.join("audit.log"));
    let audited = audited.unwrap();
    assert_eq!(audited.lines().count(), 2, "{audited}");
    for version in &versions {
        assert_eq!(
            audited.matches(&version.id.to_string()).count(),
            1,
            "{audited}"
        );
    }
}

pub(super) fn files_below(directory: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        match entry.file_type().unwrap().is_dir() {
            true => files.extend(files_below(&entry.path())),
            false => files.push(entry.path()),
        }
    }
    files
}
