//! `cargo loadkit doctor`: whether this machine can play that many players and be believed, and what mends it.

mod checks;
mod cloud;
mod machine;

use loadkit_core::format;
use serde::Serialize;

use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::settings::{SettingArgs, Settings};
use checks::Need;
use machine::Machine;

/// What the help ends with.
pub(crate) const HELP: &str = "\
Examples:
  cargo loadkit doctor
  cargo loadkit doctor --profile launch-day
  cargo loadkit doctor --bots 20000 --json

It looks at this machine and changes nothing. For a fleet on AWS it asks AWS whether the credentials are good and the
account has room for the workers. A fault stops the run that is asked for, or makes its figures untrue; a
warning may.

Exit codes:
  0  no fault
  1  a fault: the line that mends it is shown
  2  a setting makes no sense";

/// Players for which the machine is looked at when nobody says how many.
const BOTS: u64 = 1_000;

/// The arguments of `doctor`.
#[derive(Clone, Debug, clap::Args)]
pub struct DoctorArgs {
    /// So many players are to play on this machine.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    pub bots: Option<u64>,
    /// What the command line says of settings.
    #[command(flatten)]
    pub settings: SettingArgs,
}

/// How grave it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// As it should be.
    Ok,
    /// It cannot be known here.
    Unknown,
    /// It may harm.
    Warning,
    /// It stops the run, or makes its figures untrue.
    Fault,
}

/// What was found of one thing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at.
    pub name: &'static str,
    /// How grave it is.
    pub state: State,
    /// What was found, with figures.
    pub found: String,
    /// The line that mends it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

/// All that was found.
#[derive(Debug, Serialize)]
struct Findings {
    bots: u64,
    worst: State,
    checks: Vec<Finding>,
}

/// Looks at the machine.
///
/// # Errors
/// When a setting makes no sense.
pub fn run(args: &DoctorArgs, output: &Output) -> Result<Exit, Failure> {
    let settings = Settings::resolve(&args.settings)?;
    let bots = args.bots.or_else(|| here(&settings)).unwrap_or(BOTS);
    let players = args.bots.or_else(|| settings.whole("bots")).unwrap_or(BOTS);
    let (machine, need) = (Machine::this(), Need::of(&settings, bots, players));
    let mut checks = checks::all(&machine, &need);
    checks.extend(cloud::all(&machine, &need));
    let worst = checks.iter().map(|finding| finding.state).max().unwrap_or(State::Ok);
    let findings = Findings { bots, worst, checks };
    output.result("loadkit.doctor/1", &findings, words(&findings))?;
    Ok(if worst == State::Fault { Exit::Failed } else { Exit::Done })
}

/// How many of the settings' players play on this machine: all of them, unless they play elsewhere.
fn here(settings: &Settings) -> Option<u64> {
    let is_here = !matches!(settings.text("runner"), Some("lambda" | "fargate")) && settings.text("fleet").is_none();
    settings.whole("bots").filter(|_| is_here)
}

fn words(findings: &Findings) -> String {
    let mut text = format!("This machine, for {}:\n", format::counted(findings.bots, "player", "players"));
    for Finding { name, state, found, remedy } in &findings.checks {
        let mark = match state {
            State::Ok => "ok",
            State::Unknown => "-",
            State::Warning => "warning",
            State::Fault => "FAULT",
        };
        text += &format!("  {mark:<8} {name:<12} {found}\n");
        if let Some(remedy) = remedy {
            text += &format!("  {:8} {:12} mend it: {remedy}\n", "", "");
        }
    }
    let count = |state: State| findings.checks.iter().filter(|finding| finding.state == state).count() as u64;
    let (faults, warnings) = (count(State::Fault), count(State::Warning));
    text + &format!(
        "{}, {}\n",
        format::counted(faults, "fault", "faults"),
        format::counted(warnings, "warning", "warnings")
    )
}
