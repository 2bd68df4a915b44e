//! The limit of a threshold: in the unit that its metric has.

use std::ops::Range;
use std::time::Duration;

use super::metric::{Metric, Stat, Unit};
use super::parse::Parser;
use super::{Limit, ThresholdError};
use crate::plan::parse_duration;

impl Parser<'_> {
    pub(super) fn limit(&mut self, metric: &Metric) -> Result<(Limit, Unit), ThresholdError> {
        self.skip_space();
        let example = example(metric);
        // `else` is no part of any limit.
        let rest = self.rest();
        let text = rest.split_once("else").map_or(rest, |(limit, _)| limit).trim_end();
        let span = self.at..self.at + text.len();
        if text.is_empty() {
            return Err(self.fail(self.at..self.at, "the limit is missing", example));
        }
        if text.starts_with('-') {
            return Err(self.fail(span, "the limit is negative", example));
        }
        self.at = span.end;
        let number = |text: &str, what: &str| {
            number_of(text.trim()).ok_or_else(|| self.fail(span.clone(), format!("the limit is no {what}"), example))
        };
        match metric.stat {
            _ if metric.drift => {
                let (percent, per) = self.per(text, span.clone(), "change", example)?;
                let Some(percent) = percent.trim().strip_suffix('%') else {
                    return Err(self.fail(span, "the limit is no change in percent", example));
                };
                Ok((Limit::PercentPer(number(percent, "change")?, per), Unit::PerHour))
            }
            Stat::Percentile(_) | Stat::Mean | Stat::Min | Stat::Max => self.time(text, span, metric),
            Stat::Errors => self.share(text, span),
            Stat::Rate => {
                let (rate, per) = self.per(text, span.clone(), "rate", example)?;
                Ok((Limit::Per(number(rate, "rate")?, per), Unit::PerSecond))
            }
            Stat::Count => Ok((Limit::Number(number(text, "number")?), Unit::Count)),
            Stat::Last => Ok((Limit::Number(number(text, "number")?), Unit::Plain)),
        }
    }

    /// What stands before the stroke, and the time after it.
    fn per<'t>(
        &self,
        text: &'t str,
        span: Range<usize>,
        what: &str,
        example: &str,
    ) -> Result<(&'t str, Duration), ThresholdError> {
        let (number, unit) = text.split_once('/').unwrap_or((text, ""));
        let seconds = match unit.trim() {
            "s" => 1,
            "m" => 60,
            "h" => 3600,
            _ => return Err(self.fail(span, format!("the {what} does not say per what"), example)),
        };
        Ok((number, Duration::from_secs(seconds)))
    }

    fn time(&self, text: &str, span: Range<usize>, metric: &Metric) -> Result<(Limit, Unit), ThresholdError> {
        let (stat, example) = (metric.stat, example(metric));
        if let Some(number) = number_of(text) {
            return Ok((Limit::Number(number), Unit::Plain));
        }
        if text.contains(['%', '/']) {
            return Err(self.fail(span, format!("`{stat}` is a time"), example));
        }
        match parse_duration(text) {
            Ok(time) => Ok((Limit::Time(time), Unit::Micros)),
            Err(error) => Err(self.fail(span, error.to_string(), example)),
        }
    }

    fn share(&self, text: &str, span: Range<usize>) -> Result<(Limit, Unit), ThresholdError> {
        let percent = text.strip_suffix('%');
        let Some(number) = number_of(percent.unwrap_or(text).trim()) else {
            return Err(self.fail(span, "the limit is no share", SHARE));
        };
        let (limit, most) =
            if percent.is_some() { (Limit::Percent(number), 100.0) } else { (Limit::Number(number), 1.0) };
        if number > most {
            return Err(self.fail(span, "a share above 100%", SHARE));
        }
        Ok((limit, Unit::Fraction))
    }
}

/// A decimal number without sign or exponent.
fn number_of(text: &str) -> Option<f64> {
    let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    text.parse().ok().filter(|number: &f64| plain && number.is_finite())
}

/// What to write for a share.
const SHARE: &str = "write a share such as 0.1%";

fn example(metric: &Metric) -> &'static str {
    match metric.stat {
        _ if metric.drift => "write a change such as 1%/h",
        Stat::Percentile(_) | Stat::Mean | Stat::Min | Stat::Max => "write a time such as 250ms or 1.5s",
        Stat::Errors => SHARE,
        Stat::Rate => "write a rate such as 9000/s, 30/m or 1000/h",
        Stat::Count | Stat::Last => "write a number such as 1000",
    }
}
