//! `capacity`: runs of more and more players, until the most that hold an objective is known.

mod args;

use loadkit_core::capacity::{Capacity, Load, Objective, Probe, Probed, Reading, Search, Why, write_capacity};
use loadkit_core::format::clock;
use loadkit_core::{
    Control, Job, Plan, Report, RunFacts, RunId, Seed, Segment, Stop, Target, Verdict, check_writable, write_report,
};

pub use args::CapacityArgs;
pub(super) use args::HELP;

use super::live::Live;
use super::outcome::{UseError, WRONG_USE};
use super::scenario::AnyScenario;
use super::{Client, room, run, say, signals};

/// A search that took place.
#[derive(Debug)]
pub struct Searched {
    /// The answer, and the curve that led to it.
    pub capacity: Capacity,
    /// What could not be written or printed, in plain words.
    pub unwritten: Option<String>,
}

impl Searched {
    /// 0 the capacity is known or at least the safety limit, 1 not even the least load held, 2 something could not be
    /// written or printed, 3 the load generator gave out before the server, or the search did not come to its end.
    pub fn exit_code(&self) -> u8 {
        match self.capacity.verdict {
            Verdict::Pass if self.unwritten.is_some() => WRONG_USE,
            verdict => verdict.exit_code(),
        }
    }
}

impl Client {
    /// Looks for the capacity as the arguments say, with progress, summary and report. The process's Ctrl-C ends it with
    /// the answer so far.
    ///
    /// # Errors
    /// If the arguments make no sense, or the first probe cannot start or says nothing about the objective.
    pub fn capacity(&self, args: &CapacityArgs) -> Result<Searched, UseError> {
        let plan = run::plan_of(&args.as_run())?;
        let scenario = self.find(plan.scenario())?;
        let target = run::target_of(&plan)?;
        let target = if args.play.insecure { target.unverified() } else { target };
        let slo = if args.slo.is_empty() { plan.thresholds() } else { &args.slo };
        let [judged, settle] = [(args.probe, 30), (args.settle, 10)]
            .map(|(asked, default)| asked.unwrap_or(std::time::Duration::from_secs(default)));
        let objective = Objective::new(slo.to_vec(), args.load(), judged, settle, plan.interval());
        let objective = objective.map_err(UseError::new)?;
        let search = search(args, scenario, &plan, &objective, &target)?;
        if !args.play.no_report {
            check_writable(&args.play.report).map_err(UseError::new)?;
        }
        let seed = plan.seed().unwrap_or_else(|| Seed(run::random()));
        let mut job = Job::whole(RunId(run::random()), plan, target, seed);
        job.shards = args.play.shards.unwrap_or(job.shards);
        let control = Control::new();
        signals::obey(&control);
        let mut hunt =
            Hunt { scenario, job, objective, search, control, quiet: args.play.quiet, probes: Vec::new(), best: None };
        let started = run::unix_now().as_secs();
        hunt.search()?;
        let capacity = Capacity { started_at_unix_s: started, ..hunt.capacity() };
        Ok(hand_over(capacity, hunt.best.as_ref(), args))
    }
}

/// The search, with all that can be known to be impossible said before it starts.
fn search(
    args: &CapacityArgs,
    scenario: &dyn AnyScenario,
    plan: &Plan,
    objective: &Objective,
    target: &Target,
) -> Result<Search, UseError> {
    let mut range = args.range(plan.party());
    // Whether the numbers make sense comes before whether the machine can do them.
    let search = Search::new(range).map_err(UseError::new)?;
    let probe = |load| objective.plan(plan, load).map_err(UseError::new);
    run::check_rows(&probe(range.max)?)?;
    room::check(scenario, &probe(range.start)?, target, Segment::WHOLE)?;
    match room::room(scenario, plan, target) {
        Some((fit, _)) if fit < range.max && objective.load() == Load::Players => {
            say::aside(format_args!(
                "This process has descriptors for {}: the search goes no higher. `ulimit -n` or --sockets give room.",
                objective.load().words(fit)
            ));
            range.max = fit;
            Ok(Search::new(range).map_err(UseError::new)?.limited_by_generator())
        }
        _ => Ok(search),
    }
}

/// A search under way.
struct Hunt<'a> {
    scenario: &'a dyn AnyScenario,
    /// The job of every probe, but for its plan.
    job: Job,
    objective: Objective,
    search: Search,
    control: Control,
    quiet: bool,
    probes: Vec<Probed>,
    /// The report of the greatest load that held; while none did, of the latest probe.
    best: Option<(Option<u64>, Report)>,
}

