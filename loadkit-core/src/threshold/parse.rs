//! The parser: by hand, one character of lookahead, and every refusal says what to write.

use std::ops::Range;
use std::time::Duration;

use super::metric::{Clock, ERRORS, Metric, Percentile, Stat, Unit, is_bare};
use super::{ABORT_GRACE, Comparison, Limit, Threshold, ThresholdError};
use crate::plan::{parse_duration, suggest};

/// The longest threshold, in bytes.
const MAX_LEN: usize = 500;

const STATS: [&str; 8] = ["mean", "min", "max", "last", ERRORS, "rate", "count", "drift"];
/// All of them, for who wrote another.
const ALL: &str = "p50 to p99.9, mean, min, max, last, errors, rate, count or drift";

pub(super) fn parse(text: &str) -> Result<Threshold, ThresholdError> {
    if text.len() > MAX_LEN {
        let shown: String = text.chars().take(40).collect();
        let span = 0..shown.len();
        let message = "the threshold is longer than 500 bytes".into();
        return Err(ThresholdError { text: shown, span, message, help: None });
    }
    let mut parser = Parser { text, at: 0 };
    let metric = parser.metric()?;
    let [over, after] = parser.times()?;
    let comparison = parser.comparison()?;
    let (limit, unit) = parser.limit(&metric)?;
    if unit == Unit::Plain && metric.clock == Clock::Service {
        let help = "a trend has no service time: write a time such as 250ms for a step";
        return Err(parser.fail(0..parser.at, "a service time compared with a plain number", help));
    }
    let abort = parser.abort()?;
    Ok(Threshold { metric: Metric { unit, ..metric }, over, after, comparison, limit, abort })
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Parser<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or("")
    }

    fn skip_space(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }

    /// Takes the characters that belong to a word.
    fn word(&mut self, belongs: impl Fn(char) -> bool) -> (&'a str, Range<usize>) {
        self.skip_space();
        let rest = self.rest();
        let len = rest.find(|c| !belongs(c)).unwrap_or(rest.len());
        let span = self.at..self.at + len;
        self.at += len;
        (rest.get(..len).unwrap_or(""), span)
    }

    fn eat(&mut self, c: char) -> bool {
        self.skip_space();
        let found = self.rest().starts_with(c);
        if found {
            self.at += c.len_utf8();
        }
        found
    }

    fn fail(&self, span: Range<usize>, message: impl Into<String>, help: impl Into<String>) -> ThresholdError {
        // What is missing still needs something to stand under: the character that is there instead.
        let instead = self.text.get(span.end..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8);
        let span = if span.is_empty() { span.start..span.end + instead } else { span };
        ThresholdError { text: self.text.to_owned(), span, message: message.into(), help: Some(help.into()) }
    }

    /// A metric whose unit is not known until the limit is read.
    fn metric(&mut self) -> Result<Metric, ThresholdError> {
        let (word, span) = self.word(is_of_stat);
        if word == "drift" {
            return self.drift(span);
        }
        let stat = self.stat(word, span.clone())?;
        let (name, clock) = self.arguments(stat, span)?;
        Ok(Metric { stat, name, clock, unit: Unit::Plain, drift: false })
    }

    /// The rest of `drift(..)`: of a metric, or of a gauge by its name.
    fn drift(&mut self, word: Range<usize>) -> Result<Metric, ThresholdError> {
        const HELP: &str = "name a gauge, or a metric of a step: drift(memory), drift(p95(login))";
        if !self.eat('(') {
            return Err(self.fail(word, "`drift` of what?", HELP));
        }
        let start = self.at;
        let (inner, span) = self.word(is_of_stat);
        let is_metric = inner == ERRORS || self.rest().trim_start().starts_with('(');
        let metric = if is_metric && inner == "drift" {
            return Err(self.fail(span, "a drift of a drift", HELP));
        } else if is_metric {
            let stat = self.stat(inner, span.clone())?;
            let (name, clock) = self.arguments(stat, span)?;
            Metric { stat, name, clock, unit: Unit::PerHour, drift: true }
        } else {
            self.at = start;
            let name = Some(self.name("drift")?);
            Metric { stat: Stat::Last, name, clock: Clock::Response, unit: Unit::PerHour, drift: true }
        };
        self.close()?;
        Ok(metric)
    }

    fn close(&mut self) -> Result<(), ThresholdError> {
        if self.eat(')') {
            return Ok(());
        }
        let help = "close the name with `)`; a name with other characters goes in quotes";
        Err(self.fail(self.at..self.at, "`)` is missing", help))
    }

    fn stat(&self, word: &str, span: Range<usize>) -> Result<Stat, ThresholdError> {
        Ok(match word {
            "mean" => Stat::Mean,
            "min" => Stat::Min,
            "max" => Stat::Max,
            "last" => Stat::Last,
            ERRORS => Stat::Errors,
            "rate" => Stat::Rate,
            "count" => Stat::Count,
            "" => {
                return Err(self.fail(span, "a metric is missing", "write one such as p99(login) < 250ms"));
            }
            _ => match percentile(word) {
                Some(Some(percentile)) => Stat::Percentile(percentile),
                Some(None) => {
                    let help = "percentiles are above 0 and up to 100, with up to three decimals: p50, p99.9";
                    return Err(self.fail(span, format!("`{word}` is no percentile"), help));
                }
                None => return Err(self.unknown_stat(word, span)),
            },
        })
    }

    fn unknown_stat(&self, word: &str, span: Range<usize>) -> ThresholdError {
        let help = match word.to_lowercase().as_str() {
            "median" => "the median is p50".into(),
            "avg" | "average" => "the average is `mean`".into(),
            "error" | "failures" | "failed" => "did you mean `errors`?".into(),
            lower => {
                suggest(lower, STATS).map_or_else(|| format!("use {ALL}"), |meant| format!("did you mean `{meant}`?"))
            }
        };
        self.fail(span, format!("unknown metric `{word}`"), help)
    }

    /// `(name)` or `(name, service)`; nothing for `errors` of the run.
    fn arguments(&mut self, stat: Stat, word: Range<usize>) -> Result<(Option<String>, Clock), ThresholdError> {
        if !self.eat('(') {
            if stat == Stat::Errors {
                return Ok((None, Clock::Response));
            }
            return Err(self.fail(word, format!("`{stat}` of what?"), format!("name a step: {stat}(login)")));
        }
        let name = self.name(&stat.to_string())?;
        let mut clock = Clock::Response;
        if self.eat(',') {
            let (word, span) = self.word(char::is_alphanumeric);
            clock = match word {
                "service" => Clock::Service,
                "response" => Clock::Response,
                _ => {
                    return Err(self.fail(
                        span,
                        "which time is meant?",
                        "write `service`, or nothing for the response time",
                    ));
                }
            };
            if !is_time(stat) {
                return Err(self.fail(span, format!("`{stat}` is no time"), "leave the second part out"));
            }
        }
        self.close()?;
        Ok((Some(name), clock))
    }

    fn name(&mut self, stat: &str) -> Result<String, ThresholdError> {
        let (name, span) = if self.eat('"') {
            self.quoted()?
        } else {
            let (name, span) = self.word(is_bare);
            (name.to_owned(), span)
        };
        if name.is_empty() {
            return Err(self.fail(span, "the name is missing", format!("name a step: {stat}(login)")));
        }
        Ok(name)
    }

    /// The rest of a name in quotes, of which the first was taken.
    fn quoted(&mut self) -> Result<(String, Range<usize>), ThresholdError> {
        let start = self.at - 1;
        let mut name = String::new();
        let mut escaped = false;
        for (i, c) in self.rest().char_indices() {
            match c {
                _ if escaped => {
                    name.push(c);
                    escaped = false;
                }
                '\\' => escaped = true,
                '"' => {
                    self.at += i + 1;
                    return Ok((name, start..self.at));
                }
                _ => name.push(c),
            }
        }
        Err(self.fail(start..self.text.len(), "the name does not end", "close it with a quote"))
    }

    /// `over 30s`, `after 1m`, both or none.
    fn times(&mut self) -> Result<[Option<Duration>; 2], ThresholdError> {
        let mut times = [None; 2];
        loop {
            let before = self.at;
            let (word, span) = self.word(char::is_alphabetic);
            let Some(known) = ["over", "after"].iter().position(|known| *known == word) else {
                self.at = before;
                return Ok(times);
            };
            if times[known].replace(self.duration(word, span.clone())?).is_some() {
                return Err(self.fail(span, format!("`{word}` stands there twice"), "leave one of them out"));
            }
        }
    }

    /// The time behind a word such as `over`.
    fn duration(&mut self, word: &str, place: Range<usize>) -> Result<Duration, ThresholdError> {
        let (text, span) = self.word(|c| c.is_alphanumeric() || c == '.');
        let help = format!("write a time behind it: {word} 30s");
        if text.is_empty() {
            return Err(self.fail(place, format!("`{word}` without a time"), help));
        }
        match parse_duration(text) {
            Ok(time) if time.is_zero() => Err(self.fail(span, format!("`{word}` is of no time at all"), help)),
            Ok(time) => Ok(time),
            Err(error) => Err(self.fail(span, error.to_string(), help)),
        }
    }

    /// `else abort`, with or without `after 1m`; and then nothing more.
    fn abort(&mut self) -> Result<Option<Duration>, ThresholdError> {
        let (word, span) = self.word(char::is_alphabetic);
        if word.is_empty() {
            return Ok(None);
        }
        let (what, end) = self.word(char::is_alphabetic);
        if (word, what) != ("else", "abort") {
            return Err(self.fail(
                span.start..end.end,
                "the limit is followed by something",
                "write `else abort`, or nothing",
            ));
        }
        let (word, place) = self.word(char::is_alphabetic);
        let grace = match word {
            "" => ABORT_GRACE,
            "after" => self.duration(word, place)?,
            _ => {
                return Err(self.fail(
                    place,
                    format!("unknown word `{word}`"),
                    "write for how long it must be missed: after 1m",
                ));
            }
        };
        self.skip_space();
        match self.rest() {
            "" => Ok(Some(grace)),
            rest => Err(self.fail(self.at..self.at + rest.len(), "nothing may follow here", "leave it out")),
        }
    }

    fn comparison(&mut self) -> Result<Comparison, ThresholdError> {
        let (word, span) = self.word(|c| "<>=!~".contains(c));
        match word {
            "<" => Ok(Comparison::Less),
            "<=" => Ok(Comparison::AtMost),
            ">" => Ok(Comparison::More),
            ">=" => Ok(Comparison::AtLeast),
            "" => Err(self.fail(span, "a comparison is missing", "write <, <=, > or >=, and a limit")),
            "=<" => Err(self.fail(span, "unknown comparison `=<`", "write <=")),
            "=>" => Err(self.fail(span, "unknown comparison `=>`", "write >=")),
            other => Err(self.fail(span, format!("unknown comparison `{other}`"), "use <, <=, > or >=")),
        }
    }

    fn limit(&mut self, metric: &Metric) -> Result<(Limit, Unit), ThresholdError> {
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

/// `p99.9`: none if it is no percentile at all, and none inside if it is one that cannot be.
fn percentile(word: &str) -> Option<Option<Percentile>> {
    let number = word.strip_prefix('p')?;
    if !number.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let valid = fraction.len() <= 3 && !number.ends_with('.') && fraction.bytes().all(|b| b.is_ascii_digit());
    let thousandths = format!("{whole}{fraction:0<3}").parse().ok();
    Some(thousandths.filter(|_| valid).and_then(Percentile::from_thousandths))
}

/// A decimal number without sign or exponent.
fn number_of(text: &str) -> Option<f64> {
    let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    text.parse().ok().filter(|number: &f64| plain && number.is_finite())
}

fn is_of_stat(c: char) -> bool {
    c.is_alphanumeric() || "._".contains(c)
}

/// Whether the statistic is one of times: it can be asked from which start they count.
fn is_time(stat: Stat) -> bool {
    matches!(stat, Stat::Percentile(_) | Stat::Mean | Stat::Min | Stat::Max)
}

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
