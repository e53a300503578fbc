//! Tags and context: of an asset in the catalog, of any other file in its attributes.
//!
//! The surprise: the catalog has the last word. A file that an editor wrote anew, or that
//! was deleted and restored, has lost its attributes, and its labels are still there.

use std::os::fd::AsFd;

use rustix::fs::XattrFlags;
use rustix::io::Errno;

use crate::catalog::Catalog;
use crate::model::{Context, Labels, NodeId, PublicId, Tags, Xattrs};

use super::{Result, Vault, VaultError};

/// The attribute with the tags of a file.
pub const TAGS_XATTR: &[u8] = b"user.keepfs.tags";
/// The attribute with the context of a file.
pub const CONTEXT_XATTR: &[u8] = b"user.keepfs.context";

impl Vault {
    /// What is noted about the file or deleted asset at a path.
    ///
    /// # Errors
    /// When the catalog fails.
    pub fn labels(&self, id: &PublicId) -> Result<Labels> {
        {
            let mut catalog = self.catalog();
            let catalog = catalog.as_mut();
            if let Some(asset) = self.asset_at(catalog, id)? {
                return Ok(catalog.labels(asset.node())?);
            }
        }
        Ok(labels_in(&self.xattrs_at(id)))
    }

    /// Notes something about the file or deleted asset at a path, in the place of what was
    /// noted. No version comes of it.
    ///
    /// # Errors
    /// [`VaultError::NotFound`] where nothing is there, and what the catalog or the file
    /// failed with.
    pub fn set_labels(&self, id: &PublicId, labels: &Labels) -> Result<()> {
        {
            let mut catalog = self.catalog();
            let catalog = catalog.as_mut();
            if let Some(asset) = self.asset_at(catalog, id)? {
                return Ok(catalog.set_labels(asset.node(), labels)?);
            }
        }
        if self.file_at(id)?.is_none() {
            return Err(VaultError::NotFound {
                path: id.clone(),
                what: "a file".into(),
            });
        }
        let file = self.live.open_file(id);
        let file = file.map_err(|error| VaultError::io(id.to_string(), error))?;
        for (name, value) in [
            (TAGS_XATTR, labels.tags.to_string()),
            (CONTEXT_XATTR, labels.context.to_string()),
        ] {
            let done = match value.is_empty() {
                true => rustix::fs::fremovexattr(file.as_fd(), name),
                false => rustix::fs::fsetxattr(&file, name, value.as_bytes(), XattrFlags::empty()),
            };
            match done {
                Ok(()) | Err(Errno::NODATA) => {}
                Err(error) => return Err(VaultError::io(id.to_string(), error)),
            }
        }
        Ok(())
    }

    /// A new asset takes over what was noted about its file before.
    pub(super) fn adopt_labels(
        &self,
        catalog: &mut dyn Catalog,
        asset: NodeId,
        xattrs: &Xattrs,
    ) -> Result<()> {
        let labels = labels_in(xattrs);
        if !labels.is_empty() {
            catalog.set_labels(asset, &labels)?;
        }
        Ok(())
    }
}

/// Whatever somebody wrote there: what is no label is none.
fn labels_in(xattrs: &Xattrs) -> Labels {
    let text = |name: &[u8]| {
        let value = xattrs.iter().find(|(key, _)| key == name);
        value.and_then(|(_, value)| str::from_utf8(value).ok())
    };
    Labels {
        tags: text(TAGS_XATTR)
            .and_then(|text| Tags::parse(text).ok())
            .unwrap_or_default(),
        context: text(CONTEXT_XATTR)
            .and_then(|text| Context::parse(text).ok())
            .unwrap_or_default(),
    }
}
