//! Calls on one asset that is there: rename, destroy, tags, context, and updates.

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use super::Api;
use super::asset::{Asset, path_of};
use super::error::{ApiError, Result};
use super::formats::{ResourceType, identify};
use super::parameters::Parameters;
use crate::model::{Context, Labels, PublicId, Tags};
use crate::vault::{Clobber, Depth, Range, Standings, VaultError};

/// Public_ids in one call.
pub(super) const IDS_MAX: usize = 1000;

impl Api {
    /// `rename`: the history goes along.
    pub(super) fn rename(
        &self,
        kind: ResourceType,
        parameters: &Parameters,
        key: &str,
        base: &str,
    ) -> Result<Value> {
        check_type(parameters)?;
        let from = parameters.required("from_public_id")?;
        let to = parameters.required("to_public_id")?;
        let source = self.named(kind, &from)?.into_live()?;
        let source = source.ok_or_else(|| ApiError::not_found(&from))?;
        let path = match source.path().and_then(|path| identify(path).format) {
            Some(format) if kind != ResourceType::Raw => path_of(&format!("{to}.{format}"))?,
            _ => path_of(&to)?,
        };
        let clobber = match parameters.switch("overwrite")? {
            Some(true) => Clobber::Overwrite,
            Some(false) | None => Clobber::Refuse,
        };
        if source.id != path {
            self.make_room(kind, &to, &source, &path, clobber)?;
            self.names.rename(&source.id, &path, clobber)?;
            self.names.changed(&source.id);
            self.names.changed(&path);
        }
        let renamed = self.asset_at(&path)?;
        let renamed = renamed.ok_or_else(|| ApiError::not_found(&to))?;
        if let Some(context) = parameters.text("context") {
            let context = Context::parse(&context)?;
            let tags = renamed.labels.tags.clone();
            self.vault.set_labels(&path, &Labels { tags, context })?;
        }
        Ok(Value::Object(self.answer(&renamed, key, base)?))
    }

    /// What has the new name already, in whatever format, refuses a rename or makes room.
    fn make_room(
        &self,
        kind: ResourceType,
        to: &str,
        source: &Asset,
        path: &PublicId,
        clobber: Clobber,
    ) -> Result<()> {
        let targets = self.namesakes(kind, to)?;
        if !targets.deleted().is_empty() {
            return Err(ApiError::Bad(format!(
                "to_public_id {to} belongs to a deleted asset with backups, so its name is reserved: restore it, or choose another name"
            )));
        }
        let others = targets.live().iter().filter(|asset| asset.id != source.id);
        if others.count() > 0 && clobber == Clobber::Refuse {
            return Err(ApiError::Bad(format!("to_public_id {to} already exists")));
        }
        if let Some(target) = targets.into_live()?
            && target.id != source.id
            && target.id != *path
        {
            // The same public_id in another format makes room as a file would.
            self.names.remove(&target.id)?;
            self.names.changed(&target.id);
        }
        Ok(())
    }

    /// `destroy`: the file goes, its backups stay.
    pub(super) fn destroy(&self, kind: ResourceType, parameters: &Parameters) -> Result<Value> {
        check_type(parameters)?;
        let public_id = parameters.required("public_id")?;
        let result = match self.named(kind, &public_id)?.into_live()? {
            Some(asset) => {
                self.names.remove(&asset.id)?;
                self.names.changed(&asset.id);
                "ok"
            }
            None => "not found",
        };
        Ok(json!({ "result": result }))
    }

    /// `explicit`: notes what is given, and answers with the asset.
    pub(super) fn explicit(
        &self,
        kind: ResourceType,
        parameters: &Parameters,
        key: &str,
        base: &str,
    ) -> Result<Value> {
        check_type(parameters)?;
        let asset = self.need(kind, &parameters.required("public_id")?)?;
        let asset = self.relabel(asset, parameters)?;
        Ok(Value::Object(self.answer(&asset, key, base)?))
    }

    /// `update`: the same for the admin side.
    pub(super) fn update(
        &self,
        kind: ResourceType,
        public_id: &str,
        parameters: &Parameters,
        base: &str,
    ) -> Result<Value> {
        let asset = self.need(kind, public_id)?;
        let asset = self.relabel(asset, parameters)?;
        let described = self.describe(&asset, base);
        Ok(Value::Object(described.unwrap_or_default()))
    }

    fn relabel(&self, mut asset: Asset, parameters: &Parameters) -> Result<Asset> {
        let mut labels = asset.labels.clone();
        if parameters.has("tags") {
            let tags = parameters.list("tags");
            labels.tags = Tags::of(tags.iter().map(String::as_str))?;
        }
        if parameters.has("context") {
            labels.context = context_in(parameters)?;
        }
        if labels != asset.labels {
            self.vault.set_labels(&asset.id, &labels)?;
            asset.labels = labels;
        }
        Ok(asset)
    }

