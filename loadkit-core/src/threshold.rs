//! `"p99(login) < 250ms" -> Threshold`: what a result must be, as people say it.
//!
//! **A bad threshold is refused before the run, with a caret under the fault.** The grammar:
//!
//! ```text
//! threshold := metric comparison limit
//! metric    := p<percent>(name [, service]) | mean(..) | max(..)      a time (250ms), or a number for a trend
//!            | errors(name)                                           a share (0.1%, or 0.001)
//!            | errors                                                 bots that failed, of those that ended
//!            | rate(name)                                             9000/s, 30/m, 1000/h
//!            | count(name)                                            a number
//! name      := letters, digits and _ - . : /, or anything "in quotes"
//! ```
//!
//! Times are response times, from the intended start; with `service` they are from the actual one.

mod metric;
mod parse;

use std::error::Error;
use std::fmt;
use std::ops::Range;
use std::str::FromStr;
use std::time::Duration;

pub use metric::{Clock, Metric, Percentile, Stat, Unit};

/// What a metric of the result must be.
#[derive(Clone, Debug, PartialEq)]
pub struct Threshold {
    metric: Metric,
    comparison: Comparison,
    limit: Limit,
}

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
}

/// What came out of a [`Threshold`]. Actual values are in the unit of the metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Outcome {
    /// The result is as it must be.
    Met {
        /// What was measured.
        actual: f64,
    },
    /// It is not.
    Missed {
        /// What was measured.
        actual: f64,
    },
    /// Nothing was measured under that name.
    NoData,
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

    /// Compares with what `look` finds for the metric, in the metric's [`Unit`]. What is no number is no data.
    pub fn evaluate(&self, look: impl Fn(&Metric) -> Option<f64>) -> Outcome {
        match look(&self.metric).filter(|actual| !actual.is_nan()) {
            None => Outcome::NoData,
            Some(actual) if self.comparison.holds(actual, self.limit.value()) => Outcome::Met { actual },
            Some(actual) => Outcome::Missed { actual },
        }
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
    /// The limit in the unit of its metric: microseconds, a fraction, a number per second, or a number.
    pub fn value(self) -> f64 {
        match self {
            Limit::Time(time) => time.as_nanos() as f64 / 1000.0,
            Limit::Percent(percent) => percent / 100.0,
            Limit::Per(number, per) => number / per.as_secs_f64(),
            Limit::Number(number) => number,
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
        write!(f, "{} {} {}", self.metric, self.comparison.symbol(), self.limit)
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Limit::Time(time) => f.write_str(&crate::plan::format_duration(time)),
            Limit::Percent(percent) => write!(f, "{percent}%"),
            Limit::Per(number, per) => {
                let unit = match per.as_secs() {
                    1 => "s",
                    60 => "m",
                    _ => "h",
                };
                write!(f, "{number}/{unit}")
            }
            Limit::Number(number) => write!(f, "{number}"),
        }
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
