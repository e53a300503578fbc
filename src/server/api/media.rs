//! What a content says of itself: its md5, and the size of a picture.
//!
//! Both are of the content alone, so they are remembered by the version, or for a file
//! that is not backed up by the file as it is. The surprise: only the head of a picture is
//! read for its size.

use std::io::{Read, Seek, SeekFrom};
use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};

use lru::LruCache;
use md5::{Digest, Md5};

use super::asset::Asset;
use super::formats::{ResourceType, identify};
use super::signature::hex;
use crate::model::{InodeKey, Timestamp, VersionId};
use crate::vault::Vault;

/// Contents that are remembered. The compiler sees that it is not zero.
const REMEMBERED_MAX: NonZeroUsize = NonZeroUsize::new(100_000).unwrap();
/// Headers of pictures end before this.
const HEAD_BYTES: u64 = 256 << 10;

/// A content, by what cannot stay the same when it changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Content {
    Version(VersionId),
    File(InodeKey, u64, Timestamp),
}

type Dimensions = Option<(u32, u32)>;

/// What was found out lately.
pub(super) struct Media {
    md5: Mutex<LruCache<Content, String>>,
    dimensions: Mutex<LruCache<Content, Dimensions>>,
}

impl std::fmt::Debug for Media {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Media")
    }
}

impl Default for Media {
    fn default() -> Self {
        Self {
            md5: Mutex::new(LruCache::new(REMEMBERED_MAX)),
            dimensions: Mutex::new(LruCache::new(REMEMBERED_MAX)),
        }
    }
}

impl Media {
    /// The md5 of the asset's content, in hex. `None`: it cannot be read now.
    pub(super) fn etag(&self, vault: &Vault, asset: &Asset) -> Option<String> {
        let content = content_of(asset)?;
        if let Some(known) = locked(&self.md5).get(&content) {
            return Some(known.clone());
        }
        let mut hasher = Md5::new();
        let mut file = open(vault, asset)?;
        let mut buffer = vec![0; 256 << 10];
        loop {
            match file.read(&mut buffer) {
                Ok(0) => break,
                Ok(bytes) => hasher.update(&buffer[..bytes]),
                Err(_) => return None,
            }
        }
        let etag = hex(&hasher.finalize());
        // Only if it is still the same content that was read.
        let now = vault.live().find(&asset.id).ok().flatten();
        if let Content::File(inode, size, ctime) = content
            && !matches!(now, Some(crate::vault::live::Found::File(now))
                if now.inode == inode && now.size == size && now.ctime == ctime)
        {
            return None;
        }
        locked(&self.md5).put(content, etag.clone());
        Some(etag)
    }

    /// The same where it is known, or the live file has no more than `left` bytes, which it
    /// then takes away.
    pub(super) fn etag_within(
        &self,
        vault: &Vault,
        asset: &Asset,
        left: &mut u64,
    ) -> Option<String> {
        if let Some(known) = locked(&self.md5).get(&content_of(asset)?) {
            return Some(known.clone());
        }
        *left = left.checked_sub(asset.file?.size)?;
        self.etag(vault, asset)
    }

    /// Notes the md5 of a content that was hashed while it came in.
    pub(super) fn note(&self, asset: &Asset, etag: &str) {
        if let Some(content) = content_of(asset) {
            locked(&self.md5).put(content, etag.to_owned());
        }
    }

    /// Width and height of a picture in a common format.
    pub(super) fn dimensions(&self, vault: &Vault, asset: &Asset) -> Dimensions {
        let path = asset.path()?;
        if identify(path).resource_type != ResourceType::Image {
            return None;
        }
        let content = content_of(asset)?;
        if let Some(known) = locked(&self.dimensions).get(&content) {
            return *known;
        }
        let mut head = Vec::new();
        open(vault, asset)?
            .take(HEAD_BYTES)
            .read_to_end(&mut head)
            .ok()?;
        let size = imagesize::blob_size(&head).ok();
        let dimensions = size.and_then(|size| {
            Some((
                u32::try_from(size.width).ok()?,
                u32::try_from(size.height).ok()?,
            ))
        });
        locked(&self.dimensions).put(content, dimensions);
        dimensions
    }
}

fn locked<T>(cache: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    cache.lock().unwrap_or_else(PoisonError::into_inner)
}

fn content_of(asset: &Asset) -> Option<Content> {
    // A live file may be ahead of its latest version: the file itself says what it is.
    match (asset.file, &asset.latest) {
        (Some(file), _) => Some(Content::File(file.inode, file.size, file.ctime)),
        (None, Some(latest)) => Some(Content::Version(latest.id)),
        (None, None) => None,
    }
}

/// The live file, or the content of a deleted asset's latest version.
fn open(vault: &Vault, asset: &Asset) -> Option<Box<dyn Read>> {
    if asset.file.is_some() {
        let mut file = vault.live().open_file(&asset.id).ok()?;
        file.seek(SeekFrom::Start(0)).ok()?;
        return Some(Box::new(file));
    }
    let version = asset.latest.as_ref()?;
    let reader = vault.read_version(version.seq).ok()?;
    Some(Box::new(VersionRead { reader, offset: 0 }))
}

/// A version, read from its beginning on.
pub(super) struct VersionRead {
    pub reader: crate::store::ContentReader,
    pub offset: u64,
}

impl Read for VersionRead {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.reader.read_at(self.offset, buffer);
        let bytes = read.map_err(std::io::Error::other)?;
        self.offset += bytes as u64;
        Ok(bytes)
    }
}
