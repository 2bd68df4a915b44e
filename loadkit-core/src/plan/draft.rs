//! `Draft -> Plan`: what a plan's author stated, checked as a whole.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::problem::Problem;
use super::{Plan, format_duration};
use crate::flight::MAX_EVENTS;
use crate::network::{self, NetworkError, Networks, Profile};
use crate::seed::Seed;
use crate::shape::{MAX_DURATION, Rate, Shape, ShapeError, ShapeFault, Stage, StagePart};
use crate::sources::SourcePool;
use crate::split::Split;
use crate::threshold::Threshold;
use crate::weights::WeightsError;

pub(super) const DEFAULT_BOTS: u64 = 10;
pub(super) const DEFAULT_DURATION: Duration = Duration::from_secs(10);
pub(super) const DEFAULT_REFILL: Duration = Duration::from_secs(1);
pub(super) const DEFAULT_GRACE: Duration = Duration::from_secs(10);
pub(super) const DEFAULT_INTERVAL: Duration = Duration::from_secs(1);

const MAX_PARTY: u64 = 10_000;
const MAX_GRACE: Duration = Duration::from_secs(3600);
const MAX_SOCKETS: u64 = 1_000;
const MAX_THRESHOLDS: usize = 200;
const MAX_PERSONAS: usize = 1_000;
const MAX_WEIGHT: f64 = 1e9;

/// Bytes of the plan's text, if it has a text.
pub(super) type Span = Option<Range<usize>>;

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Located<T> {
    pub(super) value: T,
    pub(super) span: Span,
}

impl<T> Located<T> {
    /// A value that stands in no text.
    pub(super) fn nowhere(value: T) -> Located<T> {
        Located { value, span: None }
    }
}

/// What an author stated. What was left out is none.
#[derive(Clone, Debug, Default)]
pub(super) struct Draft {
    pub(super) scenario: Option<Located<String>>,
    pub(super) target: Option<Located<String>>,
    pub(super) seed: Option<Seed>,
    pub(super) bots: Option<Located<u64>>,
    pub(super) ramp: Option<Located<Duration>>,
    pub(super) duration: Option<Located<Duration>>,
    pub(super) arrivals: Option<Located<Rate>>,
    pub(super) stages: Vec<DraftStage>,
    pub(super) total: Option<Located<u64>>,
    pub(super) party: Option<Located<u64>>,
    /// The inner none is "never".
    pub(super) refill: Option<Located<Option<Duration>>>,
    pub(super) grace: Option<Located<Duration>>,
    pub(super) interval: Option<Located<Duration>>,
    pub(super) thresholds: Vec<Threshold>,
    pub(super) sources: Option<Arc<SourcePool>>,
    pub(super) sockets: Option<Located<u64>>,
    /// Events of a player's flight recorder; 0 is "off".
    pub(super) flight: Option<Located<u64>>,
    pub(super) split: Vec<Split>,
    pub(super) personas: Vec<Located<(String, f64)>>,
    pub(super) networks: Vec<Located<(String, f64)>>,
    /// The plan's own.
    pub(super) profiles: Vec<Profile>,
    pub(super) accounts: Option<PathBuf>,
    pub(super) data: Vec<(String, PathBuf)>,
}

/// A stage and where its parts stand.
#[derive(Clone, Debug)]
pub(super) struct DraftStage {
    pub(super) stage: Stage,
    pub(super) whole: Span,
    pub(super) kind: Span,
    pub(super) over: Span,
    pub(super) at: Span,
}

impl DraftStage {
    pub(super) fn nowhere(stage: Stage) -> DraftStage {
        DraftStage { stage, whole: None, kind: None, over: None, at: None }
    }
}

impl Draft {
    /// Checks everything and makes the plan.
    pub(super) fn finish(mut self) -> Result<Plan, Vec<Problem>> {
        let mut problems = Vec::new();
        self.split_for_thresholds();
        self.check_settings(&mut problems);
        self.check_personas(&mut problems);
        let networks = self.networks(&mut problems);
        let shape = self.shape(&mut problems);
        if let Some(shape) = &shape {
            self.check_parties(shape, &mut problems);
            self.check_times_of_thresholds(shape.duration(), &mut problems);
        }
        match shape {
            Some(shape) if problems.is_empty() => Ok(Plan { draft: self, shape, networks }),
            _ => Err(problems),
        }
    }

