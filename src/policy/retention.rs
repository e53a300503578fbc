//! Which versions of a file stay, and why: a pure judgement of one history.
//!
//! Without a rule everything stays. The surprise: the order of a history is that of
//! its version ids, never of its times. A version whose time cannot be right is
//! outside of every rule that goes by time: it stays, and takes no other one's place.

use std::collections::HashSet;
use std::fmt;
use std::time::Duration;

use super::period::{PERIODS, Period, slot_of};
use super::retention_rules::Rules;
use crate::model::{Hold, Timestamp, VersionId};

/// Id and time of a version are drawn one after the other; more than this apart, one of
/// them is not of its moment.
const DRAWN_APART_MAX: Duration = Duration::from_secs(1);

/// One version, as far as rules look at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// Its id.
    pub id: VersionId,
    /// When it was kept, by the clock of that moment.
    pub kept_at: Timestamp,
    /// Whether somebody pinned it.
    pub hold: Hold,
    /// Whether its bytes are in the store.
    pub bytes: Bytes,
}

/// How far a version's bytes have come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bytes {
    /// They are in the store.
    Stored,
    /// They are on their way to it.
    OnTheirWay,
}

/// Whether the file of a history is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileState {
    /// It is: its last version is the head.
    Live,
    /// It was deleted then.
    DeletedSince(Timestamp),
}

/// What is to become of a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It stays, for each of these reasons.
    Keep(Vec<KeepReason>),
    /// It can go.
    Drop(DropReason),
}

/// Why a version stays. Displays as a few words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeepReason {
    /// It is the latest: what the file holds, or what a restore would bring back.
    Head,
    /// Somebody pinned it.
    Pinned,
    /// Its bytes are not in the store yet.
    OnItsWay,
    /// No rule speaks of the file.
    NoRule,
    /// It is one of the last.
    Last(u32),
    /// It is young.
    Within(Duration),
    /// It is the last one of a period.
    Period(Period, String),
    /// Its time cannot be right.
    UncertainTime,
}

/// Why a version can go. Displays as a few words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DropReason {
    /// No rule keeps it.
    NoRuleKeeps,
    /// The file was deleted that long ago.
    DeletedFor(Duration),
    /// The store is over its size budget.
    OverBudget,
}

impl Verdict {
    /// True when nothing but rules keeps the version, so that a budget may take it.
    pub fn yields_to_budget(&self) -> bool {
        match self {
            Verdict::Keep(reasons) => !reasons.iter().any(|reason| {
                matches!(
                    reason,
                    KeepReason::Head | KeepReason::Pinned | KeepReason::OnItsWay
                )
            }),
            Verdict::Drop(_) => false,
        }
    }
}

/// Judges a whole history, `versions` oldest first. Returns a verdict for each.
///
/// Judging what is left again gives the same verdicts for it.
pub fn judge(
    rules: &Rules,
    versions: &[Candidate],
    file: FileState,
    now: Timestamp,
) -> Vec<Verdict> {
    let mut reasons: Vec<Vec<KeepReason>> = versions.iter().map(always).collect();
    let expired = expiry(rules, versions, file, now);
    if expired.is_none() {
        if let Some(head) = reasons.last_mut() {
            head.insert(0, KeepReason::Head);
        }
        match rules.thins_out() {
            true => keep_by_rules(rules, versions, now, &mut reasons),
            false => reasons
                .iter_mut()
                .for_each(|reasons| reasons.push(KeepReason::NoRule)),
        }
    }
    let drop = expired.map_or(DropReason::NoRuleKeeps, DropReason::DeletedFor);
    reasons
        .into_iter()
        .map(|reasons| match reasons.is_empty() {
            true => Verdict::Drop(drop.clone()),
            false => Verdict::Keep(reasons),
        })
        .collect()
}

fn always(version: &Candidate) -> Vec<KeepReason> {
    let mut reasons = Vec::new();
    if version.hold == Hold::On {
        reasons.push(KeepReason::Pinned);
    }
    if version.bytes == Bytes::OnTheirWay {
        reasons.push(KeepReason::OnItsWay);
    }
    reasons
}

