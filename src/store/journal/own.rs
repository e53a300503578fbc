//! Which objects of the journal the catalog knows: those before its position, and whatever it
//! began to write itself.
//!
//! A catalog that is an older copy of itself must not write where a newer one has written.
//! The surprise: the number of a group is on the catalog's disk before its first object is in
//! the store. That tells what a kill left behind from what this catalog never heard of.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::PoisonError;

use super::object::{self, HEADER_BYTES};
use super::{JOURNAL, Replayed, below, number_of};
use crate::catalog::{Catalog, ChangeMark, Durability, JournalPosition, SharedCatalog, take_turn};
use crate::model::{Clock, Fence};
use crate::store::Shared;
use crate::store::backend::Backend;
use crate::store::error::Result;

/// The groups that were begun last, in hex with a space between, the newest last.
const GROUPS_SETTING: &str = "local.journal_groups";
const GROUPS_MAX: usize = 64;
/// While publishing fails again and again, each attempt may leave objects of its own: about a
/// day of them.
const ATTEMPTS_MAX: usize = 4096;
/// A writer, a space, a number: his objects before that one are known, although the position
/// does not say so.
const END_SETTING: &str = "local.journal_end";

/// Whose journals are looked at.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) enum Whose {
    /// That which the catalog wrote last, and that of this writer.
    Own(Option<Fence>),
    /// All that are not older.
    All,
}

/// Draws the number of a group. It is the catalog's own from the next commit on.
pub(in crate::store) fn draw(catalog: &mut dyn Catalog, clock: &dyn Clock) -> Result<u64> {
    let group = clock.random() as u64;
    let noted = catalog.setting(GROUPS_SETTING)?.unwrap_or_default();
    let drawn = format!("{group:016x}");
    set_groups(catalog, &format!("{noted} {drawn}"), ATTEMPTS_MAX)?;
    Ok(group)
}

/// A position is behind all that was begun before: most of it need not be told any more.
pub(super) fn forget_groups(catalog: &mut dyn Catalog) -> Result<()> {
    let noted = catalog.setting(GROUPS_SETTING)?.unwrap_or_default();
    set_groups(catalog, &noted, GROUPS_MAX)
}

fn set_groups(catalog: &mut dyn Catalog, groups: &str, newest: usize) -> Result<()> {
    let groups: Vec<_> = groups.split_whitespace().collect();
    let newest = groups[groups.len().saturating_sub(newest)..].join(" ");
    Ok(catalog.set_setting(GROUPS_SETTING, Some(&newest))?)
}

/// The position will be forgotten; what is before it stays known.
pub(super) fn keep_end(catalog: &mut dyn Catalog) -> Result<()> {
    let position = catalog.unpublished()?.map(|one| one.position);
    match position.and_then(|position| Some((position.fence?, position.number))) {
        Some((fence, number)) => set_end(catalog, fence, number),
        None => Ok(()),
    }
}

/// There is a position again.
pub(super) fn forget_end(catalog: &mut dyn Catalog) -> Result<()> {
    if catalog.setting(END_SETTING)?.is_some() {
        catalog.set_setting(END_SETTING, None)?;
    }
    Ok(())
}

/// A catalog that was made of a journal knows all that lay there.
///
/// # Errors
/// When the catalog fails.
pub fn note_replayed(catalog: &mut dyn Catalog, replayed: &Replayed) -> Result<()> {
    set_end(catalog, replayed.fence, replayed.end)
}

/// Somebody goes on with an older catalog: from now on it knows of the journal that it begins,
/// and of no other. To be called when nothing that a newer one knew is in its way any more: a
/// kill before that is answered like the first start.
pub(in crate::store) fn leave_behind(shared: &Shared) -> Result<()> {
    if let (true, Some(fence)) = (
        shared.lease.left_something_behind(),
        shared.lease.last_held(),
    ) {
        let mut catalog = shared.catalog()?;
        set_end(&mut **catalog, fence, 1)?;
        catalog.set_published(ChangeMark(0), &JournalPosition::default())?;
        catalog.commit(Durability::Power)?;
    }
    Ok(())
}

