//! Hours, days, weeks, months and years, all in UTC.

use crate::model::Timestamp;

/// A stretch of time of which the last version stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Period {
    /// From one full hour to the next.
    Hour,
    /// From midnight to midnight.
    Day,
    /// From Monday to Sunday, as ISO 8601 numbers them.
    Week,
    /// A month of the calendar.
    Month,
    /// A year of the calendar.
    Year,
}

/// All of them, shortest first.
pub const PERIODS: [Period; 5] = [
    Period::Hour,
    Period::Day,
    Period::Week,
    Period::Month,
    Period::Year,
];

impl Period {
    /// What a version that stays for it is called.
    pub fn as_str(self) -> &'static str {
        match self {
            Period::Hour => "hourly",
            Period::Day => "daily",
            Period::Week => "weekly",
            Period::Month => "monthly",
            Period::Year => "yearly",
        }
    }
}

/// The name of the period that a time lies in: `2026-11-24T10`, `2026-11-24`, `2026-W48`,
/// `2026-11`, `2026`.
pub(super) fn slot_of(period: Period, time: Timestamp) -> String {
    // Every i64 of nanoseconds is a time that jiff knows.
    let time = jiff::Timestamp::from_nanosecond(i128::from(time.nanos())).unwrap_or_default();
    let time = jiff::tz::Offset::UTC.to_datetime(time);
    match period {
        Period::Hour => time.strftime("%Y-%m-%dT%H").to_string(),
        Period::Day => time.strftime("%Y-%m-%d").to_string(),
        Period::Week => {
            let week = time.date().iso_week_date();
            format!("{:04}-W{:02}", week.year(), week.week())
        }
        Period::Month => time.strftime("%Y-%m").to_string(),
        Period::Year => time.strftime("%Y").to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_are_those_of_the_utc_calendar() {
        for (time, slots) in [
            (
                "2026-11-24T10:59:59Z",
                ["2026-11-24T10", "2026-11-24", "2026-W48", "2026-11", "2026"],
            ),
            (
                "2027-01-01T00:00:00Z",
                ["2027-01-01T00", "2027-01-01", "2026-W53", "2027-01", "2027"],
            ),
            (
                "1969-12-31T23:59:59Z",
                ["1969-12-31T23", "1969-12-31", "1970-W01", "1969-12", "1969"],
            ),
        ] {
            let time: jiff::Timestamp = time.parse().unwrap();
            let time = Timestamp::from_parts(time.as_second(), 0);
            assert_eq!(PERIODS.map(|period| slot_of(period, time)), slots);
        }
        for nanos in [i64::MIN, i64::MAX] {
            assert!(!slot_of(Period::Hour, Timestamp::from_nanos(nanos)).is_empty());
        }
    }
}
