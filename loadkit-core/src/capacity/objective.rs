//! What is to hold, and how a load is put on the server and judged.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::search::Observation;
use super::settled::Settled;
use crate::metrics::Totals;
use crate::plan::{Overrides, Plan, PlanError, Problem, format_duration};
use crate::report::format;
use crate::shape::Rate;
use crate::threshold::{Comparison, Stat, Threshold};
use crate::verdict::{Check, Conditions, Judge, Judgement, Reason, Verdict, generator_faults};

/// Players join no faster than this a second: how many can log in at once is another question than how many can play.
const JOINS_PER_S: u64 = 200;
/// Without a word on the errors of players, so many of them may fail.
const MAX_ERRORS: f64 = 0.01;

/// What the load is a number of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Load {
    /// Players at once.
    #[default]
    Players,
    /// Players that arrive in a second, each of whom plays once.
    ArrivalsPerSecond,
}

impl Load {
    /// So much of it, in words: `1 player`, `50 arrivals a second`.
    pub fn words(self, load: u64) -> String {
        match self {
            Load::Players => format::counted(load, "player", "players"),
            Load::ArrivalsPerSecond => format::counted(load, "arrival a second", "arrivals a second"),
        }
    }
}

/// What must hold, and for how long it is looked at: the yardstick of a capacity search.
///
/// A probe is a run of its own: its players join evenly, over the time to settle and at most 200 a second; then the time
/// to settle passes once more; and then it is judged, by the figures of that last part alone.
#[derive(Clone, Debug)]
pub struct Objective {
    thresholds: Vec<Threshold>,
    load: Load,
    judged: Duration,
    settle: Duration,
    interval: Duration,
}

/// Why something is no objective.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum ObjectiveError {
    /// There are no thresholds.
    Nothing,
    /// The threshold is easier to hold the more load there is, so there is no most.
    Grows(String),
    /// A probe is to be judged by less than two intervals of figures.
    Short(Duration),
    /// The threshold is about more time than a probe is judged for.
    Long(String, Duration),
}

impl fmt::Display for ObjectiveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ObjectiveError::Nothing => {
                f.write_str("nothing says what must hold: give an objective such as --slo 'p99(login) < 250ms'")
            }
            ObjectiveError::Grows(threshold) => write!(
                f,
                "{threshold} is easier to hold the more players there are, so there is no most of them: give a limit that \
                 more load makes harder to hold, such as a time or a share of errors"
            ),
            ObjectiveError::Short(interval) => write!(
                f,
                "a probe is judged for less than two intervals of figures: give it {} or more",
                format_duration(interval.saturating_mul(2))
            ),
            ObjectiveError::Long(threshold, judged) => write!(
                f,
                "{threshold} would never be judged: a probe is judged for {}; probe longer, or leave out the window",
                format_duration(*judged)
            ),
        }
    }
}

impl Error for ObjectiveError {}

/// What came of a probe.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// For the search.
    pub seen: Observation,
    /// What led to it, from the figures of the part that is judged.
    pub judgement: Judgement,
}

impl Objective {
    /// All of these must hold for `judged`, after the load has had `settle` to settle. Figures come by the plan's
    /// `interval`, so what is judged begins and ends with one.
    ///
    /// Unless one of them is about the errors of players (`errors < 5%`), at most 1 % of the players may fail: a server
    /// that turns them away does not hold them.
    ///
    /// # Errors
    /// If there is no threshold, or one that is no objective, or the time is too short.
    pub fn new(
        thresholds: Vec<Threshold>,
        load: Load,
        judged: Duration,
        settle: Duration,
        interval: Duration,
    ) -> Result<Objective, ObjectiveError> {
        if thresholds.is_empty() {
            return Err(ObjectiveError::Nothing);
        }
        let grows = |threshold: &&Threshold| {
            matches!(threshold.metric().stat(), Stat::Rate | Stat::Count)
                && matches!(threshold.comparison(), Comparison::More | Comparison::AtLeast)
        };
        if let Some(threshold) = thresholds.iter().find(grows) {
            return Err(ObjectiveError::Grows(threshold.to_string()));
        }
        if judged < interval.saturating_mul(2) {
            return Err(ObjectiveError::Short(interval));
        }
        let needs = |threshold: &Threshold| {
            threshold.after().unwrap_or_default().saturating_add(threshold.over().unwrap_or(interval))
        };
        if let Some(threshold) = thresholds.iter().find(|threshold| needs(threshold) > judged) {
            return Err(ObjectiveError::Long(threshold.to_string(), judged));
        }
        let judged = whole(judged, interval);
        Ok(Objective { thresholds, load, judged, settle, interval })
    }

