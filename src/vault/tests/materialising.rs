//! A live tree that is written anew, in one go and in several.

use std::fs::{self, Permissions};
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;

use crate::catalog::{Child, Durability};
use crate::model::{
    AssetId, Attributes, ChunkHash, Clock, Name, PublicId, ROOT, Timestamp, VersionId, VersionState,
};

use super::super::live::Found;
use super::super::testing::{TestVault, id};
use super::super::{Materialised, Trust, settle_rebuilt};

/// The machine is lost with its live tree; the catalog comes back without it.
fn lose_live(vault: &TestVault) {
    vault.ingest_all();
    vault.vault.store().flush().unwrap();
    lose_live_and_what_is_sealed(vault);
}

fn lose_live_and_what_is_sealed(vault: &TestVault) {
    for entry in fs::read_dir(vault.path("")).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => fs::remove_dir_all(path).unwrap(),
            false => fs::remove_file(path).unwrap(),
        }
    }
    let mut assets = Vec::new();
    vault
        .vault
        .for_each_asset(&PublicId::root(), &mut |_, asset, _| {
            assets.push(asset);
            Ok(())
        })
        .unwrap();
    let mut catalog = vault.vault.catalog();
    for asset in assets {
        catalog.set_asset_file(asset, None).unwrap();
    }
    settle_rebuilt(catalog.as_mut(), &[], vault.clock.now()).unwrap();
    drop(catalog);
    vault.vault.commit(Durability::Process).unwrap();
}

fn materialise(vault: &TestVault, at: Option<Timestamp>) -> Materialised {
    let records = vault.directory.path().join("records");
    let vault = &vault.vault;
    vault
        .materialise(at, Trust::Full, &records, &mut |_, _| {})
        .unwrap()
}

/// All that is live, by path.
fn tree(vault: &TestVault) -> Vec<String> {
    let top = vault.path("");
    let mut found = Vec::new();
    let mut waiting: Vec<PathBuf> = vec![top.clone()];
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            found.push(path.strip_prefix(&top).unwrap().display().to_string());
            if path.is_dir() {
                waiting.push(path);
            }
        }
    }
    found.sort();
    found
}

fn failures(done: &Materialised) -> Vec<String> {
    let failed = done.failed.iter();
    failed.map(|(_, error)| error.to_string()).collect()
}

#[test]
fn what_an_earlier_attempt_wrote_goes_and_what_people_made_stays() {
    let vault = TestVault::new();
    vault.write("a", b"old");
    vault.write("b", b"as ever");
    vault.write("c", b"to be edited");
    vault.write("d/e/was there", b"then");
    vault.write("d/f/was there", b"then");
    let then = vault.clock.now();
    vault.write("a", b"new!");
    vault.remove("d/e/was there");
    vault.remove("d/f/was there");
    lose_live(&vault);

    assert_eq!(failures(&materialise(&vault, Some(then))), [""; 0]);
    assert_eq!(vault.live("a").unwrap(), "old");
    assert_eq!(vault.live("d/e/was there").unwrap(), "then");
    fs::write(vault.path("mine"), "of people").unwrap();
    fs::write(vault.path("c"), "edited").unwrap();
    fs::write(vault.path("d/f/was there"), "edited").unwrap();
    fs::write(vault.path("d/.keepfs-rebuild.7"), "not finished").unwrap();

    let done = materialise(&vault, None);
    let expected = ["a", "b", "c", "d", "d/f", "d/f/was there", "mine"];
    assert_eq!(tree(&vault), expected);
    assert_eq!(vault.live("a").unwrap(), "new!");
    assert_eq!(vault.live("b").unwrap(), "as ever");
    assert_eq!(vault.live("c").unwrap(), "edited");
    assert_eq!(vault.live("d/f/was there").unwrap(), "edited");
    let [told] = &failures(&done)[..] else {
        panic!("{done:?}")
    };
    assert!(told.starts_with("c: a file is there"), "{told}");
    assert_eq!(done.files, 2);
}

