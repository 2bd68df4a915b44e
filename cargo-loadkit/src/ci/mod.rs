//! `cargo loadkit ci`: build -> package -> start the servers -> play -> judge -> stop, as one step of a pipeline.
//!
//! The client judges: it plays both builds of the server at once (`run --against`), or holds its run against reports of earlier
//! ones (`run --gate`). What is here is around it: that servers are ready before and gone afterwards, **whatever happens**, that
//! the report is of this run, and that the exit code says what a pipeline must know.

mod address;
mod advice;
mod baseline;
mod client;
mod group;
mod halt;
mod order;
mod outcome;
mod ready;
mod server;

use std::time::Duration;

use loadkit_core::{Report, Verdict, format_duration};

use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::settings::{SettingArgs, Settings};
use client::Played;
use halt::Halt;
use order::{Base, Order};
use outcome::{Outcome, Started};
use server::{Server, Start};

/// What the help ends with.
pub(crate) const HELP: &str = "\
Examples:
  cargo loadkit ci --server 'target/release/game-server --listen 127.0.0.1:{port}'
  cargo loadkit ci --profile ci --set build=2.31.0           with server = \"…\" in loadkit.toml
  cargo loadkit ci --server 'new/server --port {port}' --base-server 'old/server --port {port}'
  cargo loadkit ci --target 127.0.0.1:4000 --server ./start.sh --ready 'line listening' --keep

It builds the load client and packages it, and plays with what it has packaged; starts the server, waits until it is ready, plays, and ends the server. With
--base-server every second party plays against the build before, so that both have the same minutes of this machine.
Without it the run is held against the reports in the folder `baseline`; while that is empty, the run passes if its
thresholds do, and is kept there.
The folder `report` has report.html, report.json, report.md (for a comment), junit.xml, gate.txt, server.log and
base-server.log.

Exit codes:
  0  passed
  1  a figure has become worse, a threshold was missed, the server fell over, the client does not build
  2  wrong use: a setting, or a baseline of another plan
  3  the figures say nothing: the load generator was sick, or there is not enough data. Unstable, not failed
  4  something is missing: a server that does not become ready, a port that is taken, a toolchain";

/// The arguments of `ci`.
#[derive(Clone, Debug, clap::Args)]
pub struct CiArgs {
    /// The command that starts the server under test; {port} in it is a free one.
    #[arg(long, value_name = "COMMAND")]
    pub server: Option<String>,
    /// The command that starts the build before, to play at both at once.
    #[arg(long, value_name = "COMMAND")]
    pub base_server: Option<String>,
    /// What says that a server is ready: port, 'line TEXT', or 'command COMMAND'.
    #[arg(long, value_name = "WHAT")]
    pub ready: Option<String>,
    /// Reports of the build before: a folder of them, or one.
    #[arg(long, value_name = "DIR")]
    pub baseline: Option<String>,
    /// A load client that is built already.
    #[arg(long, value_name = "FILE")]
    pub client: Option<String>,
    /// Keeps this run among the baselines, unless it fails or is invalid itself.
    #[arg(long)]
    pub keep: bool,
    /// Does not package the client.
    #[arg(long)]
    pub no_package: bool,
    /// What the command line says of settings.
    #[command(flatten)]
    pub settings: SettingArgs,
}

impl CiArgs {
    /// All that the command line says, as settings.
    fn settings(&self) -> SettingArgs {
        let own = [
            ("server", &self.server),
            ("base-server", &self.base_server),
            ("ready", &self.ready),
            ("baseline", &self.baseline),
            ("client", &self.client),
        ];
        let mut settings = self.settings.clone();
        settings.set.extend(own.iter().filter_map(|(name, value)| Some(format!("{name}={}", value.as_ref()?))));
        settings
    }
}

/// Does it all.
///
/// # Errors
/// When nothing was judged: what is wrong, where, and what mends it.
pub fn run(args: &CiArgs, output: &Output) -> Result<Exit, Failure> {
    let settings = args.settings();
    let order = Order::of(&Settings::resolve(&settings)?)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::missing(format!("the system gives no timers: {error}")))?;
    let (outcome, report) = runtime.block_on(step(&order, args, &settings, output))?;
    output.result("loadkit.ci/1", &outcome, outcome.words(&report))?;
    Ok(client::exit(outcome.verdict))
}

/// The step of the pipeline.
async fn step(
    order: &Order,
    args: &CiArgs,
    settings: &SettingArgs,
    output: &Output,
) -> Result<(Outcome, Report), Failure> {
    let mut halt = Halt::listen()?;
    outcome::clear(&order.report)?;
    let packaged = match order.client.is_some() || args.no_package {
        true => None,
        false => Some(client::package(order, settings, &mut halt, output).await?),
    };
    let ready = order.client.clone().or_else(|| packaged.as_ref().and_then(client::that_runs_here));
    let client = match ready {
        Some(client) => client,
        None => client::build(order, &mut halt, output).await?,
    };
    let mut outcome = Outcome::new(order, client, packaged);
    let mut servers = Vec::new();
    let judged = judge(order, &mut outcome, &mut servers, &mut halt, output).await;
    // In any case, before anything is said.
    for server in servers {
        let name = server.start().name;
        if !server.stop(order.stop_within).await {
            outcome.notes.push(format!("the {name} did not end when it was asked to, and was killed"));
        }
    }
    let report = judged?;
    outcome.take(&report)?;
    keep(order, args, &mut outcome, &report)?;
    Ok((outcome, report))
}

