//! `(RunRequest, Plan, Estimate, Caller, addresses) -> Ok | Refusal`: what may be launched, by whom, against what.
//!
//! A policy is a file of rules with names. **All rules that apply to a caller must hold, and a refusal names the one that
//! does not.** A rule limits what it speaks of and nothing else:
//!
//! ```toml
//! [[rules]]
//! name = "only the studio's own servers"
//! hosts = ["*.test.example.com"]            # the target's name
//! networks = ["10.0.0.0/8", "loopback"]     # and every address behind it
//!
//! [[rules]]
//! name = "CI stays small"
//! for = ["ci-*", "arn:aws:sts::*:assumed-role/ci-*"]
//! players = 20_000
//! duration = "30m"
//! cost = 20.0
//!
//! [[rules]]
//! name = "only operations launches on Fargate"
//! except = ["ops-*"]
//! runners = ["local", "lambda"]
//!
//! [[rules]]
//! name = "who may launch"
//! callers = ["ci-*", "ops-*", "arn:aws:sts::123456789012:assumed-role/*"]
//! ```
//!
//! **Where no rule speaks of targets, only loopback and private networks are allowed.** Link-local addresses, where clouds
//! keep their credentials, and those of many at once are never targets.

mod pattern;
mod rails;
mod read;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io::Read as _;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use loadkit_core::{Plan, PlanError, Problem, format_duration};

use crate::estimate::Estimate;
use crate::guard::Refusal;
use crate::launcher::Home;
use crate::request::{Caller, RunRequest};

pub(crate) use pattern::{CallerPattern, host_of};
use pattern::{HostPattern, Network, is_never_a_target, is_private};

/// The largest policy file.
const MAX_BYTES: u64 = 1 << 20;
/// The rule where no rule speaks of targets.
const DEFAULT_TARGETS: &str = "loopback and private networks only (the default)";
/// The rule about addresses that no game server has.
const NEVER: &str = "no link-local, multicast, broadcast or unspecified address (always)";
/// The rule about targets that two programs could read in two ways.
const PLAIN: &str = "the target is written plainly, as HOST:PORT (always)";

/// What may be launched.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Policy {
    rules: Vec<Rule>,
}

/// A limit for some callers. What it does not speak of is None, or empty.
#[derive(Clone, Debug, Default, PartialEq)]
struct Rule {
    name: String,
    applies_to: Option<Vec<CallerPattern>>,
    except: Vec<CallerPattern>,
    callers: Option<Vec<CallerPattern>>,
    hosts: Option<Vec<HostPattern>>,
    networks: Option<Vec<Network>>,
    players: Option<u64>,
    duration: Option<Duration>,
    cost: Option<f64>,
    runners: Option<Vec<Home>>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the rule `{}` refuses it: {}", self.rule, self.why)
    }
}

impl std::error::Error for Refusal {}

impl Policy {
    /// Reads a policy in TOML. `origin` names the text in errors.
    ///
    /// # Errors
    /// Everything that is wrong with it, each problem at its line.
    pub fn parse(text: &str, origin: &str) -> Result<Policy, PlanError> {
        read::read(text).map_err(|problems| PlanError::in_text(problems, origin, text))
    }

    /// Reads a policy file of at most 1 MiB.
    ///
    /// # Errors
    /// If it cannot be read, and as [`Policy::parse`].
    pub fn load(path: impl AsRef<Path>) -> Result<Policy, PlanError> {
        let name = path.as_ref().display().to_string();
        let fail = |why: String| {
            let problem = Problem::new(format!("the policy {name} {why}"), None);
            PlanError::in_text(vec![problem.help("a fleet without a policy it was given does not start")], &name, "")
        };
        let mut bytes = Vec::new();
        let file = std::fs::File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes));
        file.map_err(|error| fail(format!("cannot be read: {error}")))?;
        if bytes.len() as u64 > MAX_BYTES {
            return Err(fail("is larger than 1 MiB".into()));
        }
        let text = String::from_utf8(bytes).map_err(|_| fail("is not UTF-8 text".into()))?;
        Policy::parse(&text, &name)
    }

    /// The names of its rules.
    pub fn rules(&self) -> impl Iterator<Item = &str> {
        self.rules.iter().map(|rule| rule.name.as_str())
    }

    /// All that refuses a run: of each rule what it says of caller, target, home, players, time and cost. `addrs` are the
    /// addresses to which the fleet resolved the target. Who may not launch at all learns no more than that.
    pub fn refusals(
        &self,
        request: &RunRequest,
        plan: &Plan,
        estimate: &Estimate,
        caller: &Caller,
        addrs: &[SocketAddr],
    ) -> Vec<Refusal> {
        let rules = self.rules_for(caller);
        if let Some(refusal) = rules.iter().find_map(|rule| rule.check_caller(caller).err()) {
            return vec![refusal];
        }
        let target = request.target.as_deref().or(plan.target()).unwrap_or("");
        let of_target = check_target(&rules, target, addrs).err();
        let of_rule = |rule: &&Rule| {
            [
                rule.check_runner(estimate.home),
                rule.check_players(estimate.players),
                rule.check_duration(plan.duration()),
                rule.check_cost(estimate),
            ]
        };
        let of_rules = rules.iter().flat_map(of_rule).filter_map(Result::err);
        of_target.into_iter().chain(of_rules).collect()
    }

    /// Whether so many players may play for this caller: a run that is turned up is checked again.
    ///
    /// # Errors
    /// The first rule that refuses it.
    pub fn check_players(&self, caller: &Caller, players: u64) -> Result<(), Refusal> {
        self.rules_for(caller).into_iter().try_for_each(|rule| rule.check_players(players))
    }

    fn rules_for(&self, caller: &Caller) -> Vec<&Rule> {
        self.rules.iter().filter(|rule| rule.is_for(caller)).collect()
    }
}

