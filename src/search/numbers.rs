//! Numbers as people write them: `1024`, `1.5m`, `16:9`.
//!
//! Sizes count in 1024s. Aspect ratios are compared in hundredths, as they are shown,
//! so `aspect_ratio:1.33` finds a picture of 1024 × 768.

use super::span::Span;

/// What an aspect ratio of 1 is.
const RATIO_UNIT: i128 = 100;

/// A plain number.
pub(super) fn number(text: &str) -> Option<Span> {
    decimal(text, 1)
}

/// A number of bytes, with or without a unit.
pub(super) fn size(text: &str) -> Option<Span> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match text[digits.len()..].to_ascii_lowercase().as_str() {
        "" => 1,
        "k" | "kb" => 1 << 10,
        "m" | "mb" => 1 << 20,
        "g" | "gb" => 1 << 30,
        _ => return None,
    };
    decimal(digits, unit)
}

/// `1.78` or `16:9`.
pub(super) fn ratio(text: &str) -> Option<Span> {
    match text.split_once(':') {
        None => decimal(text, RATIO_UNIT),
        Some((width, height)) => hundredths(digits(width)?, digits(height)?).map(Span::exactly),
    }
}

/// The aspect ratio, rounded as it is shown. `None` for what has no height.
pub(super) fn hundredths(width: u32, height: u32) -> Option<i128> {
    let (width, height) = (i128::from(width), i128::from(height));
    (height > 0).then(|| (width * RATIO_UNIT + height / 2) / height)
}

fn digits(text: &str) -> Option<u32> {
    is_digits(text).then(|| text.parse().ok())?
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The whole numbers next to `text` times `unit`, above and below; `None` also for what
/// no file can have.
fn decimal(text: &str, unit: i128) -> Option<Span> {
    let (sign, text) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text),
    };
    let (whole, fraction) = match text.split_once('.') {
        Some((whole, fraction)) if is_digits(fraction) => (whole, fraction),
        Some(_) => return None,
        None => (text, ""),
    };
    if !is_digits(whole) {
        return None;
    }
    let scaled = format!("{whole}{fraction}").parse::<i128>().ok()?;
    let scaled = (sign * scaled).checked_mul(unit)?;
    let scale = 10_i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let last = scaled.div_euclid(scale);
    let whole = scaled.rem_euclid(scale) == 0;
    Some(Span {
        first: if whole { last } else { last + 1 },
        last,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exact(number: i128) -> Option<Span> {
        Some(Span::exactly(number))
    }

    #[test]
    fn sizes_count_in_1024s_in_either_case() {
        for (text, expected) in [
            ("0", 0),
            ("1000", 1000),
            ("1k", 1 << 10),
            ("1K", 1 << 10),
            ("2kb", 2 << 10),
            ("1m", 1 << 20),
            ("1.5MB", 3 << 19),
            ("1g", 1 << 30),
            ("3gb", 3 << 30),
            ("-1", -1),
        ] {
            assert_eq!(size(text), exact(expected), "{text}");
        }
    }

    #[test]
    fn a_size_between_two_bytes_is_neither() {
        // 1331.2 bytes
        let between = Span {
            first: 1332,
            last: 1331,
        };
        assert_eq!(size("1.3k"), Some(between));
        let below_zero = Span { first: 0, last: -1 };
        assert_eq!(number("-0.5"), Some(below_zero));
    }

    #[test]
    fn what_is_no_number_is_refused() {
        let nines = "9".repeat(60);
        for text in [
            "", "-", ".", "1.", ".5", "1.2.3", "x", "1x", "k", "1kib", "1 k", "+1", "1e3", "0x10",
            "٣", "--1", "1k2", &nines,
        ] {
            assert_eq!(size(text), None, "{text}");
        }
        assert_eq!(number("1k"), None);
        assert_eq!(number(&format!("0.{}", "1".repeat(60))), None);
    }

    #[test]
    fn ratios_are_the_same_however_they_are_written() {
        assert_eq!(ratio("16:9"), exact(178));
        assert_eq!(ratio("1.78"), exact(178));
        assert_eq!(hundredths(1920, 1080), Some(178));
        assert_eq!(ratio("4:3"), exact(133));
        assert_eq!(hundredths(1024, 768), Some(133));
        assert_eq!(ratio("1"), exact(100));
        for text in [
            "16:0",
            "16:",
            ":9",
            "-16:9",
            "1:2:3",
            "a:b",
            "99999999999:1",
        ] {
            assert_eq!(ratio(text), None, "{text}");
        }
        assert_eq!(hundredths(100, 0), None);
    }
}
