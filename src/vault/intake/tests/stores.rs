//! What a first backup finds in its store: no room, another backup's contents, a key.

use std::fs;

use zeroize::Zeroizing;

use super::{backup, noise, states, unused_contents};
use crate::store::{Secret, VaultKey};
use crate::vault::testing::TestVault;

#[test]
fn what_the_store_does_not_take_at_the_moment_is_sealed_and_stored_later() {
    let vault = TestVault::with_settings(|config| config.spool_bytes_max = 0);
    vault.write("before", &noise(5000, 1));
    vault.ingest_all();
    let store = vault.vault.config().store.directory().unwrap().to_owned();
    let packs = store.join("packs");
    fs::write(&packs, "in the way").unwrap();
    vault.vault.store().flush().unwrap_err();
    for (path, size) in [("small", 5000), ("of chunks", 700_000), ("empty", 0)] {
        fs::write(vault.path(path), noise(size, 2)).unwrap();
    }
    assert_eq!(backup(&vault).versions, 3);
    for path in ["small", "of chunks"] {
        assert_eq!(states(&vault, path), ["sealed"], "{path}");
    }
    fs::remove_file(&packs).unwrap();
    vault.vault.store().flush().unwrap();
    vault.ingest_all();
    for (path, size) in [("small", 5000), ("of chunks", 700_000), ("empty", 0)] {
        assert_eq!(states(&vault, path), ["stored"], "{path}");
        let expected = noise(size, 2);
        assert_eq!(
            vault.versions(path),
            [String::from_utf8_lossy(&expected)],
            "{path}"
        );
    }
    assert_eq!(unused_contents(&vault), 0);
    vault.assert_sound();
}

#[test]
fn two_first_backups_at_once_make_one_version_of_each_file() {
    let vault = TestVault::new();
    let count = 600;
    for number in 0..count {
        let directory = vault.path(&format!("d{}", number / 50));
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join(format!("f{number}")), noise(3000, number)).unwrap();
    }
    let versions: u64 = std::thread::scope(|scope| {
        let backups = [(); 2].map(|()| scope.spawn(|| backup(&vault).versions));
        backups.into_iter().map(|b| b.join().unwrap()).sum()
    });
    assert_eq!(versions, count);
    vault.ingest_all();
    for number in 0..count {
        let path = format!("d{}/f{number}", number / 50);
        let expected = noise(3000, number);
        assert_eq!(vault.versions(&path), [String::from_utf8_lossy(&expected)]);
    }
    vault.vault.remove_leftovers().unwrap();
    assert_eq!(unused_contents(&vault), 0);
    vault.assert_sound();
}

#[test]
fn an_encrypted_vault_takes_files_in_and_its_store_does_not_show_them() {
    let key = Secret::KeyFile(Zeroizing::new([9; 32]));
    let vault = TestVault::encrypted(VaultKey::new(&key).unwrap());
    let text = b"what nobody else must read, ".repeat(20);
    for (path, bytes) in [("a", &text[..]), ("twin", &text), ("b", &noise(700_000, 1))] {
        fs::write(vault.path(path), bytes).unwrap();
    }
    assert_eq!(backup(&vault).versions, 3);
    vault.vault.store().flush().unwrap();
    for path in ["a", "twin", "b"] {
        assert_eq!(states(&vault, path), ["stored"], "{path}");
        let expected = fs::read(vault.path(path)).unwrap();
        assert_eq!(vault.versions(path), [String::from_utf8_lossy(&expected)]);
    }
    vault.assert_sound();
    let noise = noise(64, 1);
    let mut seen = 0;
    let mut directories = vec![vault.vault.config().store.directory().unwrap().to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                directories.push(entry.path());
                continue;
            }
            let bytes = fs::read(entry.path()).unwrap();
            seen += bytes.len();
            for needle in [&b"nobody else"[..], &noise] {
                let shown = bytes.windows(needle.len()).any(|window| window == needle);
                assert!(!shown, "{}", entry.path().display());
            }
        }
    }
    assert!(seen > 700_000, "{seen}");
}
