//! One object of the journal: a header, a batch of the catalog's rows, a checksum. In an
//! encrypted vault the batch is sealed, bound to its header.
//!
//! The objects of one publishing are a *group*: they make sense together or not at all.
//! Each group names the one before it, so that what a kill left of a group that was
//! written anew is never taken for its sequel. All numbers are little endian.

use crate::model::{Fence, Timestamp};
use crate::store::cipher::{Cipher, Purpose};
use crate::store::error::{Result, StoreError};

const MAGIC: [u8; 8] = *b"KEEPJRNL";
/// Of the object; that of the catalog's rows is in the header.
const FORMAT: u32 = 1;
pub(super) const HEADER_BYTES: usize = 80;
const HASH_BYTES: usize = 32;
const LAST: u32 = 1;
const SNAPSHOT: u32 = 2;
const SEALED: u32 = 4;
const ZSTD_LEVEL: i32 = 9;
/// Of a batch, before compression. Longer than any that the catalog makes, unless one
/// row alone is.
const PLAIN_BYTES_MAX: u64 = 128 << 20;
/// Of an object: no longer one is read.
pub(super) const OBJECT_BYTES_MAX: u64 = PLAIN_BYTES_MAX + (1 << 20);

/// What an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Part of all rows.
    Snapshot,
    /// Part of those that changed.
    Changes,
}

/// What stands before the batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub kind: Kind,
    /// Of the catalog.
    pub catalog_format: u32,
    pub fence: Fence,
    pub number: u64,
    /// Drawn at random for all objects of one publishing.
    pub group: u64,
    /// The group before it. Means nothing in a snapshot.
    pub after: u64,
    /// The object's place in its group, from 0 on.
    pub index: u32,
    /// It is the last of its group.
    pub is_last: bool,
    pub published_at: Timestamp,
}

/// An object as bytes. `cipher` is `None` in a vault that is not encrypted.
pub(super) fn write(header: &Header, batch: &[u8], cipher: Option<&Cipher>) -> Result<Vec<u8>> {
    let mut body = zstd::bulk::compress(batch, ZSTD_LEVEL)
        .map_err(|error| StoreError::Io(format!("compressing the journal: {error}")))?;
    let mut flags = 0;
    if header.is_last {
        flags |= LAST;
    }
    if header.kind == Kind::Snapshot {
        flags |= SNAPSHOT;
    }
    if cipher.is_some() {
        flags |= SEALED;
    }
    let mut bytes = Vec::with_capacity(HEADER_BYTES + body.len() + HASH_BYTES);
    bytes.extend(MAGIC);
    bytes.extend(FORMAT.to_le_bytes());
    bytes.extend(header.catalog_format.to_le_bytes());
    bytes.extend(header.fence.0.to_le_bytes());
    bytes.extend(header.number.to_le_bytes());
    bytes.extend(header.group.to_le_bytes());
    bytes.extend(header.after.to_le_bytes());
    bytes.extend(header.index.to_le_bytes());
    bytes.extend(flags.to_le_bytes());
    bytes.extend((batch.len() as u64).to_le_bytes());
    bytes.extend(header.published_at.nanos().to_le_bytes());
    bytes.extend([0; 8]);
    if let Some(cipher) = cipher {
        cipher.seal_in_place(Purpose::Journal, &bytes, &mut body)?;
    }
    bytes.extend(body);
    let hash = blake3::hash(&bytes);
    bytes.extend(hash.as_bytes());
    Ok(bytes)
}

/// The reverse of [`write`], for any bytes.
///
/// # Errors
/// One line that says what is wrong with them.
pub(super) fn read(
    bytes: &[u8],
    cipher: Option<&Cipher>,
) -> std::result::Result<(Header, Vec<u8>), String> {
    let cut = || String::from("it is cut short");
    let (rest, hash) = bytes.split_last_chunk::<HASH_BYTES>().ok_or_else(cut)?;
    let (head, body) = rest.split_first_chunk::<HEADER_BYTES>().ok_or_else(cut)?;
    if head[..8] != MAGIC {
        return Err("it is no part of a journal".into());
    }
    let format = u32_at(head, 8);
    if format > FORMAT {
        return Err(format!(
            "it was written by a newer keepfs (format {format}; this one knows {FORMAT}): update keepfs"
        ));
    }
    if blake3::hash(rest) != *hash {
        return Err("its checksum does not match".into());
    }
    let flags = u32_at(head, 52);
    let header = Header {
        kind: match flags & SNAPSHOT {
            0 => Kind::Changes,
            _ => Kind::Snapshot,
        },
        catalog_format: u32_at(head, 12),
        fence: Fence(u64_at(head, 16)),
        number: u64_at(head, 24),
        group: u64_at(head, 32),
        after: u64_at(head, 40),
        index: u32_at(head, 48),
        is_last: flags & LAST != 0,
        published_at: Timestamp::from_nanos(u64_at(head, 64).cast_signed()),
    };
    let plain_bytes = u64_at(head, 56);
    if plain_bytes > PLAIN_BYTES_MAX {
        return Err(format!("it claims {plain_bytes} bytes"));
    }
    let opened = match (cipher, flags & SEALED) {
        (None, 0) => None,
        (None, _) => return Err("it is encrypted, and this vault is not".into()),
        (Some(_), 0) => return Err("it is not encrypted, and this vault is".into()),
        (Some(cipher), _) => {
            let opened = cipher.open(Purpose::Journal, head, body.to_vec());
            Some(opened.ok_or("the vault's key does not open it")?)
        }
    };
    let frame = opened.as_deref().unwrap_or(body);
    let batch = zstd::bulk::decompress(frame, plain_bytes as usize)
        .map_err(|error| format!("it cannot be unpacked: {error}"))?;
    if batch.len() as u64 != plain_bytes {
        return Err(cut());
    }
    Ok((header, batch))
}

