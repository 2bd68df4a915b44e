//! Words for the user. That nobody listens any more (a closed pipe, a full disk) is no reason to stop a run.

use std::fmt::Display;
use std::io::{self, Write};

/// Says a line beside the results, on standard error.
pub(super) fn aside(line: impl Display) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// Says what has gone wrong, on standard error.
pub(super) fn error(what: impl Display) {
    let what = what.to_string();
    // Plans and thresholds show their faults with the word already.
    if what.starts_with("error") { aside(what) } else { aside(format_args!("error: {what}")) }
}

/// Writes results to standard output.
///
/// # Errors
/// As the system has them.
pub(super) fn result(text: impl Display) -> io::Result<()> {
    let mut out = io::stdout().lock();
    write!(out, "{text}")?;
    out.flush()
}