    /// The problems of a draft of which parts could not be read; those about its load would only repeat them.
    pub(super) fn problems_without_load(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        self.check_settings(&mut problems);
        self.check_personas(&mut problems);
        self.networks(&mut problems);
        if !self.stages.is_empty() {
            self.check_forms(&mut problems);
        }
        problems
    }

    fn shape(&self, problems: &mut Vec<Problem>) -> Option<Shape> {
        let stages = if self.stages.is_empty() {
            self.short_stages(problems)?
        } else {
            self.check_forms(problems);
            self.stages.iter().map(|draft| draft.stage).collect()
        };
        match Shape::new(stages, self.total.as_ref().map(|total| total.value)) {
            Ok(shape) => Some(shape),
            Err(error) => {
                self.explain(&error, problems);
                None
            }
        }
    }

    /// The stages of the short form: up to the level over `ramp`, and there until `duration`.
    fn short_stages(&self, problems: &mut Vec<Problem>) -> Option<Vec<Stage>> {
        let before = problems.len();
        let value = |part: &Option<Located<Duration>>, default| part.as_ref().map_or(default, |part| part.value);
        let span = |part: &Option<Located<Duration>>| part.as_ref().and_then(|part| part.span.clone());
        let duration = value(&self.duration, DEFAULT_DURATION);
        let ramp = value(&self.ramp, Duration::ZERO);
        if duration.is_zero() {
            let problem = Problem::new("the `duration` is zero", span(&self.duration));
            problems.push(problem.help("write one such as \"20s\""));
        } else if ramp > duration {
            let default = if self.duration.is_none() { ", the default" } else { "" };
            let (long, short) = (format_duration(ramp), format_duration(duration));
            let message = format!("the `ramp` ({long}) is longer than the `duration` ({short}{default})");
            let help = "the duration counts from the start and includes the ramp: raise it or shorten the ramp";
            problems.push(Problem::new(message, span(&self.ramp)).help(help));
        }
        if let (Some(_), Some(arrivals)) = (&self.bots, &self.arrivals) {
            let problem =
                Problem::new("`bots` and `arrivals` cannot be combined in the short form", arrivals.span.clone());
            problems.push(problem.help("leave one of them out, or write both as [[stages]]"));
        }
        if let Some(bots) = self.bots.as_ref().filter(|bots| bots.value == 0) {
            let problem = Problem::new("`bots` is 0, so nobody plays", bots.span.clone());
            problems.push(problem.help("give it the number of players that should be connected"));
        }
        (problems.len() == before).then(|| self.lay_out(ramp, duration))
    }

    fn lay_out(&self, ramp: Duration, duration: Duration) -> Vec<Stage> {
        let rest = duration.saturating_sub(ramp);
        let mut stages = Vec::new();
        if let Some(rate) = self.arrivals.as_ref().map(|arrivals| arrivals.value) {
            let rise = Stage::arrivals_between(Rate::ZERO, rate, ramp);
            if !ramp.is_zero() {
                // A ramp too short for anybody to arrive is a pause, not a fault.
                let brings = Shape::new([rise], None).is_ok() || rest.is_zero();
                stages.push(if brings { rise } else { Stage::hold(ramp) });
            }
            if !rest.is_zero() {
                stages.push(Stage::arrivals(rate, rest));
            }
            return stages;
        }
        let bots = self.bots.as_ref().map_or(DEFAULT_BOTS, |bots| bots.value);
        if ramp.is_zero() {
            return vec![Stage::step(bots, duration)];
        }
        stages.push(Stage::ramp(bots, ramp));
        if !rest.is_zero() {
            stages.push(Stage::hold(rest));
        }
        stages
    }

    /// A plan has a short or a long form.
    fn check_forms(&self, problems: &mut Vec<Problem>) {
        let short = [
            ("bots", self.bots.as_ref().map(|part| &part.span)),
            ("ramp", self.ramp.as_ref().map(|part| &part.span)),
            ("duration", self.duration.as_ref().map(|part| &part.span)),
            ("arrivals", self.arrivals.as_ref().map(|part| &part.span)),
        ];
        for (name, span) in short {
            if let Some(span) = span {
                let message = format!("`{name}` and [[stages]] both say what the load is");
                let help = format!("leave one of them out: stages have no `{name}` beside them");
                problems.push(Problem::new(message, span.clone()).help(help));
            }
        }
    }

