//! How a command ends: its exit code, and in words why not well.

use std::fmt;
use std::process::ExitCode;

use serde::Serialize;

/// The exit codes of all commands. 0 to 3 are those of a load client too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
pub enum Exit {
    /// Done, passed, in order.
    Done = 0,
    /// It was done, and the answer is no: a threshold was missed, a build has regressed, a check found a fault.
    Failed = 1,
    /// Wrong use: arguments, `loadkit.toml`, a plan or a schema make no sense.
    WrongUse = 2,
    /// The figures say nothing: the load generator was sick, or nobody could play.
    Invalid = 3,
    /// Something that it needs is missing or does not answer: a toolchain, a network, credentials, the fleet service. And of a
    /// run that was left before its end: its verdict.
    Missing = 4,
}

impl Exit {
    /// As a number.
    pub fn code(self) -> u8 {
        self as u8
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.code())
    }
}

/// What every help ends with.
pub(crate) const CODES: &str = "\
Exit codes:
  0  done
  1  the answer is no: a threshold was missed, a build has regressed, a check found a fault
  2  wrong use
  3  the figures say nothing: the load generator was sick, or nobody could play
  4  something is missing or does not answer: a toolchain, a network, credentials, the fleet";

/// Why a command could not be carried out: what is wrong, where, and the line that mends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    exit: Exit,
    what: String,
    remedy: Option<String>,
}

impl Failure {
    /// The user asked for what cannot be.
    pub fn wrong_use(what: impl fmt::Display) -> Failure {
        Failure { exit: Exit::WrongUse, what: what.to_string(), remedy: None }
    }

    /// Something outside is not there.
    pub fn missing(what: impl fmt::Display) -> Failure {
        Failure { exit: Exit::Missing, what: what.to_string(), remedy: None }
    }

    /// It was done, and has failed.
    pub fn failed(what: impl fmt::Display) -> Failure {
        Failure { exit: Exit::Failed, what: what.to_string(), remedy: None }
    }

    /// It was done, and says nothing.
    pub fn invalid(what: impl fmt::Display) -> Failure {
        Failure { exit: Exit::Invalid, what: what.to_string(), remedy: None }
    }

    /// With what mends it: a command, or what to write where.
    #[must_use]
    pub fn mended_by(self, remedy: impl Into<String>) -> Failure {
        Failure { remedy: Some(remedy.into()), ..self }
    }

    /// The code with which the command ends.
    pub fn exit(&self) -> Exit {
        self.exit
    }

    /// What is wrong.
    pub fn what(&self) -> &str {
        &self.what
    }

    /// What mends it.
    pub fn remedy(&self) -> Option<&str> {
        self.remedy.as_deref()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        match &self.remedy {
            Some(remedy) => write!(f, "\n  mend it: {remedy}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Failure {}
