//! `Policy -> what it allows a caller`, in words.

use std::fmt::Display;

use loadkit_core::{format, format_duration};

use super::{DEFAULT_TARGETS, Policy, Rule};
use crate::guard::Rail;
use crate::request::Caller;

/// Of a longer list so many are told.
const MAX_TOLD: usize = 6;

impl Policy {
    /// The rules that hold for a caller, and what each allows. Who may not launch at all learns of none.
    pub fn rails(&self, caller: &Caller) -> Vec<Rail> {
        let rules = self.rules_for(caller);
        if rules.iter().any(|rule| rule.check_caller(caller).is_err()) {
            return Vec::new();
        }
        let default = (!rules.iter().any(|rule| rule.speaks_of_targets())).then(|| Rail {
            rule: DEFAULT_TARGETS.into(),
            allows: "targets at 127.0.0.0/8, 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, ::1, fc00::/7".into(),
        });
        let told = rules.iter().map(|rule| Rail { rule: rule.name.clone(), allows: rule.allows() });
        default.into_iter().chain(told).collect()
    }
}

impl Rule {
    fn allows(&self) -> String {
        let mut parts = Vec::new();
        parts.extend(self.hosts.as_ref().map(|hosts| format!("targets named {}", list(hosts))));
        parts.extend(self.networks.as_ref().map(|networks| format!("targets at {}", list(networks))));
        parts.extend(self.players.map(|most| format!("at most {}", format::counted(most, "player", "players"))));
        parts.extend(self.duration.map(|longest| format!("at most {}", format_duration(longest))));
        parts.extend(self.cost.map(|most| format!("at most ${most:.2}")));
        parts.extend(self.runners.as_ref().map(|homes| format!("workers on {}", list(homes))));
        parts.extend(self.callers.as_ref().map(|_| "you".to_owned()));
        parts.join(", ")
    }
}

fn list(all: &[impl Display]) -> String {
    let mut text: Vec<String> = all.iter().take(MAX_TOLD).map(ToString::to_string).collect();
    if all.len() > MAX_TOLD {
        text.push(format!("{} more", all.len() - MAX_TOLD));
    }
    text.join(" or ")
}