    /// What must hold.
    pub fn thresholds(&self) -> &[Threshold] {
        &self.thresholds
    }

    /// What the load is a number of.
    pub fn load(&self) -> Load {
        self.load
    }

    /// How long a probe is judged.
    pub fn judged(&self) -> Duration {
        self.judged
    }

    /// How long the load has to settle.
    pub fn settle(&self) -> Duration {
        self.settle
    }

    /// From the start of a probe of this load to when it is judged: players join, and then the load settles.
    pub fn lead(&self, load: u64) -> Duration {
        whole(self.ramp(load) + self.settle, self.interval)
    }

    fn ramp(&self, load: u64) -> Duration {
        match self.load {
            Load::Players => self.settle.max(Duration::from_millis(load.saturating_mul(1_000) / JOINS_PER_S)),
            Load::ArrivalsPerSecond => self.settle,
        }
    }

    /// The plan of a probe: that of `base` with this load.
    ///
    /// # Errors
    /// If such a load is more than a plan can have.
    pub fn plan(&self, base: &Plan, load: u64) -> Result<Plan, PlanError> {
        let (bots, arrivals) = match self.load {
            Load::Players => (Some(load), None),
            Load::ArrivalsPerSecond => {
                let rate = Rate::parse(&format!("{load}/s"));
                let rate = rate.map_err(|error| PlanError::of(vec![Problem::new(error.to_string(), None)]))?;
                (None, Some(rate))
            }
        };
        let duration = self.lead(load) + self.judged;
        base.with(Overrides {
            bots,
            arrivals,
            ramp: Some(self.ramp(load)),
            duration: Some(duration),
            ..Overrides::default()
        })
    }

    /// A sink that keeps what a probe of this load is judged by, around another.
    pub fn sink<S>(&self, load: u64, inner: S) -> Settled<S> {
        let lead = self.lead(load);
        Settled::new(inner, lead, lead + self.judged, Judge::new(&self.thresholds, self.interval))
    }

    /// Reads a probe by the [`Settled::judge`] of its sink; `run` has the totals of all of it. `answered` says that the
    /// server answered in an earlier probe: then that it does not any more is a missed objective.
    ///
    /// # Errors
    /// If nothing can be said, in words: nobody could play at all, or what the objective is about is not measured.
    pub fn read(
        &self,
        judge: &Judge,
        run: &Totals,
        conditions: &Conditions,
        answered: bool,
    ) -> Result<Reading, String> {
        let judged = judge.collector().totals();
        let conditions = Conditions { planned: self.judged, ..conditions.clone() };
        let mut judgement = judge.judgement(&conditions);
        if let Some(text) = self.turned_away(judged) {
            judgement.reasons.push(Reason { verdict: Verdict::Fail, text });
            judgement.verdict = judgement.verdict.max(Verdict::Fail);
        }
        let outcomes = || judgement.thresholds.iter().map(|checked| checked.outcome);
        let missed = judgement.reasons.iter().any(|reason| reason.verdict == Verdict::Fail);
        let nobody_played = judged.finished == 0 && !judged.whole_steps().any(|(_, step)| step.succeeded() > 0);
        let measured = !nobody_played && outcomes().all(|outcome| matches!(outcome, Check::Met | Check::Missed));
        let seen = if !generator_faults(judged, &conditions).is_empty() {
            Observation::Invalid
        } else if !measured && !answered {
            return Err(self.why_unmeasured(&judgement, run));
        } else if missed || !measured {
            Observation::Missed
        } else {
            Observation::Held
        };
        Ok(Reading { seen, judgement })
    }

