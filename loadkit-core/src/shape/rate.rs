//! `"500/s" <-> Rate`: how many players arrive in a time.

use std::error::Error;
use std::fmt;

/// Millionths of a player per hour in one player per second.
const PER_SECOND: u64 = 3600 * 1_000_000;

/// How fast players arrive: at most a million a second, exact to a millionth of a player per hour.
///
/// It is kept as a whole number, so that sums over a stage are exact and the same on every machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rate(u64);

impl Rate {
    /// Nobody arrives.
    pub const ZERO: Rate = Rate(0);

    /// The fastest rate: a million players a second.
    pub const MAX: Rate = Rate(1_000_000 * PER_SECOND);

    /// `players` a second.
    ///
    /// # Errors
    /// Above [`Rate::MAX`].
    pub fn per_second(players: u32) -> Result<Rate, RateError> {
        Rate::bounded(u64::from(players) * PER_SECOND).ok_or_else(|| RateError::new(&format!("{players}/s"), Why::Fast))
    }

    /// Reads a rate as people write it: `500/s`, `30/m`, `1000/h`, `0.5/s`.
    ///
    /// # Errors
    /// If the number or the unit is missing, if it is negative, or above [`Rate::MAX`].
    pub fn parse(text: &str) -> Result<Rate, RateError> {
        let trimmed = text.trim();
        let fail = |why| Err(RateError::new(trimmed, why));
        if trimmed.starts_with('-') {
            return fail(Why::Negative);
        }
        let Some((number, unit)) = trimmed.split_once('/') else {
            return fail(Why::Unit);
        };
        let per_hour = match unit.trim() {
            "s" | "sec" | "second" => 3600,
            "m" | "min" | "minute" => 60,
            "h" | "hour" => 1,
            _ => return fail(Why::Unit),
        };
        let Some(millionths) = millionths(number.trim()) else {
            return fail(Why::Number);
        };
        match millionths.checked_mul(per_hour).and_then(Rate::bounded) {
            Some(rate) => Ok(rate),
            None => fail(Why::Fast),
        }
    }

    /// Players per second.
    pub fn as_per_second(self) -> f64 {
        self.0 as f64 / PER_SECOND as f64
    }

    /// Millionths of a player per hour: the exact value.
    pub(crate) fn raw(self) -> u64 {
        self.0
    }

    fn bounded(raw: u64) -> Option<Rate> {
        (raw <= Rate::MAX.0).then_some(Rate(raw))
    }
}

/// A decimal number in millionths; none if it is no number. Further decimals are cut off.
fn millionths(number: &str) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let all_digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if !all_digits(whole) || !all_digits(fraction) || (whole.is_empty() && fraction.is_empty()) {
        return None;
    }
    // More digits than 12 are above the fastest rate; saturate, so that the message is about the rate.
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().unwrap_or(u64::MAX) };
    let padded = format!("{:0<6}", fraction.get(..fraction.len().min(6)).unwrap_or(""));
    Some(whole.saturating_mul(1_000_000).saturating_add(padded.parse().ok()?))
}

impl fmt::Display for Rate {
    /// In the largest of `/s`, `/m` and `/h` that gives a whole number, and decimals of `/h` otherwise.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, per_hour) in [("s", 3600), ("m", 60)] {
            let one = per_hour * 1_000_000;
            if self.0.is_multiple_of(one) {
                return write!(f, "{}/{unit}", self.0 / one);
            }
        }
        // A decimal rate such as 0.5/s reads better than 1800/h, if it is exact.
        if self.0.is_multiple_of(3600) {
            return write!(f, "{}/s", trim(self.0 / 3600));
        }
        write!(f, "{}/h", trim(self.0))
    }
}

/// Millionths as a decimal number.
fn trim(millionths: u64) -> String {
    let fraction = format!("{:06}", millionths % 1_000_000);
    let fraction = fraction.trim_end_matches('0');
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{}{point}{fraction}", millionths / 1_000_000)
}

/// The text is no rate; the message says why and shows one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateError {
    text: String,
    why: Why,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    Negative,
    Unit,
    Number,
    Fast,
}

impl RateError {
    fn new(text: &str, why: Why) -> RateError {
        RateError { text: text.chars().take(40).collect(), why }
    }
}

impl fmt::Display for RateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = &self.text;
        match self.why {
            Why::Negative => write!(f, "the rate `{text}` is negative"),
            Why::Unit => write!(f, "the rate `{text}` does not say per what: write one such as 500/s, 30/m or 1000/h"),
            Why::Number => write!(f, "the rate `{text}` has no number that can be read: write one such as 500/s"),
            Why::Fast => write!(f, "the rate `{text}` is above 1000000/s, the most that a plan can ask for"),
        }
    }
}

impl Error for RateError {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_and_writes() {
        let table = [
            ("500/s", "500/s"),
            ("30/m", "30/m"),
            ("60/m", "1/s"),
            ("0.5/s", "30/m"),
            ("1000/h", "1000/h"),
            ("1.000001/h", "1.000001/h"),
            ("0/s", "0/s"),
            (" 5 / s ", "5/s"),
            (".25/s", "15/m"),
            ("0.001/s", "0.001/s"),
        ];
        for (text, written) in table {
            assert_eq!(Rate::parse(text).unwrap().to_string(), written, "{text}");
        }
        assert_eq!(Rate::per_second(1_000_000), Ok(Rate::MAX));
        assert!(Rate::per_second(1_000_001).is_err());
    }

    #[test]
    fn refuses_the_rest_and_says_why() {
        let table = [
            ("500", "per what"),
            ("-1/s", "negative"),
            ("x/s", "no number"),
            ("/s", "no number"),
            ("5/fortnight", "per what"),
            ("1000001/s", "above"),
            ("99999999999999999999/s", "above"),
            ("1.2.3/s", "no number"),
            ("+5/s", "no number"),
        ];
        for (text, part) in table {
            let error = Rate::parse(text).expect_err(text).to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn writing_and_reading_agree(raw in 0..=Rate::MAX.0, shift in 0u32..52) {
            let rate = Rate(raw >> shift);
            prop_assert_eq!(Rate::parse(&rate.to_string()), Ok(rate));
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,30}") {
            let _ = Rate::parse(&text).map_err(|e| e.to_string());
        }
    }
}
