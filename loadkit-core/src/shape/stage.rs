//! `Stage`: one part of a load shape, as its author states it.

use std::fmt;
use std::time::Duration;

use super::rate::Rate;
use crate::plan::format_duration;

/// One part of a [`Shape`](super::Shape): what happens, for how long, and optionally when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stage {
    pub(super) kind: StageKind,
    pub(super) over: Duration,
    pub(super) at: Option<Duration>,
}

/// What happens in a [`Stage`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StageKind {
    /// The population changes evenly to this level.
    Ramp {
        /// Players connected at the end of the stage.
        to: u64,
    },
    /// The population stays as it is.
    Hold,
    /// The population changes at once to this level, and stays there.
    Step {
        /// Players connected during the stage and after it.
        to: u64,
    },
    /// The population changes at once to this level, and at the end of the stage back to what it was.
    Spike {
        /// Players connected during the stage.
        to: u64,
    },
    /// Players arrive at a rate, beside the population, and play once.
    Arrivals {
        /// The rate at the start of the stage.
        from: Rate,
        /// The rate at its end; between the two it changes evenly.
        to: Rate,
        /// How the arrivals are spread.
        spacing: Spacing,
    },
}

/// How arrivals are spread over their stage. Their number is the same either way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Spacing {
    /// At even distances (of the cumulative rate): the gentlest way to bring a rate.
    #[default]
    Even,
    /// As independent people come: a Poisson process, given the number of its arrivals.
    Poisson,
}

impl Stage {
    /// Changes the population evenly to `to` players over a duration.
    pub fn ramp(to: u64, over: Duration) -> Stage {
        Stage { kind: StageKind::Ramp { to }, over, at: None }
    }

    /// Keeps the population for a duration.
    pub fn hold(over: Duration) -> Stage {
        Stage { kind: StageKind::Hold, over, at: None }
    }

    /// Changes the population at once to `to` players, and keeps it for a duration.
    pub fn step(to: u64, over: Duration) -> Stage {
        Stage { kind: StageKind::Step { to }, over, at: None }
    }

    /// Changes the population at once to `to` players for a duration, and then back.
    pub fn spike(to: u64, over: Duration) -> Stage {
        Stage { kind: StageKind::Spike { to }, over, at: None }
    }

    /// Lets players arrive at a constant rate for a duration, evenly spaced.
    pub fn arrivals(rate: Rate, over: Duration) -> Stage {
        Stage::arrivals_between(rate, rate, over)
    }

    /// Lets players arrive at a rate that changes evenly from one to another, evenly spaced by the cumulative rate.
    pub fn arrivals_between(from: Rate, to: Rate, over: Duration) -> Stage {
        Stage { kind: StageKind::Arrivals { from, to, spacing: Spacing::Even }, over, at: None }
    }

    /// The same with Poisson arrivals; no change to a stage of another kind.
    #[must_use]
    pub fn poisson(mut self) -> Stage {
        if let StageKind::Arrivals { spacing, .. } = &mut self.kind {
            *spacing = Spacing::Poisson;
        }
        self
    }

    /// The same, starting at this time from the start of the run rather than at the end of the stage before.
    ///
    /// A gap before it holds the population.
    #[must_use]
    pub fn at(mut self, at: Duration) -> Stage {
        self.at = Some(at);
        self
    }

    /// Times of a shape are whole microseconds.
    pub(super) fn in_microseconds(mut self) -> Stage {
        self.over = whole_micros(self.over);
        self.at = self.at.map(whole_micros);
        self
    }

    /// What happens.
    pub fn kind(&self) -> StageKind {
        self.kind
    }

    /// For how long.
    pub fn over(&self) -> Duration {
        self.over
    }

    /// The start its author asked for, from the start of the run.
    pub fn explicit_start(&self) -> Option<Duration> {
        self.at
    }
}

fn whole_micros(d: Duration) -> Duration {
    Duration::new(d.as_secs(), d.subsec_micros() * 1000)
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let over = format_duration(self.over);
        match self.kind {
            StageKind::Ramp { to } => write!(f, "ramp to {to} over {over}")?,
            StageKind::Hold => write!(f, "hold for {over}")?,
            StageKind::Step { to } => write!(f, "step to {to} for {over}")?,
            StageKind::Spike { to } => write!(f, "spike to {to} for {over}")?,
            StageKind::Arrivals { from, to, spacing } => {
                write!(f, "arrivals at {from}")?;
                if from != to {
                    write!(f, " to {to}")?;
                }
                write!(f, " for {over}")?;
                if spacing == Spacing::Poisson {
                    write!(f, ", poisson")?;
                }
            }
        }
        self.at.map_or(Ok(()), |at| write!(f, " at {}", format_duration(at)))
    }
}
