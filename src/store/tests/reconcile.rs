//! A catalog that was made anew, and packs that are there, not whole, or elsewhere.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use super::damage::writable;
use crate::catalog::{Catalog, ChunkRecord, PackRecord, PackState};
use crate::model::{ContentId, PackId, VersionSeq};
use crate::store::codec::hash;
use crate::store::pack::{PACK_BYTES_MAX, TRAILER_BYTES};
use crate::store::reconcile::note_elsewhere;
use crate::store::testing::{Bench, noise};
use crate::store::{CheckDepth, Reconciled, StoreError, list_packs, reconcile, versions_in_packs};

fn id_of(pack: &Path) -> PackId {
    pack.file_stem().unwrap().to_str().unwrap().parse().unwrap()
}

/// Contents in a pack each, all of which the journal saw growing.
fn growing_in_the_journal(count: u64) -> (Bench, Vec<(PackId, ContentId)>) {
    let mut bench = Bench::new();
    let mut made = Vec::new();
    for seed in 0..count {
        let content = bench.write(&noise(50_000, seed));
        bench.store().flush().unwrap();
        made.push((bench.facts.all_packs().last().unwrap().id, content));
    }
    bench.close();
    for &(id, _) in &made {
        let state = PackState::Open;
        let open = PackRecord {
            id,
            state,
            bytes: 0,
        };
        bench.facts.set_pack(&open).unwrap();
    }
    (bench, made)
}

fn reconciled(bench: &Bench) -> Reconciled {
    reconcile(&bench.config.place, &mut bench.facts.clone(), None).unwrap()
}

fn damage_table(bench: &Bench, pack: PackId) {
    let packs = bench.files("store");
    let file = packs.iter().find(|file| id_of(file) == pack).unwrap();
    let bytes = fs::metadata(file).unwrap().len();
    writable(file).set_len(bytes - TRAILER_BYTES).unwrap();
}

#[test]
fn a_listed_pack_whose_table_cannot_be_read_is_damaged_and_not_one_that_never_came() {
    let (mut bench, made) = growing_in_the_journal(2);
    let (hurt, content) = made[0];
    damage_table(&bench, hurt);
    let expected = Reconciled {
        damaged: vec![hurt],
        ..Reconciled::default()
    };
    assert_eq!(reconciled(&bench), expected);
    let states: Vec<_> = bench.facts.all_packs().iter().map(|p| p.state).collect();
    assert_eq!(states, [PackState::Stored; 2]);
    bench.reopen();
    let named = bench.damages(CheckDepth::Listing);
    let named: Vec<_> = named.iter().map(|d| (d.pack, &d.versions[..])).collect();
    assert_eq!(named, [(hurt, &[VersionSeq(content.0)][..])]);
    assert_eq!(bench.read(made[1].1).unwrap(), noise(50_000, 1));
}

#[test]
fn a_pack_that_came_after_the_listing_is_asked_for_again() {
    let bench = Bench::new();
    bench.write(b"first");
    bench.store().flush().unwrap();
    let place = &bench.config.place;
    let early = list_packs(place).unwrap();
    bench.write(b"second");
    bench.store().flush().unwrap();
    let reconciled = reconcile(place, &mut bench.facts.clone(), Some(early));
    assert_eq!(reconciled.unwrap(), Reconciled::default());
}

#[test]
fn a_pack_that_lacks_a_chunk_is_damaged_and_the_rest_of_it_is_read() {
    let (mut bench, made) = growing_in_the_journal(2);
    let ((hurt, first), (other, second)) = (made[0], made[1]);
    // As if the second content had been written into the first pack, too.
    let moved: Vec<_> = bench.facts.pack_chunks(other).unwrap();
    let moved: Vec<_> = moved
        .into_iter()
        .map(|chunk| ChunkRecord {
            pack: hurt,
            ..chunk
        })
        .collect();
    bench.facts.put_chunks(&moved).unwrap();
    bench.facts.remove_pack(other).unwrap();
    let file = bench.files("store");
    let file = file.iter().find(|file| id_of(file) == other).unwrap();
    fs::remove_file(file).unwrap();
    assert_eq!(reconciled(&bench).damaged, [hurt]);
    bench.reopen();
    assert_eq!(bench.read(first).unwrap(), noise(50_000, 0));
    let error = bench.read(second).unwrap_err();
    assert!(
        matches!(
            error,
            StoreError::ChunkDamaged { .. } | StoreError::PackDamaged { .. }
        ),
        "{error}"
    );
}

