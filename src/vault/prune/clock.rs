//! May rules that go by time believe the clock?
//!
//! One that is behind what was recorded is wrong, and so is one that the bucket contradicts.
//! One that is ahead cannot be told from a
//! long silence: a stretch without a single version, between now and the last prune that
//! went through, must be vouched for by a person. The surprise: the silence need not be
//! the last thing, for a clock that jumped ahead goes on recording.

use std::time::Duration;

use crate::catalog::Catalog;
use crate::model::{Timestamp, VersionId};
use crate::policy::Retention;
use crate::vault::{Result, Vault, VaultError};

use super::{ClockTrust, Prune, PruneMode};

/// So long a silence needs no explanation, unless ages that count are not much longer.
const SILENCE_MAX: Duration = Duration::from_secs(7 * 86_400);
/// This one needs none whatever the rules: a machine that is off over a long weekend.
const SILENCE_MIN: Duration = Duration::from_secs(4 * 86_400);

/// Clocks that are not further apart agree. No cloud takes more in a request.
const APART_MAX: Duration = Duration::from_secs(15 * 60);

/// The time of the last prune that went through, in nanoseconds.
const TRUSTED_SETTING: &str = "prune.clock";

/// A prune that drops, and whose clock nobody vouched for.
const CHECKED: Prune = Prune {
    mode: PruneMode::Drop,
    clock: ClockTrust::Check,
};

impl Vault {
    /// Asks the bucket, if there is one, what time it is. That it agrees proves nothing: it
    /// may be on this machine.
    fn compare_clocks(&self) -> Result<()> {
        let before = self.clock.now();
        let there = self.store.time_there()?;
        let now = self.clock.now();
        match there {
            Some(there) if disagrees(there, before, now) => {
                Err(VaultError::ClocksDisagree { now, there })
            }
            _ => Ok(()),
        }
    }

    /// Refuses a clock that may be wrong. When it prunes, notes that it was believed.
    pub(super) fn vouch_for_clock(
        &self,
        retention: &Retention,
        now: Timestamp,
        how: Prune,
    ) -> Result<()> {
        if how == CHECKED {
            self.compare_clocks()?;
        }
        let mut guard = self.catalog();
        let catalog = guard.as_mut();
        if how.clock == ClockTrust::Check {
            let newest = catalog.last_version_id()?.map(VersionId::issued_at);
            // Asked again: ids are issued under this lock, also since `now` was read.
            let present = self.clock.now();
            if let Some(newest) = newest.filter(|newest| *newest > present) {
                return Err(VaultError::ClockBehind {
                    now: present,
                    newest,
                });
            }
            if let Some((since, until)) = silence(catalog, now, silence_max(retention))? {
                return Err(VaultError::ClockAhead { now, since, until });
            }
        }
        if how.mode == PruneMode::Drop {
            let nanos = now.nanos().to_string();
            catalog.set_setting(TRUSTED_SETTING, Some(&nanos))?;
        }
        Ok(())
    }
}

/// Behind or ahead of both moments by more than clocks may be apart.
fn disagrees(there: Timestamp, before: Timestamp, after: Timestamp) -> bool {
    before.since(there) > APART_MAX || there.since(after) > APART_MAX
}

/// How long nothing may have been kept. A clock that is ahead by less is believed, so no
/// version must lose more than half of its time by that, as far as people's habits allow.
fn silence_max(retention: &Retention) -> Duration {
    let half = retention.shortest_age().map(|age| age / 2);
    half.unwrap_or(SILENCE_MAX).clamp(SILENCE_MIN, SILENCE_MAX)
}

/// The youngest silence longer than `silence_max`, from and to when.
fn silence(
    catalog: &mut dyn Catalog,
    now: Timestamp,
    silence_max: Duration,
) -> Result<Option<(Timestamp, Timestamp)>> {
    let Some(first) = catalog.version_id_from(VersionId::first_at(Timestamp::default()))? else {
        return Ok(None);
    };
    let trusted = catalog
        .setting(TRUSTED_SETTING)?
        .and_then(|text| text.parse().ok())
        .map(Timestamp::from_nanos)
        .filter(|trusted| *trusted <= now);
    let known = trusted.map_or(first.issued_at(), |at| at.max(first.issued_at()));
    let mut until = now;
    loop {
        let floor = earlier(until, silence_max);
        if floor <= known {
            return Ok(None);
        }
        // The oldest in the stretch: two steps go back by more than its length.
        let oldest = catalog.version_id_from(VersionId::first_at(floor))?;
        match oldest.map(VersionId::issued_at) {
            Some(at) if at < until => until = at,
            _ => return Ok(Some((last_before(catalog, known, floor)?, until))),
        }
    }
}

/// When the last version below `end` was issued, or `known`. Steps as long as the stretch
/// that is searched halves: few look-ups, whatever the length of a history.
fn last_before(catalog: &mut dyn Catalog, known: Timestamp, end: Timestamp) -> Result<Timestamp> {
    let (mut found, mut high) = (known, end);
    while high.since(found) > Duration::from_secs(1) {
        let half = earlier(high, high.since(found) / 2);
        let id = catalog.version_id_from(VersionId::first_at(half))?;
        match id.map(VersionId::issued_at).filter(|at| *at < end) {
            Some(at) => found = at.max(half),
            None => high = half,
        }
    }
    Ok(found)
}

fn earlier(time: Timestamp, by: Duration) -> Timestamp {
    let by = i64::try_from(by.as_nanos()).unwrap_or(i64::MAX);
    Timestamp::from_nanos(time.nanos().saturating_sub(by))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_agree_within_what_a_request_takes_and_a_little_more() {
        let at = |minutes: i64| Timestamp::from_parts(1_900_000_000 + minutes * 60, 0);
        for (there, is_right) in [
            (-16, false),
            (-14, true),
            (3, true),
            (24, true),
            (26, false),
        ] {
            assert_eq!(!disagrees(at(there), at(0), at(10)), is_right, "{there}");
        }
    }
}
