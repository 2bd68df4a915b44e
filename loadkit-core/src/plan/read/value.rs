//! Single values: numbers, durations, rates, files.

use std::fmt::Display;
use std::path::PathBuf;
use std::time::Duration;

use toml::de::{DeInteger, DeValue};

use super::{Reader, Value, article};
use crate::plan::draft::Located;
use crate::plan::duration::parse_duration;
use crate::seed::Seed;
use crate::shape::Rate;

impl Reader<'_> {
    pub(super) fn string(&mut self, name: &str, value: &Value<'_>) -> Option<Located<String>> {
        if let Some(text) = value.get_ref().as_str() {
            return Some(Located { value: text.to_owned(), span: Some(value.span()) });
        }
        self.wrong(value, format!("`{name}` is {}", article(value)), "write a text in quotes");
        None
    }

    /// A whole number that is not negative.
    pub(super) fn whole(&mut self, name: &str, value: &Value<'_>) -> Option<Located<u64>> {
        let help = "write a whole number, such as 1000";
        let Some(number) = value.get_ref().as_integer() else {
            self.wrong(value, format!("`{name}` is {}, not a whole number", article_of_number(value)), help);
            return None;
        };
        if number.as_str().starts_with('-') {
            self.wrong(value, format!("`{name}` is negative"), help);
            return None;
        }
        let Some(number) = unsigned(number) else {
            self.wrong(value, format!("`{name}` is too large"), help);
            return None;
        };
        Some(Located { value: number, span: Some(value.span()) })
    }

    pub(super) fn duration(&mut self, name: &str, value: &Value<'_>) -> Option<Located<Duration>> {
        let help = "write a text such as \"250ms\", \"1.5s\" or \"1h30m\"";
        match value.get_ref() {
            DeValue::String(text) => self.parsed(value, parse_duration(text)),
            DeValue::Integer(_) | DeValue::Float(_) => {
                let number = self.written(value);
                let negative = number.starts_with('-');
                let message = if negative { "is negative".into() } else { format!("is {number} of what?") };
                let seconds = format!("write \"{number}s\" in quotes if it is seconds");
                self.wrong(value, format!("`{name}` {message}"), if negative { help } else { &seconds });
                None
            }
            _ => {
                self.wrong(value, format!("`{name}` is {}, not a duration", article(value)), help);
                None
            }
        }
    }

    pub(super) fn rate(&mut self, name: &str, value: &Value<'_>) -> Option<Located<Rate>> {
        if let Some(text) = value.get_ref().as_str() {
            return self.parsed(value, Rate::parse(text));
        }
        self.wrong(
            value,
            format!("`{name}` is {}, not a rate", article(value)),
            "write a text such as \"500/s\" or \"30/m\"",
        );
        None
    }

    /// A duration, or never.
    pub(super) fn refill(&mut self, value: &Value<'_>) -> Option<Located<Option<Duration>>> {
        if value.get_ref().as_str() == Some("never") {
            return Some(Located { value: None, span: Some(value.span()) });
        }
        let pause = self.duration("refill", value)?;
        Some(Located { value: Some(pause.value), span: pause.span })
    }

    /// A number of events, or off.
    pub(super) fn flight(&mut self, value: &Value<'_>) -> Option<Located<u64>> {
        if value.get_ref().as_str() == Some("off") {
            return Some(Located { value: 0, span: Some(value.span()) });
        }
        self.whole("flight", value)
    }

    pub(super) fn seed(&mut self, value: &Value<'_>) -> Option<Seed> {
        if let Some(text) = value.get_ref().as_str() {
            return self.parsed(value, Seed::parse(text)).map(|seed| seed.value);
        }
        self.whole("seed", value).map(|seed| Seed(seed.value))
    }

    pub(super) fn weight(&mut self, name: &str, value: &Value<'_>) -> Option<Located<f64>> {
        let number = match value.get_ref() {
            DeValue::Integer(number) => signed(number),
            DeValue::Float(number) => number.as_str().parse().ok(),
            _ => None,
        };
        let Some(number) = number else {
            self.wrong(value, format!("the weight of `{name}` is {}", article(value)), "write a number, such as 3");
            return None;
        };
        Some(Located { value: number, span: Some(value.span()) })
    }

    /// A table with one key, `file`, whose rows can be read.
    pub(super) fn file(&mut self, name: &str, value: &Value<'_>) -> Option<PathBuf> {
        let help = format!("write [{name}] and below it file = \"rows.csv\" (or .jsonl)");
        let Some(table) = value.get_ref().as_table() else {
            self.wrong(value, format!("`{name}` is {}", article(value)), &help);
            return None;
        };
        for (key, _) in table {
            if key.get_ref() != "file" {
                self.unknown(key, "a file", &["file"]);
            }
        }
        let Some(file) = table.get("file") else {
            // An unknown key was reported, and is likely the one that was meant.
            if table.is_empty() {
                self.wrong(value, format!("`{name}` names no file"), &help);
            }
            return None;
        };
        let path = self.string("file", file)?.value;
        if !crate::data::is_supported(path.as_ref()) {
            self.wrong(
                file,
                "the kind of the file is unknown".into(),
                "use a file of rows that ends in .csv or .jsonl",
            );
            return None;
        }
        Some(self.folder.join(path))
    }

    pub(super) fn parsed<T, E: Display>(&mut self, value: &Value<'_>, result: Result<T, E>) -> Option<Located<T>> {
        match result {
            Ok(parsed) => Some(Located { value: parsed, span: Some(value.span()) }),
            Err(error) => {
                self.problems.push(super::Problem::new(error.to_string(), Some(value.span())));
                None
            }
        }
    }

    /// What stands in the text.
    fn written(&self, value: &Value<'_>) -> String {
        self.text.get(value.span()).unwrap_or("").chars().take(40).collect()
    }
}

fn article_of_number(value: &Value<'_>) -> &'static str {
    if value.get_ref().is_float() { "a number with decimals" } else { article(value) }
}

fn unsigned(number: &DeInteger<'_>) -> Option<u64> {
    u64::from_str_radix(number.as_str(), number.radix()).ok()
}

fn signed(number: &DeInteger<'_>) -> Option<f64> {
    i64::from_str_radix(number.as_str(), number.radix()).ok().map(|number| number as f64)
}
