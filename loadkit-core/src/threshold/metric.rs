//! What thresholds are about.

use std::fmt;
use std::time::Duration;

use crate::plan::format_duration;

/// What is measured: a statistic of a step or a trend, or of the whole run.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Metric {
    pub(super) stat: Stat,
    pub(super) name: Option<String>,
    pub(super) clock: Clock,
    pub(super) unit: Unit,
    pub(super) drift: bool,
}

/// The statistic of a [`Metric`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Stat {
    /// The value that this part of all samples does not exceed.
    Percentile(Percentile),
    /// The mean of all samples.
    Mean,
    /// The smallest sample, or value of a gauge.
    Min,
    /// The largest sample, or value of a gauge.
    Max,
    /// The last value of a gauge.
    Last,
    /// Failures as a share of all tries; of a run, bots that failed as a share of those that ended.
    Errors,
    /// How often it happened, a second.
    Rate,
    /// How often it happened.
    Count,
}

/// From when a time is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Clock {
    /// From the intended start: what a player would have felt.
    #[default]
    Response,
    /// From the actual start: what the server took.
    Service,
}

/// The unit of a metric's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Unit {
    /// Microseconds. The metric is one of a step, or of a trend of times.
    Micros,
    /// A plain number. The statistic is one of a trend: times of a step are never compared with plain numbers.
    Plain,
    /// A fraction of one.
    Fraction,
    /// A number a second.
    PerSecond,
    /// A count.
    Count,
    /// A fraction of one, an hour: the change of something.
    PerHour,
}

/// A percentile, above 0 and up to 100, exact to a thousandth of a percent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Percentile(u32);

impl Metric {
    /// The statistic.
    pub fn stat(&self) -> Stat {
        self.stat
    }

    /// The step or trend; none if it is about the whole run.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// From when times are counted.
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// The unit of its values.
    pub fn unit(&self) -> Unit {
        self.unit
    }

    /// Whether it is how much the statistic changes over the run, and not the statistic itself.
    pub fn is_drift(&self) -> bool {
        self.drift
    }
}

impl Unit {
    /// A value of this unit as people read it: `212.5ms`, `0.12%`, `8933.1/s`.
    pub fn format(self, value: f64) -> String {
        match self {
            Unit::Micros => {
                // Three digits after the leading unit are what a histogram knows.
                let time = Duration::from_micros(value.clamp(0.0, 1e15) as u64);
                let rounded = match time.as_millis() {
                    0..10 => time,
                    10..10_000 => Duration::from_micros(time.as_micros() as u64 / 10 * 10),
                    _ => Duration::from_millis(time.as_millis() as u64),
                };
                format_duration(rounded)
            }
            Unit::Fraction => format!("{}%", significant(value * 100.0)),
            Unit::PerSecond => format!("{}/s", significant(value)),
            Unit::PerHour => format!("{}%/h", significant(value * 100.0)),
            Unit::Plain | Unit::Count => significant(value),
        }
    }
}

/// Up to three decimals, without zeros at the end.
fn significant(value: f64) -> String {
    let text = format!("{value:.3}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text.is_empty() { "0".into() } else { text.into() }
}

impl Percentile {
    /// From thousandths of a percent, 1 to 100,000: `99_900` is the 99.9th percentile.
    pub fn from_thousandths(thousandths: u32) -> Option<Percentile> {
        (1..=100_000).contains(&thousandths).then_some(Percentile(thousandths))
    }

    /// As a fraction, above 0 and up to 1.
    pub fn quantile(self) -> f64 {
        f64::from(self.0) / 100_000.0
    }

    /// As a percentage, above 0 and up to 100.
    pub fn percent(self) -> f64 {
        f64::from(self.0) / 1000.0
    }
}

impl fmt::Display for Percentile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p{}", self.percent())
    }
}

impl fmt::Display for Stat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Stat::Percentile(percentile) => percentile.fmt(f),
            Stat::Mean => f.write_str("mean"),
            Stat::Min => f.write_str("min"),
            Stat::Max => f.write_str("max"),
            Stat::Last => f.write_str("last"),
            Stat::Errors => f.write_str(ERRORS),
            Stat::Rate => f.write_str("rate"),
            Stat::Count => f.write_str("count"),
        }
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Metric { stat, name, clock, drift, .. } = self;
        let service = if *clock == Clock::Service { ", service" } else { "" };
        match (name, drift) {
            (None, false) => write!(f, "{stat}"),
            (None, true) => write!(f, "drift({stat})"),
            (Some(name), false) => write!(f, "{stat}({}{service})", Name(name)),
            // A gauge drifts by its last values, which need not be said.
            (Some(name), true) if *stat == Stat::Last => write!(f, "drift({})", Name(name)),
            (Some(name), true) => write!(f, "drift({stat}({}{service}))", Name(name)),
        }
    }
}

/// A name as it is written: in quotes where it must be.
struct Name<'a>(&'a str);

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // `errors` is no name of a gauge, because it is a metric by itself.
        if self.0.chars().all(is_bare) && self.0 != ERRORS {
            f.write_str(self.0)
        } else {
            write!(f, "\"{}\"", self.0.replace('\\', "\\\\").replace('"', "\\\""))
        }
    }
}

/// The metric that may stand without a name.
pub(super) const ERRORS: &str = "errors";

/// Whether a character can stand in a name without quotes.
pub(super) fn is_bare(c: char) -> bool {
    c.is_alphanumeric() || "_-.:/{}=".contains(c)
}
