//! Where words and results go: results to standard output, all else to standard error.

use std::fmt::Display;
use std::io::{self, Write};

use serde::Serialize;
use serde_json::json;

use crate::exit::{Exit, Failure};

/// Where the words and the result of a command go.
///
/// **A command prints its result once, with [`Output::result`]**: as words, or with `--json` as one JSON object.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    json: bool,
    quiet: bool,
}

impl Output {
    /// With `json` results are JSON; with `quiet` there are no words beside them.
    pub fn new(json: bool, quiet: bool) -> Output {
        Output { json, quiet }
    }

    /// Whether results are JSON.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Whether there are no words beside results.
    pub fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Says a line beside the result. That nobody listens is no reason to stop.
    pub fn say(&self, line: impl Display) {
        if !self.quiet {
            let _ = writeln!(io::stderr().lock(), "{line}");
        }
    }

    /// Prints the result: `value` with the name of its schema (`loadkit.new/1`), or `words`, which end with a line feed.
    ///
    /// # Errors
    /// When standard output cannot be written. That whoever reads words has read enough is none.
    pub fn result(&self, schema: &str, value: &impl Serialize, words: impl Display) -> Result<(), Failure> {
        let unprinted = |error: &dyn Display| Failure::missing(format!("standard output cannot be written: {error}"));
        if !self.json {
            return match print(&words) {
                Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(unprinted(&error)),
                _ => Ok(()),
            };
        }
        let mut whole = serde_json::Map::new();
        whole.insert("schema".to_owned(), schema.into());
        match serde_json::to_value(value) {
            Ok(serde_json::Value::Object(fields)) => whole.extend(fields),
            Ok(other) => drop(whole.insert("value".to_owned(), other)),
            Err(error) => return Err(unprinted(&error)),
        }
        let text = serde_json::to_string_pretty(&whole).map_err(|error| unprinted(&error))?;
        print(&(text + "\n")).map_err(|error| unprinted(&error))
    }

    /// Says why a command could not be carried out: as words on standard error and, with `--json`, as an object on standard
    /// output too. The code to end with.
    pub fn failed(&self, failure: &Failure) -> Exit {
        let _ = writeln!(io::stderr().lock(), "error: {failure}");
        self.failed_object(failure)
    }

    /// The same, where the words have been said.
    pub(crate) fn failed_object(&self, failure: &Failure) -> Exit {
        if self.json {
            let error = json!({
                "schema": "loadkit.error/1",
                "exit": failure.exit().code(),
                "error": failure.what(),
                "remedy": failure.remedy(),
            });
            let _ = print(&format!("{error:#}\n"));
        }
        failure.exit()
    }
}

fn print(text: &impl Display) -> io::Result<()> {
    let mut out = io::stdout().lock();
    write!(out, "{text}")?;
    out.flush()
}
