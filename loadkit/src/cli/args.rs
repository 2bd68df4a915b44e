//! What may stand on the command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};
use clap_complete::Shell;
use loadkit_core::flight::MAX_EVENTS;
use loadkit_core::{Rate, Seed, SourcePool, Split, Threshold, parse_duration};

use super::gate::{self, GATE, GateArgs, GateLimits};
use super::sinks::SinkArgs;

/// Load-tests a game server with players written as code.
#[derive(Debug, Parser)]
#[command(arg_required_else_help = true, after_help = EXIT_CODES)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXIT_CODES: &str = "\
Exit codes:
  0  passed
  1  a threshold was missed
  2  wrong use
  3  the run is invalid: the load generator was sick, or nobody could play";

const RUN_EXAMPLES: &str = "\
Examples:
  run --target 127.0.0.1:4000                              10 players for 10 seconds
  run --target game.test:4000 --bots 1000 --ramp 30s --duration 10m
  run --target game.test:4000 --arrivals 50/s --duration 5m
  run soak.toml --target game.test:4000                    a plan, on another target
  run --target game.test:4000 --network lte=0.3,perfect=0.7  three in ten players on phones
  run --bots 100 --threshold 'p99(login) < 250ms' --threshold 'errors < 0.1%'

Ctrl-C asks the players to leave and reports; a second Ctrl-C ends at once and reports all the same.";

const REPLAY_HELP: &str = "\
A run writes the flights of players that failed, and of a few that did not, to flights/SEAT-LIFE.json in its report.

Examples:
  replay report/flights/17-0.json --show                   what it did last
  replay report/flights/17-0.json --target 127.0.0.1:4000  the same player again, against this server

Exit codes:
  0  it ended as it had: the failure is reproduced
  1  it ended in another way
  2  wrong use: the file is no flight, or is of another client or plan
  3  it could not be played to its end";

/// What a client can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Plays: runs the bots on this machine and reports.
    #[command(after_help = RUN_EXAMPLES)]
    Run(Box<RunArgs>),
    /// Finds the most players that hold an objective, by runs of more and more of them.
    #[command(after_help = super::capacity::HELP)]
    Capacity(Box<super::CapacityArgs>),
    /// Plays one recorded player again, and shows where it goes another way.
    #[command(after_help = REPLAY_HELP)]
    Replay(ReplayArgs),
    /// Lists what can be played.
    Scenarios,
    /// Says which build this is, and where it can run.
    Info(InfoArgs),
    /// Compares the report of a new build with those of an old one: is it worse, by more than noise?
    #[command(after_help = gate::EXAMPLES)]
    Gate(Box<GateArgs>),
    /// Checks a plan without playing it, and says what it would do.
    Check(CheckArgs),
    /// Prints a completion script for a shell.
    Completions {
        /// The shell.
        shell: Shell,
    },
}

/// The arguments of `replay`.
#[derive(Debug, clap::Args)]
pub struct ReplayArgs {
    /// The flight, from the folder `flights` of a report.
    pub flight: PathBuf,
    /// The server, instead of the one that was recorded.
    #[arg(long, short)]
    pub target: Option<String>,
    /// Shows the flight, and plays nothing.
    #[arg(long)]
    pub show: bool,
    /// Shows all events, not only those near a difference.
    #[arg(long, conflicts_with = "show")]
    pub all: bool,
    /// Accepts servers whose TLS certificate does not verify.
    #[arg(long)]
    pub insecure: bool,
    /// Addresses of this machine to connect from, instead of those of the plan.
    #[arg(long, value_parser = sources, value_name = "ADDRS")]
    pub sources: Option<SourcePool>,
}

/// The arguments of `info`.
#[derive(Debug, clap::Args)]
pub struct InfoArgs {
    /// Prints it as JSON.
    #[arg(long)]
    pub json: bool,
}

/// The arguments of `check`.
#[derive(Debug, clap::Args)]
pub struct CheckArgs {
    /// The plan, a TOML file.
    pub plan: PathBuf,
}

