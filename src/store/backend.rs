//! The store behind the URL: the one place that names object_store.
//!
//! Packs go in whole and durable, and come out by range. Nothing here knows what
//! is in a pack, nor which cloud a bucket is in: see `bucket`. The surprise: a pack
//! on a local disk is read through its file descriptor, without the async runtime;
//! the runtime serves everything else. Never call from a thread of another async
//! runtime: the calls block.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use object_store::path::Path as ObjectPath;
use object_store::{
    GetResultPayload, ObjectStore, ObjectStoreExt, PutMode, UpdateVersion, WriteMultipart,
};
use tokio::runtime::Runtime;

use super::bucket::{self, refused};
use super::directory;
use super::error::{Result, StoreError};
use crate::model::{PackId, StorePlace};

const PACKS: &str = "packs";
/// A pack up to this size is put in one request, a longer one in parts.
const ONE_REQUEST_BYTES_MAX: usize = 32 << 20;
const PART_BYTES: usize = 8 << 20;
const PARTS_AT_ONCE: usize = 4;
/// What is not a pack is small.
const SMALL_BYTES_MAX: u64 = 64 << 10;
const SUFFIX: &str = ".pack";

/// An opened pack.
#[derive(Debug)]
pub(super) enum PackSource {
    /// On this machine.
    File(File),
    /// Behind the network: every read is a request.
    Object,
}

/// A small object as it was read.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) bytes: Bytes,
    version: UpdateVersion,
}

/// The packs of one store.
#[derive(Debug)]
pub(super) struct Backend {
    objects: Arc<dyn ObjectStore>,
    /// Where the objects are files. `None`: they are in a bucket.
    pub(super) root: Option<PathBuf>,
    runtime: Runtime,
}

impl Backend {
    /// Opens the store at `place`. A directory that is not there is made when `is_new`,
    /// and refused otherwise: its disk may just not be mounted. A bucket is only
    /// addressed: whether it answers is seen at the first request.
    pub(super) fn open(place: &StorePlace, is_new: bool) -> Result<Self> {
        let runtime = runtime()?;
        let (objects, root): (Arc<dyn ObjectStore>, _) = match place {
            StorePlace::Directory(root) => {
                (Arc::new(directory::open(root, is_new)?), Some(root.clone()))
            }
            StorePlace::Bucket(place) => (bucket::connect(place)?, None),
        };
        Ok(Self {
            objects,
            root,
            runtime,
        })
    }

    /// True where a request goes over the network and may find nobody.
    pub(super) fn is_remote(&self) -> bool {
        self.root.is_none()
    }

    pub(super) fn objects(&self) -> &dyn ObjectStore {
        &*self.objects
    }

    /// Runs a request to its end.
    pub(super) fn wait_for<T>(&self, request: impl Future<Output = T>) -> T {
        self.runtime.block_on(request)
    }

    /// Puts a whole pack; durable and write-protected when it returns.
    pub(super) fn put(&self, pack: PackId, bytes: Vec<u8>) -> Result<()> {
        let path = object_path(pack);
        self.runtime
            .block_on(async {
                if bytes.len() <= ONE_REQUEST_BYTES_MAX {
                    return self.objects.put(&path, bytes.into()).await.map(|_| ());
                }
                let upload = self.objects.put_multipart(&path).await?;
                let mut upload = WriteMultipart::new_with_chunk_size(upload, PART_BYTES);
                let mut rest = Bytes::from(bytes);
                while !rest.is_empty() {
                    upload.wait_for_capacity(PARTS_AT_ONCE).await?;
                    upload.put(rest.split_to(rest.len().min(PART_BYTES)));
                }
                upload.finish().await.map(|_| ())
            })
            .map_err(|error| failed("putting", pack, error))?;
        self.protect(pack)
    }

