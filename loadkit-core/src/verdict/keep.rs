//! `Judge <-> bytes`: a judge that is put aside, and taken up again by another process.
//!
//! **What is taken up judges as if it had never been put aside.** The bytes are a tag with the version, and behind it MessagePack
//! under gzip, whose checksum tells bytes that were cut short or damaged. They are for the same version of this
//! crate, minutes later: no other version reads them.

use std::collections::VecDeque;
use std::fmt;
use std::io::{Read as _, Write as _};
use std::time::Duration;

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};

use super::cell::Cell;
use super::watch::{Watch, Windows};
use super::{Judge, Rule};
use crate::metrics::Collector;
use crate::plan::format_duration;
use crate::shape::MAX_DURATION;
use crate::threshold::Threshold;

/// What the bytes begin with; another layout gets another number.
const TAG: &[u8] = b"loadkit-judge/1\n";
/// What is in the bytes may be so large unpacked: ten times what the largest run gathers.
const MAX_BYTES: u64 = 1 << 28;

/// What is put aside.
#[derive(Serialize)]
struct Keeping<'a> {
    interval: Duration,
    aborted: Option<&'a str>,
    rules: Vec<KeptRule>,
    collector: &'a Collector,
}

/// The same, as it comes back.
#[derive(Deserialize)]
struct Kept {
    interval: Duration,
    aborted: Option<String>,
    rules: Vec<KeptRule>,
    collector: Collector,
}

#[derive(Serialize, Deserialize)]
struct KeptRule {
    threshold: String,
    missed_since_us: Option<u64>,
    watch: Option<KeptWatch>,
}

/// What a watch has seen; the rest of it follows from its threshold.
#[derive(Serialize, Deserialize)]
struct KeptWatch {
    cell_us: u64,
    cells: VecDeque<Cell>,
    first: u64,
    to_us: u64,
    windows: Windows,
    too_late: u64,
}

/// Why bytes are no judge for this run.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RestoreError {
    /// They are something else, or of another version of the kit: use the version that wrote them, or begin anew.
    Version,
    /// They are damaged or cut short: where, in words. Fetch them again, or begin anew.
    Damaged(String),
    /// The judge was of a run with intervals of another length.
    Interval {
        /// The length then.
        kept: Duration,
        /// The length asked for.
        wanted: Duration,
    },
    /// The judge did not have the same thresholds in the same order: the first that differs.
    Threshold {
        /// Which it had there, if any.
        kept: Option<String>,
        /// Which was asked for, if any.
        wanted: Option<String>,
    },
}

impl fmt::Display for RestoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RestoreError::Version => f.write_str("these bytes are no judge that this version of the kit has put aside"),
            RestoreError::Damaged(why) => write!(f, "the judge that was put aside is damaged: {why}"),
            RestoreError::Interval { kept, wanted } => {
                let (kept, wanted) = (format_duration(*kept), format_duration(*wanted));
                write!(f, "the judge that was put aside is of a run with intervals of {kept}, not {wanted}")
            }
            RestoreError::Threshold { kept, wanted } => {
                let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "none".to_owned());
                let (kept, wanted) = (or_none(kept), or_none(wanted));
                write!(f, "the judge that was put aside has other thresholds: `{kept}` where the plan has `{wanted}`")
            }
        }
    }
}

impl std::error::Error for RestoreError {}

impl Judge {
    /// All that it knows, as bytes for [`Judge::restore`]. Its control is not in them.
    pub fn save(&self) -> Vec<u8> {
        let rules = self.rules.iter().map(KeptRule::of).collect();
        let aborted = self.aborted.as_deref();
        let kept = Keeping { interval: self.interval, aborted, rules, collector: &self.collector };
        // Nothing is written to but memory, so there are no errors; of bytes that lack something, none are taken.
        let mut packed = GzEncoder::new(TAG.to_vec(), Compression::fast());
        let mut buffered = std::io::BufWriter::with_capacity(1 << 16, &mut packed);
        let written = rmp_serde::encode::write_named(&mut buffered, &kept).is_ok() && buffered.flush().is_ok();
        drop(buffered);
        packed.finish().ok().filter(|_| written).unwrap_or_default()
    }

