//! Vaults laid out soundly, and in every wrong way.

use std::os::unix::fs::symlink;

use super::*;
use crate::config::InitOptions;

/// A vault `v` with a live tree `live` beside a mountpoint `m` and a link `link` to `v`.
fn layout(live: &str, store: &str, mountpoint: Option<&str>) -> Result<(), ConfigError> {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    for place in ["v/live/sub", "v/spool", "m", "photos/sub"] {
        fs::create_dir_all(root.join(place)).unwrap();
    }
    fs::write(root.join("v/file"), "").unwrap();
    symlink(root.join("v"), root.join("link")).unwrap();
    symlink(root.join("gone"), root.join("v/dangling")).unwrap();
    for name in [".versions", ".deleted", ".at"] {
        fs::create_dir_all(root.join(format!("v/has{name}/{name}"))).unwrap();
    }
    let options = InitOptions {
        live: Some(live.into()),
        store: Some(store.into()),
        ..InitOptions::default()
    };
    let config = Config::create(&root.join("v"), &options).unwrap();
    let result = config.validate_layout(mountpoint.map(|place| root.join(place)).as_deref());
    if let Err(error) = &result {
        let text = error.to_string();
        assert!(!text.contains('\n') && text.contains(": "), "{text}");
    }
    result
}

#[test]
fn sound_layouts_are_accepted() {
    for (live, store, mountpoint) in [
        ("live", "store", None),
        ("live", "store", Some("m")),
        ("live", "store", Some("missing/m")),
        ("live", "store", Some("v/mnt")),
        ("live", "store", Some("v/live2")),
        ("../photos", "../packs", Some("m")),
        ("not-yet", "store", Some("m")),
    ] {
        let result = layout(live, store, mountpoint);
        assert!(result.is_ok(), "{live} {store} {mountpoint:?}: {result:?}");
    }
}

/// `live | store | mountpoint | variant | what else it must say`, as in [`layout`].
const WRONG: &str = "
live | store | v/live | MountInsideLive | -
live | store | v/live/sub | MountInsideLive | -
live | store | link/live/new | MountInsideLive | -
live | store | m/../v/live | MountInsideLive | -
live | store | v | VaultInsideMount | -
live | store | link | VaultInsideMount | -
live | store | . | VaultInsideMount | -
../photos/sub | store | photos | LiveInsideMount | -
live | ../m/packs | m | StoreInsideMount | -
live | store | v/spool/m | MountInsidePart | spool
live | store | v/store | StoreInsideMount | -
live | store | v/store/m | MountInsidePart | store
live | live/packs | - | StoreInsideLive | -
../photos | ../photos | - | StoreInsideLive | -
. | store | - | VaultInsideLive | -
.. | ../packs | - | VaultInsideLive | -
../link | store | - | VaultInsideLive | -
spool | store | - | SpoolInsideLive | spool
cache | store | - | SpoolInsideLive | cache
spool/live | store | - | LiveInsidePart | spool
live | . | - | LiveInsidePart | store
file | store | - | LiveNotDirectory | -
dangling | store | - | LiveNotDirectory | -
has.versions | store | - | HistoryNameTaken | .versions
has.deleted | store | - | HistoryNameTaken | .deleted
has.at | store | - | HistoryNameTaken | .at
";

#[test]
fn each_wrong_layout_is_refused_by_its_own_name() {
    for row in WRONG.lines().filter(|row| !row.is_empty()) {
        let cells: Vec<&str> = row.split(" | ").collect();
        let [live, store, mountpoint, variant, words] = cells[..] else {
            panic!("{row}");
        };
        let mountpoint = (mountpoint != "-").then_some(mountpoint);
        let error = layout(live, store, mountpoint).expect_err(row);
        let (debug, text) = (format!("{error:?}"), error.to_string());
        assert_eq!(debug.split(' ').next(), Some(variant), "{row}: {debug}");
        assert!(words == "-" || text.contains(words), "{row}: {text}");
    }
}
