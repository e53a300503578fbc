//! The store behind the URL: the one place that names object_store.
//!
//! Packs go in whole and durable, and come out by range. Nothing here knows what
//! is in a pack, nor which cloud a bucket is in: see `bucket`. The surprise: a pack
//! on a local disk is read through its file descriptor, without the async runtime;
//! the runtime serves everything else. Never call from a thread of another async
//! runtime: the calls block.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use object_store::path::Path as ObjectPath;
use object_store::{
    GetOptions, GetRange, GetResult, GetResultPayload, MultipartUpload, ObjectStore, ObjectStoreExt,
};
use tokio::runtime::Runtime;
use tokio::time::timeout;

use super::bucket::{self, refused};
use super::directory;
use super::error::{Result, StoreError};
use super::home::Home;
use super::refusal;
use crate::model::{PackId, StorePlace};

/// The packs are below this.
pub(super) const PACKS: &str = "packs";
/// A pack up to this size is put in one request, a longer one in parts.
const ONE_REQUEST_BYTES_MAX: usize = 32 << 20;
const PART_BYTES: usize = 8 << 20;
const PARTS_AT_ONCE: usize = 4;
const ABORT_PATIENCE: Duration = Duration::from_secs(20);
/// So many more than are known may be listed: memory has an end, a listing may have none.
const STRANGERS_MAX: usize = 1 << 20;
const SUFFIX: &str = ".pack";

async fn put_parts(upload: &mut dyn MultipartUpload, mut bytes: Bytes) -> object_store::Result<()> {
    let mut parts = Vec::new();
    while !bytes.is_empty() {
        let part = bytes.split_to(bytes.len().min(PART_BYTES));
        parts.push(upload.put_part(part.into()));
    }
    let mut parts = stream::iter(parts).buffer_unordered(PARTS_AT_ONCE);
    while parts.try_next().await?.is_some() {}
    upload.complete().await.map(|_| ())
}

/// An opened pack.
#[derive(Debug)]
pub(super) enum PackSource {
    /// On this machine.
    File(File),
    /// Behind the network: every read is a request.
    Object,
}

/// The packs of one store.
#[derive(Debug)]
pub(super) struct Backend {
    /// As it was opened.
    pub(super) place: StorePlace,
    objects: Arc<dyn ObjectStore>,
    /// Where the objects are files. `None`: they are in a bucket.
    home: Option<Home>,
    runtime: Runtime,
    /// Requests that read parts of packs.
    reads: AtomicU64,
}

impl Backend {
    /// Opens the store at `place`. A directory that is not there is made when `is_new`,
    /// and refused otherwise: its disk may just not be mounted. A bucket is only
    /// addressed: whether it answers is seen at the first request.
    pub(super) fn open(place: &StorePlace, is_new: bool) -> Result<Self> {
        let runtime = runtime()?;
        let (objects, home): (Arc<dyn ObjectStore>, _) = match place {
            StorePlace::Directory(root) => {
                let (objects, home) = directory::open(root, is_new)?;
                (Arc::new(objects), Some(home))
            }
            StorePlace::Bucket(place) => (bucket::connect(place)?, None),
        };
        Ok(Self {
            place: place.clone(),
            objects,
            home,
            runtime,
            reads: AtomicU64::new(0),
        })
    }

    /// Packs in memory, reached as if they were in a bucket.
    #[cfg(test)]
    pub(super) fn over(objects: Arc<dyn ObjectStore>) -> Self {
        Self {
            place: StorePlace::Directory("/in/memory".into()),
            objects,
            home: None,
            runtime: runtime().unwrap(),
            reads: AtomicU64::new(0),
        }
    }

    /// How many requests for parts of packs there were in this run.
    pub(super) fn reads(&self) -> u64 {
        self.reads.load(Ordering::Relaxed)
    }

    /// True where a request goes over the network and may find nobody.
    pub(super) fn is_remote(&self) -> bool {
        self.home.is_none()
    }

