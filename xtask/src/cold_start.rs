//! `cargo xtask cold-start`: a Lambda's bootstrap as a studio would ship it, and how fast it is.

use crate::package;
use crate::process::{self, cargo};

pub(crate) fn run() -> Result<(), String> {
    let bootstrap = package::build("arena", &["lambda"], "arena")?;
    let test = ["test", "--package", "loadkit-tests", "--test", "cold_start", "--", "--ignored", "--nocapture"];
    process::run(cargo(&test).env("LOADKIT_TEST_BOOTSTRAP", bootstrap))
}
