//! `"1h30m" <-> Duration`: durations as people write them.

use std::error::Error;
use std::fmt;
use std::time::Duration;

/// The units and their lengths in nanoseconds, the longest first.
const UNITS: [(&str, u64); 8] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("µs", 1_000),
    ("ns", 1),
];

/// Reads a duration: numbers with units, the longest unit first, such as `250ms`, `1.5s`, `10m` or `1h30m`.
///
/// Units are `d`, `h`, `m`, `s`, `ms`, `us` and `ns`. Fractions below a nanosecond are cut off. `0` needs no unit.
///
/// # Errors
/// If a number has no unit or an unknown one, if units are out of order, or if the duration is negative or beyond 584
/// years.
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    let trimmed = text.trim();
    let fail = |why: Why| Err(DurationError { text: trimmed.chars().take(40).collect(), why });
    if trimmed.is_empty() {
        return fail(Why::Empty);
    }
    if trimmed == "0" {
        return Ok(Duration::ZERO);
    }
    if trimmed.starts_with('-') {
        return fail(Why::Negative);
    }
    let mut rest = trimmed;
    let mut total: u64 = 0;
    let mut shortest = u64::MAX;
    while !rest.is_empty() {
        let number_len = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, tail) = rest.split_at(number_len);
        let unit_len = tail.find(|c: char| c.is_ascii_digit() || c == '.' || c == '-').unwrap_or(tail.len());
        let (name, tail) = tail.split_at(unit_len);
        if number.is_empty() {
            return fail(Why::Number);
        }
        if name.trim().is_empty() {
            return fail(Why::NoUnit(number.chars().take(20).collect()));
        }
        let Some(unit) = UNITS.iter().find(|(unit, _)| *unit == name.trim()).map(|(_, nanos)| *nanos) else {
            return fail(Why::Unit(name.trim().chars().take(20).collect()));
        };
        if unit >= shortest {
            return fail(Why::Order);
        }
        shortest = unit;
        let Some(nanos) = scaled(number, unit) else {
            return fail(Why::Number);
        };
        let Some(sum) = total.checked_add(nanos) else {
            return fail(Why::Number);
        };
        total = sum;
        rest = tail;
    }
    Ok(Duration::from_nanos(total))
}

/// `number * unit` in nanoseconds, exactly but for what is below one; none if it is no number or too large.
fn scaled(number: &str, unit: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return None;
    }
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    // More digits than these are below a nanosecond even of a day.
    let digits = fraction.get(..fraction.len().min(18)).unwrap_or("");
    let mut part: u128 = if digits.is_empty() { 0 } else { digits.parse().ok()? };
    part = part * u128::from(unit) / 10u128.pow(u32::try_from(digits.len()).ok()?);
    whole.checked_mul(unit)?.checked_add(u64::try_from(part).ok()?)
}

/// Writes a duration as [`parse_duration`] reads it, exactly: `1m30s`, `1.5s`, `250ms`, `0s`.
pub fn format_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let nanos = u64::from(duration.subsec_nanos());
    if seconds == 0 && nanos > 0 {
        return match nanos {
            1_000_000.. => decimal(nanos, 1_000_000, "ms"),
            1_000.. => decimal(nanos, 1_000, "us"),
            _ => format!("{nanos}ns"),
        };
    }
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    let mut text = String::new();
    if hours > 0 {
        text.push_str(&format!("{hours}h"));
    }
    if minutes > 0 {
        text.push_str(&format!("{minutes}m"));
    }
    let rest = Duration::new(seconds % 60, duration.subsec_nanos());
    if !rest.is_zero() || text.is_empty() {
        text.push_str(&format!("{}", rest.as_secs()));
        text.push_str(&fraction(nanos, 1_000_000_000));
        text.push('s');
    }
    text
}

/// `value / unit` with as many decimals as it takes.
fn decimal(value: u64, unit: u64, name: &str) -> String {
    format!("{}{}{name}", value / unit, fraction(value % unit, unit))
}

/// `.5` for 500 of 1000; nothing for 0. `unit` is a power of ten.
fn fraction(part: u64, unit: u64) -> String {
    if part == 0 {
        return String::new();
    }
    let width = unit.ilog10() as usize;
    let digits = format!("{part:0width$}");
    format!(".{}", digits.trim_end_matches('0'))
}

/// The text is no duration; the message says why and shows one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DurationError {
    text: String,
    why: Why,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Why {
    Empty,
    Negative,
    NoUnit(String),
    Unit(String),
    Order,
    Number,
}

impl fmt::Display for DurationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = &self.text;
        match &self.why {
            Why::Empty => write!(f, "a duration is missing: write one such as 250ms, 1.5s or 1h30m"),
            Why::Negative => write!(f, "the duration `{text}` is negative"),
            Why::NoUnit(number) => {
                write!(f, "the duration `{text}` has a number without a unit: write {number}s, or ms, m or h")
            }
            Why::Unit(unit) => {
                write!(f, "the duration `{text}` has an unknown unit `{unit}`: use us, ms, s, m, h or d")
            }
            Why::Order => {
                write!(f, "the duration `{text}` has its units out of order: write the longest first, as 1h30m")
            }
            Why::Number => write!(f, "the duration `{text}` has no number that can be read, or one that is too large"),
        }
    }
}

impl Error for DurationError {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_what_people_write() {
        let table = [
            ("250ms", 250_000_000),
            ("1.5s", 1_500_000_000),
            ("10m", 600_000_000_000),
            (".5s", 500_000_000),
            ("1h30m", 5_400_000_000_000),
            ("20us", 20_000),
            ("20µs", 20_000),
            ("1d", 86_400_000_000_000),
            ("0", 0),
            ("0s", 0),
            (" 5 s ", 5_000_000_000),
            ("1m0.5s", 60_500_000_000),
            ("1h 30m", 5_400_000_000_000),
        ];
        for (text, nanos) in table {
            assert_eq!(parse_duration(text), Ok(Duration::from_nanos(nanos)), "{text}");
        }
    }

    #[test]
    fn refuses_the_rest_and_says_why() {
        let table = [
            ("", "missing"),
            ("-5s", "negative"),
            ("20", "without a unit"),
            ("5 parsecs", "unknown unit `parsecs`"),
            ("30m1h", "longest first"),
            ("1s1s", "longest first"),
            ("1.2.3s", "no number"),
            ("s", "no number"),
            ("99999999999d", "too large"),
            ("1e3s", "unknown unit"),
            (".s", "no number"),
            ("1s-2ms", "no number"),
        ];
        for (text, part) in table {
            let error = parse_duration(text).expect_err(text).to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn writes_what_people_read() {
        let table = [
            (0, "0s"),
            (1, "1ns"),
            (1_500, "1.5us"),
            (250_000_000, "250ms"),
            (1_500_000_000, "1.5s"),
            (90_000_000_000, "1m30s"),
            (3_600_000_000_000, "1h"),
            (60_500_000_000, "1m0.5s"),
        ];
        for (nanos, text) in table {
            assert_eq!(format_duration(Duration::from_nanos(nanos)), text);
        }
    }

    proptest! {
        #[test]
        fn writing_and_reading_agree(nanos in any::<u64>(), shift in 0u32..64) {
            let duration = Duration::from_nanos(nanos >> shift);
            prop_assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,30}") {
            let _ = parse_duration(&text).map_err(|e| e.to_string());
        }
    }
}