    /// Turns the faults of a shape into problems of what the author wrote.
    fn explain(&self, error: &ShapeError, problems: &mut Vec<Problem>) {
        for fault in error.faults() {
            let span = self.span_of(fault);
            problems.push(Problem::new(fault.message(), span).help(fault.help()));
            // In the short form all stages come from the same keys, so further faults say the same again.
            if self.stages.is_empty() {
                return;
            }
        }
    }

    fn span_of(&self, fault: &ShapeFault) -> Span {
        if fault.part() == StagePart::Total {
            return self.total.as_ref().and_then(|total| total.span.clone());
        }
        if self.stages.is_empty() {
            let bots = self.bots.as_ref().and_then(|bots| bots.span.clone());
            let load = bots.or_else(|| self.arrivals.as_ref().and_then(|arrivals| arrivals.span.clone()));
            let duration = self.duration.as_ref().and_then(|duration| duration.span.clone());
            return if fault.part() == StagePart::Kind { load } else { duration.or(load) };
        }
        let Some(number) = fault.stage() else {
            return self.stages.first().and_then(|stage| stage.whole.clone());
        };
        let stage = self.stages.get(number)?;
        let part = match fault.part() {
            StagePart::Kind => &stage.kind,
            StagePart::Over => &stage.over,
            StagePart::At => &stage.at,
            StagePart::Total => &stage.whole,
        };
        part.clone().or_else(|| stage.whole.clone())
    }

    fn check_settings(&self, problems: &mut Vec<Problem>) {
        for (name, value) in [("scenario", &self.scenario), ("target", &self.target)] {
            if let Some(text) = value
                && (text.value.trim().is_empty() || text.value.len() > 500)
            {
                let long = if text.value.len() > 500 { "too long" } else { "empty" };
                problems.push(Problem::new(format!("the `{name}` is {long}"), text.span.clone()));
            }
        }
        if let Some(party) = self.party.as_ref().filter(|party| !(1..=MAX_PARTY).contains(&party.value)) {
            let problem = Problem::new(format!("a party of {} seats", party.value), party.span.clone());
            problems.push(problem.help("a party has 1 to 10000 seats"));
        }
        if let Some(sockets) = self.sockets.as_ref().filter(|sockets| !(1..=MAX_SOCKETS).contains(&sockets.value)) {
            let problem = Problem::new(format!("`sockets` is {}", sockets.value), sockets.span.clone());
            problems
                .push(problem.help("the bots of a thread share 1 to 1000 sockets; leave it out for a socket a bot"));
        }
        if let Some(flight) = self.flight.as_ref().filter(|flight| flight.value > MAX_EVENTS.into()) {
            let problem = Problem::new(format!("`flight` is {}", flight.value), flight.span.clone());
            problems.push(problem.help("a player's flight recorder keeps 1 to 4096 events, or is \"off\""));
        }
        let refill = self
            .refill
            .as_ref()
            .and_then(|refill| refill.value.map(|value| Located { value, span: refill.span.clone() }));
        let day = Duration::from_secs(86_400);
        within("refill", &refill, Duration::from_millis(1), day, problems);
        within("grace", &self.grace, Duration::ZERO, MAX_GRACE, problems);
        within("interval", &self.interval, Duration::from_millis(100), Duration::from_secs(60), problems);
        if self.stages.is_empty() {
            within("ramp", &self.ramp, Duration::ZERO, MAX_DURATION, problems);
        }
        if self.thresholds.len() > MAX_THRESHOLDS {
            let message = format!("the plan has {} thresholds", self.thresholds.len());
            problems.push(Problem::new(message, None).help("a plan has room for 200"));
        }
    }