/// Starts the servers and plays, again where the load generator was sick.
async fn judge(
    order: &Order,
    outcome: &mut Outcome,
    servers: &mut Vec<Server>,
    halt: &mut Halt,
    output: &Output,
) -> Result<Report, Failure> {
    let against = match &order.base {
        Base::Both(address, start) => {
            outcome.compared = "both-at-once";
            bring_up(order, start.as_deref(), outcome, servers, halt, output).await?;
            Some(address)
        }
        Base::Stored(baselines) => {
            outcome.baselines.clone_from(&baselines.reports);
            if !baselines.reports.is_empty() {
                outcome.compared = "stored";
            }
            None
        }
    };
    bring_up(order, order.server.as_ref(), outcome, servers, halt, output).await?;
    let (mut sick, mut lasts) = (0, None);
    loop {
        outcome.attempts += 1;
        let flags = order.args(against, lasts, output.is_quiet());
        match client::play(order, &outcome.client, servers, &flags, halt, output).await? {
            Played::Broken(failure) => return Err(failure),
            Played::Judged => {}
        }
        if let Some(failure) = servers.iter_mut().find_map(Server::ended) {
            return Err(failure);
        }
        let report = Report::load(&order.report).map_err(Failure::missing)?;
        let why = report.judgement.headline();
        if is_sick(&report) {
            sick += 1;
            if sick >= order.attempts {
                return Ok(report);
            }
            output.say(format_args!("once more, because this run says nothing: {why}"));
        } else {
            // Once only: what is asked for again and again is found in the end, whether it is there or not.
            if lasts.is_some() {
                return Ok(report);
            }
            lasts = longer(order, against.is_some(), &report, outcome);
            let Some(lasts) = lasts else { return Ok(report) };
            output.say(format_args!("once more, for {}: {why}", format_duration(lasts)));
        }
        outcome.notes.push(format!("attempt {} said nothing: {why}", outcome.attempts));
    }
}

/// How long both builds are to be played to be sure of them, if they were not played long enough and may be played longer.
///
/// Stored runs stay as long as they are.
fn longer(order: &Order, both: bool, report: &Report, outcome: &mut Outcome) -> Option<Duration> {
    let more = report.gate.as_ref().filter(|_| both)?.longer()?;
    if order.longer.is_zero() {
        return None;
    }
    if more > order.longer {
        let (more, most) = (format_duration(more), format_duration(order.longer));
        outcome.notes.push(format!("not played again: {more} longer are needed, and `longer` allows {most}"));
        return None;
    }
    // What is missing is itself known by the noise of a run: a fifth more than it says.
    let whole = Duration::try_from_secs_f64(report.run.plan.duration_s).ok()?;
    Some(whole + (more * 6 / 5).min(order.longer))
}

/// Whether the run itself is invalid, whatever the gate says. That the gate has not enough data does not change by as much again.
fn is_sick(report: &Report) -> bool {
    let of_gate = |text: &String| report.gate.as_ref().is_some_and(|gate| gate.reasons.contains(text));
    let reasons = &report.judgement.reasons;
    reasons.iter().any(|reason| reason.verdict == Verdict::Invalid && !of_gate(&reason.text))
}

/// Starts a server, if it is to be started, and waits until it is ready.
async fn bring_up(
    order: &Order,
    start: Option<&Start>,
    outcome: &mut Outcome,
    servers: &mut Vec<Server>,
    halt: &mut Halt,
    output: &Output,
) -> Result<(), Failure> {
    let Some(start) = start else { return Ok(()) };
    output.say(format_args!("starting the {}: {}", start.name, start.command));
    let (server, took) = start.clone().run(&order.ready, order.ready_within, halt).await?;
    outcome.servers.push(Started::new(server.start(), took.as_secs_f64()));
    servers.push(server);
    Ok(())
}

/// Keeps the run as a baseline: where there is none yet, and where that is asked for.
fn keep(order: &Order, args: &CiArgs, outcome: &mut Outcome, report: &Report) -> Result<(), Failure> {
    let Base::Stored(baselines) = &order.base else { return Ok(()) };
    let is_first = baselines.reports.is_empty();
    let folder = baselines.folder.display();
    if is_sick(report) || report.judgement.verdict == Verdict::Fail {
        if is_first || args.keep {
            outcome.notes.push(format!("this run is not kept in {folder}: no build is to be held against it"));
        }
        return Ok(());
    }
    if is_first {
        outcome
            .notes
            .push(format!("no baseline yet in {folder}: nothing was compared; the next run is held against this one"));
    }
    if is_first || args.keep {
        outcome.kept = Some(baselines.keep(&order.report, report)?);
    }
    Ok(())
}
