//! A plan's text: a plan or a list of problems, and durations as they stand in it.

use loadkit_core::{Plan, format_duration, parse_duration};

pub(crate) fn target(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match Plan::parse(text, "fuzz") {
        Ok(plan) => assert!(plan.shape().peak() <= plan.shape().seats(), "{plan:?}"),
        Err(error) => assert!(!error.problems().is_empty() && !error.to_string().is_empty()),
    }
    if let Ok(duration) = parse_duration(text) {
        assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
    }
}
