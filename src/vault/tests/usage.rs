//! How much space history takes.

use std::time::Duration;

use crate::catalog::{AgeSpace, SpaceRows, Standing};
use crate::model::PublicId;
use crate::vault::testing::{TestVault, id};
use crate::vault::{Age, Usage, VaultError};

const ASSETS: SpaceRows = SpaceRows::Assets { depth: 9 };

/// Bytes that do not compress.
fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes());
    let mut bytes = vec![0; len];
    hasher.finalize_xof().fill(&mut bytes);
    bytes
}

fn usage(vault: &TestVault, path: &str, rows: SpaceRows) -> Usage {
    vault.vault.usage(&id(path), rows).unwrap()
}

#[test]
fn equal_content_of_two_assets_is_stored_once_and_unique_to_neither() {
    let vault = TestVault::new();
    let shared = noise(1, 10_000);
    vault.write("d/a", &shared);
    vault.write("e/b", &shared);
    vault.write("e/b", &noise(2, 5_000));
    vault.ingest_all();
    let found = usage(&vault, "", SpaceRows::Directories { depth: 1 });
    let rows: Vec<_> = found
        .rows
        .iter()
        .map(|row| (row.path.clone(), row.space.versions, row.space.unique_bytes))
        .collect();
    assert_eq!(rows, [(id("d"), 1, 0), (id("e"), 2, 5_000)]);
    assert_eq!(found.rows[0].space.stored_bytes, 10_000);
    assert_eq!(found.rows[1].space.stored_bytes, 15_000);
    assert_eq!(found.total.logical_bytes, 25_000);
    assert_eq!(found.total.unique_bytes, 15_000);
    assert_eq!(found.total.stored_bytes, 15_000);
}

#[test]
fn what_was_just_closed_counts_before_it_is_stored() {
    let vault = TestVault::new();
    vault.write("a", b"one");
    let total = usage(&vault, "a", ASSETS).total;
    assert_eq!((total.versions, total.versions_sealed), (1, 1));
    assert_eq!((total.logical_bytes, total.stored_bytes), (3, 0));
    vault.ingest_all();
    let total = usage(&vault, "a", ASSETS).total;
    assert_eq!((total.versions, total.versions_sealed), (1, 0));
    assert!(total.stored_bytes > 0);
}

#[test]
fn a_deleted_file_keeps_its_row_and_a_path_may_be_file_and_directory() {
    let vault = TestVault::new();
    vault.write("x", b"as a file");
    vault.remove("x");
    vault.write("x/y", b"below");
    vault.ingest_all();
    let found = usage(&vault, "x", ASSETS);
    let rows: Vec<_> = found
        .rows
        .iter()
        .map(|row| (row.path.clone(), row.asset))
        .collect();
    assert_eq!(
        rows,
        [
            (id("x"), Some(Standing::Deleted)),
            (id("x/y"), Some(Standing::Live))
        ]
    );
    assert_eq!(found.total.assets, 2);
    assert!(found.rows[0].space.deleted_bytes > 0);
    assert_eq!(found.total.deleted_bytes, found.rows[0].space.deleted_bytes);
}

#[test]
fn ages_follow_the_clock_and_a_chunk_belongs_to_its_first_version() {
    let vault = TestVault::new();
    let day = Duration::from_secs(24 * 60 * 60);
    let kept = noise(7, 9_000);
    vault.write("a", &kept);
    vault.ingest_all();
    vault.clock.advance(400 * day);
    vault.write("b", &kept);
    vault.clock.advance(25 * day);
    vault.write("c", &noise(8, 1_000));
    vault.clock.advance(3 * day);
    vault.write("d", b"");
    vault.ingest_all();
    let ages = usage(&vault, "", ASSETS).ages;
    let age = |versions, logical_bytes, stored_bytes| AgeSpace {
        versions,
        logical_bytes,
        stored_bytes,
    };
    assert_eq!(
        ages,
        [
            (Age::Day, age(1, 0, 0)),
            (Age::Week, age(1, 1_000, 1_000)),
            (Age::Month, age(1, 9_000, 0)),
            (Age::Year, age(0, 0, 0)),
            (Age::Older, age(1, 9_000, 9_000)),
        ]
    );
}

#[test]
fn where_nothing_was_kept_it_says_so_and_an_empty_vault_has_a_total() {
    let vault = TestVault::new();
    let missing = vault.vault.usage(&id("missing"), ASSETS);
    assert!(
        matches!(missing, Err(VaultError::NotFound { .. })),
        "{missing:?}"
    );
    let nothing = vault.vault.usage(&PublicId::root(), ASSETS).unwrap();
    assert_eq!(nothing.rows, []);
    assert_eq!(nothing.total.versions, 0);
}
