//! Hard links: a second name is a second asset, with a history from now on.

use std::io;
use std::os::fd::AsFd;

use crate::catalog::attempt;
use crate::model::{FileFacts, Origin, PublicId};

use super::names::KnownAsset;
use super::pins::Promised;
use super::seal::{Revival, Seal};
use super::{Result, Vault, VaultError, live, lock};

impl Vault {
    /// link(2) of a regular file onto a new name. `from`: a name it has.
    ///
    /// # Errors
    /// [`VaultError::NameReserved`], what `link` answered, or the catalog's failure.
    pub fn link(
        &self,
        from: Option<&PublicId>,
        to: &PublicId,
        facts: &FileFacts,
        link: &mut dyn FnMut() -> io::Result<()>,
    ) -> Result<()> {
        let mut catalog = self.catalog();
        attempt(catalog.as_mut(), |catalog| {
            let source_is_asset = match from {
                Some(from) => self
                    .asset_at(catalog, from)?
                    .is_some_and(|asset| asset.is_live()),
                None => !catalog.assets_on_inode(facts.inode)?.is_empty(),
            };
            let target = self.asset_at(catalog, to)?;
            if source_is_asset
                && target
                    .as_ref()
                    .is_some_and(|asset: &KnownAsset| !asset.is_live())
            {
                return Err(VaultError::NameReserved { path: to.clone() });
            }
            link().map_err(|error| VaultError::io(to.to_string(), error))?;
            if self.is_being_written(facts.inode) {
                // The close makes a version of each name.
                lock(&self.new_links)
                    .entry(facts.inode)
                    .or_default()
                    .push(to.clone());
                return Ok(());
            }
            let xattrs = self.xattrs_at(to);
            if !self.keeps(catalog, to, &xattrs)? {
                return Ok(());
            }
            let sealed = self
                .live
                .open_file(to)
                .and_then(|file| Ok((live::facts_of(file.as_fd())?, file)))
                .map_err(|error| VaultError::io(to.to_string(), error))
                .and_then(|(facts, file)| {
                    self.seal_kept(
                        catalog,
                        &Seal {
                            id: to,
                            file: file.as_fd(),
                            facts,
                            xattrs,
                            origin: Origin::Link,
                            promised: Promised::Durable,
                            revival: Revival::Version,
                        },
                    )
                });
            if let Err(error) = sealed {
                self.note_missed();
                log::error!("{to}: linked, but no version of it yet: {error}; run keepfs scan");
            }
            Ok(())
        })
    }
}
