//! `TOML -> Draft`: reads a plan's text, keeping where everything stands.

mod network;
mod stage;
mod units;
mod value;

use std::path::Path;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Plan;
use super::draft::{Draft, Located};
use super::problem::Problem;
use super::suggest;
use crate::sources::SourcePool;
use crate::split::Split;
use crate::threshold::Threshold;

const KEYS: [&str; 22] = [
    "scenario",
    "target",
    "seed",
    "bots",
    "ramp",
    "duration",
    "arrivals",
    "stages",
    "total",
    "party",
    "refill",
    "grace",
    "interval",
    "thresholds",
    "sources",
    "sockets",
    "flight",
    "split",
    "personas",
    "network",
    "accounts",
    "data",
];

/// More stages than a shape can have are not worth reading one by one.
const MAX_STAGES_READ: usize = 1_001;

pub(super) fn read(text: &str, origin: &str) -> Result<Plan, Vec<Problem>> {
    let (table, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        // What was recovered behind a syntax error may not be what was meant; further problems would mislead.
        return Err(errors.iter().map(|error| Problem::new(error.message(), error.span())).collect());
    }
    let folder = Path::new(origin).parent().unwrap_or(Path::new(""));
    let mut reader = Reader { text, folder, problems: Vec::new(), load_is_broken: false };
    let draft = reader.plan(table.get_ref());
    let Reader { mut problems, load_is_broken, .. } = reader;
    if load_is_broken {
        problems.extend(draft.problems_without_load());
        return Err(problems);
    }
    match draft.finish() {
        Ok(plan) if problems.is_empty() => Ok(plan),
        Ok(_) => Err(problems),
        Err(more) => {
            problems.extend(more);
            Err(problems)
        }
    }
}

struct Reader<'a> {
    text: &'a str,
    /// Where the files are that the plan names.
    folder: &'a Path,
    problems: Vec<Problem>,
    /// Some key that says what the load is could not be read.
    load_is_broken: bool,
}

type Value<'t> = Spanned<DeValue<'t>>;

