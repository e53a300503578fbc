//! Time and randomness, the two things that must come in through the door.
//!
//! Everything below `daemon` takes a [`Clock`]; tests hand in a [`ManualClock`].

use std::fmt;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Nanoseconds since 1970-01-01T00:00:00Z; negative before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

impl Timestamp {
    /// From nanoseconds since the epoch.
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// From the seconds and nanoseconds of a `stat`; saturates near the year 2262.
    pub const fn from_parts(seconds: i64, nanos: u32) -> Self {
        Self(
            seconds
                .saturating_mul(1_000_000_000)
                .saturating_add(nanos as i64),
        )
    }

    /// Nanoseconds since the epoch.
    pub const fn nanos(self) -> i64 {
        self.0
    }

    /// Whole seconds (rounded down) and the nanoseconds that remain.
    pub const fn parts(self) -> (i64, u32) {
        (
            self.0.div_euclid(1_000_000_000),
            self.0.rem_euclid(1_000_000_000) as u32,
        )
    }

    /// As the standard library's time.
    pub fn system_time(self) -> SystemTime {
        let (seconds, nanos) = self.parts();
        if seconds >= 0 {
            UNIX_EPOCH + Duration::new(seconds as u64, nanos)
        } else {
            UNIX_EPOCH - Duration::from_secs(seconds.unsigned_abs())
                + Duration::from_nanos(nanos.into())
        }
    }

    /// How long ago `earlier` was; zero if it lies ahead.
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0).max(0) as u64)
    }
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        match time.duration_since(UNIX_EPOCH) {
            Ok(after) => Self(i64::try_from(after.as_nanos()).unwrap_or(i64::MAX)),
            Err(before) => {
                Self(i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |nanos| -nanos))
            }
        }
    }
}

/// RFC 3339 in UTC, to the second: `2026-11-23T10:00:00Z`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_second(self.parts().0) {
            Ok(time) => write!(f, "{time}"),
            Err(_) => write!(f, "{}ns", self.0),
        }
    }
}

/// RFC 3339, with any offset.
impl std::str::FromStr for Timestamp {
    type Err = jiff::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let time: jiff::Timestamp = text.parse()?;
        let nanos = time.as_nanosecond();
        let nearest = if nanos < 0 { i64::MIN } else { i64::MAX };
        Ok(Self(i64::try_from(nanos).unwrap_or(nearest)))
    }
}

/// The source of time and randomness.
pub trait Clock: fmt::Debug + Send + Sync {
    /// The time now.
    fn now(&self) -> Timestamp;
    /// 128 bits that nobody can guess (in production).
    fn random(&self) -> u128;
}

/// The machine's clock and entropy.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        SystemTime::now().into()
    }

    fn random(&self) -> u128 {
        // 122 of a v4 UUID's bits come from the operating system; the six fixed ones are
        // overwritten or masked by every caller.
        uuid::Uuid::new_v4().as_u128()
    }
}

/// A clock that moves only when told to, with counted "randomness".
#[derive(Debug)]
pub struct ManualClock {
    now: AtomicI64,
    draws: AtomicU64,
}

impl ManualClock {
    /// A clock that stands at this many seconds since the epoch.
    pub fn at_seconds(seconds: i64) -> Self {
        Self {
            now: AtomicI64::new(seconds * 1_000_000_000),
            draws: AtomicU64::new(0),
        }
    }

    /// Puts the clock to `time`, forwards or backwards.
    pub fn set(&self, time: Timestamp) {
        self.now.store(time.nanos(), Ordering::SeqCst);
    }

    /// Moves the clock on.
    pub fn advance(&self, by: Duration) {
        self.now.fetch_add(by.as_nanos() as i64, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.now.load(Ordering::SeqCst))
    }

    fn random(&self) -> u128 {
        u128::from(self.draws.fetch_add(1, Ordering::SeqCst)) << 8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_before_the_epoch_survive_the_round_trip() {
        for nanos in [-1, -1_500_000_000, 0, 1, 1_700_000_000_123_456_789] {
            let time = Timestamp::from_nanos(nanos);
            assert_eq!(Timestamp::from(time.system_time()), time);
            let (seconds, rest) = time.parts();
            assert_eq!(Timestamp::from_parts(seconds, rest), time);
        }
    }

    #[test]
    fn timestamps_print_as_rfc_3339() {
        assert_eq!(
            Timestamp::from_parts(1_795_514_400, 5).to_string(),
            "2026-11-24T10:00:00Z"
        );
    }
}
