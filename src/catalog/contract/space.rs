//! Cases: how much space versions take.

use super::*;
use crate::catalog::{AgeSpace, Space, SpaceQuery, SpaceReport, SpaceRows, Standing};
use crate::model::ROOT;

const ALL: SpaceRows = SpaceRows::Assets { depth: 9 };

fn of(catalog: &mut dyn Catalog, directory: NodeId, rows: SpaceRows) -> SpaceReport {
    let query = SpaceQuery {
        directory: Some(directory),
        asset: None,
        rows,
        age_limits: Vec::new(),
    };
    catalog.space(&query).unwrap()
}

fn of_asset(catalog: &mut dyn Catalog, asset: NodeId) -> SpaceReport {
    let query = SpaceQuery {
        directory: None,
        asset: Some(asset),
        rows: SpaceRows::Directories { depth: 1 },
        age_limits: Vec::new(),
    };
    catalog.space(&query).unwrap()
}

/// Chunk n takes 10+n bytes in a pack and has 20+n plain ones.
fn with_chunks(catalog: &mut dyn Catalog) {
    catalog.add_pack(&pack(1, PackState::Stored)).unwrap();
    let chunks: Vec<ChunkRecord> = (1..=8).map(|number| chunk(number, 1)).collect();
    catalog.put_chunks(&chunks).unwrap();
}

fn asset_in(catalog: &mut dyn Catalog, parent: NodeId, text: &str, number: u8) -> NodeId {
    catalog
        .create_asset(parent, &name(text), asset_id(number), None, time(10))
        .unwrap()
}

/// A version of 10+id bytes, kept at instant `id`, whose content lists these chunks.
fn stored(catalog: &mut dyn Catalog, asset: NodeId, id: u64, chunks: &[u8]) {
    let list: Vec<ChunkHash> = chunks.iter().map(|number| hash(*number)).collect();
    let number = chunks
        .iter()
        .fold(100, |sum: u8, n| sum.wrapping_mul(7).wrapping_add(*n));
    let blake3 = hash(number);
    let content = match catalog.content_by_hash(&blake3, 1).unwrap() {
        Some(known) => known,
        None => catalog.add_content(&blake3, 1, &list).unwrap(),
    };
    let state = VersionState::Stored { content, blake3 };
    let version = Version {
        state,
        ..sealed(asset, id, 1)
    };
    catalog.add_version(&version).unwrap();
}

/// Each row as: path, versions, unique and stored bytes.
fn lines(report: &SpaceReport) -> Vec<String> {
    report
        .rows
        .iter()
        .map(|row| {
            let space = &row.space;
            let slash = if row.asset.is_none() { "/" } else { "" };
            let (unique, stored) = (space.unique_bytes, space.stored_bytes);
            format!("{}{slash} {} {unique} {stored}", row.path, space.versions)
        })
        .collect()
}

