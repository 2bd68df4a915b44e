//! `Intervals <-> histograms.hlog`: HdrHistogram's interval log, whose reader exists for most languages.
//!
//! ```text
//! #[Histogram log format version 1.3]
//! #[Run: 00000000000000a7]
//! #[IntervalWidth: 1 (seconds)]
//! #[BaseTime: 1772373909.000 (seconds since epoch)]
//! Tag=login;service,0.000,90.040,1023.000,HISTFAAAA…
//! Tag=login,0.000,1.000,987.000,HISTFAAAA…
//! #[Intervals: 2]
//! ```
//!
//! A line has a tag, its start and length in seconds, its largest value, and a histogram of microseconds in HdrHistogram's
//! encoding V2, compressed, as base64. Its source is `HistogramLogWriter` of <https://github.com/HdrHistogram/HdrHistogram>.
//!
//! The tag `login` has response times, `login;service` service times. Names are written so that a tag is one word in any
//! reader: bytes other than ASCII's letters, digits and most signs are `%` and two hexadecimal digits, as in addresses.
//!
//! Writing is the crate's. **Reading is our own, because a log may come from anywhere**: the crate's would reserve the 4 GiB
//! that a line asks for.

use std::fmt;
use std::io::{self, Read as _};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hdrhistogram::Histogram as Hdr;
use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};

use super::Report;
use super::intervals::{Intervals, MAX_BUCKETS, StepIntervals};
use crate::metrics::{HistogramDelta, highest_of, lowest_of, most_buckets};

/// At most so many intervals of a step.
const MAX_INTERVALS: usize = 1_024;
/// At most so many steps.
const MAX_STEPS: usize = 1_024;
/// At most so many bytes of a histogram, not compressed: nine for each bucket, and its head.
const MAX_HISTOGRAM_BYTES: u64 = 9 * 36_000 + 40;
/// At most so many values in a histogram: more than any run has, and a thousand such fit together into 64 bits.
const MAX_VALUES: u64 = 1 << 53;
/// What stands behind a step's name in the tag of its service times.
const SERVICE: &str = ";service";
/// The significant digits of our histograms.
const DIGITS: u32 = 3;
/// HdrHistogram's marks of its encoding, with the word size of 1 byte that V2 always has: `V2EncodingCookieBase` and
/// `V2CompressedEncodingCookieBase` of `AbstractHistogram.java`.
const V2: u32 = 0x1c84_9303 | 0x10;
const V2_COMPRESSED: u32 = 0x1c84_9304 | 0x10;

/// What is wrong with a log of histograms, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogError {
    line: usize,
    why: String,
}

impl LogError {
    fn at(line: usize, why: impl Into<String>) -> LogError {
        LogError { line, why: why.into() }
    }

    /// The line, from 1.
    pub fn line(&self) -> usize {
        self.line
    }
}

impl fmt::Display for LogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.why)
    }
}

impl std::error::Error for LogError {}

/// A log: of which run, and its histograms.
pub(super) struct Log {
    pub(super) run: String,
    pub(super) intervals: Intervals,
}

/// Reads the histograms of a log that a run has left.
///
/// Sums are to a bucket's middle, and smallest and largest values to a bucket's bounds: within 0.1 % of the exact ones.
///
/// # Errors
/// At the first line that is not as loadkit writes it, and where the log is cut short or holds more than any report.
pub fn read(text: &str) -> Result<Intervals, LogError> {
    read_log(text).map(|log| log.intervals)
}

/// The log of a report.
pub(super) fn of_report(report: &Report) -> io::Result<Vec<u8>> {
    let lasted = Duration::try_from_secs_f64(report.lasted_s).unwrap_or_default();
    write(&report.run.id, report.run.started_at_unix_s, lasted, &report.intervals)
}

