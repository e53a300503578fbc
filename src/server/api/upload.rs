//! Uploads: what comes in, under which name, and what the answer says.
//!
//! The surprise: an image is stored as `public_id.format`, so another format means another
//! file name; the history follows the asset there.

use std::sync::Arc;

use axum::body::Body;
use axum::http::request::Parts;
use serde_json::{Map, Value, json};

use super::asset::{Asset, path_of};
use super::body::Sender;
use super::caller::Proofs;
use super::chunks::Part;
use super::error::{ApiError, Result};
use super::fetch::{Reach, fetch};
use super::formats::{ResourceType, check_allowed, extension_of_bytes, kind_of};
use super::keys::random;
use super::manage::check_type;
use super::parameters::Parameters;
use super::receive::{self, Arriving, Desk, File, Received};
use super::{Api, blocking, data_uri, settled, signature};
use crate::model::{Context, Labels, Override, PublicId, Tags};
use crate::vault::{Clobber, Placement};

/// Answers an upload.
pub(super) async fn upload(
    api: &Arc<Api>,
    kind: Option<ResourceType>,
    parts: &Parts,
    body: Body,
) -> Result<Value> {
    let part = match parts.headers.get("content-range") {
        None => None,
        Some(range) => Some(Part::parse(range.to_str().unwrap_or_default())?),
    };
    let upload_id = parts.headers.get("x-unique-upload-id");
    let upload_id = upload_id
        .and_then(|id| id.to_str().ok())
        .unwrap_or_default();
    let bytes_max = api.settings.upload_bytes_max;
    let desk = Desk {
        prove: |parameters: &Parameters| {
            api.proofs()
                .signed(&parts.method, &parts.headers, parameters)
        },
        begin: |key: &str| {
            let new = || Ok(Received::new(api.vault.receive()?));
            match part {
                None => new(),
                Some(part) => {
                    let now = api.vault.clock().now();
                    api.chunks.take(key, upload_id, part, now, new)
                }
            }
        },
        sender: api.sender(parts),
        bytes_max,
    };
    let (parameters, file) = receive::upload(&parts.headers, body, &desk).await?;
    // Once more, now that all of them are here.
    let key = (desk.prove)(&parameters)?;
    let mut fetched_from = None;
    let arriving = match file {
        None => return Err(ApiError::bad("Missing required parameter - file")),
        Some(File::Bytes(arriving)) => *arriving,
        Some(File::Text(text)) if text.starts_with("data:") => {
            let received = Received::new(api.vault.receive()?);
            let decoded = || data_uri::decode(&text, received, bytes_max);
            Arriving::whole(tokio::task::block_in_place(decoded)?)
        }
        Some(File::Text(address)) => {
            if !api.settings.allow_fetch {
                return Err(ApiError::bad(
                    "Addresses are not fetched here: send the file itself, or set allow_fetch = true under [api] in keepfs.toml",
                ));
            }
            let received = Received::new(api.vault.receive()?);
            let received = fetch(&address, Reach::Public, received, bytes_max).await?;
            fetched_from = Some(address);
            Arriving::whole(received)
        }
    };
    if let Some(part) = part {
        let came = arriving.bytes;
        if came != part.last + 1 {
            return Err(ApiError::Bad(format!(
                "Invalid Content-Range: it ends at {}, but {came} bytes came",
                part.last
            )));
        }
        if !part.is_last() {
            let now = api.vault.clock().now();
            let public_id = parameters.text("public_id");
            let received = blocking(api, |_| arriving.write_out()).await?;
            api.chunks.keep(&key, upload_id, received, now);
            return Ok(json!({ "done": false, "public_id": public_id, "bytes": came }));
        }
    }
    let base = api.base_of(parts);
    settled(api, move |api| {
        let received = arriving.write_out()?;
        let order = Order::of(kind, &parameters, &received, fetched_from)?;
        api.take_place(order, received, &key, &base)
    })
    .await
}

/// What an upload asks for.
struct Order {
    kind: ResourceType,
    public_id: String,
    path: PublicId,
    clobber: Clobber,
    backup: Option<Override>,
    tags: Option<Tags>,
    context: Option<Context>,
    fetched_from: Option<String>,
    original_filename: Option<String>,
}

