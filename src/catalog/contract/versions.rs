//! Cases: versions, contents, chunks, packs and totals.

use super::*;
use crate::catalog::ContentExtent;
use crate::catalog::{ChunkUse, ContentUse, PackUse, Totals};
use crate::model::{ContentId, Hold, ROOT};

/// A stored pack with chunks 1 to 4, and a content of chunks 1, 2, 1.
fn with_content(catalog: &mut dyn Catalog) -> ContentId {
    catalog.add_pack(&pack(1, PackState::Stored)).unwrap();
    let chunks: Vec<ChunkRecord> = (1..=4).map(|number| chunk(number, 1)).collect();
    catalog.put_chunks(&chunks).unwrap();
    catalog
        .add_content(&hash(100), 63, &[hash(1), hash(2), hash(1)])
        .unwrap()
}

fn usage(catalog: &mut dyn Catalog, number: u8) -> (u64, u64) {
    let all = catalog.pack_use().unwrap();
    let PackUse {
        live_bytes,
        dead_bytes,
        ..
    } = all
        .into_iter()
        .find(|of| of.pack.id == PackId([number; 16]))
        .unwrap();
    (live_bytes, dead_bytes)
}

cases! {
    fn a_version_reads_back_as_it_was_added(catalog) {
        let node = asset(catalog, "a", 1);
        let mut version = sealed(node, 7, u64::MAX);
        version.size = u64::MAX >> 1;
        version.restored_from = Some(version_id(3));
        version.origin = Origin::Restore;
        version.seq = catalog.add_version(&version).unwrap();
        assert_eq!(catalog.version(version.seq).unwrap().as_ref(), Some(&version));
        assert_eq!(catalog.version_by_id(node, version.id).unwrap().as_ref(), Some(&version));
        assert_eq!(catalog.version_by_id(NodeId(99), version.id).unwrap(), None);
        refused(catalog, |c| c.add_version(&version));
        let lost = sealed(NodeId(99), 8, 1);
        refused(catalog, |c| c.add_version(&lost));
        refused(catalog, |c| c.forget_asset(node, time(20)));
        assert_eq!(catalog.last_version_id().unwrap(), Some(version_id(7)));
    }

    fn versions_are_in_the_order_of_their_ids_also_after_a_move(catalog) {
        let (a, b) = (asset(catalog, "a", 1), asset(catalog, "b", 2));
        let first = catalog.add_version(&sealed(a, 1, 1)).unwrap();
        let second = catalog.add_version(&sealed(b, 2, 2)).unwrap();
        let third = catalog.add_version(&sealed(a, 3, 1)).unwrap();
        catalog.move_version(second, a, version_id(2)).unwrap();
        refused(catalog, |c| c.move_version(second, NodeId(99), version_id(2)));
        refused(catalog, |c| c.move_version(second, a, version_id(3)));
        let ids = [(version_id(1), first), (version_id(2), second), (version_id(3), third)];
        assert_eq!(catalog.version_ids(a).unwrap(), ids);
        let seqs = |versions: Vec<Version>| versions.iter().map(|v| v.seq).collect::<Vec<_>>();
        assert_eq!(seqs(catalog.versions(a).unwrap()), [first, second, third]);
        assert_eq!(seqs(catalog.latest_versions(a, 2).unwrap()), [third, second]);
        assert_eq!(catalog.versions(b).unwrap(), []);
        catalog.remove_version(third).unwrap();
        let next = catalog.add_version(&sealed(a, 4, 1)).unwrap();
        assert!(next > third, "rows are never used twice");
    }

    fn a_version_that_moves_can_take_a_newer_id(catalog) {
        let (a, b) = (asset(catalog, "a", 1), asset(catalog, "b", 2));
        let old = catalog.add_version(&sealed(a, 1, 1)).unwrap();
        let newer = catalog.add_version(&sealed(b, 2, 2)).unwrap();
        catalog.move_version(old, b, version_id(5)).unwrap();
        let ids = [(version_id(2), newer), (version_id(5), old)];
        assert_eq!(catalog.version_ids(b).unwrap(), ids);
        assert_eq!(catalog.version_by_id(b, version_id(1)).unwrap(), None);
    }

    fn the_version_before_an_id_is_the_newest_of_the_asset_below_it(catalog) {
        let (a, b) = (asset(catalog, "a", 1), asset(catalog, "b", 2));
        for (node, id) in [(a, 2), (b, 3), (a, 4), (a, 6), (b, 7)] {
            catalog.add_version(&sealed(node, id, 1)).unwrap();
        }
        let content = with_content(catalog);
        let seq = catalog.version_by_id(a, version_id(4)).unwrap().unwrap().seq;
        catalog.set_stored(seq, content, hash(100)).unwrap();
        for (id, before) in [(1, None), (2, None), (3, Some(2)), (4, Some(2)), (5, Some(4)), (6, Some(4)), (99, Some(6))] {
            let expected = before.map(|id| catalog.version_by_id(a, version_id(id)).unwrap().unwrap());
            assert_eq!(catalog.version_before(a, version_id(id)).unwrap(), expected, "before {id}");
        }
        assert_eq!(catalog.version_before(NodeId(99), version_id(9)).unwrap(), None);
    }

    fn the_newest_version_with_a_content_is_found_below_an_id(catalog) {
        let (content, blake3) = (with_content(catalog), hash(100));
        let (a, b) = (asset(catalog, "a", 1), asset(catalog, "b", 2));
        for (node, id) in [(a, 1), (a, 2), (a, 3), (b, 4)] {
            let seq = catalog.add_version(&sealed(node, id, 1)).unwrap();
            if id != 3 {
                catalog.set_stored(seq, content, blake3).unwrap();
            }
        }
        let mut found = |node, below| catalog.version_with_content(node, content, version_id(below)).unwrap();
        assert_eq!(found(a, 9), Some(version_id(2)));
        assert_eq!(found(a, 2), Some(version_id(1)));
        assert_eq!(found(a, 1), None);
        assert_eq!(found(b, 9), Some(version_id(4)));
    }

    fn a_small_content_and_its_chunk_become_known_in_one_step(catalog) {
        catalog.add_pack(&pack(1, PackState::Stored)).unwrap();
        let content = catalog.add_content_with_chunk(&hash(100), 25, &chunk(5, 1)).unwrap().unwrap();
        assert_eq!(catalog.content_by_hash(&hash(100), 25).unwrap(), Some(content));
        assert_eq!(catalog.content_chunks(content).unwrap(), [chunk(5, 1)]);
        assert_eq!(catalog.content_use(content).unwrap().chunks[0].refs, 1);
        assert_eq!(usage(catalog, 1), (15, 0));
        assert_eq!(catalog.totals().unwrap().unique_bytes, 25);
        refused(catalog, |c| c.add_content_with_chunk(&hash(100), 25, &chunk(6, 1)));
        for (what, chunk) in [("a chunk that is known", chunk(5, 1)), ("no pack", chunk(6, 2))] {
            let added = catalog.add_content_with_chunk(&hash(101), 26, &chunk).unwrap();
            assert_eq!(added, None, "{what}");
        }
        assert_eq!(usage(catalog, 1), (15, 0));
        catalog.remove_content_if_unused(content).unwrap();
        assert_eq!(usage(catalog, 1), (0, 15));
    }

    fn contents_that_no_version_came_to_use_can_be_swept(catalog) {
        let used = with_content(catalog);
        let node = asset(catalog, "a", 1);
        let seq = catalog.add_version(&sealed(node, 1, 1)).unwrap();
        catalog.set_stored(seq, used, hash(100)).unwrap();
        let lost = catalog.add_content(&hash(101), 9, &[hash(3)]).unwrap();
        catalog.remove_content_if_unused(used).unwrap();
        assert_eq!(catalog.content_by_hash(&hash(100), 63).unwrap(), Some(used));
        assert_eq!(catalog.remove_unused_contents().unwrap(), 1);
        assert_eq!(catalog.content_by_hash(&hash(101), 9).unwrap(), None);
        refused(catalog, |c| c.content_chunks(lost));
        catalog.remove_content_if_unused(lost).unwrap();
        assert_eq!(catalog.remove_unused_contents().unwrap(), 0);
    }

    fn sealed_versions_are_found_by_row_and_by_inode_until_they_are_stored(catalog) {
        let content = with_content(catalog);
        let node = asset(catalog, "a", 1);
        let seqs: Vec<VersionSeq> = [(1, 5), (2, 5), (3, 6)]
            .map(|(id, ino)| catalog.add_version(&sealed(node, id, ino)).unwrap()).to_vec();
        let found = |versions: Vec<Version>| versions.iter().map(|v| v.seq).collect::<Vec<_>>();
        assert_eq!(found(catalog.sealed_versions(VersionSeq(0), 2).unwrap()), seqs[..2]);
        assert_eq!(found(catalog.sealed_versions(seqs[0], 9).unwrap()), seqs[1..]);
        catalog.set_location(seqs[0], Location::SpoolLink).unwrap();
        assert_eq!(found(catalog.sealed_on_inode(facts(5).inode).unwrap()), seqs[..2]);
        catalog.set_location(seqs[0], Location::SpoolCopy).unwrap();
        assert_eq!(found(catalog.sealed_on_inode(facts(5).inode).unwrap()), seqs[1..2]);
        refused(catalog, |c| c.set_stored(seqs[0], content, hash(9)));
        refused(catalog, |c| c.set_stored(seqs[0], ContentId(99), hash(100)));
        catalog.set_stored(seqs[0], content, hash(100)).unwrap();
        refused(catalog, |c| c.set_stored(seqs[0], content, hash(100)));
        refused(catalog, |c| c.set_location(seqs[0], Location::Live));
        let state = catalog.version(seqs[0]).unwrap().unwrap().state;
        assert_eq!(state, VersionState::Stored { content, blake3: hash(100) });
        assert_eq!(found(catalog.sealed_versions(VersionSeq(0), 9).unwrap()), seqs[1..]);
        catalog.set_origin(seqs[1], Origin::Restore, Some(version_id(1))).unwrap();
        let version = catalog.version(seqs[1]).unwrap().unwrap();
        assert_eq!((version.origin, version.restored_from), (Origin::Restore, Some(version_id(1))));
    }

    fn files_are_found_on_their_new_device_and_all_others_stay(catalog) {
        let (a, b) = (asset(catalog, "a", 1), asset(catalog, "b", 2));
        asset(catalog, "never seen", 3);
        let on = |dev, ino| FileFacts { inode: InodeKey { dev, ino }, ..facts(ino) };
        let old = u64::MAX;
        catalog.set_asset_file(a, Some(&on(old, 5))).unwrap();
        catalog.set_asset_file(b, Some(&on(7, 5))).unwrap();
        let seqs = [Location::Live, Location::SpoolLink, Location::SpoolCopy].map(|location| {
            let mut version = sealed(a, 10 + catalog.totals().unwrap().versions, 5);
            version.state = VersionState::Sealed { file: on(old, 5), location };
            catalog.add_version(&version).unwrap()
        });
        let mut other = sealed(b, 20, 5);
        other.state = VersionState::Sealed { file: on(7, 5), location: Location::Live };
        let other = catalog.add_version(&other).unwrap();
        catalog.rebase_device(old, 8).unwrap();
        assert_eq!(catalog.assets_on_inode(on(old, 5).inode).unwrap(), []);
        assert_eq!(catalog.sealed_on_inode(on(old, 5).inode).unwrap(), []);
        assert_eq!(catalog.assets_on_inode(on(8, 5).inode).unwrap(), [a]);
        assert_eq!(catalog.asset(a).unwrap().unwrap().file, Some(on(8, 5)));
        assert_eq!(catalog.assets_on_inode(on(7, 5).inode).unwrap(), [b]);
        let found = |versions: Vec<Version>| versions.iter().map(|v| v.seq).collect::<Vec<_>>();
        assert_eq!(found(catalog.sealed_on_inode(on(8, 5).inode).unwrap()), seqs[..2]);
        assert_eq!(found(catalog.sealed_on_inode(on(7, 5).inode).unwrap()), [other]);
        let copy = catalog.version(seqs[2]).unwrap().unwrap().state;
        assert_eq!(copy, VersionState::Sealed { file: on(8, 5), location: Location::SpoolCopy });
        catalog.rebase_device(1234, 5678).unwrap();
    }

    fn a_content_goes_with_its_last_version_and_its_chunks_die(catalog) {
        let content = with_content(catalog);
        assert_eq!(catalog.content_by_hash(&hash(100), 63).unwrap(), Some(content));
        assert_eq!(catalog.content_by_hash(&hash(100), 64).unwrap(), None);
        assert_eq!(catalog.content_chunks(content).unwrap(), [chunk(1, 1), chunk(2, 1), chunk(1, 1)]);
        assert_eq!(usage(catalog, 1), (11 + 12, 13 + 14));
        refused(catalog, |c| c.add_content(&hash(100), 63, &[]));
        refused(catalog, |c| c.add_content(&hash(101), 1, &[hash(50)]));
        let empty = catalog.add_content(&hash(102), 0, &[]).unwrap();
        assert_eq!(catalog.content_chunks(empty).unwrap(), []);
        assert_eq!(catalog.content_extent(empty).unwrap(), ContentExtent::default());
        let (chunks, begins_at) = (3, Some((PackId([1; 16]), 100)));
        let extent = ContentExtent { chunks, plain_bytes: 21 + 22 + 21, begins_at };
        assert_eq!(catalog.content_extent(content).unwrap(), extent);
        let node = asset(catalog, "a", 1);
        let stored = VersionState::Stored { content, blake3: hash(100) };
        let first = catalog.add_version(&Version { state: stored, ..sealed(node, 1, 1) }).unwrap();
        let second = catalog.add_version(&Version { state: stored, ..sealed(node, 2, 1) }).unwrap();
        assert_eq!(catalog.versions_in_pack(PackId([1; 16])).unwrap(), [first, second]);
        catalog.remove_version(first).unwrap();
        assert_eq!(usage(catalog, 1), (23, 27));
        catalog.remove_version(second).unwrap();
        refused(catalog, |c| c.remove_version(second));
        refused(catalog, |c| c.content_chunks(content));
        assert_eq!(usage(catalog, 1), (0, 50));
        refused(catalog, |c| c.remove_pack(PackId([1; 16])));
        assert_eq!(catalog.remove_dead_chunks(PackId([1; 16])).unwrap(), 4);
        assert_eq!(catalog.chunk(&hash(1)).unwrap(), None);
        catalog.remove_pack(PackId([1; 16])).unwrap();
        assert_eq!(catalog.packs().unwrap(), []);
    }

    fn a_hold_stays_through_a_move_and_goes_with_its_version(catalog) {
        let (a, b) = (asset(catalog, "a", 1), asset(catalog, "b", 2));
        let [first, second] = [1, 2].map(|id| catalog.add_version(&sealed(a, id, 1)).unwrap());
        for _ in 0..2 {
            catalog.set_hold(second, Hold::On).unwrap();
        }
        refused(catalog, |c| c.set_hold(VersionSeq(99), Hold::On));
        assert_eq!(catalog.holds(a).unwrap(), [second]);
        assert!(catalog.has_hold(second).unwrap() && !catalog.has_hold(first).unwrap());
        catalog.move_version(second, b, version_id(2)).unwrap();
        assert_eq!((catalog.holds(a).unwrap(), catalog.holds(b).unwrap()), (vec![], vec![second]));
        catalog.set_hold(first, Hold::On).unwrap();
        for _ in 0..2 {
            catalog.set_hold(first, Hold::Off).unwrap();
        }
        assert!(!catalog.has_hold(first).unwrap());
        catalog.remove_version(second).unwrap();
        assert!(!catalog.has_hold(second).unwrap());
        assert_eq!(catalog.holds(b).unwrap(), []);
    }

    fn the_first_version_id_from_any_point_on_is_found(catalog) {
        assert_eq!(catalog.version_id_from(version_id(0)).unwrap(), None);
        let (a, b) = (asset(catalog, "a", 1), asset(catalog, "b", 2));
        for (node, id) in [(b, 7), (a, 3)] {
            catalog.add_version(&sealed(node, id, 1)).unwrap();
        }
        for (from, found) in [(0, Some(3)), (3, Some(3)), (4, Some(7)), (8, None)] {
            let found = found.map(version_id);
            assert_eq!(catalog.version_id_from(version_id(from)).unwrap(), found, "{from}");
        }
    }

    fn what_a_content_shares_with_others_is_counted(catalog) {
        let one = with_content(catalog);
        let two = catalog.add_content(&hash(101), 9, &[hash(2), hash(3)]).unwrap();
        let node = asset(catalog, "a", 1);
        for (id, content, blake3) in [(1, one, 100), (2, one, 100), (3, two, 101)] {
            let state = VersionState::Stored { content, blake3: hash(blake3) };
            catalog.add_version(&Version { state, ..sealed(node, id, 1) }).unwrap();
        }
        let chunk = |number: u8, listed, refs| ChunkUse {
            hash: hash(number),
            stored_bytes: 10 + u32::from(number),
            listed,
            refs,
        };
        assert_eq!(
            catalog.content_use(one).unwrap(),
            ContentUse { versions: 2, chunks: vec![chunk(1, 2, 2), chunk(2, 1, 2)] }
        );
        assert_eq!(
            catalog.content_use(two).unwrap(),
            ContentUse { versions: 1, chunks: vec![chunk(2, 1, 2), chunk(3, 1, 1)] }
        );
        refused(catalog, |c| c.content_use(ContentId(99)));
    }

    fn the_versions_that_need_a_chunk_are_found_and_no_others(catalog) {
        let one = with_content(catalog);
        let two = catalog.add_content(&hash(101), 9, &[hash(2), hash(3)]).unwrap();
        let node = asset(catalog, "a", 1);
        catalog.add_version(&sealed(node, 1, 1)).unwrap();
        let [first, second, third] = [(2, one, 100), (3, two, 101), (4, one, 100)].map(|(id, content, blake3)| {
            let state = VersionState::Stored { content, blake3: hash(blake3) };
            catalog.add_version(&Version { state, ..sealed(node, id, 1) }).unwrap()
        });
        for (chunks, expected) in [
            (&[1][..], &[first, third][..]),
            (&[2], &[first, second, third]),
            (&[3], &[second]),
            (&[4, 50], &[]),
            (&[50, 3, 1], &[first, second, third]),
            (&[], &[]),
        ] {
            let hashes: Vec<ChunkHash> = chunks.iter().map(|number| hash(*number)).collect();
            assert_eq!(catalog.versions_with_chunks(&hashes).unwrap(), expected, "{chunks:?}");
        }
    }

    fn chunks_move_to_another_pack_with_their_references(catalog) {
        let content = with_content(catalog);
        catalog.add_pack(&pack(2, PackState::Open)).unwrap();
        refused(catalog, |c| c.add_pack(&pack(2, PackState::Open)));
        refused(catalog, |c| c.set_pack(&pack(3, PackState::Open)));
        refused(catalog, |c| c.put_chunks(&[chunk(1, 3)]));
        catalog.put_chunks(&[chunk(1, 2), chunk(3, 2)]).unwrap();
        assert_eq!(catalog.pack_use().unwrap().len(), 1, "open packs are not in use yet");
        catalog.set_pack(&PackRecord { bytes: 5, ..pack(2, PackState::Stored) }).unwrap();
        assert_eq!(usage(catalog, 1), (12, 14));
        assert_eq!(usage(catalog, 2), (11, 13));
        assert_eq!(catalog.content_chunks(content).unwrap(), [chunk(1, 2), chunk(2, 1), chunk(1, 2)]);
        assert_eq!(catalog.remove_dead_chunks(PackId([1; 16])).unwrap(), 1);
        assert_eq!(catalog.pack_chunks(PackId([1; 16])).unwrap(), [chunk(2, 1)]);
        assert_eq!(catalog.pack_chunks(PackId([2; 16])).unwrap(), [chunk(1, 2), chunk(3, 2)]);
    }

    fn an_open_pack_counts_with_its_chunks_and_a_stored_one_with_its_size(catalog) {
        let open = PackRecord { bytes: 0, ..pack(1, PackState::Open) };
        catalog.add_pack(&open).unwrap();
        catalog.put_chunks(&[chunk(1, 1), chunk(2, 1)]).unwrap();
        catalog.add_content(&hash(100), 21, &[hash(1)]).unwrap();
        catalog.add_pack(&pack(2, PackState::Stored)).unwrap();
        let sizes = |catalog: &mut dyn Catalog| {
            let totals = catalog.totals().unwrap();
            (totals.packs, totals.pack_bytes, totals.unique_bytes)
        };
        assert_eq!(sizes(catalog), (2, 11 + 12 + 2000, 21 + 22));
        catalog.set_pack(&pack(1, PackState::Stored)).unwrap();
        assert_eq!(sizes(catalog), (2, 1000 + 2000, 21 + 22));
    }

    fn totals_count_what_is_there(catalog) {
        let content = with_content(catalog);
        let (a, b) = (asset(catalog, "a", 1), asset(catalog, "b", 2));
        catalog.delete_asset(b, time(20)).unwrap();
        let first = catalog.add_version(&sealed(a, 1, 1)).unwrap();
        catalog.add_version(&sealed(b, 2, 1)).unwrap();
        catalog.add_version(&sealed(b, 3, 1)).unwrap();
        catalog.set_stored(first, content, hash(100)).unwrap();
        catalog.create_directory(ROOT, &name("d"), attributes(0), time(30)).unwrap();
        assert_eq!(catalog.totals().unwrap(), Totals {
            assets_live: 1,
            assets_deleted: 1,
            versions: 3,
            versions_sealed: 2,
            sealed_bytes: 25,
            oldest_sealed_at: Some(time(2)),
            logical_bytes: 36,
            unique_bytes: 90,
            pack_bytes: 1000,
            packs: 1,
        });
    }
}
