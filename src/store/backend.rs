//! The store behind the URL: the one place that names object_store.
//!
//! Packs go in whole and durable, and come out by range. Nothing here knows what
//! is in a pack. The surprise: a pack on a local disk is read through its file
//! descriptor, without the async runtime; the runtime serves everything else.
//! Never call from a thread of another async runtime: the calls block.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use object_store::local::LocalFileSystem;
use object_store::path::Path as ObjectPath;
use object_store::{GetResultPayload, ObjectStore, ObjectStoreExt};
use tokio::runtime::Runtime;

use super::error::{Result, StoreError};
use super::url::directory_of;
use crate::model::PackId;

const PACKS: &str = "packs";
const SUFFIX: &str = ".pack";

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
    objects: Arc<dyn ObjectStore>,
    /// Where the objects are files.
    root: PathBuf,
    runtime: Runtime,
}

impl Backend {
    /// Opens the store at `url`. A directory that is not there is made when `is_new`,
    /// and refused otherwise: its disk may just not be mounted.
    pub(super) fn open(url: &str, is_new: bool) -> Result<Self> {
        let bad = |reason: String| StoreError::BadUrl {
            url: url.into(),
            reason,
        };
        let root = directory_of(url).map_err(|reason| bad(reason.into()))?;
        if is_new {
            fs::create_dir_all(&root).map_err(|error| bad(format!("cannot make it: {error}")))?;
        }
        let objects = LocalFileSystem::new_with_prefix(&root)
            .map_err(|error| match error {
                _ if !root.exists() => {
                    bad("there is no such directory: is its disk mounted?".into())
                }
                other => bad(other.to_string()),
            })?
            .with_fsync(true);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("keepfs-store-io")
            .build()
            .map_err(|error| StoreError::Io(format!("starting the runtime: {error}")))?;
        Ok(Self {
            objects: Arc::new(objects),
            root,
            runtime,
        })
    }

    /// Puts a whole pack; durable and write-protected when it returns.
    pub(super) fn put(&self, pack: PackId, bytes: Vec<u8>) -> Result<()> {
        let path = object_path(pack);
        self.runtime
            .block_on(async { self.objects.put(&path, bytes.into()).await })
            .map_err(|error| failed("putting", pack, error))?;
        self.protect(pack)
    }

