//! One entry of `[[stages]]`.

use std::time::Duration;

use toml::Spanned;
use toml::de::{DeString, DeTable};

use super::{Reader, Value, article};
use crate::plan::draft::{DraftStage, Located};
use crate::plan::problem::Problem;
use crate::shape::{Rate, Stage};

const KEYS: [&str; 8] = ["ramp", "hold", "step", "spike", "arrivals", "over", "spacing", "at"];
const KINDS: [&str; 5] = ["ramp", "hold", "step", "spike", "arrivals"];

impl Reader<'_> {
    pub(super) fn stage(&mut self, value: &Value<'_>) -> Option<DraftStage> {
        let Some(table) = value.get_ref().as_table() else {
            let help = "a stage is a table such as { ramp = 1000, over = \"30s\" }";
            self.wrong(value, format!("a stage is {}", article(value)), help);
            return None;
        };
        let before = self.problems.len();
        for (key, _) in table {
            if !KEYS.contains(&key.get_ref().as_ref()) {
                self.unknown(key, "a stage", &KEYS);
            }
        }
        let at = table.get("at").and_then(|at| self.duration("at", at));
        let stage = self.kind_of(table, value).and_then(|(key, what)| self.body(table, key, what, value));
        // Even a stage that could be made out is not to be trusted beside a key that could not.
        if self.problems.len() > before {
            return None;
        }
        let mut stage = stage?;
        if let Some(at) = at {
            stage.stage = stage.stage.at(at.value);
            stage.at = at.span;
        }
        Some(stage)
    }

    /// The one key that says what the stage does.
    fn kind_of<'v, 't>(
        &mut self,
        table: &'v DeTable<'t>,
        value: &Value<'_>,
    ) -> Option<(&'v Spanned<DeString<'t>>, &'v Value<'t>)> {
        let mut kinds = table.iter().filter(|(key, _)| KINDS.contains(&key.get_ref().as_ref()));
        let Some(first) = kinds.next() else {
            let help = "add one of ramp, hold, step, spike and arrivals";
            self.wrong(value, "the stage does not say what it does".into(), help);
            return None;
        };
        if let Some((second, _)) = kinds.next() {
            let message = format!("the stage has both `{}` and `{}`", first.0.get_ref(), second.get_ref());
            let problem = Problem::new(message, Some(second.span()));
            self.problems.push(problem.help("make two stages of it, each under a line [[stages]] of its own"));
            return None;
        }
        Some(first)
    }

    fn body(
        &mut self,
        table: &DeTable<'_>,
        key: &Spanned<DeString<'_>>,
        what: &Value<'_>,
        whole: &Value<'_>,
    ) -> Option<DraftStage> {
        let name = key.get_ref().as_ref();
        if let Some((spacing, _)) = table.get_key_value("spacing")
            && name != "arrivals"
        {
            let problem = Problem::new("`spacing` belongs to arrivals", Some(spacing.span()));
            self.problems.push(problem.help("leave it out"));
        }
        let (stage, over) = match name {
            "hold" => {
                if let Some((over, _)) = table.get_key_value("over") {
                    let problem = Problem::new("a hold has no `over`", Some(over.span()));
                    self.problems.push(problem.help("it says itself how long it is: hold = \"10m\""));
                }
                let over = self.duration(name, what)?;
                (Stage::hold(over.value), over)
            }
            "arrivals" => {
                let over = self.over(table, name, whole);
                let rates = self.rates(what);
                let poisson = self.spacing(table);
                let (over, (from, to)) = (over?, rates?);
                let stage = Stage::arrivals_between(from, to, over.value);
                (if poisson { stage.poisson() } else { stage }, over)
            }
            _ => {
                let level = self.whole(name, what);
                let over = self.over(table, name, whole)?;
                let (level, over) = (level?, over);
                (level_stage(name, level.value, over.value), over)
            }
        };
        Some(DraftStage { stage, whole: Some(whole.span()), kind: Some(what.span()), over: over.span, at: None })
    }

    fn over(&mut self, table: &DeTable<'_>, name: &str, whole: &Value<'_>) -> Option<Located<Duration>> {
        let Some(over) = table.get("over") else {
            self.wrong(whole, format!("the {name} does not say how long it takes"), "add over = \"30s\"");
            return None;
        };
        self.duration("over", over)
    }

    /// A constant rate, or `{ from, to }`.
    fn rates(&mut self, value: &Value<'_>) -> Option<(Rate, Rate)> {
        let Some(table) = value.get_ref().as_table() else {
            return self.rate("arrivals", value).map(|rate| (rate.value, rate.value));
        };
        for (key, _) in table {
            if !["from", "to"].contains(&key.get_ref().as_ref()) {
                self.unknown(key, "a changing rate", &["from", "to"]);
            }
        }
        let (Some(from), Some(to)) = (table.get("from"), table.get("to")) else {
            let help = "write arrivals = { from = \"0/s\", to = \"500/s\" }";
            self.wrong(value, "a changing rate needs both `from` and `to`".into(), help);
            return None;
        };
        let (from, to) = (self.rate("from", from), self.rate("to", to));
        Some((from?.value, to?.value))
    }

    /// Whether the arrivals are spaced as those of a Poisson process.
    fn spacing(&mut self, table: &DeTable<'_>) -> bool {
        let Some(spacing) = table.get("spacing") else {
            return false;
        };
        match spacing.get_ref().as_str() {
            Some("poisson") => true,
            Some("even") => false,
            _ => {
                self.wrong(spacing, "the spacing is unknown".into(), "use \"even\" or \"poisson\"");
                false
            }
        }
    }
}

fn level_stage(name: &str, level: u64, over: Duration) -> Stage {
    match name {
        "ramp" => Stage::ramp(level, over),
        "step" => Stage::step(level, over),
        _ => Stage::spike(level, over),
    }
}