    fn why_unmeasured(&self, judgement: &Judgement, run: &Totals) -> String {
        let mut why: Vec<String> = judgement
            .reasons
            .iter()
            .filter(|reason| reason.verdict == Verdict::Invalid)
            .map(|reason| reason.text.clone())
            .collect();
        let names = self.thresholds.iter().filter_map(|threshold| threshold.metric().name());
        let ran = |name: &str| run.steps.get(name).is_some_and(|step| step.succeeded() > 0);
        for name in names.filter(|name| ran(name) || run.trends.contains_key(*name)) {
            why.push(format!(
                "{name} did run, but perhaps only while players joined or the load settled, which is not judged: probe \
                 longer, or look for the most arrivals a second instead of the most players at once"
            ));
        }
        why.join("\n")
    }

    /// That more players failed than may, if no threshold speaks of it.
    fn turned_away(&self, totals: &Totals) -> Option<String> {
        let speaks = |threshold: &Threshold| {
            matches!(threshold.metric().stat(), Stat::Errors) && threshold.metric().name().is_none()
        };
        let (failed, ended) = (totals.failed(), totals.failed() + totals.finished);
        let share = failed as f64 / ended.max(1) as f64;
        let (kind, _) = totals.failed.iter().max_by_key(|(_, count)| *count)?;
        (share > MAX_ERRORS && !self.thresholds.iter().any(speaks)).then(|| {
            format!(
                "{} of {} failed, most of them by `{kind}`: no more than {} may, unless an objective such as \
                 `errors < 5%` says otherwise",
                format::count(failed),
                format::counted(ended, "player", "players"),
                format::share(MAX_ERRORS),
            )
        })
    }
}

