//! `Shape`: a pure function from time to players, and from a seat to the time at which it should start.
//!
//! **Sums are exact, and every segment computes its own part of the same whole.** A shape is a list of stages, one after
//! another. Population stages say how many players are connected at once; arrival stages bring extra players at a rate,
//! who play once. Seats below [`Shape::peak`] belong to the population, the lowest first; arrival `k` has seat
//! `peak + k`. Times are whole microseconds, fractions of them are cut off from what the author asks for.
//!
//! Deliberately absent: refills of players that fail (the engine makes them), and the leaving of all at
//! [`Shape::duration`] (the engine asks for it). There are no events for either.

mod curve;
mod error;
mod events;
mod rate;
mod scatter;
mod stage;

use std::sync::Arc;
use std::time::Duration;

use curve::{Change, Integral};

pub use error::{ShapeError, ShapeFault, StagePart};
pub use events::{Event, EventKind, Events};
pub use rate::{Rate, RateError};
pub use stage::{Spacing, Stage, StageKind};

/// The most seats that a shape can have.
pub const MAX_SEATS: u64 = 100_000_000;

/// The longest that a shape can last: 30 days.
pub const MAX_DURATION: Duration = Duration::from_secs(30 * 86_400);

/// The most stages that a shape can have.
const MAX_STAGES: usize = 1_000;

/// A validated load shape. It is cheap to clone.
#[derive(Clone, Debug)]
pub struct Shape {
    stages: Arc<[(Duration, Stage)]>,
    runs: Arc<[Run]>,
    duration: Duration,
    peak: u64,
    joins: u64,
    arrivals: u64,
    total: Option<u64>,
}

/// A part of a shape that makes events, in the order of time.
#[derive(Clone, Copy, Debug)]
enum Run {
    Change(Change),
    Arrivals(Arrivals),
}

/// The arrivals of one stage.
#[derive(Clone, Copy, Debug)]
struct Arrivals {
    /// The start, in microseconds from the start of the run.
    at: u64,
    integral: Integral,
    spacing: Spacing,
    /// How many arrive in the stages before.
    first: u64,
    /// How many of this stage arrive within the total.
    count: u64,
    /// The number of the stage, which names its random stream.
    stage: u64,
}

impl Shape {
    /// A shape of stages, one after another, of at most `total` players ever started.
    ///
    /// A total cuts off arrivals, the last first; planned players of the population are not cut off.
    ///
    /// # Errors
    /// All that is wrong with it: stages that last no time, overlap, change nothing or bring nobody, and sizes beyond
    /// [`MAX_SEATS`] and [`MAX_DURATION`]; a total below what the population stages start.
    pub fn new(stages: impl IntoIterator<Item = Stage>, total: Option<u64>) -> Result<Shape, ShapeError> {
        let stages: Vec<Stage> = stages.into_iter().map(Stage::in_microseconds).collect();
        let faults = error::faults_of(&stages);
        if !faults.is_empty() {
            return Err(ShapeError::new(faults));
        }
        let shape = Shape::compile(&stages, total);
        let faults = error::faults_of_whole(&shape);
        if faults.is_empty() { Ok(shape) } else { Err(ShapeError::new(faults)) }
    }

    /// `bots` players at once for a duration: the shape of a plan that says nothing. Its numbers must be sane.
    pub(crate) fn flat(bots: u64, duration: Duration) -> Shape {
        Shape::compile(&[Stage::step(bots, duration)], None)
    }

    /// Lays stages that are valid each for itself out in time.
    fn compile(stages: &[Stage], total: Option<u64>) -> Shape {
        let mut layout = Layout::default();
        for stage in stages {
            layout.add(*stage);
        }
        layout.finish(total)
    }

    /// From the start of the run to the end of its last stage.
    pub fn duration(&self) -> Duration {
        self.duration
    }

    /// The stages with their starts from the start of the run.
    pub fn stages(&self) -> impl Iterator<Item = (Duration, &Stage)> {
        self.stages.iter().map(|(at, stage)| (*at, stage))
    }

    /// The most players that the population stages connect at once.
    pub fn peak(&self) -> u64 {
        self.peak
    }

    /// How many players the arrival stages bring in all, exactly.
    pub fn arrivals(&self) -> u64 {
        self.arrivals
    }

    /// How many different seats there can be, hence how many accounts are needed.
    pub fn seats(&self) -> u64 {
        self.peak + self.arrivals
    }

    /// The bound on players ever started, if the plan has one. The engine applies it to refills.
    pub fn total(&self) -> Option<u64> {
        self.total
    }

