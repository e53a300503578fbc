//! Bringing content back.

use crate::model::{Origin, VersionIdPrefix};

use super::super::testing::{TestVault, id};
use super::super::{Clobber, Restore, VaultError};

fn request(path: &str) -> Restore {
    Restore {
        id: id(path),
        version: None,
        to: None,
        clobber: Clobber::Refuse,
    }
}

fn prefix(text: &str) -> VersionIdPrefix {
    text.parse().unwrap()
}

#[test]
fn an_undeleted_asset_is_back_at_its_place_with_its_history() {
    let vault = TestVault::new();
    let last = vault.write("d/a", b"one").unwrap();
    vault.remove("d/a");
    std::fs::remove_dir(vault.path("d")).unwrap();
    vault.vault.undelete(&id("d/a")).unwrap();
    assert_eq!(vault.live("d/a").unwrap(), "one");
    assert_eq!(vault.deleted(), Vec::<String>::new());
    let versions = vault.vault.versions_of(&id("d/a")).unwrap();
    assert_eq!(versions.len(), 2);
    assert_eq!(versions[1].origin, Origin::Restore);
    assert_eq!(versions[1].restored_from, Some(last));
    assert!(matches!(
        vault.vault.undelete(&id("d/a")),
        Err(VaultError::NotFound { .. })
    ));
    vault.assert_sound();
}

#[test]
fn a_restore_never_clobbers_unless_told_and_then_keeps_what_was_there() {
    let vault = TestVault::new();
    let first = vault.write("a", b"one").unwrap();
    vault.write("a", b"two!");
    let mut restore = request("a");
    restore.version = Some(prefix(&first.to_string()));
    assert!(matches!(
        vault.vault.restore(&restore),
        Err(VaultError::AlreadyExists { .. })
    ));
    restore.clobber = Clobber::Overwrite;
    let done = vault.vault.restore(&restore).unwrap();
    assert_eq!(done.from, first);
    assert_eq!(vault.live("a").unwrap(), "one");
    assert_eq!(vault.versions("a"), ["one", "two!", "one"]);
    vault.assert_sound();
}

#[test]
fn a_restore_to_another_place_starts_a_history_there() {
    let vault = TestVault::new();
    vault.write("a", b"one");
    vault.remove("a");
    let mut restore = request("a");
    restore.to = Some(id("new/place"));
    vault.vault.restore(&restore).unwrap();
    assert_eq!(vault.live("new/place").unwrap(), "one");
    assert_eq!(vault.versions("new/place"), ["one"]);
    assert_eq!(vault.deleted(), ["a"]);
}

#[test]
fn a_rehearsal_changes_nothing() {
    let vault = TestVault::new();
    vault.write("a", b"one");
    vault.remove("a");
    let planned = vault.vault.rehearse_restore(&request("a")).unwrap();
    assert_eq!(planned.version, None);
    assert_eq!(planned.size, 3);
    assert_eq!(vault.live("a"), None);
    assert_eq!(vault.deleted(), ["a"]);
}

#[test]
fn unknown_and_ambiguous_version_ids_are_told_apart() {
    let vault = TestVault::new();
    let first = vault.write("a", b"one").unwrap().to_string();
    let second = vault.write("a", b"two!").unwrap().to_string();
    let common: String = first
        .chars()
        .zip(second.chars())
        .take_while(|(a, b)| a == b)
        .map(|(a, _)| a)
        .collect();
    assert!(
        common.len() >= 4,
        "ids of one moment share their first digits"
    );
    assert!(matches!(
        vault.vault.choose_version(&id("a"), Some(&prefix(&common))),
        Err(VaultError::AmbiguousVersion { count: 2, .. })
    ));
    assert!(matches!(
        vault
            .vault
            .choose_version(&id("a"), Some(&prefix("ffffffff"))),
        Err(VaultError::NotFound { .. })
    ));
    let chosen = vault
        .vault
        .choose_version(&id("a"), Some(&prefix(&second[..31])))
        .unwrap();
    assert_eq!(chosen.version.id.to_string(), second);
}

#[test]
fn mode_and_time_come_back_with_the_content() {
    use std::os::unix::fs::PermissionsExt;
    let vault = TestVault::new();
    vault.write("a", b"one");
    let path = vault.path("a");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    vault.append("a", b" more");
    let before = std::fs::metadata(&path).unwrap();
    vault.remove("a");
    vault.vault.undelete(&id("a")).unwrap();
    let after = std::fs::metadata(&path).unwrap();
    assert_eq!(after.permissions().mode(), before.permissions().mode());
    assert_eq!(after.modified().unwrap(), before.modified().unwrap());
}