    fn check_personas(&self, problems: &mut Vec<Problem>) {
        for persona in &self.personas {
            let (name, weight) = &persona.value;
            if !(0.0..=MAX_WEIGHT).contains(weight) {
                let problem = Problem::new(format!("the weight of `{name}` is {weight}"), persona.span.clone());
                problems.push(problem.help("a weight is a number from 0 to a billion"));
            }
        }
        if self.personas.len() > MAX_PERSONAS {
            let message = format!("the plan has {} personas", self.personas.len());
            problems.push(Problem::new(message, None).help("a plan has room for 1000"));
        }
        if let Some(first) = self.personas.first()
            && self.personas.iter().all(|persona| persona.value.1 == 0.0)
        {
            let problem =
                Problem::new("the weights of all personas are 0, so nobody can be picked", first.span.clone());
            problems.push(problem.help("give at least one of them a weight above 0"));
        }
    }

    /// The networks, from the kit's profiles and the plan's own.
    fn networks(&self, problems: &mut Vec<Problem>) -> Option<Networks> {
        let mut found = Vec::new();
        for part in &self.networks {
            let (name, weight) = &part.value;
            match network::find(name, &self.profiles) {
                Ok(profile) => found.push((profile, *weight)),
                Err(error) => problems.push(Problem::new(error.to_string(), part.span.clone())),
            }
        }
        if self.networks.is_empty() || found.len() < self.networks.len() {
            return None;
        }
        let first = self.networks.first().and_then(|part| part.span.clone());
        // Who has which network must not depend on the order in which they were named.
        found.sort_by(|a, b| a.0.name().cmp(b.0.name()));
        match Networks::new(found) {
            Ok(networks) => Some(networks),
            Err(error) => {
                let culprit = match &error {
                    NetworkError::Weights(WeightsError::Weight { name, .. }) => {
                        self.networks.iter().find(|part| part.value.0 == *name)
                    }
                    _ => None,
                };
                let span = culprit.map_or(first, |part| part.span.clone());
                problems.push(Problem::new(error.to_string(), span));
                None
            }
        }
    }

    /// A threshold on a share of the players needs the figures of that share.
    fn split_for_thresholds(&mut self) {
        for split in [Split::Persona, Split::Network] {
            let is_meant = |name: &str| name.contains(&format!("{{{split}="));
            let is_needed = self.thresholds.iter().any(|threshold| threshold.metric().name().is_some_and(is_meant));
            if is_needed && !self.split.contains(&split) {
                self.split.push(split);
            }
        }
    }

    /// What comes too late in a run, or is longer than it, could never be judged.
    fn check_times_of_thresholds(&self, run: Duration, problems: &mut Vec<Problem>) {
        for threshold in &self.thresholds {
            let after = threshold.after().unwrap_or_default();
            let left = run.saturating_sub(after);
            let too_long = threshold.over().is_some_and(|over| over > left);
            if !left.is_zero() && !too_long {
                continue;
            }
            let message = format!("`{threshold}` would never be judged: the run is {} long", format_duration(run));
            let help = match threshold.over() {
                Some(_) if too_long && !left.is_zero() => {
                    format!("a window can be as long as {}; or let the run go on for longer", format_duration(left))
                }
                _ => "what it is after must be less than that; or let the run go on for longer".to_owned(),
            };
            problems.push(Problem::new(message, None).help(help));
        }
    }

    /// A party must not be half of the population and half of the arrivals: its halves would never meet.
    fn check_parties(&self, shape: &Shape, problems: &mut Vec<Problem>) {
        let Some(party) = self.party.as_ref().filter(|party| party.value > 1) else {
            return;
        };
        if shape.arrivals() > 0 && !shape.peak().is_multiple_of(party.value) {
            let message = format!("the population of {} is not whole parties of {}", shape.peak(), party.value);
            let help = "where arrivals follow, the highest level must be a multiple of `party`";
            problems.push(Problem::new(message, party.span.clone()).help(help));
        }
    }
}

fn within(name: &str, part: &Option<Located<Duration>>, low: Duration, high: Duration, problems: &mut Vec<Problem>) {
    if let Some(part) = part
        && !(low..=high).contains(&part.value)
    {
        let message = format!("the `{name}` is {}", format_duration(part.value));
        let help = format!("it can be from {} to {}", format_duration(low), format_duration(high));
        problems.push(Problem::new(message, part.span.clone()).help(help));
    }
}