/// The log as text.
fn write(run: &str, started_at_unix_s: u64, lasted: Duration, intervals: &Intervals) -> io::Result<Vec<u8>> {
    let (mut text, mut serializer) = (Vec::new(), V2DeflateSerializer::new());
    let mut builder = IntervalLogWriterBuilder::new();
    builder.add_comment("[Histogram log format version 1.3]");
    builder.add_comment(&format!("[Run: {}]", name_to_tag(run)));
    builder.add_comment(&format!("[IntervalWidth: {} (seconds)]", intervals.width.as_secs_f64()));
    builder.add_comment("Microseconds. A step's name: response times. With ;service: service times.");
    if let Some(start) = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(started_at_unix_s)) {
        builder.with_start_time(start).with_base_time(start);
    }
    let mut log = builder.begin_log_with(&mut text, &mut serializer)?;
    let mut lines = 0_u64;
    let mut line = |tag: &str, from: Duration, covers: Duration, values: &HistogramDelta| {
        let Some(&(largest, _)) = values.buckets.last() else { return Ok(()) };
        let mut histogram = Hdr::<u64>::new_with_bounds(1, largest.max(2), 3).map_err(io::Error::other)?;
        for &(value, count) in &values.buckets {
            histogram.record_n(value, count).map_err(io::Error::other)?;
        }
        lines += 1;
        log.write_histogram(&histogram, from, covers, Tag::new(tag)).map_err(io::Error::other)
    };
    // Readers take the lines to be in the order of their starts.
    let tags: Vec<(String, &StepIntervals)> =
        intervals.steps.iter().map(|(name, step)| (name_to_tag(name), step)).collect();
    for (tag, step) in &tags {
        line(&format!("{tag}{SERVICE}"), Duration::ZERO, lasted, &step.service)?;
    }
    let points = tags.iter().map(|(_, step)| step.response.len()).max().unwrap_or(0);
    for i in 0..points {
        let from = intervals.width.saturating_mul(u32::try_from(i).unwrap_or(u32::MAX));
        let covers = intervals.width.min(lasted.saturating_sub(from));
        for (tag, step) in &tags {
            if let Some(values) = step.response.get(i) {
                line(tag, from, covers, values)?;
            }
        }
    }
    log.write_comment(&format!("[Intervals: {lines}]"))?;
    Ok(text)
}

/// Reads a log with the run that it is of.
pub(super) fn read_log(text: &str) -> Result<Log, LogError> {
    let mut log = Log { run: String::new(), intervals: Intervals::default() };
    let (mut lines, mut room, mut end) = (0_u64, MAX_BUCKETS, None);
    let mut last = 0;
    for (i, line) in text.split_inclusive('\n').enumerate() {
        last = i + 1;
        let at = |why: String| LogError::at(i + 1, why);
        let Some(line) = line.strip_suffix('\n') else { return Err(at(CUT_SHORT.into())) };
        let line = line.strip_suffix('\r').unwrap_or(line);
        if end.is_some() && !line.is_empty() {
            return Err(at("there is something behind the log's end".into()));
        }
        if let Some(comment) = line.strip_prefix('#') {
            if let Some(value) = header(comment, "Run") {
                log.run = tag_to_name(value).ok_or_else(|| at("the run's name is none".into()))?;
            } else if let Some(value) = header(comment, "IntervalWidth") {
                log.intervals.width = width(value).map_err(at)?;
            } else if let Some(value) = header(comment, "Intervals") {
                end = Some(value.parse::<u64>().map_err(|_| at(format!("{value:?} is no number of intervals")))?);
            }
        } else if !line.is_empty() {
            lines += 1;
            room = interval(line, room, &mut log.intervals).map_err(at)?;
        }
    }
    match end {
        Some(written) if written == lines => Ok(log),
        Some(written) => {
            Err(LogError::at(last, format!("the log says that it has {written} intervals and has {lines}")))
        }
        None => Err(LogError::at(last.max(1), CUT_SHORT)),
    }
}

