//! What a snapshot made unnecessary goes, once the snapshot was read back.
//!
//! A put that was answered is not always there, nor as it was sent; and with what is before it
//! the only other way back to the catalog would go.

use std::ops::Range;

use super::key;
use super::listed::Journal;
use super::object::Kind;
use crate::model::Fence;
use crate::store::Shared;
use crate::store::backend::Backend;
use crate::store::error::{Result, StoreError};

/// Removes what lies before a snapshot of these numbers. What cannot be removed is tried again
/// after the next one.
///
/// # Errors
/// When the snapshot cannot be read back, or the store lets something not go.
pub(in crate::store) fn remove_older(
    shared: &Shared,
    backend: &Backend,
    fence: Fence,
    snapshot: Range<u64>,
    group: u64,
) -> Result<()> {
    Journal::list(backend, fence, shared.coding.cipher()).and_then(|journal| {
        let of = |kind| move |&number: &u64| (number, kind);
        let snapshots = journal.snapshots.range(..snapshot.start);
        let changes = journal.changes.range(..snapshot.start);
        let older: Vec<_> = snapshots
            .map(of(Kind::Snapshot))
            .chain(changes.map(of(Kind::Changes)))
            .collect();
        if older.is_empty() {
            return Ok(());
        }
        read_back(&journal, snapshot, group)?;
        older
            .into_iter()
            .try_for_each(|(number, kind)| backend.delete_object(&key(fence, number, kind)))
    })
}

/// Says what stays, to whom it is not a failure.
pub(super) fn tell(removed: Result<()>) {
    match removed {
        Ok(()) => {}
        Err(error @ (StoreError::Foreign { .. } | StoreError::JournalGap { .. })) => log::error!(
            "a snapshot of the catalog was put, and cannot be read: what it replaces stays in the \
             store, and keepfs check --repair writes another one: {error}"
        ),
        Err(error) => log::warn!("old parts of the journal stay in the store: {error}"),
    }
}

/// # Errors
/// `JournalGap` and `Foreign`, and when the store gives no answer.
fn read_back(journal: &Journal<'_>, snapshot: Range<u64>, group: u64) -> Result<()> {
    for number in snapshot {
        let (header, _) = journal.object(number, Kind::Snapshot)?;
        if header.group != group {
            return Err(StoreError::Foreign {
                key: key(journal.fence, number, Kind::Snapshot),
                problem: "it belongs to another snapshot".into(),
            });
        }
    }
    Ok(())
}
