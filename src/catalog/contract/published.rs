//! A journal in memory, for the cases: what a catalog published, and the catalog that
//! another machine makes of it.

use std::path::Path;

use crate::catalog::sqlite::SqliteCatalog;
use crate::catalog::{Catalog, CatalogBuilder, CatalogError, Durability, Extent, JournalPosition};
use crate::model::{Fence, Origin};

use super::{asset, sealed, version_id};

/// A journal: all rows once, then what changed, as often as there was a commit to disk.
#[derive(Default)]
pub(super) struct Published {
    batches: Vec<Vec<u8>>,
    position: JournalPosition,
}

impl Published {
    pub(super) fn publish(&mut self, catalog: &mut SqliteCatalog) {
        let unpublished = catalog.unpublished().unwrap().unwrap();
        assert_eq!(unpublished.position, self.position);
        let changes = unpublished.changes;
        let extent = match self.position.fence {
            None => Extent::Everything,
            Some(_) => Extent::Changed,
        };
        changes
            .read::<CatalogError>(extent, &mut |batch| {
                self.batches.push(batch);
                Ok(())
            })
            .unwrap();
        self.position.fence = Some(Fence(7));
        self.position.number += 1;
        self.position.format = changes.format();
        catalog
            .set_published(changes.mark(), &self.position)
            .unwrap();
        catalog.commit(Durability::Process).unwrap();
    }

    pub(super) fn build(&self, path: &Path) -> SqliteCatalog {
        let mut builder = CatalogBuilder::create(path, self.position.format).unwrap();
        for batch in &self.batches {
            builder.apply(batch).unwrap();
        }
        builder.finish().unwrap();
        SqliteCatalog::open(path).unwrap()
    }
}

#[test]
fn a_version_is_published_until_it_changes_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("catalog.db");
    let mut catalog = SqliteCatalog::open(&path).unwrap();
    let mut journal = Published::default();
    let node = asset(&mut catalog, "a", 1);
    let first = catalog.add_version(&sealed(node, 1, 1)).unwrap();
    assert!(!catalog.is_version_published(first).unwrap());
    catalog.commit(Durability::Process).unwrap();
    assert!(!catalog.is_version_published(first).unwrap());
    assert!(catalog.has_unpublished().unwrap());
    journal.publish(&mut catalog);
    assert!(catalog.is_version_published(first).unwrap());
    assert!(!catalog.has_unpublished().unwrap());

    let second = catalog.add_version(&sealed(node, 2, 1)).unwrap();
    catalog.commit(Durability::Process).unwrap();
    assert!(catalog.is_version_published(first).unwrap());
    assert!(!catalog.is_version_published(second).unwrap());
    let restored = (Origin::Restore, Some(version_id(1)));
    catalog.set_origin(first, restored.0, restored.1).unwrap();
    assert!(!catalog.is_version_published(first).unwrap());
    catalog.commit(Durability::Process).unwrap();
    let mut catalog = {
        drop(catalog);
        SqliteCatalog::open(&path).unwrap()
    };
    assert!(!catalog.is_version_published(first).unwrap());
    assert!(!catalog.is_version_published(second).unwrap());
    journal.publish(&mut catalog);
    assert!(catalog.is_version_published(first).unwrap());
    assert!(catalog.is_version_published(second).unwrap());
}