const CUT_SHORT: &str = "the log is cut short, or not one that loadkit wrote: its last line must be `#[Intervals: …]`";

/// The value in `[Name: value (unit)]`.
fn header<'a>(comment: &'a str, name: &str) -> Option<&'a str> {
    let value = comment.strip_prefix('[')?.strip_prefix(name)?.strip_prefix(": ")?.strip_suffix(']')?;
    Some(value.split_once(" (").map_or(value, |(value, _)| value))
}

fn width(text: &str) -> Result<Duration, String> {
    let seconds = seconds(text)?;
    let width = Duration::from_secs_f64(seconds);
    if width < Duration::from_millis(1) { Err(format!("an interval of {text} s is too short")) } else { Ok(width) }
}

/// A time that a run can have.
fn seconds(text: &str) -> Result<f64, String> {
    let seconds = text.parse::<f64>().ok().filter(|seconds| (0.0..=1e9).contains(seconds));
    seconds.ok_or_else(|| format!("{text:?} is no time in seconds"))
}

/// Adds a line to the intervals; the room that is left for buckets.
fn interval(line: &str, room: usize, intervals: &mut Intervals) -> Result<usize, String> {
    let mut parts = line.strip_prefix("Tag=").ok_or("an interval must begin with `Tag=`")?.splitn(5, ',');
    let [Some(tag), Some(start), Some(_), Some(_), Some(histogram)] = [(); 5].map(|()| parts.next()) else {
        return Err("an interval must have a tag, a start, a length, a largest value and a histogram".into());
    };
    let (name, is_service) = tag.strip_suffix(SERVICE).map_or((tag, false), |name| (name, true));
    let name = tag_to_name(name).ok_or_else(|| format!("the tag {tag:?} is no step's name"))?;
    let values = decode(histogram, room)?;
    let room = room.saturating_sub(values.buckets.len());
    if intervals.steps.len() >= MAX_STEPS && !intervals.steps.contains_key(&name) {
        return Err(format!("there are more than {MAX_STEPS} steps"));
    }
    let start = seconds(start)?;
    let width = intervals.width.as_secs_f64();
    if width <= 0.0 {
        return Err("`#[IntervalWidth: …]` must come before the first interval: this is no log of loadkit's".into());
    }
    let step = intervals.steps.entry(name).or_default();
    let place = if is_service {
        &mut step.service
    } else {
        let index = (start / width).round() as usize;
        if index >= MAX_INTERVALS {
            return Err(format!("there are more than {MAX_INTERVALS} intervals"));
        }
        if step.response.len() <= index {
            step.response.resize_with(index + 1, HistogramDelta::default);
        }
        step.response.get_mut(index).ok_or("an interval has no place")?
    };
    if !place.buckets.is_empty() {
        return Err(format!("{tag:?} is there twice at {start} s"));
    }
    *place = values;
    Ok(room)
}

/// A histogram of at most so many buckets from its text.
fn decode(text: &str, room: usize) -> Result<HistogramDelta, String> {
    let is_too_long = text.len() as u64 > 2 * MAX_HISTOGRAM_BYTES;
    let bytes = if is_too_long { None } else { BASE64.decode(text).ok() }.ok_or("the histogram is no base64")?;
    let mut bytes = bytes.as_slice();
    if take(&mut bytes).map(u32::from_be_bytes) != Some(V2_COMPRESSED) {
        return Err("the histogram is not in HdrHistogram's encoding V2, compressed".into());
    }
    let length = take(&mut bytes).map(u32::from_be_bytes);
    if length.map(|length| length as usize) != Some(bytes.len()) {
        return Err("the histogram is not as long as it says".into());
    }
    let mut inflated = Vec::new();
    // One more than there may be, to see that there are more.
    let reader = flate2::read::ZlibDecoder::new(bytes).take(MAX_HISTOGRAM_BYTES + 1).read_to_end(&mut inflated);
    reader.map_err(|error| format!("the histogram does not inflate: {error}"))?;
    if inflated.len() as u64 > MAX_HISTOGRAM_BYTES {
        return Err("the histogram has more buckets than any of loadkit's".into());
    }
    decode_inflated(&inflated, room).ok_or_else(|| {
        "the histogram is damaged, or not one of whole numbers from 1 at 3 digits, or there are too many".into()
    })
}

