//! What somebody said of one file or directory: `user.keepfs.backup`.
//!
//! Of a file the attribute itself is the truth, of a directory the catalog knows it, too.

use std::os::fd::BorrowedFd;
use std::sync::atomic::Ordering;

use crate::catalog::atomically;
use crate::model::{Origin, Override, PublicId};

use super::names::OVERRIDES_SETTING;
use super::{Result, Vault, VaultError};

impl Vault {
    /// `user.keepfs.backup` was set on or removed from a file or directory.
    /// `file` is open for reading where `id` is a regular file; with `On`, its
    /// present content is kept at once.
    ///
    /// # Errors
    /// When the catalog fails or the file cannot be read.
    pub fn override_changed(
        &self,
        id: &PublicId,
        value: Option<Override>,
        file: Option<BorrowedFd<'_>>,
    ) -> Result<()> {
        if let Some(file) = file {
            if value == Some(Override::On) {
                self.keep_present(id, file, Origin::Backup)?;
            }
            return Ok(());
        }
        let mut catalog = self.catalog();
        atomically(catalog.as_mut(), |catalog| {
            let node = self.ensure_directory(catalog, id, self.clock.now())?;
            catalog.set_directory_override(node, value)?;
            catalog.set_setting(OVERRIDES_SETTING, Some("1"))?;
            Ok::<_, VaultError>(())
        })?;
        self.has_overrides.store(true, Ordering::Relaxed);
        Ok(())
    }
}
