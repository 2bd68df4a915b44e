//! `cargo loadkit` as a process, for the tests that have workers, too.

use std::process::ExitCode;

fn main() -> ExitCode {
    cargo_loadkit::main_with(std::env::args_os())
}