#[test]
fn what_came_in_the_way_of_a_first_attempt_is_left_and_told() {
    let vault = TestVault::new();
    for (path, text) in [("a", "kept"), ("b", "kept, too"), ("c", "kept as well")] {
        vault.write(path, text.as_bytes());
    }
    lose_live(&vault);
    fs::write(vault.path("a"), "mine").unwrap();
    fs::create_dir(vault.path("b")).unwrap();
    let done = materialise(&vault, None);
    let mut told = failures(&done);
    told.sort();
    assert!(told[0].starts_with("a: a file is there"), "{told:?}");
    assert!(
        told[1].starts_with("b: what is there is no regular file"),
        "{told:?}"
    );
    assert_eq!(told.len(), 2);
    assert_eq!(tree(&vault), ["a", "b", "c"]);
    assert_eq!(vault.live("a").unwrap(), "mine");
    assert_eq!(vault.live("c").unwrap(), "kept as well");
}

#[test]
fn the_same_attempt_again_finds_all_of_it_there() {
    let vault = TestVault::new();
    vault.write("a", b"one");
    vault.write("d/b", b"two");
    lose_live(&vault);
    let first = materialise(&vault, None);
    let inode = fs::metadata(vault.path("d/b")).unwrap().ino();
    let second = materialise(&vault, None);
    assert_eq!((first.files, second.files), (2, 2));
    assert_eq!(fs::metadata(vault.path("d/b")).unwrap().ino(), inode);
    assert_eq!(tree(&vault), ["a", "d", "d/b"]);
}

/// Of use as an ordinary user only: root writes anywhere.
#[test]
fn a_directory_that_nobody_may_write_to_gets_its_files_before_its_mode() {
    let vault = TestVault::new();
    vault.write("d/e/a", b"one");
    vault.write("d/e/b", b"two");
    for path in ["d", "d/e"] {
        let Some(Found::Directory(attributes)) = vault.vault.live().find(&id(path)).unwrap() else {
            panic!("{path} is no directory");
        };
        let attributes = Attributes {
            mode: 0o500,
            ..attributes
        };
        let mut catalog = vault.vault.catalog();
        let catalog = catalog.as_mut();
        let node = vault.vault.directory_node(catalog, &id(path)).unwrap();
        let node = node.unwrap();
        catalog.set_directory_attributes(node, attributes).unwrap();
    }
    lose_live(&vault);
    let mode = |path: &str| fs::metadata(vault.path(path)).unwrap().mode() & 0o777;
    for _ in 0..2 {
        assert_eq!(failures(&materialise(&vault, None)), [""; 0]);
        assert_eq!(tree(&vault), ["d", "d/e", "d/e/a", "d/e/b"]);
        assert_eq!((mode("d"), mode("d/e")), (0o500, 0o500));
        // What the next attempt finds missing.
        for path in ["d", "d/e"] {
            fs::set_permissions(vault.path(path), Permissions::from_mode(0o700)).unwrap();
        }
        fs::remove_file(vault.path("d/e/a")).unwrap();
        for path in ["d/e", "d"] {
            fs::set_permissions(vault.path(path), Permissions::from_mode(0o500)).unwrap();
        }
    }
    for path in ["d", "d/e"] {
        fs::set_permissions(vault.path(path), Permissions::from_mode(0o700)).unwrap();
    }
}

#[test]
fn what_was_brought_is_committed_some_files_at_a_time() {
    let vault = TestVault::new();
    for n in 0..25 {
        vault.write(&format!("{n}"), format!("{n}").as_bytes());
    }
    lose_live(&vault);
    let records = vault.directory.path().join("records");
    let mut noted = Vec::new();
    let mut look = |_, _| {
        let mut reader = vault.vault.catalog().reader().unwrap();
        let children = reader.children(ROOT, None, 100).unwrap();
        let mut files = 0;
        for child in children {
            if let Child::Asset { node, .. } = child {
                files += usize::from(reader.asset(node).unwrap().unwrap().file.is_some());
            }
        }
        noted.push(files);
    };
    let done = vault
        .vault
        .materialise(None, Trust::Full, &records, &mut look)
        .unwrap();
    assert_eq!(done.files, 25);
    noted.dedup();
    assert_eq!(noted, [0, 10, 20]);
}