impl Order {
    fn of(
        kind: Option<ResourceType>,
        parameters: &Parameters,
        received: &Received,
        fetched_from: Option<String>,
    ) -> Result<Self> {
        check_type(parameters)?;
        // A client may send the whole path of its own machine.
        let filename = received.filename.as_deref().unwrap_or_default();
        let filename = filename.rsplit(['/', '\\']).next().unwrap_or_default();
        let (stem, extension) = match filename.rsplit_once('.') {
            Some((stem, extension)) if !stem.is_empty() => (stem, extension),
            _ => (filename, ""),
        };
        let (kind, format) = kind_and_format(kind, extension, &received.head)?;
        let public_id = public_id(parameters, kind, stem, extension)?;
        let extension = || public_id.rsplit_once('.').map(|(_, extension)| extension);
        check_allowed(parameters, format.as_deref().or_else(extension))?;
        let path = match format {
            Some(format) => path_of(&format!("{public_id}.{format}"))?,
            None => path_of(&public_id)?,
        };
        let clobber = match parameters.switch("overwrite")? {
            Some(false) => Clobber::Refuse,
            Some(true) | None => Clobber::Overwrite,
        };
        let backup = parameters.switch("backup")?.map(|on| match on {
            true => Override::On,
            false => Override::Off,
        });
        let tags = parameters.list("tags");
        let tags = (!tags.is_empty())
            .then(|| Tags::of(tags.iter().map(String::as_str)))
            .transpose()?;
        let context = parameters.text("context");
        Ok(Self {
            kind,
            public_id,
            path,
            clobber,
            backup,
            tags,
            context: context.map(|text| Context::parse(&text)).transpose()?,
            fetched_from,
            original_filename: (!stem.is_empty()).then(|| stem.to_owned()),
        })
    }
}

impl Api {
    fn take_place(&self, order: Order, received: Received, key: &str, base: &str) -> Result<Value> {
        let namesakes = self.namesakes(order.kind, &order.public_id)?;
        let deleted = namesakes.deleted().iter();
        let deleted = deleted.filter(|asset| asset.id == order.path);
        let mut labels = deleted.map(|asset| asset.labels.clone()).next();
        let live = namesakes.into_replaced_by(&order.path)?;
        if let Some(live) = &live {
            labels = Some(live.labels.clone());
        }
        let live = live.as_ref();
        if let (Some(live), Clobber::Refuse) = (live, order.clobber) {
            let mut answer = self.answer(live, key, base)?;
            answer.insert("existing".into(), json!(true));
            return Ok(Value::Object(answer));
        }
        // Another format: the asset goes on under its new name.
        let moved = live.filter(|live| live.id != order.path);
        if let Some(live) = moved {
            self.names.rename(&live.id, &order.path, Clobber::Refuse)?;
        }
        let labels = match (&order.tags, &order.context) {
            (None, None) => None,
            _ => {
                let labels = labels.unwrap_or_default();
                Some(Labels {
                    tags: order.tags.unwrap_or(labels.tags),
                    context: order.context.unwrap_or(labels.context),
                })
            }
        };
        let sum = received.sum;
        let placed = self.vault.place(
            received.incoming,
            &Placement {
                id: &order.path,
                clobber: match live {
                    Some(_) => Clobber::Overwrite,
                    None => order.clobber,
                },
                backup: order.backup,
                fetched_from: order.fetched_from.as_deref(),
                labels: labels.as_ref(),
            },
        );
        if let (Err(_), Some(live)) = (&placed, moved)
            && let Err(error) = self.names.rename(&order.path, &live.id, Clobber::Refuse)
        {
            log::error!(
                "{} keeps the name {}: {}",
                live.id,
                order.path,
                error.message()
            );
        }
        let placed = placed?;
        self.names.changed(&order.path);
        let asset = self
            .asset_at(&order.path)?
            .ok_or_else(|| ApiError::not_found(&order.public_id))?;
        let etag = match sum.wait() {
            Some(etag) => {
                self.media.note(&asset, &etag);
                Some(etag)
            }
            None => self.media.etag(&self.vault, &asset),
        };
        let mut answer = self.answer(&asset, key, base)?;
        answer.insert("etag".into(), json!(etag));
        if placed.replaced {
            answer.insert("overwritten".into(), json!(true));
        }
        if let Some(name) = order.original_filename {
            answer.insert("original_filename".into(), json!(name));
        }
        Ok(Value::Object(answer))
    }

    /// The asset, with the signature by which a client knows that we said so.
    pub(super) fn answer(
        &self,
        asset: &Asset,
        key: &str,
        base: &str,
    ) -> Result<Map<String, Value>> {
        let mut answer = self
            .describe(asset, base)
            .ok_or_else(|| ApiError::bad("The name of this asset is not UTF-8"))?;
        if let Some(secret) = self.keys.signing_secret(key) {
            let public_id = answer["public_id"].as_str().unwrap_or_default();
            let signed = signature::of_answer(public_id, asset.version_number(), &secret);
            answer.insert("signature".into(), json!(signed));
        }
        answer.insert("api_key".into(), json!(key));
        Ok(answer)
    }

