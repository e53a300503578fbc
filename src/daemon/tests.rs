//! What the daemon refuses and does before there is a mount.

use std::fs;
use std::path::Path;

use super::{Created, DaemonError, Opened, create, prepare};
use crate::config::InitOptions;

fn refusal(result: Result<impl std::fmt::Debug, DaemonError>) -> String {
    result.unwrap_err().to_string()
}

#[test]
fn a_vault_is_made_where_there_is_nothing_and_found_where_there_is_one() {
    let dir = tempfile::tempdir().unwrap();
    let (vault, mountpoint) = (dir.path().join("v"), dir.path().join("m"));
    let (config, created) = prepare(&vault, &mountpoint).unwrap();
    assert_eq!(created, Created::New);
    assert!(config.live_dir.is_dir());
    assert!(config.catalog_path.is_file());
    let (again, created) = prepare(&vault, &mountpoint).unwrap();
    assert_eq!((again, created), (config, Created::Found));
}

#[test]
fn a_directory_with_other_things_in_it_does_not_become_a_vault() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("thesis.txt"), "x").unwrap();
    let error = refusal(prepare(dir.path(), Path::new("/nowhere")));
    assert!(
        error.contains("is not empty and holds no keepfs.toml"),
        "{error}"
    );
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn a_refused_vault_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let live = dir.path().join("live");
    fs::create_dir_all(live.join(".versions")).unwrap();
    let vault = dir.path().join("v");
    let options = InitOptions {
        live: Some(live.clone()),
        ..InitOptions::default()
    };
    let error = refusal(create(&vault, &options, None));
    assert!(error.contains(".versions"), "{error}");
    assert!(!vault.exists());
    let inside = dir.path().join("live2/v");
    let options = InitOptions {
        live: Some(dir.path().join("live2")),
        ..InitOptions::default()
    };
    let error = refusal(create(&inside, &options, None));
    assert!(error.contains("is inside its live tree"), "{error}");
}

#[test]
fn a_vault_is_one_processs_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let vault = dir.path().join("v");
    create(&vault, &InitOptions::default(), None).unwrap();
    let first = Opened::for_command(&vault, &mut |_| {}).unwrap();
    let error = refusal(Opened::for_command(&vault, &mut |_| {}));
    assert!(
        error.contains(&format!("process {}", std::process::id())),
        "{error}"
    );
    drop(first);
    Opened::for_command(&vault, &mut |_| {}).unwrap();
}

#[test]
fn a_lost_catalog_is_not_replaced_by_an_empty_one_while_there_are_packs() {
    let dir = tempfile::tempdir().unwrap();
    let vault = dir.path().join("v");
    let config = create(&vault, &InitOptions::default(), None).unwrap();
    fs::remove_file(&config.catalog_path).unwrap();
    Opened::for_command(&vault, &mut |_| {}).unwrap();
    fs::remove_file(&config.catalog_path).unwrap();
    fs::create_dir_all(config.store_dir.clone().unwrap().join("ab")).unwrap();
    fs::write(config.store_dir.unwrap().join("ab/pack"), "x").unwrap();
    let error = refusal(Opened::for_command(&vault, &mut |_| {}));
    assert!(error.contains("catalog.db is missing"), "{error}");
}
