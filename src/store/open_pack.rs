//! The packs in the spool: the one that grows, and those that wait to be stored.
//!
//! A chunk is appended and its row written to the catalog under one lock, so the
//! catalog's rows are always a front part of the file's records. The surprise:
//! [`OpenPacks::sync`] takes no lock that an appender holds; it may be called
//! with the catalog locked.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
#[cfg(test)]
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use super::backend::is_full;
use super::error::{Result, StoreError};
use super::finish::Waiting;
use super::pack::{self, HEADER_BYTES, RECORD_HEADER_BYTES};
use super::spool_pack::{Encoded, SpoolPack, end_of, rows_from};
use super::{Unstored, marks};
use crate::catalog::ChunkRecord;
use crate::model::failpoint::reach;
use crate::model::{Clock, PackId};

const SUFFIX: &str = ".open";
/// Up to this size, header and bytes of a single record go out in one write.
const JOIN_BYTES_MAX: usize = 64 << 10;

/// A pack with what is in it, growing or grown.
#[derive(Debug)]
pub(super) struct Growing {
    pub(super) pack: Arc<SpoolPack>,
    pub(super) chunks: Vec<ChunkRecord>,
}

/// All packs in the spool.
#[derive(Debug)]
pub(super) struct OpenPacks {
    directory: PathBuf,
    growing: Mutex<Option<Growing>>,
    readable: RwLock<HashMap<PackId, Arc<SpoolPack>>>,
    /// Held while the directory is flushed: who finds it unchanged can rely on it.
    directory_changed: Mutex<bool>,
    /// The disk of the tests is full when a pack file would get longer than this.
    #[cfg(test)]
    pub(super) file_bytes_max: AtomicU64,
}

impl OpenPacks {
    /// The spool in `directory`, which is made when it is not there.
    pub(super) fn open(directory: &Path) -> Result<Self> {
        let failed = |error| spool_error(directory, error);
        fs::create_dir_all(directory).map_err(failed)?;
        marks::remove_unfinished(directory).map_err(failed)?;
        Ok(Self {
            directory: directory.into(),
            growing: Mutex::default(),
            readable: RwLock::default(),
            directory_changed: Mutex::new(true),
            #[cfg(test)]
            file_bytes_max: AtomicU64::new(u64::MAX),
        })
    }

    /// What the system said about the spool.
    pub(super) fn failed(&self, error: io::Error) -> StoreError {
        spool_error(&self.directory, error)
    }

    /// The file of a pack in the spool.
    pub(super) fn path(&self, pack: PackId) -> PathBuf {
        self.directory.join(format!("{pack}{SUFFIX}"))
    }

    fn growing(&self) -> MutexGuard<'_, Option<Growing>> {
        self.growing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The names of the pack files that are there.
    pub(super) fn names(&self) -> Result<Vec<PackId>> {
        let mut packs = Vec::new();
        for entry in fs::read_dir(&self.directory).map_err(|error| self.failed(error))? {
            let name = entry.map_err(|error| self.failed(error))?.file_name();
            let id = name.to_str().and_then(|name| name.strip_suffix(SUFFIX));
            packs.extend(id.and_then(|id| id.parse::<PackId>().ok()));
        }
        Ok(packs)
    }

    /// Makes a new, empty pack file: the sign that a pack of that name is on its way.
    pub(super) fn create(&self, clock: &dyn Clock) -> Result<Arc<SpoolPack>> {
        loop {
            let id = PackId::new(clock);
            let made = OpenOptions::new()
                .read(true)
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(self.path(id));
            *self.directory_changed() = true;
            match made {
                Ok(file) => return Ok(Arc::new(SpoolPack::new(id, file, 0))),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(self.failed(error)),
            }
        }
    }