/// For how long the file has been deleted, where that is longer than it is kept. `None`, too,
/// where the clock was wrong at that moment: the deletion would lie before the id of the last
/// version.
fn expiry(
    rules: &Rules,
    versions: &[Candidate],
    file: FileState,
    now: Timestamp,
) -> Option<Duration> {
    let (FileState::DeletedSince(since), Some(kept)) = (file, rules.keep_deleted_for) else {
        return None;
    };
    // The last version, which stays then: what is dropped must not make the time certain.
    if versions.last()?.id.issued_at().since(since) > DRAWN_APART_MAX {
        return None;
    }
    let deleted_for = now.since(since);
    (deleted_for > kept).then_some(deleted_for)
}

fn keep_by_rules(
    rules: &Rules,
    versions: &[Candidate],
    now: Timestamp,
    reasons: &mut [Vec<KeepReason>],
) {
    let newest_first = || versions.iter().enumerate().rev();
    if let Some(count) = rules.keep_last {
        for (index, _) in newest_first().take(count as usize) {
            reasons[index].push(KeepReason::Last(count));
        }
    }
    let timed: Vec<bool> = versions
        .iter()
        .map(|version| time_is_certain(version, now))
        .collect();
    if rules.go_by_time() {
        for index in (0..versions.len()).filter(|index| !timed[*index]) {
            reasons[index].push(KeepReason::UncertainTime);
        }
    }
    if let Some(within) = rules.keep_within {
        for (index, version) in newest_first() {
            if timed[index] && now.since(version.kept_at) <= within {
                reasons[index].push(KeepReason::Within(within));
            }
        }
    }
    for period in PERIODS {
        let mut left = rules.count_of(period).unwrap_or(0);
        let mut seen = HashSet::new();
        for (index, version) in newest_first().filter(|(index, _)| timed[*index]) {
            if left == 0 {
                break;
            }
            let slot = slot_of(period, version.kept_at);
            if seen.insert(slot.clone()) {
                left -= 1;
                reasons[index].push(KeepReason::Period(period, slot));
            }
        }
    }
}

/// False where the clock was wrong when the version was kept: its time lies ahead, or
/// before that of its id, which never runs backwards. A version that a rename carried to
/// another history has a newer id too, and is treated alike. An id from a time that is
/// yet to come proves nothing.
fn time_is_certain(version: &Candidate, now: Timestamp) -> bool {
    let issued_at = version.id.issued_at();
    version.kept_at <= now
        && (issued_at > now || issued_at.since(version.kept_at) <= DRAWN_APART_MAX)
}

impl fmt::Display for KeepReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeepReason::Head => f.write_str("head"),
            KeepReason::Pinned => f.write_str("pinned"),
            KeepReason::OnItsWay => f.write_str("not in the store yet"),
            KeepReason::NoRule => f.write_str("no rule for it"),
            KeepReason::Last(count) => write!(f, "last {count}"),
            KeepReason::Within(within) => write!(f, "within {}", in_words(*within)),
            KeepReason::Period(period, slot) => write!(f, "{} {slot}", period.as_str()),
            KeepReason::UncertainTime => f.write_str("its time is not certain"),
        }
    }
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DropReason::NoRuleKeeps => f.write_str("no rule keeps it"),
            DropReason::DeletedFor(time) => write!(f, "deleted for {}", in_words(*time)),
            DropReason::OverBudget => f.write_str("over the size budget"),
        }
    }
}

/// The largest unit that fits: `3d`, `5h`, `10m`, `2s`.
fn in_words(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        86_400.. => format!("{}d", seconds / 86_400),
        3_600.. => format!("{}h", seconds / 3_600),
        60.. => format!("{}m", seconds / 60),
        _ => format!("{seconds}s"),
    }
}

#[cfg(test)]
#[path = "retention_tests.rs"]
mod tests;
