//! The parser: by hand, one character of lookahead, and every refusal says what to write.

use std::ops::Range;
use std::time::Duration;

use super::metric::{Clock, Metric, Percentile, Stat, Unit, is_bare};
use super::{Comparison, Limit, Threshold, ThresholdError};
use crate::plan::{parse_duration, suggest};

/// The longest threshold, in bytes.
const MAX_LEN: usize = 500;

const STATS: [&str; 5] = ["mean", "max", "errors", "rate", "count"];

pub(super) fn parse(text: &str) -> Result<Threshold, ThresholdError> {
    if text.len() > MAX_LEN {
        let shown: String = text.chars().take(40).collect();
        let span = 0..shown.len();
        let message = "the threshold is longer than 500 bytes".into();
        return Err(ThresholdError { text: shown, span, message, help: None });
    }
    let mut parser = Parser { text, at: 0 };
    let (stat, word) = parser.stat()?;
    let (name, clock) = parser.arguments(stat, word.clone())?;
    parser.no_window()?;
    let comparison = parser.comparison()?;
    let (limit, unit) = parser.limit(stat)?;
    if unit == Unit::Plain && clock == Clock::Service {
        let help = "a trend has no service time: write a time such as 250ms for a step";
        return Err(parser.fail(word.start..text.len(), "a service time compared with a plain number", help));
    }
    Ok(Threshold { metric: Metric { stat, name, clock, unit }, comparison, limit })
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

    fn stat(&mut self) -> Result<(Stat, Range<usize>), ThresholdError> {
        let (word, span) = self.word(|c| c.is_alphanumeric() || "._".contains(c));
        let stat = match word {
            "mean" => Stat::Mean,
            "max" => Stat::Max,
            "errors" => Stat::Errors,
            "rate" => Stat::Rate,
            "count" => Stat::Count,
            "" => {
                return Err(self.fail(span, "a metric is missing", "write one such as p99(login) < 250ms"));
            }
            "drift" => {
                return Err(self.fail(
                    span,
                    "`drift` is not yet supported",
                    "use p99, mean, max, errors, rate or count",
                ));
            }
            _ => match percentile(word) {
                Some(Some(percentile)) => Stat::Percentile(percentile),
                Some(None) => {
                    let help = "percentiles are above 0 and up to 100, with up to three decimals: p50, p99.9";
                    return Err(self.fail(span, format!("`{word}` is no percentile"), help));
                }
                None => return Err(self.unknown_stat(word, span)),
            },
        };
        Ok((stat, span))
    }

    fn unknown_stat(&self, word: &str, span: Range<usize>) -> ThresholdError {
        let help = match word.to_lowercase().as_str() {
            "median" => "the median is p50".into(),
            "avg" | "average" => "the average is `mean`".into(),
            "error" | "failures" | "failed" => "did you mean `errors`?".into(),
            lower => suggest(lower, STATS).map_or_else(
                || "use p50 to p99.9, mean, max, errors, rate or count".to_owned(),
                |meant| format!("did you mean `{meant}`?"),
            ),
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
        let name = self.name(stat)?;
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
            if !matches!(stat, Stat::Percentile(_) | Stat::Mean | Stat::Max) {
                return Err(self.fail(span, format!("`{stat}` is no time"), "leave the second part out"));
            }
        }
        if !self.eat(')') {
            let help = "close the name with `)`; a name with other characters goes in quotes";
            return Err(self.fail(self.at..self.at, "`)` is missing", help));
        }
        Ok((Some(name), clock))
    }

    fn name(&mut self, stat: Stat) -> Result<String, ThresholdError> {
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

    /// `over 30s`: known, and not yet there.
    fn no_window(&mut self) -> Result<(), ThresholdError> {
        self.skip_space();
        let start = self.at;
        if !self.rest().starts_with("over") {
            return Ok(());
        }
        let len = self.rest().find(['<', '>', '=']).unwrap_or(self.rest().len());
        let window = self.rest().get(..len).unwrap_or("").trim_end().len();
        Err(self.fail(
            start..start + window,
            "windows (`over`) are not yet supported",
            "leave it out: the threshold is about the whole run",
        ))
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

    fn limit(&mut self, stat: Stat) -> Result<(Limit, Unit), ThresholdError> {
        self.skip_space();
        let text = self.rest().trim_end();
        let span = self.at..self.at + text.len();
        if text.is_empty() {
            return Err(self.fail(self.at..self.at, "the limit is missing", example(stat)));
        }
        if text.starts_with('-') {
            return Err(self.fail(span, "the limit is negative", example(stat)));
        }
        match stat {
            Stat::Percentile(_) | Stat::Mean | Stat::Max => self.time(text, span, stat),
            Stat::Errors => self.share(text, span),
            Stat::Rate => {
                let (number, unit) = text.split_once('/').unwrap_or((text, ""));
                let per = match unit.trim() {
                    "s" => 1,
                    "m" => 60,
                    "h" => 3600,
                    _ => {
                        return Err(self.fail(span, "the rate does not say per what", example(stat)));
                    }
                };
                match number_of(number.trim()) {
                    Some(number) => Ok((Limit::Per(number, Duration::from_secs(per)), Unit::PerSecond)),
                    None => Err(self.fail(span, "the limit is no rate", example(stat))),
                }
            }
            Stat::Count => match number_of(text) {
                Some(number) => Ok((Limit::Number(number), Unit::Count)),
                None => Err(self.fail(span, "the limit is no number", example(stat))),
            },
        }
    }

    fn time(&self, text: &str, span: Range<usize>, stat: Stat) -> Result<(Limit, Unit), ThresholdError> {
        if let Some(number) = number_of(text) {
            return Ok((Limit::Number(number), Unit::Plain));
        }
        if text.contains(['%', '/']) {
            return Err(self.fail(span, format!("`{stat}` is a time"), example(stat)));
        }
        match parse_duration(text) {
            Ok(time) => Ok((Limit::Time(time), Unit::Micros)),
            Err(error) => Err(self.fail(span, error.to_string(), example(stat))),
        }
    }

    fn share(&self, text: &str, span: Range<usize>) -> Result<(Limit, Unit), ThresholdError> {
        let percent = text.strip_suffix('%');
        let Some(number) = number_of(percent.unwrap_or(text).trim()) else {
            return Err(self.fail(span, "the limit is no share", example(Stat::Errors)));
        };
        let (limit, most) =
            if percent.is_some() { (Limit::Percent(number), 100.0) } else { (Limit::Number(number), 1.0) };
        if number > most {
            return Err(self.fail(span, "a share above 100%", example(Stat::Errors)));
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

fn example(stat: Stat) -> &'static str {
    match stat {
        Stat::Percentile(_) | Stat::Mean | Stat::Max => "write a time such as 250ms or 1.5s",
        Stat::Errors => "write a share such as 0.1%",
        Stat::Rate => "write a rate such as 9000/s, 30/m or 1000/h",
        Stat::Count => "write a number such as 1000",
    }
}
