//! Pure: is this path backed up, and why (not); is this rename a move or a save.
//!
//! [`Policy`] weighs the rules of one vault for one file, [`transient_rule`] knows
//! the names that tools use in passing, [`classify_rename`] reads the dances in
//! which tools save. No I/O: whoever asks brings the facts.

mod decide;
mod rename;
mod transient;

pub use decide::{Decision, Kept, Policy, PolicyError, PolicySettings, Reason, Subject};
pub use rename::{
    KeptCopy, NameRelation, RenameCase, RenameFacts, SourceStanding, TargetStanding, TargetVersion,
    classify_rename, relation,
};
pub use transient::{TRANSIENT_RULES, TransientRule, transient_rule};
