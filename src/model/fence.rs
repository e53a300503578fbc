//! Who may write to a store: the number of a lease, and how a vault asks for one.
//!
//! Only the words; the lease itself is `store/lease.rs`.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The number of a lease, 1 and up. Each holder's is greater than those before it, so
/// that what a former one still writes can be told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fence(pub u64);

impl Fence {
    /// The number of the holder after this one. `None`: there are no more numbers.
    pub fn next(self) -> Option<Fence> {
        self.0.checked_add(1).map(Fence)
    }
}

impl fmt::Display for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How a vault that is opened means to write to its store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WriteClaim {
    /// With its own lease, or one that nobody has.
    #[default]
    Keep,
    /// With the lease of whoever has it now, who loses it.
    TakeOver,
    /// As `Keep`, also where nothing is left of what this vault had in its store.
    AcceptEmpty,
    /// Not at all: the store is only looked at.
    ReadOnly,
}
