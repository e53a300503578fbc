//! Damage in the store gives its own error and never wrong bytes; a full disk
//! harms nothing.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;
use std::sync::atomic::Ordering;

use crate::model::VersionSeq;
use crate::store::testing::{Bench, noise, text};
use crate::store::{AtBound, Tail};
use crate::store::{CheckDepth, StoreError};

pub(super) fn writable(file: &Path) -> File {
    fs::set_permissions(file, Permissions::from_mode(0o600)).unwrap();
    File::options().read(true).write(true).open(file).unwrap()
}

#[test]
fn a_flipped_bit_is_an_error_and_never_wrong_bytes() {
    for source in [noise(100_000, 1), text(100_000, 1)] {
        let mut bench = Bench::new();
        let content = bench.write(&source);
        bench.store().flush().unwrap();
        let [file] = &bench.files("store")[..] else {
            panic!()
        };
        let file = writable(file);
        for at in [80, 81, 5_000, 20_000] {
            bench.reopen();
            let mut byte = [0];
            file.read_exact_at(&mut byte, at).unwrap();
            file.write_all_at(&[byte[0] ^ 4], at).unwrap();
            let error = bench.read(content).unwrap_err();
            assert!(matches!(error, StoreError::ChunkDamaged { .. }), "{error}");
            assert_eq!(bench.damages(CheckDepth::Listing), []);
            let [damage] = &bench.damages(CheckDepth::ReadData)[..] else {
                panic!()
            };
            assert!(damage.detail.contains("1 of 1 chunks"), "{damage:?}");
            assert_eq!(damage.versions, [VersionSeq(content.0)]);
            file.write_all_at(&byte, at).unwrap();
            assert_eq!(bench.read(content).unwrap(), source);
        }
    }
}

#[test]
fn damage_in_one_chunk_leaves_the_rest_of_the_content_readable() {
    let bench = Bench::new();
    let source = noise(10 << 20, 1);
    let content = bench.write(&source);
    bench.store().flush().unwrap();
    let [file] = &bench.files("store")[..] else {
        panic!()
    };
    writable(file).write_all_at(b"XXXX", 4096).unwrap();
    let reader = bench.store().reader(content).unwrap();
    let mut buffer = vec![0; 1 << 20];
    assert!(reader.read_at(0, &mut buffer).is_err());
    for offset in (5 << 20..10 << 20).step_by(1 << 20) {
        reader.read_at(offset as u64, &mut buffer).unwrap();
        assert!(buffer == source[offset..][..1 << 20]);
    }
}

#[test]
fn damage_in_one_chunk_is_reported_for_the_versions_that_use_it_and_no_others() {
    let bench = Bench::new();
    let contents = [1, 2, 3].map(|seed| bench.write(&noise(10_000, seed)));
    bench.store().flush().unwrap();
    let [file] = &bench.files("store")[..] else {
        panic!()
    };
    // In the second of three records.
    writable(file).write_all_at(b"XXXX", 15_000).unwrap();
    let [damage] = &bench.damages(CheckDepth::ReadData)[..] else {
        panic!()
    };
    assert_eq!(damage.versions, [VersionSeq(contents[1].0)]);
    fs::remove_file(file).unwrap();
    let [damage] = &bench.damages(CheckDepth::ReadData)[..] else {
        panic!()
    };
    assert_eq!(
        damage.versions,
        contents.map(|content| VersionSeq(content.0))
    );
}

