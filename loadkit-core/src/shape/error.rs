//! What can be wrong with a shape, stage by stage.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use super::curve::Integral;
use super::{MAX_DURATION, MAX_SEATS, MAX_STAGES, Shape, Stage, StageKind, nanos};
use crate::plan::format_duration;

/// Why there is no such shape: everything that is wrong with it, at least one fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShapeError {
    faults: Vec<ShapeFault>,
}

/// One thing that is wrong with a shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShapeFault {
    stage: Option<usize>,
    part: StagePart,
    message: String,
    help: &'static str,
}

/// The part of a stage that a fault is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StagePart {
    /// What it does: its level or its rate.
    Kind,
    /// How long it lasts.
    Over,
    /// When it starts.
    At,
    /// The bound on players ever started, which is the shape's and not a stage's.
    Total,
}

impl ShapeError {
    pub(super) fn new(faults: Vec<ShapeFault>) -> ShapeError {
        ShapeError { faults }
    }

    /// Everything that is wrong, in the order of the stages.
    pub fn faults(&self) -> &[ShapeFault] {
        &self.faults
    }
}

impl ShapeFault {
    /// The stage it is in, from 0; none if it is about the whole.
    pub fn stage(&self) -> Option<usize> {
        self.stage
    }

    /// The part of the stage it is about.
    pub fn part(&self) -> StagePart {
        self.part
    }

    /// What is wrong.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What to do about it.
    pub fn help(&self) -> &str {
        self.help
    }
}

impl fmt::Display for ShapeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, fault) in self.faults.iter().enumerate() {
            if i > 0 {
                writeln!(f)?;
            }
            if let Some(stage) = fault.stage {
                write!(f, "stage {}: ", stage + 1)?;
            }
            write!(f, "{}: {}", fault.message, fault.help)?;
        }
        Ok(())
    }
}

impl Error for ShapeError {}

/// What is wrong with the stages each for itself and with their order.
pub(super) fn faults_of(stages: &[Stage]) -> Vec<ShapeFault> {
    let mut faults = Vec::new();
    if stages.len() > MAX_STAGES {
        let message = format!("the plan has {} stages", stages.len());
        let help = "a plan has room for 1000";
        faults.push(ShapeFault { stage: Some(MAX_STAGES), part: StagePart::Kind, message, help });
        return faults;
    }
    let mut end = Duration::ZERO;
    let mut level = 0;
    for (i, stage) in stages.iter().enumerate() {
        let mut fault = |part, message: String, help| {
            faults.push(ShapeFault { stage: Some(i), part, message, help });
        };
        check_kind(stage, level, &mut fault);
        if stage.over.is_zero() {
            fault(StagePart::Over, "the stage lasts no time".into(), "a stage lasts at least a microsecond");
        } else if stage.over > MAX_DURATION {
            let message = format!("the stage lasts {}", format_duration(stage.over));
            fault(StagePart::Over, message, "a plan lasts 30 days at most");
        }
        let start = stage.at.unwrap_or(end);
        if start < end {
            let message = format!(
                "the stage starts at {}, but the one before it ends at {}",
                format_duration(start),
                format_duration(end)
            );
            fault(StagePart::At, message, "stages cannot overlap: start it later, or leave `at` out");
        }
        let after = start.max(end).saturating_add(stage.over);
        if after > MAX_DURATION && end <= MAX_DURATION && stage.over <= MAX_DURATION {
            let part = if stage.at.is_some() { StagePart::At } else { StagePart::Over };
            let message = format!("the stage ends at {}", format_duration(after));
            fault(part, message, "a plan lasts 30 days at most");
        }
        end = after;
        if let StageKind::Ramp { to } | StageKind::Step { to } = stage.kind {
            level = to;
        }
    }
    faults
}

/// What is wrong with what a stage does, when the population is at `level` before it.
fn check_kind(stage: &Stage, level: u64, fault: &mut impl FnMut(StagePart, String, &'static str)) {
    let name = match stage.kind {
        StageKind::Ramp { .. } => "ramp",
        StageKind::Step { .. } => "step",
        _ => "spike",
    };
    match stage.kind {
        StageKind::Ramp { to } | StageKind::Step { to } | StageKind::Spike { to } => {
            if to > MAX_SEATS {
                let message = format!("the stage has {to} players");
                fault(StagePart::Kind, message, "a plan has room for 100000000 seats");
            } else if to == 0 && level == 0 {
                let message = format!("the {name} goes to nothing, and nobody is there before it");
                fault(StagePart::Kind, message, "give it the number of players that should be connected");
            }
        }
        StageKind::Arrivals { from, to, .. } => {
            let integral = Integral { from: from.raw(), to: to.raw(), over: nanos(stage.over) / 1000 };
            let sane = !stage.over.is_zero() && stage.over <= MAX_DURATION;
            if sane && integral.arrivals() == 0 {
                let message = format!("nobody arrives at that rate in {}", format_duration(stage.over));
                fault(StagePart::Kind, message, "raise the rate or let the stage last longer");
            } else if sane && integral.arrivals() > MAX_SEATS {
                let message = format!("{} players arrive in the stage", integral.arrivals());
                fault(StagePart::Kind, message, "a plan has room for 100000000 seats");
            }
        }
        StageKind::Hold => {}
    }
}

/// What is wrong with the whole of stages that are valid each for itself.
pub(super) fn faults_of_whole(shape: &Shape) -> Vec<ShapeFault> {
    let mut faults = Vec::new();
    let mut fault = |part, message: String, help| {
        faults.push(ShapeFault { stage: None, part, message, help });
    };
    if shape.total == Some(0) {
        fault(StagePart::Total, "the total is 0, so nobody may play".into(), "raise it or leave it out");
    } else if let Some(total) = shape.total.filter(|total| *total < shape.joins) {
        let message = format!("the total is {total}, but the stages start {} players", shape.joins);
        fault(StagePart::Total, message, "raise the total or lower the stages");
    } else if shape.seats() == 0 {
        fault(StagePart::Kind, "no stage brings a player".into(), "add a ramp, a step or arrivals");
    } else if shape.seats() > MAX_SEATS {
        let message = format!("the stages need {} seats", shape.seats());
        fault(StagePart::Kind, message, "a plan has room for 100000000 seats: lower the rates, or set a total");
    }
    faults
}