    /// The directory that the objects are files in. `None`: they are in a bucket.
    pub(super) fn root(&self) -> Option<&Path> {
        self.home.as_ref().map(Home::root)
    }

    /// The place was seen to be that vault's own.
    pub(super) fn belongs_to(&self, vault_id: &str) {
        if let Some(home) = &self.home {
            home.belongs_to(vault_id);
        }
    }

    /// Does something where the directory that was opened is there, before and after: in any
    /// other one nothing is missing, and nothing is safe. Of a bucket nothing is asked.
    pub(super) fn at_home<T>(&self, act: impl FnOnce() -> Result<T>) -> Result<T> {
        let Some(home) = &self.home else {
            return act();
        };
        home.ensure()?;
        let done = act();
        home.ensure()?;
        done
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
        self.at_home(|| self.put_whole(pack, &path, bytes))?;
        // By its name: a file that went into another directory is not there any more.
        self.protect(pack)
    }

    fn put_whole(&self, pack: PackId, path: &ObjectPath, bytes: Vec<u8>) -> Result<()> {
        self.make_way_for(path.as_ref())?;
        self.runtime
            .block_on(async {
                if bytes.len() <= ONE_REQUEST_BYTES_MAX {
                    return self.objects.put(path, bytes.into()).await.map(|_| ());
                }
                let mut upload = self.objects.put_multipart(path).await?;
                let outcome = put_parts(&mut *upload, bytes.into()).await;
                if outcome.is_err() {
                    // Parts that nobody ends are paid for and never seen.
                    match timeout(ABORT_PATIENCE, upload.abort()).await {
                        Ok(Ok(())) => {}
                        aborted => log::warn!("parts of pack {pack} may stay: {aborted:?}"),
                    }
                }
                outcome
            })
            // What is not found then is the bucket.
            .map_err(|error| self.refused(&format!("putting pack {pack}"), error))
    }

    fn refused(&self, doing: &str, error: object_store::Error) -> StoreError {
        let refused = refused(doing, error);
        match self.root() {
            Some(root) => refused.within(root),
            None => refused,
        }
    }

    /// The size of a pack. `None`: it is not there.
    pub(super) fn pack_bytes(&self, pack: PackId) -> Result<Option<u64>> {
        let path = object_path(pack);
        self.at_home(|| {
            let head = self.runtime.block_on(self.objects.head(&path));
            match head {
                Ok(meta) => Ok(Some(meta.size)),
                Err(object_store::Error::NotFound { .. }) => Ok(None),
                Err(error) => Err(failed("looking up", pack, error)),
            }
        })
    }

