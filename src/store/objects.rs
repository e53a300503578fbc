//! Objects of the store that are no packs, by their key below it.
//!
//! What is in them is others' business: see `journal`. The surprise: whoever may write to
//! a bucket decides how long they are, so nothing is read without a bound.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use bytes::Bytes;
use futures_util::TryStreamExt;
use object_store::path::Path as ObjectPath;
use object_store::{ObjectStoreExt, PutMode, UpdateVersion};

use super::backend::{Backend, fill};
use super::bucket::refused;
use super::directory;
use super::error::{Result, StoreError};
use super::wire::AnsweredAt;
use crate::model::Timestamp;

/// What is not a pack is small.
const SMALL_BYTES_MAX: u64 = 64 << 10;
/// Of all keys in a listing that are looked at for their names. A vault has far fewer: a
/// listing without an end is not kept in memory.
const LISTED_BYTES_MAX: u64 = 64 << 20;

/// A small object as it was read.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) bytes: Bytes,
    version: UpdateVersion,
}

impl Backend {
    /// Writes an object, over one that is there; durable and write-protected when it
    /// returns.
    pub(super) fn put_object(&self, key: &str, bytes: impl Into<Bytes>) -> Result<()> {
        let path = ObjectPath::from(key);
        let bytes = bytes.into();
        self.at_home(|| {
            self.make_way_for(key)?;
            self.wait_for(self.objects().put(&path, bytes.into()))
                .map_err(|error| refused(&format!("writing {key}"), error))
        })?;
        self.protect_object(key)
    }

    /// Takes the write permission off an object that is a file.
    pub(super) fn protect_object(&self, key: &str) -> Result<()> {
        let Some(root) = self.root() else {
            return Ok(());
        };
        fs::set_permissions(root.join(key), Permissions::from_mode(0o400))
            .map_err(|error| StoreError::Io(format!("protecting {key}: {error}")))
    }

    /// An object of at most so many bytes. `None`: it is not there.
    pub(super) fn object(&self, key: &str, bytes_max: u64) -> Result<Option<Bytes>> {
        self.at_home(|| self.read_object(key, bytes_max))
    }

    fn read_object(&self, key: &str, bytes_max: u64) -> Result<Option<Bytes>> {
        let path = ObjectPath::from(key);
        let got = self.wait_for(async {
            let got = self.objects().get(&path).await?;
            if got.meta.size > bytes_max {
                return Ok(None);
            }
            let mut bytes = vec![0; got.meta.size as usize];
            Ok(fill(got, &mut bytes).await?.then_some(bytes))
        });
        match got {
            Ok(Some(bytes)) => Ok(Some(bytes.into())),
            Ok(None) => Err(StoreError::Foreign {
                key: key.into(),
                problem: format!("it is longer than {bytes_max} bytes, or was cut on its way"),
            }),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(refused(&format!("reading {key}"), error)),
        }
    }

