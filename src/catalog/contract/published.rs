//! A journal in memory, for the cases: what a catalog published, and the catalog that
//! another machine makes of it.

use std::path::Path;

use crate::catalog::sqlite::SqliteCatalog;
use crate::catalog::{Catalog, CatalogBuilder, CatalogError, Durability, Extent, JournalPosition};
use crate::model::Fence;

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