#[test]
fn what_an_unreadable_pack_had_is_found_in_a_pack_that_was_taken() {
    let mut bench = Bench::new();
    let contents = [1, 2].map(|seed| bench.write(&noise(50_000, seed)));
    bench.store().flush().unwrap();
    bench.close();
    // The journal knows the first chunk in a pack that is damaged, and the other one growing.
    let file = bench.files("store").remove(0);
    let (whole, hurt) = (id_of(&file), PackId([7; 16]));
    for id in [whole, hurt] {
        let state = PackState::Open;
        let open = PackRecord {
            id,
            state,
            bytes: 0,
        };
        match id == whole {
            true => bench.facts.set_pack(&open).unwrap(),
            false => bench.facts.add_pack(&open).unwrap(),
        }
    }
    let chunk = bench.facts.content_chunks(contents[0]).unwrap()[0];
    let moved = ChunkRecord {
        pack: hurt,
        ..chunk
    };
    bench.facts.put_chunks(&[moved]).unwrap();
    let place = bench.directory.path().join("store/packs/07");
    fs::create_dir_all(&place).unwrap();
    fs::write(place.join(format!("{hurt}.pack")), "cut short").unwrap();
    let expected = Reconciled {
        relocated: 1,
        ..Reconciled::default()
    };
    assert_eq!(reconciled(&bench), expected);
    let known = bench.facts.all_packs();
    assert_eq!(
        known.iter().map(|pack| pack.id).collect::<Vec<_>>(),
        [whole]
    );
    bench.reopen();
    for (content, seed) in contents.into_iter().zip([1, 2]) {
        assert_eq!(bench.read(content).unwrap(), noise(50_000, seed));
    }
}

#[test]
fn only_what_is_not_listed_counts_as_never_put_or_missing() {
    let (mut bench, made) = growing_in_the_journal(3);
    let stored = PackRecord {
        id: made[2].0,
        state: PackState::Stored,
        bytes: 1,
    };
    bench.facts.set_pack(&stored).unwrap();
    for file in bench.files("store") {
        if id_of(&file) != made[1].0 {
            fs::remove_file(file).unwrap();
        }
    }
    let expected = Reconciled {
        never_put: vec![made[0].0],
        missing: vec![made[2].0],
        ..Reconciled::default()
    };
    assert_eq!(reconciled(&bench), expected);
    let packs = [made[0].0, made[2].0];
    let versions = versions_in_packs(&mut bench.facts, &packs).unwrap();
    assert_eq!(versions, [VersionSeq(made[0].1.0), VersionSeq(made[2].1.0)]);
}

#[test]
fn a_pack_of_another_length_is_damaged_and_no_length_is_believed() {
    let (mut bench, made) = growing_in_the_journal(2);
    let (known, claims) = (made[0].0, made[1].0);
    for file in bench.files("store") {
        let bytes = fs::metadata(&file).unwrap().len();
        if id_of(&file) == known {
            let (id, state) = (known, PackState::Stored);
            bench
                .facts
                .set_pack(&PackRecord { id, state, bytes })
                .unwrap();
            writable(&file).set_len(bytes - 1).unwrap();
        } else {
            writable(&file).set_len(1 << 43).unwrap();
        }
    }
    let mut damaged = reconciled(&bench).damaged;
    damaged.sort_unstable();
    let mut expected = [known, claims];
    expected.sort_unstable();
    assert_eq!(damaged, expected);
    let packs = bench.facts.all_packs();
    let claimed = packs.iter().find(|pack| pack.id == claims).unwrap();
    assert_eq!(claimed.bytes, PACK_BYTES_MAX);
    bench.reopen();
    assert_eq!(bench.damages(CheckDepth::Listing).len(), 2);
}

/// A store can have any number of packs, and a hostile journal calls each of them growing.
#[test]
fn of_tables_no_more_is_kept_than_the_catalog_knows() {
    let (mut bench, made) = growing_in_the_journal(3);
    let chunk = bench.facts.content_chunks(made[0].1).unwrap()[0];
    let mut elsewhere = HashMap::new();
    for number in 0..10 {
        let pack = PackId([number; 16]);
        let strange = |name: u32| ChunkRecord {
            hash: hash(&name.to_le_bytes()),
            pack,
            ..chunk
        };
        let mut entries: Vec<_> = (0..1000).map(strange).collect();
        entries.push(chunk);
        entries.push(ChunkRecord { pack, ..chunk });
        entries.push(ChunkRecord {
            pack,
            plain_bytes: 7,
            ..chunk
        });
        note_elsewhere(&mut bench.facts.clone(), entries, &mut elsewhere).unwrap();
    }
    let first = ChunkRecord {
        pack: PackId([0; 16]),
        ..chunk
    };
    assert_eq!(elsewhere, [(chunk.hash, first)].into());
}