fn set_end(catalog: &mut dyn Catalog, fence: Fence, number: u64) -> Result<()> {
    Ok(catalog.set_setting(END_SETTING, Some(&format!("{fence} {number}")))?)
}

/// The newest writer whose journal says what the catalog does not know: the catalog is an
/// older copy then, or another machine wrote. `None`: there is no such.
///
/// # Errors
/// When the store gives no answer, or the catalog fails.
pub(in crate::store) fn ahead(
    backend: &Backend,
    catalog: &SharedCatalog,
    whose: Whose,
) -> Result<Option<Fence>> {
    let Some(known) = Known::of(catalog)? else {
        return Ok(None);
    };
    let mut fences: BTreeSet<Fence> = known.ends.keys().copied().collect();
    match whose {
        Whose::Own(fence) => fences.extend(fence),
        Whose::All => {
            let last = fences.last().copied();
            let listed = backend.names_below(JOURNAL)?;
            let listed = listed
                .iter()
                .filter_map(|name| name.parse().ok().map(Fence));
            fences.extend(listed.filter(|&fence| Some(fence) > last));
        }
    }
    for &fence in fences.iter().rev() {
        let names = backend.names_below(&below(fence))?;
        // Of what was written while they were listed, it knows now.
        let Some(known) = Known::of(catalog)? else {
            return Ok(None);
        };
        for name in names {
            if !known.has(backend, fence, &name)? {
                return Ok(Some(fence));
            }
        }
    }
    Ok(None)
}

/// Whether the object that lies under a key, if any does, is of a group that this catalog
/// began.
pub(super) fn wrote(shared: &Shared, backend: &Backend, key: &str) -> Result<bool> {
    match (
        Known::of(&shared.catalog)?,
        backend.object_head(key, HEADER_BYTES)?,
    ) {
        (Some(known), Some(head)) => Ok(known.is_own(&head)),
        _ => Ok(true),
    }
}

struct Known {
    /// The number behind the last known object of each writer.
    ends: BTreeMap<Fence, u64>,
    /// In hex.
    groups: String,
}

impl Known {
    fn of(catalog: &SharedCatalog) -> Result<Option<Self>> {
        let mut catalog = take_turn(catalog).unwrap_or_else(PoisonError::into_inner);
        let Some(unpublished) = catalog.unpublished()? else {
            return Ok(None);
        };
        let mut ends = BTreeMap::new();
        let noted = catalog.setting(END_SETTING)?.unwrap_or_default();
        if let Some((fence, number)) = noted.split_once(' ')
            && let (Ok(fence), Ok(number)) = (fence.parse(), number.parse())
        {
            ends.insert(Fence(fence), number);
        }
        if let Some(fence) = unpublished.position.fence {
            let end = ends.entry(fence).or_insert(0);
            *end = unpublished.position.number.max(*end);
        }
        Ok(Some(Self {
            ends,
            groups: catalog.setting(GROUPS_SETTING)?.unwrap_or_default(),
        }))
    }

    /// Whether the catalog knows what an object says. What is no object of a journal says
    /// nothing.
    fn has(&self, backend: &Backend, fence: Fence, name: &str) -> Result<bool> {
        let end = self.ends.get(&fence).copied().unwrap_or(0);
        let Some((number, _)) = number_of(name) else {
            return Ok(true);
        };
        if number < end {
            return Ok(true);
        }
        let key = format!("{}/{name}", below(fence));
        let Some(head) = backend.object_head(&key, HEADER_BYTES)? else {
            return Ok(true);
        };
        Ok(self.is_own(&head))
    }

    fn is_own(&self, head: &[u8]) -> bool {
        let group = object::group_of(head).map(|group| format!("{group:016x}"));
        group.is_some_and(|group| self.groups.split(' ').any(|own| own == group))
    }
}
