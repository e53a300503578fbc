//! Has the store said that this vault may write there?
//!
//! That is asked at the start. The surprise: a bucket that was away then is asked before the
//! first write, all that a start would have asked: a marker may have gone meanwhile, or the
//! whole bucket.

use std::sync::{Mutex, PoisonError};

use super::error::{Result, StoreError};
use super::membership::{self, Answer};
use super::{Shared, bucket_rules, key_object};
use crate::model::{Fence, StorePlace, WriteClaim};

/// Whether the store was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Yes,
    NotYet,
}

/// What the store has said, held while it is asked.
#[derive(Debug)]
pub(super) struct Admission(Mutex<Asked>);

impl Admission {
    /// After a start to which the store answered that.
    pub(super) fn after(answer: Answer) -> Self {
        Self(Mutex::new(match answer {
            Answer::Welcome => Asked::Yes,
            Answer::None => Asked::NotYet,
        }))
    }

    /// The store is another one, which was asked.
    pub(super) fn is_given(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Asked::Yes;
    }
}

/// Before the journal is written and before packs are deleted: the vault may write to its
/// store, and its lease is its own now. Not with the catalog locked.
///
/// # Errors
/// What a start would be refused with, [`StoreError::LookedAt`], and as
/// [`Lease::require`](super::lease::Lease::require).
pub(super) fn require(shared: &Shared) -> Result<Fence> {
    ask_once(shared)?;
    shared.lease.require(&shared.backend())
}

/// Whether a pack may be put.
///
/// # Errors
/// As [`require`].
pub(super) fn permit_put(shared: &Shared) -> Result<()> {
    ask_once(shared)?;
    shared.lease.permit_put(&shared.backend())
}

fn ask_once(shared: &Shared) -> Result<()> {
    if shared.config.write_claim == WriteClaim::ReadOnly {
        let refusal = shared.lease.refusal();
        return Err(refusal.unwrap_or(StoreError::LookedAt));
    }
    let asked = shared.admission.0.lock();
    let mut asked = asked.unwrap_or_else(PoisonError::into_inner);
    if *asked == Asked::NotYet {
        ask(shared)?;
        *asked = Asked::Yes;
        drop(asked);
        // At the start it was looked at in vain.
        bucket_rules::look(shared);
    }
    Ok(())
}

fn ask(shared: &Shared) -> Result<()> {
    let (config, catalog, clock) = (&shared.config, &shared.catalog, &*shared.clock);
    let backend = &*shared.backend();
    if let StorePlace::Bucket(place) = &backend.place {
        membership::ask(place, config, backend, catalog, clock)?;
    }
    let packs = shared.catalog()?.packs()?;
    let copy = key_object::compare(config, Answer::Welcome, backend, catalog, &packs)?;
    shared.lease.require(backend)?;
    key_object::bring(
        config,
        Answer::Welcome,
        copy,
        backend,
        &shared.lease,
        catalog,
    )
}