    /// The first bytes of an object, fewer where it is shorter. `None`: it is not there.
    pub(super) fn object_head(&self, key: &str, bytes_max: usize) -> Result<Option<Vec<u8>>> {
        let path = ObjectPath::from(key);
        let got = self.wait_for(async {
            let mut stream = self.objects().get(&path).await?.into_stream();
            let mut head = Vec::new();
            while head.len() < bytes_max
                && let Some(bytes) = stream.try_next().await?
            {
                head.extend_from_slice(&bytes[..bytes.len().min(bytes_max - head.len())]);
            }
            Ok(head)
        });
        match got {
            Ok(head) => Ok(Some(head)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(refused(&format!("reading {key}"), error)),
        }
    }

    /// True when an object is there.
    pub(super) fn has_object(&self, key: &str) -> Result<bool> {
        let path = ObjectPath::from(key);
        self.at_home(|| match self.wait_for(self.objects().head(&path)) {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(refused(&format!("looking up {key}"), error)),
        })
    }

    /// What the clock of the server says that has an object. `None`: the answer does not say,
    /// or the object is not there.
    pub(super) fn time_by(&self, key: &str) -> Result<Option<Timestamp>> {
        let path = ObjectPath::from(key);
        match self.wait_for(async { self.objects().get(&path).await }) {
            Ok(got) => Ok(got.extensions.get::<AnsweredAt>().map(|at| at.0)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(refused(&format!("reading {key}"), error)),
        }
    }

    /// The names directly below a key: of objects, and of what has objects below itself.
    pub(super) fn names_below(&self, key: &str) -> Result<Vec<String>> {
        self.at_home(|| self.list_below(key))
    }

    fn list_below(&self, key: &str) -> Result<Vec<String>> {
        let path = ObjectPath::from(key);
        let Some(root) = self.root() else {
            return self.listed_names(Some(&path));
        };
        if !root.join(key).exists() {
            return Ok(Vec::new());
        }
        let found = self
            .wait_for(self.objects().list_with_delimiter(Some(&path)))
            .map_err(|error| refused(&format!("listing {key}"), error))?;
        let objects = found.objects.iter().map(|meta| &meta.location);
        Ok(objects
            .chain(&found.common_prefixes)
            .filter_map(|path| path.filename().map(Into::into))
            .collect())
    }

    /// What lies at the top of the store, objects and what is in directories alike.
    pub(super) fn names(&self) -> Result<Vec<String>> {
        self.at_home(|| match self.root() {
            Some(root) => directory::names(root),
            None => self.listed_names(None),
        })
    }

    /// The next part of each key below a prefix. Listed as a stream: where a bucket is asked
    /// to group them itself, the library has the whole answer in memory, however many pages
    /// it is.
    fn listed_names(&self, below: Option<&ObjectPath>) -> Result<Vec<String>> {
        let doing = match below {
            Some(path) => format!("listing {path}"),
            None => "listing the store".into(),
        };
        let mut names = BTreeSet::new();
        let mut bytes_listed = 0;
        self.wait_for(async {
            let mut listing = self.objects().list(below);
            while let Some(meta) = listing.try_next().await? {
                bytes_listed += meta.location.as_ref().len() as u64;
                if bytes_listed > LISTED_BYTES_MAX {
                    break;
                }
                let root = ObjectPath::default();
                let parts = meta.location.prefix_match(below.unwrap_or(&root));
                let name = parts.and_then(|mut parts| parts.next());
                names.extend(name.map(|name| name.as_ref().to_owned()));
            }
            Ok(())
        })
        .map_err(|error| refused(&doing, error))?;
        match bytes_listed > LISTED_BYTES_MAX {
            true => Err(StoreError::Io(format!(
                "{doing}: more is listed than a vault can have"
            ))),
            false => Ok(names.into_iter().collect()),
        }
    }

    /// A small object by its key below the store. `None`: it is not there.
    pub(super) fn small_object(&self, key: &str) -> Result<Option<Bytes>> {
        Ok(self.seen_object(key)?.map(|seen| seen.bytes))
    }

    /// The same, to be [replaced](Self::replace_object).
    pub(super) fn seen_object(&self, key: &str) -> Result<Option<Seen>> {
        self.at_home(|| self.see_object(key))
    }

    fn see_object(&self, key: &str) -> Result<Option<Seen>> {
        let path = ObjectPath::from(key);
        let got = self.wait_for(async {
            let got = self.objects().get(&path).await?;
            let version = UpdateVersion {
                e_tag: got.meta.e_tag.clone(),
                version: got.meta.version.clone(),
            };
            // A longer one is not ours, and is not read into memory.
            let bytes = usize::try_from(got.meta.size.min(SMALL_BYTES_MAX + 1)).unwrap_or(0);
            let mut buffer = vec![0; bytes];
            let is_whole = bytes as u64 <= SMALL_BYTES_MAX && fill(got, &mut buffer).await?;
            let bytes = match is_whole {
                true => Bytes::from(buffer),
                false => Bytes::new(),
            };
            Ok(Seen { bytes, version })
        });
        match got {
            Ok(seen) => Ok(Some(seen)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(refused(&format!("reading {key}"), error)),
        }
    }

    /// Writes a small object in place of one that was seen, unless it has changed since.
    /// A server that knows no such condition is not asked for it: read back what is there.
    pub(super) fn replace_object(&self, key: &str, bytes: Vec<u8>, seen: &Seen) -> Result<()> {
        self.at_home(|| self.put_over(key, bytes, seen))
    }

    fn put_over(&self, key: &str, bytes: Vec<u8>, seen: &Seen) -> Result<()> {
        let path = ObjectPath::from(key);
        let bytes = Bytes::from(bytes);
        let put = self.wait_for(async {
            let mode = match &seen.version.e_tag {
                Some(_) => PutMode::Update(seen.version.clone()),
                None => PutMode::Overwrite,
            };
            let put = |mode: PutMode| {
                self.objects()
                    .put_opts(&path, bytes.clone().into(), mode.into())
            };
            match put(mode).await {
                Err(
                    object_store::Error::NotImplemented { .. }
                    | object_store::Error::NotSupported { .. },
                ) => put(PutMode::Overwrite).await,
                other => other,
            }
        });
        match put {
            Ok(_) | Err(object_store::Error::Precondition { .. }) => Ok(()),
            Err(error) => Err(refused(&format!("writing {key}"), error)),
        }
    }

    /// Writes a small object that is not there yet. False: it is, and was left alone.
    pub(super) fn create_object(&self, key: &str, bytes: impl Into<Bytes>) -> Result<bool> {
        let path = ObjectPath::from(key);
        let bytes = bytes.into();
        self.at_home(|| {
            self.make_way_for(key)?;
            let options = PutMode::Create.into();
            match self.wait_for(self.objects().put_opts(&path, bytes.into(), options)) {
                Ok(_) => Ok(true),
                Err(object_store::Error::AlreadyExists { .. }) => Ok(false),
                Err(error) => Err(refused(&format!("writing {key}"), error)),
            }
        })
    }

    /// Removes an object. One that is not there is no error.
    pub(super) fn delete_object(&self, key: &str) -> Result<()> {
        self.at_home(|| {
            self.remove(&ObjectPath::from(key))
                .map_err(|error| refused(&format!("removing {key}"), error))
        })
    }
}
