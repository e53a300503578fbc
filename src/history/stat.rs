//! What a place looks like: kind, size, owner, mode, times.
//!
//! A file's history is open to whoever may read the file: the directory of its
//! versions carries the live file's owner and mode, with `x` where it has `r`.

use crate::catalog::{AssetRecord, Catalog, Standing};
use crate::model::{Attributes, NodeId, ROOT, Timestamp, Version, VersionSeq};
use crate::vault::Result;
use crate::vault::live::{Found, attributes_of};

use super::{History, Place, Stat};

const WRITE_BITS: u32 = 0o222;
const SET_ID_BITS: u32 = 0o6000;

impl History<'_> {
    /// What a place is. `None`: it is gone (purged, restored, or never was).
    ///
    /// # Errors
    /// When the catalog fails.
    pub fn stat(&self, place: Place) -> Result<Option<Stat>> {
        let mut catalog = self.vault.catalog();
        let catalog = catalog.as_mut();
        match place {
            Place::VersionsDirectory(node) | Place::DeletedDirectory(node) => {
                self.stat_directory(catalog, place, node)
            }
            Place::Asset(node) => match catalog.asset(node)? {
                Some(record) => self.stat_asset(catalog, &record),
                None => Ok(None),
            },
            Place::Version(seq) => self.stat_version(catalog, place, seq),
            Place::DeletedFile(seq) => {
                let Some(version) = catalog.version(seq)? else {
                    return Ok(None);
                };
                let Some(record) = catalog
                    .asset(version.asset)?
                    .filter(|record| record.standing == Standing::Deleted)
                else {
                    return Ok(None);
                };
                let mut stat = file(place, &version);
                if let Some(last) = record.last_attributes {
                    stat.attributes.mode &= last.mode;
                    stat.attributes.uid = last.uid;
                    stat.attributes.gid = last.gid;
                }
                Ok(Some(stat))
            }
        }
    }

    fn stat_directory(
        &self,
        catalog: &mut dyn Catalog,
        place: Place,
        node: NodeId,
    ) -> Result<Option<Stat>> {
        let attributes = if node == ROOT {
            attributes_of(self.vault.live().root())
                .map_err(|error| crate::vault::VaultError::io("the live tree", error))?
        } else {
            match catalog.directory(node)? {
                Some(record) => record.attributes,
                None => return Ok(None),
            }
        };
        let mut stat = directory(place, attributes, attributes.mtime);
        if let Place::DeletedDirectory(_) = place {
            // `mv .deleted/x x` passes the kernel's check of the directory it leaves;
            // any other change is refused by the mount.
            stat.attributes.mode = attributes.mode;
        }
        Ok(Some(stat))
    }

    fn stat_asset(&self, catalog: &mut dyn Catalog, record: &AssetRecord) -> Result<Option<Stat>> {
        let Some(latest) = catalog.latest_versions(record.node, 1)?.pop() else {
            return Ok(None);
        };
        let mut attributes = self
            .present_attributes(catalog, record)?
            .unwrap_or(latest.attributes);
        let readable = attributes.mode & 0o444;
        attributes.mode = readable | readable >> 2;
        attributes.mtime = latest.kept_at;
        Ok(Some(directory(
            Place::Asset(record.node),
            attributes,
            latest.kept_at,
        )))
    }

    /// Mode and owner of an asset's file: as it is, or as it was when it was deleted.
    /// chmod makes no version; what it forbids, history must not give away.
    fn present_attributes(
        &self,
        catalog: &mut dyn Catalog,
        record: &AssetRecord,
    ) -> Result<Option<Attributes>> {
        if record.standing == Standing::Live
            && let Some(path) = catalog.path_of(record.node)?
            && let Ok(Some(Found::File(facts))) = self.vault.live().find(&path)
        {
            return Ok(Some(facts.attributes));
        }
        Ok(record.last_attributes)
    }

    fn stat_version(
        &self,
        catalog: &mut dyn Catalog,
        place: Place,
        seq: VersionSeq,
    ) -> Result<Option<Stat>> {
        Ok(catalog.version(seq)?.map(|version| file(place, &version)))
    }
}

fn directory(place: Place, mut attributes: Attributes, ctime: Timestamp) -> Stat {
    attributes.mode &= !WRITE_BITS;
    Stat {
        place,
        size: 0,
        attributes,
        ctime,
    }
}

pub(super) fn file(place: Place, version: &Version) -> Stat {
    let mut attributes = version.attributes;
    attributes.mode &= !(WRITE_BITS | SET_ID_BITS);
    Stat {
        place,
        size: version.size,
        attributes,
        ctime: version.kept_at,
    }
}
