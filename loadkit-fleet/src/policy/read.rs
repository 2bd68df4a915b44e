//! `TOML -> Policy`: reads a policy's text, keeping where everything stands.

use loadkit_core::{Problem, parse_duration, suggest};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::pattern::{CallerPattern, HostPattern, Network};
use super::{Policy, Rule};
use crate::launcher::Home;

const KEYS: [&str; 10] =
    ["name", "for", "except", "callers", "hosts", "networks", "players", "duration", "cost", "runners"];
/// More rules than these nobody can keep in mind.
const MAX_RULES: usize = 200;
/// Texts of a list.
const MAX_LIST: usize = 1_000;

type Value<'t> = Spanned<DeValue<'t>>;

pub(super) fn read(text: &str) -> Result<Policy, Vec<Problem>> {
    let (table, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        return Err(errors.iter().map(|error| Problem::new(error.message(), error.span())).collect());
    }
    let mut reader = Reader::default();
    for (key, value) in table.get_ref() {
        match key.get_ref().as_ref() {
            "rules" => reader.rules(value),
            _ => reader.unknown(key, "a policy", &["rules"]),
        }
    }
    if reader.problems.is_empty() { Ok(Policy { rules: reader.rules }) } else { Err(reader.problems) }
}

#[derive(Default)]
struct Reader {
    rules: Vec<Rule>,
    problems: Vec<Problem>,
}

impl Reader {
    fn wrong(&mut self, value: &Value<'_>, message: impl Into<String>, help: &str) {
        self.problems.push(Problem::new(message, Some(value.span())).help(help));
    }

    fn unknown(&mut self, key: &Spanned<toml::de::DeString<'_>>, place: &str, known: &[&'static str]) {
        let name: String = key.get_ref().chars().take(60).collect();
        let help = match suggest(&name, known.iter().copied()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("the keys of {place} are {}", known.join(", ")),
        };
        self.problems.push(Problem::new(format!("unknown key `{name}`"), Some(key.span())).help(help));
    }

    fn rules(&mut self, value: &Value<'_>) {
        let help = "write each rule under a line [[rules]], with double brackets";
        let Some(rules) = value.get_ref().as_array() else {
            return self.wrong(value, "`rules` is not a list of rules", help);
        };
        if rules.len() > MAX_RULES {
            return self.wrong(value, format!("there are more than {MAX_RULES} rules"), "join some of them");
        }
        for value in rules.iter() {
            match value.get_ref().as_table() {
                Some(table) => self.rule(value, table),
                None => self.wrong(value, "this is no rule", help),
            }
        }
    }

    fn rule(&mut self, whole: &Value<'_>, table: &DeTable<'_>) {
        let mut rule = Rule::default();
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            match name {
                "name" => rule.name = self.text(name, value).unwrap_or_default(),
                "for" => rule.applies_to = self.list(name, value, CallerPattern::parse),
                "except" => rule.except = self.list(name, value, CallerPattern::parse).unwrap_or_default(),
                "callers" => rule.callers = self.list(name, value, CallerPattern::parse),
                "hosts" => rule.hosts = self.list(name, value, HostPattern::parse),
                "networks" => rule.networks = self.list(name, value, Network::parse),
                "players" => rule.players = self.whole(name, value),
                "duration" => rule.duration = self.duration(name, value),
                "cost" => rule.cost = self.dollars(name, value),
                "runners" => rule.runners = self.list(name, value, home),
                _ => self.unknown(key, "a rule", &KEYS),
            }
        }
        if !table.iter().any(|(key, _)| key.get_ref() == "name") {
            self.wrong(whole, "the rule has no name", "give it one: a refusal names the rule");
        }
        let limits = ["callers", "hosts", "networks", "players", "duration", "cost", "runners"];
        if !table.iter().any(|(key, _)| limits.contains(&key.get_ref().as_ref())) {
            self.wrong(whole, "the rule limits nothing", &format!("give it one of {}", limits.join(", ")));
        }
        if !rule.name.is_empty() && self.rules.iter().any(|other| other.name == rule.name) {
            self.wrong(whole, format!("there are two rules called `{}`", rule.name), "a refusal must say which it was");
        }
        self.rules.push(rule);
    }

    fn text(&mut self, name: &str, value: &Value<'_>) -> Option<String> {
        match value.get_ref().as_str().map(str::trim) {
            Some("") | None => {
                self.wrong(value, format!("`{name}` is not a text that says something"), "write a text in quotes");
                None
            }
            Some(text) if text.len() > 200 => {
                self.wrong(value, format!("`{name}` is longer than 200 bytes"), "make it shorter");
                None
            }
            Some(text) => Some(text.to_owned()),
        }
    }

    fn list<T>(&mut self, name: &str, value: &Value<'_>, parse: impl Fn(&str) -> Result<T, String>) -> Option<Vec<T>> {
        let help = format!("write a list of texts: {name} = [\"…\", \"…\"]");
        let Some(list) = value.get_ref().as_array() else {
            self.wrong(value, format!("`{name}` is not a list"), &help);
            return None;
        };
        if list.is_empty() || list.len() > MAX_LIST {
            // An empty list would refuse everything, or nothing: who means that says so plainly.
            self.wrong(value, format!("`{name}` must have 1 to {MAX_LIST} texts"), &help);
            return None;
        }
        let mut parsed = Vec::new();
        for item in list.iter() {
            match item.get_ref().as_str().map(&parse) {
                Some(Ok(value)) => parsed.push(value),
                Some(Err(why)) => self.wrong(item, why, &help),
                None => self.wrong(item, format!("an entry of `{name}` is not a text"), &help),
            }
        }
        Some(parsed)
    }

    fn whole(&mut self, name: &str, value: &Value<'_>) -> Option<u64> {
        let number = value.get_ref().as_integer();
        let number = number.and_then(|number| u64::from_str_radix(number.as_str(), number.radix()).ok());
        if number.is_none() {
            self.wrong(value, format!("`{name}` is not a whole number from 0"), "write one such as 100_000");
        }
        number
    }

    fn duration(&mut self, name: &str, value: &Value<'_>) -> Option<std::time::Duration> {
        let help = "write a duration such as \"30m\" or \"1h30m\", in quotes";
        let Some(text) = value.get_ref().as_str() else {
            self.wrong(value, format!("`{name}` is not a duration"), help);
            return None;
        };
        match parse_duration(text) {
            Ok(duration) => Some(duration),
            Err(error) => {
                self.wrong(value, error.to_string(), help);
                None
            }
        }
    }

    fn dollars(&mut self, name: &str, value: &Value<'_>) -> Option<f64> {
        let number = match value.get_ref() {
            DeValue::Integer(number) => number.as_str().parse::<f64>().ok().filter(|_| number.radix() == 10),
            DeValue::Float(number) => number.as_str().parse::<f64>().ok(),
            _ => None,
        };
        let number = number.filter(|number| number.is_finite() && *number >= 0.0);
        if number.is_none() {
            self.wrong(value, format!("`{name}` is not a sum in dollars"), "write a number such as 20 or 7.5");
        }
        number
    }
}

fn home(text: &str) -> Result<Home, String> {
    [Home::Lambda, Home::Fargate, Home::Local]
        .into_iter()
        .find(|home| home.to_string() == text)
        .ok_or_else(|| format!("{text:?} is no runner: there are lambda, fargate and local"))
}
