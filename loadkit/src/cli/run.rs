//! `run` and `check`: from arguments to a plan, from a plan to a report.

use std::hash::{BuildHasher, RandomState};
use std::io::IsTerminal;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use loadkit_core::format;
use loadkit_core::gate::{compare_sides, gate_summary};
use loadkit_core::{
    Conditions, Control, Ended, Host, Job, MetricSink, Overrides, Plan, Report, RunError, RunFacts, RunId, Seed,
    Segment, Table, Target, Totals, check_writable, format_duration, names, summary, write_json, write_report,
};

use super::args::{CheckArgs, RunArgs};
use super::gate::{self, Baselines};
use super::live::Live;
use super::outcome::{Finished, UseError};
use super::scenario::AnyScenario;
use super::{Client, room, say, signals, sinks, target};
use crate::host::Os;

/// The environment's word for the build of the server under test.
const BUILD: &str = "LOADKIT_BUILD";

impl Client {
    /// Plays as the arguments say, with progress, summary and report. The process's Ctrl-C stops it.
    ///
    /// # Errors
    /// Only before the first player starts. What goes wrong later is in the report.
    pub fn run(&self, args: &RunArgs) -> Result<Finished, UseError> {
        let plan = plan_of(args)?;
        let scenario = self.find(plan.scenario())?;
        let target = target_of(&plan)?;
        let trusting = |target: Target| if args.play.insecure { target.unverified() } else { target };
        let target = trusting(target);
        let target = match &args.against {
            Some(baseline) => target.against(trusting(target::resolve(baseline)?)),
            None => target,
        };
        room::check(scenario, &plan, &target, Segment::WHOLE)?;
        if !args.play.no_report {
            check_writable(&args.play.report).map_err(UseError::new)?;
        }
        // Before the run: it may take the baseline's place.
        let baseline = args.baseline.as_ref().map(Report::load).transpose().map_err(UseError::new)?;
        let (before, limits) = (Baselines::load(&args.gate)?, gate::options(&args.limits)?);
        let seed = plan.seed().unwrap_or_else(|| Seed(random()));
        let mut job = Job::whole(RunId(random()), plan, target, seed);
        job.shards = args.play.shards.unwrap_or(job.shards);
        before.check("this run", &RunFacts::new(&job, scenario.name(), 0))?;
        let mut report = play(scenario, &job, args)?;
        report.run.client = self.title();
        report.run.stamp = Some(self.stamped());
        report.run.build = args.build.clone().or_else(|| std::env::var(BUILD).ok()).unwrap_or_default();
        if let Some(baseline) = baseline.as_ref().or_else(|| before.last()) {
            report.compare_with(baseline);
        }
        if before.last().is_some() {
            report.take_gate(before.compare("this run", &report, None, &limits));
        }
        Ok(hand_over(report, args))
    }

    /// Checks a plan without playing it.
    pub(super) fn check(&self, args: &CheckArgs) -> Result<u8, UseError> {
        let plan = Plan::load(&args.plan).map_err(UseError::new)?;
        let scenario = self.find(plan.scenario())?;
        let own = scenario.personas().map_err(UseError::new)?;
        own.with(plan.personas().collect()).map_err(UseError::new)?;
        if let Some(target) = plan.target() {
            target::resolve(target)?;
        }
        check_rows(&plan)?;
        let described = format!("{} is sound:\n{}", args.plan.display(), describe(&plan, scenario));
        say::result(described).map_err(|error| UseError::unprinted(&error))?;
        Ok(0)
    }
}

/// The plan, with what the flags override.
pub(super) fn plan_of(args: &RunArgs) -> Result<Plan, UseError> {
    let plan = match &args.plan {
        Some(path) => Plan::load(path).map_err(UseError::new)?,
        None => Plan::default(),
    };
    let play = &args.play;
    let overrides = Overrides {
        scenario: play.scenario.clone(),
        target: play.target.clone(),
        bots: args.bots,
        ramp: args.ramp,
        duration: args.duration,
        arrivals: args.arrivals,
        seed: play.seed,
        party: play.party,
        network: play.network.clone(),
        sources: play.sources.clone(),
        sockets: play.sockets,
        flight: args.flight,
        split: args.split.clone(),
        thresholds: args.threshold.clone(),
        ..Overrides::default()
    };
    plan.with(overrides).map_err(UseError::new)
}

pub(super) fn target_of(plan: &Plan) -> Result<Target, UseError> {
    let none = "no target: say which server to play against, with --target HOST:PORT or `target = \"HOST:PORT\"` in \
                the plan";
    target::resolve(plan.target().ok_or_else(|| UseError::new(none))?)
}

/// Whether there are rows for all seats in the files that the plan names.
pub(super) fn check_rows(plan: &Plan) -> Result<(), UseError> {
    let accounts = plan.accounts().map(|file| ("accounts", file));
    for (what, file) in accounts.into_iter().chain(plan.data()) {
        let table = Table::load(file).map_err(UseError::new)?;
        table.require(plan.shape().seats(), what).map_err(UseError::new)?;
    }
    Ok(())
}

