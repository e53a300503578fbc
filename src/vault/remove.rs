//! Deletion: the file goes, its history stays, its name is reserved.

use std::io;

use crate::catalog::attempt;
use crate::model::{FileFacts, PublicId, failpoint};

use super::{Result, Vault, VaultError};

impl Vault {
    /// Unlinks a regular file: `unlink` is called once, inside the transaction.
    ///
    /// # Errors
    /// What `unlink` answered, or the catalog's failure; nothing changed then.
    pub fn remove(
        &self,
        id: &PublicId,
        facts: &FileFacts,
        unlink: &mut dyn FnMut() -> io::Result<()>,
    ) -> Result<()> {
        let mut catalog = self.lock_preserved_at(&[(facts.inode, id)])?;
        let now = self.clock.now();
        let gone = attempt(catalog.as_mut(), |catalog| {
            let gone = match self.asset_at(catalog, id)? {
                Some(asset) if asset.is_live() => {
                    // The last mode and owner: they go on protecting the history.
                    self.note_file(catalog, asset.node(), facts)?;
                    self.end_live(catalog, asset.node(), now)?
                }
                _ => Vec::new(),
            };
            failpoint::reach("remove.before-unlink");
            unlink().map_err(|error| VaultError::io(id.to_string(), error))?;
            failpoint::reach("remove.after-unlink");
            Ok::<_, VaultError>(gone)
        })?;
        drop(catalog);
        for version in &gone {
            self.end_pin(version);
        }
        Ok(())
    }
}