    /// `tags`: adds, removes, replaces or clears tags of several assets.
    pub(super) fn tags(&self, kind: ResourceType, parameters: &Parameters) -> Result<Value> {
        let tags = parameters.list("tag");
        let tags = Tags::of(tags.iter().map(String::as_str))?;
        let command = parameters.required("command")?;
        let is_exclusive = command == "set_exclusive";
        if is_exclusive && tags.as_slice().is_empty() {
            return Err(ApiError::bad("Missing required parameter - tag"));
        }
        let changed = self.label_each(kind, parameters, &|labels| {
            match command.as_str() {
                "add" | "set_exclusive" => {
                    for tag in tags.as_slice() {
                        labels.tags.add(tag)?;
                    }
                }
                "remove" => tags
                    .as_slice()
                    .iter()
                    .for_each(|tag| labels.tags.remove(tag)),
                "replace" => labels.tags = tags.clone(),
                "remove_all" => labels.tags = Tags::default(),
                _ => {
                    let known = "add, set_exclusive, remove, replace or remove_all";
                    return Err(unknown(&command, known));
                }
            }
            Ok(())
        })?;
        if is_exclusive && !changed.is_empty() {
            let owners: HashSet<&PublicId> = changed.iter().map(|(_, id)| id).collect();
            self.take_from_others(&tags, &owners)?;
        }
        Ok(named(changed))
    }

    /// Takes tags from all other assets, whatever they are, deleted ones too: a restore
    /// brings tags back.
    fn take_from_others(&self, tags: &Tags, owners: &HashSet<&PublicId>) -> Result<()> {
        let range = Range::below(&PublicId::root(), Standings::Both, Depth::All);
        let mut others = Vec::new();
        self.vault.browse(&range, &mut |row| {
            if !owners.contains(&row.id) {
                let known = self.vault.labels(&row.id)?.tags;
                if tags.as_slice().iter().any(|tag| known.has(tag)) {
                    others.push(row.id);
                }
            }
            Ok(())
        })?;
        for id in others {
            let mut labels = self.vault.labels(&id)?;
            tags.as_slice()
                .iter()
                .for_each(|tag| labels.tags.remove(tag));
            match self.vault.set_labels(&id, &labels) {
                // It went meanwhile, and its tags with it.
                Ok(()) | Err(VaultError::NotFound { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// `context`: adds entries to several assets, or clears them.
    pub(super) fn context(&self, kind: ResourceType, parameters: &Parameters) -> Result<Value> {
        let command = parameters.required("command")?;
        let entries = context_in(parameters)?;
        let changed = self.label_each(kind, parameters, &|labels| {
            match command.as_str() {
                "add" => labels.context.merge(&entries)?,
                "remove_all" => labels.context = Context::default(),
                _ => return Err(unknown(&command, "add or remove_all")),
            }
            Ok(())
        })?;
        Ok(named(changed))
    }

    /// The assets that were changed, as the call named them and by their paths.
    fn label_each(
        &self,
        kind: ResourceType,
        parameters: &Parameters,
        change: &dyn Fn(&mut Labels) -> Result<()>,
    ) -> Result<Vec<(String, PublicId)>> {
        check_type(parameters)?;
        let public_ids = parameters.list("public_ids");
        if public_ids.is_empty() {
            return Err(ApiError::bad("Missing required parameter - public_ids"));
        }
        if public_ids.len() > IDS_MAX {
            return Err(ApiError::Bad(format!(
                "Too many public_ids: at most {IDS_MAX}"
            )));
        }
        // All of them are found before the first changes: a refusal changes nothing.
        let mut found = Vec::with_capacity(public_ids.len());
        for public_id in public_ids {
            if let Some(asset) = self.named(kind, &public_id)?.into_first()? {
                found.push((public_id, asset));
            }
        }
        let mut changed = Vec::new();
        for (public_id, asset) in found {
            let mut labels = asset.labels.clone();
            change(&mut labels)?;
            self.vault.set_labels(&asset.id, &labels)?;
            changed.push((public_id, asset.id));
        }
        Ok(changed)
    }
}

/// The answer that names what was changed.
fn named(changed: Vec<(String, PublicId)>) -> Value {
    let public_ids: Vec<String> = changed.into_iter().map(|(name, _)| name).collect();
    json!({ "public_ids": public_ids })
}

/// Refuses what would be of another type than all assets are.
pub(super) fn check_type(parameters: &Parameters) -> Result<()> {
    let mut types = ["type", "to_type"].into_iter();
    let other = types.find_map(|name| parameters.text(name).filter(|kind| kind != "upload"));
    match other {
        None => Ok(()),
        Some(other) => Err(ApiError::Bad(format!(
            "Invalid type {other}: assets here are of the type upload"
        ))),
    }
}

/// Context as `k=v|k2=v2`, or as a JSON object.
fn context_in(parameters: &Parameters) -> Result<Context> {
    if let Some(Value::Object(entries)) = parameters.json("context") {
        return from_object(entries);
    }
    match parameters.text("context") {
        Some(text) => Ok(Context::parse(&text)?),
        None => Ok(Context::default()),
    }
}

fn from_object(entries: &Map<String, Value>) -> Result<Context> {
    let mut context = Context::default();
    for (key, value) in entries {
        match value {
            Value::String(text) => context.set(key, text)?,
            other => context.set(key, &other.to_string())?,
        }
    }
    Ok(context)
}

fn unknown(command: &str, known: &str) -> ApiError {
    ApiError::Bad(format!("Invalid command {command}: give {known}"))
}
