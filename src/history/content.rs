//! The bytes of one version, by range.

use std::fs::File;
use std::os::unix::fs::FileExt;

use crate::model::ContentId;
use crate::store::ContentReader;
use crate::vault::{Result, Vault, VaultError};

/// An open version; what comes from the store is checked against its hash.
#[derive(Debug)]
pub struct Content {
    source: Source,
}

#[derive(Debug)]
enum Source {
    Stored(ContentReader),
    /// Sealed bytes that the store could not take yet.
    File {
        file: File,
        size: u64,
    },
}

impl Content {
    pub(super) fn stored(vault: &Vault, content: ContentId) -> Result<Self> {
        Ok(Self {
            source: Source::Stored(vault.store().reader(content)?),
        })
    }

    pub(super) fn file(file: File, size: u64) -> Self {
        Self {
            source: Source::File { file, size },
        }
    }

    /// Bytes.
    pub fn size(&self) -> u64 {
        match &self.source {
            Source::Stored(reader) => reader.size(),
            Source::File { size, .. } => *size,
        }
    }

    /// Fills `buffer` from `offset` on; fewer bytes only at the end.
    ///
    /// # Errors
    /// When the bytes cannot be read, or are not what was written.
    pub fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        match &self.source {
            Source::Stored(reader) => Ok(reader.read_at(offset, buffer)?),
            Source::File { file, size } => {
                let rest = usize::try_from(size.saturating_sub(offset)).unwrap_or(usize::MAX);
                let wanted = buffer.len().min(rest);
                let mut done = 0;
                while done < wanted {
                    let count = file
                        .read_at(&mut buffer[done..wanted], offset + done as u64)
                        .map_err(|error| VaultError::io("reading a sealed version", error))?;
                    if count == 0 {
                        break;
                    }
                    done += count;
                }
                Ok(done)
            }
        }
    }
}
