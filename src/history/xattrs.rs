//! What `getfattr` shows of a place: the file's own attributes as they were, and what
//! the catalog knows of the version.

use crate::model::{Version, VersionState, Xattrs};
use crate::vault::Result;

use super::{History, Place};

/// What is known of a version only when its bytes were read: whether it is a content
/// that was there before, and its hash.
const KNOWN_WHEN_STORED: [&[u8]; 3] = [
    b"user.keepfs.origin",
    b"user.keepfs.restored_from",
    b"user.keepfs.blake3",
];

impl History<'_> {
    /// The extended attributes of a place; a version is stored first, so that all of
    /// them are there.
    ///
    /// # Errors
    /// When the catalog fails.
    pub fn xattrs(&self, place: Place) -> Result<Xattrs> {
        self.store_first(place)?;
        self.present_xattrs(place)
    }

    /// One extended attribute. `None`: there is none of that name.
    ///
    /// # Errors
    /// When the catalog fails.
    pub fn xattr(&self, place: Place, name: &[u8]) -> Result<Option<Vec<u8>>> {
        if KNOWN_WHEN_STORED.contains(&name) {
            self.store_first(place)?;
        }
        let mut xattrs = self.present_xattrs(place)?.into_iter();
        Ok(xattrs.find(|(own, _)| own == name).map(|(_, value)| value))
    }

    fn store_first(&self, place: Place) -> Result<()> {
        let (Place::Version(seq) | Place::DeletedFile(seq)) = place else {
            return Ok(());
        };
        let version = self.vault.catalog().version(seq)?;
        if version.is_some_and(|version| matches!(version.state, VersionState::Sealed { .. }))
            && let Err(error) = self.vault.ingest_now(seq)
        {
            log::debug!("attributes of a version that is not stored yet: {error}");
        }
        Ok(())
    }

    fn present_xattrs(&self, place: Place) -> Result<Xattrs> {
        let mut catalog = self.vault.catalog();
        match place {
            Place::VersionsDirectory(_) | Place::DeletedDirectory(_) => Ok(Vec::new()),
            Place::Asset(node) => Ok(catalog
                .asset(node)?
                .map(|record| vec![entry("asset_id", &record.asset_id.to_string())])
                .unwrap_or_default()),
            Place::Version(seq) | Place::DeletedFile(seq) => {
                let Some(version) = catalog.version(seq)? else {
                    return Ok(Vec::new());
                };
                let mut xattrs = version_xattrs(&version);
                if let Some(record) = catalog.asset(version.asset)? {
                    xattrs.push(entry("asset_id", &record.asset_id.to_string()));
                }
                if catalog.has_hold(seq)? {
                    xattrs.push(entry("pinned", "yes"));
                }
                drop(catalog);
                let progress = self.vault.progress_of(&version)?;
                xattrs.push(entry("state", progress.as_str()));
                Ok(xattrs)
            }
        }
    }
}

fn version_xattrs(version: &Version) -> Xattrs {
    let mut xattrs = version.xattrs.clone();
    xattrs.push(entry("version_id", &version.id.to_string()));
    xattrs.push(entry("origin", version.origin.as_str()));
    xattrs.push(entry("kept_at", &version.kept_at.to_string()));
    if let Some(source) = version.restored_from {
        xattrs.push(entry("restored_from", &source.to_string()));
    }
    if let VersionState::Stored { blake3, .. } = version.state {
        xattrs.push(entry("blake3", &blake3.to_string()));
    }
    xattrs
}

fn entry(name: &str, value: &str) -> (Vec<u8>, Vec<u8>) {
    (
        format!("user.keepfs.{name}").into_bytes(),
        value.as_bytes().to_vec(),
    )
}