impl Hunt<'_> {
    /// Makes probes until the answer is there, or somebody stops it.
    fn search(&mut self) -> Result<(), UseError> {
        while let Some(probe) = self.search.next() {
            match self.probe(probe) {
                Ok(Some((reading, report))) => self.take(probe, &reading, report),
                Ok(None) => break,
                Err(error) if self.probes.is_empty() => return Err(error),
                // What is known already is worth more than the error alone.
                Err(error) => {
                    say::error(error);
                    break;
                }
            }
        }
        Ok(())
    }

    /// Makes one probe; none if it was stopped.
    fn probe(&self, probe: Probe) -> Result<Option<(Reading, Report)>, UseError> {
        let plan = self.objective.plan(&self.job.plan, probe.load).map_err(UseError::new)?;
        let job = Job { id: RunId(run::random()), plan, ..self.job.clone() };
        let title = self.title(probe, &job.plan);
        let facts = RunFacts::new(&job, self.scenario.name(), run::unix_now().as_secs());
        let live = Live::titled(title, &job, &self.control, self.quiet);
        let mut sink = self.objective.sink(probe.load, live);
        let ended = run::perform(self.scenario, &job, &self.control, &mut sink)?;
        let (live, judge) = sink.into_parts();
        let whole = live.finish();
        let collector = whole.collector();
        if self.control.asked() != Stop::No {
            return Ok(None);
        }
        let conditions = run::conditions(&job, &ended, collector.totals());
        let reading = self.objective.read(&judge, collector.totals(), &conditions, self.search.has_answered());
        let reading = reading.map_err(UseError::invalid)?;
        let mut judgement = reading.judgement.clone();
        judgement.warnings.push(format!(
            "this is a probe of a capacity search: it was judged by its figures from {} to {} alone, and the rest of this \
             report is of the whole run",
            clock(self.objective.lead(probe.load)),
            clock(job.plan.duration()),
        ));
        Ok(Some((reading, Report::new(facts, collector, judgement))))
    }

    /// What a probe is, in words.
    fn title(&self, probe: Probe, plan: &Plan) -> String {
        let load = self.objective.load().words(probe.load);
        let why = match probe.why {
            Why::Start => "to begin with",
            Why::Higher => "higher",
            Why::Between => "in between",
            Why::Again => "again, to be sure",
        };
        let (from, to) = (clock(self.objective.lead(probe.load)), clock(plan.duration()));
        format!("probe {}: {load} ({why}), judged from {from} to {to}", self.probes.len() + 1)
    }

    fn take(&mut self, probe: Probe, reading: &Reading, report: Report) {
        let probed = Probed::new(probe.load, &self.objective, reading);
        if !self.quiet {
            let load = self.objective.load().words(probe.load);
            say::aside(format_args!("probe {}: {load} {}", self.probes.len() + 1, probed.line()));
        }
        self.search.observe(probe.load, reading.seen);
        self.probes.push(probed);
        let held = (reading.seen == loadkit_core::capacity::Observation::Held).then_some(probe.load);
        if self.best.as_ref().is_none_or(|(best, _)| held >= *best) {
            self.best = Some((held, report));
        }
    }

    fn capacity(&mut self) -> Capacity {
        let found = Capacity::new(&self.search, &self.objective, std::mem::take(&mut self.probes));
        let (scenario, target) = (self.scenario.name().into_owned(), self.job.target.name().to_owned());
        Capacity { scenario, target, seed: self.job.seed.to_string(), ..found }
    }
}

/// Writes the files and prints the summary. What cannot be written is said, and the rest comes all the same.
fn hand_over(capacity: Capacity, best: Option<&(Option<u64>, Report)>, args: &CapacityArgs) -> Searched {
    let mut unwritten = Vec::new();
    if !args.play.no_report {
        let report = best.map_or(Ok(()), |(_, report)| write_report(&args.play.report, report));
        let written = report.and_then(|()| write_capacity(&args.play.report, &capacity));
        unwritten.extend(written.err().map(|error| error.to_string()));
    }
    let printed = if args.play.json {
        serde_json::to_string_pretty(&capacity).map_err(std::io::Error::from).and_then(|json| say::result(json + "\n"))
    } else if args.play.quiet {
        Ok(())
    } else {
        let place = (!args.play.no_report && unwritten.is_empty()).then(|| args.play.report.display().to_string());
        say::result(format_args!("\n{}", run::coloured(&capacity.summary(place.as_deref()))))
    };
    // Whoever closes a pipe has read enough of a summary, but not of the JSON.
    if let Err(error) = printed
        && (args.play.json || error.kind() != std::io::ErrorKind::BrokenPipe)
    {
        unwritten.push(format!("the answer cannot be printed on standard output: {error}"));
    }
    let unwritten = (!unwritten.is_empty()).then(|| unwritten.join("; "));
    if let Some(why) = &unwritten {
        say::error(why);
    }
    Searched { capacity, unwritten }
}
