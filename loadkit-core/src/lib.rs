//! Under construction.

mod data;
mod plan;
mod seed;
mod segment;
mod shape;
mod threshold;

pub use plan::{DurationError, Overrides, Plan, PlanBuilder, PlanError, Problem, format_duration, parse_duration};
pub use seed::{Rng, Seed, SeedError};
pub use segment::{Segment, SegmentError};
pub use shape::{
    Event, EventKind, Events, MAX_DURATION, MAX_SEATS, Rate, RateError, Shape, ShapeError, ShapeFault, Spacing, Stage,
    StageKind, StagePart,
};
pub use threshold::{Clock, Comparison, Limit, Metric, Outcome, Percentile, Stat, Threshold, ThresholdError, Unit};
