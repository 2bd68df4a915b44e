//! The file of a flight: what was understood is written so that it is understood again, and is safe to show.

use loadkit_core::flight::{Artifact, Comparison, last_lines, render, render_comparison};

pub(crate) fn target(bytes: &[u8]) {
    let artifact = match Artifact::parse(bytes) {
        Ok(artifact) => artifact,
        Err(error) => return assert!(is_safe(&error.to_string()), "{error}"),
    };
    let written = serde_json::to_vec(&artifact).unwrap_or_default();
    assert_eq!(Artifact::parse(&written).ok().as_ref(), Some(&artifact));
    let Artifact { run, flight, .. } = &artifact;
    for error in [run.run_id().err(), run.seed().err(), run.plan().err()].into_iter().flatten() {
        assert!(is_safe(&error.to_string()), "{error}");
    }
    let comparison = Comparison::new(flight, flight);
    assert!(comparison.ends_alike());
    for text in
        [render(&artifact), render_comparison(run, "here", &comparison, true), last_lines(flight, 12).join("\n")]
    {
        assert!(is_safe(&text), "{text:?}");
    }
}

/// Nothing that a terminal obeys.
fn is_safe(text: &str) -> bool {
    text.chars().all(|c| c == '\n' || !c.is_control())
}
