//! Dates as people write them: `2024-01-15`, `2024-01-15T10:00:00Z`, `4w`.
//!
//! All in UTC. The surprise: a date is the whole day and a time without a fraction the
//! whole second, so `>` means after it has ended. Then `=` finds what is shown as that
//! day or second, and `<`, `=` and `>` part the time without gaps.

use jiff::civil;
use jiff::tz::Offset;

use super::span::Span;
use crate::model::Timestamp;

const SECOND: i128 = 1_000_000_000;
const HOUR: i128 = 3_600 * SECOND;
const DAY: i128 = 24 * HOUR;

/// A written date, in nanoseconds since the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Date {
    /// On the calendar.
    Calendar(Span),
    /// So long ago.
    Ago(i128),
}

/// Reads a date; `None` if it is none.
pub(super) fn date(text: &str, now: Timestamp) -> Option<Date> {
    calendar(text)
        .map(Date::Calendar)
        .or_else(|| ago(text, now).map(Date::Ago))
}

/// `1m` and `1y`, which people try.
pub(super) fn is_in_months_or_years(text: &str) -> bool {
    let digits = text.trim_end_matches(['m', 'y']);
    digits.len() + 1 == text.len() && digits.parse::<u64>().is_ok()
}

fn ago(text: &str, now: Timestamp) -> Option<i128> {
    let unit = match text.chars().next_back()? {
        'h' => HOUR,
        'd' => DAY,
        'w' => 7 * DAY,
        _ => return None,
    };
    let count = &text[..text.len() - 1];
    if !count.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let count: u64 = count.parse().ok()?;
    Some(i128::from(now.nanos()) - i128::from(count) * unit)
}

fn calendar(text: &str) -> Option<Span> {
    if !starts_with_a_date(text.bytes()) {
        return None;
    }
    if text.len() == "2024-01-15".len() {
        let day: civil::Date = text.parse().ok()?;
        return Some(lasting(in_utc(day.into())?, DAY));
    }
    let first = match text.parse::<jiff::Timestamp>() {
        Ok(time) => time.as_nanosecond(),
        // Without an offset, and so in UTC like everything else here.
        Err(_) => in_utc(text.parse().ok()?)?,
    };
    let length = if text.contains(['.', ',']) { 1 } else { SECOND };
    Some(lasting(first, length))
}

/// The form of `2024-01-15`, whatever follows: the parser below would take `20240115`,
/// too, which is more likely a number that somebody meant for another field.
pub(super) fn starts_with_a_date(mut bytes: impl Iterator<Item = u8>) -> bool {
    b"dddd-dd-dd".iter().all(|form| {
        bytes.next().is_some_and(|byte| match form {
            b'd' => byte.is_ascii_digit(),
            _ => byte == *form,
        })
    })
}

fn in_utc(time: civil::DateTime) -> Option<i128> {
    Some(Offset::UTC.to_timestamp(time).ok()?.as_nanosecond())
}

fn lasting(first: i128, length: i128) -> Span {
    Span {
        first,
        last: first + length - 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2024-03-01T12:00:00Z".parse().unwrap()
    }

    fn nanos(text: &str) -> i128 {
        text.parse::<Timestamp>().unwrap().nanos().into()
    }

    #[test]
    fn a_date_is_its_whole_day_in_utc() {
        let day = Span {
            first: nanos("2024-02-29T00:00:00Z"),
            last: nanos("2024-03-01T00:00:00Z") - 1,
        };
        assert_eq!(date("2024-02-29", now()), Some(Date::Calendar(day)));
    }

    #[test]
    fn a_time_is_its_whole_second_unless_it_has_a_fraction() {
        let first = nanos("2024-01-15T10:00:00Z");
        let second = Some(Date::Calendar(lasting(first, SECOND)));
        for text in [
            "2024-01-15T10:00:00Z",
            "2024-01-15T10:00:00",
            "2024-01-15 10:00:00",
            "2024-01-15T12:00:00+02:00",
        ] {
            assert_eq!(date(text, now()), second, "{text}");
        }
        let instant = Some(Date::Calendar(lasting(first + SECOND / 2, 1)));
        assert_eq!(date("2024-01-15T10:00:00.5Z", now()), instant);
    }

    #[test]
    fn relative_dates_count_back_from_now() {
        for (text, expected) in [
            ("0h", "2024-03-01T12:00:00Z"),
            ("3h", "2024-03-01T09:00:00Z"),
            ("1d", "2024-02-29T12:00:00Z"),
            ("2w", "2024-02-16T12:00:00Z"),
        ] {
            assert_eq!(date(text, now()), Some(Date::Ago(nanos(expected))));
        }
        let before_all_time = date("18446744073709551615w", now());
        assert!(matches!(before_all_time, Some(Date::Ago(time)) if time < 0));
    }

    #[test]
    fn what_is_no_date_is_refused() {
        for text in [
            "",
            "d",
            "-1d",
            "+1d",
            "1D",
            "1m",
            "1y",
            "1s",
            "1.5d",
            "99999999999999999999h",
            "1",
            "yesterday",
            "2024",
            "2024-01",
            "20240115",
            "2024-13-01",
            "2024-02-30",
            "2024-1-15",
            "2024-01-15T25:00:00Z",
            "2024-01-15Z",
            "2024-01-15T",
            "15.01.2024",
            "2024-01-15é",
        ] {
            assert_eq!(date(text, now()), None, "{text}");
        }
    }

    #[test]
    fn months_and_years_are_known_to_be_asked_for() {
        for (text, expected) in [("1m", true), ("12y", true), ("1d", false), ("m", false)] {
            assert_eq!(is_in_months_or_years(text), expected, "{text}");
        }
        assert!(!is_in_months_or_years("1my"));
    }
}
