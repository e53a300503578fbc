//! The journal of one writer as it lies in a store: which objects there are, and each of them.

use std::collections::BTreeSet;

use super::object::{self, Header, Kind, OBJECT_BYTES_MAX};
use super::replay::{Gap, MISSING};
use super::{below, key, number_of};
use crate::model::Fence;
use crate::store::backend::Backend;
use crate::store::cipher::Cipher;
use crate::store::error::{Result, StoreError};

/// A listing that is not up to date lacks a few.
const ASKED_MAX: u64 = 1000;

/// The objects of one writer.
pub(super) struct Journal<'a> {
    backend: &'a Backend,
    pub(super) fence: Fence,
    cipher: Option<&'a Cipher>,
    pub(super) snapshots: BTreeSet<u64>,
    pub(super) changes: BTreeSet<u64>,
}

impl<'a> Journal<'a> {
    pub(super) fn list(
        backend: &'a Backend,
        fence: Fence,
        cipher: Option<&'a Cipher>,
    ) -> Result<Self> {
        let names = backend.names_below(&below(fence))?;
        let (mut snapshots, mut changes) = (BTreeSet::new(), BTreeSet::new());
        for (number, kind) in names.iter().filter_map(|name| number_of(name)) {
            match kind {
                Kind::Snapshot => snapshots.insert(number),
                Kind::Changes => changes.insert(number),
            };
        }
        Ok(Self {
            backend,
            fence,
            cipher,
            snapshots,
            changes,
        })
    }

    /// Asks for the objects that a listing may lack although they are there: what follows the
    /// newest snapshot that it has, to the end and behind it. So many may be missing only
    /// where a gap is accepted.
    pub(super) fn ask_for_unlisted(&mut self, gap: Gap) -> Result<()> {
        let newest = self.snapshots.iter().chain(&self.changes).max().copied();
        let snapshot = self.snapshots.last().copied();
        let begin = snapshot.or_else(|| self.changes.first().map(|first| first.saturating_sub(1)));
        let mut asked = 0;
        for number in begin.unwrap_or(0)..=u64::MAX {
            if self.snapshots.contains(&number) || self.changes.contains(&number) {
                continue;
            }
            if self.has(number, Kind::Changes)? {
                self.changes.insert(number);
            } else if self.has(number, Kind::Snapshot)? {
                self.snapshots.insert(number);
            } else if newest.is_none_or(|newest| number > newest) {
                break;
            }
            asked += 1;
            if asked == ASKED_MAX && gap == Gap::Accept {
                break;
            }
            if asked == ASKED_MAX {
                return Err(StoreError::Io(format!(
                    "listing {}: it lacks more than {ASKED_MAX} objects; try again later",
                    below(self.fence)
                )));
            }
        }
        Ok(())
    }

    /// Whether an object is there, listed or not.
    pub(super) fn has(&self, number: u64, kind: Kind) -> Result<bool> {
        let listed = match kind {
            Kind::Snapshot => &self.snapshots,
            Kind::Changes => &self.changes,
        };
        match listed.contains(&number) {
            true => Ok(true),
            false => self.backend.has_object(&key(self.fence, number, kind)),
        }
    }

    /// The number behind the last object.
    pub(super) fn end(&self) -> u64 {
        let newest = self.snapshots.last().max(self.changes.last());
        newest.map_or(1, |newest| newest.saturating_add(1))
    }

    /// # Errors
    /// `JournalGap` where it is not there, `Foreign` where it is not what was written.
    pub(super) fn object(&self, number: u64, kind: Kind) -> Result<(Header, Vec<u8>)> {
        let key = key(self.fence, number, kind);
        let bytes = self.backend.object(&key, OBJECT_BYTES_MAX)?;
        let bytes = bytes.ok_or_else(|| StoreError::JournalGap {
            key: key.clone(),
            problem: MISSING.into(),
        })?;
        let foreign = |problem| StoreError::Foreign { key, problem };
        let (header, batch) = object::read(&bytes, self.cipher).map_err(foreign)?;
        let is_its_own = (header.kind, header.fence, header.number) == (kind, self.fence, number);
        match is_its_own {
            true => Ok((header, batch)),
            false => Err(StoreError::Foreign {
                key: self::key(self.fence, number, kind),
                problem: "it was written under another name".into(),
            }),
        }
    }
}