    /// Takes a judge up again that was put aside in a run with these thresholds and intervals. From then on it is as if it
    /// had never been put aside. Give it a control again with [`Judge::with_control`].
    ///
    /// Unpacked, the bytes may be 256 MiB at most; what they hold is checked before it is believed.
    ///
    /// # Errors
    /// If the bytes are none of this version's, or damaged, or of a run with other thresholds or intervals.
    pub fn restore(thresholds: &[Threshold], interval: Duration, bytes: &[u8]) -> Result<Judge, RestoreError> {
        let damaged = |why: &str| RestoreError::Damaged(why.to_owned());
        let packed = bytes.strip_prefix(TAG).ok_or(RestoreError::Version)?;
        let mut plain = Vec::new();
        let mut unpacking = GzDecoder::new(packed).take(MAX_BYTES + 1);
        unpacking.read_to_end(&mut plain).map_err(|error| RestoreError::Damaged(error.to_string()))?;
        if plain.len() as u64 > MAX_BYTES {
            return Err(damaged("it is larger than any"));
        }
        let kept: Kept = rmp_serde::from_slice(&plain).map_err(|error| RestoreError::Damaged(error.to_string()))?;
        if kept.interval != interval {
            return Err(RestoreError::Interval { kept: kept.interval, wanted: interval });
        }
        let mut judge = Judge::new(thresholds, interval);
        let texts: Vec<String> = thresholds.iter().map(ToString::to_string).collect();
        for at in 0..texts.len().max(kept.rules.len()) {
            let (had, wanted) = (kept.rules.get(at).map(|rule| &rule.threshold), texts.get(at));
            if had != wanted {
                return Err(RestoreError::Threshold { kept: had.cloned(), wanted: wanted.cloned() });
            }
        }
        if !kept.collector.is_of(interval) {
            return Err(damaged("its series is not of such intervals"));
        }
        let to_us = kept.collector.totals().to_us;
        for (rule, kept) in judge.rules.iter_mut().zip(kept.rules) {
            rule.missed_since_us = kept.missed_since_us.filter(|since| *since <= to_us);
            match (&mut rule.watch, kept.watch) {
                (Some(watch), Some(kept)) if kept.is_of(watch) => kept.put_into(watch),
                (None, None) => {}
                _ => return Err(RestoreError::Damaged(format!("it cannot have watched {} so", kept.threshold))),
            }
        }
        (judge.collector, judge.aborted) = (kept.collector, kept.aborted);
        Ok(judge)
    }
}

impl KeptRule {
    fn of(rule: &Rule) -> KeptRule {
        let watch = rule.watch.as_ref().map(|watch| KeptWatch {
            cell_us: watch.cell_us,
            cells: watch.cells.clone(),
            first: watch.first,
            to_us: watch.to_us,
            windows: watch.windows.clone(),
            too_late: watch.too_late,
        });
        KeptRule { threshold: rule.threshold.to_string(), missed_since_us: rule.missed_since_us, watch }
    }
}

impl KeptWatch {
    /// Whether it can be what this watch, which is new, becomes.
    fn is_of(&self, new: &Watch) -> bool {
        // Only the cells of a drift grow wider, by doubling.
        let times = self.cell_us / new.cell_us;
        let is_whole = times * new.cell_us == self.cell_us && times.is_power_of_two();
        let longest_us = MAX_DURATION.as_micros() as u64;
        let is_in_time = self.first <= longest_us / new.cell_us + 1 && self.cell_us <= longest_us * 2;
        let is_as_wide = times == 1 || (new.per_window.is_none() && self.first == 0);
        is_whole && is_as_wide && is_in_time && self.cells.len() <= new.max_cells()
    }

    fn put_into(self, watch: &mut Watch) {
        (watch.cell_us, watch.cells, watch.first) = (self.cell_us, self.cells, self.first);
        (watch.to_us, watch.windows, watch.too_late) = (self.to_us, self.windows, self.too_late);
    }
}

#[cfg(test)]
#[path = "keep_tests.rs"]
mod tests;
