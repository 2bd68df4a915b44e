//! What happened, in lines that can be read from the bottom up.

use std::fmt;

/// How one step ended.
#[derive(Debug, PartialEq)]
pub(crate) enum Outcome {
    Ok,
    /// Why, in words.
    Failed(String),
    /// One line for each thing that did not run: what it is, what it lacks, and the command that brings that.
    LeftOut(Vec<String>),
}

#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) name: &'static str,
    pub(crate) outcome: Outcome,
    pub(crate) seconds: f64,
}

/// The sums of the `test result:` lines of `cargo test`.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) ignored: u64,
}

impl Tally {
    /// Takes in one line of the output. Lines that are not results are none of its business.
    pub(crate) fn see(&mut self, line: &str) {
        let Some((_, counts)) = line.strip_prefix("test result: ").and_then(|rest| rest.split_once(". ")) else {
            return;
        };
        for count in counts.split(';') {
            let mut words = count.split_whitespace();
            let Some(number) = words.next().and_then(|word| word.parse::<u64>().ok()) else {
                continue;
            };
            match words.next() {
                Some("passed") => self.passed += number,
                Some("failed") => self.failed += number,
                Some("ignored") => self.ignored += number,
                _ => {}
            }
        }
    }
}

/// All that `cargo xtask test` has to say at its end.
#[derive(Debug, Default)]
pub(crate) struct Summary {
    pub(crate) steps: Vec<Step>,
    pub(crate) tally: Tally,
    pub(crate) seconds: f64,
    /// Nothing may be left out.
    pub(crate) ci: bool,
}

impl Summary {
    pub(crate) fn passed(&self) -> bool {
        let no_failure = self.steps.iter().all(|step| !matches!(step.outcome, Outcome::Failed(_)));
        no_failure && self.tally.failed == 0 && (!self.ci || self.left_out().is_empty())
    }

    fn left_out(&self) -> Vec<&str> {
        let left_out = self.steps.iter().flat_map(|step| match &step.outcome {
            Outcome::LeftOut(lines) => lines.as_slice(),
            _ => &[],
        });
        left_out.map(String::as_str).collect()
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f)?;
        for Step { name, outcome, seconds } in &self.steps {
            let outcome = match outcome {
                Outcome::Ok => "ok".to_string(),
                Outcome::Failed(why) => {
                    format!("FAILED: {}", why.lines().next().unwrap_or_default().trim_end_matches(':'))
                }
                Outcome::LeftOut(_) => "left out".to_string(),
            };
            writeln!(f, "{name:<8}{seconds:>7.1} s  {outcome}")?;
        }
        writeln!(f, "{:<8}{:>7.1} s", "all", self.seconds)?;
        let left_out = self.left_out();
        for line in &left_out {
            writeln!(f, "left out: {line}")?;
        }
        if self.ci && !left_out.is_empty() {
            writeln!(f, "FAILED: under CI=true nothing may be left out")?;
        }
        let Tally { passed, failed, ignored } = &self.tally;
        write!(f, "{passed} passed, {failed} failed")?;
        if *ignored > 0 { writeln!(f, ", {ignored} skipped") } else { writeln!(f) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(outcome: Outcome, ci: bool) -> Summary {
        Summary {
            steps: vec![Step { name: "clippy", outcome, seconds: 12.34 }],
            tally: Tally { passed: 7, failed: 0, ignored: 0 },
            seconds: 12.5,
            ci,
        }
    }

    #[test]
    fn the_tally_adds_the_results_of_all_test_binaries() {
        let mut tally = Tally::default();
        for line in [
            "running 12 tests",
            "test clock::tests::ticks ... ok",
            "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 3 filtered out; finished in 0.00s\n",
            "test result: FAILED. 2 passed; 5 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.20s\n",
            "test result: none",
            "   test result: ok. 9 passed; 0 failed",
        ] {
            tally.see(line);
        }
        assert_eq!(tally, Tally { passed: 14, failed: 5, ignored: 1 });
    }

    #[test]
    fn all_well_ends_in_the_counts() {
        let summary = summary(Outcome::Ok, true);
        assert!(summary.passed());
        assert_eq!(summary.to_string(), "\nclippy     12.3 s  ok\nall        12.5 s\n7 passed, 0 failed\n");
    }

    #[test]
    fn a_failed_step_fails_the_whole_and_says_why_on_one_line() {
        let summary = summary(Outcome::Failed("it ended with exit status: 101\nmore".into()), false);
        assert!(!summary.passed());
        assert!(summary.to_string().contains("FAILED: it ended with exit status: 101\nall"), "{summary}");
    }

    #[test]
    fn a_failed_test_fails_the_whole_even_if_its_step_did_not_notice() {
        let mut summary = summary(Outcome::Ok, false);
        summary.tally.failed = 1;
        assert!(!summary.passed());
    }

    #[test]
    fn what_is_left_out_passes_at_a_desk_and_fails_in_ci() {
        let mut summary = summary(Outcome::LeftOut(vec!["the browser".into(), "the server".into()]), false);
        assert!(summary.passed());
        let lines = "left out\nall        12.5 s\nleft out: the browser\nleft out: the server\n";
        assert!(summary.to_string().contains(&format!("{lines}7 passed, 0 failed\n")), "{summary}");
        summary.ci = true;
        assert!(!summary.passed());
        let closing = "FAILED: under CI=true nothing may be left out\n7 passed, 0 failed\n";
        assert!(summary.to_string().contains(&format!("{lines}{closing}")), "{summary}");
    }
}
