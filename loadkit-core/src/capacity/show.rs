//! `Capacity`: all that there is to say about a search, as data, and its files.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::answer::Answer;
use super::objective::{Load, Objective, Reading};
use super::search::{Observation, Search};
use crate::report::{ReportError, write_with};
use crate::threshold::Threshold;
use crate::verdict::{Judgement, Verdict};

/// The version of the JSON. A change that readers could stumble over changes the number.
const SCHEMA: &str = "loadkit.capacity/1";
/// Reasons and warnings kept of each probe: there are a few at most.
const MAX_REASONS: usize = 8;

/// All that there is to say about a capacity search.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Capacity {
    /// `loadkit.capacity/1`.
    pub schema: String,
    /// The scenario.
    pub scenario: String,
    /// The server under test, as the user wrote it.
    pub target: String,
    /// The seed of every probe, in decimal.
    pub seed: String,
    /// When it started, seconds since 1970.
    pub started_at_unix_s: u64,
    /// What had to hold.
    pub objective: Vec<String>,
    /// What loads are a number of.
    pub load: Load,
    /// The safety limit.
    pub max: u64,
    /// How far apart the ends of the answer may be, as a share of the lower.
    pub tolerance: f64,
    /// How long each probe was judged, seconds.
    pub judged_s: f64,
    /// How long the load had to settle in each, seconds, after as long or longer for the players to join.
    pub settle_s: f64,
    /// PASS, FAIL or INVALID: see [`Answer::verdict`].
    pub verdict: Verdict,
    /// The answer.
    pub answer: Answer,
    /// The probes, in their order.
    pub probes: Vec<Probed>,
}

/// A probe, and what was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Probed {
    /// The load.
    pub load: u64,
    /// What came of it: `held`, `missed` or `invalid`.
    pub seen: Observation,
    /// The figures that the objective is about.
    pub measured: Vec<Measured>,
    /// Why it did not hold, or is invalid.
    pub reasons: Vec<String>,
    /// What the reader should know besides.
    pub warnings: Vec<String>,
}

/// A figure that the objective is about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// What must hold: `p99(login) < 250ms`.
    pub threshold: String,
    /// What was measured, with its unit; none if nothing was.
    pub text: Option<String>,
    /// The same as a number: microseconds, a fraction of one, a number a second, or a number.
    pub value: Option<f64>,
    /// The limit, as such a number.
    pub limit: f64,
}

impl Probed {
    /// A probe of this load, read so.
    pub fn new(load: u64, objective: &Objective, reading: &Reading) -> Probed {
        let Judgement { reasons, warnings, thresholds, .. } = &reading.judgement;
        let measured = |(threshold, checked): (&Threshold, &crate::verdict::Checked)| Measured {
            threshold: threshold.to_string(),
            text: checked.measured.clone(),
            value: checked.value,
            limit: threshold.limit().value(),
        };
        Probed {
            load,
            seen: reading.seen,
            measured: objective.thresholds().iter().zip(thresholds).map(measured).collect(),
            reasons: reasons.iter().take(MAX_REASONS).map(|reason| reason.text.clone()).collect(),
            warnings: warnings.iter().take(MAX_REASONS).cloned().collect(),
        }
    }
}

impl Capacity {
    /// Of a search for this objective, with what its probes measured. What was tested is to be filled in.
    pub fn new(search: &Search, objective: &Objective, probes: Vec<Probed>) -> Capacity {
        let (answer, range) = (search.answer(), search.range());
        Capacity {
            schema: SCHEMA.to_owned(),
            scenario: String::new(),
            target: String::new(),
            seed: String::new(),
            started_at_unix_s: 0,
            objective: objective.thresholds().iter().map(ToString::to_string).collect(),
            load: objective.load(),
            max: range.max,
            tolerance: range.tolerance,
            judged_s: objective.judged().as_secs_f64(),
            settle_s: objective.settle().as_secs_f64(),
            verdict: answer.verdict(),
            answer,
            probes,
        }
    }

    /// The probes by their load, the least first: the curve.
    pub fn curve(&self) -> Vec<&Probed> {
        let mut probes: Vec<&Probed> = self.probes.iter().collect();
        probes.sort_by_key(|probe| probe.load);
        probes
    }

    /// The first probe of the least load that did not hold or was invalid: the evidence for the answer's upper end.
    pub(super) fn evidence(&self) -> Option<&Probed> {
        let (end, seen) = match (self.answer.missed, self.answer.ceiling) {
            (Some(missed), _) => (missed, Observation::Missed),
            (None, ceiling) => (ceiling?, Observation::Invalid),
        };
        self.probes.iter().find(|probe| probe.load == end && probe.seen == seen)
    }
}

/// Writes `capacity.json`, and with the feature `html` also `capacity.svg`, the curve, into a directory, which is made if it
/// is not there.
///
/// # Errors
/// At the first file that cannot be written. Each file is whole or as it was before.
pub fn write_capacity(dir: &Path, capacity: &Capacity) -> Result<(), ReportError> {
    write_with(&dir.join("capacity.json"), || {
        let mut json = serde_json::to_vec_pretty(capacity)?;
        json.push(b'\n');
        Ok(json)
    })?;
    #[cfg(feature = "html")]
    if let Some(svg) = super::chart::svg(capacity) {
        write_with(&dir.join("capacity.svg"), || Ok(svg.into_bytes()))?;
    }
    Ok(())
}
