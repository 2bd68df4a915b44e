//! `cargo loadkit …`: the command; all that it does is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    cargo_loadkit::main_with(std::env::args_os())
}