    /// The size of a pack. `None`: it is not there.
    pub(super) fn pack_bytes(&self, pack: PackId) -> Result<Option<u64>> {
        let path = object_path(pack);
        let head = self
            .runtime
            .block_on(async { self.objects.head(&path).await });
        match head {
            Ok(meta) => Ok(Some(meta.size)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(failed("looking up", pack, error)),
        }
    }

    /// Opens a pack for [`read`](Self::read).
    pub(super) fn source(&self, pack: PackId) -> Result<PackSource> {
        if self.is_remote() {
            return Ok(PackSource::Object);
        }
        let path = object_path(pack);
        let got = self
            .runtime
            .block_on(async { self.objects.get(&path).await });
        match got.map_err(|error| failed("opening", pack, error))?.payload {
            GetResultPayload::File(file, _) => Ok(PackSource::File(file)),
            GetResultPayload::Stream(_) => Ok(PackSource::Object),
        }
    }

    /// Reads exactly `buffer.len()` bytes at `offset`.
    pub(super) fn read(
        &self,
        source: &PackSource,
        pack: PackId,
        offset: u64,
        buffer: &mut [u8],
    ) -> Result<()> {
        let cut_short = || StoreError::PackDamaged {
            pack,
            detail: "cut short".into(),
        };
        match source {
            PackSource::File(file) => {
                file.read_exact_at(buffer, offset)
                    .map_err(|error| match error.kind() {
                        io::ErrorKind::UnexpectedEof => cut_short(),
                        _ => StoreError::Io(format!("reading pack {pack}: {error}")),
                    })
            }
            PackSource::Object => {
                let end = offset
                    .checked_add(buffer.len() as u64)
                    .ok_or_else(cut_short)?;
                let path = object_path(pack);
                let bytes = self
                    .runtime
                    .block_on(async { self.objects.get_range(&path, offset..end).await })
                    .map_err(|error| failed("reading", pack, error))?;
                if bytes.len() != buffer.len() {
                    return Err(cut_short());
                }
                buffer.copy_from_slice(&bytes);
                Ok(())
            }
        }
    }

    /// Every pack with its size. What is not named like a pack is passed over.
    pub(super) fn list(&self) -> Result<Vec<(PackId, u64)>> {
        let failed = |error| refused("listing the packs", error);
        if let Some(root) = &self.root
            && !root.join(PACKS).exists()
        {
            return Ok(Vec::new());
        }
        self.runtime.block_on(async {
            let top = ObjectPath::from(PACKS);
            let fans = self.objects.list_with_delimiter(Some(&top)).await;
            let mut packs = Vec::new();
            for fan in fans.map_err(failed)?.common_prefixes {
                let found = self.objects.list_with_delimiter(Some(&fan)).await;
                for meta in found.map_err(failed)?.objects {
                    let name = meta.location.filename().unwrap_or_default();
                    let id = name.strip_suffix(SUFFIX).and_then(|id| id.parse().ok());
                    packs.extend(id.map(|id| (id, meta.size)));
                }
            }
            Ok(packs)
        })
    }

    /// Removes a pack. One that is not there is no error.
    pub(super) fn delete(&self, pack: PackId) -> Result<()> {
        let path = object_path(pack);
        match self
            .runtime
            .block_on(async { self.objects.delete(&path).await })
        {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(failed("removing", pack, error)),
        }
    }

    /// A small object by its key below the store. `None`: it is not there.
    pub(super) fn small_object(&self, key: &str) -> Result<Option<Bytes>> {
        Ok(self.seen_object(key)?.map(|seen| seen.bytes))
    }

    /// The same, to be [replaced](Self::replace_object).
    pub(super) fn seen_object(&self, key: &str) -> Result<Option<Seen>> {
        let path = ObjectPath::from(key);
        let got = self.runtime.block_on(async {
            let got = self.objects.get(&path).await?;
            let version = UpdateVersion {
                e_tag: got.meta.e_tag.clone(),
                version: got.meta.version.clone(),
            };
            // A longer one is not ours, and is not read into memory.
            let bytes = match got.meta.size <= SMALL_BYTES_MAX {
                true => got.bytes().await?,
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
        let path = ObjectPath::from(key);
        let bytes = Bytes::from(bytes);
        let put = self.runtime.block_on(async {
            let mode = match &seen.version.e_tag {
                Some(_) => PutMode::Update(seen.version.clone()),
                None => PutMode::Overwrite,
            };
            let put = |mode: PutMode| {
                self.objects
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
    pub(super) fn create_object(&self, key: &str, bytes: Vec<u8>) -> Result<bool> {
        let path = ObjectPath::from(key);
        let put = self.runtime.block_on(async {
            self.objects
                .put_opts(&path, bytes.into(), PutMode::Create.into())
                .await
        });
        match put {
            Ok(_) => Ok(true),
            Err(object_store::Error::AlreadyExists { .. }) => Ok(false),
            Err(error) => Err(refused(&format!("writing {key}"), error)),
        }
    }
}

/// What requests run on.
pub(super) fn runtime() -> Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("keepfs-store-io")
        .enable_all()
        .build()
        .map_err(|error| StoreError::Io(format!("starting the runtime: {error}")))
}

/// `packs/ab/ID.pack`, where `ab` are the last digits of the id: the first ones
/// are the time, and would put all packs of a year into one directory.
pub(super) fn object_path(pack: PackId) -> ObjectPath {
    let id = pack.to_string();
    ObjectPath::from(format!("{PACKS}/{}/{id}{SUFFIX}", &id[id.len() - 2..]))
}

fn failed(doing: &str, pack: PackId, error: object_store::Error) -> StoreError {
    match error {
        object_store::Error::NotFound { .. } => StoreError::PackMissing { pack },
        error => refused(&format!("{doing} pack {pack}"), error),
    }
}

/// True when a disk or a quota is full.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}
