//! `cargo loadkit COMMAND -> what a build engineer needs`: a load client made, packaged, launched and judged on every build.
//!
//! Each command is a module: its arguments, `run(&args, &output) -> Result<Exit, Failure>`, and a result that is printed as
//! words or, with `--json`, as one JSON object that names its schema. What commands have in common is
//! - [`output`]: where words and results go, and the [exit codes](Exit);
//! - [`fleet`]: what is asked of a fleet, and how a run is followed;
//! - [`settings`]: `loadkit.toml`, profiles, environment and flags, resolved in one place.

pub mod ci;
mod cli;
pub mod config;
pub mod doctor;
pub mod estimate;
mod exit;
pub mod fleet;
pub mod gate;
pub mod launch;
pub mod new;
pub mod output;
pub mod package;
pub mod publish;
pub mod report;
pub mod runs;
pub mod serve;
pub mod settings;
pub mod steer;
pub mod watch;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};

pub use cli::{Cli, Command};
pub use exit::{Exit, Failure};
use output::Output;

/// Does what these arguments say; the first is the program's own name, and the second `loadkit` where cargo started it.
pub fn main_with(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let mut args: Vec<OsString> = args.into_iter().collect();
    if args.get(1).is_some_and(|arg| arg == "loadkit") {
        args.remove(1);
    }
    let cli = match Cli::try_parse_from(&args) {
        Ok(cli) => cli,
        Err(error) => return misunderstood(&args, &error).into(),
    };
    let output = Output::new(cli.json, cli.quiet);
    let done = cli.run(&output);
    done.unwrap_or_else(|failure| output.failed(&failure)).into()
}

/// Says what clap says of arguments: what is wrong with them, or the help that they ask for.
fn misunderstood(args: &[OsString], error: &clap::Error) -> Exit {
    // clap knows which of its messages go where, and that help is no error.
    let _ = error.print();
    if !error.use_stderr() {
        return Exit::Done;
    }
    let output = Output::new(args.iter().any(|arg| arg == "--json"), true);
    let words = error.render().to_string();
    let what = words.split("\n\n").next().unwrap_or_default();
    let name = Cli::command()
        .get_subcommands()
        .map(|command| command.get_name().to_owned())
        .find(|name| args.get(1).is_some_and(|arg| *arg == **name));
    let help = name.map_or_else(|| "cargo loadkit --help".to_owned(), |name| format!("cargo loadkit {name} --help"));
    output.failed_object(&Failure::wrong_use(what.strip_prefix("error: ").unwrap_or(what)).mended_by(help))
}
