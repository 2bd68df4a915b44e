//! What may stand on the command line.

use clap::{Parser, Subcommand};

use crate::ci::{self, CiArgs};
use crate::config::{self, ConfigArgs};
use crate::doctor::{self, DoctorArgs};
use crate::estimate::{self, EstimateArgs};
use crate::exit::{CODES, Exit, Failure};
use crate::gate::{self, GateArgs};
use crate::launch::{self, LaunchArgs};
use crate::new::{self, NewArgs};
use crate::output::Output;
use crate::package::{self, PackageArgs};
use crate::publish::{self, PublishArgs};
use crate::report::{self, ReportArgs};
use crate::runs::{self, RunsArgs};
use crate::serve::{self, ServeArgs};
use crate::steer::{self, DialArgs, StopArgs};
use crate::watch::{self, WatchArgs};

/// A load client for every build of a game server: made, packaged, checked.
#[derive(Debug, Parser)]
#[command(name = "cargo loadkit", bin_name = "cargo loadkit", version, arg_required_else_help = true, after_help = CODES)]
pub struct Cli {
    /// Prints the result as one JSON object on standard output.
    #[arg(long, global = true)]
    pub json: bool,
    /// Says nothing beside the result.
    #[arg(long, short, global = true)]
    pub quiet: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What `cargo loadkit` can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Makes a load client beside a server: a crate that compiles and plays at once.
    #[command(after_help = new::HELP)]
    New(NewArgs),
    /// Builds the load client and packages it: a Lambda zip, an OCI image, and a bill of materials.
    #[command(after_help = package::HELP)]
    Package(PackageArgs),
    /// Tests the load on a build of the server, as one step of a pipeline: builds, packages, starts, plays, judges, stops.
    #[command(after_help = ci::HELP)]
    Ci(Box<CiArgs>),
    /// Puts a package where the fleet finds it: the zip into its Lambda function, the image into its registry.
    #[command(after_help = publish::HELP)]
    Publish(PublishArgs),
    /// Launches a run on the fleet, and follows it to its verdict.
    #[command(after_help = launch::HELP)]
    Launch(Box<LaunchArgs>),
    /// Follows a run that is under way to its verdict.
    #[command(after_help = watch::HELP)]
    Watch(WatchArgs),
    /// Tells a run to stop.
    #[command(after_help = steer::STOP_HELP)]
    Stop(StopArgs),
    /// Turns a run's load up or down while it plays.
    #[command(after_help = steer::DIAL_HELP)]
    Dial(DialArgs),
    /// Lists the runs of the fleet, the latest first.
    #[command(after_help = runs::HELP)]
    Runs(RunsArgs),
    /// Brings the report of a run here.
    #[command(after_help = report::HELP)]
    Report(ReportArgs),
    /// Says whether a build has become worse, from two runs or their reports.
    #[command(after_help = gate::HELP)]
    Gate(GateArgs),
    /// Says what a run would take: workers, quotas, dollars, and what would refuse it.
    #[command(after_help = estimate::HELP)]
    Estimate(EstimateArgs),
    /// Serves a fleet of this machine.
    #[command(after_help = serve::HELP)]
    Serve(ServeArgs),
    /// Prints all settings, and where each came from.
    #[command(after_help = config::HELP)]
    Config(ConfigArgs),
    /// Looks whether this machine can play that many players and be believed, and says what mends it.
    #[command(after_help = doctor::HELP)]
    Doctor(DoctorArgs),
}

impl Cli {
    /// Does it.
    ///
    /// # Errors
    /// In words, with the code to end with.
    pub fn run(&self, output: &Output) -> Result<Exit, Failure> {
        match &self.command {
            Command::New(args) => new::run(args, output),
            Command::Package(args) => package::run(args, output),
            Command::Ci(args) => ci::run(args, output),
            Command::Publish(args) => publish::run(args, output),
            Command::Launch(args) => launch::run(args, output),
            Command::Watch(args) => watch::run(args, output),
            Command::Stop(args) => steer::stop(args, output),
            Command::Dial(args) => steer::dial(args, output),
            Command::Runs(args) => runs::run(args, output),
            Command::Report(args) => report::run(args, output),
            Command::Gate(args) => gate::run(args, output),
            Command::Estimate(args) => estimate::run(args, output),
            Command::Serve(args) => serve::run(args, output),
            Command::Config(args) => config::run(args, output),
            Command::Doctor(args) => doctor::run(args, output),
        }
    }
}
