//! A catalog that was made out of the journal meets the packs that are there.

use std::fs;
use std::path::PathBuf;

use super::journal::Journaled;
use crate::catalog::{Catalog, PackState};
use crate::store::testing::noise;
use crate::store::{AtBound, Gap, Reconciled, Tail, reconcile};

/// A pack that grows when the journal is written, and is put afterwards.
fn put_after_the_journal() -> (Journaled, PathBuf) {
    let vault = Journaled::new();
    let source = noise(100_000, 1);
    vault
        .store
        .write(&mut &source[..], Tail::Whole, AtBound::Wait)
        .unwrap();
    vault.publish();
    vault.store.flush().unwrap();
    let packs = vault.directory.path().join("store/packs");
    let fan = fs::read_dir(packs).unwrap().next().unwrap().unwrap().path();
    let pack = fs::read_dir(fan).unwrap().next().unwrap().unwrap().path();
    (vault, pack)
}

fn reconciled(vault: &Journaled) -> (Reconciled, Vec<PackState>) {
    let (_, mut catalog) = vault.replayed(Gap::Refuse).unwrap();
    let reconciled = reconcile(&vault.config.place, &mut catalog).unwrap();
    let packs = catalog.packs().unwrap();
    (reconciled, packs.iter().map(|pack| pack.state).collect())
}

#[test]
fn a_pack_that_was_put_after_the_journal_is_taken() {
    let (vault, _) = put_after_the_journal();
    let expected = (Reconciled::default(), vec![PackState::Stored]);
    assert_eq!(reconciled(&vault), expected);
}

#[test]
fn a_pack_that_is_there_and_damaged_is_missing_and_not_called_never_put() {
    let (vault, pack) = put_after_the_journal();
    let mut bytes = fs::read(&pack).unwrap();
    let end = bytes.len() - 20;
    bytes[end] ^= 1;
    fs::remove_file(&pack).unwrap();
    fs::write(&pack, bytes).unwrap();
    let (found, states) = reconciled(&vault);
    assert_eq!((found.never_put.len(), found.missing.len()), (0, 1));
    assert_eq!(states, [PackState::Stored]);
}

#[test]
fn a_pack_that_is_not_there_was_never_put_as_far_as_the_journal_knows() {
    let (vault, pack) = put_after_the_journal();
    fs::remove_file(&pack).unwrap();
    let (found, states) = reconciled(&vault);
    assert_eq!((found.never_put.len(), found.missing.len()), (1, 0));
    assert_eq!(states, [PackState::Open]);
}