/// The group that an object says it is of, by its first bytes alone: they may be anything.
pub(super) fn group_of(bytes: &[u8]) -> Option<u64> {
    let head = bytes.first_chunk::<HEADER_BYTES>()?;
    (head[..8] == MAGIC).then(|| u64_at(head, 32))
}

fn u32_at(head: &[u8; HEADER_BYTES], at: usize) -> u32 {
    let mut bytes = [0; 4];
    bytes.copy_from_slice(&head[at..at + 4]);
    u32::from_le_bytes(bytes)
}

fn u64_at(head: &[u8; HEADER_BYTES], at: usize) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&head[at..at + 8]);
    u64::from_le_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn header(kind: Kind, is_last: bool, number: u64) -> Header {
        Header {
            kind,
            catalog_format: 3,
            fence: Fence(u64::MAX),
            number,
            group: number ^ 5,
            after: 77,
            index: 9,
            is_last,
            published_at: Timestamp::from_nanos(-1),
        }
    }

    proptest! {
        #[test]
        fn an_object_reads_back_as_it_was_written(
            batch: Vec<u8>, number: u64, is_last: bool, is_snapshot: bool
        ) {
            let kind = if is_snapshot { Kind::Snapshot } else { Kind::Changes };
            let header = header(kind, is_last, number);
            let bytes = write(&header, &batch, None).unwrap();
            prop_assert_eq!(read(&bytes, None), Ok((header, batch)));
        }

        #[test]
        fn one_flipped_bit_anywhere_is_noticed(
            at: prop::sample::Index, bit in 0..8u8, batch in any::<Vec<u8>>()
        ) {
            let mut bytes = write(&header(Kind::Changes, true, 1), &batch, None).unwrap();
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            prop_assert!(read(&bytes, None).is_err());
        }

        #[test]
        fn any_bytes_are_refused_in_words(bytes: Vec<u8>) {
            prop_assert!(read(&bytes, None).is_err());
        }
    }

    #[test]
    fn a_claim_of_many_bytes_takes_no_memory() {
        let mut bytes = write(&header(Kind::Changes, true, 1), b"rows", None).unwrap();
        bytes[56..64].copy_from_slice(&u64::MAX.to_le_bytes());
        let end = bytes.len() - HASH_BYTES;
        let hash = *blake3::hash(&bytes[..end]).as_bytes();
        bytes[end..].copy_from_slice(&hash);
        assert!(read(&bytes, None).unwrap_err().contains("claims"));
    }

    #[test]
    fn a_sealed_object_shows_no_rows_and_opens_only_as_it_was_written() {
        let key = crate::store::testing::vault_key();
        let cipher = Some(&**key.cipher());
        let header = header(Kind::Changes, true, 1);
        let bytes = write(&header, b"wedding-of-zoe.txt", cipher).unwrap();
        assert!(!bytes.windows(7).any(|window| window == b"wedding"));
        let (read_header, batch) = read(&bytes, cipher).unwrap();
        assert_eq!(
            (read_header, &batch[..]),
            (header, &b"wedding-of-zoe.txt"[..])
        );
        assert!(read(&bytes, None).unwrap_err().contains("is encrypted"));
        let plain = write(&header, b"rows", None).unwrap();
        assert!(read(&plain, cipher).unwrap_err().contains("not encrypted"));
        // Under another number, with a checksum to match.
        let mut moved = bytes.clone();
        moved[24] ^= 1;
        let end = moved.len() - HASH_BYTES;
        let hash = *blake3::hash(&moved[..end]).as_bytes();
        moved[end..].copy_from_slice(&hash);
        assert!(read(&moved, cipher).unwrap_err().contains("does not open"));
    }
}