    /// The bytes of a pack file that an earlier run left. `None`: it is not there.
    pub(super) fn load(&self, pack: PackId) -> Result<Option<Vec<u8>>> {
        match fs::read(self.path(pack)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.failed(error)),
        }
    }

    /// Takes up a pack file of an earlier run, cut behind the last of `chunks`.
    pub(super) fn take_up(&self, pack: PackId, chunks: Vec<ChunkRecord>) -> Result<Growing> {
        let path = self.path(pack);
        fs::set_permissions(&path, Permissions::from_mode(0o600))
            .map_err(|error| self.failed(error))?;
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(path)
            .map_err(|error| self.failed(error))?;
        let end = chunks.iter().map(end_of).max().unwrap_or(HEADER_BYTES);
        file.set_len(end).map_err(|error| self.failed(error))?;
        let pack = Arc::new(SpoolPack::new(pack, file, end));
        self.make_readable(&pack);
        Ok(Growing { pack, chunks })
    }

    /// Goes on with a pack that was taken up.
    pub(super) fn grow_on(&self, growing: Growing) {
        *self.growing() = Some(growing);
    }

    /// Removes a pack file. One that is not there is no error.
    pub(super) fn remove(&self, pack: PackId) -> Result<()> {
        self.make_unreadable(pack);
        *self.directory_changed() = true;
        match fs::remove_file(self.path(pack)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(self.failed(error)),
            _ => Ok(()),
        }
    }

    fn make_readable(&self, pack: &Arc<SpoolPack>) {
        let readable = self.readable.write();
        let mut readable = readable.unwrap_or_else(PoisonError::into_inner);
        readable.insert(pack.id, pack.clone());
    }

    /// From now on the pack is read from the store.
    pub(super) fn make_unreadable(&self, pack: PackId) {
        let readable = self.readable.write();
        readable
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&pack);
    }

    /// The pack, while it is in the spool.
    pub(super) fn readable(&self, pack: PackId) -> Option<Arc<SpoolPack>> {
        let readable = self.readable.read();
        let readable = readable.unwrap_or_else(PoisonError::into_inner);
        readable.get(&pack).cloned()
    }

    /// What is here and not in the store yet.
    pub(super) fn unstored(&self) -> Unstored {
        let readable = self.readable.read();
        let readable = readable.unwrap_or_else(PoisonError::into_inner);
        let with_bytes = readable
            .values()
            .filter(|pack| pack.written_bytes() > HEADER_BYTES);
        with_bytes.fold(Unstored::default(), |sum, pack| Unstored {
            packs: sum.packs + 1,
            bytes: sum.bytes + pack.written_bytes(),
            oldest: Some(
                sum.oldest
                    .map_or(pack.id.made_at(), |oldest| oldest.min(pack.id.made_at())),
            ),
        })
    }

    /// Appends a chunk. `record` writes its row, and that of the pack when it is the
    /// first; when it fails, the bytes are taken back. A pack that has grown to
    /// `pack_bytes` goes to `waiting` before anybody can miss it here.
    pub(super) fn append<T>(
        &self,
        chunk: Encoded<'_>,
        pack_bytes: u64,
        waiting: &Waiting,
        clock: &dyn Clock,
        record: impl FnOnce(&ChunkRecord, bool) -> Result<T>,
    ) -> Result<T> {
        self.append_some(&[chunk], pack_bytes, waiting, clock, |rows, is_first| {
            record(&rows[0], is_first)
        })
    }

    /// The same for several, which all go into one pack: in one write, and `record` writes
    /// all rows.
    pub(super) fn append_some<T>(
        &self,
        chunks: &[Encoded<'_>],
        pack_bytes: u64,
        waiting: &Waiting,
        clock: &dyn Clock,
        record: impl FnOnce(&[ChunkRecord], bool) -> Result<T>,
    ) -> Result<T> {
        let mut slot = self.growing();
        let mut growing = match slot.take() {
            Some(growing) => growing,
            None => self.start(clock)?,
        };
        let outcome = self.append_to(&mut growing, chunks, record);
        if outcome.is_err() || growing.pack.written_bytes() < pack_bytes {
            *slot = Some(growing);
        } else {
            waiting.push(growing);
        }
        outcome
    }

    fn start(&self, clock: &dyn Clock) -> Result<Growing> {
        let pack = self.create(clock)?;
        if let Err(error) = self.write(&pack, &pack::header(pack.id), 0) {
            let _ = fs::remove_file(self.path(pack.id));
            return Err(self.failed(error));
        }
        pack.written_bytes.store(HEADER_BYTES, Ordering::Release);
        self.make_readable(&pack);
        Ok(Growing {
            pack,
            chunks: Vec::new(),
        })
    }

    fn append_to<T>(
        &self,
        growing: &mut Growing,
        chunks: &[Encoded<'_>],
        record: impl FnOnce(&[ChunkRecord], bool) -> Result<T>,
    ) -> Result<T> {
        let pack = &growing.pack;
        let start = pack.written_bytes();
        let rows = rows_from(pack.id, start, chunks);
        if let Err(error) = self.write_records(pack, start, &rows, chunks) {
            // A part of a record stays in nobody's way: the next one overwrites it.
            let _ = pack.file.set_len(start);
            return Err(self.failed(error));
        }
        let end = rows.last().map_or(start, end_of);
        pack.written_bytes.store(end, Ordering::Release);
        pack.appends.fetch_add(1, Ordering::AcqRel);
        reach("store.after-append");
        match record(&rows, growing.chunks.is_empty()) {
            Ok(value) => {
                growing.chunks.extend(rows);
                Ok(value)
            }
            Err(error) => {
                pack.written_bytes.store(start, Ordering::Release);
                let _ = pack.file.set_len(start);
                Err(error)
            }
        }
    }

    fn write_records(
        &self,
        pack: &SpoolPack,
        start: u64,
        rows: &[ChunkRecord],
        chunks: &[Encoded<'_>],
    ) -> io::Result<()> {
        if let ([row], [chunk]) = (rows, chunks)
            && chunk.stored.len() > JOIN_BYTES_MAX
        {
            self.write(pack, &pack::record_header(row), start)?;
            return self.write(pack, chunk.stored, row.offset);
        }
        let stored_bytes: usize = chunks.iter().map(|chunk| chunk.stored.len()).sum();
        let heads = chunks.len() * RECORD_HEADER_BYTES as usize;
        let mut bytes = Vec::with_capacity(stored_bytes + heads);
        for (row, chunk) in rows.iter().zip(chunks) {
            bytes.extend_from_slice(&pack::record_header(row));
            bytes.extend_from_slice(chunk.stored);
        }
        self.write(pack, &bytes, start)
    }

    fn write(&self, pack: &SpoolPack, bytes: &[u8], offset: u64) -> io::Result<()> {
        #[cfg(test)]
        if offset + bytes.len() as u64 > self.file_bytes_max.load(Ordering::SeqCst) {
            pack.file.write_all_at(&bytes[..bytes.len() / 2], offset)?;
            return Err(io::ErrorKind::StorageFull.into());
        }
        pack.file.write_all_at(bytes, offset)
    }

    /// Sends the growing pack, if there is one with something in it, to `waiting`.
    pub(super) fn end_growing(&self, waiting: &Waiting) -> Result<()> {
        let mut slot = self.growing();
        match slot.take() {
            Some(growing) if growing.chunks.is_empty() => self.remove(growing.pack.id)?,
            Some(growing) => waiting.push(growing),
            None => {}
        }
        Ok(())
    }

    /// Makes durable whatever was appended before the call.
    pub(super) fn sync(&self) -> Result<()> {
        let readable = self.readable.read();
        let packs: Vec<_> = readable
            .unwrap_or_else(PoisonError::into_inner)
            .values()
            .cloned()
            .collect();
        for pack in packs {
            let appends = pack.appends.load(Ordering::Acquire);
            if pack.appends_synced.load(Ordering::Acquire) < appends {
                pack.file.sync_data().map_err(|error| self.failed(error))?;
                pack.appends_synced.fetch_max(appends, Ordering::AcqRel);
            }
        }
        self.sync_directory()
    }

    /// Makes the names of the pack files durable.
    pub(super) fn sync_directory(&self) -> Result<()> {
        let mut changed = self.directory_changed();
        if *changed {
            let directory = File::open(&self.directory).map_err(|error| self.failed(error))?;
            directory.sync_all().map_err(|error| self.failed(error))?;
            *changed = false;
        }
        Ok(())
    }

    fn directory_changed(&self) -> MutexGuard<'_, bool> {
        let changed = self.directory_changed.lock();
        changed.unwrap_or_else(PoisonError::into_inner)
    }
}

fn spool_error(directory: &Path, error: io::Error) -> StoreError {
    match is_full(&error) {
        true => StoreError::Full {
            what: "the spool",
            directory: Some(directory.into()),
        },
        false => StoreError::Io(format!("spool: {error}")),
    }
}
