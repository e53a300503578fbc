//! The catalog's journal in the store: what an empty machine learns the vault from.
//!
//! `catalog/FENCE/NUMBER.snapshot` has all rows of the catalog, `NUMBER.changes` those
//! that changed since; the numbers have no gaps. Publishing follows the packs that the
//! rows speak of. The surprise: the journal may lag behind the packs, never the other
//! way round for long; `replay` and whoever rebuilds live with both.

mod audit;
mod behind;
mod group;
mod listed;
mod object;
mod own;
mod replaced;
mod replay;

use std::panic::resume_unwind;
use std::sync::mpsc::sync_channel;
use std::sync::{MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

pub(super) use audit::{AuditDepth, audit};
pub(super) use behind::since;
pub use own::note_replayed;
pub(super) use own::{Whose, ahead, leave_behind};
pub use replay::{Gap, Replayed, replay};
#[cfg(test)]
pub(super) use {own::draw, replaced::remove_older};

use self::group::Group;
use self::object::Kind;
use super::backend::Backend;
use super::error::{Result, StoreError};
use super::{Shared, admission};
use crate::catalog::{
    Catalog, CatalogError, ChangeMark, Changes, Durability, Extent, JournalPosition, Unpublished,
};
use crate::model::Fence;
use crate::model::failpoint::reach;

const JOURNAL: &str = "catalog";
/// Changes of so many bytes are worth a snapshot whatever the last one had.
const CHANGE_BYTES_MIN: u64 = 1 << 20;
/// While packs come in, the journal follows this often.
const PACE: Duration = Duration::from_secs(30);

/// What this run knows of the journal; locked while it is written.
#[derive(Debug, Default)]
pub(super) struct Published {
    at: Option<Instant>,
    /// Whose journal was seen to end where the catalog says.
    seen_to_end: Option<Fence>,
    /// The number of a group that is noted as this catalog's, and was not begun.
    drawn: Option<u64>,
}

impl Published {
    /// The next publishing is a snapshot, behind whatever there is.
    pub(super) fn begin_anew(&mut self, catalog: &mut dyn Catalog) -> Result<()> {
        self.seen_to_end = None;
        own::keep_end(catalog)?;
        Ok(catalog.set_published(ChangeMark(0), &JournalPosition::default())?)
    }

    /// The store was exchanged for one where this was [put](begin_in). What of it the
    /// catalog does not hear is published anew.
    pub(super) fn end_with(&mut self, shared: &Shared, put: &Put) {
        self.seen_to_end = Some(put.fence);
        match record(shared, &shared.backend(), put) {
            Ok(replaced) => replaced::tell(replaced),
            Err(error) => {
                self.seen_to_end = None;
                log::warn!(
                    "{}: the journal begins anew: {error}",
                    shared.backend().place
                );
            }
        }
    }
}

/// A publishing that the store has and the catalog does not know of yet.
#[derive(Debug)]
pub(super) struct Put {
    fence: Fence,
    up_to: ChangeMark,
    position: JournalPosition,
    extent: Extent,
    /// The number of its first object.
    first: u64,
}

/// Whether what a publishing replaced is gone from the store.
type Replaced = Result<()>;

/// Publishes what was committed. Returns when the store has it; at once when there is
/// nothing new.
pub(super) fn publish(shared: &Shared) -> Result<()> {
    publish_alone(shared, &mut lock(shared)).map(replaced::tell)
}

/// Publishes when that was last done some time ago and nobody is at it.
pub(super) fn keep_up(shared: &Shared) {
    let Ok(mut published) = shared.published.try_lock() else {
        return;
    };
    if published.at.is_some_and(|last| last.elapsed() < PACE) {
        return;
    }
    match publish_alone(shared, &mut published) {
        Ok(replaced) => replaced::tell(replaced),
        Err(error) => log::warn!("the journal waits: {error}"),
    }
}

/// Publishes all there is to say, behind whatever there is, and removes that.
pub(super) fn publish_anew(shared: &Shared) -> Result<()> {
    let mut published = lock(shared);
    published.begin_anew(&mut **shared.catalog()?)?;
    reach("journal.before-anew");
    publish_alone(shared, &mut published)?
}

/// Nobody publishes until this goes.
pub(super) fn lock(shared: &Shared) -> MutexGuard<'_, Published> {
    let published = shared.published.lock();
    published.unwrap_or_else(PoisonError::into_inner)
}

fn publish_alone(shared: &Shared, published: &mut Published) -> Result<Replaced> {
    published.at = Some(Instant::now());
    let Some(unpublished) = unpublished(shared, &mut published.drawn)? else {
        return Ok(Ok(()));
    };
    let backend = shared.backend();
    let fence = admission::require(shared)?;
    let put = put(shared, &backend, fence, unpublished, published)?;
    published.seen_to_end = Some(put.fence);
    record(shared, &backend, &put)
}

/// Puts all there is to say into a store that is to become this vault's. The catalog knows
/// nothing of it until it is [recorded](record).
pub(super) fn begin_in(shared: &Shared, backend: &Backend) -> Result<Option<Put>> {
    let mut published = Published::default();
    let unpublished = {
        let mut catalog = shared.catalog()?;
        published.drawn = Some(own::draw(&mut **catalog, &*shared.clock)?);
        catalog.commit(Durability::Power)?;
        catalog.unpublished()?
    };
    let all = unpublished.map(|unpublished| Unpublished {
        position: JournalPosition::default(),
        ..unpublished
    });
    let Some(all) = all else {
        return Ok(None);
    };
    let fence = shared.lease.require(backend)?;
    put(shared, backend, fence, all, &mut published).map(Some)
}