    /// Makes a finished, durable pack file on the same filesystem the pack, without
    /// copying a byte: both names lead to it until the caller removes its own.
    /// False: it can only be [`put`](Self::put).
    pub(super) fn adopt(&self, pack: PackId, finished: &Path) -> Result<bool> {
        let failed = |error: io::Error| match is_full(&error) {
            true => StoreError::Full { what: "the store" },
            false => StoreError::Io(format!("storing pack {pack}: {error}")),
        };
        let file = self.file(pack);
        let (Some(fan), Some(packs)) = (file.parent(), file.parent().and_then(Path::parent)) else {
            return Ok(false);
        };
        let is_new_fan = !fan.is_dir();
        fs::create_dir_all(fan).map_err(failed)?;
        // Of an attempt that was interrupted; no row says that it is stored.
        match fs::remove_file(&file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        match fs::hard_link(finished, &file) {
            Ok(()) => {}
            Err(error) if is_full(&error) => return Err(failed(error)),
            Err(error) => {
                log::debug!("pack {pack} is copied into the store: {error}");
                return Ok(false);
            }
        }
        self.protect(pack)?;
        sync_directory(fan).map_err(failed)?;
        if is_new_fan {
            sync_directory(packs).map_err(failed)?;
            sync_directory(&self.root).map_err(failed)?;
        }
        Ok(true)
    }

    /// Takes the write permission off a pack.
    pub(super) fn protect(&self, pack: PackId) -> Result<()> {
        fs::set_permissions(self.file(pack), Permissions::from_mode(0o400))
            .map_err(|error| StoreError::Io(format!("protecting pack {pack}: {error}")))
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
        let failed = |error: object_store::Error| StoreError::Io(format!("listing packs: {error}"));
        if !self.root.join(PACKS).exists() {
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

    /// Removes what an interrupted [`put`](Self::put) of that pack left behind.
    pub(super) fn clear_leftovers(&self, pack: PackId) -> Result<()> {
        let file = self.file(pack);
        let (Some(directory), Some(name)) = (file.parent(), file.file_name()) else {
            return Ok(());
        };
        let staged = [name.as_bytes(), b"#"].concat();
        let entries = match fs::read_dir(directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(StoreError::Io(format!("listing packs: {error}"))),
        };
        for entry in entries.flatten() {
            if entry.file_name().as_bytes().starts_with(&staged) {
                fs::remove_file(entry.path())
                    .map_err(|error| StoreError::Io(format!("cleaning the store: {error}")))?;
            }
        }
        Ok(())
    }

    /// The file of a pack.
    pub(super) fn file(&self, pack: PackId) -> PathBuf {
        self.root.join(object_path(pack).as_ref())
    }
}

fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// `packs/ab/ID.pack`, where `ab` are the last digits of the id: the first ones
/// are the time, and would put all packs of a year into one directory.
fn object_path(pack: PackId) -> ObjectPath {
    let id = pack.to_string();
    ObjectPath::from(format!("{PACKS}/{}/{id}{SUFFIX}", &id[id.len() - 2..]))
}

fn failed(doing: &str, pack: PackId, error: object_store::Error) -> StoreError {
    if matches!(error, object_store::Error::NotFound { .. }) {
        return StoreError::PackMissing { pack };
    }
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(inner) = cause {
        if inner.downcast_ref().is_some_and(is_full) {
            return StoreError::Full { what: "the store" };
        }
        cause = inner.source();
    }
    StoreError::Io(format!("{doing} pack {pack}: {error}"))
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
    use super::super::url::file_url;
    use super::*;

    #[test]
    fn urls_that_are_not_supported_say_why() {
        for (url, reason) in [
            ("s3://bucket", "only file:///"),
            ("file://relative", "absolute"),
            ("file:///a%2", "%25"),
        ] {
            let error = Backend::open(url, true).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }

    #[test]
    fn a_store_whose_directory_is_gone_is_not_made_anew() {
        let directory = tempfile::tempdir().unwrap();
        let url = file_url(&directory.path().join("gone"));
        let error = Backend::open(&url, false).unwrap_err().to_string();
        assert!(error.contains("is its disk mounted"), "{error}");
        Backend::open(&url, true).unwrap();
    }

    #[test]
    fn leftovers_of_an_interrupted_put_are_cleaned_and_never_listed() {
        let directory = tempfile::tempdir().unwrap();
        let backend = Backend::open(&file_url(directory.path()), true).unwrap();
        let pack = PackId([3; 16]);
        backend.put(pack, b"bytes".to_vec()).unwrap();
        let leftover = PathBuf::from(format!("{}#1", backend.file(pack).display()));
        fs::write(&leftover, b"half").unwrap();
        assert_eq!(backend.list().unwrap(), [(pack, 5)]);
        backend.clear_leftovers(pack).unwrap();
        assert!(!leftover.exists());
        assert_eq!(backend.pack_bytes(pack).unwrap(), Some(5));
        let mode = fs::metadata(backend.file(pack))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o400);
    }

    #[test]
    fn a_finished_file_is_adopted_without_a_copy_and_over_what_an_attempt_left() {
        use std::os::unix::fs::MetadataExt;
        let directory = tempfile::tempdir().unwrap();
        let store = directory.path().join("store");
        let backend = Backend::open(&file_url(&store), true).unwrap();
        let finished = directory.path().join("finished");
        fs::write(&finished, b"bytes").unwrap();
        let pack = PackId([5; 16]);
        backend.put(pack, b"half".to_vec()).unwrap();
        for _ in 0..2 {
            assert!(backend.adopt(pack, &finished).unwrap());
        }
        let (one, other) = (fs::metadata(&finished), fs::metadata(backend.file(pack)));
        let (one, other) = (one.unwrap(), other.unwrap());
        assert_eq!((one.dev(), one.ino()), (other.dev(), other.ino()));
        assert_eq!(other.permissions().mode() & 0o777, 0o400);
    }

    #[test]
    fn a_file_on_another_filesystem_is_left_to_be_put() {
        let elsewhere = tempfile::tempdir_in("/dev/shm").unwrap();
        let finished = elsewhere.path().join("finished");
        fs::write(&finished, b"bytes").unwrap();
        let directory = tempfile::tempdir().unwrap();
        let backend = Backend::open(&file_url(directory.path()), true).unwrap();
        let pack = PackId([5; 16]);
        assert!(!backend.adopt(pack, &finished).unwrap());
        assert_eq!(backend.pack_bytes(pack).unwrap(), None);
    }
}
