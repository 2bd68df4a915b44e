//! `split = ["persona"]`: figures told apart by who a player is, beside those of all players together.
//!
//! What a bot records as `login` is then recorded as `login{persona=casual}` too. Such names count towards the bound on
//! names, and each costs a record more.

use std::fmt;
use std::str::FromStr;

use crate::bot::Seat;
use crate::plan::suggest;
use crate::run::RunInfo;

/// By what figures are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Split {
    /// By the persona that a player is.
    Persona,
}

impl Split {
    const ALL: [(&'static str, Split); 1] = [("persona", Split::Persona)];
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
        let name = Split::ALL.iter().find(|(_, split)| split == self).map_or("", |(name, _)| name);
        f.write_str(name)
    }
}

/// What a share of the players is called in the names of its figures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Label {
    /// Unique in the run.
    pub(crate) id: u32,
    /// As in `{persona=casual}`, with the brackets.
    pub(crate) text: Box<str>,
}

/// The labels of a split, by the index of a player's share.
#[derive(Debug)]
pub(crate) struct Labels {
    split: Split,
    labels: Vec<Label>,
}

impl Labels {
    /// Those that the run's plan asks for.
    pub(crate) fn all(run: &RunInfo) -> Box<[Labels]> {
        let all = run.plan().split().iter().map(|&split| {
            let names = match split {
                Split::Persona => run.weights().names(),
            };
            let first = split as u32 * 0x1_0000;
            let label = |(id, name)| Label { id, text: format!("{{{split}={name}}}").into() };
            Labels { split, labels: (first..).zip(names).map(label).collect() }
        });
        all.collect()
    }

    /// The label of a player's share.
    pub(crate) fn of(&self, seat: &Seat) -> Option<&Label> {
        let index = match self.split {
            Split::Persona => seat.persona,
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
        assert_eq!(error, "figures can be split by persona, not by \"personna\"; did you mean \"persona\"?");
    }
}