fn put(
    shared: &Shared,
    backend: &Backend,
    fence: Fence,
    unpublished: Unpublished,
    published: &mut Published,
) -> Result<Put> {
    let Unpublished {
        changes,
        mut position,
    } = unpublished;
    if published.seen_to_end != Some(fence) {
        find_end(backend, fence, &mut position)?;
    }
    let Some(drawn) = published.drawn.take() else {
        let detail = "a group of the journal without a number".into();
        return Err(StoreError::Catalog(CatalogError::Invariant(detail)));
    };
    let group = Group::begin(shared, backend, fence, &position, changes.format(), drawn);
    let (first, extent) = (group.header.number, group.extent());
    let group = put_while_reading(&changes, extent, group)?;
    Ok(Put {
        fence,
        up_to: changes.mark(),
        position: group.end(&position)?,
        extent,
        first,
    })
}

/// Puts one batch while the next one is read.
fn put_while_reading<'a>(
    changes: &Changes,
    extent: Extent,
    mut group: Group<'a>,
) -> Result<Group<'a>> {
    thread::scope(|scope| {
        let (batches, received) = sync_channel::<Vec<u8>>(0);
        let putting = thread::Builder::new()
            .name("keepfs-journal".into())
            .spawn_scoped(scope, move || -> Result<Group<'a>> {
                for batch in received {
                    group.push(batch)?;
                }
                Ok(group)
            })
            .map_err(|error| StoreError::Io(format!("starting a thread: {error}")))?;
        let read = changes.read::<StoreError>(extent, &mut |batch| {
            // Who does not receive any more says below why: this error is never told.
            let stopped = |_| StoreError::Io("the journal was not put".into());
            batches.send(batch).map_err(stopped)
        });
        drop(batches);
        let put = putting.join().unwrap_or_else(|panic| resume_unwind(panic));
        let group = put?;
        read?;
        Ok(group)
    })
}

/// The catalog learns how far the journal is, and what a snapshot replaced goes.
fn record(shared: &Shared, backend: &Backend, put: &Put) -> Result<Replaced> {
    reach("journal.after-put");
    let is_snapshot = put.extent == Extent::Everything;
    {
        let mut catalog = shared.catalog()?;
        catalog.set_published(put.up_to, &put.position)?;
        own::forget_end(&mut **catalog)?;
        own::forget_groups(&mut **catalog)?;
        if !catalog.has_unpublished()? {
            behind::forget(&mut **catalog)?;
        }
        // Changes that the position forgets are told from their sequel by their group; a
        // snapshot is not, and must not be taken for the newest when it no longer is.
        catalog.commit(match is_snapshot {
            true => Durability::Power,
            false => Durability::Process,
        })?;
    }
    reach("journal.after-position");
    if !is_snapshot {
        return Ok(Ok(()));
    }
    let snapshot = put.first..put.position.number;
    Ok(replaced::remove_older(
        shared,
        backend,
        put.fence,
        snapshot,
        put.position.group,
    ))
}

/// What the journal lacks. Nothing in it can be lost by a power failure: the journal must
/// not know what the catalog has forgotten. Nor can the number of the group that it will be,
/// in `drawn`.
fn unpublished(shared: &Shared, drawn: &mut Option<u64>) -> Result<Option<Unpublished>> {
    let mut catalog = shared.catalog()?;
    catalog.commit(Durability::Process)?;
    let known = shared.lease.last_held();
    let is_news = |unpublished: &Unpublished| {
        unpublished.position.fence != known || !unpublished.changes.is_empty()
    };
    if !catalog.unpublished()?.as_ref().is_some_and(is_news) {
        return Ok(None);
    }
    if drawn.is_none() {
        *drawn = Some(own::draw(&mut **catalog, &*shared.clock)?);
    }
    catalog.commit(Durability::Power)?;
    Ok(catalog.unpublished()?)
}

/// What the journal has beyond the position in the catalog is what a crash left of this
/// catalog's own, or the lease would not be [held](super::lease::Lease::require): a new
/// snapshot goes behind it all.
fn find_end(backend: &Backend, fence: Fence, position: &mut JournalPosition) -> Result<()> {
    let names = backend.names_below(&below(fence))?;
    let numbers = names.iter().filter_map(|name| number_of(name));
    let Some(newest) = numbers.map(|(number, _)| number).max() else {
        return Ok(());
    };
    if position.fence != Some(fence) || newest >= position.number {
        *position = JournalPosition {
            fence: Some(fence),
            number: newest.saturating_add(1),
            format: 0,
            ..*position
        };
    }
    Ok(())
}

fn below(fence: Fence) -> String {
    format!("{JOURNAL}/{:010}", fence.0)
}

fn key(fence: Fence, number: u64, kind: Kind) -> String {
    format!("{}/{number:010}.{}", below(fence), extension(kind))
}

fn extension(kind: Kind) -> &'static str {
    match kind {
        Kind::Snapshot => "snapshot",
        Kind::Changes => "changes",
    }
}

/// The number and the kind in an object's name. `None`: it is no name of ours.
fn number_of(name: &str) -> Option<(u64, Kind)> {
    let (number, end) = name.split_once('.')?;
    let kind = [Kind::Snapshot, Kind::Changes]
        .into_iter()
        .find(|&kind| extension(kind) == end)?;
    Some((number.parse().ok()?, kind))
}