impl Reader<'_> {
    fn plan(&mut self, table: &DeTable<'_>) -> Draft {
        let mut draft = Draft::default();
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            match name {
                "scenario" => draft.scenario = self.string(name, value),
                "target" => draft.target = self.string(name, value),
                "seed" => draft.seed = self.seed(value),
                "bots" => draft.bots = self.load(|r| r.whole(name, value)),
                "ramp" => draft.ramp = self.load(|r| r.duration(name, value)),
                "duration" => draft.duration = self.load(|r| r.duration(name, value)),
                "arrivals" => draft.arrivals = self.load(|r| r.rate(name, value)),
                "stages" => self.stages(value, &mut draft),
                "total" => draft.total = self.load(|r| r.whole(name, value)),
                "party" => draft.party = self.whole(name, value),
                "refill" => draft.refill = self.refill(value),
                "grace" => draft.grace = self.duration(name, value),
                "interval" => draft.interval = self.duration(name, value),
                "thresholds" => self.thresholds(value, &mut draft),
                "sources" => draft.sources = self.sources(value).map(Arc::new),
                "sockets" => draft.sockets = self.whole(name, value),
                "flight" => draft.flight = self.flight(value),
                "split" => self.split(value, &mut draft),
                "personas" => self.personas(value, &mut draft),
                "network" => self.network(value, &mut draft),
                "accounts" => draft.accounts = self.file("accounts", value),
                "data" => self.data(value, &mut draft),
                _ => self.unknown(key, "a plan", &KEYS),
            }
        }
        draft
    }

    fn sources(&mut self, value: &Value<'_>) -> Option<SourcePool> {
        let text = self.string("sources", value)?;
        self.parsed(value, text.value.parse::<SourcePool>().map_err(|fault| fault.message().to_owned()))
            .map(|pool| pool.value)
    }

    fn split(&mut self, value: &Value<'_>, draft: &mut Draft) {
        let help = "write a list such as [\"persona\"]";
        let Some(list) = value.get_ref().as_array() else {
            return self.wrong(value, format!("`split` is {}, not a list", article(value)), help);
        };
        for value in list.iter() {
            let Some(text) = self.string("split", value) else { continue };
            match self.parsed(value, text.value.parse::<Split>()) {
                Some(split) if !draft.split.contains(&split.value) => draft.split.push(split.value),
                _ => {}
            }
        }
    }

    /// Reads what belongs to the load, and remembers if that failed.
    fn load<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        let value = read(self);
        self.load_is_broken |= value.is_none();
        value
    }

    fn stages(&mut self, value: &Value<'_>, draft: &mut Draft) {
        let Some(stages) = value.get_ref().as_array() else {
            self.load_is_broken = true;
            let help = "write each stage under a line [[stages]], with double brackets";
            return self.wrong(value, "`stages` is not a list of stages".into(), help);
        };
        if stages.is_empty() {
            self.load_is_broken = true;
            return self.wrong(value, "the list of `stages` is empty".into(), "add a stage, or leave it out");
        }
        for stage in stages.iter().take(MAX_STAGES_READ) {
            if let Some(stage) = self.load(|reader| reader.stage(stage)) {
                draft.stages.push(stage);
            }
        }
    }

    fn thresholds(&mut self, value: &Value<'_>, draft: &mut Draft) {
        let help = "write a list of texts, such as [\"p99(login) < 250ms\"]";
        let Some(list) = value.get_ref().as_array() else {
            return self.wrong(value, format!("`thresholds` is {}", article(value)), help);
        };
        for item in list.iter() {
            let Some(text) = item.get_ref().as_str() else {
                self.wrong(item, format!("a threshold is {}", article(item)), help);
                continue;
            };
            match Threshold::parse(text) {
                Ok(threshold) => draft.thresholds.push(threshold),
                Err(error) => {
                    // Inside the quotes, unless the text has escapes and so is not what stands there.
                    let span = item.span();
                    let quoted = self.text.get(span.clone()).unwrap_or("");
                    let inner = match quoted.find(text) {
                        Some(offset) if !text.is_empty() => {
                            span.start + offset + error.span().start..span.start + offset + error.span().end
                        }
                        _ => span,
                    };
                    let mut problem = Problem::new(error.message(), Some(inner));
                    problem.help = error.advice().map(str::to_owned);
                    self.problems.push(problem);
                }
            }
        }
    }

    fn personas(&mut self, value: &Value<'_>, draft: &mut Draft) {
        let Some(table) = value.get_ref().as_table() else {
            let help = "write a table of weights: [personas] and below it name = 3";
            return self.wrong(value, format!("`personas` is {}", article(value)), help);
        };
        for (key, value) in table {
            let name = key.get_ref();
            if let Some(weight) = self.weight(name, value) {
                let value = (name.to_string(), weight.value);
                draft.personas.push(Located { value, span: weight.span });
            }
        }
    }

    fn data(&mut self, value: &Value<'_>, draft: &mut Draft) {
        let Some(table) = value.get_ref().as_table() else {
            let help = "write a table for each file: [data.items] and below it file = \"items.jsonl\"";
            return self.wrong(value, format!("`data` is {}", article(value)), help);
        };
        for (key, value) in table {
            if let Some(path) = self.file(&format!("data.{}", key.get_ref()), value) {
                draft.data.push((key.get_ref().to_string(), path));
            }
        }
    }

    /// Reports a key that nobody reads.
    fn unknown(&mut self, key: &Spanned<toml::de::DeString<'_>>, place: &str, known: &[&str]) {
        let name: String = key.get_ref().chars().take(60).collect();
        let help = match suggest(&name, known.iter().copied()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("the keys of {place} are {}", known.join(", ")),
        };
        self.problems.push(Problem::new(format!("unknown key `{name}`"), Some(key.span())).help(help));
    }

    fn wrong(&mut self, value: &Value<'_>, message: String, help: &str) {
        self.problems.push(Problem::new(message, Some(value.span())).help(help));
    }
}

/// The kind of a value in words.
fn article(value: &Value<'_>) -> &'static str {
    match value.get_ref() {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