#[test]
fn a_check_that_reads_data_notices_any_flipped_byte_of_a_pack() {
    let bench = Bench::new();
    let contents = [1, 2].map(|seed| bench.write(&noise(100, seed)));
    bench.store().flush().unwrap();
    let [path] = &bench.files("store")[..] else {
        panic!()
    };
    let file = writable(path);
    let whole = fs::read(path).unwrap();
    let data = [80..180, 228..328];
    for (at, byte) in whole.iter().enumerate() {
        file.write_all_at(&[byte ^ 1], at as u64).unwrap();
        let [damage] = &bench.damages(CheckDepth::ReadData)[..] else {
            panic!("byte {at}")
        };
        // Nobody needs the rest to read a version.
        let hurt = contents.iter().zip(&data);
        let hurt: Vec<_> = hurt
            .filter(|(_, data)| data.contains(&at))
            .map(|(content, _)| VersionSeq(content.0))
            .collect();
        assert_eq!(damage.versions, hurt, "byte {at}: {damage:?}");
        file.write_all_at(&[*byte], at as u64).unwrap();
    }
    assert_eq!(bench.damages(CheckDepth::ReadData), []);
}

#[test]
fn a_missing_pack_is_named_and_its_content_can_be_written_again() {
    let mut bench = Bench::new();
    let source = noise(3 << 20, 1);
    let content = bench.write(&source);
    bench.store().flush().unwrap();
    fs::remove_file(&bench.files("store")[0]).unwrap();
    bench.reopen();
    let error = bench.read(content).unwrap_err();
    assert!(matches!(error, StoreError::PackMissing { .. }), "{error}");
    let [damage] = &bench.damages(CheckDepth::Listing)[..] else {
        panic!()
    };
    assert_eq!(damage.detail, "missing from the store");
    // Never deduplicated against what is not there, even without a check before.
    bench.reopen();
    let written = bench
        .store()
        .write(&mut &source[..], Tail::Whole, AtBound::Wait)
        .unwrap();
    assert_eq!((written.content, written.new_bytes), (content, 3 << 20));
    assert_eq!(bench.read(content).unwrap(), source);
    assert_eq!(bench.damages(CheckDepth::ReadData), []);
}

/// The same content was cut otherwise then: the chunks of now do not vouch for its list.
#[test]
fn a_content_that_lost_its_tail_is_whole_again_when_it_is_written_with_another_tail() {
    let mut bench = Bench::with_pack_bytes(1 << 20);
    let source = noise(3 << 20, 1);
    let content = bench.write(&source);
    bench.store().flush().unwrap();
    let packs = bench.files("store");
    assert!(packs.len() > 1, "{packs:?}");
    for lost in &packs {
        let bytes = fs::read(lost).unwrap();
        fs::remove_file(lost).unwrap();
        bench.reopen();
        let written = bench
            .store()
            .write(&mut &source[..], Tail::Fine, AtBound::Wait)
            .unwrap();
        assert_eq!(written.content, content);
        assert_eq!(bench.read(content).unwrap(), source, "{lost:?}");
        bench.store().flush().unwrap();
        assert_eq!(bench.damages(CheckDepth::ReadData), []);
        fs::write(lost, bytes).unwrap();
    }
}

#[test]
fn nothing_new_relies_on_a_pack_that_a_reader_found_cut_short() {
    let bench = Bench::new();
    let source = noise(1 << 20, 1);
    let content = bench.write(&source);
    bench.store().flush().unwrap();
    // Seen whole in this run.
    let again = |bench: &Bench| {
        let written = bench
            .store()
            .write(&mut &source[..], Tail::Whole, AtBound::Wait);
        written.unwrap().new_bytes
    };
    assert_eq!(again(&bench), 0);
    let path = bench.files("store")[0].clone();
    writable(&path).set_len(1000).unwrap();
    let shared = &bench.store().shared;
    let chunks = shared.catalog().unwrap().content_chunks(content).unwrap();
    for chunk in chunks {
        shared.cache.forget(&chunk.hash);
    }
    let error = bench.read(content).unwrap_err();
    assert!(matches!(error, StoreError::PackDamaged { .. }), "{error}");
    assert_eq!(again(&bench), 1 << 20);
    assert_eq!(bench.read(content).unwrap(), source);
}

