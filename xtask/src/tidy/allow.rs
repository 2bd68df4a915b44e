//! The exceptions from the rules, all of them, each with its reason.

/// In the file `path`, or in all files below it, the rule does not hold.
#[derive(Debug)]
pub(super) struct Exception {
    pub(super) rule: &'static str,
    pub(super) path: &'static str,
    /// For the reader, who asks whether it still holds.
    #[cfg_attr(not(test), expect(dead_code, reason = "only people and a test read it"))]
    pub(super) reason: &'static str,
}

pub(super) const ALLOWED: &[Exception] = &[
    Exception { rule: "clock", path: "xtask/src/test.rs", reason: "it times the steps of `cargo xtask test`" },
    Exception {
        rule: "clock",
        path: "loadkit-transport/src/arrival.rs",
        reason: "the kernel stamps datagrams by the wall clock",
    },
    Exception {
        rule: "clock",
        path: "loadkit-worker/src/clock.rs",
        reason: "it is the fleet's clock, which is injected",
    },
    Exception {
        rule: "sleep",
        path: "tests/src/fleet/",
        reason: "a fleet's parts sleep in virtual time, which the tests that make a world begin",
    },
    Exception {
        rule: "sleep",
        path: "tests/bench_heap/dashboard/",
        reason: "it is no test: it measures a service over minutes of real time",
    },
    Exception { rule: "clock", path: "loadkit-build/src/stamp.rs", reason: "a stamp says when the build was made" },
    Exception {
        rule: "clock",
        path: "cargo-loadkit/templates/stub/",
        reason: "these are parts of a file whose imports are written beside them: it is tokio's",
    },
    Exception {
        rule: "clock",
        path: "cargo-loadkit/src/doctor/machine.rs",
        reason: "credentials end at a time of the wall clock",
    },
    Exception { rule: "clock", path: "loadkit/src/cli/run.rs", reason: "a report says when its run began" },
];