    /// Who sends the body of a call, before any of it was read.
    pub(super) fn sender(&self, parts: &Parts) -> Sender {
        match self.proofs().log_in(&parts.method, &parts.headers) {
            Ok(_) => Sender::Known,
            Err(_) => Sender::Stranger,
        }
    }

    pub(super) fn proofs(&self) -> Proofs<'_> {
        Proofs {
            keys: &self.keys,
            sessions: &self.sessions,
            clock: self.vault.clock().as_ref(),
        }
    }
}

/// What the upload is, by what was asked for, its name, and its bytes.
fn kind_and_format(
    asked: Option<ResourceType>,
    extension: &str,
    head: &[u8],
) -> Result<(ResourceType, Option<String>)> {
    let by_name = kind_of(extension).map(|kind| (kind, extension.to_owned()));
    let by_bytes =
        extension_of_bytes(head).map(|extension| (ResourceType::Image, extension.to_owned()));
    let found = match asked {
        Some(ResourceType::Raw) => return Ok((ResourceType::Raw, None)),
        None => by_name.or(by_bytes),
        Some(kind) => {
            let found = [by_name, by_bytes].into_iter().flatten();
            let mut found = found.filter(|(found, _)| *found == kind);
            let found = found.next();
            if found.is_none() {
                return Err(ApiError::Bad(format!(
                    "Invalid {} file: neither its name nor its content says so; upload it as raw or auto",
                    kind.as_str()
                )));
            }
            found
        }
    };
    Ok(match found {
        Some((kind, format)) => (kind, Some(format)),
        None => (ResourceType::Raw, None),
    })
}

fn public_id(
    parameters: &Parameters,
    kind: ResourceType,
    stem: &str,
    extension: &str,
) -> Result<String> {
    let folder = parameters
        .text("folder")
        .or_else(|| parameters.text("asset_folder"));
    let in_folder = |name: String| match &folder {
        Some(folder) => format!("{}/{name}", folder.trim_matches('/')),
        None => name,
    };
    if let Some(public_id) = parameters.text("public_id") {
        return Ok(in_folder(public_id));
    }
    let mut name = draw_public_id()?;
    if parameters.switch("use_filename")? == Some(true) && !stem.is_empty() {
        name = match parameters.switch("unique_filename")? {
            Some(false) => stem.to_owned(),
            _ => format!("{stem}_{}", &name[..6]),
        };
    }
    if kind == ResourceType::Raw && !extension.is_empty() {
        name = format!("{name}.{extension}");
    }
    Ok(in_folder(name))
}

/// Twenty letters: no command line takes it for a number.
fn draw_public_id() -> Result<String> {
    let bytes = random::<20>().map_err(|_| ApiError::Internal)?;
    let letters = bytes.iter().map(|byte| char::from(b'a' + byte % 26));
    Ok(letters.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_and_bytes_say_what_an_upload_is() {
        use ResourceType::{Image, Raw, Video};
        let png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";
        for (asked, extension, head, kind, format) in [
            (None, "mp4", &b""[..], Video, Some("mp4")),
            (None, "", &png[..], Image, Some("png")),
            (None, "txt", b"text", Raw, None),
            (Some(Raw), "png", png, Raw, None),
            (Some(Image), "dat", png, Image, Some("png")),
            (Some(Image), "JPG", b"", Image, Some("JPG")),
        ] {
            let found = kind_and_format(asked, extension, head).unwrap();
            assert_eq!(found, (kind, format.map(str::to_owned)), "{extension}");
        }
        assert!(kind_and_format(Some(Image), "txt", b"text").is_err());
        assert!(kind_and_format(Some(Video), "", png).is_err());
    }

    #[test]
    fn public_ids_are_made_as_they_were_asked_for() {
        let make = |form: &[u8], kind| {
            let parameters = Parameters::from_form(form).unwrap();
            public_id(&parameters, kind, "stem", "txt").unwrap()
        };
        use ResourceType::{Image, Raw};
        assert_eq!(make(b"public_id=a/b", Image), "a/b");
        assert_eq!(make(b"public_id=b&folder=/x/", Image), "x/b");
        let drawn = make(b"", Raw);
        assert!(drawn.len() == 24 && drawn.ends_with(".txt"), "{drawn}");
        let named = make(b"use_filename=1&unique_filename=0", Raw);
        assert_eq!(named, "stem.txt");
        assert!(make(b"use_filename=true", Image).starts_with("stem_"));
    }
}