cases! {
    fn what_two_assets_share_counts_in_both_is_unique_to_neither_and_once_above(catalog) {
        with_chunks(catalog);
        let d = directory(catalog, ROOT, "d");
        let (a, b) = (asset_in(catalog, d, "a", 1), asset_in(catalog, d, "b", 2));
        let c = asset(catalog, "c", 3);
        stored(catalog, a, 1, &[1, 2, 1]);
        stored(catalog, a, 2, &[2, 5]);
        stored(catalog, b, 3, &[2, 3]);
        stored(catalog, c, 4, &[3, 4]);
        let report = of(catalog, ROOT, ALL);
        assert_eq!(lines(&report), [
            "c 1 24 27",
            "d/ 3 68 51",
            "d/a 2 46 38",
            "d/b 1 0 25",
        ]);
        let all = Space {
            assets: 3,
            versions: 4,
            logical_bytes: 11 + 12 + 13 + 14,
            unique_bytes: 21 + 22 + 23 + 24 + 25,
            stored_bytes: 11 + 12 + 13 + 14 + 15,
            ..Space::default()
        };
        assert_eq!(report.total, all);
    }

    fn a_part_of_the_vault_counts_as_it_does_in_the_whole(catalog) {
        with_chunks(catalog);
        let d = directory(catalog, ROOT, "d");
        let (a, b) = (asset_in(catalog, d, "a", 1), asset(catalog, "b", 2));
        // The one content of both, and one of its own that shares a chunk with another.
        stored(catalog, a, 1, &[1, 2]);
        stored(catalog, b, 2, &[1, 2]);
        stored(catalog, a, 3, &[3, 4]);
        stored(catalog, b, 4, &[4]);
        let whole = of(catalog, ROOT, ALL);
        let part = of(catalog, d, ALL);
        assert_eq!(lines(&whole), ["b 2 0 37", "d/ 2 23 50", "d/a 2 23 50"]);
        assert_eq!(lines(&part), ["d/a 2 23 50"]);
        assert_eq!(part.total, whole.rows[1].space);
        let one = of_asset(catalog, a);
        assert_eq!(lines(&one), ["d/a 2 23 50"]);
        assert_eq!(one.total, part.total);
    }

    fn directories_are_listed_as_deep_as_asked_and_without_what_has_no_assets(catalog) {
        with_chunks(catalog);
        let d = directory(catalog, ROOT, "d");
        let e = directory(catalog, d, "e");
        let f = directory(catalog, e, "f");
        directory(catalog, ROOT, "empty");
        // Between "d" and what is in it, were paths compared as bytes.
        let between = directory(catalog, ROOT, "d-");
        for (number, parent) in [(1, f), (2, e), (3, d), (4, ROOT), (5, between)] {
            let node = asset_in(catalog, parent, "a", number);
            stored(catalog, node, number.into(), &[number]);
        }
        let mut listed = |rows| lines(&of(catalog, ROOT, rows));
        assert_eq!(listed(SpaceRows::Directories { depth: 0 }), Vec::<String>::new());
        assert_eq!(listed(SpaceRows::Directories { depth: 1 }), ["d/ 3 66 36", "d-/ 1 25 15"]);
        assert_eq!(listed(SpaceRows::Directories { depth: 2 }), ["d/ 3 66 36", "d/e/ 2 43 23", "d-/ 1 25 15"]);
        assert_eq!(listed(SpaceRows::Assets { depth: 0 }), Vec::<String>::new());
        assert_eq!(listed(SpaceRows::Assets { depth: 1 }), ["a 1 24 14", "d/ 3 66 36", "d-/ 1 25 15"]);
        assert_eq!(listed(SpaceRows::Assets { depth: 2 }), [
            "a 1 24 14", "d/ 3 66 36", "d/a 1 23 13", "d/e/ 2 43 23", "d-/ 1 25 15", "d-/a 1 25 15",
        ]);
    }

    fn deleted_assets_count_and_what_only_they_need_is_told(catalog) {
        with_chunks(catalog);
        let (a, b) = (asset(catalog, "a", 1), asset(catalog, "b", 2));
        stored(catalog, a, 1, &[1, 2]);
        stored(catalog, b, 2, &[2, 3]);
        catalog.delete_asset(a, time(20)).unwrap();
        let report = of(catalog, ROOT, ALL);
        let shares: Vec<_> = report.rows.iter().map(|row| (row.asset, row.space.deleted_bytes)).collect();
        assert_eq!(shares, [(Some(Standing::Deleted), 11 + 12), (Some(Standing::Live), 0)]);
        let total = report.total;
        assert_eq!((total.assets, total.assets_deleted), (2, 1));
        assert_eq!((total.stored_bytes, total.deleted_bytes), (11 + 12 + 13, 11));
        catalog.delete_asset(b, time(21)).unwrap();
        assert_eq!(of(catalog, ROOT, ALL).total.deleted_bytes, 11 + 12 + 13);
    }

    fn sealed_versions_and_empty_ones_take_no_stored_bytes(catalog) {
        with_chunks(catalog);
        let a = asset(catalog, "a", 1);
        catalog.add_version(&sealed(a, 1, 1)).unwrap();
        stored(catalog, a, 2, &[]);
        // A content on its way to a version: nobody's yet, but it keeps the chunk from being unique.
        stored(catalog, a, 3, &[1]);
        catalog.add_content(&hash(99), 7, &[hash(1), hash(2)]).unwrap();
        let total = of(catalog, ROOT, ALL).total;
        assert_eq!(total, Space {
            assets: 1,
            versions: 3,
            versions_sealed: 1,
            logical_bytes: 11 + 12 + 13,
            stored_bytes: 11,
            ..Space::default()
        });
    }

    fn the_heaviest_assets_come_first_wherever_they_are(catalog) {
        with_chunks(catalog);
        let d = directory(catalog, ROOT, "d");
        let (a, b) = (asset(catalog, "a", 1), asset_in(catalog, d, "b", 2));
        let (c, e) = (asset_in(catalog, d, "c", 3), asset(catalog, "e", 4));
        stored(catalog, a, 1, &[1]);
        stored(catalog, b, 2, &[2, 2, 3]);
        stored(catalog, c, 3, &[4, 1]);
        catalog.add_version(&sealed(e, 9, 1)).unwrap();
        let mut heaviest = |count| lines(&of(catalog, ROOT, SpaceRows::Heaviest(count)));
        assert_eq!(heaviest(9), ["d/b 1 45 25", "d/c 1 24 25", "a 1 0 11"]);
        assert_eq!(heaviest(2), ["d/b 1 45 25", "d/c 1 24 25"]);
        assert_eq!(heaviest(1), ["d/b 1 45 25"]);
        assert_eq!(heaviest(0), Vec::<String>::new());
        let some = of(catalog, ROOT, SpaceRows::Heaviest(1)).total;
        assert_eq!(some, of(catalog, ROOT, ALL).total, "the total is of all");
    }

    fn ages_count_versions_by_when_they_were_kept_and_chunks_by_their_first(catalog) {
        with_chunks(catalog);
        let (a, b) = (asset(catalog, "a", 1), asset(catalog, "b", 2));
        stored(catalog, a, 29, &[1, 2]);
        stored(catalog, a, 30, &[2, 3]);
        stored(catalog, b, 10, &[3]);
        catalog.add_version(&sealed(b, 31, 1)).unwrap();
        let query = SpaceQuery {
            directory: Some(ROOT),
            asset: None,
            rows: SpaceRows::Directories { depth: 0 },
            age_limits: vec![time(30), time(20), time(5)],
        };
        let age = |versions, logical_bytes, stored_bytes| AgeSpace {
            versions,
            logical_bytes,
            stored_bytes,
        };
        assert_eq!(catalog.space(&query).unwrap().ages, [
            age(2, 40 + 41, 0),
            age(1, 39, 11 + 12),
            age(1, 20, 13),
            age(0, 0, 0),
        ]);
    }

    fn a_reader_sees_what_was_committed_and_holds_nobody_up(catalog) {
        with_chunks(catalog);
        let a = asset(catalog, "a", 1);
        stored(catalog, a, 1, &[1]);
        catalog.commit(crate::catalog::Durability::Process).unwrap();
        let mut reader = catalog.reader().unwrap();
        assert_eq!(of(reader.as_mut(), ROOT, ALL), of(catalog, ROOT, ALL));
        stored(catalog, a, 2, &[2]);
        catalog.commit(crate::catalog::Durability::Process).unwrap();
        assert_eq!(of(catalog, ROOT, ALL).total.versions, 2);
        drop(reader);
    }
}