    /// How many players the stages start in all: those who join the population and those who arrive.
    pub fn starts(&self) -> u64 {
        self.joins + self.arrivals
    }

    /// How many players of the population should be connected at `t` from the start; none from the end on.
    ///
    /// It equals the joins less the leaves among [`Shape::events`] up to and including `t`.
    pub fn population(&self, t: Duration) -> u64 {
        if t >= self.duration {
            return 0;
        }
        let at = nanos(t);
        let mut level = 0;
        for run in self.runs.iter() {
            match run {
                Run::Change(change) if change.at <= at => {
                    let moved = change.moved(at);
                    level = if change.to >= change.from { change.from + moved } else { change.from - moved };
                }
                _ => {}
            }
        }
        level
    }

    /// How many players should have been started up to and including `t`, without refills.
    ///
    /// For Poisson arrivals it is what evenly spaced ones would give, which is what is to be expected.
    pub fn planned_started(&self, t: Duration) -> u64 {
        let at = nanos(t.min(self.duration));
        let started = |run: &Run| match run {
            Run::Change(change) if change.to > change.from => change.moved(at),
            Run::Arrivals(stage) if stage.count > 0 && stage.at <= at / 1000 => {
                stage.integral.came(at / 1000 - stage.at, stage.count)
            }
            _ => 0,
        };
        self.runs.iter().map(started).sum()
    }
}

/// A time of a shape in nanoseconds; the longest shape is far below what fits.
fn nanos(t: Duration) -> u64 {
    u64::try_from(t.as_nanos()).unwrap_or(u64::MAX)
}

/// A shape in the making: where the stages laid out so far end, and what they leave behind.
#[derive(Default)]
struct Layout {
    stages: Vec<(Duration, Stage)>,
    runs: Vec<Run>,
    end: Duration,
    level: u64,
    peak: u64,
    /// A spike that just ended has yet to fall back from this level. It waits for what starts at the same moment: where
    /// that is a step, nobody need leave and join again.
    falling: Option<u64>,
}

impl Layout {
    fn add(&mut self, stage: Stage) {
        let start = stage.at.unwrap_or(self.end).max(self.end);
        if start > self.end {
            self.fall();
        }
        self.stages.push((start, stage));
        self.end = start;
        match stage.kind {
            StageKind::Ramp { to } => {
                self.fall();
                self.change(self.level, to, stage.over);
                self.level = to;
            }
            StageKind::Hold => self.fall(),
            StageKind::Step { to } => {
                let from = self.falling.take().unwrap_or(self.level);
                self.change(from, to, Duration::ZERO);
                self.level = to;
            }
            StageKind::Spike { to } => {
                let from = self.falling.take().unwrap_or(self.level);
                self.change(from, to, Duration::ZERO);
                self.falling = Some(to);
            }
            StageKind::Arrivals { from, to, spacing } => {
                self.fall();
                let integral = Integral { from: from.raw(), to: to.raw(), over: nanos(stage.over) / 1000 };
                let (at, number) = (nanos(start) / 1000, self.stages.len() as u64);
                self.runs.push(Run::Arrivals(Arrivals { at, integral, spacing, first: 0, count: 0, stage: number }));
            }
        }
        self.end = start + stage.over;
    }

    /// Lets a spike that ended fall back.
    fn fall(&mut self) {
        if let Some(from) = self.falling.take() {
            self.change(from, self.level, Duration::ZERO);
        }
    }

    fn change(&mut self, from: u64, to: u64, over: Duration) {
        self.peak = self.peak.max(to);
        if from != to {
            self.runs.push(Run::Change(Change { at: nanos(self.end), over: nanos(over), from, to }));
        }
    }

    fn finish(mut self, total: Option<u64>) -> Shape {
        let joined = |run: &Run| match run {
            Run::Change(change) => change.to.saturating_sub(change.from),
            Run::Arrivals(_) => 0,
        };
        let joins = self.runs.iter().map(joined).sum();
        let mut left = total.map_or(u64::MAX, |total| total.saturating_sub(joins));
        let mut arrivals = 0;
        for run in &mut self.runs {
            if let Run::Arrivals(stage) = run {
                stage.first = arrivals;
                stage.count = stage.integral.arrivals().min(left);
                left -= stage.count;
                arrivals += stage.count;
            }
        }
        Shape {
            stages: self.stages.into(),
            runs: self.runs.into(),
            duration: self.end,
            peak: self.peak,
            joins,
            arrivals,
            total,
        }
    }
}

#[cfg(test)]
mod tests;
