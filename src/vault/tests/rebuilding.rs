//! What a machine took with it goes, and nothing of it stays on what is left.

use super::super::settle_rebuilt;
use super::super::testing::{TestVault, id};
use crate::model::Timestamp;

#[test]
fn a_content_that_is_left_gets_no_time_of_an_edit_that_is_lost() {
    let vault = TestVault::new();
    for name in ["edited", "touched"] {
        vault.write(name, b"one");
    }
    vault.ingest_all();
    let kept = |vault: &TestVault, name| {
        let chosen = vault.vault.choose_version(&id(name), None).unwrap();
        let record = vault.vault.catalog().asset(chosen.asset).unwrap().unwrap();
        (chosen.version.attributes, record.last_attributes.unwrap())
    };
    let (first, _) = kept(&vault, "edited");
    // Sealed, and in no pack.
    vault.write("edited", b"two, and longer");
    let settled = settle_rebuilt(
        vault.vault.catalog().as_mut(),
        &[],
        Timestamp::from_nanos(1),
    );
    assert_eq!(settled.unwrap().dropped, 1);
    let (version, last) = kept(&vault, "edited");
    assert_eq!((version, last), (first, first));
    let (version, last) = kept(&vault, "touched");
    assert_eq!(version, last);
}
