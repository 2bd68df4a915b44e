//! `Plan -> Segment -> LoadShape -> (seat, intended start) -> Scenario::bot -> Bot::run -> Recorder -> Snapshot -> Report`:
//! what a load test is, without a socket and without a cloud.

mod bot;
mod bot_rng;
pub mod capacity;
mod cx;
mod data;
mod engine;
mod failure;
pub mod flight;
pub mod gate;
mod metrics;
mod mix;
pub mod network;
mod party;
mod plan;
mod protocols;
mod report;
mod run;
mod seed;
mod segment;
mod shape;
mod sources;
mod split;
mod stamp;
mod step;
mod think;
mod threshold;
mod ticks;
mod timer;
mod verdict;
mod weights;

pub use bot::{Bot, Scenario, Seat};
pub use bot_rng::BotRng;
pub use cx::{Connect, Cx, Drive};
pub use data::{DataError, Row, Table};
pub use engine::{
    Control, Ended, Host, Job, MachineUsage, Only, RunError, Stop, Usage, Virtual, Window, run, run_when,
};
pub use failure::{Error, Failure, Kind, Result};
pub use metrics::{
    Applied, Collector, FailureSample, GaugeDelta, GaugeReading, Histogram, HistogramDelta, MetricId, MetricSink,
    PackedDelta, Point, Recorder, RunId, Sample, SeriesStep, ShardPlayers, ShardSeen, Snapshot, SnapshotKey, StepDelta,
    StepTotals, Stretch, Totals, TrendDelta, TrendTotals, TrendUnit, names,
};
pub use mix::{AnyBot, Mix};
pub use party::Party;
pub use plan::{
    DurationError, Overrides, Plan, PlanBuilder, PlanError, Problem, format_duration, parse_duration, suggest,
};
#[cfg(feature = "archive")]
pub use report::hlog;
pub use report::{
    Beside, Change, CountFigures, Distribution, Figures, GaugeFigures, Intervals, LoadError, NetworkSummary,
    PlanSummary, Players, Report, ReportError, RunFacts, Series, SeriesPoint, SeriesStepFigures, SeriesTrendFigures,
    StepBeside, StepFigures, StepIntervals, Times, check_writable, format, summary, write_json, write_report,
};
pub use run::{RunInfo, Target};
pub use seed::{Rng, Seed, SeedError};
pub use segment::{Segment, SegmentError};
pub use shape::{
    Event, EventKind, Events, MAX_DURATION, MAX_SEATS, Rate, RateError, Shape, ShapeError, ShapeFault, Spacing, Stage,
    StageKind, StagePart,
};
pub use sources::SourcePool;
pub use split::{Label, Split};
pub use stamp::Stamp;
pub use step::Step;
pub use think::Think;
pub use threshold::{Clock, Comparison, Limit, Metric, Percentile, Stat, Threshold, ThresholdError, Unit};
pub use ticks::{Hz, Tick, Ticks};
pub use timer::{Alarm, Sleep, Timers, TokioTimer, WakeTimer};
#[cfg(feature = "keep")]
pub use verdict::RestoreError;
pub use verdict::{Check, Checked, Conditions, Judge, Judgement, Reason, Verdict};
pub use weights::{Weights, WeightsError};