impl Rule {
    fn is_for(&self, caller: &Caller) -> bool {
        let named = |patterns: &[CallerPattern]| patterns.iter().any(|pattern| pattern.fits(&caller.name));
        self.applies_to.as_deref().is_none_or(named) && !named(&self.except)
    }

    fn speaks_of_targets(&self) -> bool {
        self.hosts.is_some() || self.networks.is_some()
    }

    fn refuse(&self, why: String) -> Result<(), Refusal> {
        Err(Refusal { rule: self.name.clone(), why })
    }

    fn check_caller(&self, caller: &Caller) -> Result<(), Refusal> {
        match &self.callers {
            Some(callers) if !callers.iter().any(|pattern| pattern.fits(&caller.name)) => {
                self.refuse(format!("{} may not launch runs", shown(&caller.name)))
            }
            _ => Ok(()),
        }
    }

    fn check_runner(&self, home: Home) -> Result<(), Refusal> {
        match &self.runners {
            Some(runners) if !runners.contains(&home) => {
                let names: Vec<String> = runners.iter().map(Home::to_string).collect();
                self.refuse(format!("it would run on {home}, and the rule allows {}", names.join(", ")))
            }
            _ => Ok(()),
        }
    }

    fn check_players(&self, players: u64) -> Result<(), Refusal> {
        match self.players {
            Some(most) if players > most => self.refuse(format!("it has up to {players} players, of at most {most}")),
            _ => Ok(()),
        }
    }

    fn check_duration(&self, duration: Duration) -> Result<(), Refusal> {
        match self.duration {
            Some(longest) if duration > longest => {
                let (duration, longest) = (format_duration(duration), format_duration(longest));
                self.refuse(format!("it lasts {duration}, of at most {longest}"))
            }
            _ => Ok(()),
        }
    }

    fn check_cost(&self, estimate: &Estimate) -> Result<(), Refusal> {
        match self.cost {
            Some(most) if estimate.dollars.high > most => {
                self.refuse(format!("it may cost ${:.2}, of at most ${most:.2}", estimate.dollars.high))
            }
            _ => Ok(()),
        }
    }

    /// Whether the target is one of the rule's: its name by `hosts`, and each address behind it by `networks`.
    fn check_target(&self, target: &str, host: &str, addrs: &[IpAddr]) -> Result<(), Refusal> {
        let literal = host.parse::<IpAddr>().ok();
        let by_name = self.hosts.as_ref().map(|hosts| hosts.iter().any(|pattern| pattern.fits(host)));
        // An address that is written as the target has no name: `networks` alone decide, if there are any.
        if by_name == Some(false) && (literal.is_none() || self.networks.is_none()) {
            return self.refuse(format!("the target {} is none of its hosts", shown(target)));
        }
        let Some(networks) = &self.networks else { return Ok(()) };
        if addrs.is_empty() {
            return self.refuse(format!("the target {} has no address that could be checked", shown(target)));
        }
        match addrs.iter().find(|addr| !networks.iter().any(|network| network.contains(**addr))) {
            Some(addr) => self.refuse(format!("the target {} is at {addr}, in none of its networks", shown(target))),
            None => Ok(()),
        }
    }
}

/// Whether all rules allow the target; and what holds for every target.
fn check_target(rules: &[&Rule], target: &str, addrs: &[SocketAddr]) -> Result<(), Refusal> {
    // It never leaves the worker's memory.
    if target.starts_with("mem:") {
        return Ok(());
    }
    let host = host_of(target).to_ascii_lowercase();
    let host = host.strip_suffix('.').unwrap_or(&host);
    if !host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte)) {
        let why =
            format!("the target {} has a host with other characters than letters, digits and -_.:", shown(target));
        return Err(Refusal { rule: PLAIN.into(), why });
    }
    let literal = host.parse::<IpAddr>().ok();
    let addrs: Vec<IpAddr> =
        addrs.iter().map(|addr| addr.ip()).chain(literal).map(|addr| addr.to_canonical()).collect();
    if let Some(addr) = addrs.iter().find(|addr| is_never_a_target(**addr)) {
        return Err(Refusal { rule: NEVER.into(), why: format!("the target {} is at {addr}", shown(target)) });
    }
    let speaking: Vec<&&Rule> = rules.iter().filter(|rule| rule.speaks_of_targets()).collect();
    if !speaking.is_empty() {
        return speaking.into_iter().try_for_each(|rule| rule.check_target(target, host, &addrs));
    }
    let why = match addrs.iter().find(|addr| !is_private(**addr)) {
        Some(addr) => format!("the target {} is at {addr}", shown(target)),
        None if addrs.is_empty() => format!("the target {} has no address that could be checked", shown(target)),
        None => return Ok(()),
    };
    let why = format!("{why}; a policy file with `hosts` or `networks` says what else may be loaded");
    Err(Refusal { rule: DEFAULT_TARGETS.into(), why })
}

/// What a stranger wrote, at most so much of it, quoted.
fn shown(text: &str) -> String {
    let short: String = text.chars().take(200).collect();
    format!("{short:?}")
}
