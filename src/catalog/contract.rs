//! What every catalog must do, as cases that run on each implementation.
//!
//! `names`, `versions` and `space` hold the cases, `random` drives both implementations
//! with the same random operations and compares everything that can be seen.

mod names;
mod published;
mod random;
mod space;
mod versions;

use super::memory::MemoryCatalog;
use super::sqlite::SqliteCatalog;
use super::{Catalog, Child, ChunkRecord, Codec, PackRecord, PackState, Undo};
use crate::model::{
    AssetId, Attributes, ChunkHash, Context, FileFacts, InodeKey, Labels, Location, Name, NodeId,
    Origin, PackId, Tags, Timestamp, Version, VersionId, VersionSeq, VersionState,
};

/// Runs a case on each implementation, and the search for damage after it.
fn on_each(case: impl Fn(&mut dyn Catalog)) {
    let dir = tempfile::tempdir().unwrap();
    let file = SqliteCatalog::open(&dir.path().join("catalog.db")).unwrap();
    let each: [Box<dyn Catalog>; 2] = [Box::new(MemoryCatalog::new()), Box::new(file)];
    for mut catalog in each {
        case(catalog.as_mut());
        assert_eq!(catalog.check().unwrap(), Vec::<String>::new());
    }
}

/// Tests that run a case of their own name on each implementation.
macro_rules! cases {
    ($($(#[$doc:meta])* fn $name:ident($catalog:ident) $body:block)*) => {
        $($(#[$doc])*
        #[test]
        fn $name() {
            super::on_each(|$catalog| $body);
        })*
    };
}
use cases;

fn name(text: &str) -> Name {
    Name::new(text.as_bytes()).unwrap()
}

fn time(nanos: i64) -> Timestamp {
    Timestamp::from_nanos(nanos)
}

fn attributes(mode: u32) -> Attributes {
    Attributes {
        mode,
        uid: 1000,
        gid: u32::MAX,
        mtime: time(-5),
    }
}

fn facts(ino: u64) -> FileFacts {
    FileFacts {
        inode: InodeKey { dev: u64::MAX, ino },
        nlink: 1,
        size: 10,
        attributes: attributes(0o640),
        ctime: time(77),
    }
}

fn noted(tag: &str) -> Labels {
    Labels {
        tags: Tags::parse(tag).unwrap(),
        context: Context::parse("k=v").unwrap(),
    }
}

fn asset_id(number: u8) -> AssetId {
    AssetId([number; 16])
}

fn version_id(number: u64) -> VersionId {
    VersionId(u128::from(number).to_be_bytes())
}

fn hash(number: u8) -> ChunkHash {
    ChunkHash([number; 32])
}

fn pack(number: u8, state: PackState) -> PackRecord {
    PackRecord {
        id: PackId([number; 16]),
        state,
        bytes: 1000 * u64::from(number),
    }
}

fn chunk(number: u8, in_pack: u8) -> ChunkRecord {
    ChunkRecord {
        hash: hash(number),
        pack: PackId([in_pack; 16]),
        offset: 100 * u64::from(number),
        stored_bytes: 10 + u32::from(number),
        plain_bytes: 20 + u32::from(number),
        codec: Codec::from_number(number % 4).unwrap(),
    }
}

fn sealed(asset: NodeId, id: u64, ino: u64) -> Version {
    Version {
        seq: VersionSeq(0),
        asset,
        id: version_id(id),
        size: 10 + id,
        attributes: attributes(0o600),
        xattrs: vec![(b"user.a".to_vec(), b"\xff\0".to_vec())],
        kept_at: time(id.cast_signed()),
        origin: Origin::Write,
        restored_from: None,
        state: VersionState::Sealed {
            file: facts(ino),
            location: Location::Live,
        },
    }
}

/// A live asset in the root.
fn asset(catalog: &mut dyn Catalog, text: &str, number: u8) -> NodeId {
    catalog
        .create_asset(
            crate::model::ROOT,
            &name(text),
            asset_id(number),
            None,
            time(10),
        )
        .unwrap()
}

fn directory(catalog: &mut dyn Catalog, parent: NodeId, text: &str) -> NodeId {
    catalog
        .create_directory(parent, &name(text), attributes(0o700), time(10))
        .unwrap()
}

fn shown(children: &[Child]) -> Vec<String> {
    children
        .iter()
        .map(|child| match child {
            Child::Directory {
                name,
                has_assets,
                has_deleted,
                ..
            } => format!("{name}/ {has_assets} {has_deleted}"),
            Child::Asset { name, standing, .. } => format!("{name} {standing:?}"),
        })
        .collect()
}

/// A change that must be refused, undone as the callers do it.
fn refused<T: std::fmt::Debug>(
    catalog: &mut dyn Catalog,
    work: impl FnOnce(&mut dyn Catalog) -> super::Result<T>,
) {
    catalog.savepoint(Undo::Often).unwrap();
    let done = work(catalog);
    assert!(
        matches!(done, Err(super::CatalogError::Invariant(_))),
        "{done:?}"
    );
    catalog.rollback().unwrap();
}
