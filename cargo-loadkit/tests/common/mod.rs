//! `cargo loadkit` as a process.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, dead_code, reason = "a test that cannot go on fails")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use loadkit_tests::{Child, Output};
use serde_json::Value;

/// Longer takes nothing that compiles little.
pub(crate) const LIMIT: Duration = Duration::from_secs(300);

/// The command, in a folder, without the settings of whoever runs the tests.
pub(crate) fn command(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cargo-loadkit"));
    command.arg("loadkit").args(args).current_dir(folder);
    for (name, _) in std::env::vars() {
        let is_setting = name.starts_with("LOADKIT_") || name.starts_with("AWS_") || name == "SOURCE_DATE_EPOCH";
        if is_setting || name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            command.env_remove(name);
        }
    }
    command
}

/// Runs it to its end.
pub(crate) fn run(folder: &Path, args: &[&str]) -> Output {
    Child::run(&mut command(folder, args), LIMIT)
}

/// Runs it with `--json`: its code, and the object.
pub(crate) fn json(folder: &Path, args: &[&str]) -> (Option<i32>, Value) {
    let output = run(folder, &[args, &["--json"]].concat());
    let value = serde_json::from_str(&output.out).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    (output.code, value)
}

/// The target folder that we are in.
pub(crate) fn target() -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_cargo-loadkit")).ancestors().nth(2).unwrap().to_owned()
}