/// Runs the job to its end and judges it.
fn play(scenario: &dyn AnyScenario, job: &Job, args: &RunArgs) -> Result<Report, UseError> {
    let control = Control::new();
    signals::obey(&control);
    let facts = RunFacts::new(job, scenario.name(), unix_now().as_secs());
    let live = Live::new(job, &scenario.name(), &control, args.play.quiet);
    let mut live = sinks::beside(live, args, job, &scenario.name(), unix_now)?;
    let ended = perform(scenario, job, &control, &mut live)?;
    let (live, deliveries) = live.finish();
    let mut judge = live.finish();
    sinks::count_losses(&deliveries, job, &mut judge);
    let mut judgement = judge.judgement(&conditions(job, &ended, judge.collector().totals()));
    sinks::warn_of_losses(&deliveries, &mut judgement, args.play.quiet);
    let mut report = Report::new(facts, judge.collector(), judgement);
    if job.target.baseline().is_some() {
        report.take_gate(compare_sides(judge.collector(), job.plan.duration(), &gate::options(&args.limits)?));
    }
    Ok(report)
}

/// Runs the job on this machine.
pub(super) fn perform(
    scenario: &dyn AnyScenario,
    job: &Job,
    control: &Control,
    sink: &mut dyn MetricSink,
) -> Result<Ended, UseError> {
    let host: Arc<dyn Host> = Arc::new(Os);
    scenario.run(job, &host, control, sink).map_err(|error| match error {
        RunError::Setup(_) | RunError::System(_) => UseError::invalid(error),
        _ => UseError::new(error),
    })
}

/// What this machine says about a job that ended so.
pub(super) fn conditions(job: &Job, ended: &Ended, totals: &Totals) -> Conditions {
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u32);
    let sharp = totals.count(names::COARSE_TIMERS) == 0;
    Conditions::new(job.plan.duration(), ended, cores, sharp)
}

/// Writes the report and prints the summary. What cannot be written is said, and the rest comes all the same.
fn hand_over(report: Report, args: &RunArgs) -> Finished {
    let written = if args.play.no_report { Ok(()) } else { write_report(&args.play.report, &report) };
    let printed = if args.play.json {
        serde_json::to_string_pretty(&report).map_err(std::io::Error::from).and_then(|json| say::result(json + "\n"))
    } else if args.play.quiet {
        Ok(())
    } else {
        let page = args.play.report.join("report.html");
        let place = (!args.play.no_report && written.is_ok()).then(|| page.display().to_string());
        let gate =
            report.gate.as_ref().map_or(String::new(), |gate| format!("\nThe build before\n{}", gate_summary(gate)));
        say::result(format_args!("\n{}{gate}", coloured(&summary(&report, place.as_deref()))))
    };
    let mut unwritten = Vec::new();
    // Whoever closes a pipe has read enough of a summary, but not of a report.
    if let Err(error) = &printed
        && (args.play.json || error.kind() != std::io::ErrorKind::BrokenPipe)
    {
        let what = if args.play.json { "report" } else { "summary" };
        unwritten.push(format!("the {what} cannot be printed on standard output: {error}"));
    }
    if let Err(error) = &written {
        unwritten.push(error.to_string());
    }
    // The figures are to be somewhere: in the report, or as JSON on standard output.
    let is_kept = written.is_ok() && !args.play.no_report || printed.is_ok() && args.play.json;
    if !unwritten.is_empty() && !is_kept {
        unwritten.push(rescue(&report));
    }
    let unwritten = (!unwritten.is_empty()).then(|| unwritten.join("; "));
    if let Some(why) = &unwritten {
        say::error(why);
    }
    Finished { report, unwritten }
}

/// The last resort for the figures of a run whose report cannot be written where it should be.
fn rescue(report: &Report) -> String {
    let path = std::env::temp_dir().join(format!("loadkit-report-{}.json", report.run.id));
    match write_json(&path, report) {
        Ok(()) => format!("the figures are in {}", path.display()),
        Err(_) => "run with --json to have the figures on standard output".into(),
    }
}

/// The summary with its verdict in colour, on a terminal that wants colour.
pub(super) fn coloured(summary: &str) -> String {
    let wanted = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let colour = match summary.get(..4) {
        Some("PASS") => "32",
        Some("FAIL") => "31",
        _ => "33",
    };
    match summary.split_once('\n') {
        Some((first, rest)) if wanted => format!("\x1b[1;{colour}m{first}\x1b[0m\n{rest}"),
        _ => summary.to_owned(),
    }
}

/// What a plan would do, a line each.
fn describe(plan: &Plan, scenario: &dyn AnyScenario) -> String {
    let shape = plan.shape();
    let mut lines = vec![format!("scenario   {}", scenario.name())];
    lines.push(format!("target     {}", plan.target().unwrap_or("(none: give --target)")));
    for (at, stage) in shape.stages() {
        lines.push(format!("at {:8} {stage}", format_duration(at)));
    }
    lines.push(format!("ends at    {}", format_duration(plan.duration())));
    lines.push(format!("seats      {}, {} at once at most", format::count(shape.seats()), format::count(shape.peak())));
    for (profile, share) in plan.networks().into_iter().flat_map(|networks| networks.iter()) {
        let (name, trip) = (profile.name(), format_duration(profile.mean_round_trip()));
        let (share, loss) = (share * 100.0, [profile.up(), profile.down()].map(|way| way.loss_rate() * 100.0));
        let [up, down] = loss;
        lines.push(format!(
            "network    {name} for {share:.1}%: adds {trip} to a round trip, loses {up:.1}% up, {down:.1}% down"
        ));
    }
    for threshold in plan.thresholds() {
        lines.push(format!("must hold  {threshold}"));
    }
    lines.into_iter().map(|line| format!("  {line}\n")).collect()
}

/// A number that no other run has: the randomness with which the standard library keys its hash maps.
pub(super) fn random() -> u64 {
    RandomState::new().hash_one(Path::new("run"))
}

pub(super) fn unix_now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO)
}
