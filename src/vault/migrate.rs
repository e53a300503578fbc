//! The store moves to another place, with the settings file behind it.
//!
//! How packs are copied is the store's business. Here is what a vault adds: whether the
//! place fits to its other directories, the line in `keepfs.toml` that makes the switch,
//! and the names of the versions that damaged packs hurt.

use std::collections::BTreeSet;
use std::io;

use serde::{Deserialize, Serialize};

use crate::config::{Config, FILE_NAME};
use crate::model::{PublicId, StorePlace, VersionId};
use crate::store::{Copied, Migrated, Watch};

use super::{Result, Vault, VaultError};

/// What a move of the store came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Moved {
    /// The store is at another place.
    To {
        /// Where it was, and still lies, as a URL.
        from: String,
        /// Where it is.
        to: String,
        /// How much.
        copied: Copied,
    },
    /// It is where it was, for packs are damaged.
    Damaged {
        /// What is wrong with each of them, a line each.
        packs: Vec<String>,
        /// The versions that cannot be read whole.
        versions: Vec<(PublicId, VersionId)>,
    },
}

/// A move of the store that is not over, for `status`.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub struct MigrationStatus {
    /// Where to.
    pub to: String,
    /// Whether it is at work. If not, `keepfs store migrate` goes on with it.
    pub running: bool,
    /// Bytes of packs that are there. `None`: it is not at work.
    pub bytes: Option<u64>,
    /// Bytes of all packs.
    pub bytes_total: Option<u64>,
    /// The first as a share of the second, 0 to 100.
    pub percent: Option<u8>,
}

impl Vault {
    /// Moves the store to another place. `watch` hears how far it is, and stops it by a
    /// break. After an error the same call goes on where it was.
    ///
    /// # Errors
    /// When the place cannot be used, and when copying fails: the store is where it was.
    pub fn migrate(&self, place: StorePlace, watch: Watch<'_>) -> Result<Moved> {
        let from = self.store.place();
        let moved = self.config.with_store(place);
        moved.validate_layout(None)?;
        let vault_dir = &self.config.vault_dir;
        if Config::load(vault_dir)?.store != from {
            return Err(VaultError::BadVault {
                path: vault_dir.join(FILE_NAME),
                problem: format!("the store is {from} here, the file says otherwise: mount again"),
            });
        }
        let switch = || Config::move_store(vault_dir, &moved.store).map_err(io::Error::other);
        let damages = match self.store.migrate(&moved.store, &switch, watch)? {
            Migrated::Damaged(damages) => damages,
            Migrated::Moved(copied) => {
                return Ok(Moved::To {
                    from: from.to_string(),
                    to: moved.store.to_string(),
                    copied,
                });
            }
        };
        let line =
            |damage: &crate::store::Damage| format!("pack {}: {}", damage.pack, damage.detail);
        let hurt = damages.iter().flat_map(|damage| &damage.versions).copied();
        Ok(Moved::Damaged {
            packs: damages.iter().map(line).collect(),
            versions: self.name_versions(&hurt.collect::<BTreeSet<_>>())?,
        })
    }

    /// Stops a move of the store that is at work: the vault is about to be closed.
    pub fn stop_migrations(&self) {
        self.store.stop_migrations();
    }

    pub(super) fn migration_status(&self) -> Result<Option<MigrationStatus>> {
        let migration = self.store.migration()?;
        Ok(migration.map(|migration| MigrationStatus {
            to: migration.to,
            running: migration.copied.is_some(),
            bytes: migration.copied.map(|(bytes, _)| bytes),
            bytes_total: migration.copied.map(|(_, bytes_total)| bytes_total),
            percent: migration.copied.map(percent),
        }))
    }
}

/// Before the first round nothing is known: that is nothing.
fn percent((bytes, bytes_total): (u64, u64)) -> u8 {
    let hundred = u128::from(bytes) * 100;
    // No more than 100, so it fits.
    hundred
        .checked_div(bytes_total.into())
        .map_or(0, |percent| percent.min(100) as u8)
}
