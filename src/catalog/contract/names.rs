//! Cases: transactions, settings, and the namespace now and in the past.

use super::*;
use crate::catalog::{Claim, Durability, NodeKind, Standing};
use crate::model::{Override, PublicId, ROOT};

cases! {
    fn a_rollback_undoes_what_a_release_inside_it_kept(catalog) {
        for (outer, inner) in [
            (Undo::Often, Undo::Often),
            (Undo::Often, Undo::Seldom),
            (Undo::Seldom, Undo::Often),
            (Undo::Seldom, Undo::Seldom),
        ] {
            catalog.savepoint(outer).unwrap();
            catalog.set_setting("outer", Some("1")).unwrap();
            catalog.savepoint(inner).unwrap();
            catalog.set_setting("inner", Some("2")).unwrap();
            catalog.release().unwrap();
            catalog.savepoint(inner).unwrap();
            catalog.set_setting("outer", None).unwrap();
            catalog.rollback().unwrap();
            assert_eq!(catalog.setting("outer").unwrap().as_deref(), Some("1"));
            assert_eq!(catalog.setting("inner").unwrap().as_deref(), Some("2"));
            catalog.rollback().unwrap();
            assert_eq!(catalog.setting("inner").unwrap(), None);
            assert!(!catalog.has_uncommitted());
        }
    }

    fn a_commit_is_refused_inside_a_savepoint_and_a_release_without_one(catalog) {
        catalog.savepoint(Undo::Often).unwrap();
        assert!(catalog.commit(Durability::Process).is_err());
        catalog.release().unwrap();
        assert!(catalog.release().is_err());
        assert!(catalog.rollback().is_err());
        catalog.set_setting("a", Some("b")).unwrap();
        assert!(catalog.has_uncommitted());
        catalog.commit(Durability::Process).unwrap();
        assert!(!catalog.has_uncommitted());
        catalog.commit(Durability::Power).unwrap();
        catalog.commit(Durability::Power).unwrap();
    }

    fn an_asset_can_begin_with_its_file_and_shows_it_with_its_latest_version(catalog) {
        let node = catalog
            .create_asset(ROOT, &name("b"), asset_id(1), Some(&facts(7)), time(10))
            .unwrap();
        let record = catalog.asset(node).unwrap().unwrap();
        assert_eq!(record.file, Some(facts(7)));
        assert_eq!(record.last_attributes, Some(facts(7).attributes));
        assert_eq!(catalog.assets_on_inode(facts(7).inode).unwrap(), [node]);
        let (a, gone) = (asset(catalog, "a", 2), asset(catalog, "gone", 3));
        let none = asset(catalog, "none yet", 4);
        for (node, id) in [(node, 1), (node, 2), (a, 3), (gone, 4)] {
            catalog.add_version(&sealed(node, id, 7)).unwrap();
        }
        catalog.delete_asset(gone, time(20)).unwrap();
        let live = catalog.live_files(ROOT).unwrap();
        let shown: Vec<_> = live
            .iter()
            .map(|file| (file.name.to_string(), file.version.id, file.last_attributes))
            .collect();
        let last = Some(facts(7).attributes);
        assert_eq!(
            shown,
            [("a".into(), version_id(3), None), ("b".into(), version_id(2), last)]
        );
        assert_eq!(catalog.assets_without_versions().unwrap(), [none]);
    }

    fn a_name_holds_a_directory_and_an_asset_at_once_but_not_two_of_a_kind(catalog) {
        let dir = directory(catalog, ROOT, "x");
        let node = asset(catalog, "x", 1);
        assert_eq!(catalog.directory_at(ROOT, &name("x")).unwrap(), Some(dir));
        let claim = Claim { asset: node, standing: Standing::Live };
        assert_eq!(catalog.asset_at(ROOT, &name("x")).unwrap(), Some(claim));
        refused(catalog, |c| c.create_directory(ROOT, &name("x"), attributes(0), time(11)));
        refused(catalog, |c| c.create_asset(ROOT, &name("x"), asset_id(2), None, time(11)));
        refused(catalog, |c| c.create_asset(ROOT, &name("y"), asset_id(1), None, time(11)));
        refused(catalog, |c| c.create_asset(NodeId(99), &name("y"), asset_id(2), None, time(11)));
        assert_eq!(shown(&catalog.children(ROOT, None, 9).unwrap()), ["x/ false false", "x Live"]);
        let key = (name("x"), NodeKind::Directory);
        assert_eq!(shown(&catalog.children(ROOT, Some(&key), 9).unwrap()), ["x Live"]);
    }

    fn labels_stay_with_a_deleted_asset_and_go_when_it_is_forgotten(catalog) {
        let (a, b) = (asset(catalog, "a", 1), asset(catalog, "b", 2));
        assert_eq!(catalog.labels(a).unwrap(), Labels::default());
        catalog.set_labels(b, &noted("x")).unwrap();
        catalog.set_labels(a, &noted("x,y")).unwrap();
        catalog.set_labels(a, &noted("z")).unwrap();
        catalog.delete_asset(a, time(3)).unwrap();
        assert_eq!(catalog.labels(a).unwrap(), noted("z"));
        let all = vec![(a, noted("z")), (b, noted("x"))];
        assert_eq!(catalog.labelled(ROOT, 9).unwrap(), all);
        assert_eq!(catalog.labelled(a, 9).unwrap(), all[1..]);
        assert_eq!(catalog.labelled(ROOT, 1).unwrap(), all[..1]);
        catalog.set_labels(b, &Labels::default()).unwrap();
        catalog.forget_asset(a, time(4)).unwrap();
        assert_eq!(catalog.labelled(ROOT, 9).unwrap(), []);
        assert!(catalog.set_labels(a, &noted("x")).is_err());
    }

    fn a_deleted_asset_keeps_its_name_and_loses_its_file(catalog) {
        let node = asset(catalog, "a", 1);
        catalog.set_asset_file(node, Some(&facts(u64::MAX))).unwrap();
        let inode = facts(u64::MAX).inode;
        assert_eq!(catalog.assets_on_inode(inode).unwrap(), [node]);
        catalog.delete_asset(node, time(20)).unwrap();
        refused(catalog, |c| c.delete_asset(node, time(21)));
        refused(catalog, |c| c.create_asset(ROOT, &name("a"), asset_id(2), None, time(21)));
        refused(catalog, |c| c.set_asset_file(node, Some(&facts(3))));
        assert_eq!(catalog.assets_on_inode(inode).unwrap(), []);
        let record = catalog.asset(node).unwrap().unwrap();
        assert_eq!((record.standing, record.since, record.file), (Standing::Deleted, time(20), None));
        catalog.revive_asset(node, time(30)).unwrap();
        let record = catalog.asset(node).unwrap().unwrap();
        assert_eq!((record.standing, record.since), (Standing::Live, time(30)));
        assert_eq!(catalog.asset_by_id(asset_id(1)).unwrap(), Some(node));
    }

    fn the_attributes_of_the_last_file_outlive_it(catalog) {
        let node = asset(catalog, "a", 1);
        let last = |catalog: &mut dyn Catalog| {
            let record = catalog.asset(node).unwrap().unwrap();
            (record.file.is_some(), record.last_attributes.map(|last| last.mode))
        };
        assert_eq!(last(catalog), (false, None));
        for mode in [0o640, 0o4755] {
            let file = FileFacts { attributes: attributes(mode), ..facts(3) };
            catalog.set_asset_file(node, Some(&file)).unwrap();
            assert_eq!(last(catalog), (true, Some(mode)));
        }
        catalog.set_asset_file(node, None).unwrap();
        assert_eq!(last(catalog), (false, Some(0o4755)));
        catalog.set_asset_file(node, Some(&facts(3))).unwrap();
        catalog.delete_asset(node, time(20)).unwrap();
        catalog.move_asset(node, ROOT, &name("b"), time(21)).unwrap();
        let record = catalog.asset(node).unwrap().unwrap();
        assert_eq!((record.file, record.last_attributes), (None, Some(facts(3).attributes)));
        catalog.revive_asset(node, time(30)).unwrap();
        assert_eq!(last(catalog), (false, Some(0o640)));
    }

    fn the_tree_of_any_instant_can_be_read_back(catalog) {
        let node = asset(catalog, "a", 1);
        catalog.delete_asset(node, time(20)).unwrap();
        catalog.revive_asset(node, time(30)).unwrap();
        catalog.move_asset(node, ROOT, &name("b"), time(40)).unwrap();
        catalog.forget_asset(node, time(50)).unwrap();
        for (at, names) in [(9, vec![]), (10, vec!["a"]), (19, vec!["a"]), (20, vec![]), (29, vec![]),
            (30, vec!["a"]), (40, vec!["b"]), (49, vec!["b"]), (50, vec![]), (i64::MAX, vec![])] {
            let then: Vec<String> = catalog.children_at(ROOT, time(at)).unwrap()
                .into_iter().map(|(name, ..)| name.to_string()).collect();
            assert_eq!(then, names, "at {at}");
        }
    }

    fn time_never_runs_backwards(catalog) {
        let node = asset(catalog, "a", 1);
        catalog.delete_asset(node, time(100)).unwrap();
        catalog.revive_asset(node, time(50)).unwrap();
        assert_eq!(catalog.asset(node).unwrap().unwrap().since, time(100));
        catalog.savepoint(Undo::Often).unwrap();
        catalog.delete_asset(node, time(500)).unwrap();
        catalog.rollback().unwrap();
        catalog.delete_asset(node, time(200)).unwrap();
        assert_eq!(catalog.asset(node).unwrap().unwrap().since, time(200));
    }

    fn a_directory_move_takes_everything_along_and_both_parents_know(catalog) {
        let (a, b) = (directory(catalog, ROOT, "a"), directory(catalog, ROOT, "b"));
        let deep = directory(catalog, a, "deep");
        let node = catalog.create_asset(deep, &name("f"), asset_id(1), None, time(11)).unwrap();
        let other = catalog.create_asset(deep, &name("g"), asset_id(2), None, time(11)).unwrap();
        catalog.delete_asset(node, time(12)).unwrap();
        assert_eq!(shown(&catalog.children(ROOT, None, 9).unwrap()), ["a/ true true", "b/ false false"]);
        refused(catalog, |c| c.move_directory(a, deep, &name("in"), time(13)));
        refused(catalog, |c| c.move_directory(a, a, &name("in"), time(13)));
        refused(catalog, |c| c.move_directory(a, ROOT, &name("b"), time(13)));
        refused(catalog, |c| c.move_directory(ROOT, a, &name("r"), time(13)));
        catalog.move_directory(deep, b, &name("moved"), time(20)).unwrap();
        assert_eq!(shown(&catalog.children(ROOT, None, 9).unwrap()), ["a/ false false", "b/ true true"]);
        assert_eq!(catalog.path_of(node).unwrap().unwrap(), PublicId::new(b"b/moved/f").unwrap());
        assert_eq!(catalog.path_of(NodeId(1234)).unwrap(), None);
        catalog.swap_directories(a, b, time(30)).unwrap();
        assert_eq!(catalog.path_of(other).unwrap().unwrap(), PublicId::new(b"a/moved/g").unwrap());
        refused(catalog, |c| c.swap_directories(b, deep, time(31)));
        catalog.revive_asset(node, time(40)).unwrap();
        assert_eq!(shown(&catalog.children(ROOT, None, 9).unwrap()), ["a/ true false", "b/ false false"]);
        let record = catalog.directory(ROOT).unwrap().unwrap();
        assert_eq!((record.place, record.has_assets, record.has_deleted), (None, true, false));
    }

    fn directories_that_change_places_take_what_they_hold_along(catalog) {
        let (a, b) = (directory(catalog, ROOT, "a"), directory(catalog, ROOT, "b"));
        let (full, empty) = (directory(catalog, a, "full"), directory(catalog, b, "empty"));
        let node = catalog.create_asset(full, &name("f"), asset_id(1), None, time(11)).unwrap();
        catalog.delete_asset(node, time(12)).unwrap();
        catalog.swap_directories(full, empty, time(20)).unwrap();
        assert_eq!(shown(&catalog.children(ROOT, None, 9).unwrap()), ["a/ false false", "b/ true true"]);
        assert_eq!(shown(&catalog.children(b, None, 9).unwrap()), ["empty/ true true"]);
        assert_eq!(catalog.children_at(a, time(19)).unwrap(), [(name("full"), full, NodeKind::Directory)]);
        assert_eq!(catalog.children_at(a, time(20)).unwrap(), [(name("full"), empty, NodeKind::Directory)]);
        catalog.swap_directories(empty, full, time(30)).unwrap();
        assert_eq!(shown(&catalog.children(ROOT, None, 9).unwrap()), ["a/ true true", "b/ false false"]);
    }

    fn two_assets_change_places_only_while_both_live(catalog) {
        let (a, b) = (asset(catalog, "a", 1), asset(catalog, "b", 2));
        catalog.swap_assets(a, b, time(20)).unwrap();
        catalog.swap_assets(a, a, time(20)).unwrap();
        assert_eq!(catalog.asset(a).unwrap().unwrap().name, name("b"));
        assert_eq!(catalog.asset(b).unwrap().unwrap().name, name("a"));
        refused(catalog, |c| c.move_asset(a, ROOT, &name("a"), time(21)));
        refused(catalog, |c| c.move_asset(a, ROOT, &name("b"), time(21)));
        catalog.delete_asset(a, time(22)).unwrap();
        refused(catalog, |c| c.swap_assets(a, b, time(23)));
        catalog.move_asset(a, ROOT, &name("c"), time(24)).unwrap();
        let claim = catalog.asset_at(ROOT, &name("c")).unwrap().unwrap();
        assert_eq!((claim.asset, claim.standing), (a, Standing::Deleted));
    }

    fn a_directory_is_forgotten_only_when_nothing_is_held_below_it(catalog) {
        let outer = directory(catalog, ROOT, "outer");
        let inner = directory(catalog, outer, "inner");
        let node = catalog.create_asset(inner, &name("f"), asset_id(1), None, time(11)).unwrap();
        catalog.delete_asset(node, time(12)).unwrap();
        refused(catalog, |c| c.forget_directory(outer, time(13)));
        catalog.forget_asset(node, time(14)).unwrap();
        catalog.set_directory_override(inner, Some(Override::Off)).unwrap();
        assert_eq!(catalog.directory(inner).unwrap().unwrap().backup, Some(Override::Off));
        refused(catalog, |c| c.forget_directory(outer, time(15)));
        catalog.set_directory_override(inner, None).unwrap();
        catalog.set_directory_attributes(inner, attributes(0o7777)).unwrap();
        assert_eq!(catalog.directory(inner).unwrap().unwrap().attributes, attributes(0o7777));
        refused(catalog, |c| c.forget_directory(ROOT, time(16)));
        catalog.forget_directory(outer, time(16)).unwrap();
        assert_eq!(catalog.directory(inner).unwrap(), None);
        assert_eq!(catalog.children(ROOT, None, 9).unwrap(), []);
        assert_eq!(catalog.children_at(outer, time(15)).unwrap(), [(name("inner"), inner, NodeKind::Directory)]);
        assert!(directory(catalog, ROOT, "outer") > inner, "nodes are never used twice");
    }

    fn listings_are_in_byte_order_and_come_in_pages(catalog) {
        for (number, bytes) in [&b"b"[..], b"\xff", b"a", b"a\x01", b"B", b"\xc3\xa4"].iter().enumerate() {
            let name = Name::new(bytes).unwrap();
            catalog.create_asset(ROOT, &name, asset_id(number as u8), None, time(10)).unwrap();
        }
        let (mut after, mut seen) = (None, Vec::new());
        loop {
            let page = catalog.children(ROOT, after.as_ref(), 2).unwrap();
            let Some(last) = page.last() else { break };
            after = Some(last.key());
            seen.extend(page.into_iter().map(|child| child.key().0.as_bytes().to_vec()));
        }
        assert_eq!(seen, [&b"B"[..], b"a", b"a\x01", b"b", b"\xc3\xa4", b"\xff"]);
    }
}
