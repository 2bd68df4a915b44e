//! How a command ended: exit codes, finished runs, and wrong use.

use std::fmt;

use loadkit_core::{Report, Verdict};

/// The exit code of wrong use.
pub(super) const WRONG_USE: u8 = 2;
/// The exit code of an invalid run.
pub(super) const INVALID: u8 = 3;

/// A run that took place.
#[derive(Debug)]
pub struct Finished {
    /// All figures, and the verdict.
    pub report: Report,
    /// What could not be written or printed, in plain words. The figures are in [`Finished::report`] all the same.
    pub unwritten: Option<String>,
}

impl Finished {
    /// 0 passed, 1 a threshold was missed, 2 the report could not be written or printed, 3 invalid.
    pub fn exit_code(&self) -> u8 {
        match self.report.judgement.verdict {
            Verdict::Pass if self.unwritten.is_some() => WRONG_USE,
            verdict => verdict.exit_code(),
        }
    }
}

/// Why a command could not be carried out: what was wrong, where, and what to do.
#[derive(Debug)]
pub struct UseError {
    message: String,
    code: u8,
}

impl UseError {
    pub(super) fn new(message: impl fmt::Display) -> UseError {
        UseError { message: message.to_string(), code: WRONG_USE }
    }

    /// The machine, not the user, is at fault: the run counts as invalid.
    pub(super) fn invalid(message: impl fmt::Display) -> UseError {
        UseError { message: message.to_string(), code: INVALID }
    }

    /// What was asked for could not be printed.
    pub(super) fn unprinted(error: &std::io::Error) -> UseError {
        UseError::new(format_args!("standard output cannot be written: {error}"))
    }

    /// The exit code: 2 wrong use, 3 an invalid run.
    pub fn exit_code(&self) -> u8 {
        self.code
    }
}

impl fmt::Display for UseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for UseError {}
