//! What goes through an open file: read, write, fallocate, seek, copy, fsync.
//!
//! Reads and writes come here only where the kernel does not serve the lower
//! file itself. All of it is positioned, so handles share one descriptor.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::{FallocateFlags, SeekFrom, copy_file_range, fallocate, fdatasync, fsync, seek};
use rustix::io::{Errno, pread, pwrite};

use super::{Caller, Live};
use crate::mount::attr::Stat;
use crate::mount::errno::{Error, Result};
use crate::mount::handles::OpenFile;
use crate::vault::WriteIntent;

/// What an fsync must make durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durable {
    /// The content and what is needed to find it.
    Data,
    /// The attributes too.
    Everything,
}

/// What is known of the privilege of who writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Privilege {
    /// Set-id bits stay.
    KeepsSetIds,
    /// Set-id bits go.
    DropsSetIds,
}

impl OpenFile {
    fn any(&self) -> Result<Arc<OwnedFd>> {
        self.inode.lock().any().ok_or(Error::BadHandle)
    }

    fn writer(&self) -> Result<Arc<OwnedFd>> {
        self.inode.lock().writer.clone().ok_or(Error::BadHandle)
    }
}

impl Live {
    /// Up to `size` bytes; fewer only at the end.
    pub(crate) fn read(&self, handle: u64, offset: u64, size: u32) -> Result<Vec<u8>> {
        let file = self.handles.file(handle)?.any()?;
        let mut data = vec![0; size as usize];
        let mut filled = 0;
        while filled < data.len() {
            match pread(&file, &mut data[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        data.truncate(filled);
        Ok(data)
    }

    /// Writes all of it, or as much as there is room for.
    pub(crate) fn write(
        &self,
        handle: u64,
        offset: u64,
        data: &[u8],
        privilege: Privilege,
    ) -> Result<u32> {
        let handle = self.handles.file(handle)?;
        let file = handle.writer()?;
        let mut written = 0;
        while written < data.len() {
            match pwrite(&file, &data[written..], offset + written as u64) {
                Ok(count) => written += count,
                Err(Errno::INTR) => {}
                Err(_) if written > 0 => break,
                Err(errno) => return Err(errno.into()),
            }
        }
        if privilege == Privilege::DropsSetIds {
            self.drop_set_ids(handle.node.id, &file)?;
        }
        Ok(written as u32)
    }

    /// fallocate(2), every mode.
    pub(crate) fn fallocate(
        &self,
        handle: u64,
        mode: i32,
        offset: u64,
        length: u64,
        caller: Caller,
    ) -> Result<()> {
        let handle = self.handles.file(handle)?;
        let file = handle.writer()?;
        // The handle may have been opened for appending only.
        self.vault
            .before_write(handle.node.key, file.as_fd(), WriteIntent::Change)?;
        let mode = FallocateFlags::from_bits_retain(mode as u32);
        fallocate(&file, mode, offset, length)?;
        if !caller.is_root() {
            self.drop_set_ids(handle.node.id, &file)?;
        }
        Ok(())
    }

    /// lseek(2) to data or to a hole; the kernel does the rest itself.
    pub(crate) fn lseek(&self, handle: u64, offset: i64, whence: i32) -> Result<i64> {
        let file = self.handles.file(handle)?.any()?;
        let from = u64::try_from(offset).map_err(|_| Errno::NXIO)?;
        let target = match whence {
            libc::SEEK_DATA => SeekFrom::Data(from),
            libc::SEEK_HOLE => SeekFrom::Hole(from),
            libc::SEEK_SET => SeekFrom::Start(from),
            libc::SEEK_END => return Ok(Stat::of(&file)?.size() as i64 + offset),
            _ => return Err(Error::BadFlags),
        };
        Ok(seek(&file, target)? as i64)
    }

    /// copy_file_range(2) below, where blocks can be shared.
    pub(crate) fn copy_file_range(
        &self,
        from: (u64, u64),
        to: (u64, u64),
        length: u64,
        caller: Caller,
    ) -> Result<u32> {
        // The reply counts in 32 bits; the program asks again for the rest.
        const MOST: u64 = 1 << 30;
        let source = self.handles.file(from.0)?.any()?;
        let handle = self.handles.file(to.0)?;
        let target = handle.writer()?;
        let (mut read_at, mut write_at) = (from.1, to.1);
        let length = length.min(MOST) as usize;
        let copied = copy_file_range(
            &source,
            Some(&mut read_at),
            &target,
            Some(&mut write_at),
            length,
        )?;
        if !caller.is_root() {
            self.drop_set_ids(handle.node.id, &target)?;
        }
        Ok(copied as u32)
    }

    /// fsync(2): real below, then whatever the vault needs to find the bytes again.
    pub(crate) fn fsync(&self, handle: u64, durable: Durable) -> Result<()> {
        let handle = self.handles.file(handle)?;
        sync(&*handle.any()?, durable)?;
        Ok(self.vault.synced(Some(handle.node.key))?)
    }

    /// fsync(2) of a directory.
    pub(crate) fn fsyncdir(&self, handle: u64, durable: Durable) -> Result<()> {
        let handle = self.handles.directory(handle)?;
        sync(&handle.file, durable)?;
        Ok(self.vault.synced(None)?)
    }
}

fn sync(file: &OwnedFd, durable: Durable) -> rustix::io::Result<()> {
    match durable {
        Durable::Data => fdatasync(file),
        Durable::Everything => fsync(file),
    }
}