/// The encoding V2: a head of 40 bytes, and then for each bucket its count, or for a run of empty ones their number below
/// zero; both as numbers of a variable length.
fn decode_inflated(mut bytes: &[u8], room: usize) -> Option<HistogramDelta> {
    let bytes = &mut bytes;
    let cookie = u32::from_be_bytes(take(bytes)?);
    let length = u32::from_be_bytes(take(bytes)?) as usize;
    let (offset, digits) = (u32::from_be_bytes(take(bytes)?), u32::from_be_bytes(take(bytes)?));
    let (lowest, _highest) = (u64::from_be_bytes(take(bytes)?), u64::from_be_bytes(take(bytes)?));
    let ratio = f64::from_be_bytes(take(bytes)?);
    if (cookie, length, offset, digits, lowest) != (V2, bytes.len(), 0, DIGITS, 1) || ratio.to_bits() != 1_f64.to_bits()
    {
        return None;
    }
    let mut values = HistogramDelta::default();
    let (mut index, mut count) = (0_usize, 0_u64);
    while !bytes.is_empty() {
        let number = varint(bytes)?;
        // Zigzag: even numbers are counts, odd ones are below zero.
        let half = number >> 1;
        if number & 1 == 1 {
            index = index.checked_add(usize::try_from(half).ok()?)?.checked_add(1)?;
            continue;
        }
        if index >= most_buckets() {
            return None;
        }
        if half > 0 {
            count = count.saturating_add(half);
            if values.buckets.len() >= room || count > MAX_VALUES {
                return None;
            }
            let (low, high) = (lowest_of(index), highest_of(index));
            values.min = if values.buckets.is_empty() { low } else { values.min };
            values.max = high;
            values.sum = values.sum.saturating_add(u128::from(low.midpoint(high)) * u128::from(half));
            values.buckets.push((high, half));
        }
        index += 1;
    }
    Some(values)
}

/// LEB128 of at most nine bytes, whose last has all its eight bits: `ZigZagEncoding.java`.
fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for place in 0..9 {
        let [byte] = take(bytes)?;
        if place == 8 {
            return Some(value | u64::from(byte) << 56);
        }
        value |= u64::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            break;
        }
    }
    Some(value)
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (first, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*first)
}

/// A name as a word of safe characters. No name at all is `%`.
fn name_to_tag(name: &str) -> String {
    let mut tag = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'%' | b',' | b';' | b'#' | b'"' => tag.push_str(&format!("%{byte:02X}")),
            byte if byte.is_ascii_graphic() => tag.push(char::from(byte)),
            byte => tag.push_str(&format!("%{byte:02X}")),
        }
    }
    if tag.is_empty() { "%".to_owned() } else { tag }
}

/// The name that such a word stands for.
fn tag_to_name(tag: &str) -> Option<String> {
    if tag == "%" {
        return Some(String::new());
    }
    let mut name = Vec::with_capacity(tag.len());
    let mut parts = tag.split('%');
    name.extend_from_slice(parts.next()?.as_bytes());
    for part in parts {
        let (digits, rest) = part.split_at_checked(2)?;
        // `from_str_radix` takes a sign, too.
        let byte = digits.bytes().all(|digit| digit.is_ascii_hexdigit()).then(|| u8::from_str_radix(digits, 16).ok());
        name.push(byte??);
        name.extend_from_slice(rest.as_bytes());
    }
    if name.is_empty() { None } else { String::from_utf8(name).ok() }
}

#[cfg(test)]
#[path = "hlog_tests.rs"]
mod tests;
