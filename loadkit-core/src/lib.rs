//! Under construction.

mod plan;
mod seed;
mod segment;
mod shape;

pub use plan::{DurationError, format_duration, parse_duration};
pub use seed::{Rng, Seed, SeedError};
pub use segment::{Segment, SegmentError};
pub use shape::{
    Event, EventKind, Events, MAX_DURATION, MAX_SEATS, Rate, RateError, Shape, ShapeError, ShapeFault, Spacing, Stage,
    StageKind, StagePart,
};
