//! Values with units that networks have: shares, rates of bits, sizes.

use toml::de::DeValue;

use super::{Reader, Value, article};
use crate::network::Queue;
use crate::plan::duration::parse_duration;

/// Bits a second, the longest names first. Networks count in thousands.
const RATES: [(&str, f64); 4] = [("kbit/s", 1e3), ("Mbit/s", 1e6), ("Gbit/s", 1e9), ("bit/s", 1.0)];
const SIZES: [(&str, f64); 5] = [("KiB", 1024.0), ("MiB", 1_048_576.0), ("kB", 1e3), ("MB", 1e6), ("B", 1.0)];

impl Reader<'_> {
    /// A share, written as a percentage. Whether it is at most a whole is seen by whoever takes it.
    pub(super) fn share(&mut self, name: &str, value: &Value<'_>) -> Option<f64> {
        let help = "write a percentage in quotes, such as \"0.5%\"";
        let Some(text) = value.get_ref().as_str() else {
            let is_number = matches!(value.get_ref(), DeValue::Integer(_) | DeValue::Float(_));
            let what = if is_number { "a number without a %" } else { article(value) };
            self.wrong(value, format!("`{name}` is {what}"), help);
            return None;
        };
        let share = text.trim().strip_suffix('%').and_then(plain_number);
        if share.is_none() {
            self.wrong(value, format!("`{name}` is no percentage"), help);
        }
        share.map(|percent| percent / 100.0)
    }

    pub(super) fn number(&mut self, name: &str, value: &Value<'_>) -> Option<f64> {
        let number = match value.get_ref() {
            DeValue::Integer(number) => number.as_str().parse().ok(),
            DeValue::Float(number) => number.as_str().parse().ok(),
            _ => None,
        };
        if number.is_none() {
            self.wrong(value, format!("`{name}` is {}", article(value)), "write a number, such as 1.5");
        }
        number
    }

    /// The place of a text among those that there are.
    pub(super) fn one_of(&mut self, value: &Value<'_>, known: &[&str]) -> Option<usize> {
        let found = value.get_ref().as_str().and_then(|text| known.iter().position(|known| *known == text));
        if found.is_none() {
            let known: Vec<String> = known.iter().map(|known| format!("\"{known}\"")).collect();
            self.wrong(value, "this is none of the words for it".into(), &format!("write {}", known.join(" or ")));
        }
        found
    }

    pub(super) fn bits_per_second(&mut self, value: &Value<'_>) -> Option<u64> {
        let rate = value.get_ref().as_str().and_then(|text| with_unit(text, &RATES));
        if rate.is_none() {
            self.wrong(value, "the `bandwidth` is no rate".into(), "write one such as \"15Mbit/s\" or \"500kbit/s\"");
        }
        rate
    }

    /// A bound in time or in bytes.
    pub(super) fn queue(&mut self, value: &Value<'_>) -> Option<Queue> {
        let text = value.get_ref().as_str().unwrap_or("");
        let queue = with_unit(text, &SIZES).map(Queue::Bytes).or_else(|| parse_duration(text).map(Queue::Time).ok());
        if queue.is_none() {
            let help = "write a time such as \"200ms\", or a size such as \"64KiB\"";
            self.wrong(value, "the `queue` is neither a time nor a size".into(), help);
        }
        queue
    }

    pub(super) fn bytes_of_packet(&mut self, name: &str, value: &Value<'_>) -> Option<u16> {
        let bytes = self.whole(name, value)?.value;
        let fits = u16::try_from(bytes).ok();
        if fits.is_none() {
            self.wrong(value, format!("the `{name}` is {bytes}"), "it can be from 68 to 65535 bytes");
        }
        fits
    }
}

/// Digits with at most one point.
fn plain_number(text: &str) -> Option<f64> {
    let text = text.trim();
    let is_plain =
        text.starts_with(|c: char| c.is_ascii_digit()) && text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    if is_plain { text.parse().ok() } else { None }
}

/// A number with one of the units, as a whole number of the smallest.
fn with_unit(text: &str, units: &[(&str, f64)]) -> Option<u64> {
    let text = text.trim();
    let (number, factor) = units.iter().find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, factor)))?;
    // Beyond 2^53 nobody means the last bytes.
    plain_number(number).map(|number| (number * factor).round() as u64)
}