    /// Opens a pack for [`read`](Self::read).
    pub(super) fn source(&self, pack: PackId) -> Result<PackSource> {
        if self.is_remote() {
            return Ok(PackSource::Object);
        }
        let path = object_path(pack);
        let got = self.at_home(|| {
            let got = self.runtime.block_on(self.objects.get(&path));
            got.map_err(|error| failed("opening", pack, error))
        });
        match got?.payload {
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
                self.reads.fetch_add(1, Ordering::Relaxed);
                let range = GetOptions::default().with_range(Some(GetRange::Bounded(offset..end)));
                let filled = self.runtime.block_on(async {
                    fill(self.objects.get_opts(&path, range).await?, buffer).await
                });
                match filled {
                    Ok(true) => Ok(()),
                    Ok(false) => Err(cut_short()),
                    // Who asks for bytes behind the end of an object is told so in many ways.
                    Err(_) if self.pack_bytes(pack)?.is_some_and(|bytes| bytes < end) => {
                        Err(cut_short())
                    }
                    Err(error) => Err(failed("reading", pack, error)),
                }
            }
        }
    }

    /// All bytes of a pack of that size.
    pub(super) fn whole_pack(&self, pack: PackId, pack_bytes: u64) -> Result<Vec<u8>> {
        let source = self.source(pack)?;
        let mut bytes = vec![0; pack_bytes as usize];
        self.read(&source, pack, 0, &mut bytes)?;
        Ok(bytes)
    }

    /// Every pack with its size; about so many are `known`. Other names are passed over.
    pub(super) fn list(&self, known: usize) -> Result<HashMap<PackId, u64>> {
        self.at_home(|| self.list_at_most(known.saturating_add(STRANGERS_MAX)))
    }

    fn list_at_most(&self, listed_max: usize) -> Result<HashMap<PackId, u64>> {
        let failed = |error| refused("listing the packs", error);
        if let Some(root) = self.root()
            && !root.join(PACKS).exists()
        {
            return Ok(HashMap::new());
        }
        self.runtime.block_on(async {
            let top = ObjectPath::from(PACKS);
            let mut listing = self.objects.list(Some(&top));
            let mut packs = HashMap::new();
            let mut listed = 0;
            while let Some(meta) = listing.try_next().await.map_err(failed)? {
                listed += 1;
                let name = meta.location.filename().unwrap_or_default();
                let id = name.strip_suffix(SUFFIX).and_then(|id| id.parse().ok());
                packs.extend(id.map(|id| (id, meta.size)));
                if listed > listed_max {
                    return Err(StoreError::Io(format!(
                        "listing the packs: more than {listed_max} objects are listed below {}/{PACKS}, \
                         far more than the catalog knows: look who else writes there",
                        self.place
                    )));
                }
            }
            Ok(packs)
        })
    }

    /// Removes a pack. One that is not there is no error.
    pub(super) fn delete(&self, pack: PackId) -> Result<()> {
        self.at_home(|| {
            self.remove(&object_path(pack))
                .map_err(|error| failed("removing", pack, error))
        })
    }

    pub(super) fn remove(&self, path: &ObjectPath) -> object_store::Result<()> {
        let (objects, path) = (Arc::clone(&self.objects), path.clone());
        // As a task: for Azure the library removes in batches, and an answer that names
        // what nobody asked for makes it panic.
        let asked = self
            .runtime
            .spawn(async move { objects.delete(&path).await });
        match self.runtime.block_on(asked) {
            Ok(Err(object_store::Error::NotFound { .. })) => Ok(()),
            Ok(outcome) => outcome,
            Err(_) => Err(object_store::Error::Generic {
                store: "bucket",
                source: "an answer that makes no sense".into(),
            }),
        }
    }
}

/// Fills a buffer with an answer, of which no more is taken. False: it is shorter or
/// longer, whatever it claimed.
pub(super) async fn fill(answer: GetResult, buffer: &mut [u8]) -> object_store::Result<bool> {
    let mut stream = answer.into_stream();
    let mut rest = buffer;
    while let Some(bytes) = stream.try_next().await? {
        let Some((now, later)) = rest.split_at_mut_checked(bytes.len()) else {
            return Ok(false);
        };
        now.copy_from_slice(&bytes);
        rest = later;
    }
    Ok(rest.is_empty())
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
        error => match refusal::archived(&error.to_string()) {
            Some(detail) => StoreError::PackDamaged { pack, detail },
            None => refused(&format!("{doing} pack {pack}"), error),
        },
    }
}

/// True when a disk or a quota is full.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;

    use super::*;

    #[test]
    fn more_packs_than_there_can_be_are_an_error_and_not_kept() {
        let backend = Backend::over(Arc::new(InMemory::new()));
        for number in 0..5 {
            backend.put(PackId([number; 16]), vec![1]).unwrap();
        }
        assert_eq!(backend.list_at_most(5).unwrap().len(), 5);
        let error = backend.list_at_most(4).unwrap_err().to_string();
        assert!(error.contains("more than 4 objects"), "{error}");
        assert_eq!(backend.list(0).unwrap().len(), 5);
    }
}
