//! `(Report, baseline) -> Beside`: a run beside an earlier one, step by step.
//!
//! It says what is different, not whether that matters: [`StepBeside::decision`] is the regression gate's to fill.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Report, RunFacts, StepFigures, Times};
use crate::split::is_whole;
use crate::verdict::Verdict;

/// A run beside an earlier one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Beside {
    /// What was run earlier.
    pub run: RunFacts,
    /// How it came out.
    pub verdict: Verdict,
    /// What makes the two hard to compare, in plain words: another scenario, another load, a run that is invalid.
    pub cautions: Vec<String>,
    /// The steps of either, by name.
    pub steps: BTreeMap<String, StepBeside>,
}

/// A step in both runs. Times are response times.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StepBeside {
    /// How often it succeeded a second.
    pub rate_per_s: Change,
    /// The share of it that failed.
    pub error_share: Change,
    /// The median.
    pub p50_us: Change,
    /// The 95th percentile.
    pub p95_us: Change,
    /// The 99th percentile.
    pub p99_us: Change,
    /// What the regression gate makes of it, in words; nothing if it was not asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<String>,
}

/// A figure then and now; nothing where it was not measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// Of the baseline.
    pub old: Option<f64>,
    /// Of this run.
    pub new: Option<f64>,
}

impl Change {
    /// By how much it changed, as a share of the old: 0.1 is 10 % more. Nothing if either is missing or the old is 0.
    pub fn share(self) -> Option<f64> {
        let (old, new) = (self.old?, self.new?);
        (old > 0.0).then(|| (new - old) / old)
    }
}

impl Report {
    /// Puts an earlier run's report beside this one, which from then on shows both.
    pub fn compare_with(&mut self, baseline: &Report) {
        let of = |report: &Report, name: &str| report.steps.get(name).cloned();
        let names = self.steps.keys().chain(baseline.steps.keys()).filter(|name| is_whole(name));
        let steps = names.map(|name| (name.clone(), compared(of(baseline, name).as_ref(), of(self, name).as_ref())));
        self.beside = Some(Beside {
            run: baseline.run.clone(),
            verdict: baseline.judgement.verdict,
            cautions: cautions(baseline, self),
            steps: steps.collect(),
        });
    }
}

/// `+14 %`, `-3.2 %`; nothing if it cannot be said.
pub(super) fn by(change: Change) -> Option<String> {
    let share = change.share()?;
    let sign = if share < 0.0 { "-" } else { "+" };
    Some(if share == 0.0 { "±0 %".to_owned() } else { format!("{sign}{}", super::format::share(share.abs())) })
}

fn compared(old: Option<&StepFigures>, new: Option<&StepFigures>) -> StepBeside {
    let change = |of: &dyn Fn(&StepFigures) -> Option<f64>| Change { old: old.and_then(of), new: new.and_then(of) };
    let time = |of: fn(&Times) -> u64| change(&move |step| step.response.as_ref().map(|times| of(times) as f64));
    StepBeside {
        rate_per_s: change(&|step| Some(step.rate_per_s)),
        error_share: change(&|step| Some(step.error_share)),
        p50_us: time(|times| times.p50_us),
        p95_us: time(|times| times.p95_us),
        p99_us: time(|times| times.p99_us),
        decision: None,
    }
}

fn cautions(old: &Report, new: &Report) -> Vec<String> {
    let mut cautions = Vec::new();
    let mut differ = |what: &str, old: &str, new: &str| {
        if old != new {
            cautions.push(format!("the {what} was {old} then and is {new} now"));
        }
    };
    differ("scenario", &old.run.scenario, &new.run.scenario);
    differ("load", &old.run.plan.stages.join(", then "), &new.run.plan.stages.join(", then "));
    let party = |report: &Report| report.run.plan.party.to_string();
    differ("size of a party", &party(old), &party(new));
    let networks = |report: &Report| {
        let networks = report.run.plan.networks.iter().map(|n| format!("{} {}", n.name, super::format::share(n.share)));
        let networks: Vec<String> = networks.collect();
        if networks.is_empty() { "none".to_owned() } else { networks.join(", ") }
    };
    differ("network between players and server", &networks(old), &networks(new));
    if old.judgement.verdict == Verdict::Invalid {
        cautions.push("the baseline is invalid: its figures say nothing about its server".to_owned());
    }
    if new.judgement.verdict == Verdict::Invalid {
        cautions.push("this run is invalid: its figures say nothing about its server".to_owned());
    }
    cautions
}

#[cfg(test)]
mod tests {
    use super::super::tests::{empty, made_up, passing};
    use super::*;

    #[test]
    fn steps_are_put_side_by_side() {
        let (mut new, mut old) = (made_up(), made_up());
        let login = old.steps.get_mut("login").unwrap();
        login.response = login.response.map(|times| Times { p95_us: times.p95_us / 2, ..times });
        old.steps.remove("buy");
        new.compare_with(&old);
        let compared = new.beside.clone().unwrap();
        let change = compared.steps["login"].p95_us;
        assert_eq!(change.new, new.steps["login"].response.map(|times| times.p95_us as f64));
        assert!((change.share().unwrap() - 1.0).abs() < 0.001, "{change:?}");
        assert_eq!(compared.steps["move"].p99_us.share(), Some(0.0));
        assert_eq!((compared.steps["buy"].rate_per_s.old, compared.steps["buy"].rate_per_s.share()), (None, None));
        assert_eq!(compared.cautions, [""; 0]);
        let json = serde_json::to_string(&new).unwrap();
        assert_eq!(serde_json::from_str::<Report>(&json).unwrap().beside, Some(compared));
    }

    #[test]
    fn what_is_hard_to_compare_is_said() {
        let mut new = passing();
        let mut old = empty();
        old.run.scenario = "lobby".into();
        old.run.plan.stages = vec!["hold 10 for 1m".into()];
        new.compare_with(&old);
        let cautions = new.beside.unwrap().cautions;
        assert_eq!(cautions.len(), 3, "{cautions:?}");
        assert!(cautions[0].contains("lobby then and is arena now") && cautions[2].contains("baseline is invalid"));
    }
}
