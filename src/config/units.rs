//! How people write sizes and durations, read exactly.

use std::time::Duration;

/// A duration that can be switched off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interval {
    /// Never.
    Off,
    /// Again and again after this time.
    Every(Duration),
}

impl Interval {
    /// `None`: never.
    pub fn duration(self) -> Option<Duration> {
        match self {
            Interval::Off => None,
            Interval::Every(duration) => Some(duration),
        }
    }
}

const SIZES: [(&str, u64); 14] = [
    ("", 1),
    ("b", 1),
    ("k", 1 << 10),
    ("kb", 1_000),
    ("kib", 1 << 10),
    ("m", 1 << 20),
    ("mb", 1_000_000),
    ("mib", 1 << 20),
    ("g", 1 << 30),
    ("gb", 1_000_000_000),
    ("gib", 1 << 30),
    ("t", 1 << 40),
    ("tb", 1_000_000_000_000),
    ("tib", 1 << 40),
];

const SECONDS: [(&str, u64); 4] = [("s", 1), ("m", 60), ("h", 3_600), ("d", 86_400)];

/// Reads `256MiB`, `16 MiB`, `1GB`, `4096`. `K`, `M`, `G`, `T` alone count in 1024.
///
/// # Errors
/// A sentence that shows the right form.
pub fn parse_bytes(text: &str) -> Result<u64, String> {
    let (digits, unit) = split_number(text);
    let unit = unit.trim_start().to_ascii_lowercase();
    SIZES
        .iter()
        .find(|(name, _)| *name == unit)
        .and_then(|(_, factor)| digits.parse::<u64>().ok()?.checked_mul(*factor))
        .ok_or_else(|| {
            format!("'{text}' is not a size: write bytes, or a number with KiB, MiB, GiB or TiB, like \"256MiB\"")
        })
}

/// Reads `30s`, `15m`, `2h`, `1d`.
///
/// # Errors
/// A sentence that shows the right form.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let (digits, unit) = split_number(text);
    SECONDS
        .iter()
        .find(|(name, _)| *name == unit)
        .and_then(|(_, factor)| digits.parse::<u64>().ok()?.checked_mul(*factor))
        .map(Duration::from_secs)
        .ok_or_else(|| {
            format!("'{text}' is not a duration: write a number with s, m, h or d, like \"15m\"")
        })
}

/// Reads `50%`, `50 %`.
///
/// # Errors
/// A sentence that shows the right form.
pub(super) fn parse_percent(text: &str) -> Result<u8, String> {
    let (digits, unit) = split_number(text);
    digits
        .parse()
        .ok()
        .filter(|percent| *percent <= 100 && unit.trim_start() == "%")
        .ok_or_else(|| {
            format!("'{text}' is not a share: write a number from 0 to 100 with %, like \"50%\"")
        })
}

/// Reads `off` or a duration greater than zero.
///
/// # Errors
/// A sentence that shows the right form.
pub fn parse_interval(text: &str) -> Result<Interval, String> {
    if text == "off" {
        return Ok(Interval::Off);
    }
    match parse_duration(text) {
        Ok(Duration::ZERO) => Err(format!("'{text}' is no interval: write \"off\" for never")),
        Ok(duration) => Ok(Interval::Every(duration)),
        Err(problem) => Err(format!("{problem}, or \"off\"")),
    }
}

/// The shortest form that reads back the same.
pub(super) fn show_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (unit, factor) = SECONDS
        .iter()
        .rev()
        .find(|(_, factor)| seconds != 0 && seconds.is_multiple_of(*factor))
        .unwrap_or(&SECONDS[0]);
    format!("{}{unit}", seconds / factor)
}

/// The shortest form that reads back the same.
pub(super) fn show_bytes(bytes: u64) -> String {
    let units = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)];
    units
        .iter()
        .find(|(_, shift)| bytes != 0 && bytes.is_multiple_of(1 << shift))
        .map_or_else(
            || bytes.to_string(),
            |(unit, shift)| format!("{}{unit}", bytes >> shift),
        )
}

fn split_number(text: &str) -> (&str, &str) {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    text.split_at(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_as_people_write_them() {
        for (text, bytes) in [
            ("0", 0),
            ("4096", 4096),
            ("256MiB", 256 << 20),
            ("16 MiB", 16 << 20),
            ("1G", 1 << 30),
            ("2gb", 2_000_000_000),
            ("3TiB", 3 << 40),
        ] {
            assert_eq!(parse_bytes(text), Ok(bytes), "{text}");
        }
        for bad in [
            "",
            "MiB",
            "-1",
            "1.5GiB",
            "12 parsecs",
            "16777216TiB",
            "1e6",
        ] {
            assert!(parse_bytes(bad).unwrap_err().contains("256MiB"), "{bad}");
        }
    }

    #[test]
    fn durations_need_a_unit() {
        for (text, seconds) in [
            ("0s", 0),
            ("30s", 30),
            ("15m", 900),
            ("2h", 7200),
            ("1d", 86400),
        ] {
            assert_eq!(
                parse_duration(text),
                Ok(Duration::from_secs(seconds)),
                "{text}"
            );
        }
        for bad in [
            "",
            "15",
            "m",
            "-1s",
            "1.5h",
            "2 h",
            "1w",
            "999999999999999999d",
        ] {
            assert!(parse_duration(bad).unwrap_err().contains("15m"), "{bad}");
        }
        assert_eq!(parse_interval("off"), Ok(Interval::Off));
        assert!(parse_interval("0s").unwrap_err().contains("\"off\""));
        assert!(parse_interval("soon").unwrap_err().contains("\"off\""));
    }

    #[test]
    fn shares_are_percent() {
        for (text, percent) in [("0%", 0), ("50 %", 50), ("100%", 100)] {
            assert_eq!(parse_percent(text), Ok(percent), "{text}");
        }
        for bad in ["", "50", "%", "101%", "0.5", "50 percent", "-1%"] {
            assert!(parse_percent(bad).unwrap_err().contains("50%"), "{bad}");
        }
    }

    #[test]
    fn what_is_shown_reads_back_the_same() {
        for bytes in [0, 1, 1000, 1024, 16 << 20, 256 << 20, 3 << 40, u64::MAX] {
            assert_eq!(parse_bytes(&show_bytes(bytes)), Ok(bytes));
        }
        for seconds in [0, 1, 30, 60, 90, 900, 7200, 86400, 172_801] {
            let duration = Duration::from_secs(seconds);
            assert_eq!(parse_duration(&show_duration(duration)), Ok(duration));
        }
    }
}
