//! `cargo xtask test`: set up, check everything, say what happened.
//!
//! Cheap steps come first, so that a typing error is known in seconds. A failed step stops none of the others.

use std::env;
use std::process::Command;
use std::thread;
use std::time::Instant;

use crate::process::{self, cargo};
use crate::setup;
use crate::summary::{Outcome, Step, Summary, Tally};
use crate::{purity, tidy};

/// Whether everything passed.
pub(crate) fn run() -> bool {
    let start = Instant::now();
    // Packages come from the network and most steps wait for the compiler: the two go well together.
    let setting_up = thread::spawn(|| timed(setup::prepare));
    let mut summary = Summary { ci: env::var_os("CI").is_some_and(|ci| ci == "true"), ..Summary::default() };

    summary.step("fmt", || component("fmt", "rustfmt", &mut cargo(&["fmt", "--all", "--check"])));
    summary.step("tidy", || outcome(tidy::run()));
    summary.step("purity", || outcome(purity::run().and_then(|()| purity::local())));
    summary.step("clippy", || {
        let lint = ["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"];
        component("clippy", "clippy", &mut cargo(&lint))
    });
    summary.step("doc", || {
        let mut doc = cargo(&["doc", "--workspace", "--no-deps"]);
        outcome(process::run(doc.env("RUSTDOCFLAGS", "--deny warnings")))
    });

    if !setting_up.is_finished() {
        println!("\n== setup: waiting for packages");
    }
    let (variables, outcome_of_setup, seconds) = match setting_up.join() {
        Ok((setup, seconds)) if setup.left_out.is_empty() => (setup.variables, Outcome::Ok, seconds),
        Ok((setup, seconds)) => (setup.variables, Outcome::LeftOut(setup.left_out), seconds),
        Err(_) => (Vec::new(), Outcome::Failed("it panicked, see above".to_string()), 0.0),
    };
    summary.push("setup", outcome_of_setup, seconds);

    let mut tally = Tally::default();
    summary.step("test", || {
        let mut test = cargo(&["test", "--workspace", "--no-fail-fast"]);
        test.envs(variables);
        outcome(process::stream(&mut test, |line| tally.see(line)))
    });
    summary.tally = tally;
    summary.seconds = start.elapsed().as_secs_f64();
    print!("{summary}");
    summary.passed()
}

impl Summary {
    fn step(&mut self, name: &'static str, run: impl FnOnce() -> Outcome) {
        println!("\n== {name}");
        let (outcome, seconds) = timed(run);
        if let Outcome::Failed(why) = &outcome {
            println!("{name}: {why}");
        }
        self.push(name, outcome, seconds);
    }

    fn push(&mut self, name: &'static str, outcome: Outcome, seconds: f64) {
        self.steps.push(Step { name, outcome, seconds });
    }
}

/// Runs a command that a Rust installation may lack.
fn component(subcommand: &str, component: &str, command: &mut Command) -> Outcome {
    if process::output(&mut cargo(&[subcommand, "--version"])).is_err() {
        let line = format!("step {subcommand}: there is no {component}; `rustup component add {component}` brings it");
        return Outcome::LeftOut(vec![line]);
    }
    outcome(process::run(command))
}

fn outcome(result: Result<(), String>) -> Outcome {
    result.map_or_else(Outcome::Failed, |()| Outcome::Ok)
}

fn timed<T>(run: impl FnOnce() -> T) -> (T, f64) {
    let start = Instant::now();
    (run(), start.elapsed().as_secs_f64())
}
