//! The objects of one publishing.
//!
//! None is put over what somebody else wrote, as far as the store knows that condition: a copy
//! of the whole machine has the same lease.

use bytes::Bytes;

use super::object::{self, Header, Kind};
use super::{CHANGE_BYTES_MIN, key, own};
use crate::catalog::{Extent, JournalPosition};
use crate::model::Fence;
use crate::model::failpoint::reach;
use crate::store::Shared;
use crate::store::backend::Backend;
use crate::store::cipher::Cipher;
use crate::store::error::Result;

/// The objects of one publishing, put one after the other.
pub(super) struct Group<'a> {
    shared: &'a Shared,
    backend: &'a Backend,
    cipher: Option<&'a Cipher>,
    pub(super) header: Header,
    /// Not put yet: it may be the last.
    batch: Option<Vec<u8>>,
    bytes: u64,
}

impl<'a> Group<'a> {
    pub(super) fn begin(
        shared: &'a Shared,
        backend: &'a Backend,
        fence: Fence,
        position: &JournalPosition,
        format: u32,
        group: u64,
    ) -> Self {
        let goes_on = position.fence == Some(fence) && position.format == format;
        let limit = position.snapshot_bytes.max(CHANGE_BYTES_MIN);
        let (kind, number) = match position.fence {
            Some(_) if goes_on && position.change_bytes <= limit => {
                (Kind::Changes, position.number)
            }
            Some(before) if before == fence => (Kind::Snapshot, position.number),
            _ => (Kind::Snapshot, 1),
        };
        Self {
            shared,
            backend,
            cipher: shared.coding.cipher(),
            header: Header {
                kind,
                catalog_format: format,
                fence,
                number,
                group,
                after: position.group,
                index: 0,
                is_last: false,
                published_at: shared.clock.now(),
            },
            batch: None,
            bytes: 0,
        }
    }

    pub(super) fn extent(&self) -> Extent {
        match self.header.kind {
            Kind::Snapshot => Extent::Everything,
            Kind::Changes => Extent::Changed,
        }
    }

    pub(super) fn push(&mut self, batch: Vec<u8>) -> Result<()> {
        match self.batch.replace(batch) {
            Some(before) => self.put(&before),
            None => Ok(()),
        }
    }

    fn put(&mut self, batch: &[u8]) -> Result<()> {
        let object = object::write(&self.header, batch, self.cipher)?;
        self.bytes += object.len() as u64;
        reach("journal.before-put");
        let key = key(self.header.fence, self.header.number, self.header.kind);
        let object = Bytes::from(object);
        match self.backend.create_object(&key, object.clone())? {
            true => self.backend.protect_object(&key)?,
            // Of an attempt that was interrupted, or whose answer was lost.
            false if own::wrote(self.shared, self.backend, &key)? => {
                self.backend.put_object(&key, object)?;
            }
            false => return Err(self.shared.lease.stop(self.backend, self.header.fence)),
        }
        self.header.number += 1;
        self.header.index += 1;
        Ok(())
    }

    /// Where the journal is when its last object is in the store.
    pub(super) fn end(mut self, before: &JournalPosition) -> Result<JournalPosition> {
        self.header.is_last = true;
        let batch = self.batch.take().unwrap_or_default();
        self.put(&batch)?;
        let (snapshot_bytes, change_bytes) = match self.header.kind {
            Kind::Snapshot => (self.bytes, 0),
            Kind::Changes => (before.snapshot_bytes, before.change_bytes + self.bytes),
        };
        Ok(JournalPosition {
            fence: Some(self.header.fence),
            number: self.header.number,
            group: self.header.group,
            format: self.header.catalog_format,
            snapshot_bytes,
            change_bytes,
        })
    }
}
