//! `Report -> junit.xml`: what a CI server shows as tests. A threshold is a test case, and so is the run itself.
//!
//! INVALID is an error and FAIL a failure: JUnit's own difference between a test that could not be done and one that the
//! code under test did not pass.

use std::io;
use std::time::Duration;

use quick_junit::{NonSuccessKind, TestCase, TestCaseStatus, TestSuite};

use super::{Report, format};
use crate::verdict::{Check, Checked, Judgement, Reason, Verdict};

/// The name of the case of the run itself: of all reasons that are not a threshold's.
const RUN: &str = "the run";

/// The file's text.
pub(super) fn write(report: &Report) -> io::Result<String> {
    let (run, judgement) = (&report.run, &report.judgement);
    let class = format!("loadkit.{}", format::name(&run.scenario, 80));
    let lasted = Duration::try_from_secs_f64(report.lasted_s).unwrap_or_default();
    let mut suite = TestSuite::new(class.clone());
    let facts = [
        ("target", &run.target),
        ("build", &run.build),
        ("client", &run.client),
        ("seed", &run.seed),
        ("run", &run.id),
        ("loadkit", &run.version),
    ];
    for (name, value) in facts.into_iter().filter(|(_, value)| !value.is_empty()) {
        suite.add_property((name, format::fit(value, 200).as_str()));
    }
    suite.set_time(lasted);
    let mut add = |name: &str, status: TestCaseStatus| {
        let mut case = TestCase::new(name, status);
        case.set_classname(class.clone()).set_time(lasted);
        suite.add_test_case(case);
    };
    add(RUN, of_run(judgement));
    for checked in &judgement.thresholds {
        add(&checked.threshold, of_threshold(checked, judgement));
    }
    let mut all = quick_junit::Report::new("loadkit");
    all.set_time(lasted).add_test_suite(suite);
    all.to_string().map_err(io::Error::other)
}

/// Whether a reason is a threshold's: those begin with the threshold.
fn is_of(reason: &Reason, checked: &Checked) -> bool {
    checked.outcome != Check::Met && reason.text.starts_with(&checked.threshold)
}

fn of_run(judgement: &Judgement) -> TestCaseStatus {
    let others = judgement.reasons.iter();
    let others: Vec<&Reason> =
        others.filter(|reason| !judgement.thresholds.iter().any(|checked| is_of(reason, checked))).collect();
    let Some(worst) = others.iter().max_by_key(|reason| reason.verdict) else { return TestCaseStatus::success() };
    let texts: Vec<&str> = others.iter().map(|reason| reason.text.as_str()).collect();
    non_success(worst.verdict, &worst.text, &texts.join("\n"))
}

fn of_threshold(checked: &Checked, judgement: &Judgement) -> TestCaseStatus {
    let verdict = match checked.outcome {
        Check::Met => return TestCaseStatus::success(),
        Check::Missed => Verdict::Fail,
        Check::NoData => Verdict::Invalid,
    };
    let reason = judgement.reasons.iter().find(|reason| is_of(reason, checked));
    let text = match (reason, &checked.measured) {
        (Some(reason), _) => reason.text.clone(),
        (None, Some(measured)) => format!("{} was missed: {measured}", checked.threshold),
        (None, None) => format!("{} cannot be judged: nothing was measured", checked.threshold),
    };
    non_success(verdict, &text, &text)
}

fn non_success(verdict: Verdict, message: &str, description: &str) -> TestCaseStatus {
    let kind = if verdict == Verdict::Invalid { NonSuccessKind::Error } else { NonSuccessKind::Failure };
    let mut status = TestCaseStatus::non_success(kind);
    status.set_type(verdict.name()).set_message(message).set_description(description);
    status
}

#[cfg(test)]
mod tests {
    use super::super::tests::{empty, hostile, made_up, passing};
    use super::*;

    /// How often a text is in another.
    fn times(text: &str, part: &str) -> usize {
        text.matches(part).count()
    }

    #[test]
    fn a_threshold_is_a_test_case() {
        let xml = write(&made_up()).unwrap();
        assert!(xml.contains("tests=\"4\"") && xml.contains("failures=\"1\"") && xml.contains("errors=\"0\""), "{xml}");
        assert!(xml.contains("<failure message=\"p99(login) &lt; 250ms was missed: "), "{xml}");
        assert!(xml.contains("<property name=\"seed\" value=\"42\"/>"), "{xml}");
        let xml = write(&passing()).unwrap();
        assert_eq!((times(&xml, "<failure"), times(&xml, "<error"), times(&xml, "<testcase")), (0, 0, 2), "{xml}");
    }

    #[test]
    fn an_invalid_run_is_an_error_and_no_failure() {
        let xml = write(&empty()).unwrap();
        assert_eq!((times(&xml, "<failure"), times(&xml, "<error")), (0, 1), "{xml}");
        // A threshold without data is an error of its own.
        let xml = write(&hostile()).unwrap();
        assert!(times(&xml, "<error") >= 1 && xml.contains("cannot be judged"), "{xml}");
        assert!(!xml.contains("<b>") && !xml.contains('\u{1b}'), "{xml}");
    }
}
