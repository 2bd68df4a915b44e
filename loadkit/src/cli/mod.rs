//! The command line of a client binary.
//!
//! Exit codes: 0 the run passed, 1 a threshold was missed, 2 wrong use, 3 the run is invalid.

mod args;
mod capacity;
mod gate;
mod live;
mod outcome;
mod replay;
mod run;
mod say;
mod scenario;
mod signals;
mod sinks;
mod target;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};

pub use args::{Args, CheckArgs, Command, PlayArgs, ReplayArgs, RunArgs};
pub use capacity::{CapacityArgs, Searched};
pub use gate::GateArgs;
pub use outcome::{Finished, UseError};
use scenario::{AnyScenario, Named};
pub use sinks::SinkArgs;

use crate::Scenario;

/// A client binary: its name and its scenarios. `loadkit::main!` makes one.
pub struct Client {
    name: &'static str,
    version: &'static str,
    scenarios: Vec<Box<dyn AnyScenario>>,
}

impl Client {
    /// A client of this name and version, without scenarios yet.
    pub fn new(name: &'static str, version: &'static str) -> Client {
        Client { name, version, scenarios: Vec::new() }
    }

    /// Adds a scenario. The first is played when neither the plan nor the command line names one.
    #[must_use]
    pub fn scenario(mut self, scenario: impl Scenario) -> Client {
        self.scenarios.push(Box::new(Named::new(scenario)));
        self
    }

    /// Does what the process's arguments say.
    pub fn main(self) -> ExitCode {
        self.main_with(std::env::args_os())
    }

    /// Does what these arguments say; the first is the program's own name.
    pub fn main_with(self, args: impl IntoIterator<Item = impl Into<OsString> + Clone>) -> ExitCode {
        let mut command = self.command();
        let parsed = command.try_get_matches_from_mut(args).and_then(|matches| Args::from_arg_matches(&matches));
        let args = match parsed {
            Ok(args) => args,
            Err(error) => {
                // clap knows which of its messages go where, and that help is no error.
                let _ = error.print();
                return ExitCode::from(if error.use_stderr() { outcome::WRONG_USE } else { 0 });
            }
        };
        let done = match args.command {
            Command::Run(args) => self.run(&args).map(|finished| finished.exit_code()),
            Command::Capacity(args) => self.capacity(&args).map(|searched| searched.exit_code()),
            Command::Replay(args) => self.replay(&args),
            Command::Scenarios => self.list(),
            Command::Check(args) => self.check(&args),
            Command::Gate(args) => gate::gate(&args),
            Command::Completions { shell } => {
                let mut script = Vec::new();
                clap_complete::generate(shell, &mut command, self.name, &mut script);
                say::result(String::from_utf8_lossy(&script)).map(|()| 0).map_err(|error| UseError::unprinted(&error))
            }
        };
        ExitCode::from(done.unwrap_or_else(|error| {
            say::error(&error);
            error.exit_code()
        }))
    }

    fn command(&self) -> clap::Command {
        let about = self.scenarios.first().map(|first| first.about()).unwrap_or_default();
        let command = Args::command().name(self.name).bin_name(self.name).version(self.version);
        if about.is_empty() { command } else { command.about(format!("Load-tests a game server: {about}")) }
    }

    fn list(&self) -> Result<u8, UseError> {
        let width = self.scenarios.iter().map(|scenario| scenario.name().len()).max().unwrap_or(0);
        let mut lines = Vec::new();
        for scenario in &self.scenarios {
            lines.push(format!("{:width$}  {}\n", scenario.name(), scenario.about()));
            let personas = scenario.personas().map_err(UseError::new)?;
            for persona in 0..personas.len() {
                if !personas.name(persona).is_empty() {
                    lines.push(format!("{:width$}    {} {}\n", "", personas.weight(persona), personas.name(persona)));
                }
            }
        }
        say::result(lines.concat()).map_err(|error| UseError::unprinted(&error))?;
        Ok(0)
    }

    /// The scenario of this name, or the first.
    fn find(&self, name: Option<&str>) -> Result<&dyn AnyScenario, UseError> {
        let known = || self.scenarios.iter().map(|scenario| scenario.name()).collect::<Vec<_>>().join(", ");
        match name {
            None => self.scenarios.first(),
            Some(name) => self.scenarios.iter().find(|scenario| scenario.name() == name),
        }
        .map(AsRef::as_ref)
        .ok_or_else(|| UseError::new(format!("no scenario is named {:?}; there is: {}", name.unwrap_or(""), known())))
    }
}
