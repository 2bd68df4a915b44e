//! `split = ["persona"]`: figures told apart by who a player is, beside those of all players together.
//!
//! What a bot records as `login` is then recorded as `login{persona=casual}` too. Such names count towards the bound on
//! names, and each costs a record more.

use std::fmt;
use std::str::FromStr;

use crate::bot::Seat;
use crate::network::Networks;
use crate::plan::suggest;
use crate::run::RunInfo;

/// By what figures are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Split {
    /// By the persona that a player is.
    Persona,
    /// By the network that a player is on. Without networks in the plan nothing is told apart.
    Network,
}

impl Split {
    const ALL: [(&'static str, Split); 2] = [("persona", Split::Persona), ("network", Split::Network)];

    fn name(self) -> &'static str {
        Split::ALL.iter().find(|(_, split)| *split == self).map_or("", |(name, _)| name)
    }
}

impl FromStr for Split {
    type Err = String;

    fn from_str(text: &str) -> Result<Split, String> {
        if let Some((_, split)) = Split::ALL.iter().find(|(name, _)| *name == text) {
            return Ok(*split);
        }
        let names = Split::ALL.map(|(name, _)| name);
        let hint = suggest(text, names).map(|name| format!("; did you mean {name:?}?")).unwrap_or_default();
        Err(format!("figures can be split by {}, not by {text:?}{hint}", names.join(" and ")))
    }
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a part of a figure is called: `net.rtt{protocol=rudp}` is the part of `net.rtt` with the label `protocol=rudp`.
#[derive(Clone, Debug)]
pub struct Label {
    key: &'static str,
    value: Value,
}

#[derive(Clone, Debug)]
enum Value {
    Static(&'static str),
    /// A share of the players: its index, and its name.
    Share(u32, Box<str>),
}

impl Label {
    /// A label whose values are few and known: each has a place in the table of names.
    pub const fn new(key: &'static str, value: &'static str) -> Label {
        Label { key, value: Value::Static(value) }
    }

    /// Cheap, and never the same for two labels; one label may have several.
    pub(crate) fn id(&self) -> u64 {
        let value = match &self.value {
            Value::Static(value) => value.as_ptr() as u64,
            Value::Share(index, _) => u64::from(*index),
        };
        (self.key.as_ptr() as u64).rotate_left(32) ^ value
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Value::Static(value) => write!(f, "{}={value}", self.key),
            Value::Share(_, name) => write!(f, "{}={name}", self.key),
        }
    }
}

/// Whether a name is that of a figure, not of a part of one.
pub(crate) fn is_whole(name: &str) -> bool {
    !name.contains('{')
}

/// What the figures of each server are called, where two are played against: the first is the one under test.
pub(crate) const SIDES: [Label; 2] = [Label::new("target", "candidate"), Label::new("target", "baseline")];

/// The labels of a split, by the index of a player's share.
#[derive(Debug)]
pub(crate) struct Labels {
    /// None where it is by the server.
    split: Option<Split>,
    labels: Vec<Label>,
}

impl Labels {
    /// Those that the run's plan asks for.
    pub(crate) fn all(run: &RunInfo) -> Box<[Labels]> {
        let all = run.plan().split().iter().map(|&split| {
            let names: Vec<&str> = match split {
                Split::Persona => run.weights().names().collect(),
                Split::Network => {
                    let networks = run.plan().networks().into_iter().flat_map(Networks::iter);
                    networks.map(|(profile, _)| profile.name()).collect()
                }
            };
            let key = split.name();
            let label = |(index, name): (u32, &str)| Label { key, value: Value::Share(index, name.into()) };
            Labels { split: Some(split), labels: (0..).zip(names).map(label).collect() }
        });
        let sides = run.target().baseline().map(|_| Labels { split: None, labels: SIDES.to_vec() });
        all.chain(sides).collect()
    }

    /// The label of a player's share.
    pub(crate) fn of(&self, seat: &Seat) -> Option<&Label> {
        let index = match self.split {
            Some(Split::Persona) => seat.persona,
            Some(Split::Network) => seat.network,
            None => u32::from(seat.party() % 2 == 1),
        };
        self.labels.get(index as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_figures_can_be_split_by() {
        assert_eq!("persona".parse::<Split>(), Ok(Split::Persona));
        assert_eq!(Split::Persona.to_string(), "persona");
        let error = "personna".parse::<Split>().unwrap_err();
        assert_eq!(
            error,
            "figures can be split by persona and network, not by \"personna\"; did you mean \"persona\"?"
        );
        assert_eq!("network".parse::<Split>().map(|split| split.to_string()), Ok("network".to_owned()));
    }
}
