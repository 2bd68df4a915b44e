//! `"p99(login) < 250ms" -> Threshold`: what a result must be, as people say it.
//!
//! **A bad threshold is refused before the run, with a caret under the fault.** The grammar:
//!
//! ```text
//! threshold := metric [over time] [after time] comparison limit [else abort [after time]]
//! metric    := p<percent>(name [, service]) | mean(..) | min(..) | max(..)
//!                                                   a time (250ms), or a number for a trend; min and max also of a gauge
//!            | last(name)                           a gauge's last value
//!            | errors(name)                         a share (0.1%, or 0.001)
//!            | errors                               bots that failed, of those that ended
//!            | rate(name)                           9000/s, 30/m, 1000/h
//!            | count(name)                          a number
//!            | drift(metric) | drift(gauge)         how much it changes by, relative to its median: 1%/h
//! name      := letters, digits and _ - . : / { } =, or anything "in quotes"
//! ```
//!
//! - Times are response times, from the intended start; with `service` they are from the actual one.
//! - `login{persona=casual}` and `login{network=lte}` are the figures of those players alone.
//! - `over 30s` is about every window of 30 s, one after the other and overlapping: the worst of them must do.
//!   Windows are whole intervals of the plan, and slide by one of them, or by a sixtieth of a long window; one
//!   whose number of intervals is prime and over 60 does not overlap with the next.
//! - `after 1m` leaves out what was before: the ramp, say. An interval counts if it begins then or later.
//! - `drift` is the slope of the median line (Theil and Sen) through the run's intervals, an hour, divided by their median.
//! - `else abort` ends the run when the threshold has been missed for 10 s on end, `else abort after 1m` for a minute.

mod limit;
mod metric;
mod parse;

use std::error::Error;
use std::fmt;
use std::ops::Range;
use std::str::FromStr;
use std::time::Duration;

use crate::plan::format_duration;

pub use metric::{Clock, Metric, Percentile, Stat, Unit};

/// What a metric of the result must be.
#[derive(Clone, Debug, PartialEq)]
pub struct Threshold {
    metric: Metric,
    over: Option<Duration>,
    after: Option<Duration>,
    comparison: Comparison,
    limit: Limit,
    abort: Option<Duration>,
}

/// A run is aborted when a threshold that says so has been missed for so long, unless it says how long.
pub(crate) const ABORT_GRACE: Duration = Duration::from_secs(10);

/// How the metric compares with the limit if the threshold is met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Comparison {
    /// `<`
    Less,
    /// `<=`
    AtMost,
    /// `>`
    More,
    /// `>=`
    AtLeast,
}

/// A limit as its author wrote it.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Limit {
    /// A time.
    Time(Duration),
    /// A share in percent.
    Percent(f64),
    /// A number for each of these times: one second, one minute or one hour.
    Per(f64, Duration),
    /// A number, or a share as a fraction.
    Number(f64),
    /// A change in percent for each of these times.
    PercentPer(f64, Duration),
}

impl Threshold {
    /// Reads a threshold.
    ///
    /// # Errors
    /// If it does not follow the grammar of the module, with the place of the fault and what to write instead.
    pub fn parse(text: &str) -> Result<Threshold, ThresholdError> {
        parse::parse(text)
    }

    /// What is measured.
    pub fn metric(&self) -> &Metric {
        &self.metric
    }

    /// How it must compare with the limit.
    pub fn comparison(&self) -> Comparison {
        self.comparison
    }

    /// What it is compared with.
    pub fn limit(&self) -> Limit {
        self.limit
    }

    /// The length of the windows that it is about; none if it is about the whole time.
    pub fn over(&self) -> Option<Duration> {
        self.over
    }

    /// What is left out at the beginning of the run.
    pub fn after(&self) -> Option<Duration> {
        self.after
    }

    /// For how long it must be missed until the run is aborted; none if it never is.
    pub fn abort(&self) -> Option<Duration> {
        self.abort
    }

    /// Whether it can be judged by the totals of a run, and not only by how it went over time.
    pub(crate) fn is_of_totals(&self) -> bool {
        self.over.is_none() && self.after.is_none() && !self.metric.drift
    }

    /// Whether it is met by this value, in the metric's [`Unit`].
    pub fn holds(&self, actual: f64) -> bool {
        self.comparison.holds(actual, self.limit.value())
    }
}

impl Comparison {
    /// Whether `actual` compares so with `limit`.
    pub fn holds(self, actual: f64, limit: f64) -> bool {
        match self {
            Comparison::Less => actual < limit,
            Comparison::AtMost => actual <= limit,
            Comparison::More => actual > limit,
            Comparison::AtLeast => actual >= limit,
        }
    }

    /// As it is written.
    pub fn symbol(self) -> &'static str {
        match self {
            Comparison::Less => "<",
            Comparison::AtMost => "<=",
            Comparison::More => ">",
            Comparison::AtLeast => ">=",
        }
    }
}

impl Limit {
    /// The limit in the unit of its metric: microseconds, a fraction, a number per second, a fraction per hour, or a
    /// number.
    pub fn value(self) -> f64 {
        match self {
            Limit::Time(time) => time.as_nanos() as f64 / 1000.0,
            Limit::Percent(percent) => percent / 100.0,
            Limit::Per(number, per) => number / per.as_secs_f64(),
            Limit::Number(number) => number,
            Limit::PercentPer(percent, per) => percent / 100.0 * (3_600.0 / per.as_secs_f64()),
        }
    }
}

impl FromStr for Threshold {
    type Err = ThresholdError;

    fn from_str(text: &str) -> Result<Threshold, ThresholdError> {
        Threshold::parse(text)
    }
}

impl fmt::Display for Threshold {
    /// As [`Threshold::parse`] reads it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.metric)?;
        for (word, time) in [("over", self.over), ("after", self.after)] {
            if let Some(time) = time {
                write!(f, " {word} {}", format_duration(time))?;
            }
        }
        write!(f, " {} {}", self.comparison.symbol(), self.limit)?;
        match self.abort {
            None => Ok(()),
            Some(ABORT_GRACE) => f.write_str(" else abort"),
            Some(grace) => write!(f, " else abort after {}", format_duration(grace)),
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Limit::Time(time) => f.write_str(&format_duration(time)),
            Limit::Percent(percent) => write!(f, "{percent}%"),
            Limit::Per(number, per) => write!(f, "{number}/{}", unit_of(per)),
            Limit::PercentPer(percent, per) => write!(f, "{percent}%/{}", unit_of(per)),
            Limit::Number(number) => write!(f, "{number}"),
        }
    }
}

fn unit_of(per: Duration) -> &'static str {
    match per.as_secs() {
        1 => "s",
        60 => "m",
        _ => "h",
    }
}

/// Why a text is no threshold. Its text shows the place with a caret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThresholdError {
    text: String,
    span: Range<usize>,
    message: String,
    help: Option<String>,
}

impl ThresholdError {
    /// What is wrong.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What to write instead, where there is something to say.
    pub fn advice(&self) -> Option<&str> {
        self.help.as_deref()
    }

    /// The bytes of the text that are at fault.
    pub fn span(&self) -> Range<usize> {
        self.span.clone()
    }
}

impl fmt::Display for ThresholdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = (None, self.text.as_str(), self.span.clone());
        f.write_str(&crate::plan::render(&self.message, Some(place), self.help.as_deref()))
    }
}

impl Error for ThresholdError {}

#[cfg(test)]
mod tests;
