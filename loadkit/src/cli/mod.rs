//! The command line of a client binary.
//!
//! Exit codes: 0 the run passed, 1 a threshold was missed, 2 wrong use, 3 the run is invalid.

mod args;
mod capacity;
mod gate;
mod info;
mod live;
mod outcome;
mod replay;
mod room;
mod run;
mod say;
mod scenario;
mod signals;
mod sinks;
mod target;
#[cfg(any(feature = "worker", feature = "lambda", feature = "fargate"))]
mod work;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};
use loadkit_core::Stamp;

pub use args::{Args, CheckArgs, Command, InfoArgs, PlayArgs, ReplayArgs, RunArgs};
pub use capacity::{CapacityArgs, Searched};
pub use gate::{GateArgs, GateLimits};
pub use outcome::{Finished, UseError};
use scenario::{AnyScenario, Named};
pub use sinks::SinkArgs;

use crate::Scenario;

/// A client binary: its name and its scenarios. `loadkit::main!` makes one.
pub struct Client {
    name: &'static str,
    version: &'static str,
    build: Option<&'static str>,
    told: [Option<&'static str>; 2],
    scenarios: Vec<Box<dyn AnyScenario>>,
}

impl Client {
    /// A client of this name and version, without scenarios yet.
    pub fn new(name: &'static str, version: &'static str) -> Client {
        Client { name, version, build: None, told: [None; 2], scenarios: Vec::new() }
    }

    /// Adds a scenario. The first is played when neither the plan nor the command line names one.
    #[must_use]
    pub fn scenario(mut self, scenario: impl Scenario) -> Client {
        self.scenarios.push(Box::new(Named::new(scenario)));
        self
    }

    /// The build that it was stamped with, by which a fleet can ask for it: `option_env!("LOADKIT_CLIENT_BUILD")`.
    #[must_use]
    pub fn build(self, build: Option<&'static str>) -> Client {
        Client { build, ..self }
    }

    /// What its `build.rs` has told the compiler of this build: `option_env!("LOADKIT_STAMP")` of the commit and how it was
    /// built, `option_env!("LOADKIT_PROTOCOL")` of what goes over the wire. `info` shows it, and each report has it.
    #[must_use]
    pub fn stamp(self, told: Option<&'static str>, protocol: Option<&'static str>) -> Client {
        Client { told: [told, protocol], ..self }
    }

    /// Which build this is.
    pub fn stamped(&self) -> Stamp {
        let [told, protocol] = self.told;
        let mut stamp = Stamp::new(format!("{} {}", self.name, self.version), told, protocol);
        if let Some(build) = self.build.filter(|build| !build.is_empty()) {
            stamp.build = build.to_owned();
        }
        stamp
    }

    /// Whether the environment says that this process is a worker of a fleet: with the feature `lambda`, one with
    /// `AWS_LAMBDA_RUNTIME_API`; with `fargate` or `worker`, one with `LOADKIT_JOB`.
    pub fn is_worker() -> bool {
        #[cfg(any(feature = "worker", feature = "lambda", feature = "fargate"))]
        return work::is_called();
        #[cfg(not(any(feature = "worker", feature = "lambda", feature = "fargate")))]
        return false;
    }

    /// Works for a fleet if the process is a worker of one ([`Client::is_worker`]); otherwise does what its arguments say.
    pub fn main(self) -> ExitCode {
        #[cfg(any(feature = "worker", feature = "lambda", feature = "fargate"))]
        if Client::is_worker() {
            return work::work(self);
        }
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
            Command::Info(args) => self.info(&args),
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

    /// Its name, its version, and the build that it was stamped with.
    fn title(&self) -> String {
        let build = self.build.map_or_else(String::new, |build| format!(" (build {build})"));
        format!("{} {}{build}", self.name, self.version)
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
