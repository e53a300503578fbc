//! Assets that share a public_id: files that differ by their extension only, live or deleted.
//!
//! Nothing is guessed. What changes something takes the one that can be meant, or refuses
//! and says between which to choose. The surprise: where no asset has a public_id, the
//! whole name of a file is understood, too, so that each of them can be named.

use serde_json::{Value, json};

use super::Api;
use super::asset::{Asset, candidates, path_of};
use super::error::{ApiError, Result};
use super::formats::{ResourceType, identify};
use super::parameters::Parameters;
use crate::model::{PublicId, VersionIdPrefix};

/// The assets of one public_id.
#[derive(Debug, Default)]
pub(super) struct Namesakes {
    public_id: String,
    live: Vec<Asset>,
    deleted: Vec<Asset>,
}

impl Namesakes {
    /// The live one, for what needs a file.
    pub(super) fn into_live(mut self) -> Result<Option<Asset>> {
        match self.live.len() > 1 {
            true => Err(self.ambiguous()),
            false => Ok(self.live.pop()),
        }
    }

    /// The live one, else the deleted one, for what can be asked of both.
    pub(super) fn into_first(mut self) -> Result<Option<Asset>> {
        if self.live.is_empty() && self.deleted.len() == 1 {
            return Ok(self.deleted.pop());
        }
        match self.live.is_empty() && !self.deleted.is_empty() {
            true => Err(self.ambiguous()),
            false => self.into_live(),
        }
    }

    /// The only one, live or deleted.
    pub(super) fn into_only(mut self) -> Result<Option<Asset>> {
        match self.all().count() > 1 {
            true => Err(self.ambiguous()),
            false => Ok(self.live.pop().or_else(|| self.deleted.pop())),
        }
    }

    /// The live one that a file at a path replaces: the one there, else the only one.
    pub(super) fn into_replaced_by(mut self, path: &PublicId) -> Result<Option<Asset>> {
        let there = self.live.iter().position(|asset| asset.id == *path);
        match there {
            Some(there) => Ok(Some(self.live.swap_remove(there))),
            None => self.into_live(),
        }
    }

    pub(super) fn live(&self) -> &[Asset] {
        &self.live
    }

    pub(super) fn deleted(&self) -> &[Asset] {
        &self.deleted
    }

    /// All of them, the live ones first.
    fn all(&self) -> impl Iterator<Item = &Asset> {
        self.live.iter().chain(&self.deleted)
    }

    fn ambiguous(&self) -> ApiError {
        let names: Vec<String> = self
            .all()
            .map(|asset| match asset.is_deleted() {
                true => format!("{} (deleted)", asset.id),
                false => asset.id.to_string(),
            })
            .collect();
        ApiError::Bad(format!(
            "public_id {} is that of several assets: {}; give the name with its extension, or the asset_id",
            self.public_id,
            names.join(", ")
        ))
    }

    /// What is said beside an answer about one of several. `None`: it is the only one.
    fn told(&self) -> Option<Value> {
        let rows: Vec<Value> = self
            .all()
            .map(|asset| {
                json!({
                    "asset_id": asset.asset_id.to_string(),
                    "format": asset.path().and_then(|path| identify(path).format),
                    "status": if asset.is_deleted() { "deleted" } else { "active" },
                })
            })
            .collect();
        (rows.len() > 1).then_some(Value::Array(rows))
    }
}

impl Api {
    /// The assets with exactly that public_id.
    pub(super) fn namesakes(&self, kind: ResourceType, public_id: &str) -> Result<Namesakes> {
        let mut namesakes = Namesakes {
            public_id: public_id.to_owned(),
            ..Namesakes::default()
        };
        for candidate in candidates(kind, public_id)? {
            match self.asset_at(&candidate)? {
                Some(asset) if asset.is_deleted() => namesakes.deleted.push(asset),
                Some(asset) => namesakes.live.push(asset),
                None => {}
            }
        }
        Ok(namesakes)
    }

    /// The same for assets that are meant to be there; the whole name of one will do.
    pub(super) fn named(&self, kind: ResourceType, name: &str) -> Result<Namesakes> {
        let mut namesakes = self.namesakes(kind, name)?;
        let is_none = namesakes.all().next().is_none();
        if is_none && kind != ResourceType::Raw && identify(name).resource_type == kind {
            match self.asset_at(&path_of(name)?)? {
                Some(asset) if asset.is_deleted() => namesakes.deleted.push(asset),
                Some(asset) => namesakes.live.push(asset),
                None => {}
            }
        }
        Ok(namesakes)
    }

    /// The live asset of that name, else the deleted one; there must be one.
    pub(super) fn need(&self, kind: ResourceType, name: &str) -> Result<Asset> {
        let first = self.named(kind, name)?.into_first()?;
        first.ok_or_else(|| ApiError::not_found(name))
    }

    /// The asset that a restore means. A version says which of several.
    pub(super) fn find_restored(
        &self,
        kind: ResourceType,
        name: &str,
        version: Option<&str>,
    ) -> Result<Option<Asset>> {
        let mut namesakes = self.named(kind, name)?;
        let version = version.and_then(|version| version.parse::<VersionIdPrefix>().ok());
        if let Some(version) = version
            && namesakes.all().count() > 1
        {
            namesakes.live = self.with_version(namesakes.live, &version)?;
            namesakes.deleted = self.with_version(namesakes.deleted, &version)?;
        }
        namesakes.into_only()
    }

    fn with_version(&self, assets: Vec<Asset>, version: &VersionIdPrefix) -> Result<Vec<Asset>> {
        let mut with = Vec::new();
        for asset in assets {
            let versions = match asset.node {
                Some(_) => self.vault.versions_of(&asset.id)?,
                None => Vec::new(),
            };
            if versions.iter().any(|known| version.matches(known.id)) {
                with.push(asset);
            }
        }
        Ok(with)
    }

    /// The details of an asset, and which others have its public_id.
    pub(super) fn resource(
        &self,
        kind: ResourceType,
        name: &str,
        parameters: &Parameters,
        base: &str,
    ) -> Result<Value> {
        let namesakes = self.named(kind, name)?;
        let told = namesakes.told();
        let asset = namesakes.into_first()?;
        let asset = asset.ok_or_else(|| ApiError::not_found(name))?;
        let mut answer = self.details(&asset, parameters, base)?;
        if let Some(told) = told {
            answer["namesakes"] = told;
        }
        Ok(answer)
    }
}
