//! The arena's command: `arena`, `arena server …`, `arena run …`.

use std::process::ExitCode;

use arena::{HELP, Options, serve};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.first().map(String::as_str) {
        Some("server") => server(&args[1..]),
        _ => ExitCode::SUCCESS,
    }
}

/// The server alone.
fn server(args: &[String]) -> ExitCode {
    if args.iter().any(|arg| arg == "--help" || arg == "-h") {
        print!("{HELP}");
        return ExitCode::SUCCESS;
    }
    let done = Options::parse(args).map_err(|error| (2, error.to_string()));
    match done.and_then(|options| serve::command(options).map_err(|error| (1, error.to_string()))) {
        Ok(()) => ExitCode::SUCCESS,
        Err((code, why)) => {
            eprintln!("error: {why}");
            ExitCode::from(code)
        }
    }
}
