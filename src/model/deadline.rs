//! How long somebody is ready to wait.

use std::time::{Duration, Instant};

/// The moment at which a wait is given up, if there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadline(Option<Instant>);

impl Ord for Deadline {
    /// Never is the latest.
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        match (self.0, other.0) {
            (Some(one), Some(other)) => one.cmp(&other),
            (one, other) => one.is_none().cmp(&other.is_none()),
        }
    }
}

impl PartialOrd for Deadline {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Deadline {
    /// However long it takes.
    pub const NEVER: Deadline = Deadline(None);

    /// So much later than now. A time beyond what the clock can count is never.
    pub fn after(time: Duration) -> Self {
        Self(Instant::now().checked_add(time))
    }

    /// True when the moment has come.
    pub fn has_passed(self) -> bool {
        self.0.is_some_and(|at| Instant::now() >= at)
    }

    /// What is left until then, but at most `most`: how long to sleep before the next look.
    pub fn left_at_most(self, most: Duration) -> Duration {
        self.0.map_or(most, |at| {
            at.saturating_duration_since(Instant::now()).min(most)
        })
    }
}

/// How long to wait for somebody on the network. In debug builds a test of those who do not
/// answer can shorten it.
pub fn patience(usual: Duration) -> Duration {
    if !cfg!(debug_assertions) {
        return usual;
    }
    let shorter = std::env::var("KEEPFS_TEST_PATIENCE_MS").ok();
    let shorter = shorter.and_then(|millis| millis.parse().ok());
    shorter.map_or(usual, Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_passes_and_never_does_not() {
        let second = Duration::from_secs(1);
        assert!(!Deadline::NEVER.has_passed());
        assert_eq!(Deadline::NEVER.left_at_most(second), second);
        let now = Deadline::after(Duration::ZERO);
        assert!(now.has_passed());
        assert_eq!(now.left_at_most(second), Duration::ZERO);
        assert!(now < Deadline::NEVER && now < Deadline::after(second));
        assert!(!Deadline::after(second * 60).has_passed());
        assert!(!Deadline::after(Duration::MAX).has_passed());
    }
}
