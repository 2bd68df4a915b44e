//! The parser: by hand, one character of lookahead, and every refusal says what to write.

use std::ops::Range;
use std::time::Duration;

use super::metric::{Clock, ERRORS, Metric, Percentile, Stat, Unit, is_bare};
use super::{ABORT_GRACE, Comparison, Threshold, ThresholdError};
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

pub(super) struct Parser<'a> {
    text: &'a str,
    pub(super) at: usize,
}

impl<'a> Parser<'a> {
    pub(super) fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or("")
    }

    pub(super) fn skip_space(&mut self) {
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

    pub(super) fn fail(
        &self,
        span: Range<usize>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> ThresholdError {
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

fn is_of_stat(c: char) -> bool {
    c.is_alphanumeric() || "._".contains(c)
}

/// Whether the statistic is one of times: it can be asked from which start they count.
fn is_time(stat: Stat) -> bool {
    matches!(stat, Stat::Percentile(_) | Stat::Mean | Stat::Min | Stat::Max)
}