/// The least whole number of intervals that is at least so long.
fn whole(time: Duration, interval: Duration) -> Duration {
    let n = time.as_nanos().div_ceil(interval.as_nanos().max(1));
    interval.saturating_mul(u32::try_from(n).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::StepTotals;

    const SECOND: Duration = Duration::from_secs(1);

    fn objective(text: &str) -> Result<Objective, ObjectiveError> {
        let thresholds = vec![Threshold::parse(text).unwrap()];
        Objective::new(thresholds, Load::Players, 10 * SECOND, 5 * SECOND, SECOND)
    }

    #[test]
    fn what_is_no_objective_is_refused() {
        assert_eq!(objective("rate(move) > 9000/s").unwrap_err(), ObjectiveError::Grows("rate(move) > 9000/s".into()));
        assert!(objective("rate(move) < 9000/s").is_ok());
        let short =
            Objective::new(vec![Threshold::parse("errors < 1%").unwrap()], Load::Players, SECOND, SECOND, SECOND);
        assert!(short.unwrap_err().to_string().contains("2s or more"));
        let long = objective("p99(move) over 20s < 1s").unwrap_err().to_string();
        assert!(long.contains("would never be judged: a probe is judged for 10s"), "{long}");
        let nothing = Objective::new(Vec::new(), Load::Players, 10 * SECOND, SECOND, SECOND);
        assert!(nothing.unwrap_err().to_string().contains("--slo"));
    }

    #[test]
    fn players_join_gently_and_settle_before_they_are_judged() {
        let objective = objective("p99(tick) < 100ms").unwrap();
        let base = Plan::builder().bots(3).duration(77 * SECOND).network(crate::network::Profile::lte(), 1.0).build();
        let plan = objective.plan(&base.unwrap(), 100).unwrap();
        assert_eq!((plan.shape().peak(), plan.duration(), objective.lead(100)), (100, 20 * SECOND, 10 * SECOND));
        assert_eq!(plan.shape().population(5 * SECOND), 100);
        assert!(plan.shape().population(2 * SECOND) < 50 && plan.networks().is_some());
        assert_eq!(objective.lead(4_000), 25 * SECOND, "4,000 at 200 a second, and 5 seconds");
        assert_eq!(objective.lead(1_001), 11 * SECOND, "a whole number of intervals");
    }

    #[test]
    fn arrivals_are_a_rate() {
        let thresholds = vec![Threshold::parse("p99(login) < 100ms").unwrap()];
        let of = Objective::new(thresholds, Load::ArrivalsPerSecond, 10 * SECOND, 5 * SECOND, SECOND).unwrap();
        let plan = of.plan(&Plan::default(), 30).unwrap();
        assert_eq!((plan.shape().peak(), plan.duration()), (0, 20 * SECOND));
        assert_eq!(plan.shape().arrivals(), 30 * 15 + 30 * 5 / 2);
        assert_eq!(of.load().words(1), "1 arrival a second");
        assert!(of.plan(&Plan::default(), 2_000_000).is_err());
    }

    fn judge_of(objective: &Objective, totals: &Totals) -> Judge {
        Judge::of(&crate::Collector::of(totals.clone()), &objective.thresholds)
    }

    /// What a probe with these figures is read as.
    fn read(text: &str, totals: Totals, answered: bool) -> Result<Observation, String> {
        let objective = objective(text).unwrap();
        let conditions = Conditions::new(25 * SECOND, &crate::Ended::default(), 2, true);
        objective.read(&judge_of(&objective, &totals), &totals, &conditions, answered).map(|reading| reading.seen)
    }

    fn played(login_ms: u64, failed: u64) -> Totals {
        let mut login = StepTotals::default();
        (0..100).for_each(|_| login.response.record(login_ms * 1_000));
        let mut totals = Totals { started: 100, finished: 100 - failed, ..Totals::default() };
        totals.steps.insert("login".into(), login);
        totals.failed.extend((failed > 0).then(|| ("refused".to_owned(), failed)));
        totals
    }

    #[test]
    fn probes_are_held_missed_or_invalid() {
        let slo = "p99(login) < 100ms";
        assert_eq!(read(slo, played(50, 0), false), Ok(Observation::Held));
        assert_eq!(read(slo, played(150, 0), false), Ok(Observation::Missed));
        let sick = || {
            let mut totals = played(150, 0);
            totals.counts.insert(crate::names::SENDS_REFUSED.into(), 1_000);
            totals
        };
        assert_eq!(read(slo, sick(), false), Ok(Observation::Invalid), "the generator's fault is not the server's");
    }

    #[test]
    fn who_is_turned_away_is_not_held() {
        assert_eq!(read("p99(login) < 100ms", played(50, 1), false), Ok(Observation::Held));
        assert_eq!(read("p99(login) < 100ms", played(50, 2), false), Ok(Observation::Missed));
        assert_eq!(read("errors < 5%", played(50, 2), false), Ok(Observation::Held));
    }

    #[test]
    fn what_is_never_measured_is_said_with_the_names_there_are() {
        let error = read("p99(logon) < 100ms", played(50, 0), false).unwrap_err();
        assert!(error.contains("did you mean login?") && error.contains("there are: login"), "{error}");
        let error = read("p99(login) < 100ms", Totals::default(), false).unwrap_err();
        assert!(error.contains("no player was started"), "{error}");
    }

    #[test]
    fn what_is_measured_only_before_it_is_judged_is_told_apart() {
        let objective = objective("p99(login) < 100ms").unwrap();
        let mut judged = played(50, 0);
        let login = judged.steps.remove("login").unwrap_or_default();
        judged.steps.insert("tick".into(), login);
        let conditions = Conditions::new(25 * SECOND, &crate::Ended::default(), 2, true);
        let error = objective.read(&judge_of(&objective, &judged), &played(50, 0), &conditions, false).unwrap_err();
        assert!(error.contains("there are: tick") && error.contains("only while players joined"), "{error}");
    }

    #[test]
    fn a_server_that_answers_nobody_any_more_has_missed() {
        let mut silent = Totals { started: 100, cut_off: 100, ..Totals::default() };
        silent
            .steps
            .insert("login".into(), StepTotals { failures: vec![("timed-out".into(), 9)], ..StepTotals::default() });
        assert_eq!(read("p99(login) < 100ms", silent.clone(), true), Ok(Observation::Missed));
        silent.failed.push(("timed-out".into(), 50));
        assert!(read("p99(login) < 100ms", silent, false).is_err());
    }
}
