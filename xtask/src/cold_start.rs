//! `cargo xtask cold-start`: a Lambda's bootstrap as a studio would ship it, and how fast it is.

use crate::process::{self, cargo};

/// The static binary: the system's own target, named, so that the flags are for it alone and not for build scripts.
const FLAGS: &str = "-C target-feature=+crt-static -C strip=symbols";

pub(crate) fn run() -> Result<(), String> {
    let known = process::output(process::command("rustc").arg("-vV"))?;
    let host = known.lines().find_map(|line| line.strip_prefix("host: ")).ok_or("rustc does not say its host")?;
    let build = ["build", "--release", "--package", "arena", "--features", "lambda", "--target", host];
    process::run(cargo(&build).env("RUSTFLAGS", FLAGS))?;
    let bootstrap = process::root().join("target").join(host).join("release").join("arena");
    let test = ["test", "--package", "loadkit-tests", "--test", "cold_start", "--", "--ignored", "--nocapture"];
    process::run(cargo(&test).env("LOADKIT_TEST_BOOTSTRAP", bootstrap))
}