#[test]
fn nothing_is_deduplicated_against_strangers_bytes_of_the_same_length() {
    let mut bench = Bench::new();
    let source = noise(1 << 20, 1);
    bench.write(&source);
    bench.store().flush().unwrap();
    let path = bench.files("store")[0].clone();
    let bytes = fs::metadata(&path).unwrap().len() as usize;
    fs::remove_file(&path).unwrap();
    fs::write(&path, noise(bytes, 2)).unwrap();
    bench.reopen();
    let written = bench
        .store()
        .write(&mut &source[..], Tail::Whole, AtBound::Wait)
        .unwrap();
    assert_eq!(written.new_bytes, 1 << 20);
    assert_eq!(bench.read(written.content).unwrap(), source);
    bench.reopen();
    assert_eq!(bench.read(written.content).unwrap(), source);
}

#[test]
fn a_pack_that_was_cut_short_is_an_error_wherever_the_cut_is() {
    let mut bench = Bench::new();
    let source = noise(1 << 20, 1);
    let content = bench.write(&source);
    bench.store().flush().unwrap();
    let [path] = &bench.files("store")[..] else {
        panic!()
    };
    let whole = fs::read(path).unwrap();
    for kept in [0, 10, 32, 80, 500_000, whole.len() - 200] {
        fs::remove_file(path).unwrap();
        fs::write(path, &whole[..kept]).unwrap();
        bench.reopen();
        match bench.read(content) {
            Ok(bytes) => assert_eq!(bytes, source),
            Err(error) => assert!(matches!(error, StoreError::PackDamaged { .. }), "{error}"),
        }
        let [damage] = &bench.damages(CheckDepth::Listing)[..] else {
            panic!()
        };
        assert!(damage.detail.contains("bytes instead of"), "{damage:?}");
    }
    // Cut in the table and filled up again: the size is right, the table is not.
    let mut torn = whole.clone();
    let table_at = whole.len() - 100;
    torn[table_at] ^= 1;
    fs::remove_file(path).unwrap();
    fs::write(path, torn).unwrap();
    bench.reopen();
    let [damage] = &bench.damages(CheckDepth::Listing)[..] else {
        panic!()
    };
    assert!(damage.detail.contains("checksum"), "{damage:?}");
}

#[test]
fn a_full_spool_is_told_and_later_writes_succeed() {
    let mut bench = Bench::new();
    let kept = bench.write(&noise(100_000, 1));
    let source = noise(3 << 20, 2);
    let limit = &bench.store().shared.open_packs.file_bytes_max;
    limit.store(500_000, Ordering::SeqCst);
    for bytes in [200_000, 3 << 20] {
        let error = bench.store().write(
            &mut &noise(bytes + 300_000, 3)[..],
            Tail::Whole,
            AtBound::Wait,
        );
        let error = error.unwrap_err();
        assert!(
            matches!(
                error,
                StoreError::Full {
                    what: "the spool",
                    ..
                }
            ),
            "{error}"
        );
    }
    bench.facts.assert_consistent();
    let limit = &bench.store().shared.open_packs.file_bytes_max;
    limit.store(u64::MAX, Ordering::SeqCst);
    let content = bench.write(&source);
    for round in 0..2 {
        assert_eq!(bench.read(content).unwrap(), source, "round {round}");
        assert_eq!(bench.read(kept).unwrap(), noise(100_000, 1));
        bench.reopen();
    }
    assert_eq!(bench.store().recovered_damage(), []);
    assert_eq!(bench.damages(CheckDepth::ReadData), []);
}

#[test]
fn a_store_that_takes_no_packs_keeps_them_in_the_spool_until_it_does() {
    let mut bench = Bench::with_pack_bytes(1 << 20);
    let content = bench.write(&noise(100_000, 1));
    // A file where the directory of the packs should be.
    let obstacle = bench.directory.path().join("store/packs");
    fs::write(&obstacle, b"").unwrap();
    bench.store().flush().unwrap_err();
    assert_eq!(bench.read(content).unwrap(), noise(100_000, 1));
    fs::remove_file(&obstacle).unwrap();
    bench.store().flush().unwrap();
    assert_eq!(bench.files("store").len(), 1);
    bench.reopen();
    assert_eq!(bench.read(content).unwrap(), noise(100_000, 1));
}