/// What a stranger could have written into a journal that is not encrypted.
fn invent(vault: &TestVault, name: &str, size: u64, content: Option<(u64, usize)>) {
    let mut version = vault.vault.versions_of(&id("whole")).unwrap().remove(0);
    let VersionState::Stored { content: whole, .. } = version.state else {
        panic!("{version:?}");
    };
    let mut catalog = vault.vault.catalog();
    if let Some((content_size, chunks)) = content {
        let chunk = catalog.content_chunks(whole).unwrap()[0].hash;
        let blake3 = ChunkHash(*blake3::hash(name.as_bytes()).as_bytes());
        let list = vec![chunk; chunks];
        let content = catalog.add_content(&blake3, content_size, &list).unwrap();
        version.state = VersionState::Stored { content, blake3 };
    }
    let own = AssetId(
        *blake3::hash(name.as_bytes())
            .as_bytes()
            .first_chunk()
            .unwrap(),
    );
    let file = Name::new(name.as_bytes()).unwrap();
    version.asset = catalog
        .create_asset(ROOT, &file, own, None, vault.clock.now())
        .unwrap();
    version.size = size;
    version.id = VersionId(own.0);
    catalog.add_version(&version).unwrap();
}

#[test]
fn sizes_that_do_not_agree_are_damage_of_that_version_alone() {
    let vault = TestVault::new();
    vault.write("whole", b"four");
    vault.ingest_all();
    invent(&vault, "also whole", 12, Some((12, 3)));
    invent(&vault, "huge", 1 << 50, Some((1 << 50, 1)));
    invent(&vault, "long", 5, None);
    invent(&vault, "short", 4, Some((8, 2)));
    invent(&vault, "many", 40_000, Some((40_000, 10_000)));
    lose_live(&vault);
    let done = materialise(&vault, None);
    assert_eq!(tree(&vault), ["also whole", "whole"]);
    assert_eq!(vault.live("also whole").unwrap(), "fourfourfour");
    let mut told = failures(&done);
    told.sort();
    for (line, name) in told.iter().zip(["huge", "long", "many", "short"]) {
        assert!(line.starts_with(name) && line.contains("damaged"), "{line}");
    }
    assert_eq!(told.len(), 4, "{told:?}");
}

#[test]
fn names_that_no_file_can_have_cost_no_other_file() {
    let vault = TestVault::new();
    vault.write("whole", b"four");
    vault.write("twice/a", b"in a directory");
    vault.write(".deleted/a", b"in the place of history");
    vault.ingest_all();
    invent(&vault, ".versions", 4, None);
    invent(&vault, "twice", 4, None);
    lose_live(&vault);
    let done = materialise(&vault, None);
    let mut told = failures(&done);
    told.sort();
    let [deleted, versions, twice] = &told[..] else {
        panic!("{told:?}")
    };
    assert!(deleted.starts_with(".deleted: the name"), "{deleted}");
    assert!(versions.starts_with(".versions: the name"), "{versions}");
    assert!(twice.starts_with("twice"), "{twice}");
    assert_eq!(vault.live("whole").unwrap(), "four");
    assert!(!vault.path(".versions").exists() && !vault.path(".deleted").exists());
}

#[test]
fn a_file_whose_last_edit_never_arrived_has_the_time_of_what_it_has() {
    let vault = TestVault::new();
    for name in ["edited", "touched"] {
        vault.write(name, b"stored");
    }
    vault.ingest_all();
    vault.vault.store().flush().unwrap();
    let time = |name: &str| fs::metadata(vault.path(name)).unwrap().modified().unwrap();
    let stored = time("edited");
    vault.write("edited", b"on its way");
    fs::set_permissions(vault.path("edited"), Permissions::from_mode(0o600)).unwrap();
    let later = stored + std::time::Duration::from_secs(60);
    for name in ["edited", "touched"] {
        let before = Timestamp::from(time(name));
        let file = fs::File::options().write(true).open(vault.path(name));
        let file = file.unwrap();
        if name == "touched" {
            file.set_modified(later).unwrap();
        }
        let vault = &vault.vault;
        vault.attributes_changed(file.as_fd(), before).unwrap();
    }
    lose_live_and_what_is_sealed(&vault);
    assert_eq!(failures(&materialise(&vault, None)), [""; 0]);
    assert_eq!(vault.live("edited").unwrap(), "stored");
    assert_eq!(time("edited"), stored);
    let mode = fs::metadata(vault.path("edited")).unwrap().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(time("touched"), later);
}