/// The arguments that whoever plays has: against which server, as whom, from where, and what is written of it.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct PlayArgs {
    /// The server under test: HOST:PORT, or with a scheme: udp://, tcp://, tls://, ws://, wss://, quic://, http://,
    /// https://, mem://NAME. What it can be depends on the scenario.
    #[arg(long, short)]
    pub target: Option<String>,
    /// Accepts servers whose TLS certificate does not verify. The report says so.
    #[arg(long)]
    pub insecure: bool,
    /// Which scenario to play, if there are several.
    #[arg(long)]
    pub scenario: Option<String>,
    /// Seats that play together.
    #[arg(long, value_name = "SEATS", help_heading = PLAYERS)]
    pub party: Option<u64>,
    /// Over which network the players play: lte, or several with their shares: lte=0.3,perfect=0.7. There are perfect,
    /// wifi-busy, lte, 3g-train, and those of the plan.
    #[arg(long, value_name = "PROFILE", help_heading = PLAYERS)]
    pub network: Option<String>,
    /// Makes the bots behave as in another run with the same seed.
    #[arg(long, value_parser = seed, help_heading = PLAYERS)]
    pub seed: Option<Seed>,
    /// Addresses of this machine to connect from, seats taking turns: 127.0.0.1-127.0.0.100, 10.1.0.0/16.
    #[arg(long, value_parser = sources, value_name = "ADDRS", help_heading = PLAYERS)]
    pub sources: Option<SourcePool>,
    /// Lets the players of a thread share so many UDP sockets, where their protocol can: 10,000 players fit where
    /// descriptors are few.
    #[arg(long, value_name = "N", help_heading = PLAYERS)]
    pub sockets: Option<u64>,
    /// Threads; by default one a core.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024), help_heading = PLAYERS)]
    pub shards: Option<u32>,
    /// Where the report goes.
    #[arg(long, value_name = "DIR", default_value = "report", help_heading = OUTPUT)]
    pub report: PathBuf,
    /// Writes no files.
    #[arg(long, conflicts_with = "report", help_heading = OUTPUT)]
    pub no_report: bool,
    /// Prints the result as JSON on standard output, in place of the summary.
    #[arg(long, help_heading = OUTPUT)]
    pub json: bool,
    /// No progress, and no summary.
    #[arg(long, short, help_heading = OUTPUT)]
    pub quiet: bool,
}

const PLAYERS: &str = "Players";
const OUTPUT: &str = "Output";

/// The arguments of `run`. Flags override the plan.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct RunArgs {
    /// A plan, as a TOML file; without one: 10 players for 10 seconds.
    pub plan: Option<PathBuf>,
    /// Against which server, as whom, from where, and what is written of it.
    #[command(flatten)]
    pub play: PlayArgs,
    /// Lets every second party play against this server instead, the build before, so that both have the same minutes of this
    /// machine. At the end the gate says whether the target is worse.
    #[arg(long, value_name = "TARGET", help_heading = GATE)]
    pub against: Option<String>,
    /// Compares with this report of the build before at the end, as `gate` does. Several show how much the machine differs from
    /// run to run.
    #[arg(long, value_name = "DIR", conflicts_with = "against", help_heading = GATE)]
    pub gate: Vec<PathBuf>,
    /// What the gate looks for.
    #[command(flatten)]
    pub limits: GateLimits,
    /// How many players to hold connected.
    #[arg(long, short)]
    pub bots: Option<u64>,
    /// How long to play, the ramp included: 90s, 10m, 1h30m.
    #[arg(long, short, value_parser = duration, value_name = "TIME", allow_hyphen_values = true)]
    pub duration: Option<Duration>,
    /// How long to take until all players are connected.
    #[arg(long, value_parser = duration, value_name = "TIME", allow_hyphen_values = true)]
    pub ramp: Option<Duration>,
    /// Instead of holding a number: new players at this rate: 50/s, 30/m.
    #[arg(long, value_parser = rate, value_name = "RATE", conflicts_with = "bots")]
    pub arrivals: Option<Rate>,
    /// What must hold, for example 'p99(login) < 250ms'. Beside those of the plan; may be given more than once.
    #[arg(long, value_parser = threshold, value_name = "RULE")]
    pub threshold: Vec<Threshold>,
    /// Tells figures apart by this too: persona, or network. May be given more than once.
    #[arg(long, value_parser = split, value_name = "WHAT")]
    pub split: Vec<Split>,
    /// Records so many of each player's last steps and messages: 64, fewer for more players, or off. Those of failing
    /// players are in the report.
    #[arg(long, value_parser = flight, value_name = "N|off")]
    pub flight: Option<u32>,
    /// Which build of the server this is, for the report; by default what LOADKIT_BUILD says.
    #[arg(long, value_name = "NAME")]
    pub build: Option<String>,
    /// An earlier report that this one is to show beside it: its directory, or its report.json.
    #[arg(long, value_name = "DIR")]
    pub baseline: Option<PathBuf>,
    /// Where the figures go while the run is on.
    #[command(flatten)]
    pub sinks: SinkArgs,
}

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).map_err(|error| error.to_string())
}

fn rate(text: &str) -> Result<Rate, String> {
    Rate::parse(text).map_err(|error| error.to_string())
}

pub(super) fn seed(text: &str) -> Result<Seed, String> {
    Seed::parse(text).map_err(|error| error.to_string())
}

pub(super) fn sources(text: &str) -> Result<SourcePool, String> {
    text.parse::<SourcePool>().map_err(|failure| failure.message().to_owned())
}

fn flight(text: &str) -> Result<u32, String> {
    let wrong = || format!("write a number of events from 1 to {MAX_EVENTS}, or off");
    if text == "off" {
        return Ok(0);
    }
    text.parse().ok().filter(|events| (1..=MAX_EVENTS).contains(events)).ok_or_else(wrong)
}

fn split(text: &str) -> Result<Split, String> {
    text.parse()
}

pub(super) fn threshold(text: &str) -> Result<Threshold, String> {
    Threshold::parse(text).map_err(|error| format!("\n{error}"))
}
