//! Any bytes in any object cost availability and nothing else: no wrong byte is read, no
//! new content relies on what a store only claims, nothing panics.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;

use proptest::prelude::*;

use crate::catalog::{Catalog, ChunkRecord, Codec, PackRecord, PackState};
use crate::model::PackId;
use crate::store::backend::PackSource;
use crate::store::check::read_table;
use crate::store::codec::hash;
use crate::store::pack::{TRAILER_BYTES, TableSpan, table_and_trailer};
use crate::store::testing::{Bench, noise, text};
use crate::store::{CheckDepth, StoreError};

/// What is done to a pack. Places and lengths are parts of a pack's length, in 65536ths.
#[derive(Debug, Clone)]
enum Harm {
    Replace(Vec<u8>),
    Cut(u16),
    /// As far as a file can claim to reach without a byte on the disk.
    Stretch(u64),
    Overwrite(u16, Vec<u8>),
    /// The trailer keeps its marks and gets other numbers.
    Renumber(u64, u64),
    Swap,
    Remove,
}

fn harm() -> impl Strategy<Value = Harm> {
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..500).prop_map(Harm::Replace),
        any::<u16>().prop_map(Harm::Cut),
        (1_u64..1 << 43).prop_map(Harm::Stretch),
        (any::<u16>(), proptest::collection::vec(any::<u8>(), 1..200))
            .prop_map(|(at, bytes)| Harm::Overwrite(at, bytes)),
        (any::<u64>(), any::<u64>()).prop_map(|(one, other)| Harm::Renumber(one, other)),
        Just(Harm::Swap),
        Just(Harm::Remove),
    ]
}

/// `bytes`: what the pack was; `other`: another one. Both may be too long to read by now.
fn do_harm(harm: &Harm, pack: &Path, bytes: &[u8], other: &[u8]) {
    let place = |part: u16| (bytes.len() as u64 * u64::from(part)) >> 16;
    fs::set_permissions(pack, fs::Permissions::from_mode(0o600)).unwrap();
    let file = File::options().write(true).open(pack).unwrap();
    match harm {
        Harm::Replace(bytes) => fs::write(pack, bytes).unwrap(),
        Harm::Cut(part) => file.set_len(place(*part)).unwrap(),
        Harm::Stretch(length) => file.set_len(*length).unwrap(),
        Harm::Overwrite(part, bytes) => file.write_all_at(bytes, place(*part)).unwrap(),
        Harm::Renumber(offset, length) => {
            let trailer_at = bytes.len() as u64 - TRAILER_BYTES;
            file.write_all_at(&offset.to_le_bytes(), trailer_at)
                .unwrap();
            file.write_all_at(&length.to_le_bytes(), trailer_at + 8)
                .unwrap();
        }
        Harm::Swap => fs::write(pack, other).unwrap(),
        Harm::Remove => fs::remove_file(pack).unwrap(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn whatever_stands_in_the_packs_contents_are_right_or_not_there(
        harms in proptest::collection::vec((0_usize..4, harm()), 1..4),
    ) {
        let mut bench = Bench::with_pack_bytes(64 << 10);
        let sources: Vec<_> = (0..4)
            .map(|seed| [noise(60_000, seed), text(30_000, seed + 10)].concat())
            .collect();
        let contents: Vec<_> = sources.iter().map(|source| bench.write(source)).collect();
        bench.store().flush().unwrap();
        bench.facts.commit_now();
        bench.close();
        let packs = bench.files("store");
        let originals: Vec<_> = packs.iter().map(|pack| fs::read(pack).unwrap()).collect();
        for (index, harm) in &harms {
            let index = index % packs.len();
            if packs[index].exists() {
                do_harm(harm, &packs[index], &originals[index], &originals[0]);
            }
        }
        bench.reopen();
        for (source, content) in sources.iter().zip(&contents) {
            if let Ok(bytes) = bench.read(*content) {
                prop_assert!(bytes == *source);
            }
        }
        bench.store().check(CheckDepth::ReadData, &mut |_, _| {}).unwrap();
        // New content relies on nothing that is not there.
        let fresh = [&sources[1][..], b"and more"].concat();
        let content = bench.write(&fresh);
        bench.store().flush().unwrap();
        prop_assert!(bench.read(content).unwrap() == fresh);

        bench.close();
        for (pack, bytes) in packs.iter().zip(&originals) {
            fs::remove_file(pack).ok();
            fs::write(pack, bytes).unwrap();
        }
        bench.reopen();
        for (source, content) in sources.iter().zip(&contents) {
            prop_assert!(bench.read(*content).unwrap() == *source);
        }
        prop_assert_eq!(bench.damages(CheckDepth::ReadData), []);
    }
}

#[test]
fn a_size_that_no_pack_has_is_damage_before_anything_is_read() {
    let bench = Bench::new();
    for claimed in [u64::MAX, 1 << 63, 5 << 30] {
        let table = read_table(
            &bench.store().shared.backend(),
            &PackSource::Object,
            PackId([7; 16]),
            claimed,
        );
        assert!(
            matches!(&table, Err(StoreError::PackDamaged { detail, .. }) if detail.contains("as long as")),
            "{table:?}"
        );
    }
}

/// A pack as after a kill between its put and its row, whose table was extended.
fn with_an_invented_chunk(bench: &mut Bench, invented: &[u8]) {
    bench.close();
    let pack = bench.files("store").remove(0);
    let id: PackId = pack.file_stem().unwrap().to_str().unwrap().parse().unwrap();
    let bytes = fs::read(&pack).unwrap();
    let trailer_at = bytes.len() - TRAILER_BYTES as usize;
    let span = TableSpan::from_trailer(&bytes[trailer_at..], bytes.len() as u64).unwrap();
    let table_at = span.offset as usize;
    let mut entries = span.entries(&bytes[table_at..trailer_at], id).unwrap();
    entries.push(ChunkRecord {
        hash: hash(invented),
        stored_bytes: invented.len() as u32,
        plain_bytes: invented.len() as u32,
        codec: Codec::Plain,
        ..entries[0]
    });
    let mut forged = bytes[..table_at].to_vec();
    forged.extend(table_and_trailer(&entries, span.offset));
    fs::remove_file(&pack).unwrap();
    fs::write(&pack, forged).unwrap();
    let mark = bench.config.spool_dir.join(format!("{id}.pack"));
    fs::write(mark, "").unwrap();
    let open = PackRecord {
        id,
        state: PackState::Open,
        bytes: 0,
    };
    bench.facts.clone().set_pack(&open).unwrap();
    bench.reopen();
}

#[test]
fn a_table_cannot_make_new_content_rely_on_a_chunk_that_is_not_there() {
    let mut bench = Bench::new();
    let kept = bench.write(&noise(50_000, 1));
    bench.store().flush().unwrap();
    let coming = noise(40_000, 2);
    with_an_invented_chunk(&mut bench, &coming);
    assert_eq!(bench.read(kept).unwrap(), noise(50_000, 1));
    let content = bench.write(&coming);
    bench.reopen();
    assert_eq!(bench.read(content).unwrap(), coming);
}
