//! Pure: is this path backed up, and why (not); is this rename a move or a save; which
//! versions stay.
//!
//! [`Policy`] weighs the rules of one vault for one file, [`transient_rule`] knows
//! the names that tools use in passing, [`classify_rename`] reads the dances in
//! which tools save, [`judge`] says what [`Rules`] keep of a history. No I/O: whoever asks brings the facts.

mod decide;
mod period;
mod rename;
mod retention;
mod retention_rules;
mod transient;

pub use decide::{Decision, Kept, Policy, PolicyError, PolicySettings, Reason, Subject};
pub use period::{PERIODS, Period};
pub use rename::{
    KeptCopy, NameRelation, RenameCase, RenameFacts, SourceStanding, TargetStanding, TargetVersion,
    classify_rename, relation,
};
pub use retention::{Bytes, Candidate, DropReason, FileState, KeepReason, Verdict, judge};
pub use retention_rules::{PathRules, Retention, RetentionSettings, Rules};
pub use transient::{TRANSIENT_RULES, TransientRule, transient_rule};
