//! Style as a test: the rules that rustc and clippy do not know, over every file that git would commit.

mod allow;
mod rules;
mod source;

use std::collections::BTreeSet;
use std::fmt;

use allow::{ALLOWED, Exception};
use rules::{RULES, Rule};
use source::Source;

use crate::process;

/// A rule broken at a place.
#[derive(Debug)]
struct Fault {
    path: String,
    line: usize,
    what: String,
    why: &'static str,
    remedy: &'static str,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Fault { path, line, what, why, remedy } = self;
        write!(f, "{path}:{line}: {what}; {why}; {remedy}")
    }
}

pub(crate) fn run() -> Result<(), String> {
    let sources = sources()?;
    let faults = check(&sources, ALLOWED);
    if faults.is_empty() {
        println!("{} files are tidy", sources.len());
        return Ok(());
    }
    for fault in &faults {
        println!("{fault}");
    }
    Err(match faults.len() {
        1 => "1 fault".to_string(),
        count => format!("{count} faults"),
    })
}

/// All faults, less the excepted ones, by path and line. An exception that excepts nothing is a fault itself, so that
/// the list stays as short as it can be.
fn check(sources: &[Source], allowed: &[Exception]) -> Vec<Fault> {
    let mut used = BTreeSet::new();
    let mut faults = Vec::new();
    for source in sources {
        for Rule { name, why, remedy, check } in RULES {
            for (line, what) in check(source) {
                let fits = |e: &Exception| e.rule == *name && source.path.starts_with(e.path);
                if let Some(exception) = allowed.iter().position(fits) {
                    used.insert(exception);
                } else {
                    faults.push(Fault { path: source.path.clone(), line, what, why, remedy });
                }
            }
        }
    }
    for (index, Exception { rule, path, .. }) in allowed.iter().enumerate() {
        if !used.contains(&index) {
            faults.push(Fault {
                path: "xtask/src/tidy/allow.rs".to_string(),
                line: 1,
                what: format!("nothing in {path} needs its exception from `{rule}`"),
                why: "an exception that is not needed hides the next fault",
                remedy: "remove it",
            });
        }
    }
    faults.sort_by(|a, b| (&a.path, a.line).cmp(&(&b.path, b.line)));
    faults
}

/// The text files of ours that git tracks or would track.
fn sources() -> Result<Vec<Source>, String> {
    let files = ["ls-files", "--cached", "--others", "--exclude-standard", "-z"];
    let list = process::output(process::command("git").args(files))
        .map_err(|why| format!("git lists the files to check, and did not: {why}"))?;
    let mut sources = Vec::new();
    for path in list.split('\0').filter(|path| source::is_ours(path)) {
        match std::fs::read_to_string(process::root().join(path)) {
            Ok(text) => sources.push(Source::new(path, text)),
            // Git still lists a file that was deleted and not committed.
            Err(why) if why.kind() == std::io::ErrorKind::NotFound => {}
            Err(why) => return Err(format!("{path}: cannot be read: {why}")),
        }
    }
    Ok(sources)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXCEPTION: Exception = Exception { rule: "clock", path: "a/src/clock.rs", reason: "it is the clock" };

    fn reader_of_the_clock(path: &str) -> Source {
        Source::new(path, "//! A.\nfn now() -> Instant {\n    Instant::now()\n}\n".to_string())
    }

    #[test]
    fn a_fault_reads_as_place_what_why_and_remedy() {
        let faults = check(&[reader_of_the_clock("a/src/other.rs")], &[]);
        let [fault] = faults.as_slice() else { panic!("{faults:?}") };
        assert!(fault.to_string().starts_with("a/src/other.rs:3: `Instant::now` "), "{fault}");
    }

    #[test]
    fn an_exception_excepts_its_rule_in_its_file_only() {
        let sources = [reader_of_the_clock("a/src/clock.rs"), reader_of_the_clock("a/src/other.rs")];
        let faults = check(&sources, &[EXCEPTION]);
        assert_eq!(faults.iter().map(|f| f.path.as_str()).collect::<Vec<_>>(), ["a/src/other.rs"]);
    }

    #[test]
    fn an_exception_that_nothing_needs_is_a_fault() {
        let faults = check(&[], &[EXCEPTION]);
        assert!(faults[0].what.contains("a/src/clock.rs"), "{faults:?}");
    }

    #[test]
    fn every_exception_names_a_rule_and_a_reason() {
        for exception in ALLOWED {
            assert!(RULES.iter().any(|rule| rule.name == exception.rule), "{exception:?}");
            assert!(exception.reason.len() > 10, "{exception:?}");
        }
    }
}
