//! What may stand on the command line.

use clap::{Parser, Subcommand};

use crate::ci::{self, CiArgs};
use crate::config::{self, ConfigArgs};
use crate::doctor::{self, DoctorArgs};
use crate::exit::{CODES, Exit, Failure};
use crate::new::{self, NewArgs};
use crate::output::Output;
use crate::package::{self, PackageArgs};

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
            Command::Config(args) => config::run(args, output),
            Command::Doctor(args) => doctor::run(args, output),
        }
    }
}
